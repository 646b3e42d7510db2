"""`.npz` of arrays and of pickled arrays: by hand and by numpy, and those that try to do harm."""

import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest

from backbones.training.errors import UserError
from tasks.data.formats.arrays.npz import read_rows
from tests.tasks.data.formats.test_cifar import Call

ONE = np.array([[3, -4, 0], [0, 5, 1]], np.int16)
TWO = np.array([[1, 2, 1]], np.int16)


def npy(content: bytes, shape: str = "(2,)", kind: str = "|O", by_columns: str = "False") -> bytes:
    """A .npy of version 1 by hand."""
    head = f"{{'descr': '{kind}', 'fortran_order': {by_columns}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + content


def npz(path, kind=zipfile.ZIP_DEFLATED, **members: bytes):
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return path


def text(value: bytes) -> bytes:
    return b"U" + bytes([len(value)]) + value


def python2_array(shape: bytes, kind: bytes, order: bytes, content: bytes) -> bytes:
    """An array as Python 2 and numpy of 2016 pickled it, its shape and content in opcodes."""
    start = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b")
    dtype = b"cnumpy\ndtype\n" + text(kind) + b"K\x00K\x01\x87R(K\x03" + text(order)
    # 63: numpy's flags of a type of objects.
    flags = b"K" + bytes([63 if kind == b"O8" else 0])
    dtype += b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff" + flags + b"tb"
    return start + b"\x87R(K\x01" + shape + dtype + b"\x89" + content + b"tb"


def python2_drawing(rows: np.ndarray) -> bytes:
    shape = b"K" + bytes([len(rows)]) + b"K\x03\x86"
    return python2_array(shape, b"i2", b"<", text(rows.astype("<i2").tobytes()))


def python2_objects(drawings: list[bytes]) -> bytes:
    shape = b"K" + bytes([len(drawings)]) + b"\x85"
    whole = python2_array(shape, b"O8", b"|", b"](" + b"".join(drawings) + b"e")
    return b"\x80\x02" + whole + b"."


def objects(*rows) -> np.ndarray:
    array = np.empty(len(rows), object)
    array[:] = rows
    return array


def refused(path, data: bytes, *words: str):
    """The array is refused in one line, and nothing in it ran."""
    npz(path, train=data)
    with pytest.raises(UserError) as caught:
        read_rows(path, "train")
    said = str(caught.value)
    assert "\n" not in said and all(word in said for word in (str(path), *words)), said
    assert not (path.parent / "ran").exists()


def test_an_array_of_objects_of_python_2_is_its_arrays(tmp_path):
    data = npy(python2_objects([python2_drawing(ONE), python2_drawing(TWO)]))
    path = npz(tmp_path / "x.npz", train=data)
    assert np.load(path, allow_pickle=True, encoding="latin1")["train"][0].tolist() == ONE.tolist()
    one, two = read_rows(path, "train")
    assert one.tolist() == ONE.tolist() and two.tolist() == TWO.tolist() and one.dtype == np.int16


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["<i2", ">i4", "u1", "i8", "<f2", "f4", ">f8"])
def test_pickles_of_this_numpy_are_read_in_any_type_of_number(tmp_path, protocol, kind):
    first = np.abs(ONE).astype(kind)
    data = pickle.dumps(objects(first, np.asfortranarray(first), first[::-1]), protocol)
    one, columns, reverse = read_rows(npz(tmp_path / "x.npz", train=npy(data, "(3,)")), "train")
    assert one.tolist() == columns.tolist() == reverse[::-1].tolist() == np.abs(ONE).tolist()


def test_what_numpy_saves_is_read(tmp_path):
    path = tmp_path / "x.npz"
    alike = np.stack([ONE, ONE + 1])
    np.savez_compressed(
        path, train=objects(ONE, TWO), valid=alike, test=np.asfortranarray(alike.astype(">f4"))
    )
    assert [row.tolist() for row in read_rows(path, "train")] == [ONE.tolist(), TWO.tolist()]
    for split in ("val", "test"):
        assert [row.tolist() for row in read_rows(path, split)] == alike.tolist()


