"""The contract of image trunks: uint8 pictures in, the feature maps of each stage out.

Letters: B pictures, C channels, H rows, W columns.

`forward(picture, mask=None)` takes [B, C, H, W] in 0..255 (uint8, or floating point in the same
units) and returns a dict from stage name to feature map; `stages`, `channels` and `strides`
describe the maps before anything runs. The pictures' mean and standard deviation are buffers of the
trunk, so callers must not normalise. Pooling and flattening belong to the head. A mask, [B, 1, H,
W] with 1 inside a board, is applied to the input and after every convolution, so that values
outside the board never reach those inside.

`prepare` does what needs no weights: pooling and memory layout. To use pictures several times,
prepare them once and pass rows of the result (`take_rows`) to `forward_prepared`.

Frozen stages stay in evaluation mode whatever `train()` says. Otherwise BatchNorm would use the
batch's statistics and keep collecting them, although no weight changes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn

from backbones.training.checks.values import from_dict
from backbones.training.device.precision import compute_dtype
from backbones.training.errors import UserError

TrunkName = Literal[
    "nature",
    "impala",
    "plain",
    "resnet",
    "alexnet",
    "vgg11",
    "vgg16",
    "googlenet",
    "resnet18",
    "resnet50",
    "airbench",
    "tower",
]
NAMES: tuple[str, ...] = get_args(TrunkName)
Pooling = Literal["max", "mean"]
# Normalisation layers that each trunk can have; the first is its own.
NORMS = {
    "nature": ("none", "layer"),
    "impala": ("none",),
    "plain": ("none", "group", "batch"),
    "resnet": ("group", "batch"),
    "alexnet": ("none", "group", "batch"),
    "vgg11": ("none", "group", "batch"),
    "vgg16": ("none", "group", "batch"),
    "googlenet": ("batch", "group", "none"),
    "resnet18": ("batch", "group"),
    "resnet50": ("batch", "group"),
    "airbench": ("batch",),
    "tower": ("none",),
}


@dataclass(frozen=True, kw_only=True)
class TrunkSpec:
    """What is needed to build a trunk again; saved in the card beside its weights."""

    name: str = "nature"
    in_channels: int = 4
    width: float = 1.0
    pool: int = 1
    pooling: Pooling = "max"
    stem_stride: int | None = None
    stage_stride: int = 2
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (255.0,)
    norm: str = ""
    blocks: int = 0
    """Blocks of a tower; 0: its default. Other trunks have a fixed number."""

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise UserError(f"trunk {self.name!r} is unknown; choose one of {', '.join(NAMES)}")
        if self.width <= 0 or self.pool < 1 or self.in_channels < 1:
            raise UserError(
                f"width = {self.width}, pool = {self.pool} and in_channels = {self.in_channels} "
                "must be above 0"
            )
        if self.blocks < 0 or (self.blocks and self.name != "tower"):
            raise UserError(f"blocks = {self.blocks} must be 0 or above, and 0 but for a tower")
        if self.norm and self.norm not in NORMS[self.name]:
            raise UserError(
                f"norm {self.norm!r}: {self.name} has {', '.join(NORMS[self.name])}; "
                "use one of these or leave it empty"
            )

    @property
    def norm_kind(self) -> str:
        """The kind of normalisation layers: the trunk's own if the spec names none."""
        return self.norm or NORMS[self.name][0]

    def stem(self, choices: Sequence[int]) -> int:
        """Return the stem stride, the first choice by default; UserError if it is no choice."""
        stride = choices[0] if self.stem_stride is None else self.stem_stride
        if stride not in choices:
            known = ", ".join(str(c) for c in sorted(choices))
            raise UserError(f"{self.name} has the stem strides {known}, not {stride}")
        return stride

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> "TrunkSpec":
        """Read what `to_dict` wrote, after a trip through JSON; UserError if it cannot be."""
        return from_dict(cls, values, "spec.")


