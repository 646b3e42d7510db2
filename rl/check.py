"""What agents will see of a game, before anything is trained: `arcadia check mygames:X-v0`.

Some random env steps are played, as the trials of a run do. What breaks the word of an environment
is the one line that training would end with; everything else is said: spaces, what was made of
them, rewards, whether games repeat themselves from their seeds, speed, and observations as a
picture, a row each, older frames on the left.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from jaxtyping import UInt8
from PIL import Image

from backbones.training.checks.limits import MOST_SEED, require_at_most
from backbones.training.config import require_not_negative, require_positive
from backbones.training.errors import UserError
from rl.games.contract import Environments
from rl.games.first_look import first_look
from rl.games.foreign.declared import DeclaredGame
from rl.games.foreign.pictures import planes_in_colour
from rl.games.make import is_atari, make_environments
from rl.games.options import EnvOptions
from rl.games.patience import Patience
from rl.games.repeats import repeats_itself
from rl.games.screen import drawing_notes
from rl.games.speed import settle_processes
from rl.games.stacks import STACK, FrameStack

MOST_STEPS = 100_000
NUM_ENVS, NUM_STEPS = 16, 64  # of a run by default
# The picture's rows, the height of a frame in it at least, and the lines between.
ROWS, FRAME_PX, LINE_PX = 4, 168, 4


@dataclass(frozen=True, kw_only=True)
class Config:
    """Check a game: what agents will see of it, and whether it can be trained on."""

    game: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="GAME")]]
    """An environment's id, such as mygames:Flappy-v0, or module:Class."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=("-o",))] = None
    """Write what agents will see into this .png file."""
    steps: int = 256
    """Random env steps to play, at most; a slow game is played for less."""
    seed: int = 1
    """Seed of the games and of the actions."""
    env_options: EnvOptions = field(default_factory=EnvOptions)

    def __post_init__(self) -> None:
        require_positive(self, "steps")
        require_not_negative(self, "seed")
        require_at_most(self, steps=MOST_STEPS, seed=MOST_SEED)
        if self.output is not None and self.output.suffix.lower() != ".png":
            raise ValueError(f"output = {self.output} must end in .png")


@dataclass
class Trial:
    """What some random env steps gave."""

    rewards: list[float]
    scores: list[float]
    lengths: list[int]
    ends: dict[str, int]
    seen: list[UInt8[np.ndarray, "KC H W"]]
    steps_per_s: float


def play(envs: Environments, config: Config) -> Trial:
    """Play random env steps in one environment."""
    rng, stacks = np.random.default_rng(config.seed), FrameStack(envs.reset())
    played = Trial([], [], [], {"terminated": 0, "truncated": 0}, [stacks.obs()[0].numpy()], 0.0)
    patience, score, length, begin = Patience(config.game, "a check", config.steps), 0.0, 0, 0.0
    spent, keep_every = 0.0, max(1, config.steps // (ROWS - 1))
    while not patience.over():
        begin = time.perf_counter()
        step = envs.step(rng.integers(len(envs.action_names), size=1))
        spent += time.perf_counter() - begin
        stacks.push(step.frame, step.over)
        played.rewards.append(float(step.reward[0]))
        score, length = score + played.rewards[-1], length + 1
        if step.over[0]:
            played.ends["truncated" if step.truncated[0] else "terminated"] += 1
            played.scores.append(score)
            played.lengths.append(length)
            score, length = 0.0, 0
        # Late enough that the stack is full, where games last so long.
        if patience.steps % keep_every == keep_every // 2 and len(played.seen) < ROWS:
            played.seen.append(stacks.obs()[0].numpy())
    played.steps_per_s = patience.steps / spent
    return played


def lines_of(config: Config, envs: Environments, played: Trial) -> list[str]:
    """Return what is to be said of a game, for people."""
    protocol, rewards, env = envs.protocol, np.array(played.rewards), config.game
    lines = [f"{env}", *declared(env, config.env_options)]
    lines.append(f"agents see: {protocol.obs}" + (protocol.adapted and f": {protocol.adapted}"))
    lines.append(f"actions: {len(envs.action_names)}: {', '.join(envs.action_names)}"[:400])
    lines.append(
        f"rewards in {len(rewards)} random env steps: {rewards.min():g} to {rewards.max():g}, "
        f"{np.count_nonzero(rewards)} of them not 0"
    )
    if played.scores:
        ends = ", ".join(f"{count} {how}" for how, count in played.ends.items() if count)
        lines.append(
            f"games ended: {len(played.scores)} ({ends}), of {np.mean(played.lengths):.0f} env "
            f"steps and score {np.mean(played.scores):g} on average"
        )
    else:
        lines.append(
            f"games ended: none; one is cut off after {protocol.max_frames:,} frames (--max-frames)"
        )
    same = repeats_itself(env, config.env_options, seed=config.seed)
    lines.append(
        "the same seed and actions give the same game: "
        + ("yes, so runs resume exactly" if same else "no, so runs end all games now and then")
    )
    lines.append(f"speed: {played.steps_per_s:,.0f} env steps/s in one process")
    notes = first_look(env, config.env_options)
    notes += settle_processes(env, config.env_options, NUM_ENVS, NUM_STEPS)[1]
    return [*lines, *notes, *drawing_notes(env, config.env_options)]


def declared(env: str, options: EnvOptions) -> list[str]:
    """Return the spaces that an environment declares; Atari's are known."""
    if is_atari(env):
        return []
    game = DeclaredGame(env, options)
    found = [
        f"observation space: {game.made.observation_space}",
        f"action space: {game.made.action_space}",
    ]
    game.close()
    return [" ".join(line.split()) for line in found]


def picture_of(
    seen: list[UInt8[np.ndarray, "KC H W"]], channels: int
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Return observations as a picture: a row each, its K frames from left to right."""
    rows = []
    for obs in seen:
        frames = planes_in_colour(obs.reshape(STACK, channels, *obs.shape[1:]))
        zoom = max(1, round(FRAME_PX / obs.shape[1]))
        large = frames.repeat(zoom, axis=1).repeat(zoom, axis=2)
        edged = np.pad(large, ((0, 0), (0, LINE_PX), (0, LINE_PX), (0, 0)), constant_values=96)
        rows.append(np.concatenate(list(edged), axis=1))
    return np.concatenate(rows)


def main(config: Config) -> int:
    """The command `arcadia check`."""
    options = config.env_options
    envs = make_environments(config.game, 1, seed=config.seed, options=options, threads=1)
    played = play(envs, config)
    print(*lines_of(config, envs, played), sep="\n")
    if config.output is not None:
        picture = Image.fromarray(picture_of(played.seen, envs.frame_shape[0]))
        try:
            picture.save(config.output)
        except OSError as error:
            raise UserError(f"{config.output} cannot be written: {error.strerror}") from None
        print(f"what agents see: {config.output}")
    envs.close()
    return 0
