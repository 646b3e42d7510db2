"""What people bring to the zoo: natural sentences, and digits drawn in any two colours."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

import arcadia

# As people write it, and as Moses' tokeniser would have it: cut by hand.
SUBJECTS = [
    ("Two dogs", "two dogs"),
    ("A man's dog", "a man &apos;s dog"),
    ("Mr. Smith", "mr. smith"),
    ("The girl\u2019s brother", "the girl &apos;s brother"),
    ("An old woman, her daughter", "an old woman , her daughter"),
    ('A boy in a "Nike" T-shirt', "a boy in a &quot; nike &quot; t-shirt"),
    ("The players' coach", "the players &apos; coach"),
    ("A CHILD", "a child"),
    ("Three-year-old twins", "three-year-old twins"),
    ("A young woman (in red)", "a young woman ( in red )"),
    ("Someone who's tall", "someone who &apos;s tall"),
    ("People", "people"),
    ("A U.S. soldier", "a u.s. soldier"),
    ("The man they've met", "the man they &apos;ve met"),
    ("A worker\u00a0outside", "a worker outside"),
    ("Dr. Jones and I", "dr. jones and i"),
    ("A black-and-white cat", "a black-and-white cat"),
    ("An elderly couple", "an elderly couple"),
    ("No. 7", "no. 7"),
    ("\u201cBig Ben\u201d", "&quot; big ben &quot;"),
]
PREDICATES = [
    ("play in the snow.", "play in the snow ."),
    ("doesn't look at the camera.", "doesn &apos;t look at the camera ."),
    ("is riding a bike (blue).", "is riding a bike ( blue ) ."),
    ("walks down St. Mark's Street.", "walks down st. mark &apos;s street ."),
    ("holds 3.5 pounds of fruit!", "holds 3.5 pounds of fruit !"),
    ('says: "Hello".', "says : &quot; hello &quot; ."),
    ("sits on a bench; it's raining.", "sits on a bench ; it &apos;s raining ."),
    ("eats fish & chips.", "eats fish &amp; chips ."),
    ("runs, jumps and laughs...", "runs , jumps and laughs ..."),
    ("isn't asleep, is it?", "isn &apos;t asleep , is it ?"),
]

# A digit's strokes in a square of side 1, as a hand draws them.
STROKES = {
    0: ["50,05 20,20 12,50 20,82 50,95 80,82 88,50 80,20 50,05"],
    1: ["30,25 55,05 55,95"],
    2: ["15,25 30,08 60,05 82,20 80,40 50,65 15,95 88,93"],
    3: ["18,12 50,05 80,18 75,40 45,48 80,58 85,80 50,95 15,86"],
    4: ["65,05 12,65 90,65", "65,35 65,97"],
    5: ["82,06 25,06 20,45 55,40 85,58 80,85 45,96 15,87"],
    6: ["70,05 35,30 17,65 30,92 60,95 82,75 65,55 35,58 19,72"],
    7: ["12,08 88,08 50,50 35,96"],
    8: ["50,48 22,30 30,10 50,05 70,10 78,30 50,48 20,68 22,88 50,96 78,88 80,68 50,48"],
    9: ["80,30 60,48 30,45 20,25 40,06 70,08 82,30 75,65 60,95"],
}


def drawing(number: int) -> tuple[int, bytes]:
    """Return a digit and a PNG of it: any two colours, place, size, slant and stroke."""
    rng = np.random.default_rng([2026, number])
    digit = number % 10
    grey = np.array([0.299, 0.587, 0.114])
    ink, ground = rng.integers(0, 256, (2, 3))
    while abs(float((ink - ground) @ grey)) <= 60:
        ink, ground = rng.integers(0, 256, (2, 3))
    side = int(rng.choice([28, 40, 64, 100, 200, 280]))
    big = 4 * side
    image = Image.new("RGB", (big, big), tuple(map(int, ground)))
    draw = ImageDraw.Draw(image)
    height = big * rng.uniform(0.45, 0.85)
    width = height * rng.uniform(0.6, 0.85)
    left, top = (rng.uniform(0.05 * big, 0.96 * big - size) for size in (width, height))
    thick, slant = int(height * rng.uniform(0.06, 0.14)), rng.uniform(-0.15, 0.2)
    for line in STROKES[digit]:
        points = []
        for point in line.split():
            x, y = (int(each) / 100 + rng.normal(0, 0.012) for each in point.split(","))
            points.append((left + width * (x + slant * (0.5 - y)), top + height * y))
        draw.line(points, tuple(map(int, ink)), thick, "curve")
    out = io.BytesIO()
    image.resize((side, side), Image.Resampling.LANCZOS).save(out, "PNG")
    return digit, out.getvalue()


def test_a_hundred_drawn_digits_in_any_colours_are_read():
    reader = arcadia.load("zoo/mnist")
    drawings = [drawing(number) for number in range(100)]
    answers = reader.predict([png for _, png in drawings])
    read = [int(answer["text"][0]) for answer in answers]
    assert sum(digit != other for (digit, _), other in zip(drawings, read, strict=True)) <= 5


@pytest.mark.slow
def test_two_hundred_natural_sentences_are_translated_as_if_cut_by_hand():
    torch.set_num_threads(1)
    translator = arcadia.load("zoo/translate-en-de")
    asked = [
        [f"{subject[side]} {predicate[side]}" for subject in SUBJECTS for predicate in PREDICATES]
        for side in (0, 1)
    ]
    natural, by_hand = map(translator.predict, asked)
    assert len(natural) == 200
    assert [pair for pair in zip(natural, by_hand, strict=True) if pair[0] != pair[1]] == []
