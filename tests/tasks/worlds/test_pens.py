"""The world of pens: repeatable, every letter drawn, hands that differ."""

from itertools import pairwise

import numpy as np

from tasks.worlds import pens
from tasks.worlds.chance import SEEDS


def test_a_line_is_a_function_of_seed_and_index():
    first, again = pens.line(1, 7), pens.line(1, 7)
    assert first.text == again.text
    assert all(np.array_equal(a, b) for a, b in zip(first.strokes, again.strokes, strict=True))
    assert pens.line(2, 7).text != first.text or len(pens.line(2, 7).strokes) != len(first.strokes)


def test_lines_run_to_the_right_and_use_every_letter():
    lines = pens.lines("train", 300)
    assert {letter for line in lines for letter in line.text} == {" ", *pens.GLYPHS}
    for line in lines[:50]:
        lefts = [stroke[:, 0].min() for stroke in line.strokes]
        assert all(b > a - 2.5 for a, b in pairwise(lefts))
        assert all(np.isfinite(stroke).all() for stroke in line.strokes)
        parts = sum(len(pens.GLYPHS[letter].split("|")) for letter in line.text if letter != " ")
        assert len(line.strokes) == parts


def test_splits_share_no_line():
    texts = {split: {pens.line(SEEDS[split], n).text for n in range(50)} for split in SEEDS}
    long = {split: {text for text in found if len(text) > 4} for split, found in texts.items()}
    assert not long["train"] & long["val"] and not long["train"] & long["test"]
