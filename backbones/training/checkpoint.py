"""Checkpoints: safetensors and JSON, whole or not there at all.

`checkpoints/<progress>/` holds one .safetensors file a part (`cnn` the backbone with its card,
`heads`, `state`) and checkpoint.json with the counters, the format's version and the SHA-256 of
everything. It is written under a temporary name, synced and renamed. Loading takes the newest one
whose digests hold, and says which it passed over. Nothing is ever unpickled.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from backbones.training.errors import NewerFormat, UserError
from backbones.training.files import sync

FORMAT = 1
KEEP = 2


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk whose digests held when it was found."""

    folder: Path
    info: dict[str, Any]

    def tensors(self, part: str) -> dict[str, Tensor]:
        """Read one part; UserError if this checkpoint does not have it."""
        path = self.folder / f"{part}.safetensors"
        if not path.exists():
            raise UserError(f"{self.folder} has no {part}.safetensors, which this needs")
        return load_file(path)


def digest(data: bytes) -> str:
    """Return the SHA-256 of bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def info_digest(info: Mapping[str, Any]) -> str:
    """Return the SHA-256 of checkpoint.json without its own digest."""
    rest = {key: value for key, value in info.items() if key != "sha256_of_this"}
    return digest(json.dumps(rest, sort_keys=True).encode())


def save(
    folder: Path, progress: int, parts: Mapping[str, Mapping[str, Tensor]], info: Mapping[str, Any],
    metadata: Mapping[str, Mapping[str, str]] | None = None,
) -> Path:  # fmt: skip
    """Write checkpoint number `progress` into `folder`; keep the newest `KEEP`, return its path.

    `metadata` goes into the header of a part's file, as the card of a backbone does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final, temporary = folder / f"{progress:012d}", folder / f".{progress:012d}.writing"
    for half_written in folder.glob(".*.writing"):
        shutil.rmtree(half_written)
    temporary.mkdir()
    digests = {}
    for part, tensors in parts.items():
        path = temporary / f"{part}.safetensors"
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, path, dict((metadata or {}).get(part, {})))
        digests[path.name] = digest(path.read_bytes())
        sync(path)
    full = {"format": FORMAT, "progress": progress, "sha256": digests, **info}
    full = json.loads(json.dumps(full))
    full["sha256_of_this"] = info_digest(full)
    (temporary / "checkpoint.json").write_text(json.dumps(full, indent=1) + "\n")
    sync(temporary / "checkpoint.json")
    sync(temporary)
    if final.exists():
        # Never delete before the new one is in place; what is left aside is cleaned up next time.
        final.rename(folder / f".{final.name}.replaced.writing")
    temporary.rename(final)
    sync(folder)
    for old in numbered(folder)[:-KEEP]:
        shutil.rmtree(old)
    return final


def numbered(folder: Path) -> list[Path]:
    """Return the finished checkpoints of a folder, the oldest first."""
    return sorted(path for path in folder.glob("[0-9]*") if path.is_dir())


def check(path: Path) -> Checkpoint:
    """Return the checkpoint at a path if it is whole; UserError with the reason if not."""
    try:
        info = json.loads((path / "checkpoint.json").read_text())
        if info["sha256_of_this"] != info_digest(info):
            raise UserError(f"{path}/checkpoint.json is damaged: its SHA-256 does not fit")
        if info["format"] > FORMAT:
            raise NewerFormat(
                f"{path} has checkpoint format {info['format']}, this version reads up to "
                f"{FORMAT}; update Arcadia"
            )
        for name, expected in info["sha256"].items():
            if digest((path / name).read_bytes()) != expected:
                raise UserError(f"{path / name} is damaged: its SHA-256 does not fit")
    except (OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} is not a whole checkpoint ({error!r})") from None
    return Checkpoint(path, info)


def load_newest(folder: Path) -> tuple[Checkpoint, list[str]]:
    """Return the newest whole checkpoint and a line for each newer one that was passed over.

    UserError if there is none, or if the newest was written by a newer version: its format is not
    damage, and going back silently would lose training.
    """
    passed_over: list[str] = []
    for path in reversed(numbered(folder)):
        try:
            return check(path), passed_over
        except NewerFormat:
            raise
        except UserError as error:
            passed_over.append(f"{error}; taking the one before")
    reasons = "".join(f"\n  {line.removesuffix('; taking the one before')}" for line in passed_over)
    raise UserError(f"there is no usable checkpoint in {folder}{reasons}")


def set_aside_newer(folder: Path, progress: int) -> None:
    """Rename the checkpoints after `progress`, which are damaged, so that they count no more."""
    for path in numbered(folder):
        if int(path.name) > progress:
            path.rename(path.with_name(f"damaged-{path.name}"))


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors under `prefix.name`, so that several sets fit in one part."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the set that `prefixed` put away."""
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
