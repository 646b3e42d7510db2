"""What writes a text by hand: the pen's next move, from its moves so far and a window on the text.

Without letters (V = 1) it draws: nothing is looked at, and the window gives zeros.

Letters: B lines, T points, U letters of a text, V letters of the alphabet, K Gaussians of the
window, M of the mixture, O its numbers, D units.

Graves 2013 (https://arxiv.org/abs/1308.0850), section 5. The first LSTM is given each move, and the
letters that the window lay on before; it says how far the window moves on, forward only. The second
is given the moves, the letters in the window and what the first one made of them. Without letters
this is the prediction network of section 4, with two layers.

What surprises: the first LSTM is stepped, since each step is given where the last one looked; the
second is fused over T, in learning and scoring. Where nothing is looked at, both are fused.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from backbones.lstm import LSTM, LSTMSpec, State
from backbones.sequences.mixture import draw, mixture_of, num_outputs

BITS = 2  # the pen is lifted after a point; the line ends with it
SLOWEST = 8  # points a letter at first, from which learning begins


@dataclass(frozen=True)
class Pen:
    """Where a line is: what the LSTMs remember, and where the window lies on the text."""

    first: State
    second: State
    kappa: Float[Tensor, "B K"]
    """Places of the window's Gaussians, in letters."""
    window: Float[Tensor, "B V"]
    """The letters that it lies on."""


class PenModel(nn.Module):
    """Moves and a text in, mixtures of the next move out."""

    def __init__(self, size: int, *, units: int, window: int, mixtures: int) -> None:
        """`size` letters of the alphabet, with 0, which stands behind a text's end; 1 to draw."""
        super().__init__()
        self.size, self.num_window = size, window
        self.encoder = LSTM(LSTMSpec(inputs=3 + size, units=units))
        self.look = nn.Linear(units, 3 * window)
        self.decoder = LSTM(LSTMSpec(inputs=3 + size + units, units=units))
        self.head = nn.Linear(2 * units, num_outputs(mixtures, BITS))
        with torch.no_grad():
            # At first lines do not end, and the window moves on by a letter in so many points.
            self.head.bias[-1] = -SLOWEST
            self.look.bias[2 * window :] = -torch.tensor(float(SLOWEST)).log()

    def begin(self, count: int) -> Pen:
        """Return the pen of lines that have just begun."""
        weight = self.head.weight
        return Pen(
            self.encoder.initial_state(count),
            self.decoder.initial_state(count),
            weight.new_zeros(count, self.num_window),
            weight.new_zeros(count, self.size),
        )

    def step_window(
        self, move: Float[Tensor, "B 3"], letters: Float[Tensor, "B U V"], pen: Pen
    ) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B U"], Pen]:
        """Take one step of the first LSTM; return what it made, the window's weight on every
        letter, and the pen after it."""
        out, first = self.encoder(torch.cat([move, pen.window], -1)[None], pen.first)
        numbers = self.look(out[0]).float()
        # Importance, narrowness, and how far on: exponentials, bounded so that none overflows.
        height, narrow, on = numbers.clamp(-10, 6).exp().chunk(3, -1)
        kappa = pen.kappa + on
        place = torch.arange(letters.shape[1], device=move.device, dtype=kappa.dtype)
        square = (kappa[:, :, None] - place).square()
        weight = (height[:, :, None] * (-narrow[:, :, None] * square).exp()).sum(1)
        window = torch.einsum("bu,buv->bv", weight, letters)
        return out[0], weight, replace(pen, first=first, kappa=kappa, window=window)

    def forward(
        self, moves: Float[Tensor, "B T 3"], letters: Float[Tensor, "B U V"], pen: Pen
    ) -> tuple[Float[Tensor, "B T O"], Float[Tensor, "B T U"], Pen]:
        """Return the numbers of a mixture of what follows each move, as `mixture_of` takes them,
        where the window lay, and the pen after them."""
        below, seen, weights, pen = self.look_along(moves, letters, pen)
        inputs = torch.cat([moves.transpose(0, 1), seen, below], -1)
        out, second = self.decoder(inputs, pen.second)
        outputs = self.head(torch.cat([below, out], -1)).transpose(0, 1)
        return outputs, weights, replace(pen, second=second)

    def look_along(
        self, moves: Float[Tensor, "B T 3"], letters: Float[Tensor, "B U V"], pen: Pen
    ) -> tuple[Float[Tensor, "T B D"], Float[Tensor, "T B V"], Float[Tensor, "B T U"], Pen]:
        """Return what the first LSTM made of moves, the letters in the window after each, the
        window's weight on every letter of the text, and the pen after them."""
        if self.size == 1:
            seen = moves.new_zeros(moves.shape[1], len(moves), 1)
            below, first = self.encoder(torch.cat([moves.transpose(0, 1), seen], -1), pen.first)
            nowhere = moves.new_zeros(*moves.shape[:2], letters.shape[1])
            return below, seen, nowhere, replace(pen, first=first)
        firsts, windows, weights = [], [], []
        for move in moves.unbind(1):
            first, weight, pen = self.step_window(move, letters, pen)
            firsts.append(first)
            windows.append(pen.window)
            weights.append(weight)
        return torch.stack(firsts), torch.stack(windows), torch.stack(weights, 1), pen

    def write(
        self,
        move: Float[Tensor, "1 1 3"],
        letters: Float[Tensor, "1 U V"],
        pen: Pen,
        generator: torch.Generator,
        *,
        bias: float,
        most: int,
    ) -> tuple[Float[Tensor, "T 3"], Float[Tensor, "T U"]]:
        """Return the moves that a pen draws at random after `move`, at most so many, and where the
        window lay at each."""
        moves, weights = list[Tensor](), list[Tensor]()
        for _ in range(most):
            outputs, weight, pen = self(move, letters, pen)
            point, bits = draw(mixture_of(outputs[:, 0], BITS, bias), generator)
            move = torch.cat([point, bits[:, :1]], -1)[:, None]
            moves.append(move[0, 0])
            weights.append(weight[0, 0])
            # No line ends before the window has left its last letter.
            if bits[0, 1] and int(weight[0, 0].argmax()) == letters.shape[1] - 1:
                break
        return torch.stack(moves), torch.stack(weights)


def given_letters(
    text: Int64[Tensor, "B U"], length: Int64[Tensor, "B"], size: int
) -> Float[Tensor, "B U2 V"]:
    """Return texts as the network is given them: U2 = U + 1 places, with letter 0 behind the last
    one of each, and nothing from there on."""
    longer = F.pad(text, (0, 1))
    inside = torch.arange(longer.shape[1]) <= length.cpu()[:, None]
    return F.one_hot(longer, size).float() * inside.to(text.device)[:, :, None]
