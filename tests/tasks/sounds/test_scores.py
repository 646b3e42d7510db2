"""Scores of sounds by hand: of the answer, and of what is late, quiet, silent or another's."""

import numpy as np
import pytest
import torch

from backbones.training.distributed import ALONE
from tasks.data.samples import InMemory
from tasks.scores.sums import add
from tasks.sounds.baselines import always, mean_heard, sums_of
from tasks.sounds.cochleagram import cochleagram
from tasks.sounds.films import columns, struck
from tasks.sounds.onsets import onsets
from tasks.sounds.scores import fit_materials, near_hits, sound_scores, windows
from tasks.sounds.synthesis import from_noise


@pytest.fixture(scope="module")
def taught():
    """A classifier of materials."""
    made = columns([struck("train", number) for number in range(40)])
    time_s, kinds = torch.from_numpy(made["time_s"]), torch.from_numpy(made["material"])
    window = windows(torch.from_numpy(made["heard"]).float(), time_s)
    return fit_materials(window, kinds[time_s >= 0], 5)


@pytest.fixture(scope="module")
def films():
    made = columns([struck("val", number) for number in range(20)])
    return {name: torch.from_numpy(values) for name, values in made.items()}


def scored(heard, films, taught, sounding=None):
    counts = sums_of(heard, heard if sounding is None else sounding, films, taught)
    return sound_scores(add([counts], ALONE))


def test_the_answer_itself_scores_all_there_is(films, taught):
    real = films["heard"].float()
    scores = scored(real, films, taught)
    assert scores["onset_f1_50ms"] == scores["onset_f1_100ms"] == 100
    assert scores["loudness_r"] == pytest.approx(1) and scores["centroid_r"] == pytest.approx(1)
    assert scores["material"] == scores["material_of_real"] > 85


def test_the_answer_made_of_noise_is_still_nearly_the_answer(films, taught):
    real = films["heard"].float()
    made = torch.stack([torch.from_numpy(from_noise(one)) for one in real])
    scores = scored(real, films, taught, cochleagram(made, real.shape[1]))
    assert scores["loudness_r"] > 0.9 and scores["centroid_r"] > 0.95
    assert scores["material"] > 0.9 * scores["material_of_real"]


def test_67_ms_late_is_within_100_and_not_within_50(films, taught):
    late = scored(films["heard"].float().roll(6, 1), films, taught)
    assert late["onset_f1_100ms"] > 90 and late["onset_f1_50ms"] < 10


def test_half_as_loud_is_as_loud_by_correlation(films, taught):
    half = scored(films["heard"].float() * 0.8, films, taught)
    assert half["loudness_r"] == pytest.approx(1) and half["onset_f1_50ms"] > 95


def test_the_sounds_of_other_films_are_no_better_than_chance(films, taught):
    other = scored(films["heard"].float().roll(1, 0), films, taught)
    assert other["onset_f1_50ms"] < 40 and abs(other["loudness_r"]) < 0.4
    assert other["material"] < 50


def test_silence_finds_nothing_and_names_nothing(films, taught):
    samples = InMemory(films)
    silence = sound_scores(always(torch.zeros(films["heard"].shape[1:]), samples, taught))
    assert silence["material_of_real"] > 85
    assert {v for name, v in silence.items() if name != "material_of_real"} == {0}


def test_the_mean_of_all_films_is_scored_like_any_other(films, taught):
    samples = InMemory(films)
    mean = mean_heard(samples, 100)
    torch.testing.assert_close(mean, films["heard"].float().mean(0))
    sums = always(mean, samples, taught)
    assert float(sums["found"]) == len(samples) * len(onsets(mean))


def test_a_sound_that_is_cut_off_does_not_begin_again():
    time = np.arange(16_200) / 16_200
    tone = torch.from_numpy(0.3 * np.sin(2 * np.pi * 1_001 * time) * (time > 0.5)).float()
    found = (onsets(cochleagram(tone[None], 90)[0]) + 0.5) / 90
    assert found.tolist() == pytest.approx([0.5], abs=0.02)


def test_hits_of_no_known_material_are_not_named():
    heard, time_s = torch.rand(1, 90, 42), torch.tensor([[0.2, 0.5]])
    batch = {"heard": heard, "time_s": time_s, "material": torch.tensor([[-1, 0]])}
    sums = add([sums_of(heard, heard, batch, torch.zeros(127, 5))], ALONE)
    assert (float(sums["true"]), float(sums["labelled"]), float(sums["named"])) == (2, 1, 1)


def test_steps_near_hits_are_those_of_their_windows_and_a_few_before():
    near = near_hits(torch.tensor([[0.5, -1.0], [-1.0, -1.0]]), 90)
    steps = near[0].nonzero()[:, 0].tolist()
    assert steps == list(range(42, 63)) and not near[1].any()
