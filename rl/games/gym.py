"""Any Gymnasium environment with pictures behind the contract.

Its observations become pictures, its actions a choice of n, and what it returns is held against
what it declares: `pictures.py`, `actions.py` and `declared.py` of `rl/games/foreign/`. Pictures are
turned grey and shrunk to 84 x 84 unless told otherwise; planes that are neither grey nor in colour
stay apart; nothing is skipped or clipped unless asked.
Games are restarted with a seed of their own, so one that obeys its seed can be replayed when a run
is resumed. For one that does not (`rl/games/repeats.py`), all games can be ended every so many env
steps, with environments made anew: there a run can be saved and resumed without a replay.
"""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Int, UInt8

from backbones.training.errors import UserError
from rl.games.contract import GameProtocol, Step, game_seed
from rl.games.foreign.blame import GameFault
from rl.games.foreign.declared import DeclaredGame
from rl.games.history import History
from rl.games.options import EnvOptions


def settled(game: DeclaredGame, options: EnvOptions) -> EnvOptions:
    """Return options in which what the agent sees is said in full: the Dict's entry, how many
    channels, what size. UserError if that is not what an agent was trained with."""
    pictures = game.pictures
    planes = pictures.planes
    if options.channels and options.channels != planes:
        shown = pictures.shape[2] if len(pictures.shape) == 3 else 1
        raise UserError(
            f"{game.env} shows {shown} channels now, but the agent was trained with "
            f"{options.channels}; bring back the environment that it was trained on, or train anew"
        )
    size_px = options.size_px or max(pictures.shape[:2])
    return replace(options, channels=planes, size_px=size_px, obs_key=pictures.key)


def preprocess(options: EnvOptions) -> Callable[[np.ndarray], UInt8[np.ndarray, "C H W"]]:
    """Return the function from an environment's picture to the agent's frame."""
    size = (options.size_px, options.size_px)

    def frame(picture: np.ndarray) -> UInt8[np.ndarray, "C H W"]:
        if options.channels:
            planes = np.moveaxis(picture, 2, 0)
            if picture.shape[:2] != size:
                planes = np.stack([resized(plane, size) for plane in planes])
            return planes
        if picture.ndim == 3 and picture.shape[2] == 1:
            picture = picture[:, :, 0]
        if picture.ndim == 3 and not options.colour:
            picture = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        if picture.ndim == 2 and options.colour:
            picture = np.repeat(picture[:, :, None], 3, axis=2)
        if picture.shape[:2] != size:
            picture = resized(picture, size)
        return picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1)

    return frame


def resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a picture of another size; points of a smaller one are means of those they cover."""
    return cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_AREA)


def protocol_of(game: DeclaredGame, options: EnvOptions) -> GameProtocol:
    """Return how games of an environment are played, with settled options."""
    spec = game.made.spec
    limit = spec.max_episode_steps if spec else None
    kinds = "colour" if options.colour else "grey"
    kinds = f"{options.channels} planes" if options.channels else kinds
    return GameProtocol(
        env=game.env,
        sticky=0.0,
        frame_skip=options.frame_skip,
        noop_max=0,
        max_frames=min(limit or options.max_frames, options.max_frames),
        num_actions=game.num_actions,
        obs=f"{kinds} {options.size_px} x {options.size_px}, 4 frames",
        adapted="; ".join(adaptations(game, options)),
    )


def adaptations(game: DeclaredGame, options: EnvOptions) -> list[str]:
    """Return what was made of an environment, a few words each; nothing for one that shows uint8
    pictures and has n actions."""
    found = []
    if options.env_kwargs:
        found.append(f"made with {' '.join(options.env_kwargs)}")
    if options.old_api:
        found.append("of the interface before Gymnasium 0.26")
    if options.wrapper:
        found.append(f"wrapped in {', '.join(options.wrapper)}")
    if options.pixels:
        found.append("seen as it is drawn")
    found += game.pictures.notes
    rows, columns = game.pictures.shape[:2]
    if options.channels:
        found.append(f"{options.channels} planes")
    if max(rows, columns) < options.size_px:
        found.append(f"enlarged from {rows} x {columns}")
    if game.actions.note:
        found.append(game.actions.note)
    return found


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
        self.env_steps = 0
        first = DeclaredGame(env, options)
        self.options = options = settled(first, options)
        self.envs = [first, *(DeclaredGame(env, options, like=first) for _ in numbers[1:])]
        self.frame_of = preprocess(options)
        self.action_names = first.action_names
        self.frame_shape = (options.frame_channels, options.size_px, options.size_px)
        self.protocol = protocol_of(first, options)
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
            try:
                self.frame[n] = self.frame_of(self.envs[n].reset(seed))
            except GameFault as fault:
                fault.number = self.numbers[n]
                raise

    def step(self, action: Int[np.ndarray, "N"]) -> Step:
        reward = np.zeros(self.num_envs, np.float32)
        terminated, truncated = np.zeros((2, self.num_envs), bool)
        n = 0
        try:
            for n, env in enumerate(self.envs):
                picture, reward[n], terminated[n], truncated[n] = env.hold(
                    int(action[n]), self.options.frame_skip
                )
                self.frame[n] = self.frame_of(picture)
        except GameFault as fault:
            fault.number = self.numbers[n]
            raise
        steps = -(-self.options.max_frames // self.options.frame_skip)
        self.env_steps += 1
        all_end = self.end_games_every > 0 and self.env_steps % self.end_games_every == 0
        truncated |= (self.history.lengths() + 1 >= steps) | all_end
        over = terminated | truncated
        self.history.record(action, over)
        final_frame = self.frame.copy()
        if all_end:
            self.close()
            like = self.envs[0]
            self.envs = [DeclaredGame(self.env, self.options, like=like) for _ in self.envs]
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
                picture = self.envs[n].hold(int(action[n]), self.options.frame_skip)[0]
                self.frame[n] = self.frame_of(picture)
        return self.frame.copy()

    def close(self) -> None:
        for env in self.envs:
            env.close()
