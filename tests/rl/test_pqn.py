"""PQN: returns against a slow version, the loss by hand, known values, and a stopped run that ends
the same."""

import pytest
import torch
from torch.testing import assert_close

import arcadia
from backbones.training.config import changed
from rl import pqn
from rl.agent import load_agent
from rl.evaluate import evaluate
from rl.experience.learner import RolloutLearner
from rl.explore import Exploration
from rl.games.options import EnvOptions
from rl.games.toys import Corridor
from tests.rl import trained as play

TINY = changed(
    pqn.SMOKE,
    env="Arcadia/Catch-v0",
    total_steps=1024,
    minibatch_size=128,
    eval_games=0,
    lstm_units=8,
    env_options=EnvOptions(max_frames=9),
)


def trained(config, rollouts):
    return play.trained(pqn.JOB, config, rollouts)


def slow_return(t, n, reward, value, next_value, terminated, done, gamma, q_lambda):
    """Return Q(lambda)'s return of one step by its recursion, written down as it stands."""
    if terminated[t, n]:
        return reward[t, n]
    after = next_value[t, n]
    if not done[t, n] and t + 1 < len(reward):
        rest = slow_return(t + 1, n, reward, value, next_value, terminated, done, gamma, q_lambda)
        after = (1 - q_lambda) * after + q_lambda * rest
    return reward[t, n] + gamma * after


@pytest.mark.parametrize("q_lambda", [0.0, 0.65, 1.0])
def test_returns_are_those_of_a_slow_q_lambda(q_lambda):
    training, _ = trained(changed(TINY, q_lambda=q_lambda, gamma=0.9), 0)
    learner, rollout = training.learner, training.pipeline.rollout
    cut = rollout.done & ~rollout.terminated
    assert cut.any() and not torch.equal(rollout.noted["value"], rollout.noted["next_value"])
    rollout.reward = torch.randn_like(rollout.reward)
    rollout.terminated = rollout.done & (torch.arange(rollout.done.shape[1]) % 2 == 0)
    learner.load(rollout)
    names = ("value", "next_value")
    given = (rollout.reward, *(rollout.noted[name] for name in names))
    given = [x.double() for x in given] + [rollout.terminated, rollout.done]
    steps, count = rollout.reward.shape
    expected = [
        float(slow_return(t, n, *given, 0.9, q_lambda)) for t in range(steps) for n in range(count)
    ]
    assert_close(learner.data["returns"], torch.tensor(expected), atol=1e-5, rtol=1e-5)


def test_the_loss_is_half_the_squared_error_of_the_chosen_actions():
    q_value = torch.tensor([[1.0, 2.0], [0.0, 5.0]], requires_grad=True)
    loss, figures = pqn.q_loss(q_value, torch.tensor([1, 0]), torch.tensor([2.5, 4.0]), 4)
    assert_close(figures, torch.tensor([(0.125 + 8.0) / 4, 0.5, 4.5 / 4]))
    loss.backward()
    assert_close(q_value.grad, torch.tensor([[0.0, -0.125], [-1.0, 0.0]]))


@pytest.mark.slow
def test_the_values_of_a_toy_are_found_to_a_hundredth():
    # One step's returns of the best action, whatever is done, are what optimal values obey.
    config = changed(
        TINY,
        env="Arcadia/Corridor-v0",
        total_steps=16_384,
        num_envs=32,
        num_steps=8,
        minibatch_size=32,
        num_epochs=2,
        anneal_from=0.2,
        gamma=0.9,
        q_lambda=0.0,
        env_options=EnvOptions(),
        explore=Exploration(epsilon=1.0),
        sync=True,
    )
    learner = trained(config, config.num_rollouts)[0].learner
    # In every room, as a game begins there: no frame before it.
    game, obs = Corridor(), torch.zeros(4, 4, 84, 84, dtype=torch.uint8)
    for room in range(4):
        game.room = room + 1
        obs[room, -1] = torch.from_numpy(game.picture())
    found = learner.network.step(obs, None, torch.ones(4, dtype=torch.bool)).q_value
    assert_close(found, torch.from_numpy(Corridor.q_values(0.9)).float(), atol=1e-2, rtol=0)


