"""Checkpoints: safetensors and JSON, whole or not there at all.

`checkpoints/<progress>/` holds one .safetensors file a part (each backbone with its card, `heads`,
`state`) and checkpoint.json with the counters, the format's version and the SHA-256 of
every file. It is written under a temporary name, synced and renamed. Nothing is ever unpickled.

A part's digest is checked when the part is read, on the bytes that its tensors are made of. Loading
reads the weights alone; a resume asks for a `whole` checkpoint, of which every file is checked
first. Both take the newest checkpoint that passes, and say which ones they passed over.

Bulk state, such as a replay buffer, comes in chunks: parts whose name settles their content for
good (`replay-000120000`). A checkpoint links the chunks that an earlier one has and writes the new
ones, so saving costs what is new, and every checkpoint is still a folder that is whole by itself.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_from_bytes
from safetensors.torch import save as save_to_bytes
from torch import Tensor

from backbones.training.checks.received import INFO_BYTES, file_digest, read_json, regular, sealed
from backbones.training.checks.values import checked, shown
from backbones.training.distributed import ALONE, World
from backbones.training.errors import NewerFormat, UserError
from backbones.training.files import sync

FORMAT = 1
KEEP = 2
# The parts that whoever takes a checkpoint needs; the others are for training alone.
BACKBONES = ("cnn", "lstm", "encoder", "decoder")
WEIGHTS = (*BACKBONES, "heads")
# Names of ours while a checkpoint is written or replaced; whatever else lies there stays.
HALF_WRITTEN = re.compile(r"\.[0-9]{12}(\.replaced)?\.writing")

PART = re.compile(r"\w[\w.-]*\.safetensors", re.ASCII)
# What a checkpoint may say of itself, and the types of it.
KNOWN: dict[str, Any] = {
    "sha256": dict,
    "format": int,
    "progress": int,
    "job": str,
    "data": str,
    "num_actions": int,
    "rollouts": int,
    "updates": int,
    "averaged": int,
    "precision": Literal["fp32", "bf16"],
    "about": dict,
    "total": int,
    "unit": str,
    "trained_s": float,
    "saving_s": float,
    "commit": str,
    "made_on": dict,
    "started_s": float,
    "config": dict,
}

# Part name -> tensors by name; chunk name -> function that gives them if they are not on disk yet.
Parts = Mapping[str, Mapping[str, Tensor]]
Chunks = Mapping[str, Callable[[], Mapping[str, Tensor]]]


# (tensors of a part, numbers of environments) -> what belongs to these environments
Take = Callable[[dict[str, Tensor], range], dict[str, Tensor]]


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of which the weights have been read; other parts are read when asked for.

    The weights are read at once because a run in training drops its older checkpoints at any time.
    With several processes in `world`, the first one reads and the others are sent what they ask
    for, so all must make the same calls in the same order.
    """

    folder: Path
    info: dict[str, Any]
    weights: Mapping[str, dict[str, Tensor]] = field(default_factory=dict)
    headers: Mapping[str, dict[str, str]] = field(default_factory=dict)
    """What `metadata` says of each of the weights; empty but in the first process."""
    world: World = ALONE

    def tensors(self, part: str) -> dict[str, Tensor]:
        """Return one part; UserError if this checkpoint does not have it, or if it is damaged."""
        if part in self.weights:
            return dict(self.weights[part])
        return self.world.broadcast_tensors(self.read(part)[0] if self.world.is_first else {})

    def share(self, part: str, numbers: range, take: Take) -> dict[str, Tensor]:
        """Return `take(tensors, numbers)` of one part; only that is sent to this process."""

        def answer(request: Tensor) -> dict[str, Tensor]:
            return take(whole, range(*request.tolist()))

        whole = self.read(part)[0] if self.world.is_first else {}
        return self.world.scatter(torch.tensor([numbers.start, numbers.stop]), answer)

    def read(self, part: str) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Return the tensors of a part and its file's header, from one reading of the file."""
        path = self.folder / f"{part}.safetensors"
        if path.name not in self.info["sha256"]:
            raise UserError(f"{self.folder} has no {path.name}, which this needs")
        data = regular(path, self.folder.parents[1]).read_bytes()
        if digest(data) != self.info["sha256"][path.name]:
            raise UserError(f"{path} is damaged: its SHA-256 does not fit")
        try:
            tensors = load_from_bytes(data)
        except SafetensorError as error:
            raise UserError(f"{path} holds no tensors that can be read ({error})") from None
        # Eight bytes say how long the header is.
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        return tensors, header.get("__metadata__", {})

    def with_weights(self) -> "Checkpoint":
        """Return this checkpoint with its weights read."""
        parts = [part for part in WEIGHTS if f"{part}.safetensors" in self.info["sha256"]]
        read = {part: self.read(part) for part in parts}
        return replace(
            self,
            weights={part: tensors for part, (tensors, _) in read.items()},
            headers={part: header for part, (_, header) in read.items()},
        )

    def check_files(self) -> None:
        """Check every file of this checkpoint; no file is in memory as a whole."""
        for name, expected in self.info["sha256"].items():
            path = self.folder / name
            if file_digest(regular(path, self.folder.parents[1])) != expected:
                raise UserError(f"{path} is damaged: its SHA-256 does not fit")

    @property
    def weight_bytes(self) -> int:
        """How much the weights take."""
        return sum(t.nbytes for tensors in self.weights.values() for t in tensors.values())


