"""Checkpoints: safetensors and JSON, whole or not there at all.

`checkpoints/<progress>/` holds one .safetensors file a part (`cnn` the backbone with its card,
`heads`, `state`) and checkpoint.json with the counters, the format's version and the SHA-256 of
everything. It is written under a temporary name, synced and renamed. Loading takes the newest one
whose digests hold, and says which it passed over. Nothing is ever unpickled.

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

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as save_to_bytes
from torch import Tensor

from backbones.training.checks.received import INFO_BYTES, file_digest, read_json, regular, sealed
from backbones.training.checks.values import checked, shown
from backbones.training.errors import NewerFormat, UserError
from backbones.training.files import sync

FORMAT = 1
KEEP = 2
# What everybody who takes a checkpoint needs of it; the state is for training alone.
WEIGHTS = ("cnn", "heads")
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


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk whose digests held when it was found, or one that was `held` in memory
    since another process read it.

    `weights` are parts of one on disk that were read when it was found, and `header` that of the
    backbone's file: a run in training drops its older checkpoints at any time.
    """

    folder: Path
    info: dict[str, Any]
    held: dict[str, Tensor] | None = None
    weights: Mapping[str, dict[str, Tensor]] = field(default_factory=dict)
    header: Mapping[str, str] = field(default_factory=dict)

    def tensors(self, part: str) -> dict[str, Tensor]:
        """Read one part; UserError if this checkpoint does not have it."""
        if self.held is not None:
            return under(part, self.held)
        if part in self.weights:
            return dict(self.weights[part])
        path = self.folder / f"{part}.safetensors"
        if not path.exists():
            raise UserError(f"{self.folder} has no {part}.safetensors, which this needs")
        try:
            return load_file(regular(path, self.folder.parents[1]))
        except SafetensorError as error:
            raise UserError(f"{path} holds no tensors that can be read ({error})") from None

    def size_bytes(self, *parts: str) -> int:
        """Return how much some parts take, of those that this checkpoint has."""
        if self.held is not None:
            return sum(t.nbytes for part in parts for t in under(part, self.held).values())
        paths = [self.folder / f"{part}.safetensors" for part in parts]
        return sum(path.stat().st_size for path in paths if path.exists())


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


def check(path: Path, owner: Mapping[str, Any] | None = None) -> Checkpoint:
    """Return the checkpoint at a path if it is whole; UserError with the reason if not.

    `owner` is what the config.json of its run says: a checkpoint of another run is none of it.
    """
    try:
        info = read_json(path / "checkpoint.json", INFO_BYTES, path.parents[1])
        if info["sha256_of_this"] != info_digest(info):
            raise UserError(f"{path}/checkpoint.json is damaged: its SHA-256 does not fit")
        for name in KNOWN.keys() & info.keys():
            checked(KNOWN[name], info[name], f"{path}/checkpoint.json: {name}")
        if info["format"] > FORMAT:
            raise NewerFormat(
                f"{path} has checkpoint format {info['format']}, this version reads up to "
                f"{FORMAT}; update Arcadia"
            )
        for name, expected in info["sha256"].items():
            if PART.fullmatch(name) is None:
                raise UserError(f"{path}/checkpoint.json names {shown(name)}, no file of its own")
            if file_digest(regular(path / name, path.parents[1])) != expected:
                raise UserError(f"{path / name} is damaged: its SHA-256 does not fit")
        require_at_home(path, info, owner or {})
    except (OSError, KeyError) as error:
        raise UserError(f"{path} is not a whole checkpoint ({error!r})") from None
    return read_weights(Checkpoint(path, info))


def read_weights(found: Checkpoint) -> Checkpoint:
    """Return a checkpoint with its weights read; UserError if it has gone or is damaged."""
    weights: dict[str, dict[str, Tensor]] = {}
    header: dict[str, str] = {}
    try:
        for part in WEIGHTS:
            name = f"{part}.safetensors"
            if name in found.info["sha256"]:
                weights[part] = load_file(found.folder / name)
        if "cnn" in weights:
            with safe_open(found.folder / "cnn.safetensors", "pt") as file:
                header = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise UserError(f"{found.folder} cannot be read ({error})") from None
    return replace(found, weights=weights, header=header)


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
            raise UserError(f"no checkpoint in {folder} has a score yet; take the last one")
        try:
            return check(path, owner)
        except UserError:
            # A run in training has a better one since, and has dropped this one.
            if path.exists():
                raise


def load_newest(
    folder: Path, owner: Mapping[str, Any] | None = None
) -> tuple[Checkpoint, list[str]]:
    """Return the newest whole checkpoint and a line for each newer one that was passed over.

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
            return check(path, owner), passed_over
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
