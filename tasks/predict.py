"""What a trained model says of files or lines: `arcadia predict`, `arcadia.load(run).predict`."""

import errno
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from backbones.training.checks.limits import shortened
from backbones.training.errors import UserError
from backbones.training.files import read_at_most, standard_input
from backbones.training.progress import LongAnswer, say
from backbones.training.run import Run, find_run, slug
from backbones.training.streams import printable
from tasks import lines
from tasks.answering import with_answer_flags
from tasks.answers import SUFFIXES, Answer, Medium, Redrawn, new_file
from tasks.conversation import parted, piped
from tasks.data.decode import LARGEST_BYTES
from tasks.data.formats.tars import is_hidden
from tasks.evaluate import device_of
from tasks.predictor import Config, Predictor, load_predictor
from tasks.task import PAIR, Task

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # nobody's mistake


class Input(NamedTuple):
    """What is asked, what it is called, and the name of an answer that becomes a file; or why it
    cannot be asked."""

    name: str
    given: Path | bytes | str | tuple[()] | tuple[Path | bytes, str] | UserError
    stem: str


def sources(inputs: Sequence[str]) -> Iterator[Input]:
    """Yield everything that the inputs mean; what is missing as its error, so that the rest is
    answered."""
    for given in inputs:
        path = Path(given)
        if given == "-":
            data = read_at_most(standard_input(), LARGEST_BYTES + 1)
            yield Input("standard input", data, "standard input")
        elif os.path.isdir(path):
            try:
                yield from inside(path)
            except UserError as error:
                yield Input(shortened(given, 200), error, "")
        elif os.path.exists(path):
            yield Input(given, path, path.stem)
        else:
            missing = UserError("does not exist; give files, folders or - for standard input")
            yield Input(shortened(given, 200), missing, "")


def pairs(inputs: Sequence[str], task: Task[Any]) -> Iterator[Input]:
    """Yield every question about every picture."""
    files, questions = parted(inputs)
    pictures = list(sources(files))
    for question in questions or piped(task):
        for name, picture, stem in pictures:
            if isinstance(picture, UserError) or isinstance(question, UserError):
                wrong = question if isinstance(question, UserError) else picture
                yield Input(name, wrong, stem)
                continue
            assert isinstance(picture, Path | bytes)
            yield Input(name, (picture, question), f"{stem}-{slug(question)[:40]}")


def inside(folder: Path) -> Iterator[Input]:
    """Yield the files of a folder and of the folders in it, sorted by path; hidden ones are
    counted on standard error. UserError if there are none."""
    found, hidden = files_below(folder)
    if hidden:
        say(f"arcadia: {folder}: {hidden:,} hidden files or folders passed over", sys.stderr)
    if not found:
        raise UserError("has no files in it")
    for path in sorted(found):
        # Two folders may have files of one name.
        stem = "-".join(path.relative_to(folder).with_suffix("").parts)
        yield Input(str(path), path, stem)


def files_below(folder: Path) -> tuple[list[Path], int]:
    """Return the files in a folder, however deep, and how many names are hidden; through links
    too, and a folder that is linked into itself once."""
    found, hidden, seen = list[Path](), 0, set[str]()
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=refused):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        shown = [name for name in files if not is_hidden(PurePosixPath(name))]
        kept = [name for name in folders if not is_hidden(PurePosixPath(name))]
        hidden += len(files) + len(folders) - len(shown) - len(kept)
        folders[:] = sorted(kept)
        found += [Path(parent, name) for name in shown]
    return found, hidden


def refused(error: OSError) -> None:
    """UserError for a folder that cannot be looked into."""
    raise UserError(f"{error.filename} cannot be read ({error.strerror})")


def config_for(run: Run) -> type[Config]:
    """Return the settings of `arcadia predict` for a run: with how its task answers."""
    return with_answer_flags(Config, run)


def main(config: Config) -> int:
    """The command `arcadia predict`: exit status 2 if any input could not be read."""
    run = find_run(config.run)
    predictor = load_predictor(run, device_of(config), getattr(config, "answer", None))
    if predictor.task.takes == ("line",) and predictor.task.gives == "line":
        return lines.main(config, predictor)
    check(config, predictor.task)
    if config.output and predictor.task.gives == "line" and not pictures_only(config):
        with lines.written(config.output) as out:
            return answer_all(config, predictor, out)
    return answer_all(config, predictor, sys.stdout)


def pictures_only(config: Config) -> bool:
    """Say whether --output is where explanations go, and answers that are lines are printed."""
    return config.explain and is_folder(config.output)


