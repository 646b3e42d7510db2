"""The Q network: the best action takes all, and a memory steps as it reads whole sequences."""

import torch
from torch.testing import assert_close

from backbones.lstm import LSTM, LSTMSpec
from backbones.transfer import TrunkConfig
from rl.networks.body import build_cnn
from rl.networks.q_network import QNetwork

TRUNK = TrunkConfig(width=0.25, pool=2)


def test_all_of_the_probability_lies_on_the_best_action_and_its_value_is_the_value():
    torch.manual_seed(0)
    network = QNetwork(build_cnn(TRUNK, 1), 84, 5, 16)
    obs = torch.randint(0, 256, (7, 4, 84, 84), dtype=torch.uint8)
    judged = network.step(obs, None, torch.zeros(7, dtype=torch.bool))
    best = judged.q_value.max(-1)
    assert torch.equal(judged.value, best.values)
    assert torch.equal(judged.logits.softmax(-1).max(-1).indices, best.indices)
    assert_close(judged.logits.softmax(-1).max(-1).values, torch.ones(7))
    assert judged.memory is None


def test_sequences_are_judged_as_their_steps_are():
    torch.manual_seed(0)
    network = QNetwork(build_cnn(TRUNK, 1), 84, 5, 16, LSTM(LSTMSpec(inputs=16, units=8)))
    obs = torch.randint(0, 256, (6, 2, 4, 84, 84), dtype=torch.uint8)
    begins = torch.zeros(6, 2, dtype=torch.bool)
    begins[3, 1] = True
    whole = network.judge(network.cnn.prepare(obs.flatten(0, 1)), begins, network.initial_memory(2))
    memory = network.initial_memory(2)
    for t in range(6):
        judged = network.step(obs[t], memory, begins[t])
        memory = judged.memory
        assert_close(whole.q_value.view(6, 2, 5)[t], judged.q_value, atol=1e-5, rtol=1e-4)
