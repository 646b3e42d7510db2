"""The settings of the job `go`, and its presets."""

from dataclasses import dataclass, field

from backbones.training.checks.limits import MOST_GAMES, require_at_most
from backbones.training.config import (
    RunConfig,
    StartName,
    require_fraction,
    require_not_negative,
    require_positive,
)
from backbones.training.optim import anneal
from rl.go.learning.selfplay_config import SelfPlayConfig, fair_komi
from rl.go.network.go_network import PRESETS as NETWORKS
from rl.go.rules.position import check_komi, check_size


@dataclass(frozen=True, kw_only=True)
class Config:
    """Train a Go network from self-play."""

    size: int = 5
    """Points on a side."""
    network: str = "b2c32"
    """The network: b2c32, b4c32, b4c64, b6c96 or b10c128 (blocks and channels)."""
    total_moves: int = 150_000
    """Moves of self-play to learn from."""
    komi: float | None = None
    """Komi that half of the games are played round; default: the fair one of this size, or 7."""
    moves_a_turn: int = 1_024
    """Moves between two versions of the network that plays."""
    sync: bool = False
    """Play and learn strictly in turn, instead of learning while the next turn is played."""
    window: int = 100_000
    """Positions that are learnt from at most: the newest."""
    first_window: int = 8_000
    """Positions before the window grows more slowly than the games."""
    reuse: float = 4.0
    """How often a position is learnt from, on average."""
    batch_size: int = 128
    """Positions of an update."""
    learning_rate: float = 2e-3
    """Step size of AdamW."""
    anneal_from: float = 0.7
    """Share of the run after which the step size falls on a line to 0."""
    weight_decay: float = 1e-3
    """Decay of weights, but not of biases and norms."""
    max_grad_norm: float = 4.0
    """Gradients are scaled down to this norm."""
    ema: float = 0.995
    """Decay of the averaged weights, which play and are kept; 0: no average."""
    init: StartName = ""
    """Start from a run's weights, or a trunk's: RUN, RUN:cnn or FILE.safetensors."""
    ladder_every: int = 25_000
    """Moves between two matches against the last rung of the ladder."""
    ladder_games: int = 32
    """Games of such a match; 0: no ladder."""
    ladder_opponent: str = "gnugo"
    """Program that joins the ladder: gnugo (GNU Go at level 10, where it is installed), or a
    command that speaks GTP, in quotes; "": none."""
    opponent_every: int = 4
    """Matches of the ladder between two against that program."""
    opponent_games: int = 6
    """Games of such a match; 0: none."""
    stop_rules: bool = True
    """End a run that passes early, plays endless games or knows its games by heart, and say so."""
    picture_every_s: float = 120.0
    """Seconds between two games in TensorBoard, as films and with the points' owners; 0: none."""
    warm_start: str = ""
    """Folder of SGF games that the window begins with; "": nothing but the run's own games."""
    eval_games: int = 10
    """Games against the player without a network that the run ends with; 0: none."""
    play: SelfPlayConfig = field(default_factory=SelfPlayConfig)
    """How games are played."""
    run: RunConfig = field(default_factory=RunConfig)
    """What every run has."""

    def __post_init__(self) -> None:
        check_size(self.size)
        if self.komi is not None:
            check_komi(self.komi)
        if self.network not in NETWORKS:
            raise ValueError(
                f"network = {self.network!r} is unknown; choose one of {', '.join(NETWORKS)}"
            )
        require_positive(
            self, "total_moves", "moves_a_turn", "window", "first_window", "reuse", "batch_size"
        )
        require_positive(self, "ladder_every", "opponent_every")
        require_positive(self, "learning_rate", "max_grad_norm")
        require_not_negative(self, "weight_decay", "eval_games", "picture_every_s")
        require_not_negative(self, "ladder_games", "opponent_games")
        require_fraction(self, "anneal_from", "ema")
        require_at_most(self, eval_games=MOST_GAMES, ladder_games=MOST_GAMES)
        require_at_most(self, opponent_games=MOST_GAMES)
        if self.first_window > self.window:
            raise ValueError(
                f"first_window = {self.first_window} must be at most window = {self.window}"
            )
        if self.ema == 1:
            raise ValueError("ema = 1 would never learn; give less than 1")

    @property
    def fair_komi(self) -> float:
        """The komi that half of the games are played round."""
        return fair_komi(self.size) if self.komi is None else self.komi

    def rate(self, moves: int) -> float:
        """Return the step size after so many moves."""
        return self.learning_rate * anneal(moves / self.total_moves, self.anneal_from)


SMOKE = SelfPlayConfig(games_at_a_time=8, simulations=4, fast_simulations=2, considered=4)
PRESETS = {
    "smoke": Config(
        size=4,
        total_moves=600,
        moves_a_turn=200,
        batch_size=32,
        window=2_000,
        first_window=500,
        eval_games=2,
        ladder_every=300,
        ladder_games=2,
        play=SMOKE,
    ),
    "default": Config(),
    "7x7": Config(
        size=7, network="b4c32", total_moves=1_500_000, window=300_000, first_window=20_000
    ),
    "9x9": Config(
        size=9,
        network="b4c32",
        total_moves=6_000_000,
        moves_a_turn=2_048,
        window=500_000,
        first_window=40_000,
        batch_size=256,
        ema=0.998,
        play=SelfPlayConfig(simulations=32, considered=16, full_share=0.4),
    ),
}
