"""How games are played: what people may ask for, and what is too much."""

from dataclasses import dataclass

from backbones.training.checks.limits import require_at_most
from backbones.training.errors import UserError
from rl.games.atari import MAX_FRAMES, MOST_FRAMES, NOOP_MAX

MOST_ENVS = 4_096
# A no-op is a frame of play before every game.
MOST_NOOPS, MOST_FRAME_SKIP, MOST_SIZE_PX = 10_000, 1_000, 2_048


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
