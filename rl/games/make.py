"""Environments by name, and any Gymnasium environment with pictures behind the contract.

A Gymnasium environment needs uint8 pictures [H, W], [H, W, 1] or [H, W, 3] and a discrete action
space. Pictures are turned grey and shrunk to 84 x 84 unless told otherwise; nothing is skipped or
clipped unless asked. `module:Env-v0` imports the user's own module first. Games are restarted with
a seed of their own, so one that obeys its seed can be lived through again when a run is resumed.
For one that does not (`repeats_itself`), all games can be ended every so many env steps, with
environments made anew: there a run can be saved and resumed without living through anything.
"""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from jaxtyping import Int, UInt8

from backbones.training.checks.limits import require_at_most
from backbones.training.errors import UserError
from backbones.training.jobs import import_own
from rl.games import toys
from rl.games.atari import MAX_FRAMES, NOOP_MAX, SEED_EVERY, AtariEnvironments, atari_ids
from rl.games.contract import Environments, GameProtocol, Step, game_seed
from rl.games.history import History

# Env steps between two ends of all games, where games cannot be lived through again.
END_GAMES_EVERY = 1024
MOST_ENVS = 4_096
# A no-op is a frame of play before every game; the emulator counts frames with 32 bits.
MOST_NOOPS, MOST_FRAMES, MOST_FRAME_SKIP, MOST_SIZE_PX = 10_000, 2**31 - 1, 1_000, 2_048


@dataclass(frozen=True, kw_only=True)
class EnvOptions:
    """How the games are played. For Atari the usual protocol; elsewhere nothing unless asked."""

    sticky: float | None = None
    """Chance that a frame repeats the last action; default: 0.25 for ids ending in -v5 (Atari
    only)."""
    noop_max: int = NOOP_MAX
    """Up to this many no-ops begin a game, less one (Atari only)."""
    max_frames: int = MAX_FRAMES
    """A game is cut off after this many frames."""
    frame_skip: int = 1
    """Frames that an action is held (not Atari, which always has 4)."""
    size_px: int = 84
    """Height and width of the agent's pictures (not Atari, which always has 84)."""
    colour: bool = False
    """Pictures in colour rather than grey (not Atari)."""

    def __post_init__(self) -> None:
        if self.sticky is not None and not 0 <= self.sticky < 1:
            raise UserError(f"sticky = {self.sticky} must lie in [0, 1)")
        for name in ("noop_max", "max_frames", "frame_skip"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)} must be at least 1")
        if self.size_px < 36:
            raise UserError(f"size_px = {self.size_px} must be at least 36 for the trunks")
        require_at_most(
            self,
            noop_max=MOST_NOOPS,
            max_frames=MOST_FRAMES,
            frame_skip=MOST_FRAME_SKIP,
            size_px=MOST_SIZE_PX,
        )


def is_atari(env: str) -> bool:
    """Say whether an id is one of the Atari games; UserError if it is no environment at all."""
    if env in atari_ids():
        return True
    toys.register()
    module, _, name = env.rpartition(":")
    known = [*atari_ids(), *gymnasium.registry]
    try:
        if module:
            import_own(module)
        spec = gymnasium.spec(name)
    except (gymnasium.error.Error, ModuleNotFoundError, TypeError, ValueError) as error:
        raise UserError(f"unknown environment {env!r}{nearest(env, known)} ({error})") from None
    if str(spec.entry_point).startswith("ale_py"):
        raise UserError(
            f"{env} is an old name of an Atari game{nearest(env, list(atari_ids()))} "
            "Its protocol without sticky actions is --sticky 0"
        )
    return False


def short_name(env: str) -> str:
    """Return what people call an environment: pong for ALE/Pong-v5."""
    return re.split(r"[/:]", env)[-1].rsplit("-v", 1)[0].lower()


def nearest(env: str, known: list[str]) -> str:
    """Return "; did you mean ...?" with the id most like what was given, or nothing."""
    by_key = {short_name(name): name for name in reversed(known)}
    key = short_name(env).replace("noframeskip", "")
    close = difflib.get_close_matches(key, by_key, 1, 0.5)
    return f"; did you mean {by_key[close[0]]}?" if close else ""


