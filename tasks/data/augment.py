"""Augmentation of whole batches on their device, with random numbers given from outside.

Letters: B pictures, C channels, H rows, W columns, K numbers a picture. Pictures are uint8 or float
in 0..255; what is sampled between pixels comes back as float. `AugmentConfig` says what a job does;
`augment` does it in this order: flip, crop, affine and elastic (one resampling), cutout.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32, Int64, Shaped
from torch import Tensor

from backbones.training.checks.limits import require_at_most
from backbones.training.device.graphs import upload
from backbones.training.errors import UserError
from tasks.data.samples import uniforms

NUMBERS = 12  # random numbers a picture; the elastic grid takes more
KNOTS = 4  # a side of the elastic grid

MOST_PX = 4_096


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """What is done to training pictures, at random; 0 of everything leaves them alone."""

    flip: bool = False
    """Mirror left and right, every other epoch (each picture begins with one of the two)."""
    crop_px: int = 0
    """Shift by up to so many pixels each way, edges mirrored."""
    rotate_deg: float = 0.0
    """Rotate by up to so many degrees each way."""
    scale: float = 0.0
    """Enlarge or shrink by up to this fraction."""
    shear: float = 0.0
    """Shear by up to this fraction of the height."""
    zoom: float = 0.0
    """Cut out a square of at least 1 less this fraction of the side, and enlarge it."""
    shift: float = 0.0
    """Shift by up to this fraction of the side, black coming in."""
    elastic_px: float = 0.0
    """Move a grid of 4 x 4 knots by up to so many pixels, and the picture with it."""
    cutout_px: int = 0
    """Side of a black square put anywhere."""
    mixup: float = 0.0
    """Blend with another picture of the batch, labels too; alpha of the Beta distribution."""

    def __post_init__(self) -> None:
        if any(value < 0 for value in vars(self).values()):
            raise ValueError("what augmentation does must be 0 or above")
        require_at_most(
            self,
            crop_px=MOST_PX,
            cutout_px=MOST_PX,
            elastic_px=MOST_PX,
            rotate_deg=360,
            scale=1,
            zoom=0.99,
            shear=10,
            shift=1,
            mixup=1_000,
        )

    def check_side(self, side_px: int) -> None:
        """UserError if pictures are to be shifted by their side or more: no edge is that wide."""
        if self.crop_px >= side_px:
            raise UserError(
                f"--crop-px {self.crop_px}: pictures of {side_px} by {side_px} are shifted by less "
                "than their side; give a smaller one"
            )

    def refuse_mixup(self) -> None:
        """ValueError if pictures are to be blended, where the task cannot blend what it learns of
        them."""
        if self.mixup:
            raise ValueError(
                "mixup blends two pictures and their labels, which this task cannot; leave --mixup "
                "away"
            )

    @property
    def resamples(self) -> bool:
        """Whether pixels move by fractions."""
        moved = self.rotate_deg or self.scale or self.shear or self.shift or self.zoom
        return bool(moved or self.elastic_px)


def augment(
    picture: Shaped[Tensor, "B C H W"],
    index: Int64[Tensor, "B"],
    seed: int,
    epoch: int,
    config: AugmentConfig,
) -> Shaped[Tensor, "B C H W"]:
    """Return the pictures augmented; what happens to one depends on (seed, epoch, index) alone.

    `index` lies on the CPU, where the random numbers are made.
    """
    count = NUMBERS + 2 * KNOTS * KNOTS * (config.elastic_px > 0)
    noise = upload(uniforms(seed, epoch, index, count), picture.device)
    if config.flip:
        picture = flip(picture, alternating(seed, epoch, index, picture.device))
    if config.crop_px:
        picture = crop(picture, config.crop_px, noise[:, 0:2])
    if config.resamples:
        picture = resample(picture, noise, config)
    if config.cutout_px:
        picture = cutout(picture, config.cutout_px, noise[:, 8:10])
    return picture


def alternating(
    seed: int, epoch: int, index: Int64[Tensor, "B"], device: torch.device
) -> Bool[Tensor, "B"]:
    """Return which samples are mirrored in an epoch: half of them, in the next the other half.

    So no picture is seen the same way in two epochs on end (Keller Jordan 2024,
    https://arxiv.org/abs/2404.00498). `index` lies on the CPU, where numbers are made.
    """
    first = upload(uniforms(seed, 0, index, 1), device)[:, 0] < 0.5
    return first if epoch % 2 == 0 else ~first


def flip(picture: Shaped[Tensor, "B C H W"], which: Bool[Tensor, "B"]) -> Shaped[Tensor, "B C H W"]:
    """Mirror some pictures left and right."""
    return torch.where(which[:, None, None, None], picture.flip(-1), picture)


def crop(
    picture: Shaped[Tensor, "B C H W"], most_px: int, noise: Float32[Tensor, "B 2"]
) -> Shaped[Tensor, "B C H W"]:
    """Shift each picture by whole pixels, mirroring what comes in from outside."""
    count, channels, height, width = picture.shape
    offset = (noise * (2 * most_px + 1)).long() - most_px
    rows = mirrored(offset[:, :1] + torch.arange(height, device=picture.device), height)
    columns = mirrored(offset[:, 1:] + torch.arange(width, device=picture.device), width)
    flat = (rows[:, :, None] * width + columns[:, None, :]).view(count, 1, -1)
    moved = picture.flatten(2).gather(2, flat.expand(-1, channels, -1))
    return moved.view(picture.shape)


def mirrored(place: Int64[Tensor, "B L"], size: int) -> Int64[Tensor, "B L"]:
    """Return positions outside 0 .. size - 1 as their mirror images inside."""
    place = place.abs()
    return torch.where(place >= size, 2 * (size - 1) - place, place)


def resample(
    picture: Shaped[Tensor, "B C H W"], noise: Float32[Tensor, "B K"], config: AugmentConfig
) -> Float[Tensor, "B C H W"]:
    """Rotate, scale, shear, shift and bend, in one bilinear resampling; black outside."""
    height, width = picture.shape[-2:]
    either = noise[:, 2:8] * 2 - 1
    angle = either[:, 0] * math.radians(config.rotate_deg)
    grow = 1 + either[:, 1] * config.scale
    shear = either[:, 2] * config.shear
    cos, sin = angle.cos() / grow, angle.sin() / grow
    # Where a pixel of the result comes from, in units of half the picture's side.
    matrix = torch.stack(
        [
            cos,
            cos * shear - sin,
            either[:, 3] * 2 * config.shift,
            sin,
            sin * shear + cos,
            either[:, 4] * 2 * config.shift,
        ],
        dim=1,
    ).view(-1, 2, 3)
    if config.zoom:
        side = 1 - noise[:, 7] * config.zoom
        place = (noise[:, 10:12] * 2 - 1) * (1 - side[:, None])
        matrix = torch.cat([matrix[:, :, :2], matrix[:, :, 2:] + place[:, :, None]], 2)
        matrix[:, :, :2] *= side[:, None, None]
    grid = F.affine_grid(matrix, [len(picture), 1, height, width], align_corners=False)
    if config.elastic_px:
        knots = noise[:, NUMBERS:].view(-1, 2, KNOTS, KNOTS) * 2 - 1
        bend = F.interpolate(knots, (height, width), mode="bicubic", align_corners=True)
        # Made on the device: a list would be copied there, and waited for.
        sides = torch.full((2,), width, device=picture.device)
        sides[1:].fill_(height)
        grid = grid + bend.permute(0, 2, 3, 1) * config.elastic_px * 2 / sides
    return F.grid_sample(picture.float(), grid, align_corners=False)


def cutout(
    picture: Shaped[Tensor, "B C H W"], side_px: int, noise: Float32[Tensor, "B 2"]
) -> Shaped[Tensor, "B C H W"]:
    """Black out a square a picture, its centre anywhere inside."""
    inside = []
    for axis, size in enumerate(picture.shape[-2:]):
        start = (noise[:, axis] * size).long() - side_px // 2
        place = torch.arange(size, device=picture.device)
        inside.append((place >= start[:, None]) & (place < start[:, None] + side_px))
    hidden = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return picture.masked_fill(hidden, 0)


def mixed(
    picture: Shaped[Tensor, "B C H W"], seeds: Sequence[int], alpha: float
) -> tuple[Float[Tensor, "B C H W"], float]:
    """Blend each picture with that at the opposite end of the batch; return the pictures and the
    weight, at least a half, of their own labels.

    Zhang et al. 2018, https://arxiv.org/abs/1710.09412. Of several processes each blends its own.
    """
    drawn = np.random.default_rng(list(seeds)).beta(alpha, alpha)
    own = float(max(drawn, 1 - drawn))
    values = picture.float()
    return values * own + values.flip(0) * (1 - own), own
