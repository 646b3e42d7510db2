"""The command `arcadia data`: fetch a public set, with its checksum, into the data folder.

A download that was cut off continues: what has come so far waits in `NAME.part`, and the server is
asked for the rest (HTTP Range). pooch keeps the checksums; the transfer is ours, since pooch begins
again from the first byte. A file whose checksum is wrong is removed, never used.

Sources: http://yann.lecun.com/exdb/mnist (by mirrors: the page itself answers no programs),
https://github.com/zalandoresearch/fashion-mnist, https://www.cs.toronto.edu/~kriz/cifar.html.
"""

import errno
import http.client
import os
import shutil
import tarfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pooch
import tyro

from backbones.training.errors import UserError
from backbones.training.files import check_plain
from backbones.training.progress import say

# Starts of a transfer in one command: cut connections continue by themselves so often.
ATTEMPTS = 5
WAIT_S = 1.0
TIMEOUT_S = 30.0
BLOCK_BYTES = 2**18
SAY_EVERY_BYTES = 2**25
# What a disk says, not a server.
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


@dataclass(frozen=True)
class PublicSet:
    """A set: where its files are, and the checksum of each. `unpack` are files inside a tar."""

    about: str
    bases: tuple[str, ...]  # the same files on several servers, asked in this order
    files: dict[str, str]
    unpack: tuple[str, ...] = ()