def make_environments(
    env: str,
    envs: int | range,
    *,
    seed: int,
    options: EnvOptions,
    threads: int = 0,
    end_games_every: int = 0,
    seed_every: int = SEED_EVERY,
) -> Environments:
    """Return games of an environment; UserError if it is unknown or cannot be played.

    `envs` is how many, or which of those that several processes share. All games are ended every
    `end_games_every` env steps if that is above 0 (not Atari, which repeats itself). An environment
    is seeded at the first game that begins `seed_every` env steps after its last seeding; 0: at
    every game (always so outside Atari, where seeding costs little).
    """
    numbers = range(envs) if isinstance(envs, int) else envs
    if not is_atari(env):
        return GymnasiumEnvironments(
            env, numbers, seed=seed, options=options, end_games_every=end_games_every
        )
    refuse_for_atari(env, options)
    sticky = 0.25 if options.sticky is None else options.sticky
    return AtariEnvironments(
        env,
        numbers,
        seed=seed,
        sticky=sticky,
        noop_max=options.noop_max,
        max_frames=options.max_frames,
        threads=threads,
        seed_every=seed_every,
    )


def refuse_for_atari(env: str, options: EnvOptions) -> None:
    """Raise UserError for an option that Atari would silently ignore."""
    for name in ("frame_skip", "size_px", "colour"):
        if getattr(options, name) != getattr(EnvOptions, name):
            flag = name.replace("_", "-")
            raise UserError(f"--{flag} is not for {env}: Atari has 4 frames, grey, 84 x 84")


def make_checked(env: str, **kwargs: Any) -> gymnasium.Env:
    """Make one Gymnasium environment; UserError with the reason if agents cannot play it."""
    try:
        made = gymnasium.make(env, **kwargs)
    except (gymnasium.error.Error, ModuleNotFoundError, TypeError) as error:
        raise UserError(f"{env} could not be made: {error}") from None
    space, actions = made.observation_space, made.action_space
    if not isinstance(actions, Discrete):
        raise UserError(
            f"{env} has the action space {actions}; agents here choose one of n actions"
        )
    if not isinstance(space, Box) or len(space.shape) not in (2, 3):
        raise UserError(
            f"{env} shows {space}, not pictures; agents here see pixels. "
            "gymnasium.wrappers.AddRenderObservation turns its drawing into observations"
        )
    if space.dtype != np.uint8 or (len(space.shape) == 3 and space.shape[2] not in (1, 3)):
        raise UserError(
            f"{env} shows {space.dtype} pictures of shape {space.shape}; expected uint8 "
            "[H, W], [H, W, 1] or [H, W, 3]"
        )
    return made


def action_names(env: gymnasium.Env) -> tuple[str, ...]:
    """Return the environment's own `action_names`, else `action 0`, `action 1`, ..."""
    assert isinstance(env.action_space, Discrete)
    given = getattr(env.unwrapped, "action_names", None)
    return tuple(given or (f"action {i}" for i in range(int(env.action_space.n))))


def preprocess(options: EnvOptions) -> Callable[[np.ndarray], UInt8[np.ndarray, "C H W"]]:
    """Return the function from an environment's picture to the agent's frame."""
    size = (options.size_px, options.size_px)

    def frame(picture: np.ndarray) -> UInt8[np.ndarray, "C H W"]:
        if picture.ndim == 3 and picture.shape[2] == 1:
            picture = picture[:, :, 0]
        if picture.ndim == 3 and not options.colour:
            picture = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        if picture.ndim == 2 and options.colour:
            picture = np.repeat(picture[:, :, None], 3, axis=2)
        if picture.shape[:2] != size:
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        return picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1)

    return frame


def hold(env: gymnasium.Env, action: int, frames: int) -> tuple[np.ndarray, float, bool, bool]:
    """Hold an action for some frames; return (picture, summed reward, terminated, truncated)."""
    assert isinstance(env.action_space, Discrete)
    total, terminated, truncated = 0.0, False, False
    for _ in range(frames):
        picture, reward, terminated, truncated, _ = env.step(int(env.action_space.start) + action)
        total += float(reward)
        if terminated or truncated:
            break
    # Environments may give 0 and 1, or NumPy's.
    return picture, total, bool(terminated), bool(truncated)


