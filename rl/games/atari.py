"""Atari through ale-py's native vector environment: N games on C++ threads, one call a step.

Preprocessing happens inside the emulator threads: an action is held for 4 frames, the last two are
combined by maximum, turned grey and shrunk to 84 x 84 (Mnih et al. 2015). A game begins with 0-29
no-ops, and with FIRE where the game has it. `sticky` is the chance that a frame repeats the
previous action (Machado et al. 2018, https://arxiv.org/abs/1709.06009): 0.25 for ids ending in -v5.

What surprises, all tried on ale-py 0.12.1:
- `episodic_life=True` restarts the whole game at a lost life; `life_loss_info` only reports it.
- `terminated` with no lives left is the game's end, in every one of the 104 registered games.
- Its own restart at a game's end costs a dead row, in which the action is ignored. We restart by
  mask at once, with a seed of our own, and there is none.
- At its own limit it stops before it has captured the last picture, so that 20 to 50 pixels of it
  are older, and it does not set `truncated` where a life is lost on that very step: lengths are
  counted here, and its limit lies an env step behind ours.
- With threads=0 it takes what the hardware has, not what the process may use.
- A seeded reset loads the ROM again: 110 to 180 ms, in which all other games wait; 5 to 10 without
  a seed. So games are seeded rarely. The emulator's own random numbers (no-ops, sticky actions) go
  on through an unseeded reset, so the games that follow a seeding repeat themselves as well.
"""

from functools import cache

import ale_py
import gymnasium
import numpy as np
from ale_py.vector_env import AtariVectorEnv
from jaxtyping import Int, UInt8

from backbones.training.device.cores import available_threads
from rl.games.contract import GameProtocol, Step, game_seed
from rl.games.history import History

# Without this every process begins with a banner on standard error.
ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)

FRAME_SKIP = 4
NOOP_MAX = 30
MAX_FRAMES = 108_000
MOST_FRAMES = 2**31 - 1  # the emulator counts them with 32 bits
SIZE_PX = 84
# Env steps between two seedings of an environment, at least: a replay has so many at most besides
# those of one game.
SEED_EVERY = 4096
UNSEEDED = -1


@cache
def atari_ids() -> dict[str, str]:
    """Return environment id -> ROM name for every game that Gymnasium registers as -v5."""
    gymnasium.register_envs(ale_py)
    # Other ROMs exist, but some of them end the whole process when a game is made of them.
    return {
        name: spec.kwargs["game"]
        for name, spec in gymnasium.registry.items()
        if name.startswith("ALE/") and name.endswith("-v5")
    }


class AtariEnvironments:
    """N games of one ROM behind the contract of `rl/games/contract.py`."""

    def __init__(
        self,
        env: str,
        numbers: range,
        *,
        seed: int,
        sticky: float = 0.25,
        noop_max: int = NOOP_MAX,
        max_frames: int = MAX_FRAMES,
        threads: int = 0,
        seed_every: int = SEED_EVERY,
    ) -> None:
        """Seed an environment `seed_every` or more env steps after the last time; 0: every game."""
        self.numbers = numbers
        self.num_envs = num_envs = len(numbers)
        self.end_games_every = 0
        self.seed, self.seed_every = seed, seed_every
        self.max_steps = -(-max_frames // FRAME_SKIP)
        self.envs = emulators(
            env, num_envs, threads, sticky=sticky, noop_max=noop_max, max_steps=self.max_steps
        )
        self.frame_shape = (1, SIZE_PX, SIZE_PX)
        self.action_names = tuple(a.name for a in self.envs.ale.get_action_set())
        self.protocol = GameProtocol(
            env=env,
            sticky=sticky,
            frame_skip=FRAME_SKIP,
            noop_max=noop_max,
            max_frames=max_frames,
            num_actions=len(self.action_names),
            obs="grey 84 x 84, 4 frames",
        )
        self.history = History(num_envs, len(self.action_names), seed_every)

    def reset(self) -> UInt8[np.ndarray, "N C H W"]:
        self.history = History(self.num_envs, len(self.action_names), self.seed_every)
        return self.begin_games(np.ones(self.num_envs, bool))

    def begin_games(self, mask: np.ndarray) -> UInt8[np.ndarray, "N C H W"]:
        """Restart the environments in the mask, with seeds where the history asks for them."""
        seeding = self.history.seeding
        seeds = [
            game_seed(self.seed, self.numbers[n], int(self.history.episode[n]))
            if seeding[n]
            else UNSEEDED
            for n in np.flatnonzero(mask)
        ]
        # A full reset must come first and must not carry a mask.
        options = None if mask.all() else {"reset_mask": mask}
        frame, _ = self.envs.reset(seed=np.array(seeds), options=options)
        return frame

    def step(self, action: Int[np.ndarray, "N"]) -> Step:
        frame, reward, terminated, _, info = self.envs.step(action)
        # Our own time limit: ale-py's comes an env step later.
        at_limit = self.history.lengths() + 1 >= self.max_steps
        over = (terminated & (info["lives"] == 0)) | at_limit
        truncated = at_limit & ~terminated
        self.history.record(action, over)
        final_frame = frame
        if over.any():
            frame = self.begin_games(over)
        return Step(frame, final_frame, reward.astype(np.float32), terminated, truncated, over)

    def state_dict(self) -> dict[str, np.ndarray]:
        return {**self.history.state_dict(), "seed_every": np.array(self.seed_every)}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> UInt8[np.ndarray, "N C H W"]:
        # A checkpoint without this is of a version that seeded every game: its run goes on so.
        self.seed_every = int(state.get("seed_every", 0))
        past = History(self.num_envs, len(self.action_names))
        past.load_state_dict(state)
        # Playing again ends the same games; nobody is seeded twice in what was kept.
        self.history = History(self.num_envs, len(self.action_names), len(past.actions) + 1)
        frame = self.envs.reset()[0]
        for seeding, action in past.replay():
            if seeding.any():
                self.history.seed(seeding, past.seeded_episode)
                frame = self.begin_games(seeding)
            if action is not None:
                frame = self.step(action).frame
        self.history.seed_every = self.seed_every
        return frame

    def close(self) -> None:
        self.envs.close()


def emulators(
    env: str, num_envs: int, threads: int, *, sticky: float, noop_max: int, max_steps: int
) -> AtariVectorEnv:
    """Return ale-py's vector environment of single frames, without what we do ourselves."""
    # A limit of its own that is never reached.
    max_frames = min(FRAME_SKIP * (max_steps + 1), MOST_FRAMES)
    return AtariVectorEnv(
        atari_ids()[env],
        num_envs,
        num_threads=min(threads or available_threads(), num_envs),
        stack_num=1,
        frameskip=FRAME_SKIP,
        noop_max=noop_max,
        use_fire_reset=True,
        max_num_frames_per_episode=max_frames,
        repeat_action_probability=sticky,
        episodic_life=False,
        life_loss_info=True,
        reward_clipping=False,
    )