SETS = {
    "mnist": PublicSet(
        "handwritten digits, 28x28 grey, 60,000 + 10,000, 12 MB",
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        {
            "train-images-idx3-ubyte.gz":
                "sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "train-labels-idx1-ubyte.gz":
                "sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "t10k-images-idx3-ubyte.gz":
                "sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "t10k-labels-idx1-ubyte.gz":
                "sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ),
    "fashion-mnist": PublicSet(
        "clothes, 28x28 grey, 60,000 + 10,000, 31 MB",
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        {
            "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
    "cifar10": PublicSet(
        "ten kinds of objects, 32x32 colour, 50,000 + 10,000, 170 MB",
        ("https://www.cs.toronto.edu/~kriz/",),
        {"cifar-10-binary.tar.gz": "md5:c32a1d4ab5d03f1284b67883e8d87530"},
        (
            *(f"data_batch_{number}.bin" for number in range(1, 6)),
            "test_batch.bin",
            "batches.meta.txt",
        ),
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Config:
    """Fetch a public set into the data folder; without a name, list the sets."""

    name: tyro.conf.Positional[str] = ""
    """mnist, fashion-mnist or cifar10."""
    to: Path | None = None
    """Folder of all sets; default: $ARCADIA_DATA, or `data` in the working folder."""

    def __post_init__(self) -> None:
        if self.name and self.name not in SETS:
            raise ValueError(f"set {self.name!r} is unknown; choose one of {', '.join(SETS)}")


class Cut(OSError):
    """A transfer ended before its end."""


def megabytes(size: int) -> str:
    """Return a number of bytes for people."""
    return f"{size / 1e6:.1f} MB"


def answer_from(url: str, start: int) -> tuple[Any, int]:
    """Ask a server for a file from a byte on; return its answer and the byte where that begins."""
    request = urllib.request.Request(url, headers={"User-Agent": "arcadia"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        # 416: there is nothing from that byte on. A complete file that was not yet renamed, or
        # one of another size: the checksum would tell, but a fresh start always ends well.
        if error.code == 416 and start:
            return answer_from(url, 0)
        raise
    begins = f"bytes {start}-"
    continues = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(begins)
    return answer, start if continues else 0


def transfer(url: str, part: Path) -> None:
    """Fetch a file into `part`, continuing what lies there; Cut if the connection ends early."""
    start = part.stat().st_size if part.exists() else 0
    answer, begins = answer_from(url, start)
    with answer, part.open("ab" if begins else "wb") as file:
        length = answer.headers.get("Content-Length")
        total = begins + int(length) if length and length.isdigit() else None
        size = f" of {megabytes(total)}" if total is not None else ""
        if begins:
            say(f"{part.stem}: continuing after {megabytes(begins)}{size}")
        elif start:
            say(f"{part.stem}: {url} does not continue a download; starting again from 0{size}")
        done = begins
        while block := answer.read(BLOCK_BYTES):
            file.write(block)
            if done // SAY_EVERY_BYTES != (done + len(block)) // SAY_EVERY_BYTES:
                say(f"{part.stem}: {megabytes(done + len(block))}{size}")
            done += len(block)
    if total is not None and done < total:
        raise Cut(f"the connection ended after {megabytes(done)}{size}")


def patient_transfer(url: str, part: Path) -> None:
    """Transfer a file, continuing after cuts for as long as each attempt brings something."""
    for attempt in range(ATTEMPTS):
        before = part.stat().st_size if part.exists() else 0
        try:
            return transfer(url, part)
        except (Cut, TimeoutError, ConnectionError, http.client.HTTPException):
            now = part.stat().st_size if part.exists() else 0
            if attempt == ATTEMPTS - 1 or now <= before:
                raise
            time.sleep(WAIT_S)


def fetch_file(url: str, known_hash: str, folder: Path) -> None:
    """Fetch one file of a set, unless it is there; UserError if its checksum is wrong."""
    name = url.rpartition("/")[2]
    part = folder / f"{name}.part"
    if (folder / name).exists():
        check_plain(folder / name)

    def download(source: str, output_file: str, _: Any) -> None:
        """What pooch calls; it then compares the checksum and gives the file its name."""
        patient_transfer(source, part)
        os.replace(part, output_file)

    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(url, known_hash, fname=name, path=folder, downloader=download)
    except ValueError as error:
        expected, _, got = str(error).partition("expected ")[2].partition(" but got ")
        if not got:
            raise
        raise UserError(
            f"{url} has the checksum {got.split('.')[0]}, but {expected} was expected; the file "
            "was removed: run the command again, and if this stays, the source has changed"
        ) from None
    say(f"{folder / name}: {megabytes((folder / name).stat().st_size)}, checksum right")


def fetch(bases: tuple[str, ...], name: str, known_hash: str, folder: Path) -> None:
    """Fetch one file from the first server that gives it; UserError if none does."""
    for number, base in enumerate(bases, 1):
        try:
            return fetch_file(base + name, known_hash, folder)
        except (OSError, http.client.HTTPException) as error:
            code = getattr(error, "errno", None)
            if code in DISK:
                raise UserError(
                    f"{folder} takes no writing ({os.strerror(code)}); make room there, or choose "
                    "another --to"
                ) from None
            reason = str(getattr(error, "reason", "") or error or type(error).__name__)
            if number < len(bases):
                say(f"{base + name} gives nothing ({reason}); trying {bases[number]}")
                continue
            raise UserError(
                f"{base + name} could not be fetched ({reason}); run the command again: it "
                "continues what has come so far"
            ) from None


def unpack(archive: Path, names: tuple[str, ...]) -> None:
    """Write the files of these names from a tar beside it, in its own folder, each whole."""
    folder = archive.parent / "cifar-10-batches-bin"
    # Files get their names when they are whole.
    missing = {name for name in names if not (folder / name).exists()}
    if not missing:
        return
    folder.mkdir(exist_ok=True)
    with tarfile.open(archive) as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            # Only names that we know, written where we choose: nothing in a tar decides a path.
            if path.name not in missing or not member.isfile():
                continue
            content, temporary = tar.extractfile(member), folder / f"{path.name}.part"
            assert content is not None
            with content, temporary.open("wb") as file:
                shutil.copyfileobj(content, file)
            temporary.replace(folder / path.name)
            missing.remove(path.name)
    if missing:
        raise UserError(f"{archive} lacks {', '.join(sorted(missing))}; remove it and fetch again")


def fetch_set(source: PublicSet, folder: Path) -> None:
    """Fetch all files of a set into its folder; UserError if one cannot be had."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be made ({error.strerror}); choose another --to"
        ) from None
    for name, known_hash in source.files.items():
        fetch(source.bases, name, known_hash, folder)
        try:
            unpack(folder / name, source.unpack)
        except (OSError, EOFError, tarfile.TarError) as error:
            raise UserError(f"{folder / name} could not be unpacked ({error})") from None


def data_home() -> Path:
    """Return the folder of all sets: $ARCADIA_DATA, or `data` in the working folder."""
    return Path(os.environ.get("ARCADIA_DATA") or "data").expanduser()


def main(config: Config) -> int:
    """The command `arcadia data`."""
    if not config.name:
        for name, source in SETS.items():
            say(f"{name:16}{source.about}")
        return 0
    folder = (config.to.expanduser() if config.to else data_home()) / config.name
    fetch_set(SETS[config.name], folder)
    say(f"{config.name} is in {folder}; train with --data {folder}")
    return 0