def digest(data: bytes) -> str:
    """Return the SHA-256 of bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def info_digest(info: Mapping[str, Any]) -> str:
    """Return the SHA-256 of checkpoint.json without its own digest."""
    return str(sealed(info)["sha256_of_this"])


def save(
    folder: Path,
    progress: int,
    parts: Parts,
    info: Mapping[str, Any],
    metadata: Mapping[str, Mapping[str, str]] | None = None,
    chunks: Chunks | None = None,
) -> Path:
    """Write checkpoint number `progress` into `folder`, drop what is not kept, return its path.

    Kept are the newest `KEEP` and the best, whose `info["score"]` is highest. `metadata` goes into
    the header of a part's file, as the card of a backbone does. On OSError (a full disk) nothing
    has changed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final, temporary = folder / f"{progress:012d}", folder / f".{progress:012d}.writing"
    for name in filter(HALF_WRITTEN.fullmatch, os.listdir(folder)):
        remove(folder / name)
    temporary.mkdir()
    try:
        digests = {}
        for part, tensors in parts.items():
            path = temporary / f"{part}.safetensors"
            digests[path.name] = write_part(path, tensors, (metadata or {}).get(part, {}))
        digests |= write_chunks(temporary, numbered(folder), chunks or {})
        full = {"format": FORMAT, "progress": progress, "sha256": digests, **info}
        full = sealed(json.loads(json.dumps(full)))
        write_bytes(temporary / "checkpoint.json", (json.dumps(full, indent=1) + "\n").encode())
        sync(temporary)
        if os.path.lexists(final):
            # Never delete before the new one is in place; what is left aside is swept next time.
            final.rename(folder / f".{final.name}.replaced.writing")
        temporary.rename(final)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync(folder)
    for path in set(numbered(folder)) - kept(folder):
        # What stays behind is dropped next time.
        shutil.rmtree(path, ignore_errors=True)
    return final


def remove(path: Path) -> None:
    """Remove a folder, a file or a link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file and force it to the disk."""
    path.write_bytes(data)
    sync(path)


