"""What others call train, val and test: fairseq's `valid`, TensorFlow's `validation`, `dev`.

Upper and lower case are one (`Train/`). A set that has two of these names for one split is refused:
nobody can say which of them is meant.
"""

from collections.abc import Iterable
from typing import Literal

from backbones.training.errors import UserError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
NAMES: dict[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}


def name_of(split: str, there: Iterable[str], where: object) -> str | None:
    """Return the one of the names `there` that means a split, as it is written; None if none does.

    UserError, with `where`, if there are two.
    """
    found = sorted({name for name in there if name.lower() in NAMES[split]})
    if len(found) > 1:
        raise UserError(
            f"{where} has {' and '.join(found)}, and each of them means {split}; leave one of them"
        )
    return found[0] if found else None
