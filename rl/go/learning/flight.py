"""The games of self-play that are being played: their numbers, moves and rows.

Letters: G games at a time in this process, L moves of a game at most.

Games have places, of which every process has a share; the n-th game of a place has the number
place + n * places. So a game is the same whatever the number of processes.

Between two turns of self-play a game is its moves and its rows, so that is all that a checkpoint
holds of it: its board is the moves played again.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int8, Shaped
from torch import Tensor

from backbones.training.errors import UserError
from rl.go.learning.luck import game_luck
from rl.go.learning.replay import row_type
from rl.go.learning.selfplay_config import SelfPlayConfig
from rl.go.rules import area, board
from rl.go.rules.board import BLACK, POINTS, POSITIONAL, WHITE

SMOOTHING = 0.98  # of the games' mean score, which half of the komi follow
LARGEST_KOMI = 30  # the network's plane of the komi ends a little above


class Flight:
    """Games in flight. Their boards and komi are those of the forest that searches them."""

    def __init__(
        self,
        size: int,
        config: SelfPlayConfig,
        boards: Shaped[np.ndarray, "G"],
        komi: Shaped[np.ndarray, "G"],
        *,
        seed: int,
        fair_komi: float,
        places: range,
    ) -> None:
        """Half of the games are played round `fair_komi`, half round the games' mean score."""
        count, self.size, self.config, self.seed = len(boards), size, config, seed
        self.places = places
        self.boards, self.komi, self.fair_komi, self.mean_score = boards, komi, fair_komi, 0.0
        self.most_plies = min(int(config.longest * size * size), board.MOST_PLIES - 1)
        self.number = np.array(places, np.int64) - config.games_at_a_time
        self.moves = np.zeros((count, self.most_plies), np.int16)
        self.plies = np.zeros(count, np.int64)
        self.opening = np.zeros(count, np.int64)
        self.suicide = np.zeros(count, np.int64)
        self.rows = np.zeros((count, self.most_plies), row_type(size))
        for game in range(count):
            self.begin(game)

    def begin(self, game: int) -> None:
        """Begin the next game in the place of one."""
        config, points = self.config, self.size * self.size
        number = int(self.number[game]) + config.games_at_a_time
        luck = game_luck(self.seed, number, config.opening * points)
        middle = self.mean_score if luck.komi_follows else self.fair_komi
        komi = np.round(2 * (middle + config.komi_spread * luck.komi_noise)) / 2
        self.komi[game] = np.clip(komi, -LARGEST_KOMI, LARGEST_KOMI)
        self.number[game], self.plies[game] = number, 0
        self.opening[game] = min(luck.opening, points // 2)
        self.suicide[game] = int(luck.suicide)
        board.reset(self.boards[game], self.size, POSITIONAL, int(luck.suicide))

    def play(self, game: int, move: int) -> bool:
        """Play a move; return whether the game has come to its end or is cut off."""
        self.moves[game, self.plies[game]] = move
        self.plies[game] += 1
        board.play(self.boards[game], board.move_to_point(move, self.size))
        return self.whole(game) or bool(self.plies[game] >= self.most_plies)

    def whole(self, game: int) -> bool:
        """Return whether two passes have ended a game."""
        return bool(board.over(self.boards[game]))

    def count(self, game: int) -> tuple[Int8[np.ndarray, "points"], float]:
        """Return who owns the points, 1 Black and -1 White, and by how much Black leads."""
        owner = np.empty(POINTS, np.int32)
        colour: Any = self.boards["colour"][game]
        area.owners(colour.copy(), self.size, owner)
        width = self.size + 2
        inside = owner[: width * width].reshape(width, width)[1:-1, 1:-1].ravel()
        black = (inside == BLACK).astype(np.int8) - (inside == WHITE).astype(np.int8)
        return black, float(black.sum()) - float(self.komi[game])

    def end(self, game: int) -> tuple[Shaped[np.ndarray, "plies"], float]:
        """Return the rows of a game with what became of it, and by how much Black leads."""
        black, lead = self.count(game)
        rows = self.rows_of(game).copy()
        # Black plays the even moves.
        plies = np.arange(len(rows)) + int(self.opening[game])
        sign = np.where(plies % 2 == 0, 1, -1).astype(np.int8)
        rows["ended"] = self.whole(game)
        rows["value"] = np.sign(lead) * sign
        rows["score"] = lead * sign
        rows["ownership"] = black[None] * sign[:, None]
        return rows, lead

    def follow(self, scores: Float[np.ndarray, "games"]) -> None:
        """Let the mean score follow those of games that have ended, in their order: how many more
        points Black had, NaN for games that were cut off."""
        for score in scores[np.isfinite(scores)].tolist():
            self.mean_score += (1 - SMOOTHING) * (score - self.mean_score)

    def rows_of(self, game: int) -> Shaped[np.ndarray, "plies"]:
        """Return the rows of a game so far: of all moves but those of the opening."""
        first = int(self.opening[game])
        return self.rows[game, first : max(int(self.plies[game]), first)]

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return what `load` continues from exactly."""
        rows = np.concatenate([self.rows_of(game) for game in range(len(self.number))])
        arrays = {name: getattr(self, name) for name in ARRAYS}
        arrays["rows"] = rows.view(np.uint8).reshape(len(rows), rows.itemsize)
        tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
        return tensors, {"mean_score": self.mean_score}

    def load(self, tensors: Mapping[str, Tensor], info: Mapping[str, Any]) -> None:
        """Continue from this process's share of a state of all games: play the moves of each game
        again. UserError if they are of other games."""
        there, wanted = list(tensors["moves"].shape), [self.config.games_at_a_time, self.most_plies]
        if there != wanted:
            raise UserError(
                f"the checkpoint has games of {there} moves, and this run's are {wanted}: it was "
                "changed since"
            )
        self.mean_score = float(info["mean_score"])
        # Rows stand one game's behind another's.
        lengths = (tensors["plies"] - tensors["opening"]).clamp(min=0)
        done = int(lengths[: self.places.start].sum())
        for name in ARRAYS:
            getattr(self, name)[:] = tensors[name].numpy()[self.places.start : self.places.stop]
        rows = tensors["rows"].numpy().reshape(-1).view(self.rows.dtype)
        for game in range(len(self.number)):
            board.reset(self.boards[game], self.size, POSITIONAL, int(self.suicide[game]))
            for move in self.moves[game, : self.plies[game]]:
                board.play(self.boards[game], board.move_to_point(int(move), self.size))
            room = self.rows_of(game)
            room[:] = rows[done : done + len(room)]
            done += len(room)


ARRAYS = ("number", "moves", "plies", "opening", "suicide", "komi")
