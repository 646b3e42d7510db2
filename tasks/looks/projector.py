"""Points for TensorBoard's embedding projector, each with a picture and words to colour it by.

Letters: N points of D numbers, pictures of C channels, H rows, W columns. The format is the
projector's own: tab separated files, one sheet of small square pictures, and a config that names
them (https://github.com/tensorflow/tensorboard/blob/master/tensorboard/plugins/projector).
"""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from backbones.training.files import write_atomically

CONFIG = """embeddings {{
  tensor_name: "features"
  tensor_path: "embedding/tensors.tsv"
  metadata_path: "embedding/words.tsv"
  sprite {{ image_path: "embedding/sprite.png" single_image_dim: {side} single_image_dim: {side} }}
}}
"""
SIDE_PX = 32


def sprite(pictures: UInt8[Tensor, "N C H W"]) -> bytes:
    """Return a PNG of the pictures in a square sheet, row by row."""
    columns = math.ceil(math.sqrt(len(pictures)))
    sheet = Image.new("RGB", (columns * SIDE_PX, columns * SIDE_PX))
    for i, picture in enumerate(pictures):
        pixels = picture.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
        image = Image.fromarray(pixels).resize((SIDE_PX, SIDE_PX))
        sheet.paste(image, (i % columns * SIDE_PX, i // columns * SIDE_PX))
    out = io.BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()


def write_embedding(
    folder: Path,
    vectors: Float[Tensor, "N D"],
    words: Mapping[str, Sequence[str]],
    pictures: UInt8[Tensor, "N C H W"],
) -> None:
    """Write points into a run's folder, over those of before. OSError if the disk does not.

    `words` has two columns or more, each with a word for every point: the projector colours by any
    of them that has at most 50 different ones. (Of one column it would take the head for a point.)
    """
    assert len(words) > 1
    inside = folder / "embedding"
    inside.mkdir(exist_ok=True)
    table = io.StringIO()
    np.savetxt(table, vectors.to(torch.float32).numpy(), "%.4g", "\t")
    write_atomically(inside / "tensors.tsv", table.getvalue())
    rows = [tuple(words), *zip(*words.values(), strict=True)]
    write_atomically(inside / "words.tsv", "".join("\t".join(row) + "\n" for row in rows))
    write_atomically(inside / "sprite.png", sprite(pictures))
    write_atomically(folder / "projector_config.pbtxt", CONFIG.format(side=SIDE_PX))
