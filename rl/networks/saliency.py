"""What an agent's choice hangs on: the gradient of its likeliest action with respect to the pixels.

Letters: N observations, K = 4 frames of C channels, H rows, W columns, A actions.

Simonyan et al. 2014 (https://arxiv.org/abs/1312.6034), with the logarithm of the policy's chance,
or, of a network with Q values, the action's advantage over the mean. The sizes of the gradients of
all frames of the stack are added up, blurred over neighbours and scaled, so the largest is 1: it
says where, never how much. Plain gradients depend on the weights, as explanations must and some do
not (Adebayo et al. 2018, https://arxiv.org/abs/1810.03292).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32, UInt8
from torch import Tensor

from backbones.lstm import State
from rl.networks.body import Body
from rl.networks.judgement import Judgement

BLUR_PX = 2.0  # standard deviation


def saliency(
    network: Body, obs: UInt8[Tensor, "N KC H W"], begins: Bool[Tensor, "N"], memory: State | None
) -> Float32[Tensor, "N H W"]:
    """Return how much the likeliest action hangs on each pixel, 0 to 1; 0 everywhere where nothing
    matters. `memory` is that before these observations."""
    with torch.inference_mode(False), torch.enable_grad():
        pixels = network.cnn.prepare(obs.clone()).float().requires_grad_()
        # Tensors of the inference mode take no part in gradients.
        before = (memory[0].clone(), memory[1].clone()) if memory else None
        preferred = preference(network.judge(pixels, begins.clone()[None], before))
        (gradient,) = torch.autograd.grad(preferred.sum(), pixels)
    heat = blurred(gradient.abs().sum(1))
    most = heat.amax((1, 2), keepdim=True)
    heat = heat / most.clamp_min(torch.finfo(heat.dtype).tiny)
    return F.interpolate(heat[:, None], obs.shape[-2:], mode="bilinear")[:, 0]


def preference(judged: Judgement) -> Float32[Tensor, "N"]:
    """Return how much the likeliest action is preferred: its log probability, or its advantage."""
    if judged.q_value is not None:
        return judged.q_value.amax(-1) - judged.q_value.mean(-1)
    return judged.logits.log_softmax(-1).amax(-1)


def blurred(maps: Float32[Tensor, "N H W"]) -> Float32[Tensor, "N H W"]:
    """Return maps blurred by a Gaussian."""
    reach = int(3 * BLUR_PX)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1.0) / BLUR_PX) ** 2)
    weights = (weights / weights.sum()).to(maps.device)
    across = F.conv2d(maps[:, None], weights.view(1, 1, 1, -1), padding=(0, reach))
    return F.conv2d(across, weights.view(1, 1, -1, 1), padding=(reach, 0))[:, 0]
