"""IDX files written byte by byte, damaged ones, and MNIST itself."""

import gzip
import os
import struct
import tracemalloc
from pathlib import Path

import pytest
import torch

from backbones.training.errors import UserError
from tasks.data.find import folder_of, read_set, splits_of
from tasks.data.formats.idx import read_idx, read_mnist


def images(num: int, rows: int, columns: int, values: bytes | None = None) -> bytes:
    """The bytes of a file of pictures, counting up from 0 unless told otherwise."""
    values = bytes(i % 256 for i in range(num * rows * columns)) if values is None else values
    return struct.pack(">4I", 0x803, num, rows, columns) + values


def labels(*values: int) -> bytes:
    return struct.pack(">2I", 0x801, len(values)) + bytes(values)


def write_set(folder: Path, prefix: str = "", pictures: bytes = b"", label: bytes = b"") -> Path:
    """Write both splits, two pictures of 2 x 3 each, or other ones for training."""
    folder.mkdir(exist_ok=True)
    for stem in ("train", "t10k" if not prefix else "test"):
        mine = stem == "train"
        (folder / f"{prefix}{stem}-images-idx3-ubyte").write_bytes(
            pictures if mine and pictures else images(2, 2, 3)
        )
        (folder / f"{prefix}{stem}-labels-idx1-ubyte").write_bytes(
            label if mine and label else labels(1, 0)
        )
    return folder


def refused(path: Path, *words: str):
    with pytest.raises(UserError) as caught:
        read_idx(path) if path.is_file() else read_mnist(path, "train")
    message = str(caught.value)
    assert "\n" not in message and all(word in message for word in (str(path), *words)), message


def test_values_stand_in_rows_and_pictures(tmp_path: Path):
    (tmp_path / "x").write_bytes(images(2, 2, 3))
    assert read_idx(tmp_path / "x").tolist() == [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]


def test_a_compressed_file_reads_as_a_plain_one(tmp_path: Path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(labels(7, 0, 255)))
    assert read_idx(tmp_path / "x.gz").tolist() == [7, 0, 255]


def test_a_set_has_pictures_labels_and_classes(tmp_path: Path):
    pictures = read_mnist(write_set(tmp_path, label=labels(3, 1)), "train")
    assert pictures.picture.shape == (2, 1, 2, 3)
    assert pictures.picture[1, 0].tolist() == [[6, 7, 8], [9, 10, 11]]
    assert pictures.label.tolist() == [3, 1] and pictures.classes == ("0", "1", "2", "3")


def test_a_class_that_the_test_split_lacks_keeps_its_number(tmp_path: Path):
    assert len(read_mnist(write_set(tmp_path, label=labels(3, 1)), "test").classes) == 4


def test_pictures_of_emnist_are_turned(tmp_path: Path):
    pictures = read_mnist(write_set(tmp_path, "emnist-digits-"), "train")
    assert pictures.picture[0, 0].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert pictures.classes == tuple("0123456789")


def test_letters_of_emnist_are_numbered_from_zero(tmp_path: Path):
    folder = write_set(tmp_path, "emnist-letters-", label=labels(1, 26))
    pictures = read_mnist(folder, "train")
    assert [pictures.classes[n] for n in pictures.label] == ["A", "Z"]


def test_other_pictures_are_turned_on_request(tmp_path: Path):
    picture = read_mnist(write_set(tmp_path), "train", transposed=True).picture
    assert picture[0, 0].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_fashion_mnist_is_known_by_its_folder(tmp_path: Path):
    folder = write_set(tmp_path / "fashion-mnist", label=labels(9, 0))
    assert read_mnist(folder, "train").classes[9] == "ankle boot"


@pytest.mark.parametrize("compress", [False, True])
def test_damage_is_said(tmp_path: Path, compress: bool):
    def given(data: bytes) -> Path:
        path = tmp_path / "x"
        path.write_bytes(gzip.compress(data) if compress else data)
        return path

    whole = images(2, 2, 3)
    refused(given(whole[:-1]), "has only 11", "12 bytes")
    refused(given(whole + b"x"), "has more", "12 bytes")
    refused(given(b"\x00\x00\x08\x02" + whole[4:]), "0x00000802", "0x00000803")
    refused(given(b"PK"), "0x504b")
    refused(given(b""), "IDX files begin")
    refused(given(whole[:11]), "within its header")
    refused(given(images(0, 28, 28, b"")), "0 x 28 x 28")


def test_a_header_that_claims_everything_is_refused_before_anything_is_read(tmp_path: Path):
    largest = struct.pack(">4I", 0x803, *[2**32 - 1] * 3)
    (tmp_path / "x").write_bytes(gzip.compress(largest + bytes(100)))
    refused(tmp_path / "x", "4,294,967,295 x 4,294,967,295")


def test_a_bomb_is_not_unpacked_beyond_what_its_header_says(tmp_path: Path):
    (tmp_path / "x").write_bytes(gzip.compress(labels(1) + bytes(2**26)))
    refused(tmp_path / "x", "has more", "says 1 bytes")


