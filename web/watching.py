"""A game for one browser: pictures and numbers go out, keys and speed come back.

A thread plays, as `arcadia watch` and `arcadia play` do, on a show that hands encoded pictures to
the server's loop. While the browser has not taken the last ones, new pictures are left out, not
kept: what is seen is now.

Pictures of up to LOSSLESS_PX pixels are WebP without loss: of Pong that is less than a tenth of the
bytes of a JPEG, which has a blur around everything that moves.
"""

import asyncio
import json
import threading
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, get_args

import cv2
import numpy as np
import torch

from backbones.training.errors import UserError
from backbones.training.run import Run
from rl import play
from rl.agent import Agent, Choosing, load_agent
from rl.games.contract import game_seed
from rl.games.screen import best_size
from rl.shows.panel import Panel
from rl.shows.show import Closed, Pace
from rl.watch import WATCH_SEED, play_game

MOST_AT_ONCE = 20  # browsers with a game
WAITING = 2  # pictures that the browser has not taken
LOSSLESS_PX = 60_000
SLOWEST, FASTEST = 0.1, 16.0
KEYS = {"up", "down", "left", "right", "space", *map(str, range(10))}
places = threading.BoundedSemaphore(MOST_AT_ONCE)


@dataclass
class Wishes:
    """What the person has asked for; the thread that plays reads it."""

    pace: Pace = field(default_factory=lambda: Pace(1.0))
    choice: Choosing = "sampled"
    follow: bool = False
    """Take the newest weights at each game's end."""
    saliency: bool = False
    """Show what the agent's choice hangs on."""
    keys: frozenset[str] = frozenset()
    """Those that are down."""
    closed: threading.Event = field(default_factory=threading.Event)

    def take(self, message: str) -> None:
        """Take a message of the browser's; ValueError if it is none of ours."""
        wish = json.loads(message)
        if not isinstance(wish, dict):
            raise ValueError("a wish is an object")
        for name, value in wish.items():
            if name == "speed" and isinstance(value, int | float) and value == value:
                self.pace.speed = min(max(float(value), SLOWEST), FASTEST)
            elif name == "paused" and isinstance(value, bool):
                self.pace.paused = value
            elif name == "follow" and isinstance(value, bool):
                self.follow = value
            elif name == "saliency" and isinstance(value, bool):
                self.saliency = value
            elif name == "choice" and value in get_args(Choosing):
                self.choice = value
            elif name == "keys" and isinstance(value, list) and all(key in KEYS for key in value):
                self.keys = frozenset(value)
            elif name == "step":
                self.pace.press("n")
            else:
                raise ValueError(f"{str(name)[:40]} is no wish, or has no such value")


class BrowserShow:
    """A `Show` for a browser: every picture goes out with the panel's numbers."""

    def __init__(self, game: "Game") -> None:
        self.game = game
        self.last: np.ndarray | None = None

    def show(self, picture: np.ndarray, panel: Panel | None, caption: str) -> None:
        """Send a picture, once, if there is room; Closed if nobody looks any more."""
        game = self.game
        if game.wishes.closed.is_set():
            raise Closed
        if picture is not self.last and game.outbox.qsize() < WAITING:
            self.last = picture
            game.send(json.dumps(numbers(picture, panel, caption)), encoded(picture))

    def held(self) -> set[str]:
        return set(self.game.wishes.keys)

    def typed(self) -> list[str]:
        return []

    def close(self) -> None:
        pass


def encoded(picture: np.ndarray) -> bytes:
    """Return a picture, [rows, columns, 3] uint8, as WebP without loss, a large one as JPEG."""
    if picture.shape[0] * picture.shape[1] <= LOSSLESS_PX:
        how = (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101])
    else:
        how = (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 85])
    return cv2.imencode(how[0], picture[:, :, ::-1], how[1])[1].tobytes()


def numbers(picture: np.ndarray, panel: Panel | None, caption: str) -> dict[str, Any]:
    """Return what is shown beside a picture, and the size in which it is."""
    width, height = best_size(picture)
    shown: dict[str, Any] = {"width": width, "height": height, "caption": caption}
    if panel:
        shown |= {
            "title": panel.title,
            "note": panel.note,
            "score": panel.score,
            "value": round(panel.value, 3),
            "chances": [round(float(chance), 3) for chance in panel.probabilities],
            "actions": list(panel.action_names),
            "action": panel.action,
        }
    return shown


class Game:
    """One browser's games; `play` runs them in a thread of its own."""

    def __init__(self, run: Run, by_hand: bool) -> None:
        """The run's agent plays, or with `by_hand` the person in its game. Made in the loop that
        sends."""
        self.run, self.by_hand, self.wishes = run, by_hand, Wishes()
        self.loop = asyncio.get_running_loop()
        self.outbox: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue()
        """Texts with their pictures, some empty; None: there is no more."""

    def play(self) -> None:
        """Play game after game until `wishes.closed`; an error goes out as the last message."""
        if not places.acquire(blocking=False):
            self.fail(f"{MOST_AT_ONCE} browsers watch already; close one")
            return
        try:
            self.games()
        except Closed:
            pass
        except UserError as error:
            self.fail(str(error))
        except Exception as error:
            # Whatever an environment of somebody's raises: the browser waits for an answer.
            traceback.print_exception(error)
            self.fail(f"the game failed: {type(error).__name__}")
        finally:
            places.release()

    def fail(self, why: str) -> None:
        """Send, as the last message, why there is no more; nothing if the server has ended."""
        with suppress(Closed):
            self.send(json.dumps({"error": why}), b"")
            self.put(None)

    def send(self, text: str, picture: bytes) -> None:
        """Send a text, and a picture that belongs to it."""
        self.put((text, picture))

    def put(self, message: tuple[str, bytes] | None) -> None:
        """Hand a message to the loop; Closed if the server has ended."""
        try:
            self.loop.call_soon_threadsafe(self.outbox.put_nowait, message)
        except RuntimeError:
            raise Closed from None

    def games(self) -> None:
        """Play game after game; Closed when the browser is gone."""
        torch.set_num_threads(1)
        agent = load_agent(self.run)
        show, scores = BrowserShow(self), list[float]()
        while True:
            if self.wishes.follow and scores:
                agent.reload()
            scores.append(self.game(agent, show, len(scores)))
            self.send(json.dumps({"scores": scores[-10:]}), b"")

    def game(self, agent: Agent, show: BrowserShow, number: int) -> float:
        """Play one game; return its score."""
        seed, pace = game_seed(WATCH_SEED, 0, number), self.wishes.pace
        if self.by_hand:
            return play.play_game(show, agent.env, agent.options, seed, pace, "")
        return play_game(
            agent,
            show,
            seed=seed,
            pace=pace,
            choice=self.wishes.choice,
            explained=lambda: self.wishes.saliency,
        )
