"""What an agent's choice hangs on: networks whose answer is known."""

import numpy as np
import pytest
import torch

from backbones.lstm import LSTM, LSTMSpec
from backbones.transfer import TrunkConfig
from rl.networks.actor_critic import ActorCritic
from rl.networks.body import build_cnn
from rl.networks.q_network import QNetwork
from rl.networks.saliency import BLUR_PX, saliency
from rl.shows.overlay import GLOW, overlaid

SEEN_PX = 36  # of a point of Nature's last map: 8, then 4 at stride 4, then 3 at stride 8


def one_corner(network):
    """Let the hidden layer read only the top left of the last map's 7 x 7 points."""
    with torch.no_grad():
        weights = network.hidden.weight.view(len(network.hidden.weight), -1, 7, 7)
        kept = weights[:, :, 0, 0].clone()
        weights.zero_()
        weights[:, :, 0, 0] = kept
    return network


def built(kind):
    torch.manual_seed(0)
    cnn = build_cnn(TrunkConfig(), 1)
    if kind == "q":
        return one_corner(QNetwork(cnn, 84, 4, 32))
    lstm = LSTM(LSTMSpec(inputs=32, units=8)) if kind == "memory" else None
    return one_corner(ActorCritic(cnn, 84, 4, 32, lstm))


@pytest.mark.parametrize("kind", ["policy", "q", "memory"])
def test_only_the_patch_that_matters_glows(kind):
    network = built(kind)
    obs = torch.randint(0, 256, (3, 4, 84, 84), dtype=torch.uint8)
    begins = torch.tensor([True, False, False])
    with torch.inference_mode():
        memory = network.initial_memory(3)
        heat = saliency(network, obs, begins, memory)
    assert heat.shape == (3, 84, 84) and torch.allclose(heat.amax((1, 2)), torch.ones(3))
    beyond = SEEN_PX + int(3 * BLUR_PX)
    assert (heat[:, beyond:] == 0).all() and (heat[:, :, beyond:] == 0).all()
    assert (heat[:, :SEEN_PX, :SEEN_PX] > 0).float().mean() > 0.9
    assert network.hidden.weight.grad is None


def test_a_pixel_matters_as_much_as_changing_it_changes_the_choice():
    network = built("policy")
    obs = torch.randint(20, 236, (1, 4, 84, 84), dtype=torch.uint8)
    begins = torch.ones(1, dtype=torch.bool)
    heat = saliency(network, obs, begins, None)[0]

    def chance(picture):
        return network(picture)[0].log_softmax(-1)[0]

    with torch.inference_mode():
        best = chance(obs).argmax()
        effects = []
        places = [(y, x) for y in range(2, 40, 6) for x in range(2, 40, 6)]
        for y, x in places:
            patch = obs.clone()
            patch[:, :, y : y + 3, x : x + 3] += 20
            effects.append(float((chance(patch) - chance(obs))[best].abs()))
    warm = np.array([float(heat[y : y + 3, x : x + 3].mean()) for y, x in places])
    assert np.corrcoef(warm, effects)[0, 1] > 0.5


def test_where_nothing_matters_nothing_glows_and_the_picture_stays():
    network = built("policy")
    with torch.no_grad():
        network.policy.weight.zero_()
    obs, begins = network.blank_obs(1), torch.ones(1, dtype=torch.bool)
    heat = saliency(network, obs, begins, None)[0].numpy()
    picture = np.random.default_rng(0).integers(0, 256, (210, 160, 3), np.uint8)
    assert not heat.any() and np.array_equal(overlaid(picture, heat), picture)
    glowing = overlaid(picture, np.ones((84, 84), np.float32)).astype(int)
    assert np.allclose(glowing, 0.25 * picture + 0.75 * GLOW, atol=0.51)
