"""Choosing at random by what a network says is likely: temperature, and the k likeliest alone.

Letters: B rows, V choices.
"""

from jaxtyping import Float, Int64
from torch import Tensor


def sample(
    logits: Float[Tensor, "B V"],
    uniform: Float[Tensor, "B"],
    temperature: float = 1.0,
    top_k: int = 0,
) -> Int64[Tensor, "B"]:
    """Return a choice of each row, a function of its number in [0, 1).

    Chances go with exp(logits / temperature); at temperature 0 the likeliest is taken, the first
    of several. With `top_k` above 0 only so many of the likeliest can be chosen.
    """
    if temperature == 0:
        return logits.argmax(-1)
    ranked = logits.double().sort(dim=-1, descending=True, stable=True)
    chances = (ranked.values[:, : top_k or None] / temperature).softmax(-1)
    # The first choice at which the chances so far go beyond the number.
    place = (chances.cumsum(-1) <= uniform[:, None].double()).sum(-1)
    place = place.clamp(max=chances.shape[-1] - 1)
    return ranked.indices.gather(-1, place[:, None])[:, 0]
