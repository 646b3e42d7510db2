"""Names of classes that lie beside a set whose own files hold only numbers, one name a line.

CIFAR-10's binary form has `batches.meta.txt`; for IDX sets people write `classes.txt` or
`labels.txt`, in the order of the numbers.
"""

from pathlib import Path

from backbones.training.errors import UserError
from backbones.training.files import read_bounded

LARGEST_BYTES = 2**20
FILES = ("batches.meta.txt", "classes.txt", "labels.txt")


def names_beside(folder: Path, num: int) -> tuple[str, ...] | None:
    """Return the names of `num` classes from a file in the folder; None if there is none.

    UserError if a file has another number of names, or one twice.
    """
    found = [folder / name for name in FILES if (folder / name).is_file()]
    if not found:
        return None
    try:
        text = read_bounded(found[0], LARGEST_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{found[0]} is no text in UTF-8 that can be read ({error})") from None
    names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if len(names) != num:
        raise UserError(
            f"{found[0]} names {len(names)} classes, but the set has {num}; one name a line, in "
            "the order of the labels"
        )
    if len(set(names)) < num:
        raise UserError(f"{found[0]} has a name twice; every class needs its own")
    return names
