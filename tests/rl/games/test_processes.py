"""Environments in processes are those of one process, bit for bit, and their faults are said."""

import gymnasium
import numpy as np
import pytest

from backbones.training.checkpoint import load_newest
from backbones.training.config import RunConfig, changed
from backbones.training.errors import UserError
from backbones.transfer import weights_of
from rl import ppo
from rl.games.foreign.blame import GameFault
from rl.games.options import EnvOptions
from rl.games.processes import ProcessEnvironments
from rl.games.speed import settle_processes
from tests.rl.games.making import make
from tests.rl.games.other_games import Halves

MODULE = "tests.rl.games.other_games"


def test_any_number_of_processes_gives_the_same_games_and_the_same_state():
    alone, shared = make(f"{MODULE}:Planes", 5), make(f"{MODULE}:Planes", 5, env_processes=2)
    assert isinstance(shared, ProcessEnvironments) and len(shared.workers) == 2
    assert shared.protocol == alone.protocol and shared.frame_shape == alone.frame_shape
    assert np.array_equal(alone.reset(), shared.reset())
    rng = np.random.default_rng(0)
    for _ in range(25):
        action = rng.integers(2, size=5)
        expected, step = alone.step(action), shared.step(action)
        for name in step._fields:
            assert np.array_equal(getattr(step, name), getattr(expected, name)), name
    state = shared.state_dict()
    for name, value in alone.state_dict().items():
        assert np.array_equal(state[name], value), name
    third = make(f"{MODULE}:Planes", 5, env_processes=3)
    assert np.array_equal(third.load_state_dict(state), expected.frame)
    action = rng.integers(2, size=5)
    assert np.array_equal(third.step(action).frame, alone.step(action).frame)
    started = [each.process for each in [*shared.workers, *third.workers]]
    for envs in (alone, shared, third):
        envs.close()
    assert all(process.returncode == 0 for process in started)


@pytest.mark.parametrize(
    ("game", "line", "trace"),
    [
        (
            "Breaks",
            "failed in step.1.: ZeroDivisionError: by nobody",
            'raise ZeroDivisionError("by',
        ),
        ("TurnsNan", "returned the reward nan from step", ""),
        ("Dies", r"a process of .* ended by itself \(exit status 7\)", ""),
    ],
)
def test_a_fault_in_a_process_names_the_environment(game, line, trace):
    envs = make(f"{MODULE}:{game}", 3, env_processes=2)
    envs.reset()
    with pytest.raises(GameFault, match=line) as raised:
        for _ in range(50):
            envs.step(np.ones(3, np.int64))
    assert envs.history.lengths().tolist() == [3, 3, 3] and len(envs.history.actions) >= 3
    assert trace in raised.value.trace
    # A process that has died can only say which environments were its own.
    assert raised.value.number in ((1, 2) if game == "Dies" else (2,))
    envs.close()


def test_what_no_process_finds_is_a_mistake_that_names_it():
    gymnasium.register("OnlyHere-v0", entry_point=Halves)
    try:
        with pytest.raises(UserError, match=r"could not be made: "):
            make("OnlyHere-v0", env_processes=2)
        assert settle_processes("OnlyHere-v0", EnvOptions(), 1000, 64)[0] == 0
    finally:
        gymnasium.registry.pop("OnlyHere-v0")


def test_a_timing_decides_how_many_processes_step():
    assert settle_processes(f"{MODULE}:Halves", EnvOptions(), 4, 64) == (0, [])
    count, lines = settle_processes(f"{MODULE}:Slow", EnvOptions(), 6, 64)
    assert count == 6 and "ms of waiting an env step: 6 games are stepped by 6 pro" in lines[0]
    asked = EnvOptions(env_processes=0)
    count, lines = settle_processes(f"{MODULE}:Slow", asked, 100, 64)
    assert count == 0 and "a rollout of 100 x 64 env steps takes about 2." in lines[0]
    count, lines = settle_processes(f"{MODULE}:Busy", EnvOptions(), 6, 64)
    assert count == 0 or "ms an env step: 6 games" in lines[0]
    assert settle_processes("ALE/Pong-v5", EnvOptions(), 6, 64) == (0, [])


def test_training_with_processes_is_training_without(runs):
    config = changed(
        ppo.PRESETS["smoke"],
        env=f"{MODULE}:Halves",
        eval_games=0,
        trunk=changed(ppo.PRESETS["smoke"].trunk, trunk="plain", pool=1),
    )
    weights = []
    for processes in (0, 2):
        options = changed(config.env_options, env_processes=processes, size_px=16)
        named = RunConfig(name=f"by-{processes}", precision="fp32")
        run = ppo.train(changed(config, env_options=options, run=named))
        assert run.config["env_options"]["env_processes"] == processes
        weights.append(weights_of(load_newest(run.checkpoints, run.about)[0]))
    for name, tensor in weights[0].items():
        assert tensor.equal(weights[1][name]), name
