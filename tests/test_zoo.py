"""What comes with the project, trained, is small and whole, and does what its card says."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

import arcadia
from backbones.media import Frame, film_bytes
from backbones.training.checkpoint import size_bytes
from backbones.training.distributed import ALONE
from rl.agent import load_agent
from rl.evaluate import evaluate
from tasks.data.formats.rle import mask_of, runs_in
from tasks.evaluate import load_model
from tasks.scores.edits import edits
from tasks.scores.sums import add
from tasks.worlds.chance import SEEDS
from tasks.worlds.digits import digits
from tasks.worlds.roads import roads
from tasks.worlds.scene_language import is_right
from tasks.worlds.scenes import objects, scene
from tasks.worlds.strikes import strike_film
from tasks.worlds.things import SHAPES

ZOO = sorted(p.parent for p in (Path(__file__).parents[1] / "runs" / "zoo").glob("*/config.json"))
DATA = Path(os.environ.get("ARCADIA_DATA", "/nowhere"))
LARGEST = {
    "translate-en-de": 15_000_000,
    "sound": 5_000_000,
    "segment-roads": 5_000_000,
    "detect-scenes": 5_000_000,
}  # bytes; others are smaller


def kind(folder: Path) -> str:
    return arcadia.JOBS[json.loads((folder / "config.json").read_text())["job"]].kind


def test_there_is_something_for_a_start():
    wanted = {"pong", "breakout", "mnist", "translate-en-de", "sound", "caption-scenes"}
    wanted |= {"detect-scenes", "segment-roads", "text", "handwriting", "read-handwriting"}
    wanted |= {"glimpse", "vqa-scenes"}
    assert wanted <= {folder.name for folder in ZOO}


@pytest.mark.parametrize("folder", ZOO, ids=lambda p: p.name)
def test_it_is_small_and_its_card_says_where_it_comes_from(folder):
    assert size_bytes(folder) < LARGEST.get(folder.name, 3_000_000)
    about = json.loads((folder / "config.json").read_text())
    assert about["command"].startswith("arcadia train") and about["commit"] and about["hardware"]


@pytest.mark.slow
@pytest.mark.parametrize("folder", [f for f in ZOO if kind(f) == "agent"], ids=lambda p: p.name)
def test_an_agent_plays_as_well_as_its_card_says(folder):
    card = json.loads((folder / "eval.json").read_text())
    result = evaluate(load_agent(folder), games=4)
    assert abs(result.mean - card["score"]) < 3 * card["standard_deviation"]


def test_the_reader_of_digits_reads_drawn_ones_too():
    task, model = load_model(arcadia.load("zoo/mnist").run)
    picture, label = digits(5, np.arange(300), 28)
    with torch.no_grad():
        answers = task.predict(model, {"picture": torch.from_numpy(picture)}).argmax(1)
    # It never saw these; nine guesses in ten would be wrong.
    assert float((answers == torch.from_numpy(label)).float().mean()) > 0.7


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "mnist").exists(), reason="$ARCADIA_DATA has no mnist")
def test_the_reader_of_digits_errs_as_seldom_as_its_card_says(capsys):
    card = json.loads((Path(ZOO[0]).parent / "mnist" / "eval.json").read_text())
    assert arcadia.main(["eval", "zoo/mnist", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["score"] == pytest.approx(card["score"], abs=0.02)


def test_the_translator_translates():
    (answer,) = arcadia.load("zoo/translate-en-de").predict(["a man is riding a bicycle ."])
    assert "mann" in answer["text"] and "fahrrad" in answer["text"]


def test_a_few_looks_read_drawn_digits_too_and_better_than_the_first():
    task, model = load_model(arcadia.load("zoo/glimpse").run)
    picture, label = digits(5, np.arange(300), 28)
    with torch.no_grad():
        seen = task.predict(model, {"picture": torch.from_numpy(picture)})
    right = (seen.logits.argmax(-1) == torch.from_numpy(label)).float().mean(1)
    assert float(right[-1]) > 0.7 and right[-1] >= right[0]


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "mnist").exists(), reason="$ARCADIA_DATA has no mnist")
def test_a_few_looks_err_as_seldom_as_the_card_says(capsys):
    card = json.loads((Path(ZOO[0]).parent / "glimpse" / "eval.json").read_text())
    assert arcadia.main(["eval", "zoo/glimpse", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["score"] == pytest.approx(card["score"], abs=0.02)


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "multi30k").exists(), reason="$ARCADIA_DATA has no multi30k")
def test_the_translator_translates_as_well_as_its_card_says(capsys):
    card = json.loads((Path(ZOO[0]).parent / "translate-en-de" / "eval.json").read_text())
    assert arcadia.main(["eval", "zoo/translate-en-de", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["score"] == pytest.approx(card["score"], abs=0.5) and result["score"] > 33


def test_sound_is_given_to_a_silent_film_when_something_is_struck():
    film = strike_film(SEEDS["test"], 2)
    frames = (Frame(n / 15, (n + 1) / 15, pixels) for n, pixels in enumerate(film.frames))
    (answer,) = arcadia.load("zoo/sound").predict([film_bytes(frames)])
    assert answer["onset_s"] == pytest.approx(film.times_s, abs=0.05)


def test_the_captioner_says_what_is_so():
    shown = [scene(SEEDS["test"], number) for number in range(40)]
    answers = arcadia.load("zoo/caption-scenes").predict([each.picture for each in shown])
    right = [is_right(each, said["text"]) for each, said in zip(shown, answers, strict=True)]
    assert sum(right) >= 32  # the nearest training scene's captions would be right of about ten


def test_questions_about_scenes_are_answered():
    pairs = [
        (each.picture, one)
        for each in (scene(SEEDS["test"], number) for number in range(40))
        for one in each.questions
    ]
    predictor = arcadia.load("zoo/vqa-scenes")
    said = predictor.predict([(picture, one.question) for picture, one in pairs])
    right = [answer["text"] == one.answer for answer, (_, one) in zip(said, pairs, strict=True)]
    assert sum(right) > 0.7 * len(right)  # the question alone would be right of a third


def test_the_reader_reads_what_the_pen_writes_of_words_nobody_wrote():
    pen, reader = arcadia.load("zoo/handwriting"), arcadia.load("zoo/read-handwriting")
    texts = ["hello", "Breakout", "quick", "zebra", "wind", "Paper", "table", "42", "north", "dust"]
    unit = pen.task.source.about["spacing"]
    written = [[stroke * unit for stroke in each.medium.strokes] for each in pen.answer(texts)]
    said = [answer["text"] for answer in reader.predict(written)]
    wrong = sum(edits(*pair) for pair in zip(said, texts, strict=True))
    assert wrong <= 0.25 * sum(map(len, texts))


def test_the_writer_of_text_writes_plays():
    (answer,) = arcadia.load("zoo/text").predict("ROMEO:")
    assert answer["text"].startswith("ROMEO:") and len(answer["text"]) == 506
    words = answer["text"].lower().split()
    assert len({"the", "and", "to", "i", "you", "my"} & set(words)) >= 3


def test_the_segmenter_knows_the_pixels_of_roads_it_never_saw():
    task, model = load_model(arcadia.load("zoo/segment-roads").run)
    picture, label = roads(SEEDS["test"], np.arange(12))
    batch = {"picture": torch.from_numpy(picture), "label": torch.from_numpy(label)}
    with torch.no_grad():
        scores = task.scores(add([task.score(task.predict(model, batch), batch)], ALONE))
    assert scores["miou"] > 55 and scores["pixel_accuracy"] > 88


def test_the_detector_finds_the_shapes_of_scenes_and_their_pixels():
    right = total = 0
    detector = arcadia.load("zoo/detect-scenes")
    for number in range(20):
        picture, masks, shapes = objects(SEEDS["test"], number, 96)
        (answer,) = detector.predict([picture])
        left = [
            (each["category"], mask_of(runs_in(each["segmentation"]["counts"]), 96, 96))
            for each in answer["results"]
        ]
        for mask, shape in zip(masks, shapes, strict=True):
            total += 1
            same = [
                n
                for n, (name, found) in enumerate(left)
                if name == SHAPES[shape] and (found & mask).sum() > 0.5 * (found | mask).sum()
            ]
            if same:
                right += 1
                left.pop(same[0])
    assert right >= 0.9 * total > 40
