"""A run without the state of its training: small, whole, and loaded like any other."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from backbones.training import checkpoint
from backbones.training.checkpoint import Checkpoint
from backbones.training.errors import UserError
from backbones.training.files import make_folder, write_atomically
from backbones.training.run import Run

# What belongs to the training, or is written anew.
LEFT_OUT = ("sha256", "sha256_of_this", "format", "progress", "scores", "games")


def refuse_existing(path: Path, force: bool) -> None:
    """UserError if something would be overwritten unasked; make the folder that it goes into."""
    if path.exists() and not force:
        raise UserError(f"{path} exists; choose another name, or --force")
    make_folder(path.parent)


def rounded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors with those of fp32 as bf16."""
    return {
        name: tensor.bfloat16() if tensor.dtype == torch.float32 else tensor
        for name, tensor in tensors.items()
    }


def publish(
    run: Run, found: Checkpoint, path: Path, result: Mapping[str, Any], half: bool = False
) -> str:
    """Write a checkpoint's weights, card and score as a run folder; return what was written.

    The backbone's card gets the score, where training did not know it yet. `half` halves the size:
    weights are rounded to bf16.
    """
    info = {k: v for k, v in found.info.items() if k not in LEFT_OUT}
    parts, metadata = {"heads": found.tensors("heads")}, {}
    backbone = found.folder / "cnn.safetensors"
    if backbone.exists():
        parts["cnn"] = found.tensors("cnn")
        with safe_open(backbone, "pt") as file:
            header = file.metadata() or {}
        card = json.loads(header["card"])
        card["score"] = result["score"] if card["score"] is None else card["score"]
        metadata = {"cnn": {**header, "card": json.dumps(card)}}
    if half:
        parts = {part: rounded(tensors) for part, tensors in parts.items()}
    make_folder(path)
    before = path / "config.json"
    if before.exists() and "from" in json.loads(before.read_text()):
        shutil.rmtree(path / "checkpoints", ignore_errors=True)  # those of an older export
    about = {**run.about, "launch": "", "from": run.name}
    write_atomically(path / "config.json", json.dumps(about, indent=2) + "\n")
    checkpoint.save(path / "checkpoints", found.info["progress"], parts, info, metadata)
    write_atomically(path / "eval.json", json.dumps(result, indent=2) + "\n")
    size = checkpoint.size_bytes(path) / 2**20
    return f"{path}: {size:.1f} MiB, {result['metric']} {result['score']:.2f}"