def check(config: Config, task: Task[Any]) -> None:
    """UserError unless a task can be asked so, and its answers have a place."""
    if task.takes and not config.inputs:
        needs = {("line",): "a line of text", PAIR: "a picture, and questions about it"}
        found = needs.get(task.takes, "files, folders or -")
        raise UserError(f"predict needs something to look at: {found}")
    if any(config.inputs) and not task.takes:  # "" is nothing
        raise UserError("this model answers by itself; leave the inputs away")
    if task.gives == "line" or (task.speaks and not config.output):
        return
    suffixes = SUFFIXES[task.gives]
    if not config.output:
        what = task.gives if task.gives.endswith("s") else f"a {task.gives}"
        raise UserError(
            f"this model answers with {what}; say where to: --output FOLDER or NAME{suffixes[0]}"
        )
    if is_folder(config.output):
        return
    allowed = (*suffixes, *SUFFIXES["film"]) if task.redraws else suffixes
    if not config.output.endswith(allowed):
        raise UserError(
            f"--output {shortened(config.output)}: give a folder, or a name in "
            f"{' or '.join(allowed)}"
        )
    if os.path.lexists(config.output):  # before what may take minutes
        raise UserError(f"{config.output} exists; give another --output, or delete it")


def everything(inputs: Sequence[str], task: Task[Any]) -> Iterator[Input]:
    """Yield all that a task is asked."""
    if not task.takes:
        return iter([Input("answer", (), "answer")])
    if task.takes == ("line",):
        return (Input(line, line, slug(line)[:40] or "answer") for line in inputs)
    return pairs(inputs, task) if task.takes == PAIR else sources(inputs)


def answer_all(config: Config, predictor: Predictor, out: lines.Out) -> int:
    """Write the answers to all inputs in order."""
    task, failed = predictor.task, False
    for name, given, given_stem in everything(config.inputs, task):
        try:
            if isinstance(given, UserError):
                raise given
            with LongAnswer() as long:
                task.told = long.tell
                answers = predictor.answer(given)
            if not config.output and any(isinstance(each.medium, Redrawn) for each in answers):
                raise UserError("a film is drawn anew; say where to: --output FOLDER or NAME.mp4")
            doubts = task.doubts(given) if task.takes else ""
            seen = predictor.explain([given]) if config.explain else []
            shown = [explained(each, config.output, given_stem) for each in seen]
        except UserError as error:
            say(f"arcadia: {name}: {error}", sys.stderr)
            failed = True
            continue
        if doubts:
            say(f"arcadia: {name}: {doubts}", sys.stderr)
        for number, answer in enumerate(answers):
            row = answer.to_dict()
            if isinstance(given, tuple) and given:
                row = {"question": given[1], **row}
            if answer.medium is not None and config.output:
                stem = given_stem + (f"-{number + 1}" if len(answers) > 1 else "")
                row["output"] = str(written(answer.medium, config.output, stem))
            show(config, name, row, shown, out)
    return 2 if failed else 0


def explained(seen: Answer, output: str, stem: str) -> Answer:
    """Return what explains an answer; a picture of it is written, and the text says where."""
    if seen.medium is None:
        return seen
    place = output if is_folder(output) else os.path.join(os.path.dirname(output), "")
    path = written(seen.medium, place or "./", f"{stem}-attention")
    return Answer(f"where it looked: {printable(path)}", {**seen.values, "output": str(path)})


def show(
    config: Config, name: str, row: dict[str, Any], seen: list[Answer], out: lines.Out
) -> None:
    """Print one answer, for people or for programs."""
    if config.json:
        row |= {"explained": seen[0].values} if seen else {}
        print(json.dumps({"input": name, **row}), file=out, flush=True)
        return
    place = f" ({row['output']})" if "output" in row else ""
    question = f"{row['question']} " if "question" in row else ""
    print(printable(f"{name}: {question}{row['text']}{place}"), file=out, flush=True)
    for each in seen:
        print(each.text, file=out, flush=True)


def is_folder(output: str) -> bool:
    """Say whether `--output` means a folder."""
    return output.endswith("/") or os.path.isdir(output)


def written(medium: Medium, output: str, stem: str) -> Path:
    """Write a picture, a sound or a film to a new file, or into a folder; return where it lies.

    UserError if it cannot be there, OSError if the disk is full: then nothing of it is left.
    """
    path = Path(output)
    if not is_folder(output):
        medium = medium.fitted(path.suffix)
        if path.suffix != medium.suffix:
            raise UserError(f"the answer is written as {medium.suffix}; {path} ends otherwise")
    try:
        if is_folder(output):
            path.mkdir(parents=True, exist_ok=True)
            path /= f"{stem}{medium.suffix}"
        with new_file(path) as file, LongAnswer() as long:
            medium.write(file, long.tell)
    except FileExistsError:
        raise UserError(f"{path} exists; give another --output, or delete it") from None
    except OSError as error:
        if error.errno in FULL:
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise UserError(f"{path} cannot be written ({error.strerror})") from None
    return path
