"""A network asked in batches of fixed sizes says what it says of each position by itself."""

import numpy as np
import pytest
import torch

from rl.go.network import evaluator
from rl.go.network.evaluator import FixedBatches, evaluations_per_s, padded_sizes, turned_on_device
from rl.go.network.features import PLANES, straight_moves, turned
from rl.go.network.go_network import build_network


def positions(count, size=5):
    rng = np.random.default_rng(0)
    planes = rng.integers(0, 2, (count, PLANES, size, size), np.uint8) * 255
    planes[:, -1] = 255
    return planes


def network():
    torch.manual_seed(0)
    return build_network("b2c32", 5, 9).eval()


@pytest.mark.parametrize("way", range(8))
def test_padded_batches_in_fp32_say_what_the_network_says(monkeypatch, way):
    monkeypatch.setattr(evaluator, "SIZES", (2, 4))
    net, planes = network(), positions(7)
    policy, value = FixedBatches(net, torch.float32).evaluate(planes, way)
    with torch.inference_mode():
        judged = net(torch.from_numpy(turned(planes, way).copy()))
    expected = judged.policy.numpy()[:, straight_moves(5, way)]
    assert policy.shape == (7, 26) and policy.dtype == value.dtype == np.float32
    np.testing.assert_allclose(policy, expected, atol=1e-5)
    np.testing.assert_allclose(value, judged.value.numpy(), atol=1e-5)


def test_bf16_weights_say_nearly_the_same_and_the_entrance_stays_exact():
    net, planes = network(), positions(5)
    rounded = FixedBatches(net)
    assert rounded.network.cnn.std.dtype == torch.float32
    assert next(rounded.network.parameters()).dtype == torch.bfloat16
    assert next(net.parameters()).dtype == torch.float32
    exact = FixedBatches(net, torch.float32).evaluate(planes, 3)
    for ours, theirs in zip(rounded.evaluate(planes, 3), exact, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=0.05)


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(1, [8]), (8, [8]), (9, [32]), (8192, [8192]), (8193, [8192, 8]), (20000, [8192, 8192, 4096])],
)
def test_batches_are_cut_into_few_sizes(count, sizes):
    assert padded_sizes(count) == sizes


def test_boards_are_turned_on_a_device_as_elsewhere():
    planes = np.arange(2 * 3 * 25, dtype=np.uint8).reshape(2, 3, 5, 5)
    for way in range(8):
        ours = turned_on_device(torch.from_numpy(planes), way).numpy()
        assert np.array_equal(ours, turned(planes, way))


def test_evaluations_are_counted():
    assert evaluations_per_s(network(), batch=4, device="cpu", seconds=0.05) > 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_says_what_the_cpu_says():
    net, planes = network(), positions(3000, 9)
    exact = FixedBatches(net, torch.float32).evaluate(planes, 5)
    found = FixedBatches(net.to("cuda")).evaluate(planes, 5)
    for ours, theirs in zip(found, exact, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=0.05)
