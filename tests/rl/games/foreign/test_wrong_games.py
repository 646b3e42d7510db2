"""Games that are wrong in one way each: one line, before a run is made.

What `step` and `reset` return wrongly is in test_declared.py, what a game fails with while it is
learnt from in test_failing.py.
"""

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Graph, MultiDiscrete, Sequence, Text, Tuple

import arcadia
from tests.rl.games import foreign_games as foreign
from tests.rl.games.foreign_games import returning
from tests.rl.games.other_games import Halves, Numbers, shown

FLOATS = Box(0.0, 1.0, (12, 16), np.float32)
ENTRY = Dict({"image": Halves.observation_space})


def drawing(picture):
    """A game of numbers that draws this."""
    return type("Drawing", (Numbers,), {"render": lambda self: picture})


def acting(space):
    """A Halves with other actions."""
    return type("Acting", (Halves,), {"action_space": space})


class DrawsAnother(Numbers):
    def render(self):
        return np.zeros((8 + self.t, 8, 3), np.uint8)


class DrawFails(Numbers):
    def render(self):
        raise RuntimeError("no display")


class NoModes(Numbers):
    metadata = {"render_modes": ["ansi"]}  # noqa: RUF012 (Gymnasium's name)


class SpaceFails(Halves):
    @property
    def observation_space(self):
        raise KeyError("level")


WRONG = {
    "a float beyond its bounds": (
        shown(FLOATS, lambda b: b.astype(np.float32) * 9),
        [],
        "with numbers of 0 to 9 from reset(); expected numbers from 0 to 1, which it declares",
    ),
    "a float below its bounds": (
        shown(FLOATS, lambda b: b - np.float32(1)),
        [],
        "with numbers of -1 to 0",
    ),
    "NaN": (shown(FLOATS, lambda b: np.where(b, np.nan, 0)), [], "float64 [12, 16] with numbers"),
    "another shape than a float declares": (
        shown(FLOATS, lambda b: b[:3].astype(np.float32)),
        [],
        "expected float32 [12, 16], which it declares",
    ),
    "texts where numbers are declared": (
        shown(FLOATS, lambda b: np.full((12, 16), "x")),
        [],
        "returned <U1 [12, 16] from reset()",
    ),
    "planes without one": (
        shown(Box(0, 1, (12, 16, 4), bool), lambda b: b),
        [],
        "returned bool [12, 16]",
    ),
    "no bounds": (shown(Box(-np.inf, np.inf, (12, 16)), lambda b: b), [], "numbers without bounds"),
    "equal bounds": (shown(Box(3.0, 3.0, (12, 16)), lambda b: b), [], "whose numbers are all 3"),
    "no points": (shown(Box(0, 255, (0, 16), np.uint8), lambda b: b), [], "without points"),
    "one axis": (shown(Box(0, 255, (99,), np.uint8), lambda b: b), [], "numbers, not pictures"),
    "four axes": (shown(Box(0, 1, (2, 9, 9, 3)), lambda b: b), [], "numbers, not pictures"),
    "a text": (shown(Text(9), lambda b: "x"), [], "not pictures"),
    "a tuple": (shown(Tuple([FLOATS]), lambda b: (b,)), [], "not pictures"),
    "a sequence": (shown(Sequence(FLOATS), lambda b: [b]), [], "not pictures"),
    "a graph": (shown(Graph(FLOATS, None), lambda b: b), [], "not pictures"),
    "a Dict without pictures": (
        shown(Dict({"x": Discrete(3)}), lambda b: {"x": 0}),
        [],
        "a Dict without pictures (x: Discrete(3)). --pixels learns",
    ),
    "an empty Dict": (shown(Dict({}), lambda b: {}), [], "a Dict without pictures ()"),
    "a Dict of several": (
        shown(Dict({"a": FLOATS, "b": FLOATS}), lambda b: {}),
        [],
        "a Dict of several pictures: a, b; choose one, as in --obs-key a",
    ),
    "a Dict that lacks what it declares": (
        shown(ENTRY, lambda b: {"picture": b}),
        [],
        "expected a dict with 'image', which it declares",
    ),
    "a Dict that is none": (shown(ENTRY, lambda b: b), [], "expected a dict with 'image'"),
    "an entry of another type": (
        shown(ENTRY, lambda b: {"image": b.astype(np.float32)}),
        [],
        "returned float32 [12, 16] with numbers of 0 to 1 from reset(); expected uint8 [12, 16]",
    ),
    "draws nothing": (drawing(None), ["--pixels"], "returned None from render(); expected uint8"),
    "draws text": (drawing("a board"), ["--pixels"], "from render(); expected uint8 [H, W, 3]"),
    "draws integers": (drawing(np.zeros((9, 9, 3), int)), ["--pixels"], "returned int64 [9, 9, 3]"),
    "draws nothing at all": (drawing(np.zeros((0, 9, 3), np.uint8)), ["--pixels"], "[0, 9, 3]"),
    "draws planes": (drawing(np.zeros((9, 9, 7), np.uint8)), ["--pixels"], "uint8 [9, 9, 7]"),
    "draws another shape": (DrawsAnother, ["--pixels"], "expected uint8 [8, 8, 3], as at first"),
    "fails to draw": (DrawFails, ["--pixels"], "failed in render(): RuntimeError: no display"),
    "has no drawing": (NoModes, ["--pixels"], "has no drawing, its render_modes are ['ansi']"),
    "numbers that draw": (Numbers, [], "--pixels learns from what it draws"),
    "numbers that do not draw": (NoModes, [], "It draws nothing either"),
    "actions of real numbers": (acting(Box(-1, 1, (2,))), [], "a gymnasium.ActionWrapper with a"),
    "too many combinations": (acting(MultiDiscrete([99, 99])), [], "9,801 combinations"),
    "actions of several kinds": (acting(Dict({"a": Discrete(2)})), [], "choose one of n actions"),
    "a space that fails": (SpaceFails, [], "could not be made: KeyError: 'level'"),
    "no spaces": (foreign.NoSpaces, [], "shows None, not pictures"),
    "the older reset": (foreign.OldReset, [], "is played with --old-api"),
    "the older step": (foreign.OldStep, [], "is played with --old-api"),
    "no seed": (foreign.NoSeed, [], "Gymnasium's is reset(self, *, seed=None"),
    "raises at step 3": (foreign.Fails, [], "ZeroDivisionError"),
    "a reward of None": (returning(1, lambda r, _: None), [], "returned the reward None from"),
    "a reward of NaN": (returning(1, lambda r, _: np.nan), [], "the reward nan from step(); exp"),
    "a list of rewards": (returning(1, lambda r, _: [r]), [], "returned the reward [1.0] from st"),
    "an argument that it does not take": (Halves, ["--env-kwargs", "levl=3"], "could not be made"),
}


