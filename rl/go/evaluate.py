"""The command `arcadia eval` for a run of Go: games against the player without a network.

The protocol is a match of the arena: colours alternate, every pair of games begins with the same
random moves, both sides have a fixed number of simulations for a move, and a referee counts by
Tromp-Taylor. The score is the share of the points, with Wilson's 95 % interval; half of them is
what an equal of the opponent gets.
"""

import json
from dataclasses import dataclass
from typing import Any

from backbones.training.checks.limits import MOST_GAMES, MOST_SEED, require_at_most
from backbones.training.config import RunName, require_not_negative, require_positive
from backbones.training.errors import UserError
from backbones.training.run import find_run
from backbones.training.streams import printable
from rl.go import arena
from rl.go.learning.selfplay_config import fair_komi
from rl.go.trained import run_of

# Far from every seed that a person gives a match.
EVAL_SEED = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Config:
    """Score a run of Go by games, with the protocol beside."""

    run: RunName = "last"
    """A run: its name, a path, zoo/NAME or last."""
    opponent: str = "playouts"
    """playouts, uct, random, another run, a network's .safetensors, or in quotes a command that
    speaks GTP."""
    games: int = 20
    """Games to play, half of them as Black."""
    visits: int = 64
    """Simulations of a move of the run."""
    opponent_visits: int = 640
    """Simulations of a move of the opponent, if it is one of ours."""
    komi: float | None = None
    """White's compensation; default: the one that it was trained round, less half a point."""
    opening: int = 2
    """Random moves that every pair of games begins with."""
    seed: int = EVAL_SEED
    """Of the openings and the players."""
    json: bool = False
    """Print one JSON object instead of lines."""

    def __post_init__(self) -> None:
        require_positive(self, "games", "visits", "opponent_visits")
        require_not_negative(self, "opening", "seed")
        require_at_most(self, games=MOST_GAMES, seed=MOST_SEED)


def score(config: Config) -> dict[str, Any]:
    """Return the object that `arcadia eval --json` prints of a run of Go."""
    run = run_of(config.run) or find_run(config.run)  # which says why there is none
    size = run.config["size"]
    trained_round = run.config.get("komi")
    even = fair_komi(size) if trained_round is None else trained_round
    komi = even - 0.5 if config.komi is None else config.komi
    match = arena.Config(
        player=str(run.folder),
        opponent=config.opponent,
        games=config.games,
        size=size,
        komi=komi,
        visits=config.visits,
        opponent_visits=config.opponent_visits,
        opening=config.opening,
        seed=config.seed,
        seconds=arena.MOST_SECONDS,
    )
    found = arena.summary(match, arena.play_match(match, lambda game: None))
    return {
        "run": run.name,
        "metric": "share of points",
        "score": found["score"],
        "baseline": 0.5,
        "baseline_source": f"an equal of {config.opponent}",
        "protocol": {
            "opponent": config.opponent,
            "games": config.games,
            "size": size,
            "komi": komi,
            "visits": config.visits,
            "opponent_visits": config.opponent_visits,
            "opening": config.opening,
            "seed": config.seed,
            "rules": "positional superko, area, no suicide",
        },
        "interval": [found["low"], found["high"]],
        "elo": found["elo"],
        "elo_interval": [found["elo_low"], found["elo_high"]],
        "as_black": found["as_black"],
        "different_games": found["different_games"],
        "mean_moves": found["mean_moves"],
    }


def lines(result: dict[str, Any]) -> list[str]:
    """Return a result as lines for people."""
    protocol = result["protocol"]
    low, high = result["interval"]
    against = (
        f"{protocol['games']} games against {protocol['opponent']} "
        f"({protocol['visits']} simulations a move against {protocol['opponent_visits']})"
    )
    return [
        f"{result['score']:.0%} of the points ({low:.0%} to {high:.0%}) of {against}",
        f"Elo {result['elo']:+.0f}, as Black {result['as_black']:.0%}; "
        f"{result['different_games']} different games of {result['mean_moves']:.0f} moves",
        f"protocol: {protocol['size']} by {protocol['size']}, komi {protocol['komi']:g}, "
        f"{protocol['opening']} random moves first, {protocol['rules']}, seed {protocol['seed']}",
    ]


def main(config: Config) -> int:
    """The command `arcadia eval` of a run of Go."""
    try:
        result = score(config)
    except KeyError as error:
        raise UserError(f"{config.run}: config.json says no {error}") from None
    print(json.dumps(result) if config.json else printable_lines(lines(result)))
    return 0


def printable_lines(texts: list[str]) -> str:
    """Return lines in which names from anywhere steer no terminal."""
    return "\n".join(printable(text) for text in texts)
