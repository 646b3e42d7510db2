"""The task as a job: trained, resumed, asked."""

import io
import resource

import av
import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import arcadia
from backbones.media import Frame, film_bytes, has_sound, wav_bytes
from backbones.soundtrack import packets
from backbones.training.config import RunConfig, changed
from backbones.training.log import Board
from backbones.training.run import find_run
from tasks.evaluate import load_model
from tasks.sounds import film_sound
from tasks.sounds.cochleagram import cochleagram
from tasks.sounds.examples import examples_of
from tasks.sounds.film_sound import AnswerConfig
from tasks.sounds.films import columns, struck
from tasks.sounds.onsets import onsets
from tasks.sounds.synthesis import from_examples
from tasks.worlds.strikes import strike_film
from tests.tasks.killed import assert_same, whole_and_killed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A runs folder with one run, of two updates."""
    path = tmp_path_factory.mktemp("sound")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(path))
        arcadia.train("sound", preset="smoke", precision="fp32", eval_every=0, samples=4)
    return path


@pytest.fixture
def run(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("ARCADIA_RUNS", str(folder))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "silent.mp4").write_bytes(film())
    return "sound-1"


def film(sound: np.ndarray | None = None) -> bytes:
    frames = strike_film(9, 0).frames[:15]
    return film_bytes(
        (Frame(k / 15, (k + 1) / 15, one) for k, one in enumerate(frames)), sound, 16_200
    )


def test_a_silent_film_gets_a_sound_that_is_as_long(run, tmp_path, capsys):
    assert arcadia.main(["predict", run, "silent.mp4", "-o", "with.mp4"]) == 0
    assert "sounds (with.mp4)" in capsys.readouterr().out
    with av.open(io.BytesIO((tmp_path / "with.mp4").read_bytes())) as container:
        names = [stream.codec_context.name for stream in container.streams]
        assert names == ["h264", "aac"] and container.duration / 1e6 == pytest.approx(1, abs=0.1)


def test_a_sound_of_examples_is_written_too(run, tmp_path):
    words = ["predict", run, "silent.mp4", "--output", "with.mp4", "--synthesis", "example"]
    assert arcadia.main(words) == 0 and has_sound(tmp_path / "with.mp4")


def test_examples_give_real_films_their_sounds_back():
    clips = [struck("train", number) for number in range(12)]
    made = columns(clips)
    heard = torch.from_numpy(made["heard"]).float()[0]
    bank = examples_of(clips)
    found = onsets(heard)
    sound = torch.from_numpy(from_examples(heard, found, bank.windows, bank.sounds))
    again = cochleagram(sound[None], len(heard))[0]
    assert onsets(again).tolist() == pytest.approx(found.tolist(), abs=2)
    assert float((again - heard).abs().mean()) < 0.5 * float(heard.abs().mean())


def test_a_long_film_is_heard_in_pieces(run):
    _, model = load_model(find_run(run))
    once, sizes = model.forward, []

    def counted(frames):
        sizes.append(frames.shape[1])
        return once(frames)

    model.forward = counted
    frames = torch.from_numpy(strike_film(9, 0).frames).repeat(10, 1, 1, 1)[None]
    with torch.no_grad():
        heard = film_sound.heard_in_pieces(model, frames)
        short = film_sound.heard_in_pieces(model, frames[:, :30])
        torch.testing.assert_close(short, once(frames[:, :30]))
        torch.testing.assert_close(heard[:, :720], once(frames[:, :135])[:, :720])
    assert heard.shape[1] == 300 * 6 and sizes == [135, 150, 75, 30]


def test_a_film_of_one_frame_gets_a_sound_and_a_sound_is_refused(run, tmp_path, capsys):
    frame = Frame(0.0, 0.1, strike_film(9, 0).frames[0])
    (tmp_path / "one.mp4").write_bytes(film_bytes(iter([frame])))
    (tmp_path / "a.wav").write_bytes(wav_bytes(np.zeros(8_000, np.float32), 8_000))
    assert arcadia.main(["predict", run, "one.mp4", "--output", "with.mp4"]) == 0
    assert has_sound(tmp_path / "with.mp4")
    assert arcadia.main(["predict", run, "a.wav", "--output", "other.mp4"]) == 2
    assert "no picture in this file" in capsys.readouterr().err


def test_tensorboard_gets_pictures_and_sounds(run, tmp_path):
    task, model = load_model(find_run(run))
    board = Board(tmp_path)
    task.show(board, 1, model, {})
    events = EventAccumulator(str(tmp_path)).Reload()
    assert "val/cochleagrams" in events.Tags()["images"]
    sound = events.Audio("val/sound_0")[0]
    assert (sound.sample_rate, sound.length_frames) == (16_200, 32_400)


def test_a_film_with_sound_is_asked_about(run, tmp_path, capsys):
    (tmp_path / "loud.mp4").write_bytes(film(np.ones(16_200, np.float32) * 0.1))
    assert arcadia.main(["predict", run, "loud.mp4", "--output", "with.mp4"]) == 2
    assert "add --replace or --mix" in capsys.readouterr().err
    assert not (tmp_path / "with.mp4").exists()
    for flag in ("--replace", "--mix"):
        assert arcadia.main(["predict", run, "loud.mp4", "--output", f"with{flag}.mp4", flag]) == 0
        assert has_sound(tmp_path / f"with{flag}.mp4")
    with pytest.raises(ValueError, match="goes or stays"):
        AnswerConfig(replace=True, mix=True)


def test_an_output_that_exists_and_a_wrong_ending_are_refused(run, tmp_path, capsys):
    (tmp_path / "with.mp4").write_bytes(b"precious")
    arcadia.main(["predict", run, "silent.mp4", "--output", "with.mp4"])
    assert "with.mp4 exists" in capsys.readouterr().err
    assert (tmp_path / "with.mp4").read_bytes() == b"precious"
    arcadia.main(["predict", run, "silent.mp4", "--output", "with.avi"])
    assert "name in .mp4" in capsys.readouterr().err


def test_a_full_disk_is_a_line_and_leaves_nothing_behind(run, tmp_path, capsys):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))
    try:
        status = arcadia.main(["predict", run, "silent.mp4", "--output", "with.mp4"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    said = capsys.readouterr()
    assert status == 1 and not said.out
    assert said.err.count("\n") == 1 and "with.mp4: File too large" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["silent.mp4"]


def test_an_output_that_exists_is_refused_before_a_film_is_seen(run, tmp_path, monkeypatch):
    (tmp_path / "with.mp4").touch()
    monkeypatch.setattr(film_sound, "small", None)
    assert arcadia.main(["predict", run, "silent.mp4", "--output", "with.mp4"]) == 2


def test_pictures_are_copied_or_it_is_said_that_they_are_not(run, tmp_path, capsys):
    pictures = strike_film(9, 0).frames[:15]
    images = [Image.fromarray(one) for one in pictures]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=70)
    assert arcadia.main(["predict", run, "silent.mp4", "a.gif", "--output", "out/"]) == 0
    said = capsys.readouterr()
    assert said.err == (
        "arcadia: a.gif: an mp4 does not take its pictures (gif): they are encoded anew\n"
    )
    kept = [bytes(packet) for packet in packets(tmp_path / "out/silent.mp4")]
    assert kept == [bytes(packet) for packet in packets(tmp_path / "silent.mp4")]
    assert len(list(packets(tmp_path / "out/a.mp4"))) == 15


def test_what_is_no_film_is_passed_over_in_a_line(run, tmp_path, capsys):
    (tmp_path / "text.mp4").write_text("hello")
    assert arcadia.main(["predict", run, "text.mp4", "silent.mp4", "--output", "out/"]) == 2
    assert "text.mp4: this is no film that can be read" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["silent.mp4"]


def test_what_stands_still_is_seen_once_a_second(run):
    _, model = load_model(find_run(run))
    seen, look = [], model.look
    model.look = lambda pictures, squeeze: seen.append(pictures.shape[1]) or look(pictures, squeeze)
    frames = torch.from_numpy(strike_film(9, 0).frames)[None]
    with torch.no_grad():
        for count in (30, 15, 1):
            assert model(frames[:, :count]).shape[1] == 6 * count
    assert seen == [30, 2, 15, 1, 1, 1]


def test_films_are_functions_of_seed_and_number():
    one, same, other = strike_film(1, 5), strike_film(1, 5), strike_film(1, 6)
    assert (one.frames == same.frames).all() and (one.sound == same.sound).all()
    assert (one.frames != other.frames).any()
    assert torch.from_numpy(one.sound).abs().max() < 1


def test_a_film_is_silent_until_something_is_touched():
    for index in range(20):
        made = strike_film(4, index)
        first = min(made.times_s, default=2.0)
        assert not made.sound[: round(first * 16_200)].any()
        if made.times_s:
            assert made.sound.any()


def test_a_killed_run_ends_the_same_bit_for_bit(runs):
    config = changed(
        film_sound.PRESETS["smoke"],
        samples=4,
        fit=changed(film_sound.FIT, num_epochs=2, batch_size=2, eval_every=0),
        run=RunConfig(precision="fp32", checkpoint_every_s=1e-6, threads=1),
    )
    assert_same(*whole_and_killed(film_sound.JOB, config), ("heads", "state"))
