"""Pictures put anywhere on a larger black ground, among pieces of other pictures.

Letters: B pictures, C channels, H rows, W columns, S rows and columns of the ground, K pieces, N
pictures that pieces are cut out of.

The translated and cluttered digits of Mnih et al. 2014, https://arxiv.org/abs/1406.6247: a ground
of 60 x 60 and, where it is cluttered, 4 pieces of 8 x 8 pixels, each cut out of another picture
at random and put anywhere. Where things overlap, the brighter pixel is seen.

Random numbers in [0, 1) are given from outside, so that a picture is a function of them alone.
"""

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

PIECE_PX = 8
ON_GROUND, A_PIECE = 2, 5  # random numbers that a picture takes, and a piece


def scattered(
    picture: Shaped[Tensor, "B C H W"],
    side_px: int,
    others: Shaped[Tensor, "N C H2 W2"] | None,
    random: Float[Tensor, "B R"],
) -> Shaped[Tensor, "B C S S"]:
    """Return pictures on a ground of `side_px` squared, among pieces of the others: as many as
    there are random numbers for, `ON_GROUND` and then `A_PIECE` for each."""
    count, channels = picture.shape[:2]
    ground = picture.new_zeros(count, channels, side_px * side_px)
    put(ground, picture, side_px, random[:, :ON_GROUND])
    for which in random[:, ON_GROUND:].split(A_PIECE, 1) if others is not None else []:
        assert others is not None
        put(ground, pieces(others, which[:, :3]).to(ground.dtype), side_px, which[:, 3:])
    return ground.view(count, channels, side_px, side_px)


def put(
    ground: Shaped[Tensor, "B C SS"],
    picture: Shaped[Tensor, "B C H W"],
    side_px: int,
    random: Float[Tensor, "B 2"],
) -> None:
    """Draw pictures into flat grounds, anywhere that they fit as a whole."""
    rows, columns = window(random, side_px, picture.shape[-2], picture.shape[-1])
    place = (rows[:, :, None] * side_px + columns[:, None]).flatten(1)[:, None]
    place = place.expand(-1, picture.shape[1], -1)
    brighter = torch.maximum(ground.gather(2, place), picture.flatten(2))
    ground.scatter_(2, place, brighter)


def pieces(
    others: Shaped[Tensor, "N C H2 W2"], random: Float[Tensor, "B 3"]
) -> Shaped[Tensor, "B C P P"]:
    """Return a piece for every row, cut out anywhere of any of the others."""
    which = (random[:, 0].double() * len(others)).long()
    rows, columns = window(random[:, 1:], min(others.shape[-2:]), PIECE_PX, PIECE_PX)
    cut = others[which[:, None, None], :, rows[:, :, None], columns[:, None]]
    return cut.permute(0, 3, 1, 2)


def window(
    random: Float[Tensor, "B 2"], side_px: int, height: int, width: int
) -> tuple[Int64[Tensor, "B H"], Int64[Tensor, "B W"]]:
    """Return the rows and the columns of a window of a square, anywhere that it fits."""
    top = (random[:, 0] * (side_px - height + 1)).long()
    left = (random[:, 1] * (side_px - width + 1)).long()
    down, across = (torch.arange(size, device=random.device) for size in (height, width))
    return top[:, None] + down, left[:, None] + across