def write_part(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> str:
    """Write tensors as one .safetensors file; return its SHA-256."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data = save_to_bytes(contiguous, dict(header))
    write_bytes(path, data)
    return digest(data)


def write_chunks(temporary: Path, earlier: list[Path], chunks: Chunks) -> dict[str, str]:
    """Write what no earlier checkpoint has, link the rest; return file name -> SHA-256.

    A link costs nothing, and a chunk's bytes live as long as any checkpoint that names it.
    """
    known = {
        name: (path / name, sha256)
        for path in earlier
        for name, sha256 in read_info(path).get("sha256", {}).items()
    }
    digests = {}
    for chunk, tensors_of in chunks.items():
        name = f"{chunk}.safetensors"
        if name in known:
            source, digests[name] = known[name]
            try:
                os.link(source, temporary / name)
            except OSError:  # A file system without hard links, such as exFAT: the same bytes.
                shutil.copyfile(source, temporary / name)
                sync(temporary / name)
        else:
            digests[name] = write_part(temporary / name, tensors_of(), {})
    return digests


def read_info(path: Path) -> dict[str, Any]:
    """Return checkpoint.json unchecked, {} if it cannot be read: for retention and tables."""
    try:
        return read_json(path / "checkpoint.json", INFO_BYTES, path.parents[1])
    except (OSError, UserError):
        return {}


def best(folder: Path) -> Path | None:
    """Return the checkpoint of the highest score, the newest among equals; None without scores."""
    scores = [(read_info(path).get("score"), path) for path in numbered(folder)]
    scored = [(score, path) for score, path in scores if isinstance(score, int | float)]
    return max(scored)[1] if scored else None


def kept(folder: Path) -> set[Path]:
    """Return the checkpoints that stay: the newest `KEEP` and the best."""
    return {*numbered(folder)[-KEEP:], *filter(None, [best(folder)])}


def size_bytes(folder: Path) -> int:
    """Return the bytes on disk of everything in a folder; a chunk with two names counts once."""
    inodes = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # Retention dropped it just now.
                stat = os.lstat(os.path.join(parent, name))
                inodes[stat.st_ino] = stat.st_size
    return sum(inodes.values())


def numbered(folder: Path) -> list[Path]:
    """Return the finished checkpoints of a folder, the oldest first."""
    # A copy that somebody made under another name is theirs.
    return sorted(path for path in folder.glob("[0-9]" * 12) if path.is_dir())


def check(path: Path, owner: Mapping[str, Any] | None = None, *, whole: bool = False) -> Checkpoint:
    """Return the checkpoint at a path, its weights read; UserError with the reason if it cannot be.

    `whole` checks all other parts too. `owner` is what the config.json of its run says: a
    checkpoint of another run is refused.
    """
    try:
        info = read_json(path / "checkpoint.json", INFO_BYTES, path.parents[1])
        check_info(info, path)
        require_at_home(path, info, owner or {})
        found = Checkpoint(path, info)
        if whole:
            found.check_files()
        return found.with_weights()
    except (OSError, KeyError) as error:
        raise UserError(f"{path} is not a whole checkpoint ({error!r})") from None


def check_info(info: Mapping[str, Any], path: Path) -> None:
    """UserError if checkpoint.json is damaged or names what cannot be its own; KeyError if it lacks
    something."""
    if info["sha256_of_this"] != info_digest(info):
        raise UserError(f"{path}/checkpoint.json is damaged: its SHA-256 does not fit")
    for name in KNOWN.keys() & info.keys():
        checked(KNOWN[name], info[name], f"{path}/checkpoint.json: {name}")
    if info["format"] > FORMAT:
        raise NewerFormat(
            f"{path} has checkpoint format {info['format']}, this version reads up to "
            f"{FORMAT}; update Arcadia"
        )
    for name in info["sha256"]:
        if PART.fullmatch(name) is None:
            raise UserError(f"{path}/checkpoint.json names {shown(name)}, no file of its own")


def require_at_home(path: Path, info: Mapping[str, Any], owner: Mapping[str, Any]) -> None:
    """UserError if a checkpoint was put where it was not saved: of another progress, or run."""
    if path.name != f"{info['progress']:012d}":
        raise UserError(f"{path} was saved at {info['progress']:,} and then put in its place")
    for name in ("job", "started_s"):
        if name in info and name in owner and info[name] != owner[name]:
            raise UserError(f"{path} was saved by another run and then put there")


def summary(folder: Path) -> str:
    """Return the last and the best checkpoint and their size, as a line for people."""
    words = f"checkpoints: last at {int(numbered(folder)[-1].name):,}"
    top = best(folder)
    if top is not None:
        words += f", best at {int(top.name):,} (score {read_info(top)['score']:.1f})"
    return f"{words}; {size_bytes(folder) / 2**20:.1f} MiB"


def load_best(folder: Path, owner: Mapping[str, Any] | None = None) -> Checkpoint:
    """Return the checkpoint of the highest score; UserError if none has one or it is damaged."""
    while True:
        path = best(folder)
        if path is None:
            raise UserError(
                f"no checkpoint in {folder} has a score yet; take the last one. A score needs 20 "
                "finished games, or --eval-every"
            )
        try:
            return check(path, owner)
        except UserError:
            # A run in training has a better one since, and has dropped this one.
            if path.exists():
                raise


def load_newest(
    folder: Path, owner: Mapping[str, Any] | None = None, *, whole: bool = False
) -> tuple[Checkpoint, list[str]]:
    """Return the newest checkpoint that `check` takes, and a line for each that was passed over.

    UserError if there is none, or if the newest was written by a newer version: its format is not
    damage, and going back silently would lose training.
    """
    passed_over: list[str] = []
    tried: set[Path] = set()
    # Looked up anew each time: a run in training drops what it had, and has newer ones then.
    while left := [path for path in numbered(folder) if path not in tried]:
        path = left[-1]
        tried.add(path)
        try:
            return check(path, owner, whole=whole), passed_over
        except NewerFormat:
            raise
        except UserError as error:
            if path.exists():
                passed_over.append(f"{error}; taking the one before")
    reasons = [line.removesuffix("; taking the one before") for line in passed_over]
    raise UserError("; ".join([f"there is no usable checkpoint in {folder}", *reasons]))


def set_aside_newer(folder: Path, progress: int) -> None:
    """Rename the checkpoints after `progress`, which are damaged, so that they count no more."""
    for path in numbered(folder):
        if int(path.name) > progress:
            aside = path.with_name(f"damaged-{path.name}")
            shutil.rmtree(aside, ignore_errors=True)
            path.rename(aside)


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors under `prefix.name`, so that several sets fit in one part."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the set that `prefixed` put away."""
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