def test_a_compressed_file_that_is_cut_off_is_said(tmp_path: Path):
    (tmp_path / "x").write_bytes(gzip.compress(images(2, 20, 30))[:-20])
    refused(tmp_path / "x", "cannot be read", "fetch it again")
    (tmp_path / "x").write_bytes(b"\x1f\x8bnothing of this kind")
    refused(tmp_path / "x", "cannot be read")


def test_pictures_and_labels_must_be_as_many(tmp_path: Path):
    with pytest.raises(UserError, match=r"2 pictures, but .* has 3 labels"):
        read_mnist(write_set(tmp_path, label=labels(1, 2, 3)), "train")


def test_labels_in_the_place_of_pictures_are_said(tmp_path: Path):
    with pytest.raises(UserError, match="holds labels where pictures were expected"):
        read_mnist(write_set(tmp_path, pictures=labels(1, 2)), "train")


def test_a_folder_without_the_files_is_said(tmp_path: Path):
    refused(tmp_path, "no train-images-idx3-ubyte", "no train-labels-idx1-ubyte")
    write_set(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    refused(tmp_path, "no train-labels-idx1-ubyte")


def test_two_sets_in_one_folder_are_said(tmp_path: Path):
    write_set(tmp_path)
    refused(write_set(tmp_path, "emnist-digits-"), "mnist, emnist-digits")


def test_a_set_is_scaled_and_coloured_for_the_model(tmp_path: Path):
    write_set(tmp_path, pictures=images(2, 2, 2, bytes([10] * 4 + [200] * 4)))
    same = read_set(tmp_path, "train", size_px=2, channels=3).picture
    assert same.shape == (2, 3, 2, 2) and same[1].unique().tolist() == [200]
    larger = read_set(tmp_path, "train", size_px=5, channels=1).picture
    assert larger.shape == (2, 1, 5, 5) and larger[0].unique().tolist() == [10]


def test_a_set_keeps_its_own_size_and_colours_unless_told_otherwise(tmp_path: Path):
    write_set(tmp_path, pictures=images(2, 4, 4))
    own = read_set(tmp_path, "train").picture
    assert own.shape == (2, 1, 4, 4) and own[0].flatten().tolist() == list(range(16))


def test_a_split_or_classes_that_a_set_has_not_are_said(tmp_path: Path):
    write_set(tmp_path)
    with pytest.raises(UserError, match="has no val split; it has train and test"):
        read_set(tmp_path, "val", size_px=28, channels=1)
    with pytest.raises(UserError, match="has the classes 0, 1, but those of the model are cat"):
        read_set(tmp_path, "test", size_px=28, channels=1, classes=("cat",))


def test_the_folder_given_comes_before_the_data_folder(tmp_path: Path, monkeypatch):
    monkeypatch.delenv("ARCADIA_DATA", raising=False)
    assert folder_of("mnist") is None
    monkeypatch.setenv("ARCADIA_DATA", str(tmp_path))
    assert folder_of("mnist") is None
    (tmp_path / "mnist").mkdir()
    assert folder_of("mnist") == tmp_path / "mnist"
    assert folder_of("mnist", str(tmp_path)) == tmp_path
    with pytest.raises(UserError, match="nowhere is not a folder"):
        folder_of("mnist", "nowhere")


def test_mnist_itself_is_whole():
    folder = Path(os.environ.get("ARCADIA_DATA", "")) / "mnist"
    if "ARCADIA_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("needs $ARCADIA_DATA/mnist; `arcadia data mnist` fetches it")
    train, test = read_mnist(folder, "train"), read_mnist(folder, "test")
    assert train.picture.shape == (60_000, 1, 28, 28) and test.picture.shape[0] == 10_000
    assert train.classes == test.classes == tuple("0123456789")
    # Published: how often each digit occurs, and the mean and deviation that everybody uses.
    assert torch.bincount(train.label).tolist() == [
        5923,
        6742,
        5958,
        6131,
        5842,
        5421,
        5918,
        6265,
        5851,
        5949,
    ]
    values = train.picture.float() / 255
    assert [round(float(x), 4) for x in (values.mean(), values.std())] == [0.1307, 0.3081]
    assert train.label[:5].tolist() == [5, 0, 4, 1, 9] and test.label[0] == 7
    assert splits_of(folder) == ("train", "test")


def test_a_header_alone_takes_no_memory_for_what_it_claims(tmp_path, monkeypatch):
    claim = struct.pack(">4I", 0x803, 2**20, 32, 32)
    (tmp_path / "x").write_bytes(claim)
    tracemalloc.start()
    refused(tmp_path / "x", "has only 0 where its header says 1,073,741,824 bytes follow")
    assert tracemalloc.get_traced_memory()[1] < 2**21
    tracemalloc.stop()
    # Packed, so few bytes cannot be so many.
    (tmp_path / "x.gz").write_bytes(gzip.compress(claim))
    refused(tmp_path / "x.gz", "claims 1,048,576 x 32 x 32", "1 and 67,108,864 of a file of")
