"""The caption of the nearest training picture, by a trunk's features: what remembering is worth.

Letters: N pictures to be captioned, M training pictures, D features.

Devlin et al. 2015 (https://arxiv.org/abs/1505.04467) found such captions hard to beat by BLEU; a
captioner that is no better has learnt to look up, not to say what it sees.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from tasks.data.samples import InMemory, Samples
from tasks.data.split_names import Split
from tasks.evaluate import eval_batch
from tasks.words.captioner import Captioner
from tasks.words.captions import CaptionedPictures

MOST_REMEMBERED = 5_000  # training pictures, the first ones


@torch.no_grad()
def nearest_captions(model: Captioner, source: CaptionedPictures, split: Split) -> list[str]:
    """Return, for every picture of a split, the first caption of the training picture whose
    features make the smallest angle with its own; of the training split itself, of another one."""
    train = source.remembered(MOST_REMEMBERED)
    remembered = features_of(model, InMemory({"picture": train.picture}))
    near = list[str]()
    for number, ours in enumerate(features_of(model, source.scored(split))):
        alike = remembered @ ours
        if split == "train" and number < len(alike):
            alike[number] = -torch.inf
        near.append(train.captions[int(alike.argmax())][0])
    return near


def features_of(model: Captioner, samples: Samples) -> Float[Tensor, "N D"]:
    """Return the features of pictures in order, each of length 1."""
    device = next(model.parameters()).device
    rows = []
    for index in samples.in_order().split(eval_batch(samples, device)):
        rows.append(model.features(samples.batch(index)["picture"].to(device)).float().cpu())
    return F.normalize(torch.cat(rows))
