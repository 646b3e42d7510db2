"""The network of recurrent attention: it looks at small patches, one after the other, and answers.

Letters: B pictures, C channels, H rows, W columns, S scales, P rows and columns of a patch, T looks
(T1: all but the first), A classes, D units, I numbers of what was seen.

Mnih et al. 2014, https://arxiv.org/abs/1406.6247. A look (`glimpse`) is S patches about one place,
each of P x P numbers, each twice as wide as the one before and so much coarser. What was seen and
where are added (their equations 1 and 2), and the shared LSTM remembers. From its state come the
answer so far, the place of the next look, and the reward that is expected (the baseline). Places
are (x, y), from -1 at the left and upper edge of the picture to 1.

What surprises: nothing flows back through places, nor from locator and baseline into the LSTM,
which learns from the answers alone. So while training all places are found first, look by look and
without gradients; then the LSTM runs over all looks in one call, which gives the same.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from backbones.lstm import LSTM, LSTMSpec
from backbones.training.device.graphs import upload

Levels = list[Float[Tensor, "B C _ _"]]
SPREAD = 0.2  # gain of the locator's last layer: the first places are near the centre


class Looks(NamedTuple):
    """What a network did with its looks."""

    logits: Float[Tensor, "T B A"]
    """The answers after every look."""
    place: Float[Tensor, "T B 2"]
    """Where it looked."""
    memory: Float[Tensor, "T B D"]
    """The LSTM's output after every look."""
    meant: Float[Tensor, "T1 B 2"]
    """Where it meant to look, of all looks but the first: without noise the same."""
    reward: Float[Tensor, "T1 B"]
    """The reward that it expected before these."""


def pyramid(picture: Shaped[Tensor, "B C H W"], scales: int) -> Levels:
    """Return the pictures, then the means of every 2 x 2 pixels of the ones before, and so on.

    Black is added at the right and below where sides are no multiples of the coarsest pixel.
    """
    coarsest = 2 ** (scales - 1)
    height, width = picture.shape[-2:]
    levels = [F.pad(picture.float(), (0, -width % coarsest, 0, -height % coarsest))]
    for _ in range(scales - 1):
        levels.append(F.avg_pool2d(levels[-1], 2))
    return levels


def glimpse(
    levels: Levels, place: Float[Tensor, "B 2"], size: tuple[int, int], patch_px: int
) -> Float[Tensor, "B S C P P"]:
    """Return the patches of all levels about a place of pictures of `size` (rows, columns); between
    pixels bilinear, outside black."""
    offset = torch.arange(patch_px, device=place.device) - (patch_px - 1) / 2
    # In pixels of the picture, the first of which reaches from 0 to 1.
    middle_x, middle_y = (place[:, :1] + 1) / 2 * size[1], (place[:, 1:] + 1) / 2 * size[0]
    patches = []
    for number, level in enumerate(levels):
        # The same of the level; then from -1 to 1, as `grid_sample` counts.
        x = (middle_x / 2**number + offset) * (2 / level.shape[-1]) - 1
        y = (middle_y / 2**number + offset) * (2 / level.shape[-2]) - 1
        shape = (-1, patch_px, patch_px)
        grid = torch.stack([x[:, None].expand(shape), y[:, :, None].expand(shape)], -1)
        patches.append(F.grid_sample(level, grid, align_corners=False))
    return torch.stack(patches, 1)


class Looker(nn.Module):
    """Pictures in, the answers after every look out. The first look is at the centre."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        classes: int,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        patch_px: int,
        scales: int,
        looks: int,
        units: int,
    ) -> None:
        """`mean` and `std` are those of the training pictures, one number a channel."""
        super().__init__()
        self.patch_px, self.scales, self.looks = patch_px, scales, looks
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])
        seen = len(mean) * scales * patch_px**2
        self.what = nn.Sequential(
            linear(seen, 2 * units), nn.ReLU(), linear(2 * units, units, gain=1.0)
        )
        self.where = nn.Sequential(linear(2, units), nn.ReLU(), linear(units, units, gain=1.0))
        self.lstm = LSTM(LSTMSpec(inputs=units, units=units))
        # Forget gates are open at first, so that the first look is remembered to the last.
        nn.init.constant_(self.lstm.lstm.get_parameter("bias_ih_l0")[units : 2 * units], 2.0)
        self.classify = nn.Linear(units, classes)
        # With a hidden layer, since the LSTM does not learn from it (as in pull request 32 of
        # kevinzakka/recurrent-visual-attention: 98.8 % instead of 86).
        self.locate = nn.Sequential(linear(units, units), nn.ReLU(), linear(units, 2, gain=SPREAD))
        self.expect = nn.Linear(units, 1)

    def forward(
        self, picture: Shaped[Tensor, "B C H W"], noise: Float[Tensor, "B T1 2"] | None = None
    ) -> Looks:
        """Return the looks; `noise` is added to where all but the first are meant to be."""
        levels, size = pyramid(picture, self.scales), (picture.shape[-2], picture.shape[-1])
        kind = picture.device.type
        # Centres of patches that lie in the picture: outside is nothing to be seen, and a network
        # that has not learnt yet what to make of several looks would rather see nothing.
        inside = torch.tensor([max(0.0, 1 - self.patch_px / side) for side in size[::-1]])
        reach = upload(inside, picture.device)
        place = levels[0].new_zeros(len(picture), 2)
        state = self.lstm.initial_state(len(picture))
        rows = list[tuple[Tensor, Tensor, Tensor]]()
        with torch.no_grad():
            for look in range(self.looks):
                if look:
                    with torch.autocast(kind, enabled=False):
                        place = self.meant(rows[-1][-1].float(), reach)
                        place = place if noise is None else place + noise[:, look - 1]
                        place = place.clamp(-reach, reach)
                patches = self.patches(levels, place, size)
                out, state = self.lstm(self.seen(patches[None], place[None]), state)
                rows.append((patches, place, out[0]))
        patches, place, memory = map(torch.stack, zip(*rows, strict=True))
        if torch.is_grad_enabled():
            begin = self.lstm.initial_state(len(picture))
            memory, _ = self.lstm(self.seen(patches, place), begin)
        with torch.autocast(kind, enabled=False):
            memory = memory.float()
            before = memory[:-1].detach()
            meant, reward = self.meant(before, reach), self.expect(before)[..., 0]
            return Looks(self.classify(memory), place, memory, meant, reward)

    def meant(
        self, memory: Float[Tensor, "*any D"], reach: Float[Tensor, "2"]
    ) -> Float[Tensor, "*any 2"]:
        """Return where to look next."""
        return self.locate(memory).tanh() * reach

    def patches(
        self, levels: Levels, place: Float[Tensor, "B 2"], size: tuple[int, int]
    ) -> Float[Tensor, "B I"]:
        """Return what is seen at a place, as numbers of about the size of 1."""
        with torch.autocast(place.device.type, enabled=False):
            patches = glimpse(levels, place, size, self.patch_px)
            return ((patches - self.mean) / self.std).flatten(1)

    def seen(
        self, patches: Float[Tensor, "T B I"], place: Float[Tensor, "T B 2"]
    ) -> Float[Tensor, "T B D"]:
        """Return what the LSTM is told of looks: what, and where."""
        return F.relu(self.what(patches) + self.where(place))


def linear(inputs: int, outputs: int, gain: float = math.sqrt(2)) -> nn.Linear:
    """Return a layer with orthogonal weights and without biases at first."""
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer
