"""The network of a Go player: an image trunk (`cnn`), heads for policy, value, ownership and score.

Letters: B positions, F planes, M points on a side of the room, A = M * M + 1 moves.

After Wu 2019 (https://arxiv.org/abs/1902.10565): all heads are convolutions and pools over the
board, so one network plays on every size that fits its room; a smaller board stands at the top left
and the rest is masked. What surprises: moves are numbered on the room here, row * M + column, and
the pass is M * M; `rl/go/search/mcts.py` numbers them on the board.
"""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from backbones.cnn import build_trunk
from backbones.tower import pool_board
from backbones.training.checks.received import parse_json
from backbones.training.checks.values import from_dict
from backbones.training.errors import UserError
from backbones.training.files import check_plain
from backbones.trunk import TrunkSpec
from rl.go.network.features import PLANES
from rl.go.rules.board import LARGEST, SMALLEST


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """What a network is made of; saved beside its weights."""

    blocks: int
    channels: int
    smallest: int = 9
    largest: int = 9
    """Points on a side of the boards that it knows."""

    def __post_init__(self) -> None:
        if not SMALLEST <= self.smallest <= self.largest <= LARGEST:
            raise UserError(
                f"boards of {self.smallest} to {self.largest}; sizes go from {SMALLEST} to "
                f"{LARGEST}"
            )
        if self.blocks < 1 or self.channels < 4 or self.channels % 4:
            raise UserError("a network has at least 1 block, and a multiple of 4 channels")


PRESETS = {
    f"b{blocks}c{channels}": (blocks, channels)
    for blocks, channels in ((2, 32), (4, 32), (4, 64), (6, 96), (10, 128))
}


@dataclass(frozen=True)
class GoJudgement:
    """A network's output for some positions, from the view of the player to move."""

    policy: Float[Tensor, "B A"]
    """Logits of the moves."""
    value: Float[Tensor, "B"]
    """-1 to 1: the probability to win minus that to lose."""
    ownership: Float[Tensor, "B M M"]
    """-1 to 1; 1 where the player to move will own the point."""
    score: Float[Tensor, "B"]
    """Points that the player to move will lead by, komi included."""


class GoNetwork(nn.Module):
    """From planes [B, F, M, M] to a `GoJudgement`."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec, channels = spec, spec.channels
        self.cnn = build_trunk(
            TrunkSpec(
                name="tower",
                in_channels=PLANES,
                width=channels / 64,
                stem_stride=1,
                std=(255.0,),
                blocks=spec.blocks,
            )
        )
        self.policy = nn.Conv2d(channels, 1, 1)
        self.ownership = nn.Conv2d(channels, 1, 1)
        self.pooled = nn.Linear(2 * channels, channels)
        # The pass, the value, the score.
        self.whole = nn.Linear(channels, 3)
        for head in (self.policy, self.ownership, self.whole):
            # Nearly the same for all moves at first, and no opinion on who wins.
            nn.init.orthogonal_(head.weight, 0.1)
            nn.init.zeros_(head.bias)  # type: ignore[arg-type]

    def forward(self, planes: UInt8[Tensor, "B F M M"]) -> GoJudgement:
        """Return the judgement of positions; moves outside the board have -inf."""
        mask = (planes[:, -1:] > 0).float()
        maps = self.cnn(planes, mask)["s3"]
        pooled = pool_board(maps, mask)
        whole = self.whole(F.relu(self.pooled(pooled.to(maps.dtype)))).float()
        points = self.policy(maps).float().masked_fill(mask == 0, -torch.inf)
        policy = torch.cat([points.flatten(1), whole[:, :1]], 1)
        ownership = torch.tanh(self.ownership(maps).float()) * mask
        # Scores of a board's size come out of numbers of size 1.
        score = whole[:, 2] * mask.sum((1, 2, 3)).sqrt()
        return GoJudgement(policy, torch.tanh(whole[:, 1]), ownership[:, 0], score)

    def check_size(self, size: int) -> None:
        """UserError if the network does not know boards of this size."""
        spec = self.spec
        if not spec.smallest <= size <= spec.largest:
            known = (
                f"{spec.smallest}"
                if spec.smallest == spec.largest
                else (f"{spec.smallest} to {spec.largest}")
            )
            raise UserError(f"this network knows boards of {known}, not of {size}")


def build_network(preset: str, smallest: int = 9, largest: int = 9) -> GoNetwork:
    """Return an untrained network; UserError if there is no such preset."""
    if preset not in PRESETS:
        raise UserError(f"network {preset!r} is unknown; choose one of {', '.join(PRESETS)}")
    blocks, channels = PRESETS[preset]
    return GoNetwork(
        NetworkSpec(blocks=blocks, channels=channels, smallest=smallest, largest=largest)
    )


def save_network(network: GoNetwork, path: Path, about: dict[str, Any] | None = None) -> None:
    """Write weights and spec into a .safetensors file; `about` is JSON for its header."""
    card = {"spec": asdict(network.spec), **(about or {})}
    save_file(network.state_dict(), path, {"arcadia_go": json.dumps(card)})


def load_network(path: Path) -> GoNetwork:
    """Read what `save_network` wrote; UserError if it is no such file."""
    try:
        check_plain(path)
        with safe_open(path, "pt") as file:
            card = (file.metadata() or {}).get("arcadia_go", "")
            # Files from before November 2026 call the backbone `trunk`.
            weights = {re.sub(r"^trunk\.", "cnn.", k): file.get_tensor(k) for k in file.keys()}
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from None
    except SafetensorError:
        raise UserError(f"{path} is no file of weights (.safetensors), or is damaged") from None
    if not card:
        raise UserError(f"{path} is not a Go network of Arcadia: it has no spec of one")
    try:
        spec = from_dict(NetworkSpec, parse_json(card, "its card")["spec"], "spec.")
        network = built(spec, weights)
    except UserError as error:
        raise UserError(f"{path} is not a Go network that can be read: {error}") from None
    except (ValueError, KeyError, TypeError, RuntimeError):
        raise UserError(f"{path} is not a Go network of Arcadia: its spec is damaged") from None
    return network.eval()


def built(spec: NetworkSpec, weights: dict[str, Tensor]) -> GoNetwork:
    """Return a network with weights; UserError if they are not those of its spec."""
    # Deeper than it has tensors it cannot be, and on this device tensors take no memory.
    if spec.blocks > len(weights):
        raise UserError(f"its spec has {spec.blocks} blocks, more than it has tensors")
    with torch.device("meta"):
        wanted = {name: tensor.shape for name, tensor in GoNetwork(spec).state_dict().items()}
    for name in sorted(wanted.keys() | weights.keys()):
        here, there = wanted.get(name), weights[name].shape if name in weights else None
        if here != there:
            words = ["is missing" if each is None else f"is {list(each)}" for each in (there, here)]
            raise UserError(f"{name} {words[0]} in the file and {words[1]} in its spec")
    network = GoNetwork(spec)
    network.load_state_dict(weights)
    return network
