"""A game of Go for one browser: the table of `arcadia play go`, with the board as JSON.

What the browser may ask for is named here, and nothing else of the table's: a file to save into,
say, is no word of a browser's. The engine thinks while the browser waits for its second message.
"""

import json
from typing import Any

import numpy as np
import torch

from backbones.training.errors import UserError
from rl.go.drawing import stars
from rl.go.games import sgf
from rl.go.levels import MOST_LEVEL
from rl.go.play import Config, Table
from rl.go.player import Thoughts
from rl.go.rules.board import BLACK, MOST_PLIES, WHITE
from rl.go.rules.position import vertex
from rl.go.rules.ruleset import NAMED_RULES
from web.reviewing import OWNED, GoReview, uploaded_game

# Settings of a new game that a browser may choose, and their types.
CHOICES: dict[str, type | tuple[type, ...]] = {
    "size": int,
    "komi": (int, float),
    "rules": str,
    "colour": str,
    "handicap": int,
    "level": int,
}
WORDS = ("pass", "undo", "hint", "areas", "resign")
HINTS = 5
SHOWN = {"size": 9, "komi": 7.0, "rules": "chinese", "colour": "black", "handicap": 0, "level": 5}


class BoardGame:
    """A person at the board against an engine; what it does is asked for one by one."""

    def __init__(self, engines: dict[str, str]) -> None:
        """`engines` are those to choose from: what is shown, and what `arcadia play go` calls
        it."""
        self.engines, self.said = engines, list[str]()
        self.table: Table | None = None
        self.hint: Thoughts | None = None
        self.areas: list[int] | None = None
        self.curve = dict[int, list[float]]()
        """Black's chance and lead after so many moves, as the engine saw them."""
        self.review: GoReview | None = None

    def ask(self, message: str) -> dict[str, Any]:
        """Do what a message of the browser's asks for; return the state. UserError, in words for
        the person, for what cannot be."""
        try:
            wish = json.loads(message)
        except (ValueError, RecursionError):
            wish = None
        if not isinstance(wish, dict) or len(wish) != 1:
            raise UserError("not understood")
        ((name, value),) = wish.items()
        self.said.clear()
        self.hint = self.areas = self.review = None
        if name == "new" and isinstance(value, dict):
            self.begin(value)
        elif name == "play" and isinstance(value, str):
            self.play(value)
        elif name == "review" and isinstance(value, dict):
            return self.begin_review(value)
        else:
            raise UserError("not understood")
        return self.state()

    def begin_review(self, chosen: dict[str, Any]) -> dict[str, Any]:
        """Begin to review this game, or one of a file of the person's; return how far it is."""
        torch.set_num_threads(1)
        name, text = str(chosen.get("engine", "playouts")), chosen.get("sgf")
        if name not in self.engines:
            raise UserError("there is no such engine any more")
        if isinstance(text, str):
            root = uploaded_game(text)
        else:
            root = self.record()
        self.review = GoReview(root, self.engines[name], name)
        return {"reviewing": self.review.progress}

    def begin(self, chosen: dict[str, Any]) -> None:
        """Begin a game, or one that goes on: after the moves in "played"."""
        torch.set_num_threads(1)
        engine = self.engines.get(str(chosen.pop("engine", "playouts")))
        played = chosen.pop("played", [])
        for name, value in chosen.items():
            if name not in CHOICES or not isinstance(value, CHOICES[name]):
                raise UserError(f"{name[:40]} is no setting of a game, or has no such value")
        if engine is None:
            raise UserError("there is no such engine any more")
        if chosen.get("colour", "black") not in ("black", "white"):
            raise UserError("you are black or white")
        if chosen.get("rules", "chinese") not in NAMED_RULES:
            raise UserError(f"rules are {', '.join(NAMED_RULES)}")
        settings = {**SHOWN, **chosen, "engine": engine}
        try:
            config = Config(**{**settings, "komi": float(settings["komi"])})
        except ValueError as error:
            raise UserError(str(error)) from None
        table = Table(config, lambda prompt: "", self.said.append)
        self.replay(table, played)
        self.table = table
        self.curve.clear()

    def replay(self, table: Table, played: object) -> None:
        """Play the moves of a game that goes on after its connection was lost."""
        if not isinstance(played, list) or len(played) > MOST_PLIES:
            raise UserError("not understood")
        for move in played:
            if type(move) is not int or not 0 <= move <= table.position.pass_move:
                raise UserError("not understood")
            table.position.play(move)

    def play(self, word: str) -> None:
        """Play a move, or do one of WORDS."""
        table = self.playing()
        if self.over or table.position.to_play != table.mine:
            raise UserError("it is not your turn")
        if word == "hint":
            table.engine.search(table.engine.limits)
            self.hint = table.engine.player.thoughts(table.position)
            return
        if word == "areas":
            table.engine.judge()
            found = table.engine.player.thoughts(table.position).ownership
            self.areas = np.round(OWNED * found).astype(int).tolist()
            return
        if word not in WORDS and len(word) > 3:
            raise UserError("not understood")
        table.obey(word, "")
        self.curve = {n: seen for n, seen in self.curve.items() if n <= len(table.position.moves)}
        self.said.clear()  # the board as text

    def go_on(self) -> dict[str, Any] | None:
        """Do the next part of what takes a while, the engine's move or a review; return what is to
        be said of it, None if there was nothing to do."""
        if self.review is None:
            return self.engines_turn()
        if self.review.part():
            return {"reviewing": self.review.progress}
        done, self.review = self.review, None
        return {"review": done.state()}

    def engines_turn(self) -> dict[str, Any] | None:
        """Let the engine move, if it is to; return the state, None if there was nothing to do."""
        table = self.table
        if table is None or self.over or table.position.to_play == table.mine:
            return None
        self.said.clear()
        before = len(table.position.moves)
        table.engines_turn()
        thoughts, chance = table.engine.thoughts, chance_of_black(table)
        if thoughts and chance is not None:
            lead = thoughts.score if table.mine == WHITE else -thoughts.score
            self.curve[before] = [round(chance, 3), round(lead, 1)]
        return self.state()

    def playing(self) -> Table:
        if self.table is None:
            raise UserError("begin a game first")
        return self.table

    @property
    def over(self) -> bool:
        """Whether the game has ended."""
        return bool(self.table and (self.table.result or self.table.position.over))

    def state(self) -> dict[str, Any]:
        """Return the board and all that is shown beside it."""
        table = self.playing()
        if self.over and not table.result:
            table.conclude()
        position, size = table.position, table.position.size
        stones = [position.at(move) for move in range(size * size)]
        return {
            "size": size,
            "stones": stones,
            "stars": sorted(stars(size)),
            "last": position.moves[-1][1] if position.moves else -1,
            "moves": len(position.moves),
            "played": [move for _, move in position.moves],
            "captured": {name: captured(table, colour) for name, colour in COLOURS.items()},
            "mine": table.mine,
            "turn": 0 if self.over else position.to_play,
            "result": table.result,
            "said": self.said[-1].splitlines() if self.over and self.said else [],
            "chance": chance_of_black(table),
            "hints": hints(self.hint, size),
            "areas": self.areas,
            "curve": [[number, *seen] for number, seen in sorted(self.curve.items())],
            "sgf": sgf.write(self.record()),
        }

    def record(self) -> sgf.Node:
        """Return the game as a tree."""
        table = self.playing()
        known = {engine: name for name, engine in self.engines.items()}
        engine = known.get(table.config.engine, table.config.engine)
        names = {table.mine: "you", 3 - table.mine: engine}
        return sgf.record(
            table.position, black=names[BLACK], white=names[WHITE], outcome=table.result
        )