class Trunk(nn.Module):
    """What all trunks share: the spec, the preparation of pictures, and the stages' names."""

    mean: Tensor
    std: Tensor
    # True for trunks that may get published weights, with a mean of their own, after building.
    always_centres = False

    def __init__(self, spec: TrunkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.channels: dict[str, int] = {}
        self.strides: dict[str, int] = {}
        self.frozen: tuple[str, ...] = ()
        self.register_buffer("mean", torch.tensor(spec.mean).view(1, -1, 1, 1), persistent=True)
        self.register_buffer("std", torch.tensor(spec.std).view(1, -1, 1, 1), persistent=True)
        self.centres = self.always_centres or any(spec.mean)
        self.register_load_state_dict_post_hook(notice_mean)

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages, first to last: the names that `--freeze` takes."""
        return tuple(self.channels)

    def stage_modules(self, stage: str) -> list[nn.Module]:
        """Return the modules whose weights belong to one stage."""
        return [getattr(self, stage)]

    def freeze(self, stages: Sequence[str]) -> None:
        """Stop training these stages; their BatchNorm statistics do not change either."""
        self.frozen = tuple(dict.fromkeys([*self.frozen, *stages]))
        for module in self.frozen_modules():
            module.requires_grad_(False)
        self.train(self.training)

    def frozen_modules(self) -> list[nn.Module]:
        """Return the modules of all frozen stages."""
        return [module for stage in self.frozen for module in self.stage_modules(stage)]

    def train(self, mode: bool = True) -> "Trunk":
        """Set training mode, except in frozen stages."""
        super().train(mode)
        for module in self.frozen_modules():
            module.eval()
        return self

    def forward(
        self, picture: Shaped[Tensor, "B C H W"], mask: Float[Tensor, "B 1 H W"] | None = None
    ) -> dict[str, Tensor]:
        """Return the maps of every stage by name."""
        return self.forward_prepared(self.prepare(picture), mask)

    def forward_prepared(
        self, prepared: Shaped[Tensor, "B C H2 W2"], mask: Float[Tensor, "B 1 H W"] | None = None
    ) -> dict[str, Tensor]:
        """Return the maps of every stage from prepared pictures."""
        return self.forward_stages(self.normalise(prepared, mask), mask)

    def forward_stages(
        self, maps: Float[Tensor, "B C H2 W2"], mask: Float[Tensor, "B 1 H W"] | None
    ) -> dict[str, Tensor]:
        """Return the maps of every stage from normalised pictures; each trunk defines this."""
        raise NotImplementedError

    def prepare(self, picture: Shaped[Tensor, "B C H W"]) -> Shaped[Tensor, "B C H2 W2"]:
        """Return pooled pictures in the same units, channels last in memory.

        ValueError if the number of channels is not that of the spec.
        """
        if picture.shape[1] != self.spec.in_channels:
            raise ValueError(
                f"the trunk takes {self.spec.in_channels} channels, the picture has "
                f"{picture.shape[1]} (shape {tuple(picture.shape)})"
            )
        return channels_last(self.pool(picture))

    def pool(self, picture: Shaped[Tensor, "*B C H W"]) -> Shaped[Tensor, "*B C H2 W2"]:
        """Return pictures, of any number of channels, pooled: what `prepare` does first."""
        return pooled_bytes(picture, self.spec.pool, self.spec.pooling)

    def normalise(
        self, prepared: Shaped[Tensor, "B C H2 W2"], mask: Float[Tensor, "B 1 H W"] | None = None
    ) -> Float[Tensor, "B C H2 W2"]:
        """Convert prepared pictures to the computing precision, normalise, mask."""
        dtype = compute_dtype(next(self.parameters()).dtype, prepared.device.type)
        values = prepared.to(dtype)
        if self.centres:
            values = values - self.mean.to(dtype)
        return apply_mask(values * (1 / self.std).to(dtype), mask)

    def conv_output(self, height: int, width: int) -> tuple[int, int, int]:
        """Return (channels, rows, columns) of the last stage for pictures of this size."""
        zeros = torch.zeros(
            1, self.spec.in_channels, height, width, dtype=torch.uint8, device=self.std.device
        )
        small = (
            f"pictures of {height} x {width} are too small for this {self.spec.name} trunk with "
            f"pool {self.spec.pool}; make them larger, or take --trunk plain --pool 1"
        )
        if self.spec.pool > min(height, width):
            raise UserError(small)
        # In evaluation mode, so that the blank picture does not enter BatchNorm's statistics.
        before = self.training
        self.eval()
        try:
            with torch.no_grad():
                last = self(zeros)[self.stages[-1]]
        except RuntimeError as error:
            raise UserError(f"{small} ({error})") from None
        finally:
            self.train(before)
        return last.shape[1], last.shape[2], last.shape[3]


def notice_mean(trunk: nn.Module, _: Any = None) -> None:
    """Centre from now on if the weights that a trunk has taken over came with a mean."""
    assert isinstance(trunk, Trunk)
    trunk.centres = trunk.always_centres or (not trunk.mean.is_meta and bool(trunk.mean.any()))


def take_rows(
    prepared: Shaped[Tensor, "B C H W"], index: Int64[Tensor, "B2"]
) -> Shaped[Tensor, "B2 C H W"]:
    """Return some of the prepared pictures in the same memory layout; plain indexing changes it."""
    return prepared.permute(0, 2, 3, 1).index_select(0, index).permute(0, 3, 1, 2)


def channels_last(picture: Shaped[Tensor, "B C H W"]) -> Shaped[Tensor, "B C H W"]:
    """Return pictures with their channels last in memory.

    Bytes on a CPU are copied channel by channel: 13 us for 4 x 84 x 84, torch's own way 28.
    """
    bytes_on_cpu = picture.dtype == torch.uint8 and picture.device.type == "cpu"
    there = picture.is_contiguous(memory_format=torch.channels_last)
    # A graph that is exported keeps the number of pictures open, not so the loop below.
    if there or not bytes_on_cpu or torch.jit.is_tracing():
        return picture.contiguous(memory_format=torch.channels_last)
    count, channels, height, width = picture.shape
    laid_out = picture.new_empty(count, height, width, channels)
    for channel in range(channels):
        laid_out[..., channel].copy_(picture[:, channel])
    return laid_out.permute(0, 3, 1, 2)


def flattened(maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B CHW"]:
    """Flatten maps for a linear layer; the gradient is converted to the maps' memory layout.

    Otherwise the backward pass of the ReLU before would read two layouts at once: 1,070 us instead
    of 34 for 128 maps of 32 x 7 x 7 in bf16, while the conversion takes 66 us.
    """
    if maps.requires_grad:
        maps.register_hook(lambda g: g.contiguous(memory_format=torch.channels_last))
    return maps.flatten(1)


def max_pool_bytes(picture: Shaped[Tensor, "*B C H W"], size: int) -> Shaped[Tensor, "*B C H2 W2"]:
    """Max pooling without overlap; torch's own takes 45 times as long on uint8 (178 us to 4 us)."""
    rows = picture[..., : picture.shape[-2] // size * size, : picture.shape[-1] // size * size]
    pooled = rows[..., ::size, :]
    for i in range(1, size):
        pooled = torch.maximum(pooled, rows[..., i::size, :])
    columns = pooled
    pooled = columns[..., ::size]
    for i in range(1, size):
        pooled = torch.maximum(pooled, columns[..., i::size])
    return pooled


def pooled_bytes(
    picture: Shaped[Tensor, "*B C H W"], size: int, pooling: Pooling
) -> Shaped[Tensor, "*B C H2 W2"]:
    """Return pictures pooled without overlap; size 1 changes nothing."""
    if size == 1:
        return picture
    return (max_pool_bytes if pooling == "max" else mean_pool_bytes)(picture, size)


def mean_pool_bytes(picture: Shaped[Tensor, "*B C H W"], size: int) -> Shaped[Tensor, "*B C H2 W2"]:
    """Mean pooling without overlap; of bytes it is rounded, half up, since they stay bytes."""
    if picture.is_floating_point():
        return F.avg_pool2d(picture, size)
    cut = picture[..., : picture.shape[-2] // size * size, : picture.shape[-1] // size * size]
    # 255 times 11 x 11 is the last sum of bytes that 16 bits hold.
    wide = torch.int16 if size <= 11 else torch.int32
    total = torch.zeros_like(cut[..., ::size, ::size], dtype=wide)
    for i in range(size):
        for j in range(size):
            total += cut[..., i::size, j::size]
    return total.add_(size * size // 2).div_(size * size, rounding_mode="floor").to(picture.dtype)


def apply_mask(
    maps: Float[Tensor, "B C H W"], mask: Float[Tensor, "B 1 H0 W0"] | None
) -> Float[Tensor, "B C H W"]:
    """Zero the maps outside the mask; a mask of another size is pooled to the maps' size."""
    if mask is None:
        return maps
    if mask.shape[-2:] != maps.shape[-2:]:
        mask = F.adaptive_max_pool2d(mask, (maps.shape[-2], maps.shape[-1]))
    return maps * mask.to(maps.dtype)


def refuse_mask(trunk: Trunk, mask: Tensor | None) -> None:
    """UserError if values outside a mask would reach those inside."""
    if mask is None:
        return
    kind = trunk.spec.norm_kind
    why = "max pooling mixes" if kind == "none" else f"{kind} norm counts"
    raise UserError(
        f"{trunk.spec.name} takes no mask: its {why} in what lies outside; use the trunk plain, "
        "impala or tower without normalisation"
    )


def scaled(channels: int, width: float) -> int:
    """Return a channel count times the width, at least 4 and a multiple of 4."""
    return max(4, round(channels * width / 4) * 4)


def orthogonal_(module: nn.Module, gain: float = math.sqrt(2)) -> None:
    """Initialise every convolution and linear layer: orthogonal weights, zero bias."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.orthogonal_(layer.weight, gain)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def plan_stages(trunk: Trunk, counts: Sequence[int]) -> Iterator[tuple[str, int, int, int]]:
    """Yield (name, channels in, channels out, stride) of every stage; store them in the trunk.

    The first stage strides by the spec's stem stride (2 if it names none), the others by its stage
    stride.
    """
    spec = trunk.spec
    previous, total = spec.in_channels, spec.pool
    for i, count in enumerate(counts, start=1):
        stride = spec.stage_stride if i > 1 else spec.stem_stride or 2
        total *= stride
        trunk.channels[f"s{i}"], trunk.strides[f"s{i}"] = count, total
        yield f"s{i}", previous, count, stride
        previous = count
