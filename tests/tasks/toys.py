"""Two tiny tasks that prove what no task of today needs: two steps a batch, and a carried state.

Letters: B samples of a batch, T places of a window, U units.
"""

import sys
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from backbones.training.config import RunConfig, changed
from tasks.answers import Answer, Picture
from tasks.data.samples import Generated, Streams
from tasks.data.source import Source
from tasks.fit_config import FitConfig
from tasks.job import TaskJob
from tasks.scores.sums import Kept
from tasks.task import Task
from tasks.worlds.chance import SEEDS
from tasks.worlds.digits import digits

SIDE_PX, NOISE = 16, 8
FIT = FitConfig(
    num_epochs=2, batch_size=32, learning_rate=0.02, weight_decay=0.0, eval_every=0, ema=0.9
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Either toy."""

    fit: FitConfig = FIT
    run: RunConfig = field(
        default_factory=lambda: RunConfig(precision="fp32", checkpoint_every_s=1e-6)
    )


class Digits(Source):
    """Digits without their labels."""

    def samples(self, split):
        def make(index):
            return {"picture": digits(SEEDS[split], index, SIDE_PX)[0]}

        return Generated(128, make)


class GanModel(nn.Module):
    """A generator and a discriminator of two layers each."""

    def __init__(self) -> None:
        super().__init__()
        pixels = SIDE_PX * SIDE_PX
        self.generator = nn.Sequential(
            nn.Linear(NOISE, 64), nn.ReLU(), nn.Linear(64, pixels), nn.Tanh()
        )
        self.discriminator = nn.Sequential(nn.Linear(pixels, 64), nn.ReLU(), nn.Linear(64, 1))


class Gan(Task[Tensor]):
    """Goodfellow et al. 2014, with the loss that does not saturate."""

    metric = "gap"
    source_type = Digits
    takes = ()
    gives = "picture"

    def model(self):
        return GanModel()

    def parts(self):
        return {"generator": 1.0, "discriminator": 0.5}

    def loss(self, model, batch):
        noise = torch.randn(len(batch["picture"]), NOISE)
        return F.softplus(-model.discriminator(model.generator(noise)))[:, 0]

    def update(self, model, batch, step):
        real = batch["picture"].flatten(1) / 127.5 - 1
        with torch.no_grad():
            fake = model.generator(torch.randn(len(real), NOISE))
        judge = model.discriminator
        return {
            "discriminator_loss": step(
                lambda: (F.softplus(-judge(real)) + F.softplus(judge(fake)))[:, 0], "discriminator"
            ),
            "generator_loss": step(lambda: self.loss(model, batch), "generator"),
        }

    def predict(self, model, batch):
        noise = batch.get("noise")
        made = model.generator(
            torch.zeros(len(batch["picture"]), NOISE) if noise is None else noise
        )
        return ((made + 1) * 127.5).view(-1, SIDE_PX, SIDE_PX)

    def score(self, answers, batch):
        mean = batch["picture"].float().mean((1, 2, 3))
        return {"gap": (answers.mean((1, 2)) - mean).abs().sum(), "count": torch.tensor(len(mean))}

    def scores(self, sums):
        return {"gap": float(sums["gap"] / sums["count"])}

    def baseline(self):
        return 127.5, "white paper"

    def ask(self, inputs):
        return {"noise": torch.randn(2, NOISE, generator=torch.Generator().manual_seed(1))}

    def say(self, answers):
        pixels = answers.round().to(torch.uint8).cpu().numpy()
        return [Answer("a digit", {"side_px": SIDE_PX}, Picture(each)) for each in pixels]


class Text(Source):
    """Letters of which each follows from the three before it, 401 of them."""

    def samples(self, split):
        text = [1, 2, 3]
        while len(text) < 401:
            text.append((text[-1] * 2 + text[-3] + len(text) // 40) % 7)
        return Streams({"text": torch.tensor(text)}, window=5)


class LetterModel(nn.Module):
    """An LSTM that says what comes next."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 12)
        self.lstm = nn.LSTM(12, 12, batch_first=True)
        self.head = nn.Linear(12, 7)


class Letters(Task[Tensor]):
    """A model of letters, learnt by truncated back-propagation through time."""

    metric = "loss"
    source_type = Text

    def model(self):
        return LetterModel()

    def losses(self, model, text, state=None):
        """Return the loss of every window, and the state behind it."""
        out, after = model.lstm(model.embedding(text[:, :-1]), state)
        loss = F.cross_entropy(
            model.head(out).flatten(0, 1), text[:, 1:].flatten(), reduction="none"
        )
        return loss.view(len(text), -1).sum(1), after

    def loss(self, model, batch):
        carried = self.carried
        # Rows come first in what is carried, layers in what torch takes.
        state = (
            [carried[name].transpose(0, 1).contiguous() for name in ("hidden", "cell")]
            if carried
            else None
        )
        loss, after = self.losses(model, batch["text"], state)
        rows = [part.detach().transpose(0, 1).contiguous() for part in after]
        self.carried = dict(zip(("hidden", "cell"), rows, strict=True))
        return loss

    def predict(self, model, batch):
        return self.losses(model, batch["text"])[0]

    def score(self, answers, batch):
        places = torch.tensor(batch["text"][:, 1:].numel())
        return {"loss": answers.sum(), "places": places, "windows": Kept(answers)}

    def scores(self, sums):
        median = float(sums["windows"].sort().values[len(sums["windows"]) // 2])
        return {"loss": float(sums["loss"] / sums["places"]), "median": median}

    def baseline(self):
        return 1.946, "a guess among seven letters"


GAN = TaskJob("gan", {"default": Config()}, Gan)
LETTERS = TaskJob("letters", {"default": Config()}, Letters)

if __name__ == "__main__":
    LETTERS.train(changed(Config(), run=changed(Config().run, name=sys.argv[1])))