COLOURS = {"black": BLACK, "white": WHITE}


def captured(table: Table, colour: int) -> int:
    """Return how many stones of a colour were taken off the board."""
    position = table.position
    placed = sum(each == colour for each, _ in position.stones)
    played = sum(c == colour and move < position.pass_move for c, move in position.moves)
    there = sum(position.at(move) == colour for move in range(position.pass_move))
    return placed + played - there


def chance_of_black(table: Table) -> float | None:
    """Return Black's chance to win as the engine saw it before its last move; None before that."""
    thoughts = table.engine.thoughts
    if thoughts is None or not thoughts.visits:
        return None
    return thoughts.winrate if table.mine == WHITE else 1 - thoughts.winrate


def hints(thoughts: Thoughts | None, size: int) -> list[dict[str, Any]]:
    """Return the moves that the engine thought about most, the best first."""
    if thoughts is None:
        return []
    least = thoughts.best.visits / 20
    return [
        {"move": each.move, "name": vertex(each.move, size), "chance": round(each.winrate, 3)}
        for each in thoughts.candidates[:HINTS]
        if each.visits >= least
    ]


def choices(engines: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what a form for a new game offers."""
    return {"engines": engines, "levels": MOST_LEVEL, "rules": list(NAMED_RULES), "first": SHOWN}
