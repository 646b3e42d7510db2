"""VQA accuracy (Antol et al. 2015, https://arxiv.org/abs/1505.00468, section 4), by the official
evaluation's rule (https://github.com/GT-Vision-Lab/VQA).

Ten people answered every question. An answer's accuracy is min(1, n / 3), where n of nine people
gave it, averaged over the ten ways to leave one out: 0, 0.3, 0.6, 0.9 and 1 for 0 to 4 people and
more. Where they did not all say the same, answers are compared in a plain form: without marks and
articles, numbers to ten in digits, apostrophes put back.

What surprises in the rule: where all ten agree, theirs and ours are compared as they stand. A mark
is taken out where a blank is beside one of its kind anywhere, or a number has a comma; otherwise it
becomes a blank. A question that has one answer, as in CLEVR, is right or wrong.

Letters: K questions of a picture, S regions of it, N things in it, H rows, W columns, G looks, Q
kinds of questions.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from backbones.training.run import slug

COUNTED = ("asked", "accuracy", "question_only", "picture_only")
"""What is summed for every kind of question: how many there are, and how right three heads are."""

MARKS = ';/[]"{}()=+\\_-><@`,?!'
COMMA_IN_NUMBER = re.compile(r"\d,\d")
FULL_STOP = re.compile(r"\.(?!\d)")
ARTICLES = frozenset(("a", "an", "the"))
DIGITS = {
    word: str(number)
    for number, word in enumerate("zero one two three four five six seven eight nine ten".split())
} | {"none": "0"}
# Words of which one apostrophe may be missing, where that makes no other word.
SHORTENED = """
'ow's'at 'twas ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't
hadn't've hasn't haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am
might've mightn't mightn't've must've mustn't needn't not've o'clock oughtn't shan't she'd've
should've shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've
someone'll someone's something'd something'd've something'll that's there'd there'd've there're
there's they'd they'd've they'll they're they've wasn't we'd've we've weren't what'll what're
what's what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're
why's won't would've wouldn't wouldn't've y'all y'all'd've y'all'll you'd you'd've you'll you're
you've
""".split()


def damaged(word: str) -> list[str]:
    """Return a word with one of its apostrophes left out."""
    places = [place for place, letter in enumerate(word) if letter == "'"]
    return [word[:place] + word[place + 1 :] for place in places]


WHOLE = {wrong: word for word in SHORTENED for wrong in damaged(word)}


@lru_cache(100_000)
def plain_form(answer: str) -> str:
    """Return an answer as it is compared where people disagree."""
    text = answer
    for mark in MARKS:
        beside_blank = f"{mark} " in answer or f" {mark}" in answer
        gone = beside_blank or COMMA_IN_NUMBER.search(answer)
        text = text.replace(mark, "" if gone else " ")
    words = [DIGITS.get(word, word) for word in FULL_STOP.sub("", text).lower().split()]
    return " ".join(WHOLE.get(word, word) for word in words if word not in ARTICLES)


def stripped(answer: str) -> str:
    """Return an answer on one line."""
    return answer.replace("\n", " ").replace("\t", " ").strip()


def worth(answers: Sequence[str]) -> dict[str, float]:
    """Return the accuracy of every answer that people gave, in its plain form."""
    if len(answers) == 1:
        return {plain_form(stripped(answers[0])): 1.0}
    found = Counter(plain_form(stripped(answer)) for answer in answers)
    return {answer: agreement(count, len(answers)) for answer, count in found.items()}


def accuracy(answer: str, answers: Sequence[str]) -> float:
    """Return how right an answer is, between 0 and 1."""
    answer, given = stripped(answer), [stripped(each) for each in answers]
    if len(given) == 1:
        return float(plain_form(answer) == plain_form(given[0]))
    if len(set(given)) > 1:
        answer, given = plain_form(answer), [plain_form(each) for each in given]
    return agreement(given.count(answer), len(given))


def agreement(count: int, people: int) -> float:
    """Return the accuracy of what `count` of some people said, one of whom is left out in turn."""
    with_one_left_out = count * min(1.0, (count - 1) / 3) + (people - count) * min(1.0, count / 3)
    return max(0.0, with_one_left_out) / people


def attention_sums(
    masks: Bool[np.ndarray, "N H W"], things: Sequence[int], weights: Float[Tensor, "K G S"]
) -> Float[Tensor, "_"]:
    """Return how many questions one thing alone decides, and for these the shares that lie on it of
    the picture and of each of G looks. Of each question `things` has that thing, or -1."""
    side = round(weights.shape[2] ** 0.5)
    shares = F.adaptive_avg_pool2d(torch.from_numpy(masks).float()[None], side)[0].flatten(1)
    found = torch.zeros(2 + weights.shape[1])
    for thing, row in zip(things, weights, strict=False):  # rows of padding come last
        if thing >= 0:
            on = shares[thing]
            found += torch.cat([torch.ones(1), on.mean()[None], row @ on])
    return found


def vqa_scores(sums: Mapping[str, Tensor], kinds: Sequence[str]) -> dict[str, float]:
    """Return accuracies in per cent, over all questions and of every kind: `answers` of the sums is
    [COUNTED, Q], `looked` what `attention_sums` returned."""
    counts = dict(zip(COUNTED, sums["answers"], strict=True))
    asked = counts.pop("asked")
    found = {name: 100 * float(count.sum() / asked.sum()) for name, count in counts.items()}
    for number, kind in enumerate(kinds):
        if asked[number]:
            for name in ("accuracy", "question_only"):
                share = float(counts[name][number] / asked[number])
                found[f"{name}_{slug(kind).replace('-', '_')}"] = 100 * share
    questions, picture, *looks = sums["looked"].tolist()
    if questions:
        found["picture_on_it"] = 100 * picture / questions
        for number, look in enumerate(looks, 1):
            found[f"look_{number}_on_it"] = 100 * look / questions
    return found
