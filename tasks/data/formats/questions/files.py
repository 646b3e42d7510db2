"""Files of questions and answers, each read into a list of questions.

    easy    [[question, answer, image]]             train/questions.json, test/... (easy-VQA)
    clevr   {"questions": [{"image_filename"}]}     CLEVR_train_questions.json
    vqa     {"questions": [{"image_id"}]} and       v2_OpenEnded_mscoco_train2014_questions.json
            {"annotations": [{"question_id"}]}      v2_mscoco_train2014_annotations.json

A question's kind is what its file says: VQA's `answer_type` (yes/no, number, other), the last
function of CLEVR's program (`query_color`, `exist`, `count`, ...). easy-VQA says nothing: the kinds
are yes/no, and what color, what shape by the words. Questions whose answers nobody has published,
those of test sets, are left out.
"""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from sys import intern
from typing import Any

from backbones.training.errors import UserError
from backbones.training.streams import plain
from tasks.data.formats.caption_files import parsed_json, text_in
from tasks.data.missing import some

YES_NO = {"yes", "no"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about a picture, with what people answered."""

    question: str
    answers: tuple[str, ...]
    """At least one."""
    kind: str
    thing: int = -1
    """Of a scene of the world: the thing that alone decides the answer; -1 if several do."""


@dataclass(frozen=True, slots=True)
class Row:
    """A question as it stands in a file: with the name of its picture, or the number in it."""

    picture: str | int
    asked: Asked


def one_line(text: str) -> str:
    """Return a text with single blanks, and without halves of characters, which JSON can have."""
    return " ".join(text.encode(errors="replace").decode().split())


def asked_of(question: str, answers: list[str], kind: str) -> Asked:
    """Return a question; equal texts are kept once."""
    given = tuple(intern(one_line(answer)) for answer in answers)
    return Asked(intern(one_line(question)), given, intern(plain(kind)))


def read_easy(path: Path) -> list[Row]:
    """Return the questions of easy-VQA; UserError for other JSON."""
    rows = []
    for number, each in enumerate(expect_list(parsed_json(path), path), 1):
        if not (isinstance(each, list) and len(each) == 3 and is_row(*each)):
            raise UserError(
                f"{path}, row {number}: {str(each)[:80]} is not [question, answer, image's number]"
            )
        question, answer, image = each
        rows.append(Row(f"{image}.png", asked_of(question, [answer], easy_kind(question, answer))))
    return rows


def is_row(question: Any, answer: Any, image: Any) -> bool:
    """Say whether three values can be a row of easy-VQA."""
    texts = isinstance(question, str) and isinstance(answer, str)
    return texts and isinstance(image, int) and not isinstance(image, bool)


def expect_list(found: Any, path: Path) -> list[Any]:
    """Return a list; UserError if it is none."""
    if not isinstance(found, list):
        raise UserError(f"{path} holds no list; expected [[question, answer, image's number]]")
    return found


def easy_kind(question: str, answer: str) -> str:
    """Return the kind of a question that has none."""
    if answer in YES_NO:
        return "yes/no"
    asked = re.search(r"\b(colou?r|shape)\b", question.lower())
    return f"what {asked[1]}" if asked and "what" in question.lower() else "other"


def read_clevr(path: Path) -> list[Row]:
    """Return the questions of CLEVR that have answers; UserError for other JSON."""
    rows = []
    try:
        for each in parsed_json(path)["questions"]:
            if "answer" not in each:
                continue
            program = each.get("program") or [{}]
            # CLEVR itself says `function`, CLEVR-CoGenT and copies of it `type`.
            kind = program[-1].get("function") or program[-1].get("type") or "other"
            name = PurePosixPath(text_in(each, "image_filename")).name
            asked = asked_of(text_in(each, "question"), [text_in(each, "answer")], str(kind))
            rows.append(Row(name, asked))
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} has not what CLEVR's questions have ({type(error).__name__}: {error}); "
            'expected {"questions": [{"image_filename", "question", "answer"}]}'
        ) from None
    return rows


def read_vqa(questions: Path, annotations: Path) -> list[Row]:
    """Return the questions of VQA with their answers; UserError for other JSON, for a question's
    number that stands there twice, and where the two files do not belong together."""
    try:
        asked: dict[Any, tuple[int, str]] = {}
        for each in parsed_json(questions)["questions"]:
            number = each["question_id"]
            if number in asked:
                raise UserError(f"{questions} has question {number} twice; leave one of them")
            asked[number] = int(each["image_id"]), text_in(each, "question")
        rows, answered = [], set[Any]()
        for each in parsed_json(annotations)["annotations"]:
            number = each["question_id"]
            if number in answered:
                raise UserError(f"{annotations} answers question {number} twice; leave one of them")
            answered.add(number)
            if number in asked:
                image, question = asked[number]
                check_picture(each, image, annotations)
                said = [text_in(one, "answer") for one in each["answers"]]
                if said:
                    kind = str(each.get("answer_type") or "other")
                    rows.append(Row(image, asked_of(question, said, kind)))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{questions} and {annotations.name} have not what VQA's files have "
            f'({type(error).__name__}: {error}); expected {{"questions": [{{"question_id", '
            '"image_id", "question"}]} and {"annotations": [{"question_id", "answers"}]}'
        ) from None
    check_pair(asked.keys() ^ answered, questions, annotations)
    return rows


def check_picture(annotation: Any, image: int, path: Path) -> None:
    """UserError if an annotation speaks of another picture than its question."""
    if int(annotation.get("image_id", image)) != image:
        raise UserError(
            f"{path} speaks of picture {annotation['image_id']} where question "
            f"{annotation['question_id']} is about {image}; the two files do not belong together"
        )


def check_pair(single: set[Any], questions: Path, annotations: Path) -> None:
    """UserError if questions have no answers, or answers no question."""
    if single:
        raise UserError(
            f"{questions.name} and {annotations.name} do not belong together: {len(single):,} "
            f"questions are in one of them alone ({some(map(str, single))})"
        )


def kind_of_file(path: Path) -> str:
    """Return whose questions a JSON file holds, by how it begins: easy, vqa, clevr or nothing."""
    with path.open("rb") as file:
        head = file.read(4096).decode(errors="replace")
    if head.lstrip().startswith("["):
        return "easy"
    return "clevr" if "image_filename" in head or "CLEVR" in path.name else "vqa"
