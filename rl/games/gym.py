"""Any Gymnasium environment with pictures behind the contract.

It needs uint8 pictures [H, W], [H, W, 1] or [H, W, 3] and a discrete action space, and what it
returns is held against that (`rl/games/declared.py`). Pictures are
turned grey and shrunk to 84 x 84 unless told otherwise; nothing is skipped or clipped unless asked.
Games are restarted with a seed of their own, so one that obeys its seed can be replayed when a run
is resumed. For one that does not (`rl/games/repeats.py`), all games can be ended every so many env
steps, with environments made anew: there a run can be saved and resumed without a replay.
"""

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Int, UInt8

from backbones.training.errors import UserError
from rl.games.contract import GameProtocol, Step, game_seed
from rl.games.declared import DeclaredGame
from rl.games.history import History
from rl.games.options import EnvOptions


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
        self.envs = [DeclaredGame(env) for _ in range(num_envs)]
        self.frame_of = preprocess(options)
        self.action_names = self.envs[0].action_names
        self.frame_shape = (3 if options.colour else 1, options.size_px, options.size_px)
        spec = self.envs[0].made.spec
        limit = spec.max_episode_steps if spec else None
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
            self.frame[n] = self.frame_of(self.envs[n].reset(seed))

    def step(self, action: Int[np.ndarray, "N"]) -> Step:
        reward = np.zeros(self.num_envs, np.float32)
        terminated, truncated = np.zeros((2, self.num_envs), bool)
        for n, env in enumerate(self.envs):
            picture, reward[n], terminated[n], truncated[n] = env.hold(
                int(action[n]), self.options.frame_skip
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
            self.envs = [DeclaredGame(self.env) for _ in self.envs]
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
