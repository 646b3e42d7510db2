"""How games are played: what people may ask for, and what is too much."""

from dataclasses import dataclass

import tyro

from backbones.training.checks.limits import require_at_most
from backbones.training.errors import UserError
from rl.games.atari import MAX_FRAMES, MOST_FRAMES, NOOP_MAX
from rl.games.foreign.asked import Called, keyword_values

MOST_ENVS = 4_096
# A no-op is a frame of play before every game.
MOST_NOOPS, MOST_FRAME_SKIP, MOST_SIZE_PX = 10_000, 1_000, 2_048
# Below so many points a picture holds nothing.
FEWEST_PX, MOST_CHANNELS, MOST_PROCESSES = 5, 512, 256


@dataclass(frozen=True, kw_only=True)
class EnvOptions:
    """How the games are played. For Atari the usual protocol; elsewhere nothing unless asked."""

    sticky: float | None = None
    """Chance that a frame repeats the last action; default: 0.25 for ids ending in -v5 (Atari
    only)."""
    noop_max: int = NOOP_MAX
    """0 to N - 1 random no-ops at reset (Atari only)."""
    max_frames: int = MAX_FRAMES
    """A game is cut off after this many frames."""
    frame_skip: int = 1
    """Frames that an action is held (not Atari, which always has 4)."""
    size_px: int = 84
    """Height and width of the agent's pictures; 0: as the game shows them, its longer side (not
    Atari, which always has 84)."""
    colour: bool = False
    """Pictures in colour rather than grey (not Atari)."""
    pixels: bool = False
    """Learn from what the game draws (its render_mode rgb_array), not from what it observes (not
    Atari)."""
    obs_key: str = ""
    """Which entry of a Dict of observations is the picture; default: the only one (not Atari)."""
    env_kwargs: tuple[str, ...] = ()
    """Keyword arguments of the environment: NAME=VALUE, such as continuous=False, with values as
    Python writes them (not Atari)."""
    wrapper: tuple[str, ...] = ()
    """Wrappers around the environment, the innermost first: module:Class, or
    "module:Class(limit=100)" (not Atari)."""
    old_api: bool = False
    """The environment has the interface before Gymnasium 0.26: reset() -> obs, step() -> four
    things (not Atari)."""
    env_processes: int | None = None
    """Processes that the games are spread over; 0: none but this; default: a timing decides where
    a run begins (not Atari, which has threads)."""
    channels: tyro.conf.Suppress[int] = 0
    """Channels of a frame that is neither grey nor in colour; found before a run begins."""

    def __post_init__(self) -> None:
        if self.sticky is not None and not 0 <= self.sticky < 1:
            raise UserError(f"sticky = {self.sticky} must lie in [0, 1)")
        for name in ("noop_max", "max_frames", "frame_skip"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)} must be at least 1")
        if self.size_px and self.size_px < FEWEST_PX:
            raise UserError(f"size_px = {self.size_px} must be 0, or at least {FEWEST_PX}")
        if min(self.channels, self.env_processes or 0) < 0:
            raise UserError(
                f"env_processes = {self.env_processes} and channels = {self.channels} must be 0 or "
                "above"
            )
        keyword_values(self.env_kwargs)
        for text in self.wrapper:
            Called.read(text)
        require_at_most(
            self,
            noop_max=MOST_NOOPS,
            max_frames=MOST_FRAMES,
            frame_skip=MOST_FRAME_SKIP,
            size_px=MOST_SIZE_PX,
            channels=MOST_CHANNELS,
            env_processes=MOST_PROCESSES,
        )

    @property
    def frame_channels(self) -> int:
        """Channels of the agent's frames: 1 grey, 3 colour, or planes that are neither."""
        return self.channels or (3 if self.colour else 1)
