"""Checkpoints are whole or not there: damage is seen, said, and stepped around."""

import json
import os
from functools import partial

import pytest
import torch
from safetensors.torch import save as save_to_bytes

from backbones.training import checkpoint
from backbones.training.errors import UserError


def save(folder, progress):
    tensors = {"w": torch.full((3, 2), float(progress)), "n": torch.tensor(progress)}
    return checkpoint.save(folder, progress, {"heads": tensors}, {"score": 1.5})


def test_what_was_saved_comes_back(tmp_path):
    save(tmp_path, 7)
    found, passed_over = checkpoint.load_newest(tmp_path)
    assert passed_over == []
    assert found.info["progress"] == 7
    assert found.info["score"] == 1.5
    assert torch.equal(found.tensors("heads")["w"], torch.full((3, 2), 7.0))
    assert found.tensors("heads")["n"].item() == 7


def test_the_newest_two_are_kept_and_no_half_file_is_left(tmp_path):
    for progress in (1, 20, 300):
        save(tmp_path, progress)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000000020", "000000000300"]


@pytest.mark.parametrize("name", ["heads.safetensors", "checkpoint.json"])
def test_any_flipped_byte_is_noticed_and_the_one_before_is_taken(tmp_path, name):
    save(tmp_path, 1)
    newest = save(tmp_path, 2)
    whole = (newest / name).read_bytes()
    # Every byte of the content counts; spaces and line ends between JSON's words do not.
    places = [i for i in range(len(whole)) if not whole[i : i + 1].isspace()]
    for place in places[:: max(1, len(places) // 40)]:
        data = bytearray(whole)
        data[place] ^= 1
        (newest / name).write_bytes(bytes(data))
        found, passed_over = checkpoint.load_newest(tmp_path)
        assert found.info["progress"] == 1, place
        assert len(passed_over) == 1
        assert str(newest) in passed_over[0]


def save_all(folder, progress):
    """Save weights, a state and a chunk."""
    values = {"w": torch.full((50,), float(progress))}
    parts = {"cnn": values, "heads": values, "state": values}
    return checkpoint.save(folder, progress, parts, {}, chunks={"replay-1": lambda: values})


def flip(path):
    """Change the last byte of a file, and of no other name of it."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


@pytest.mark.parametrize("part", ["cnn", "heads", "state", "replay-1"])
def test_weights_are_checked_when_loaded_and_all_parts_before_a_resume(tmp_path, part):
    save_all(tmp_path, 1)
    path = save_all(tmp_path, 2) / f"{part}.safetensors"
    flip(path)
    found, passed_over = checkpoint.load_newest(tmp_path, whole=True)
    line = f"{path} is damaged: its SHA-256 does not fit"
    assert (found.info["progress"], passed_over) == (1, [f"{line}; taking the one before"])
    found, passed_over = checkpoint.load_newest(tmp_path)
    if part in checkpoint.WEIGHTS:
        assert (found.info["progress"], len(passed_over)) == (1, 1)
        return
    # Whoever only plays never reads it; whoever asks for it hears of it.
    assert (found.info["progress"], passed_over) == (2, [])
    with pytest.raises(UserError) as error:
        found.tensors(part)
    assert str(error.value) == line


def test_a_part_that_is_exchanged_after_the_check_is_noticed_when_it_is_read(tmp_path):
    save_all(tmp_path, 1)
    found = checkpoint.load_newest(tmp_path, whole=True)[0]
    path = found.folder / "state.safetensors"
    path.write_bytes(save_to_bytes({"w": torch.zeros(50)}))
    with pytest.raises(UserError, match="is damaged"):
        found.tensors("state")
    # The weights are those that were checked, whatever becomes of their file.
    (found.folder / "heads.safetensors").unlink()
    assert found.tensors("heads")["w"].unique().tolist() == [1]


def test_a_file_of_the_right_digest_that_holds_no_tensors_is_one_line(tmp_path):
    path = save_all(tmp_path, 1)
    (path / "heads.safetensors").write_bytes(b"junk" * 10)
    info = json.loads((path / "checkpoint.json").read_text())
    info["sha256"]["heads.safetensors"] = checkpoint.digest(b"junk" * 10)
    info["sha256_of_this"] = checkpoint.info_digest(info)
    (path / "checkpoint.json").write_text(json.dumps(info))
    with pytest.raises(UserError, match=r"heads\.safetensors holds no tensors") as error:
        checkpoint.check(path)
    assert "\n" not in str(error.value)


def test_the_header_of_a_part_comes_back(tmp_path):
    values = {"x": torch.zeros(2)}
    checkpoint.save(tmp_path, 1, {"cnn": values, "heads": values}, {}, {"cnn": {"card": "{}"}})
    assert checkpoint.load_newest(tmp_path)[0].headers == {"cnn": {"card": "{}"}, "heads": {}}


def test_a_missing_part_and_a_half_written_one_are_stepped_around(tmp_path):
    save(tmp_path, 1)
    (save(tmp_path, 2) / "heads.safetensors").unlink()
    (tmp_path / ".000000000003.writing").mkdir()
    found, passed_over = checkpoint.load_newest(tmp_path)
    assert found.info["progress"] == 1
    assert len(passed_over) == 1


def test_a_newer_format_is_said_and_not_stepped_around(tmp_path):
    save(tmp_path, 1)
    path = save(tmp_path, 2) / "checkpoint.json"
    info = json.loads(path.read_text()) | {"format": 99}
    info["sha256_of_this"] = checkpoint.info_digest(info)
    path.write_text(json.dumps(info))
    with pytest.raises(UserError, match="format 99, this version reads up to 1; update Arcadia"):
        checkpoint.load_newest(tmp_path)


def test_no_usable_checkpoint_is_an_error_with_reasons(tmp_path):
    with pytest.raises(UserError, match="no usable checkpoint"):
        checkpoint.load_newest(tmp_path)
    (save(tmp_path, 1) / "heads.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="is damaged"):
        checkpoint.load_newest(tmp_path)


def test_saving_the_same_progress_again_replaces_it_and_sweeps_half_written_ones(tmp_path):
    save(tmp_path, 1)
    (tmp_path / ".000000000009.writing").mkdir()
    save(tmp_path, 1)
    save(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000000001", "000000000002"]


def test_damaged_ones_that_are_set_aside_count_no_more(tmp_path):
    for progress in (1, 2):
        save(tmp_path, progress)
    checkpoint.set_aside_newer(tmp_path, 1)
    assert checkpoint.load_newest(tmp_path)[0].info["progress"] == 1
    assert (tmp_path / "damaged-000000000002").exists()


def test_a_part_that_was_not_saved_is_named(tmp_path):
    save(tmp_path, 1)
    with pytest.raises(UserError, match=r"no state\.safetensors"):
        checkpoint.load_newest(tmp_path)[0].tensors("state")


def test_sets_of_tensors_share_a_part_by_prefix():
    tensors = checkpoint.prefixed("a", {"x": torch.zeros(1)}) | {"ab.y": torch.ones(1)}
    assert set(tensors) == {"a.x", "ab.y"}
    assert set(checkpoint.under("a", tensors)) == {"x"}


def test_the_best_is_kept_beside_the_newest_two(tmp_path):
    for progress, score in [
        (1, None),
        (2, 3.0),
        (3, 9.5),
        (4, 9.5),
        (5, 2.0),
        (6, -1.0),
        (7, None),
    ]:
        checkpoint.save(tmp_path, progress, {"a": {"x": torch.zeros(2)}}, {"score": score})
    assert [int(path.name) for path in checkpoint.numbered(tmp_path)] == [4, 6, 7]
    assert checkpoint.load_best(tmp_path).info["score"] == 9.5
    assert checkpoint.summary(tmp_path).startswith(
        "checkpoints: last at 7, best at 4 (score 9.5); "
    )


def test_without_scores_there_is_no_best(tmp_path):
    save_plain(tmp_path, 1)
    with pytest.raises(UserError, match="has a score yet; take the last one"):
        checkpoint.load_best(tmp_path)


def save_plain(folder, progress, chunks=None):
    return checkpoint.save(folder, progress, {"a": {"x": torch.zeros(2)}}, {}, chunks=chunks)


def chunks_up_to(number, asked):
    def tensors_of(n):
        asked.append(n)
        return {"frames": torch.full((1000,), n)}

    return {f"replay-{n:04d}": partial(tensors_of, n) for n in range(number)}


@pytest.mark.parametrize("links", [True, False])
def test_chunks_are_written_once_and_belong_to_every_checkpoint(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError("no links here")))
    asked: list[int] = []
    for progress in range(1, 6):
        save_plain(tmp_path, progress, chunks_up_to(progress, asked))
    assert asked == [0, 1, 2, 3, 4]
    found, _ = checkpoint.load_newest(tmp_path)
    for n in range(5):
        assert found.tensors(f"replay-{n:04d}")["frames"].unique().tolist() == [n]
    older = checkpoint.check(checkpoint.numbered(tmp_path)[0])
    assert older.tensors("replay-0003")["frames"][0] == 3
    files = sum(path.stat().st_size for path in tmp_path.rglob("*.safetensors"))
    assert (checkpoint.size_bytes(tmp_path) < files) == links


def test_a_chunk_lives_as_long_as_a_checkpoint_that_names_it(tmp_path):
    asked: list[int] = []
    chunks = chunks_up_to(3, asked)
    save_plain(tmp_path, 1, chunks)
    chunks.pop("replay-0000")
    for progress in (2, 3, 4):
        save_plain(tmp_path, progress, chunks)
    assert asked == [0, 1, 2]
    assert list(tmp_path.rglob("replay-0000*")) == []
    assert checkpoint.load_newest(tmp_path)[0].tensors("replay-0002")["frames"][0] == 2
