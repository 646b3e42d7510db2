"""The network that hears a silent film (Owens et al. 2016, https://arxiv.org/abs/1512.08512).

Letters: B films, T frames, H rows, W columns, S steps of sound, F bands, D features.

A frame is seen twice by the same trunk: as three channels of grey, the frame before, itself and the
next, where movement shows, and in colour. An LSTM goes through the film in steps of sound, of which
several lie in a frame; each is told its place in it. Unlike Owens', it reads both ways: a film is
whole before it is asked for its sound.
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from backbones.lstm import LSTM, LSTMSpec
from backbones.trunk import Trunk

CHUNK = 256  # frames that the trunk sees at once: what a film's length does not change
GAIN = 1.5  # of grey
GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601


class FilmHearer(nn.Module):
    """Frames in, compressed envelopes out."""

    def __init__(
        self, trunk: Trunk, size_px: int, units: int, features: int, steps: int, bands: int
    ) -> None:
        """`steps` of sound lie in a frame."""
        super().__init__()
        self.cnn, self.steps = trunk, steps
        channels, rows, columns = trunk.conv_output(size_px, size_px)
        self.squeeze = nn.Linear(2 * channels * rows * columns, features)
        self.lstm = LSTM(LSTMSpec(inputs=features + steps, units=units, bidirectional=True))
        self.head = nn.Linear(2 * units, bands)

    def see(self, frames: UInt8[Tensor, "B T H W 3"]) -> Float[Tensor, "B T D"]:
        """Return what is seen in every frame."""
        moved = frames.permute(0, 1, 4, 2, 3)
        parts = [weight * moved[:, :, number] for number, weight in enumerate(GREY)]
        grey = parts[0] + parts[1] + parts[2]
        # What stands still has no part in movement: the film's average goes away.
        grey = (GAIN * (grey - grey.mean(1, keepdim=True)) + 128).round().clamp(0, 255)
        grey = grey.to(torch.uint8)
        before = torch.cat([grey[:, :1], grey[:, :-1]], 1)
        after = torch.cat([grey[:, 1:], grey[:, -1:]], 1)
        motion = torch.stack([before, grey, after], 2).flatten(0, 1)
        colour = moved.flatten(0, 1)
        seen = [
            self.look(motion[first : first + CHUNK], colour[first : first + CHUNK])
            for first in range(0, len(colour), CHUNK)
        ]
        return torch.cat(seen).view(*frames.shape[:2], -1)

    def look(
        self, motion: UInt8[Tensor, "N 3 H W"], colour: UInt8[Tensor, "N 3 H W"]
    ) -> Float[Tensor, "N D"]:
        """Return what is seen in frames."""
        last = self.cnn.stages[-1]
        maps = self.cnn(torch.cat([motion, colour]))[last].flatten(1)
        both = torch.cat(maps.chunk(2), 1)
        return torch.relu(self.squeeze(both))

    def forward(self, frames: UInt8[Tensor, "B T H W 3"]) -> Float[Tensor, "B S F"]:
        seen = self.see(frames).float()
        batch, count = seen.shape[:2]
        place = torch.eye(self.steps, device=seen.device).expand(batch, count, -1, -1)
        inputs = torch.cat([seen[:, :, None].expand(-1, -1, self.steps, -1), place], 3)
        inputs = inputs.flatten(1, 2).transpose(0, 1)
        heard, _ = self.lstm.run(inputs)
        return self.head(heard.float()).transpose(0, 1)