@pytest.mark.parametrize("memory", ["none", "lstm"])
def test_a_run_goes_on_bit_for_bit(tmp_path, memory):
    config = changed(TINY, memory=memory)
    whole, _ = trained(config, 6)
    part, _ = trained(config, 3)
    again = play.continued(part, tmp_path, 3)
    for name, tensors in whole.checkpoint().parts.items():
        for key, tensor in tensors.items():
            assert torch.equal(tensor, again.checkpoint().parts[name][key]), key


def test_the_learner_is_what_a_run_asks_for_and_notes_values():
    training, figures = trained(TINY, 2)
    assert isinstance(training.learner, RolloutLearner)
    assert training.pipeline.rollout.noted.keys() == {"value", "next_value"}
    assert figures[0]["rollout/epsilon"] == 1.0
    assert {"train/loss", "train/td_error", "train/grad_norm"} <= figures[0].keys()


def test_epsilon_falls_with_progress_and_differs_between_environments_if_asked():
    explore = Exploration(epsilon=0.1, epsilon_fraction=0.5, epsilon_spread=1.0)
    config = changed(TINY, explore=explore)
    assert config.num_rollouts == 8
    assert_close(config.epsilon(4, range(4)), 0.1 ** (1 + torch.arange(4) / 3))
    assert config.epsilon(0, range(1, 3)).tolist() == [1.0, 1.0]


def test_the_hidden_layer_and_the_trunk_are_normalised():
    network = pqn.build_network(pqn.FAST, 6)
    names = dict(network.named_modules())
    assert isinstance(names["hidden_norm"], torch.nn.LayerNorm)
    norms = [module for module in names.values() if isinstance(module, torch.nn.GroupNorm)]
    assert [norm.num_groups for norm in norms] == [1, 1, 1]


@pytest.mark.slow
@pytest.mark.learns
def test_catch_is_solved_in_seconds(runs, learning):
    config = changed(pqn.CATCH, eval_games=0, run=learning)
    result = evaluate(load_agent(pqn.train(config)), games=60)
    assert result.random < 0
    assert result.mean >= 0.9


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("q_lambda", 1.5, "between 0 and 1"),
        ("num_epochs", 0, "must be above 0"),
        ("minibatch_size", 100, "try --minibatch-size = 4"),
    ],
)
def test_wrong_values_are_refused_with_the_remedy(field, value, message):
    with pytest.raises(ValueError, match=message):
        changed(pqn.FAST, **{field: value})
    with pytest.raises(ValueError, match="whole sequences"):
        changed(pqn.FAST, memory="lstm", minibatch_size=16)


@pytest.mark.parametrize("preset", pqn.PRESETS)
def test_every_preset_has_layer_normalisation(preset):
    assert pqn.PRESETS[preset].trunk.norm == "layer"


def test_an_agent_with_a_memory_gives_its_q_values_as_a_graph_and_no_zip(runs, tmp_path, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    agent = load_agent(pqn.train(changed(TINY, total_steps=256, memory="lstm")))
    path = tmp_path / "a.onnx"
    assert arcadia.main(["export", "last", "--onnx", str(path)]) == 0
    obs = torch.randint(0, 256, (3, 4, 84, 84), dtype=torch.uint8)
    memory = tuple(torch.randn_like(part) for part in agent.network.initial_memory(3))
    given = {"obs": obs.numpy(), "hidden": memory[0].numpy(), "cell": memory[1].numpy()}
    names = ["q_value", "value", "hidden_after"]
    found = onnxruntime.InferenceSession(path).run(names, given)
    with torch.no_grad():
        judged = agent.network.step(obs, memory, torch.zeros(3, dtype=torch.bool))
    for mine, theirs in zip((judged.q_value, judged.value, judged.memory[0]), found, strict=True):
        assert_close(torch.from_numpy(theirs), mine, atol=1e-4, rtol=1e-4)
    assert arcadia.main(["export", "last", "--sb3", str(tmp_path / "a.zip")]) == 2
    assert "has layer normalisation behind its trunk" in capsys.readouterr().err