class GymnasiumEnvironments:
    """N copies of a Gymnasium environment, stepped one after the other in this process."""

    def __init__(
        self, env: str, numbers: range, *, seed: int, options: EnvOptions, end_games_every: int = 0
    ) -> None:
        for name in ("sticky", "noop_max"):
            if getattr(options, name) not in (getattr(EnvOptions, name), 0.0):
                flag = name.replace("_", "-")
                raise UserError(f"--{flag} is for Atari; {env} is played as it is")
        self.numbers = numbers
        self.num_envs = num_envs = len(numbers)
        self.env, self.seed, self.end_games_every = env, seed, end_games_every
        self.options = options
        self.env_steps = 0
        self.envs = [make_checked(env) for _ in range(num_envs)]
        self.frame_of = preprocess(options)
        self.action_names = action_names(self.envs[0])
        self.frame_shape = (3 if options.colour else 1, options.size_px, options.size_px)
        limit = self.envs[0].spec.max_episode_steps if self.envs[0].spec else None
        self.protocol = GameProtocol(
            env=env,
            sticky=0.0,
            frame_skip=options.frame_skip,
            noop_max=0,
            max_frames=min(limit or options.max_frames, options.max_frames),
            num_actions=len(self.action_names),
            obs=f"{'colour' if options.colour else 'grey'} {options.size_px} x {options.size_px}, "
            "4 frames",
        )
        self.history = History(num_envs, len(self.action_names))
        self.frame = np.zeros((num_envs, *self.frame_shape), np.uint8)

    def reset(self) -> UInt8[np.ndarray, "N C H W"]:
        self.history = History(self.num_envs, len(self.action_names))
        self.begin_games(np.ones(self.num_envs, bool))
        return self.frame.copy()

    def begin_games(self, mask: np.ndarray) -> None:
        """Restart the environments in the mask with the seeds of their current episodes."""
        for n in np.flatnonzero(mask):
            seed = game_seed(self.seed, self.numbers[n], int(self.history.episode[n]))
            self.frame[n] = self.frame_of(self.envs[n].reset(seed=seed)[0])

    def step(self, action: Int[np.ndarray, "N"]) -> Step:
        reward = np.zeros(self.num_envs, np.float32)
        terminated, truncated = np.zeros((2, self.num_envs), bool)
        for n, env in enumerate(self.envs):
            picture, reward[n], terminated[n], truncated[n] = hold(
                env, int(action[n]), self.options.frame_skip
            )
            self.frame[n] = self.frame_of(picture)
        steps = -(-self.options.max_frames // self.options.frame_skip)
        self.env_steps += 1
        all_end = self.end_games_every > 0 and self.env_steps % self.end_games_every == 0
        truncated |= (self.history.lengths() + 1 >= steps) | all_end
        over = terminated | truncated
        self.history.record(action, over)
        final_frame = self.frame.copy()
        if all_end:
            self.close()
            self.envs = [make_checked(self.env) for _ in self.envs]
        self.begin_games(over)
        return Step(
            self.frame.copy(), final_frame, reward, terminated, truncated & ~terminated, over
        )

    def state_dict(self) -> dict[str, np.ndarray]:
        return {**self.history.state_dict(), "env_steps": np.array(self.env_steps)}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> UInt8[np.ndarray, "N C H W"]:
        self.env_steps = int(state["env_steps"])
        self.history.load_state_dict(state)
        begun = np.zeros(self.num_envs, bool)
        for begins, action in self.history.replay():
            self.begin_games(begins)
            begun |= begins
            if action is None:
                break
            for n in np.flatnonzero(begun):
                picture = hold(self.envs[n], int(action[n]), self.options.frame_skip)[0]
                self.frame[n] = self.frame_of(picture)
        return self.frame.copy()

    def close(self) -> None:
        for env in self.envs:
            env.close()


def repeats_itself(env: str, options: EnvOptions, seed: int, num_steps: int = 256) -> bool:
    """Say whether a game of an environment can be lived through again: played twice, all is equal.

    The second time on a fresh environment and on the used one, with the same seeds and actions.
    """
    if is_atari(env):
        return True  # Tried on every registered game, sticky actions included.
    used, fresh = (
        GymnasiumEnvironments(env, range(1), seed=seed, options=options) for _ in range(2)
    )
    rng = np.random.default_rng(seed)
    actions = rng.integers(len(used.action_names), size=(num_steps, 1))
    lives = [played(envs, actions) for envs in (used, fresh, used)]
    used.close()
    fresh.close()
    return lives[0] == lives[1] == lives[2]


def played(envs: Environments, actions: Int[np.ndarray, "T N"]) -> list[bytes]:
    """Return all that some actions lead to from the first game on."""
    seen = [envs.reset().tobytes()]
    for action in actions:
        seen += [array.tobytes() for array in envs.step(action)]
    return seen


def settle_end_of_games(env: str, options: EnvOptions, num_steps: int) -> tuple[int, list[str]]:
    """Return how often all games must be ended for a run to be saved, and lines for the log.

    0 (never) where games repeat themselves, else a multiple of the rollout's `num_steps`.
    """
    if repeats_itself(env, options, seed=1):
        return 0, []
    every = -(-END_GAMES_EVERY // num_steps) * num_steps
    return every, [
        f"{env} does not repeat its games from their seeds: all games end every {every:,} env "
        "steps of each environment, where the run can be saved (--end-games-every)"
    ]
