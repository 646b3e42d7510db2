"""A language model's output layer and loss in one, without ever storing the scores of all words.

Letters: R rows (places whose word is predicted), D numbers of a row, V words.

Scores in fp32 of R x V would be the largest tensors of a training step, and every step of a softmax
would read and write them: a fifth of a translator's update on two CPU cores. Here a few rows at a
time are scored, so that they fit the cache, and only the gradient is kept for the backward pass, in
the number format of the matrices.
"""

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from backbones.training.device.precision import compute_dtype

ROWS_AT_A_TIME = 256  # on a CPU
SCORES_AT_A_TIME = 2**27  # on a GPU, where what counts is to give it few and large orders


class OutputCrossEntropy(torch.autograd.Function):
    """Cross-entropy of a linear output layer; see `output_cross_entropy`."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor, target: Tensor, smoothing: float
    ) -> Tensor:
        dtype = compute_dtype(weight.dtype, weight.device.type)
        rows, matrix = rows.to(dtype), weight.to(dtype)
        losses = torch.empty(len(rows), device=rows.device)
        slopes = rows.new_empty(len(rows), len(matrix))
        count = max(1, SCORES_AT_A_TIME // len(matrix)) if rows.is_cuda else ROWS_AT_A_TIME
        for start in range(0, len(rows), count):
            part = slice(start, start + count)
            logits = (rows[part] @ matrix.T).float().add_(bias)
            wanted = target[part, None]
            log_sum = logits.logsumexp(1, keepdim=True)
            losses[part] = (
                log_sum
                - (1 - smoothing) * logits.gather(1, wanted)
                - smoothing * logits.mean(1, keepdim=True)
            ).squeeze(1)
            slope = logits.sub_(log_sum).exp_().sub_(smoothing / len(matrix))
            slope.scatter_add_(1, wanted, torch.full_like(log_sum, smoothing - 1))
            slopes[part] = slope
        ctx.save_for_backward(rows, matrix, slopes)
        return losses

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        rows, matrix, slopes = ctx.saved_tensors
        slopes = slopes * grads[0][:, None].to(slopes.dtype)
        return (
            slopes @ matrix,
            (slopes.T @ rows).float(),
            slopes.sum(0, dtype=torch.float32),
            None,
            None,
        )


def output_cross_entropy(
    rows: Float[Tensor, "R D"],
    weight: Float[Tensor, "V D"],
    bias: Float[Tensor, "V"],
    target: Int64[Tensor, "R"],
    *,
    ignore: int,
    smoothing: float = 0.0,
) -> Float[Tensor, "R"]:
    """Return the fp32 cross-entropy of each row's word under the softmax of rows @ weight.T + bias.

    Rows whose target is `ignore` cost nothing and have loss 0. `smoothing` is the share of the
    target that is spread over all words, as in torch's `label_smoothing`.
    """
    if target.is_cuda:
        # All rows are scored: to pick those that count is to wait for the GPU.
        outside = target == ignore
        target = target.masked_fill(outside, 0)
        losses = OutputCrossEntropy.apply(rows, weight, bias, target, smoothing)
        return losses.masked_fill(outside, 0)  # type: ignore[no-any-return]
    inside = (target != ignore).nonzero()[:, 0]
    losses = OutputCrossEntropy.apply(rows[inside], weight, bias, target[inside], smoothing)
    return torch.zeros(len(target), device=rows.device).index_copy(0, inside, losses)  # type: ignore[no-any-return]
