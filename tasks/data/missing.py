"""Files that a set names and nobody has: counted, named, and an error above one in a hundred."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from backbones.training.errors import UserError
from backbones.training.streams import plain

MOST_MISSING = 0.01


def some(names: Iterable[str]) -> str:
    """Return the first few of some names."""
    names = sorted(names)
    return ", ".join(map(plain, names[:3])) + (", ..." if len(names) > 3 else "")


def check_missing(missing: Sequence[str], total: int, folder: Path, told: str) -> list[str]:
    """Return what is to be said of photos of which something is `told` (captions, boxes) and that
    are not there; UserError if they are too many."""
    if not missing:
        return []
    said = f"{len(missing):,} of {total:,} photos with {told} are missing"
    if len(missing) > max(1, MOST_MISSING * total) or len(missing) == total:
        raise UserError(
            f"{folder}: {said} ({some(missing)}), more than {MOST_MISSING:.0%}; put them below the "
            f"folder, or take their {told} out"
        )
    return [f"{said}; their {told} are left out ({some(missing)})"]
