"""Starting a model from weights that were learnt before: what `--init` means, in every job.

RUN                 all weights of a run that learnt the same, if they fit; else its backbones
RUN:NAME            one backbone: cnn, lstm, encoder or decoder
FILE.safetensors    one backbone of ours with its card, or a trunk of timm or torchvision

A backbone starts the model's backbone of the same name. One that is asked for by name, or that is
in a file, may also start the model's only other backbone of its kind, such as a translator's
`decoder` the `lstm` of a model that has one LSTM.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from backbones import published_weights as timm
from backbones.lstm import LSTM
from backbones.training import checkpoint
from backbones.training.checkpoint import Checkpoint, under
from backbones.training.errors import UserError
from backbones.training.run import Run, find_run
from backbones.transfer import (
    BACKBONES,
    UNREADABLE,
    Backbone,
    backbones,
    copy_weights,
    heads_of,
    read_file,
    weights_of,
    why,
)
from backbones.trunk import Trunk

# Says whether a run learnt what the model is to learn, so that its heads mean the same.
LearntTheSame = Callable[[Run, Checkpoint], bool]


def start_from(model: nn.Module, init: str, learnt_the_same: LearntTheSame) -> list[str]:
    """Start a model as `--init` says, "" for not at all; return lines for the log.

    UserError names the first layer that does not fit.
    """
    timm.refuse_pickle(init)
    if not init:
        return []
    if is_zip(init):
        raise UserError(f"--init {init}: a .zip of stable-baselines3 starts agents only")
    if init.endswith(".safetensors"):
        return start_from_file(model, Path(init))
    name, _, part = init.partition(":")
    run = find_run(name)
    found, passed_over = checkpoint.load_newest(run.checkpoints, run.about)
    weights = weights_of(found)
    given = {each: under(each, weights) for each in BACKBONES}
    given = {each: tensors for each, tensors in given.items() if tensors}
    source = f"{run.name} ({origin(found.info)})"
    if part:
        if part not in given:
            has = f"has {', '.join(given)}" if given else "has no backbones"
            raise UserError(f"--init {init}: {run.name} {has}, no {part}")
        target = counterpart(model, part, kind_of(part), f"--init {init}")
        return [*passed_over, copy_backbone(model, target, given[part], source)]
    lines = [*passed_over, *start_backbones(model, given, source, init)]
    if not learnt_the_same(run, found):
        return [*lines, f"the heads start anew: {run.name} learnt something else"]
    heads, mine = heads_of(model), set(backbones(model))
    fits = mine == set(given) and shapes(heads) == shapes(
        {k: v for k, v in weights.items() if k.split(".")[0] not in given}
    )
    if not fits:
        return [*lines, f"the heads start anew: those of {run.name} have other sizes"]
    model.load_state_dict({name: weights[name] for name in heads}, strict=False)
    return [*lines, f"the heads start from {run.name} too, which learnt the same"]


def is_zip(init: str) -> bool:
    """Say whether `--init` names an agent of stable-baselines3."""
    return init.lower().endswith(".zip")


def start_from_file(model: nn.Module, path: Path) -> list[str]:
    """Start one backbone of a model from a file; return lines for the log."""
    try:
        card, tensors = read_file(path)
    except UNREADABLE as error:
        raise UserError(f"{path} is not a backbone, nor a file of weights ({why(error)})") from None
    if card is not None:
        kind = LSTM if card.get("kind") == "lstm" else Trunk
        target = counterpart(model, path.stem, kind, f"--init {path}")
        return [copy_backbone(model, target, tensors, f"{path} ({origin(card)})")]
    target = counterpart(model, "cnn", Trunk, f"--init {path}")
    trunk = backbones(model)[target]
    assert isinstance(trunk, Trunk)
    tensors, left_out = timm.translated(trunk, tensors, path)
    line = copy_backbone(model, target, tensors, f"{path} ({left_out})")
    return [line, timm.set_normalisation(trunk)]


def start_backbones(
    model: nn.Module, given: Mapping[str, Mapping[str, Tensor]], source: str, init: str
) -> list[str]:
    """Start the backbones that a model and a run have both, as far as they fit; UserError if none
    does."""
    lines: list[str] = []
    misfits: list[str] = []
    mine = backbones(model)
    for name in (each for each in mine if each in given):
        try:
            lines.append(copy_backbone(model, name, given[name], source))
        except UserError as error:
            misfits.append(str(error))
    if lines:
        return [*lines, *(f"{line}: it starts anew" for line in misfits)]
    if misfits:
        raise UserError(f"--init {init}: {misfits[0]}")
    raise UserError(
        f"--init {init} has {', '.join(given) or 'no backbones'}, and this model has "
        f"{', '.join(mine) or 'none'}: no two of the same name"
    )


def copy_backbone(model: nn.Module, name: str, tensors: Mapping[str, Tensor], source: str) -> str:
    """Copy weights into a model's backbone; return a line for the log."""
    try:
        note = copy_weights(backbones(model)[name], tensors)
    except UserError as error:
        raise UserError(f"{name} does not fit {source}: {error}") from None
    return f"{name} starts from {source}" + (f"; {note}" if note else "")


def counterpart(model: nn.Module, name: str, kind: type[Backbone], asked: str) -> str:
    """Return the name of the model's backbone that one of this name and kind starts."""
    mine = {each: module for each, module in backbones(model).items() if isinstance(module, kind)}
    if name in mine:
        return name
    if len(mine) == 1:
        return next(iter(mine))
    has = ", ".join(backbones(model)) or "no backbones"
    raise UserError(f"{asked}: this model has {has}; no {name} to start")


def kind_of(name: str) -> type[Backbone]:
    """Return what lies under a name of `BACKBONES`."""
    return Trunk if name == "cnn" else LSTM


def origin(card: Mapping[str, Any]) -> str:
    """Return what a card or a checkpoint says of itself, as a few words."""
    known = ((key, card.get(key)) for key in ("job", "data", "progress", "score"))
    return ", ".join(f"{key} {value}" for key, value in known if value)


def shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
