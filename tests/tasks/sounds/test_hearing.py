"""Cochleagrams, what is made of them, onsets, and their pictures."""

import numpy as np
import pytest
import torch

from tasks.looks.cochleagrams import GREEN, RED, STEP_PX, TITLE_PX, cochleagrams_picture, frames_at
from tasks.sounds.cochleagram import (
    BANDS,
    CENTRES_HZ,
    POWER,
    RATE_HZ,
    STEP,
    STEPS_HZ,
    cochleagram,
    erb_of,
    hz_of,
    responses,
)
from tasks.sounds.onsets import matched, onsets
from tasks.sounds.synthesis import from_examples, from_noise

STEPS = 90


def test_the_bands_share_the_power_of_every_frequency():
    gains = responses(np.linspace(0, RATE_HZ / 2, 500))
    np.testing.assert_allclose((gains**2).sum(0), 1, atol=1e-5)


def test_a_band_is_half_a_cosine_between_the_middles_of_its_neighbours():
    middles = erb_of(CENTRES_HZ)
    between = hz_of((middles[10:11] + middles[11:12]) / 2)
    at = responses(np.array([CENTRES_HZ[9], CENTRES_HZ[10], between[0], CENTRES_HZ[11]]))[10]
    np.testing.assert_allclose(at, [0, 1, np.sqrt(0.5), 0], atol=1e-4)


def test_a_tone_is_heard_in_its_band_as_loud_as_it_is():
    time = np.arange(STEPS * STEP) / RATE_HZ
    tone = 0.3 * np.sin(2 * np.pi * CENTRES_HZ[20] * time)
    heard = cochleagram(torch.from_numpy(tone)[None].float(), STEPS)[0]
    assert int(heard[45].argmax()) == 20
    assert float(heard[45, 20]) == pytest.approx(0.3**POWER, rel=0.01)


def test_a_click_has_its_peak_in_its_step_in_every_band():
    sound = torch.zeros(1, STEPS * STEP)
    sound[0, 40 * STEP + STEP // 2] = 1
    heard = cochleagram(sound, STEPS)[0]
    assert set(heard.argmax(0).tolist()) == {40}


def noise(seconds: int = 1) -> torch.Tensor:
    random = np.random.default_rng(1)
    return torch.from_numpy(random.standard_normal((1, seconds * RATE_HZ)) * 0.1).float()


def test_noise_comes_back_from_its_cochleagram():
    heard = cochleagram(noise(), STEPS)
    made = torch.from_numpy(from_noise(heard[0]))[None]
    again = cochleagram(made, STEPS)
    away = (again - heard)[0, 2:-2, 3:].abs().mean() / heard[0, 2:-2, 3:].mean()
    assert away < 0.12
    assert float(made.square().mean() / noise().square().mean()) == pytest.approx(1, abs=0.15)


def test_a_long_sound_is_made_in_pieces_without_seams():
    steady = torch.full((2_000, BANDS), 0.4)
    made = from_noise(steady)
    jumps = np.abs(np.diff(made))
    assert len(made) == 2_000 * STEP
    assert jumps[900 * STEP - 1] <= np.quantile(jumps, 0.9999)


def test_the_nearest_example_is_heard_where_something_begins():
    windows = torch.zeros(2, 9, BANDS)
    windows[0, :, 5], windows[1, :, 30] = 0.5, 0.5
    sounds = torch.stack([torch.full((100,), 0.1), torch.full((100,), 0.2)])
    heard = torch.zeros(50, BANDS)
    heard[20:29, 30] = 0.5
    made = from_examples(heard, torch.tensor([20]), windows, sounds)
    assert not made[: 20 * STEP].any()
    np.testing.assert_allclose(made[20 * STEP : 20 * STEP + 100], 0.2, rtol=1e-4)


def test_clicks_are_found_where_they_are():
    true = [0.2, 0.5, 0.83]
    sound = torch.zeros(1, STEPS * STEP)
    for time in true:
        first = round(time * RATE_HZ)
        sound[0, first : first + 800] += 0.5 * torch.linspace(1, 0, 800) * noise()[0, :800] * 10
    found = (onsets(cochleagram(sound, STEPS)[0]) + 0.5) / STEPS_HZ
    assert found.tolist() == pytest.approx(true, abs=0.02)
    assert not len(onsets(torch.zeros(90, BANDS))) and not len(onsets(torch.zeros(1, BANDS)))


def test_an_onset_is_found_once_only():
    found, true = torch.tensor([0.5, 1.0]), torch.tensor([0.45, 0.52, 1.2])
    assert matched(found, true, 0.1).tolist() == [True, False, False]


def test_a_picture_shows_time_to_the_right_and_marks_below():
    heard = torch.zeros(1, STEPS, BANDS)
    heard[0, 30, 0] = 0.6
    picture = cochleagrams_picture(heard, torch.zeros_like(heard), [[30]], [[]])
    bottom = picture[TITLE_PX + BANDS * 2 - 2]
    assert (bottom[30 * STEP_PX] == 255).all() and not bottom[29 * STEP_PX].any()
    rows, places = (picture == GREEN).all(2).nonzero()
    assert rows.min() > TITLE_PX + BANDS and abs(places.mean() - 30.5 * STEP_PX) < 2
    assert not (picture == RED).all(2).any()


def test_frames_are_shown_between_their_neighbours():
    frames = torch.arange(4, dtype=torch.uint8)[:, None, None, None].expand(-1, 64, 64, 3) * 50
    sheet = frames_at(frames, [3])
    assert [int(sheet[40, x, 0]) for x in (40, 175, 310)] == [100, 150, 150]
