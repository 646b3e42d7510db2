"""Masks as a bit a pixel, an eighth of what bytes take.

Letters: B samples, K objects of one, L objects of the sample that has most, S pixels of a side of
the square that pictures are fitted into, P bytes of a mask.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from tasks.data.columns import Batch, Column
from tasks.data.formats.boxed_photos import BoxedPhoto
from tasks.data.formats.rle import mask_of, runs_in


def packed_bytes(side_px: int) -> int:
    """Return what a mask takes."""
    return -(-(side_px**2) // 8)


def packed(masks: Bool[np.ndarray, "K S S"]) -> UInt8[np.ndarray, "K P"]:
    """Return masks as bits, row after row."""
    return np.packbits(masks.reshape(len(masks), -1), axis=1)


def unpacked(masks: UInt8[Tensor, "*B P"], side_px: int) -> Float[Tensor, "*B S S"]:
    """Return masks as 0 and 1."""
    shift = torch.arange(7, -1, -1, device=masks.device, dtype=torch.uint8)
    bits = (masks[..., None] >> shift) & 1
    return bits.flatten(-2)[..., : side_px**2].unflatten(-1, (side_px, side_px)).float()


def fitted_mask(text: str, size: tuple[int, int], side_px: int) -> Bool[np.ndarray, "S S"]:
    """Return a photo's mask as it lies in the square that the photo is fitted into."""
    mask, scale = mask_of(runs_in(text), *size), side_px / max(size)
    rows, columns = (max(1, round(side * scale)) for side in size)
    small = cv2.resize(mask.astype(np.uint8) * 255, (columns, rows), interpolation=cv2.INTER_AREA)
    whole = np.zeros((side_px, side_px), bool)
    whole[:rows, :columns] = small > 127
    return whole


@dataclass(frozen=True)
class MaskBits(Column):
    """The masks of photos, read from their run lengths when they are asked for."""

    photos: tuple[BoxedPhoto, ...]
    side_px: int

    def __len__(self) -> int:
        return len(self.photos)

    @property
    def alike(self) -> bool:
        return False

    def batch(self, name: str, index: Int64[Tensor, "B"]) -> Batch:
        """Return bits of [B, L, P], zeros behind the last object."""
        photos = [self.photos[n] for n in index.tolist()]
        most = max((len(photo.label) for photo in photos), default=0)
        bits = np.zeros((len(photos), most, packed_bytes(self.side_px)), np.uint8)
        for row, photo in zip(bits, photos, strict=True):
            texts = photo.masks or ()
            if texts:
                fitted = [fitted_mask(text, photo.size, self.side_px) for text in texts]
                row[: len(texts)] = packed(np.stack(fitted))
        return {name: torch.from_numpy(bits)}

    def part(self, index: Int64[Tensor, "B"]) -> "MaskBits":
        return MaskBits(tuple(self.photos[n] for n in index.tolist()), self.side_px)
