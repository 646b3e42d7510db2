"""An agent that plays for one browser: pictures and what the agent thinks, keys and speed back.

A thread plays `rl.watch.play_game` on a show that puts JPEG pictures into a short queue. Where the
browser is slow, pictures are dropped and not kept: what is seen is now.
"""

import json
import queue
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch

from backbones.training.errors import UserError
from backbones.training.run import Run
from rl.agent import load_agent
from rl.games.contract import game_seed
from rl.games.screen import best_size
from rl.shows.panel import Panel
from rl.shows.show import Closed, Pace
from rl.watch import WATCH_SEED, pictures_per_s, play_game

MOST_AT_ONCE = 20  # browsers that watch
QUALITY = 85  # of JPEG pictures, of 100
SLOWEST, FASTEST = 0.1, 16.0
CHOICES = ("sampled", "greedy")
places = threading.BoundedSemaphore(MOST_AT_ONCE)


@dataclass
class Wishes:
    """What the person has asked for; the thread that plays reads it."""

    speed: float = 1.0
    paused: bool = False
    steps: int = 0
    """Pictures to show although it is paused."""
    choice: str = "sampled"
    follow: bool = False
    """Take the newest weights at each game's end."""
    closed: threading.Event = field(default_factory=threading.Event)

    def take(self, message: str) -> None:
        """Take a message of the browser's; ValueError if it is none of ours."""
        wish = json.loads(message)
        if not isinstance(wish, dict):
            raise ValueError("a wish is an object")
        for name, value in wish.items():
            if name == "speed" and isinstance(value, int | float) and value == value:
                self.speed = min(max(float(value), SLOWEST), FASTEST)
            elif name in ("paused", "follow") and isinstance(value, bool):
                setattr(self, name, value)
            elif name == "choice" and value in CHOICES:
                self.choice = value
            elif name == "step":
                self.paused, self.steps = True, min(self.steps + 1, 10)
            else:
                raise ValueError(f"{str(name)[:40]} is no wish, or has no such value")


class BrowserShow:
    """A `Show` for a browser: every picture goes out with the panel's numbers."""

    def __init__(self, wishes: Wishes, rate: float, send: Callable[[str, bytes], None]) -> None:
        self.wishes, self.rate, self.send = wishes, rate, send
        self.pace = Pace(1.0)

    def show(self, picture: np.ndarray, panel: Panel | None, caption: str) -> None:
        """Send one picture when it is due; Closed if nobody looks any more."""
        wishes = self.wishes
        while wishes.paused and not wishes.steps and not wishes.closed.is_set():
            time.sleep(0.02)
        wishes.steps = max(0, wishes.steps - 1)
        if wishes.closed.is_set():
            raise Closed
        self.send(json.dumps(numbers(picture, panel)), jpeg(picture))
        self.pace.speed = wishes.speed
        self.pace.wait(self.rate)

    def held(self) -> set[str]:
        return set()

    def close(self) -> None:
        pass


def jpeg(picture: np.ndarray) -> bytes:
    """Return a picture, [rows, columns, 3] uint8, as JPEG."""
    encoded = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return encoded.tobytes()


def numbers(picture: np.ndarray, panel: Panel | None) -> dict[str, Any]:
    """Return what is shown beside a picture, and the size in which it is."""
    width, height = best_size(picture)
    shown: dict[str, Any] = {"width": width, "height": height}
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


class Watched:
    """One browser's games of an agent; `play` runs them in a thread of its own."""

    def __init__(self, run: Run) -> None:
        self.run, self.wishes, self.over = run, Wishes(), False
        self.outbox: queue.Queue[tuple[str, bytes]] = queue.Queue(2)

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
        """Send, as the last message, why there is no more."""
        self.send(json.dumps({"error": why}), b"")
        self.over = True

    def next_message(self) -> tuple[str, bytes]:
        """Return the next text and picture, empty ones where nothing came for a moment."""
        try:
            return self.outbox.get(timeout=0.2)
        except queue.Empty:
            return "", b""

    def games(self) -> None:
        """Play game after game; Closed when the browser is gone."""
        torch.set_num_threads(1)
        agent = load_agent(self.run)
        rate, scores, number = pictures_per_s(agent.env, agent.options), list[float](), 0
        show = BrowserShow(self.wishes, rate, self.send)
        while True:
            if self.wishes.follow and number:
                agent.reload()
            choice: Any = self.wishes.choice
            seed = game_seed(WATCH_SEED, 0, number)
            scores.append(play_game(agent, show, seed=seed, choice=choice))
            number += 1
            self.send(json.dumps({"scores": scores[-10:]}), b"")

    def send(self, text: str, picture: bytes) -> None:
        """Put a message into the outbox, in place of the oldest if the browser is slow; what has no
        picture, such as an error, waits for room."""
        while not self.wishes.closed.is_set():
            try:
                self.outbox.put((text, picture), timeout=0 if picture else 0.1)
                return
            except queue.Full:
                if picture:
                    try:
                        self.outbox.get_nowait()
                    except queue.Empty:
                        continue
