"""Masks: COCO's run lengths of them, as numbers, as its short strings, as pictures of 0 and 1; the
boxes round them.

Letters: K masks, H rows, W columns, R runs.

Runs go down the columns, left to right, and alternate, beginning with those that are 0 (which may
be 0 long). The string of a mask has a number in groups of five bits, the lowest first, each as a
character from "0" on, and from the fourth run on the difference to the run before the last
(https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c). Both are checked here, so
that a file from anywhere decodes to the size that it says.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64

from backbones.training.errors import UserError

MOST_GROUPS = 7  # of five bits: as much as a picture can have


def runs_of(mask: Bool[np.ndarray, "H W"]) -> Int64[np.ndarray, "R"]:
    """Return the run lengths of a mask."""
    flat = mask.T.ravel()
    ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    begins = [0] if flat.size and flat[0] else []
    return np.diff(np.concatenate([begins, [0], ends, [flat.size]])).astype(np.int64)


def mask_of(runs: Int64[np.ndarray, "R"], height: int, width: int) -> Bool[np.ndarray, "H W"]:
    """Return the mask of run lengths; UserError if they are not those of this size."""
    if (runs < 0).any() or int(runs.sum()) != height * width:
        raise UserError(
            f"its runs are {int(runs.sum()):,} pixels together; {width} x {height} would be "
            f"{height * width:,}"
        )
    values = np.arange(len(runs)) % 2 == 1
    return np.ascontiguousarray(np.repeat(values, runs).reshape(width, height).T)


def string_of(runs: Int64[np.ndarray, "R"]) -> str:
    """Return run lengths as COCO's string."""
    before = np.zeros_like(runs)
    before[3:] = runs[1:-2]
    letters = []
    for number in (runs - before).tolist():
        more = True
        while more:
            group, number = number & 31, number >> 5
            more = number != (-1 if group & 16 else 0)
            letters.append(chr((group | 32 if more else group) + 48))
    return "".join(letters)


def runs_in(text: str) -> Int64[np.ndarray, "R"]:
    """Return the run lengths in COCO's string; UserError if it is none."""
    runs, number, shift = list[int](), 0, 0
    for letter in text:
        group = ord(letter) - 48
        if not 0 <= group < 64 or shift >= 5 * MOST_GROUPS:
            raise UserError(
                f"{letter!r} stands in its run lengths; expected characters from 0 to o"
            )
        number |= (group & 31) << shift
        shift += 5
        if not group & 32:
            number -= (1 << shift) if group & 16 else 0
            runs.append(number + (runs[-2] if len(runs) > 2 else 0))
            number = shift = 0
    if shift:
        raise UserError("its run lengths end in the middle of a number")
    return np.array(runs, np.int64)


def given_runs(counts: Any) -> Int64[np.ndarray, "R"]:
    """Return run lengths as a file has them: a list of numbers, or a string."""
    if isinstance(counts, str):
        return runs_in(counts)
    if not isinstance(counts, Sequence) or not all(type(n) is int for n in counts):
        raise UserError("its counts are neither whole numbers nor a text")
    if any(not 0 <= n < 2**31 for n in counts):
        raise UserError("its counts are below 0 or too large")
    return np.array(counts, np.int64)


def boxes_of(masks: Bool[np.ndarray, "K H W"]) -> Float32[np.ndarray, "K 4"]:
    """Return x0, y0, x1, y1 around what is true of each mask, the end not included."""
    ends: list[np.ndarray] = []
    for axis in (1, 2):
        along = np.asarray(masks.any(axis))
        ends += [along.argmax(1), along.shape[1] - along[:, ::-1].argmax(1)]
    return np.stack([ends[0], ends[2], ends[1], ends[3]], 1).astype(np.float32)
