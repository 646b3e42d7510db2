"""Augmentation of pictures together with their labels, on their device.

Letters: B pictures, H rows, W columns. What happens to a sample is a function of (seed, epoch,
sample). Labels are never mixed: a pixel takes that of the nearest one.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Shaped, UInt8
from torch import Tensor

from backbones.training.checks.limits import require_at_most
from backbones.training.device.graphs import upload
from tasks.data.augment import alternating, flip
from tasks.data.samples import uniforms

NUMBERS = 8  # random numbers a picture


@dataclass(frozen=True, kw_only=True)
class MaskAugmentConfig:
    """What is done to training pictures and their labels, at random; 0 of everything leaves them
    alone."""

    flip: bool = True
    """Mirror left and right, every other epoch."""
    zoom: float = 0.3
    """Cut out a part of at least 1 less this fraction of the sides, and enlarge it."""
    light: float = 0.2
    """Change brightness and contrast by up to this fraction, and each colour by half of it."""

    def __post_init__(self) -> None:
        if min(self.zoom, self.light) < 0:
            raise ValueError("zoom and light must be 0 or above")
        require_at_most(self, zoom=0.9, light=0.9)


def augment_masks(
    picture: UInt8[Tensor, "B 3 H W"],
    label: UInt8[Tensor, "B H W"],
    index: Int64[Tensor, "B"],
    seed: int,
    epoch: int,
    config: MaskAugmentConfig,
) -> tuple[Shaped[Tensor, "B 3 H W"], UInt8[Tensor, "B H W"]]:
    """Return pictures and labels augmented; `index` lies on the CPU, where numbers are made."""
    noise = upload(uniforms(seed, epoch, index, NUMBERS), picture.device)
    labels = label[:, None]
    if config.flip:
        which = alternating(seed, epoch, index, picture.device)
        picture, labels = flip(picture, which), flip(labels, which)
    if not config.zoom and not config.light:
        return picture, labels[:, 0]
    values = picture.float()
    if config.zoom:
        grid = windows(noise, config.zoom, (int(label.shape[1]), int(label.shape[2])))
        values = F.grid_sample(values, grid, padding_mode="border", align_corners=False)
        labels = F.grid_sample(
            labels.float(), grid, mode="nearest", padding_mode="border", align_corners=False
        ).to(torch.uint8)
    if config.light:
        gain = 1 + (noise[:, 3:7] * 2 - 1) * config.light * noise.new_tensor([1, 0.5, 0.5, 0.5])
        contrast = 1 + (noise[:, 7] * 2 - 1) * config.light
        values = values * (gain[:, :1] * gain[:, 1:])[:, :, None, None]
        middle = values.mean((1, 2, 3), keepdim=True)
        values = (values - middle) * contrast[:, None, None, None] + middle
    return values.clamp(0, 255), labels[:, 0]


def windows(
    noise: Float[Tensor, "B K"], zoom: float, size: tuple[int, int]
) -> Float[Tensor, "B H W 2"]:
    """Return where the pixels of random parts of the pictures come from."""
    side = 1 - noise[:, 0] * zoom
    place = (noise[:, 1:3] * 2 - 1) * (1 - side[:, None])
    matrix = torch.zeros(len(noise), 2, 3, device=noise.device)
    matrix[:, 0, 0] = matrix[:, 1, 1] = side
    matrix[:, :, 2] = place
    return F.affine_grid(matrix, [len(noise), 1, *size], align_corners=False)
