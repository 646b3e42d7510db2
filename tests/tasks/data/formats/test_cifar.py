"""CIFAR-10's two formats written by hand, and pickles that try to do something."""

import os
import pickle
import pickletools
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backbones.training.errors import UserError
from tasks.data.find import read_set, splits_of
from tasks.data.formats.cifar import CLASSES, PIXELS, read_cifar10, read_pickle


def row(red: int, green: int, blue: int) -> bytes:
    """A picture of one colour, its first pixel white."""
    return b"".join(bytes([255] + [value] * 1023) for value in (red, green, blue))


def write_binary(folder: Path) -> Path:
    """Batch n has one row, of label n and colour (n, n + 10, n + 20); the test batch two."""
    folder.mkdir(exist_ok=True)
    for n in range(1, 6):
        data = bytes([n]) + row(n, n + 10, n + 20)
        (folder / f"data_batch_{n}.bin").write_bytes(data)
    (folder / "test_batch.bin").write_bytes(b"\x09" + row(1, 2, 3) + b"\x00" + row(4, 5, 6))
    return folder


def python2_pickle(rows: list[bytes], labels: list[int]) -> bytes:
    """A batch as Python 2 and numpy of 2009 wrote it: byte strings and protocol 2."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    data = b"".join(rows)
    dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R(K\x03" + text(b"|") + b"NNN"
    dtype += b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b")
    array += b"\x87R(K\x01J" + struct.pack("<i", len(rows)) + b"M\x00\x0c\x86" + dtype + b"\x89T"
    array += struct.pack("<i", len(data)) + data + b"tb"
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + numbers + b"u."


def refused(path: Path, data: bytes, *words: str):
    """The pickle is refused in one line, and nothing in it ran."""
    path.write_bytes(data)
    with pytest.raises(UserError) as caught:
        read_pickle(path)
    message = str(caught.value)
    assert "\n" not in message and all(word in message for word in (str(path), *words)), message
    assert not (path.parent / "ran").exists()


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.args


def test_a_binary_row_is_a_label_and_three_planes(tmp_path: Path):
    train = read_cifar10(write_binary(tmp_path), "train")
    assert train.picture.shape == (5, 3, 32, 32) and train.label.tolist() == [1, 2, 3, 4, 5]
    assert train.picture[3, :, 31, 31].tolist() == [4, 14, 24]
    assert train.picture[3, :, 0, 0].tolist() == [255] * 3
    assert train.picture[3, :, 0, 1].tolist() == [4, 14, 24]
    test = read_cifar10(tmp_path, "test")
    assert [CLASSES[n] for n in test.label] == ["truck", "airplane"]


def test_a_folder_as_unpacked_from_the_archive_reads(tmp_path: Path):
    write_binary(tmp_path / "cifar-10-batches-bin")
    assert len(read_cifar10(tmp_path, "test")) == 2
    assert splits_of(tmp_path) == ("train", "test")
    grey = read_set(tmp_path, "test", size_px=8, channels=1).picture
    # 0.299 * 4 + 0.587 * 5 + 0.114 * 6 = 4.8
    assert grey.shape == (2, 1, 8, 8) and grey[1, 0, 7, 7] == 5


def test_the_pickles_of_python_2_read(tmp_path: Path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for n in range(1, 6):
        rows = [row(n, n + 10, n + 20), row(0, 1, 2)]
        (folder / f"data_batch_{n}").write_bytes(python2_pickle(rows, [n, 0]))
    (folder / "test_batch").write_bytes(python2_pickle([row(7, 8, 9)], [6]))
    train = read_cifar10(tmp_path, "train")
    assert train.label.tolist() == [1, 0, 2, 0, 3, 0, 4, 0, 5, 0]
    assert train.picture[6, :, 31, 31].tolist() == [4, 14, 24]
    assert read_cifar10(tmp_path, "test").picture[0, :, 5, 5].tolist() == [7, 8, 9]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_of_this_numpy_read_too(tmp_path: Path, protocol: int):
    data = np.arange(2 * PIXELS, dtype=np.uint32).astype(np.uint8).reshape(2, PIXELS)
    batch = {b"data": data, b"labels": [3, 8], b"filenames": [b"a.png", b"b.png"]}
    (tmp_path / "x").write_bytes(pickle.dumps(batch, protocol))
    if protocol == 5:
        # numpy writes protocol 5 through another function, which CIFAR-10 never had.
        refused(tmp_path / "x", pickle.dumps(batch, 5), "_frombuffer")
        return
    rows, labels = read_pickle(tmp_path / "x")
    assert rows.numpy().tolist() == data.tolist() and labels == [3, 8]


def test_a_pickle_that_names_anything_else_runs_nothing(tmp_path: Path):
    path, mark = tmp_path / "x", str(tmp_path / "ran")
    hostile = pickle.dumps({b"data": Call(os.mkdir, mark), b"labels": []})
    pickle.loads(hostile)
    assert Path(mark).is_dir(), "the pickle is as hostile as it says"
    Path(mark).rmdir()
    refused(path, hostile, "posix.mkdir")
    refused(path, pickle.dumps(Call(eval, f"open({mark!r}, 'w')")), "eval")
    refused(path, b"cos\nsystem\n(S'touch " + mark.encode() + b"'\ntR.", "os.system")
    refused(path, b"(S'touch " + mark.encode() + b"'\nios\nsystem\n.", "os.system")
    refused(path, b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.size\x93.", "numpy.ndarray.size")
    refused(path, b"cnumpy\nload\n(S'x'\ntR.", "numpy.load")
    refused(path, b"\x80\x02\x82\x01.", "not a batch")


def test_what_is_allowed_can_do_no_harm(tmp_path: Path):
    start = b"cnumpy.core.multiarray\n_reconstruct\n"
    for data in (
        # An array of a terabyte, a type of objects, attributes on the classes and the function.
        start + b"(cnumpy\nndarray\nL1099511627776L\nS'b'\ntR.",
        b"cnumpy\ndtype\n(S'O'\ntR.",
        start + b"}S'given'\nI1\nsb.",
        start + b"(N}S'rows'\nI1\nstb.",
        b"c_codecs\nencode\n(S'x'\nS'zip'\ntR.",
        b"c_codecs\nencode\n(N}S'__code__'\nI1\nstb.",
    ):
        refused(tmp_path / "x", data, "not a batch")
    good = python2_pickle([row(7, 8, 9)], [6])
    (tmp_path / "x").write_bytes(good)
    assert read_pickle(tmp_path / "x")[1] == [6]


def test_a_number_that_would_take_all_memory_is_refused(tmp_path: Path):
    refused(tmp_path / "x", b"Nr\xff\xff\xff\xff.", "numbers a value 4,294,967,295")


def test_damaged_pickles_are_said(tmp_path: Path):
    path, good = tmp_path / "x", python2_pickle([row(7, 8, 9)], [6])
    refused(path, b"")
    refused(path, good[:1000])
    refused(path, b"not a pickle at all")
    refused(path, pickle.dumps([1, 2], 2), "no dict")
    refused(path, pickle.dumps({b"data": b"x" * PIXELS, b"labels": [1]}, 2), "no data and labels")
    refused(path, pickle.dumps({b"data": np.zeros((1, 5), np.uint8), b"labels": [1]}, 2), "uint8")
    refused(path, pickle.dumps({b"data": np.zeros((1, PIXELS)), b"labels": [1]}, 2), "uint8")
    refused(path, good.replace(b"J\x01\x00\x00\x00M", b"J\x02\x00\x00\x00M"), "uint8")
    refused(path, good.replace(b"](K\x06e", b"](Ne"), "labels")


def test_every_prefix_and_every_changed_byte_gives_a_line_or_a_batch(tmp_path: Path):
    good = python2_pickle([row(7, 8, 9)], [6])
    start = next(pos for op, _, pos in pickletools.genops(good) if op.name == "BINSTRING")
    for n in range(start + 5):
        for data in (good[:n], good[:n] + bytes([good[n] ^ 0x55]) + good[n + 1 :]):
            (tmp_path / "x").write_bytes(data)
            try:
                rows, labels = read_pickle(tmp_path / "x")
            except UserError:
                continue
            assert rows.shape == (1, PIXELS) and len(labels) == 1


def test_damaged_binaries_are_said(tmp_path: Path):
    folder = write_binary(tmp_path)
    (folder / "data_batch_3.bin").write_bytes(bytes(3073 + 3072))
    with pytest.raises(
        UserError, match=r"data_batch_3.bin has 6,145 bytes, not a multiple of 3,07"
    ):
        read_cifar10(folder, "train")
    (folder / "data_batch_3.bin").write_bytes(bytes(3073) + b"\x0a" + bytes(3072))
    with pytest.raises(UserError, match="label 10 in row 1"):
        read_cifar10(folder, "train")
    (folder / "data_batch_3.bin").write_bytes(b"")
    with pytest.raises(UserError, match="0 bytes"):
        read_cifar10(folder, "train")
    (folder / "data_batch_3.bin").unlink()
    with pytest.raises(UserError, match=r"lacks data_batch_3\.bin"):
        read_cifar10(folder, "train")


def test_a_pickle_with_fewer_labels_than_pictures_is_said(tmp_path: Path):
    (tmp_path / "test_batch").write_bytes(python2_pickle([row(1, 2, 3)] * 2, [6]))
    with pytest.raises(UserError, match="2 pictures, but 1 labels"):
        read_cifar10(tmp_path, "test")


def test_a_folder_without_the_files_is_said(tmp_path: Path):
    with pytest.raises(UserError, match=r"neither data_batch_1\.bin nor data_batch_1;"):
        read_cifar10(tmp_path, "train")


def test_a_pickle_of_millions_of_values_is_refused_unread(tmp_path: Path):
    (tmp_path / "x").write_bytes(b"]" * 2_100_000 + b".")
    with pytest.raises(UserError, match="has more than 2,000,000 values"):
        read_pickle(tmp_path / "x")


def test_names_of_classes_beside_the_batches_are_taken(tmp_path):
    folder = write_binary(tmp_path / "set")
    names = [f"kind {n}" for n in range(10)]
    (folder / "batches.meta.txt").write_text("\n".join(names) + "\n\n")
    assert read_cifar10(folder, "test").classes == tuple(names)
    (folder / "batches.meta.txt").write_text("\n".join(names[:9]))
    with pytest.raises(UserError, match="names 9 classes, but the set has 10"):
        read_cifar10(folder, "test")
    (folder / "batches.meta.txt").write_text("\n".join(["cat", *names[:8], "cat"]))
    with pytest.raises(UserError, match="has a name twice"):
        read_cifar10(folder, "test")
    (folder / "batches.meta.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="no text in UTF-8"):
        read_cifar10(folder, "test")