def test_a_pickle_that_names_anything_else_runs_nothing(tmp_path):
    path, mark = tmp_path / "x.npz", str(tmp_path / "ran")
    hostile = pickle.dumps(objects(Call(os.mkdir, mark), ONE))
    pickle.loads(hostile)
    assert os.path.isdir(mark), "the pickle is as hostile as it says"
    os.rmdir(mark)
    refused(path, npy(hostile), "names posix.mkdir")
    refused(path, npy(b"cos\nsystem\n(S'touch " + mark.encode() + b"'\ntR."), "os.system")
    refused(path, npy(b"cevilpayload\nrun\n."), "evilpayload.run")
    refused(path, npy(b"cnumpy\nload\n(S'x'\ntR."), "numpy.load")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["text", ONE], "row 1 is no array"),
        ([ONE, {"a": 1}], "row 2 is no array"),
        ([ONE, objects(ONE)], "array of objects where numbers"),
        ([np.array(["text"])], "something else than numbers"),
        ([np.array([True])], "something else than numbers"),
        ([np.array([1j])], "something else than numbers"),
        ([np.zeros((0, 3))], "has 0 bytes"),
        ([np.zeros(2, [("x", "f4")])], "something else than numbers"),
    ],
)
def test_arrays_of_other_things_are_refused(tmp_path, rows, words):
    refused(tmp_path / "x.npz", npy(pickle.dumps(objects(*rows), 4)), words)


def test_shapes_that_do_not_fit_are_refused(tmp_path):
    path, good = tmp_path / "x.npz", python2_objects([python2_drawing(ONE)])
    for wrong in (b"K\x01K\x03\x86", b"J\xff\xff\xff\x7fK\x03\x86", b"J\xff\xff\xff\xffK\x03\x86"):
        refused(path, npy(good.replace(b"K\x02K\x03\x86", wrong)), "safely")
    refused(path, npy(good.replace(b"K\x01\x85", b"K\x02\x85")), "no row of objects")
    refused(path, npy(pickle.dumps(ONE)), "no row of objects")
    refused(path, npy(pickle.dumps([ONE])), "holds no array")
    for shape in ("(2, 3)", "(100000000000000, 3)", "(5,)", "()", "(9, 0, 3)"):
        refused(path, npy(bytes(10), shape, "<f4"), "safely")
    refused(path, npy(bytes(2**22), f"({2**21}, 2)", "|u1"), "shape is")


def test_bombs_are_refused(tmp_path):
    path = tmp_path / "x.npz"
    big = np.zeros((10_000, 3), np.int16)
    refused(path, npy(pickle.dumps(objects(*[big] * 1000), 2)), "more numbers than the file")
    refused(path, npy(b"Nr\xff\xff\xff\xff."), "numbers a value 4,294,967,295")
    refused(path, npy(b"]" * 2_100_000 + b"."), "more than 2,000,000 values")
    refused(path, npy(b"(" + b"\x8f" * 1000 + b"t."), "holds a set")
    npz(path, train=npy(bytes(2**27), f"({2**20}, 128)", "|u1"))
    with pytest.raises(UserError, match="more than 64 MiB"):
        read_rows(path, "train")
    npz(path, zipfile.ZIP_LZMA, train=npy(b""))
    with pytest.raises(UserError, match="LZMA"):
        read_rows(path, "train")


def test_damage_anywhere_gives_a_line_or_arrays(tmp_path):
    """Every prefix of an array, every byte of it changed, and prefixes of the whole file."""
    path, good = tmp_path / "x.npz", npy(python2_objects([python2_drawing(TWO)]), "(1,)")
    npz(path, train=good)
    archive = path.read_bytes()
    broken = [archive[:n] for n in range(0, len(archive), 7)]
    for n in range(len(good)):
        for data in (good[:n], good[:n] + bytes([good[n] ^ 0x55]) + good[n + 1 :]):
            broken.append(npz(io.BytesIO(), train=data).getvalue())
    for data in broken:
        path.write_bytes(data)
        try:
            (row,) = read_rows(path, "train")
        except UserError as error:
            assert "\n" not in str(error)
            continue
        assert row.size and row.dtype.kind in "iuf"


def test_a_split_that_is_not_there_is_said(tmp_path):
    path = npz(tmp_path / "x.npz", train=npy(b""), other=npy(b""))
    with pytest.raises(UserError, match="has no array val; it holds train, other"):
        read_rows(path, "val")
    path = npz(path, val=npy(b""), valid=npy(b""))
    with pytest.raises(UserError, match="has val and valid, and each of them means val"):
        read_rows(path, "val")
    for data in (b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00"):
        path.write_bytes(data)
        with pytest.raises(UserError, match="cannot be read"):
            read_rows(path, "train")
