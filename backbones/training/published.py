"""Writing what `arcadia export` makes: completely or not at all, over nothing but earlier exports.

A file or folder is written beside its place under a hidden name (`.name.writing`) and renamed at
the end. An exported run is a run without the state of its training: small, and loaded like any
other; "from" in its config.json tells it from a run that was trained where it lies.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backbones.training import checkpoint
from backbones.training.checkpoint import BACKBONES, Checkpoint
from backbones.training.checks.received import CONFIG_BYTES, parse_json, sealed
from backbones.training.errors import UserError
from backbones.training.files import make_folder, read_bounded, sync, write_atomically
from backbones.training.run import Run

# What belongs to the training, or is written anew.
LEFT_OUT = ("sha256", "sha256_of_this", "format", "progress", "scores", "games")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError into a UserError that names what was to be written, and the reason."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path} cannot be written: {error.strerror or error}; choose a place that takes it"
        ) from None


@contextmanager
def parents(path: Path) -> Iterator[None]:
    """Make the folders that a path lies in, and take back those that are new if the body fails."""
    new = [folder for folder in path.parents if not os.path.exists(folder)]
    try:
        make_folder(path.parent)
        yield
    except BaseException:
        for folder in new:
            with suppress(OSError):
                folder.rmdir()
        raise


@contextmanager
def replacing_file(path: Path, force: bool) -> Iterator[Path]:
    """Give a path beside `path`, of the same suffix, for the body to write; then rename it.

    Whatever fails, a file that was there is as before, and nothing else is left. UserError if
    something is there without `force`, if it is no file, and in place of every OSError.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise UserError(f"{path} is there and is no file; choose another name")
    if os.path.exists(path) and not force:
        raise UserError(f"{path} exists; choose another name, or --force")
    # A link stays, and what it leads to is written.
    real = Path(os.path.realpath(path))
    ready = real.with_name(f".{real.name}.writing{path.suffix}")
    with writing(path), parents(real):
        try:
            # Before the work, so that a place that takes no writing is known at once.
            ready.write_bytes(b"")
            yield ready
            sync(ready)
            ready.replace(real)
            sync(real.parent)
        finally:
            ready.unlink(missing_ok=True)


@contextmanager
def replacing_folder(
    path: Path, source: Path, force: bool, flag: str = "--folder"
) -> Iterator[Path]:
    """Give an empty folder beside `path` for the body to fill with the run in `source`; then
    rename it.

    Whatever fails, an earlier export that was there is as before, and nothing else is left. Files
    in it that no export writes, such as videos, come into the new folder. UserError as
    `refuse_folder` says, and if the folder cannot be made or renamed.
    """
    real = Path(os.path.realpath(path))
    if not real.name:
        raise UserError(f"{path} is the root of all folders; choose another {flag}")
    ready, older = real.with_name(f".{real.name}.writing"), real.with_name(f".{real.name}.replaced")
    with writing(path):
        settle(older, real)
        refuse_folder(path, source, force, flag)
    with parents(real):
        try:
            with writing(path):
                shutil.rmtree(ready, ignore_errors=True)
                ready.mkdir()
            yield ready
            with writing(path):
                replace_folder(ready, real, older)
        finally:
            shutil.rmtree(ready, ignore_errors=True)


def refuse_folder(path: Path, source: Path, force: bool, flag: str) -> None:
    """UserError, with the reason, unless a folder may be written: it is new, or, with `force`, it
    is empty or an earlier export, and neither the run in `source` nor the working folder."""
    if not os.path.exists(path):
        return
    real = Path(os.path.realpath(path))
    reason = "is a file"
    if real.is_dir() and real.samefile(source):
        reason = "is the run that is to be exported"
    elif real == Path.cwd():
        reason = "is the folder that you are in, which would be replaced"
    elif real.is_dir():
        reason = why_to_keep(real)
    if reason:
        raise UserError(f"{path} {reason}; choose another {flag}")
    if not force:
        raise UserError(f"{path} exists; choose another name, or --force")


def why_to_keep(folder: Path) -> str:
    """Return why nothing may be written over a folder; "" if it is empty or an earlier export."""
    if not any(folder.iterdir()):
        return ""
    try:
        about = json.loads(read_bounded(folder / "config.json", CONFIG_BYTES))
    except FileNotFoundError:
        return "has files in it and is no exported run"
    except UserError as error:
        return f"may be anything: {error}"
    except (ValueError, RecursionError) as error:
        return f"has a config.json that is broken ({error}), so that it may be anything"
    if not isinstance(about, dict) or "from" not in about:
        return "is a run that was trained there, not exported"
    if any(folder.glob("checkpoints/*/state.safetensors")):
        return "holds the state of a training"
    return ""


def replace_folder(ready: Path, real: Path, older: Path) -> None:
    """Rename `ready` to `real`; on OSError what was at `real` is there again."""
    try:
        if real.exists():
            real.rename(older)
        ready.rename(real)
    finally:
        settle(older, real)
    sync(real.parent)


def settle(older: Path, real: Path) -> None:
    """Bring an older folder that was renamed to its end: back, if no new one came to its place;
    else its other files go to the new one, and the rest is dropped.

    An export that was killed in between left it, and the next one settles it.
    """
    if not older.exists():
        return
    if not real.exists():
        older.rename(real)
        return
    for path in older.iterdir():
        if not (real / path.name).exists():
            path.rename(real / path.name)
    shutil.rmtree(older)


def rounded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors with those of fp32 as bf16."""
    return {
        name: tensor.bfloat16() if tensor.dtype == torch.float32 else tensor
        for name, tensor in tensors.items()
    }


def publish(
    run: Run, found: Checkpoint, folder: Path, result: Mapping[str, Any], half: bool = False
) -> str:
    """Fill a folder with a checkpoint's weights, card and score as a run; return size and score.

    The backbones' cards get the score, where training did not know it yet. `half` halves the size:
    weights are rounded to bf16. OSError if the disk does not take it.
    """
    info = {k: v for k, v in found.info.items() if k not in LEFT_OUT}
    parts, metadata = dict(found.weights), {}
    for part, header in found.headers.items():
        if part in BACKBONES:
            card = parse_json(header.get("card", ""), f"{found.folder}: the card of {part}")
            card["score"] = result["score"] if card.get("score") is None else card["score"]
            metadata[part] = {**header, "card": json.dumps(card)}
    if half:
        parts = {part: rounded(tensors) for part, tensors in parts.items()}
    about = sealed({**run.about, "launch": "", "from": run.name})
    write_atomically(folder / "config.json", json.dumps(about, indent=2) + "\n")
    checkpoint.save(folder / "checkpoints", found.info["progress"], parts, info, metadata)
    write_atomically(folder / "eval.json", json.dumps(result, indent=2) + "\n")
    size = checkpoint.size_bytes(folder) / 2**20
    return f"{size:.1f} MiB, {result['metric']} {result['score']:.2f}"
