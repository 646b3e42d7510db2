"""What a foreign environment returns is held against what it declares: the value, or one line."""

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box

import arcadia
from backbones.training.errors import UserError
from rl.games.first_look import first_look
from rl.games.options import EnvOptions
from rl.games.screen import make_screen
from rl.games.stacks import FrameStack
from tests.rl.games import foreign_games as foreign
from tests.rl.games.foreign_games import Shade, late, named, returning, showing
from tests.rl.games.making import make


@pytest.fixture
def known():
    """Make a game known to Gymnasium as Foreign-v0 while the test runs."""

    def register(game, **kwargs):
        gymnasium.register("Foreign-v0", entry_point=game, **kwargs)
        return "Foreign-v0"

    yield register
    gymnasium.registry.pop("Foreign-v0", None)


def look(env):
    return first_look(env, EnvOptions())


@pytest.mark.parametrize(
    ("game", "line"),
    [
        (
            showing(lambda p, _: (p / 255).astype(np.float32)),
            r"returned float32 \[48, 48\] with numbers of 0.\d+ to 0.\d+ from reset\(\); expected "
            r"uint8 \[48, 48\], which it declares; return \(255 \* picture\).astype\(np.uint8\)",
        ),
        (showing(lambda p, _: p.astype(np.int64)), r"int64 .* return picture.astype\(np.uint8\)"),
        (showing(lambda p, _: p.astype(np.int64) + 9), r"int64 .*, which it declares$"),
        (showing(lambda p, _: p > 99), r"bool .* return \(255 \* picture\)"),
        (showing(lambda p, _: np.full(p.shape, np.nan)), r"float64 .* to nan from .* declares$"),
        (showing(lambda p, _: p[:40]), r"returned uint8 \[40, 48\] .* expected uint8 \[48, 48\]"),
        (showing(lambda p, _: p[:, :, None]), r"returned uint8 \[48, 48, 1\]"),
        (showing(lambda p, g: p[:40] if g.t > 5 else p), r"uint8 \[40, 48\] .* from step\(\)"),
        (showing(lambda p, _: None), r"returned object \[\] from reset\(\); expected uint8"),
        (showing(lambda p, _: {"picture": p}), r"returned object \[\] from reset\(\)"),
        (showing(lambda p, _: [[1, 2], [3]]), r"returned \[\[1, 2\], \[3\]\] from .* an array"),
        (foreign.OldReset, r"uint8 .* from reset\(\); expected reset\(self, \*, seed=None"),
        (foreign.NoInfo, r"returned the info None from reset\(\); expected a dict"),
        (foreign.NoSeed, r"failed in reset\(seed=0\): TypeError: .*'seed'; Gymnasium's is reset"),
        (foreign.OldStep, r"a tuple of 4 from step\(\); expected step\(self, action\) -> obs"),
        (returning(1, lambda r, _: np.array([r])), r"the reward float64 \[1\] .* expected a num"),
        (returning(1, lambda r, _: [r, r]), r"returned the reward \[.*\] from step\(\)"),
        (returning(1, lambda r, _: None), r"returned the reward None from step\(\); expected a n"),
        (returning(1, lambda r, _: "1.0"), r"returned the reward '1.0' from step\(\)"),
        (returning(1, late(9, np.nan, 0.0)), r"returned the reward nan from .* a finite number"),
        (returning(1, late(9, -np.inf, 0.0)), r"returned the reward -inf from step\(\)"),
        (returning(1, late(9, 10**39, 0.0)), r"returned the reward 10+ from .* a finite number"),
        (returning(2, lambda t, _: None), r"returned terminated = None from .* True or False"),
        (returning(2, lambda t, _: "False"), r"returned terminated = 'False' from step\(\)"),
        (returning(3, lambda t, _: 2), r"returned truncated = 2 from step\(\); expected True or"),
        (returning(3, lambda t, _: np.array([t])), r"returned truncated = bool \[1\]"),
        (returning(4, lambda i, _: None), r"the info None from step\(\); expected a dict"),
        (foreign.Fails, r"step\(\d\): ZeroDivisionError: .* \(foreign_games.py, line \d+\)"),
        (foreign.FailsWhenMade, r"could not be made: FileNotFoundError: level-1.txt \(foreign_ga"),
        (foreign.NoSpaces, "shows None, not pictures"),
        (named(("LEFT", "RIGHT", "JUMP")), r"JUMP'\), which do not fit the 2 actions .* 2 words"),
        (named(("LEFT",)), r"\('LEFT',\), which do not fit the 2 actions"),
        (named("LR"), "action_names = 'LR', which do not fit"),
        (named([0, 1]), r"action_names = \[0, 1\], which do not fit"),
        (named({1: "LEFT", 2: "RIGHT"}), "which do not fit the 2 actions"),
        (named(lambda self: ["LEFT", "RIGHT"]), "= a method, which do not fit the 2 actions"),
    ],
)
def test_what_breaks_its_word_is_one_line_before_training(known, runs, capsys, game, line):
    env = known(game)
    with pytest.raises(UserError, match=line) as raised:
        look(env)
    assert "\n" not in str(raised.value) and str(raised.value).startswith(env)
    for job in ("ppo", "sb3-a2c"):
        assert arcadia.main(["train", job, "--preset", "smoke", "--env", env]) == 2
        assert str(raised.value) in capsys.readouterr().err
    assert not list(runs.glob("*/*"))


