"""Class folders and tars of small hand-made pictures, and what a broken or hostile one does."""

import io
import os
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from backbones.training.errors import UserError
from tasks.data.find import read_set, splits_of
from tasks.data.formats.folders import read_classes, read_folder, read_picture, read_tars
from tasks.data.pictures import PictureFiles, shown_names


def encoded(pixels: object, kind: str = "PNG", **options: object) -> bytes:
    """A picture file of rows of pixels, or of an image."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.array(pixels, "u1"))
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def one(value: int, size: int = 2, kind: str = "PNG") -> bytes:
    """A grey picture of one value."""
    return encoded([[value] * size] * size, kind)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def pack(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    """A tar of files; names that end in / are folders."""
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name.rstrip("/"))
            member.size, member.type = len(data), tarfile.DIRTYPE if name[-1] == "/" else b"0"
            archive.addfile(member, io.BytesIO(data))
    return path.parent


def special(path: Path, member: tarfile.TarInfo) -> Path:
    """A tar of one good picture and then a member without content."""
    with tarfile.open(path, "w") as archive:
        good = tarfile.TarInfo("cat/1.png")
        good.size = len(one(1))
        archive.addfile(good, io.BytesIO(one(1)))
        archive.addfile(member)
    return path.parent


def bomb(width: int, height: int) -> bytes:
    """A PNG of some bytes whose header claims a size."""

    def part(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    data = part(b"IHDR", header) + part(b"IDAT", zlib.compress(bytes(1000))) + part(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


SET = {
    "train/dog/b.png": one(3),
    "train/cat/2.png": one(2),
    "train/cat/1.png": one(1),
    "train/dog/a/c.PNG": one(4),
    "train/dog/notes.txt": b"",
    "train/cat/._1.png": b"a Mac's",
}


def values(pictures: object) -> list[int]:
    return pictures.picture[:, 0, 0, 0].tolist()  # type: ignore[attr-defined]


def test_pictures_come_by_class_and_name(tmp_path: Path):
    train = read_classes(write(tmp_path, SET), "train", size_px=2, channels=1)
    assert train.classes == ("cat", "dog") and train.skipped == ()
    assert train.picture.shape == (4, 1, 2, 2)
    assert values(train) == [1, 2, 4, 3] and train.label.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tar.xz", "tar.bz2", "tgz"])
@pytest.mark.parametrize("top", ["train/", "", "./", "set/train/"])
def test_a_tar_reads_as_the_folder_it_was_made_of(tmp_path: Path, ending: str, top: str):
    files = {top + name.removeprefix("train/"): data for name, data in SET.items()}
    mode = "w:" + {"tgz": "gz", "tar": ""}.get(ending, ending[4:])
    pack(tmp_path / f"train.{ending}", files, mode)
    train = read_classes(tmp_path, "train", size_px=2, channels=1)
    assert train.classes == ("cat", "dog") and train.skipped == ()
    assert values(train) == [1, 2, 4, 3] and train.label.tolist() == [0, 0, 1, 1]


def test_shards_are_one_set_in_the_order_of_names(tmp_path: Path):
    pack(tmp_path / "train-000.tar", {"cat/3.png": one(3), "dog/1.png": one(4)})
    pack(tmp_path / "train-001.tar", {"cat/1.png": one(1), "cat/2.png": one(2)})
    train = read_tars(tmp_path, "train", size_px=2, channels=1)
    assert values(train) == [1, 2, 3, 4] and train.label.tolist() == [0, 0, 0, 1]


def test_many_pictures_keep_their_order(tmp_path: Path):
    pack(tmp_path / "train.tar", {f"{n % 2}/{n:03}.png": one(n) for n in reversed(range(250))})
    train = read_classes(tmp_path, "train", size_px=2, channels=1)
    assert values(train) == [*range(0, 250, 2), *range(1, 250, 2)]


def test_a_class_may_be_named_like_its_split(tmp_path: Path):
    pack(tmp_path / "train.tar", {"train/1.png": one(1), "ship/1.png": one(2)})
    assert read_classes(tmp_path, "train", size_px=2).classes == ("ship", "train")
    pack(tmp_path / "test.tar", {"test/train/1.png": one(1), "test/ship/1.png": one(2)})
    assert read_classes(tmp_path, "test", size_px=2).classes == ("ship", "train")


def test_another_split_takes_the_classes_of_train(tmp_path: Path):
    write(tmp_path, {"val/cat/1.png": one(1), "val/dog/1.png": one(2)})
    read = lambda *classes: read_classes(tmp_path, "val", size_px=2, classes=classes)  # noqa: E731
    assert read("dog", "cat").label.tolist() == [1, 0]
    with pytest.raises(UserError, match="val has no picture of classes ant, bee; add some"):
        read("ant", "bee", "cat", "dog")
    with pytest.raises(UserError, match="val has class dog, which the train split has not"):
        read("cat")


def test_larger_pictures_are_scaled_by_their_shorter_side_and_cut(tmp_path: Path):
    # 8 x 4: two columns of 10, four of 100 and 200 in turn, two of 250. The centre has 150.
    row = [10] * 2 + [100, 200, 100, 200] + [250] * 2
    wide = encoded([row] * 4)
    assert read_picture(wide, size_px=4, channels=1)[0].tolist() == [[100, 200, 100, 200]] * 4
    tall = encoded(np.array([row] * 4).T)
    assert read_picture(tall, size_px=4, channels=1)[0, :, 0].tolist() == [100, 200, 100, 200]
    # Without antialiasing a half of it would be 100 or 200.
    half = read_picture(wide, size_px=2, channels=1)
    assert (half - 150.0).abs().max() < 25
    assert read_picture(one(9, 3), size_px=7, channels=3).unique().tolist() == [9]


def test_a_long_strip_stays_small():
    strip = encoded([[7] * 60_000])
    assert read_picture(strip, size_px=64, channels=1).unique().tolist() == [7]


def test_a_large_jpeg_gives_nearly_what_a_png_gives():
    y, x = np.mgrid[:400, :600] / 60
    image = Image.fromarray((127 + 60 * np.sin(x) + 60 * np.cos(y)).astype("u1"))
    jpeg, png = (
        read_picture(encoded(image, kind, **options), size_px=32, channels=1).int()
        for kind, options in (("JPEG", {"quality": 95}), ("PNG", {}))
    )
    assert (jpeg - png).abs().max() <= 4


def test_every_mode_becomes_the_channels_that_are_wanted():
    def colour(data: bytes) -> list[int]:
        return read_picture(data, size_px=2, channels=3)[:, 0, 0].tolist()

    def grey(data: bytes) -> int:
        return int(read_picture(data, size_px=2, channels=1)[0, 0, 0])

    red = Image.new("RGB", (2, 2), (200, 0, 0))
    assert colour(encoded(red)) == colour(encoded(red.quantize(2))) == [200, 0, 0]
    assert grey(encoded(red)) == 60  # 0.299 * 200
    assert colour(one(5)) == [5, 5, 5]
    assert colour(encoded(Image.new("1", (2, 2), 1))) == [255] * 3
    assert colour(encoded(red, "BMP")) == colour(encoded(red, "WEBP", lossless=True)) == [200, 0, 0]
    # 16 bits: 0x8034 keeps 0x80.
    deep = Image.fromarray(np.full((2, 2), 0x8034, np.uint16))
    assert grey(encoded(deep)) == 0x80 and colour(encoded(deep)) == [0x80] * 3
    # Half transparent on white: 200 / 2 + 255 / 2; all transparent is white, whatever lies below.
    assert colour(encoded(Image.new("RGBA", (2, 2), (200, 0, 0, 128)))) == [227, 127, 127]
    assert grey(encoded(Image.new("LA", (2, 2), (3, 0)))) == 255
    hole = Image.new("P", (2, 2), 0)
    hole.putpalette([200, 0, 0])
    assert colour(encoded(hole)) == [200, 0, 0]
    assert colour(encoded(hole, transparency=0)) == [255] * 3
    ink = colour(encoded(Image.new("CMYK", (2, 2), (0, 255, 255, 0)), "JPEG", quality=95))
    assert ink[0] > 240 and max(ink[1:]) < 15


def test_a_picture_that_a_camera_held_sideways_is_turned_upright():
    exif = Image.Exif()
    exif[0x112] = 6  # the first row is at the right
    data = encoded([[10, 20], [30, 40]], exif=exif.tobytes())
    assert read_picture(data, size_px=2, channels=1)[0].tolist() == [[30, 10], [40, 20]]


def test_what_is_no_picture_is_said_in_one_line(tmp_path: Path):
    def refused(source: Path | bytes, words: str):
        with pytest.raises(UserError, match=words) as caught:
            read_picture(source, size_px=8, channels=3)
        assert "\n" not in str(caught.value)

    write(tmp_path, {"a.txt": b"a text\n", "empty.png": b"", "cut.jpg": one(3, 64, "JPEG")[:-40]})
    refused(tmp_path / "a.txt", "a.txt is not a PNG, JPEG, BMP or WebP picture")
    refused(tmp_path / "empty.png", "empty.png is empty")
    refused(tmp_path / "cut.jpg", "cut.jpg is damaged")
    refused(tmp_path / "none.png", "none.png does not exist")
    refused(tmp_path, "is not a plain file")
    os.mkfifo(tmp_path / "pipe.png")
    refused(tmp_path / "pipe.png", "is not a plain file")
    refused(encoded([[1]], "GIF"), "the picture is not a PNG")
    refused(bomb(9_000, 9_000), "9,000 x 9,000 pixels")
    refused(bomb(12_000, 12_000), "12,000 x 12,000|is damaged")
    refused(bomb(60_000, 60_000), "is damaged .*decompression bomb")
    with pytest.raises(UserError, match="channels = 4 must be 1"):
        read_picture(one(1), size_px=8, channels=4)
    with pytest.raises(UserError, match="size_px = 0 must be 1"):
        read_picture(one(1), size_px=0, channels=1)


def test_a_broken_file_is_left_out_and_named(tmp_path: Path):
    files = {f"train/cat/{n:03}.png": one(n) for n in range(200)}
    write(tmp_path, files | {"train/cat/000.png": b"x", "train/cat/001.png": bomb(9_000, 9_000)})
    train = read_classes(tmp_path, "train", size_px=2)
    assert len(train) == 198 and train.picture[0, 0, 0, 0] == 2
    assert [line.split(": ")[0] for line in train.skipped] == [
        "train/cat/000.png",
        "train/cat/001.png",
    ]
    assert "not a PNG" in train.skipped[0] and "9,000 x 9,000" in train.skipped[1]
    write(tmp_path, {"train/cat/002.png": b""})
    with pytest.raises(
        UserError, match=r"3 of 200 pictures .* more than 1%.*000.png.*002.png: is e"
    ):
        read_classes(tmp_path, "train", size_px=2)


def test_a_small_set_may_have_one_broken_file_but_no_second(tmp_path: Path):
    write(tmp_path, SET | {"train/cat/0.png": b"x"})
    assert len(read_classes(tmp_path, "train", size_px=2).skipped) == 1
    write(tmp_path, {"train/stray.png": one(1)})
    with pytest.raises(UserError, match=r"2 of 6 .*stray.png: lies in no class folder"):
        read_classes(tmp_path, "train", size_px=2)


def test_a_name_cannot_write_to_the_terminal(tmp_path: Path):
    pack(tmp_path / "train.tar", {"cat/1.png": one(1), "cat/\n\x1b[2J.png": b"x"})
    assert read_classes(tmp_path, "train", size_px=2).skipped == (
        "train.tar/cat/??[2J.png: is not a PNG, JPEG, BMP or WebP picture",
    )


def test_folders_without_what_is_wanted_are_said(tmp_path: Path):
    def refused(words: str, files: dict[str, bytes], folder: str = "set"):
        root = write(tmp_path / str(len(list(tmp_path.iterdir()))), files)
        root.mkdir(exist_ok=True)
        for read in (read_classes, read_folder):
            with pytest.raises(UserError, match=words):
                read(root, "train", size_px=2)

    refused("expected train/CLASS/NAME.jpg", {})
    refused("expected train/CLASS/NAME.jpg", {"cat/1.png": one(1)})
    refused("holds no class folders", {"train/1.png": one(1)})
    refused("holds no pictures", {"train/cat/1.txt": b"words"})
    refused("no picture of class dog", {"train/cat/1.png": one(1), "train/dog/1.txt": b""})
    refused("no picture of class dog", {"train/cat/1.png": one(1), "train/dog/1.png": b"x"})
    refused("1 of 1 pictures", {"train/cat/1.png": b"x"})
    with pytest.raises(UserError, match="none is not a folder"):
        read_classes(tmp_path / "none", "train", size_px=2)


def test_what_lies_in_a_folder_is_recognised_or_said(tmp_path: Path):
    with pytest.raises(UserError, match=r"holds nothing; expected train-images-idx3.*CLASS/NAME"):
        splits_of(tmp_path)
    pack(tmp_path / "test-0.tar", {"cat/1.png": one(1)})
    write(tmp_path, SET)
    assert splits_of(tmp_path) == ("train", "test")
    assert len(read_set(tmp_path, "train", size_px=2, channels=3)) == 4
    with pytest.raises(UserError, match="no picture of class dog"):
        read_set(tmp_path, "test", size_px=2, channels=3, classes=("cat", "dog"))


def test_tars_that_hold_the_same_twice_are_said(tmp_path: Path):
    for names in (["train.tar", "train.tar.gz"], ["test.tar", "test-000.tar"]):
        for name in names:
            pack(tmp_path / name, {"cat/1.png": one(1)}, "w:gz" if name.endswith("gz") else "w")
        with pytest.raises(UserError, match="the same pictures twice"):
            read_classes(tmp_path, "train" if "train" in names[0] else "test", size_px=2)


@pytest.mark.parametrize("name", ["../x.png", "cat/../../x.png", "/etc/x.png", "cat/../1.png"])
def test_a_tar_with_a_path_that_leads_out_is_refused(tmp_path: Path, name: str):
    pack(tmp_path / "train.tar", {"cat/1.png": one(1), name: one(2)})
    with pytest.raises(UserError, match=r"is refused: it holds .*leads out of its folder"):
        read_classes(tmp_path, "train", size_px=2)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_a_tar_with_a_link_or_a_device_is_refused(tmp_path: Path, kind: bytes):
    member = tarfile.TarInfo("cat/2.png")
    member.type, member.linkname = kind, "/etc/passwd"
    with pytest.raises(UserError, match=r"it holds 'cat/2.png', which is a link, a device"):
        read_classes(special(tmp_path / "train.tar", member), "train", size_px=2)


@pytest.mark.parametrize("ending", ["", "gz", "xz", "bz2"])
def test_a_tar_that_is_cut_off_anywhere_is_said(tmp_path: Path, ending: str):
    path = tmp_path / "train.tar"
    pack(path, {f"cat/{n}.png": one(n) for n in range(3)}, f"w:{ending}")
    data = path.read_bytes()
    end = len(data) if ending else 3 * 1024
    for size in {0, 5, 512, 700, 1024, 1500, 2048, end // 2, end - 9, end} - {len(data)}:
        path.write_bytes(data[: min(size, len(data) - 1)])
        with pytest.raises(UserError, match="is damaged or no tar file"):
            read_classes(tmp_path, "train", size_px=2)


def test_a_broken_header_in_the_middle_is_said(tmp_path: Path):
    path = tmp_path / "train.tar"
    pack(path, {f"cat/{n}.png": one(n) for n in range(3)})
    data = bytearray(path.read_bytes())
    data[1024] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="a header in it is broken"):
        read_classes(tmp_path, "train", size_px=2)


def test_a_header_that_claims_everything_or_less_than_nothing_is_said(tmp_path: Path):
    for kind, size in (("x", 2**33), ("L", 2**33), ("0", -1024)):
        member = tarfile.TarInfo("cat/1.png")
        header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
        header[124:136] = (
            (size % 2**96).to_bytes(12, "big") if size < 0 else (b"\x80" + size.to_bytes(11, "big"))
        )
        header[156:157] = kind.encode()
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        (tmp_path / "train.tar").write_bytes(bytes(header) + bytes(10240))
        with pytest.raises(UserError, match="is damaged or no tar file"):
            read_classes(tmp_path, "train", size_px=2)


def test_a_size_that_is_no_number_is_said(tmp_path: Path):
    member = tarfile.TarInfo("cat/1.png")
    member.pax_headers = {"GNU.sparse.size": "/dev/zero"}
    with tarfile.open(tmp_path / "train.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(member)
    with pytest.raises(UserError, match="is damaged or no tar file"):
        read_classes(tmp_path, "train", size_px=2)


def test_zstandard_and_other_files_are_said(tmp_path: Path):
    (tmp_path / "train.tar.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(50))
    with pytest.raises(UserError, match=r"run `zstd -d train.tar.zst`"):
        read_classes(tmp_path, "train", size_px=2)
    (tmp_path / "test.tar").write_bytes(b"a text\n" * 500)
    with pytest.raises(UserError, match="is damaged or no tar file"):
        read_classes(tmp_path, "test", size_px=2)


@pytest.mark.slow
def test_the_test_tar_of_cifar_reads_whole():
    folder = Path(os.environ.get("ARCADIA_DATA", "")) / "cifar10_jpeg"
    if "ARCADIA_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("needs $ARCADIA_DATA/cifar10_jpeg, tars of class folders")
    test = read_set(folder, "test", size_px=32, channels=3)
    assert test.picture.shape == (10_000, 3, 32, 32) and test.skipped == ()
    assert test.classes[::9] == ("airplane", "truck")
    assert test.label.bincount().tolist() == [1000] * 10
    means = test.picture.float().mean((0, 2, 3)) / 255
    # The published means of CIFAR-10's training pictures; JPEG and the split move them little.
    assert abs(means.numpy() - [0.4914, 0.4822, 0.4465]).max() < 0.01


def test_a_tar_that_unpacks_to_far_more_than_its_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("backbones.training.files.ALWAYS_UNPACKED_BYTES", 2**16)
    for mode in ("w:gz", "w:xz", "w:bz2"):
        # Not a picture: what is only passed over takes its time, too.
        pack(tmp_path / "train.tar", {"cat/1.png": one(1), "cat/x": bytes(2**24)}, mode)
        with pytest.raises(UserError, match="unpacks to far more than its size"):
            read_tars(tmp_path, "train", size_px=2, channels=1)
    pack(tmp_path / "train.tar", {"cat/1.png": one(1), "cat/x": bytes(2**24)})
    assert values(read_tars(tmp_path, "train", size_px=2, channels=1)) == [1]


def test_large_pictures_are_decoded_one_at_a_time_and_as_before(tmp_path, monkeypatch):
    write(tmp_path, {f"train/cat/{n}.png": one(n, 32) for n in range(8)})
    expected = values(read_folder(tmp_path, "train", size_px=8))
    monkeypatch.setattr("tasks.data.decode.LARGE_PX", 16)
    monkeypatch.setattr("tasks.data.formats.folders.CHUNK", 1)
    assert values(read_folder(tmp_path, "train", size_px=8)) == expected == list(range(8))


def test_names_of_classes_that_are_no_utf8_are_told_apart():
    names = [os.fsdecode(name) for name in (b"cat", b"k\xf6ter", b"\x1b[31m")]
    assert shown_names(names) == ("cat", "k?ter", "?[31m")
    names = [os.fsdecode(name) for name in (b"k\xe4se", b"k\xf6se", "k\xf6se".encode())]
    assert shown_names(names) == (r"k\udce4se", r"k\udcf6se", "k\xf6se")


def test_other_names_of_splits_are_known(tmp_path: Path):
    write(tmp_path, {"Train/cat/1.png": one(1), "valid/cat/1.png": one(2)})
    pack(tmp_path / "testing.tar", {"testing/cat/1.png": one(3)})
    assert splits_of(tmp_path) == ("train", "val", "test")
    for split, value in (("train", 1), ("val", 2), ("test", 3)):
        assert values(read_classes(tmp_path, split, size_px=2, channels=1)) == [value]
    write(tmp_path, {"dev/cat/1.png": one(2)})
    with pytest.raises(UserError, match="dev and valid, and each of them means val"):
        splits_of(tmp_path)


def test_pictures_with_odd_metadata_are_read_as_they_are():
    whole = encoded([[9, 9], [9, 9]])
    text = b"tEXta\0b"
    odd = whole[:33] + struct.pack(">I", 3) + text + bytes(4) + whole[33:]
    assert read_picture(odd, size_px=2, channels=1).unique().tolist() == [9]
    photo = Image.new("RGB", (16, 16), (9, 9, 9))
    tags = Image.Exif()
    tags[0x0112] = 6
    turned = encoded(photo, "JPEG", exif=tags)
    broken = turned.replace(b"II*\0", b"II*\1").replace(b"MM\0*", b"MM\1*")
    assert broken != turned
    for data in (turned, broken, turned.replace(b"\x01\x12\0\x03", b"\x01\x12\0\x63")):
        assert read_picture(data, size_px=8, channels=1).unique().tolist() == [9]
    with pytest.raises(UserError, match="is not a PNG"):
        read_picture(odd[:-26], size_px=2, channels=1)


def test_links_are_followed_contents_known_and_the_rest_is_named(tmp_path: Path):
    write(tmp_path / "elsewhere", {"3.png": one(3), "deep/4": one(4)})
    photo = encoded([[7, 7], [7, 7]], "JPEG")
    files = {"cat/1.png": one(1), "dog/2.jfif": photo, "dog/n5": one(5), "dog/notes.txt": b"a"}
    write(tmp_path / "train", {**files, "dog/Thumbs.db": b"x", ".ipynb_checkpoints/1.png": one(1)})
    (tmp_path / "train" / "cat" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "again").symlink_to(tmp_path / "elsewhere")
    train = read_classes(tmp_path, "train", size_px=2, channels=1)
    assert values(train) == [1, 3, 4, 7, 5] and train.skipped == ()
    names = ["train/.ipynb_checkpoints", "train/dog/Thumbs.db", "train/dog/notes.txt"]
    assert sorted(train.passed) == names


def test_a_tar_knows_pictures_by_content_and_names_what_it_passes_over(tmp_path: Path):
    photo = encoded([[7, 7], [7, 7]], "JPEG")
    files = {"train/cat/1.png": one(1), "train/cat/2.jfif": photo, "train/dog/n5": one(5)}
    files |= {"train/dog/6.tif": one(6), "train/dog/notes.txt": b"a", "train/dog/empty": b""}
    files |= {"train/cat/._1.png": b"a Mac's", "train/README": b"pictures of 2 by 2"}
    pack(tmp_path / "train.tar.gz", files, "w:gz")
    train = read_classes(tmp_path, "train", size_px=2, channels=1)
    assert values(train) == [1, 7, 6, 5] and train.skipped == ()
    passed = ["README", "cat/._1.png", "dog/empty", "dog/notes.txt"]
    assert sorted(train.passed) == [f"train.tar.gz/train/{name}" for name in passed]


def test_a_tar_larger_than_there_is_room_for_is_refused_at_once(tmp_path: Path):
    pack(tmp_path / "train.tar", {f"cat/{n}.png": one(n) for n in range(200)})
    with pytest.raises(
        UserError, match=r"would take more memory than there is room for.* unpack it"
    ):
        read_classes(tmp_path, "train", size_px=2, channels=1, most_bytes=800.0)
    assert len(read_classes(tmp_path, "train", size_px=2, channels=1, most_bytes=1_600.0)) == 200


def test_folders_larger_than_there_is_room_for_are_read_when_asked(tmp_path: Path):
    write(tmp_path, SET | {"train/cat/broken.png": b"no", "train/cat/deep/.hidden": b""})
    kept = read_classes(tmp_path, "train", size_px=2, channels=1)
    read = read_classes(tmp_path, "train", size_px=2, channels=1, most_bytes=19.0)
    assert isinstance(read, PictureFiles) and read.size_bytes == 20
    assert (read.classes, read.skipped, read.passed) == (kept.classes, kept.skipped, kept.passed)
    assert read.label.tolist() == kept.label.tolist()
    picture = read.column.batch("picture", torch.arange(4))["picture"]
    assert torch.equal(picture, kept.picture)
