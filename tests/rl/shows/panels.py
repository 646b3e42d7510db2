"""A panel to show in tests of everything that shows one."""

from rl.shows.panel import Panel

PONG = ("NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE")


def panel(**values):
    base = {
        "title": "ALE/Pong-v5",
        "score": 3.0,
        "value": 0.5,
        "probabilities": [1 / 6] * 6,
        "action": 2,
        "action_names": PONG,
        "values": [0.1, 0.5],
    }
    return Panel(**{**base, **values})