@pytest.fixture
def known():
    """Make a game known to Gymnasium as Wrong-v0 while the test runs."""

    def register(game):
        gymnasium.register("Wrong-v0", entry_point=game)

    yield register
    gymnasium.registry.pop("Wrong-v0", None)


@pytest.mark.parametrize("way", WRONG)
def test_a_game_that_is_wrong_in_one_way_is_one_line_before_a_run_is_made(known, runs, capsys, way):
    game, flags, part = WRONG[way]
    known(game)
    words = ["train", "ppo", "--preset", "smoke", "--precision", "fp32", "--env", "Wrong-v0"]
    assert arcadia.main([*words, *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert part in line and "Wrong-v0" in line
    assert not list(runs.glob("*/*"))


def test_a_typo_lists_what_the_module_registers(tmp_path, monkeypatch, capsys, runs):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    text = "import gymnasium\nfor n in range(12):\n"
    text += "    gymnasium.register(f'Listed{n}-v0', entry_point='nowhere:X')\n"
    (tmp_path / "own_listed.py").write_text(text)
    (tmp_path / "own_empty.py").write_text("")
    (tmp_path / "own_needs.py").write_text("\n\nimport nosuchmodule\n")
    for env, part in (
        (
            "own_listed:Listd3-v0",
            "did you mean own_listed:Listed3-v0? own_listed registers Listed3-v",
        ),
        ("own_listed:Other-v0", " and 2 more"),
        ("own_empty:Game-v0", "own_empty registers no environment: gymnasium.register("),
        ("own_needs:Game-v0", "No module named 'nosuchmodule' (own_needs.py, line 3)"),
        ("own_missing:Game-v0", "No module named 'own_missing'"),
    ):
        assert arcadia.main(["train", "ppo", "--preset", "smoke", "--env", env]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert part in line and "NameThisGame" not in line
