"""Games of self-play in TensorBoard while a network trains."""

import time
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from backbones.training.log import Board, for_people
from rl.go.learning.selfplay import Record
from rl.go.pictures import board_picture, game_frames
from rl.go.rules.board import BLACK
from rl.go.rules.position import Position
from rl.go.rules.ruleset import Rules
from rl.go.search.mcts import planes_of

FPS = 2.0


class Gallery:
    """Shows a game now and then: a film of it, and who the network says owns the points."""

    def __init__(
        self, board: Board | None, size: int, every_s: float, warn: Callable[[str], None]
    ) -> None:
        """`every_s` 0 shows none."""
        self.board, self.size, self.every_s, self.warn = board, size, every_s, warn
        self.next_s = time.monotonic()

    def add(self, game: Record | None, network: nn.Module, progress: int) -> None:
        """Show a game if it is time for one."""
        if self.board is None or not self.every_s or not game or time.monotonic() < self.next_s:
            return
        self.next_s = time.monotonic() + self.every_s
        with for_people("the pictures of a game", self.warn):
            frames = game_frames(self.size, game.komi, game.moves, suicide=game.suicide)
            self.board.animation(progress, "selfplay/game", frames, FPS)
            half = position_of(self.size, game, len(game.moves) // 2)
            picture = board_picture(half, ownership_of(network, half))
            self.board.picture(progress, "selfplay/ownership", picture)


def position_of(size: int, game: Record, plies: int) -> Position:
    """Return a game's position after so many moves."""
    position = Position(size, game.komi, Rules(suicide=game.suicide))
    for move in game.moves[:plies]:
        position.play(move)
    return position


@torch.no_grad()
def ownership_of(network: nn.Module, position: Position) -> Float[np.ndarray, "points"]:
    """Return who a network says will own each point: 1 Black, -1 White."""
    device = next(network.parameters()).device
    judged = network(torch.from_numpy(planes_of(position)).to(device))
    mine = judged.ownership[0].flatten().float().cpu().numpy()
    return mine if position.to_play == BLACK else -mine
