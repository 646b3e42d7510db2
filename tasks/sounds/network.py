"""The network that hears a silent film (Owens et al. 2016, https://arxiv.org/abs/1512.08512).

Letters: B films, T frames, H rows, W columns, S steps of sound, F bands, D features.

Every frame is seen as three channels of grey, the frame before, itself and the next, where movement
shows; by the same trunk one frame of a second is seen in colour, which says what things are made
of: on the average over a stretch, since that does not change as movement does. An LSTM goes through
the film in steps of sound, of which several lie in a frame; each is told its place in it. Unlike
Owens', it reads both ways: a film is whole before it is asked for its sound.
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from backbones.lstm import LSTM, LSTMSpec
from backbones.trunk import Trunk

CHUNK = 256  # frames that the trunk sees at once: what a film's length does not change
GAIN = 1.5  # of grey
STILL_EVERY = 15  # frames, of which one is seen in colour
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
        self.moving = nn.Linear(channels * rows * columns, features)
        self.still = nn.Linear(channels * rows * columns, features)
        self.lstm = LSTM(LSTMSpec(inputs=2 * features + steps, units=units, bidirectional=True))
        self.head = nn.Linear(2 * units, bands)

    def see(self, frames: UInt8[Tensor, "B T H W 3"]) -> Float[Tensor, "B T D"]:
        """Return what is seen in every frame: of movement, and of what stands still."""
        moved = frames.permute(0, 1, 4, 2, 3)
        parts = [weight * moved[:, :, number] for number, weight in enumerate(GREY)]
        grey = parts[0] + parts[1] + parts[2]
        # What stands still has no part in movement: the film's average goes away.
        grey = (GAIN * (grey - grey.mean(1, keepdim=True)) + 128).round().clamp(0, 255)
        grey = grey.to(torch.uint8)
        before = torch.cat([grey[:, :1], grey[:, :-1]], 1)
        after = torch.cat([grey[:, 1:], grey[:, -1:]], 1)
        motion = torch.stack([before, grey, after], 2)
        count = frames.shape[1]
        stills = moved[:, min(STILL_EVERY, count) // 2 :: STILL_EVERY]
        moving = self.look(motion, self.moving)
        material = self.look(stills, self.still).mean(1, keepdim=True)
        return torch.cat([moving, material.expand(-1, count, -1)], 2)

    def look(
        self, pictures: UInt8[Tensor, "B N 3 H W"], squeeze: nn.Linear
    ) -> Float[Tensor, "B N D"]:
        """Return what is seen in pictures."""
        last, rows = self.cnn.stages[-1], pictures.flatten(0, 1)
        seen = [torch.relu(squeeze(self.cnn(part)[last].flatten(1))) for part in rows.split(CHUNK)]
        return torch.cat(seen).view(*pictures.shape[:2], -1)

    def forward(self, frames: UInt8[Tensor, "B T H W 3"]) -> Float[Tensor, "B S F"]:
        seen = self.see(frames).float()
        batch, count = seen.shape[:2]
        place = torch.eye(self.steps, device=seen.device).expand(batch, count, -1, -1)
        inputs = torch.cat([seen[:, :, None].expand(-1, -1, self.steps, -1), place], 3)
        inputs = inputs.flatten(1, 2).transpose(0, 1)
        heard, _ = self.lstm.run(inputs)
        return self.head(heard.float()).transpose(0, 1)
