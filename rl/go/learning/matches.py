"""The matches of a run of training: against its own last rung, and now and then a program."""

from typing import Any

from torch import nn

from backbones.training.distributed import World
from rl.go.learning import ladder, opponent


class Matches:
    """The ladder of a run, the program beside it, and the lines that its log is due."""

    def __init__(self, network: nn.Module, config: Any, world: World) -> None:
        """`config` has the fields of `rl/go/train_config.py`."""
        self.config, self.world, self.lines = config, world, list[str]()
        komi, simulations = config.fair_komi - 0.5, config.play.simulations
        self.ladder = ladder.Ladder(network, size=config.size, komi=komi, simulations=simulations)
        self.opponent = opponent.Opponent(
            opponent.command_of(config.ladder_opponent, config.size),
            size=config.size,
            komi=komi,
            simulations=simulations,
        )

    def begin(self) -> list[str]:
        """Return lines for the log of a new run; UserError if its program is not there."""
        opponent.require_command(self.opponent.command)
        wanted = self.config.ladder_opponent and not self.opponent.command
        return [opponent.NONE] if wanted else []

    def climb(self, network: nn.Module, moves: int) -> dict[str, float]:
        """Let a network play the ladder's next match, and every few of them the program; return
        figures."""
        config, rival = self.config, self.opponent
        # Every process plays the ladder's, and all come to the same result.
        figures = self.ladder.climb(network, config.ladder_games, config.run.seed)
        self.lines.append(ladder.line(moves, figures))
        rungs = self.ladder.rungs
        due = rival.command and config.opponent_games and rungs % config.opponent_every == 0
        if due and self.world.is_first:
            found = rival.match(network, config.opponent_games, config.run.seed, rungs)
            figures |= found.figures(self.ladder.elo)
            self.lines += [*found.troubles, opponent.line(moves, rival.command, figures)]
        return figures

    def take_lines(self) -> list[str]:
        """Return the lines that are due, once."""
        lines, self.lines = self.lines, []
        return lines