@pytest.mark.parametrize(
    "game",
    [
        Shade,
        foreign.Starts,
        named(()),
        named(None),
        named(np.array(["LEFT", "RIGHT"])),
        returning(1, lambda r, _: int(r)),
        returning(1, lambda r, _: np.float32(r)),
        returning(1, lambda r, _: np.bool_(r)),
        returning(1, lambda r, _: np.array(r)),
        returning(1, lambda r, _: torch.tensor(r)),
        returning(2, lambda t, _: np.bool_(t)),
        returning(2, lambda t, _: int(t)),
        returning(2, lambda t, _: np.array(t)),
        showing(lambda p, _: torch.from_numpy(p)),
        showing(lambda p, _: np.broadcast_to(p[:1, :1], p.shape)),
        showing(lambda p, _: p[::-1, ::-1]),
        showing(lambda p, _: np.asfortranarray(p)),
        foreign.CloseFails,
    ],
)
def test_what_means_the_same_is_taken_as_it_is(known, game):
    env = known(game)
    assert look(env) == []
    envs = make(env)
    frames, rewards = [envs.reset()], []
    for _ in range(20):
        step = envs.step(np.array([0, 1]))
        frames.append(step.final_frame)
        rewards.append(step.reward)
    envs.close()
    assert step.terminated.all() and step.over.all() and not step.truncated.any()
    gymnasium.registry.pop(env)
    plain = make(known(Shade))
    assert np.array_equal(frames[0], plain.reset())
    for frame, reward in zip(frames[1:], rewards, strict=True):
        step = plain.step(np.array([0, 1]))
        assert np.array_equal(step.final_frame, frame) and np.array_equal(step.reward, reward)


def test_the_space_counts_the_actions_and_a_mapping_names_them(known):
    envs = make(known(foreign.Starts))
    assert envs.action_names == ("DARK", "LIGHT")
    assert envs.protocol.num_actions == 2


def test_a_time_limit_that_only_the_info_tells_of_is_truncated_and_said(known):
    env = known(returning(4, foreign.cut))
    assert "they count as truncated, not as terminated" in look(env)[0]
    envs = make(env)
    envs.reset()
    step = [envs.step(np.zeros(2, np.int64)) for _ in range(20)][-1]
    assert step.truncated.all() and step.over.all() and not step.terminated.any()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda p, _: np.full_like(p, 77), "showed one and the same picture in 64 random env st"),
        (lambda p, _: p // 100, "showed numbers of 0 to 2 in 64 random env steps: almost black"),
    ],
)
def test_pictures_that_can_hardly_be_meant_so_are_said(known, change, line):
    assert line in look(known(showing(change)))[0]


def test_a_shape_that_changes_while_training_is_one_line(known, runs, capsys):
    flags = ["--num-steps", "128", "--num-envs", "2", "--total-steps", "512"]
    # A try whether games repeat themselves would meet it before.
    flags += ["--end-games-every", "0", "--env", known(foreign.Shrinks)]
    assert arcadia.main(["train", "ppo", "--preset", "smoke", *flags]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "returned uint8 [40, 48]" in lines[-1] and len(lines) == 1


def test_people_see_a_game_to_its_time_limit_as_agents_do(known):
    env = known(returning(2, lambda t, _: False))
    options = EnvOptions(max_frames=30, frame_skip=4)
    screen, envs = make_screen(env, options), make(env, 1, max_frames=30, frame_skip=4)
    screen.reset(1)
    envs.reset()
    ends = [(screen.step(0).over, bool(envs.step(np.zeros(1, np.int64)).over[0])) for _ in range(8)]
    assert ends == [(False, False)] * 7 + [(True, True)]
    screen.close()


def test_an_agent_meets_an_environment_that_has_other_actions_by_now(known, runs, tmp_path, capsys):
    flags = ["--preset", "smoke", "--eval-games", "0", "--precision", "fp32"]
    for job in ("ppo", "sb3-a2c"):
        words = [word for word in flags if job == "ppo" or word not in ("--precision", "fp32")]
        assert arcadia.main(["train", job, "--name", job, "--env", known(Shade), *words]) == 0
        gymnasium.registry.pop("Foreign-v0")
    known(foreign.Wider)
    for name in ("ppo/ppo", "sb3-a2c/sb3-a2c"):
        for words in (
            ["eval", name, "--games", "1"],
            ["watch", name, "--video", str(tmp_path / "film.mp4")],
            ["resume", name, "--extend", "256"],
            ["export", name, "--folder", str(tmp_path / "exported")],
        ):
            capsys.readouterr()
            assert arcadia.main(words) == 2
            (line,) = capsys.readouterr().err.splitlines()
            assert "Foreign-v0 has 3 actions now, but the agent was trained with 2" in line
    assert not list(tmp_path.glob("*.mp4")) and not (tmp_path / "exported").exists()


def test_pictures_that_may_not_be_written_to_are_shown(known):
    """As NumPy gives those of Pillow and JAX; torch warns where it takes such a one as it is."""
    picture = np.full((84, 84), 99, np.uint8)
    picture.setflags(write=False)

    class Frozen(showing(lambda p, _: picture)):
        def __init__(self, render_mode=None):
            super().__init__()
            self.observation_space = Box(0, 255, (84, 84), np.uint8)

    screen = make_screen(known(Frozen), EnvOptions())
    assert FrameStack(screen.reset(0).frame[None]).obs().max() == 99
    assert screen.step(0).frame.flags.writeable
