"""Where a writer looked, as text: letters of what it read above, a row for each piece it wrote.

Letters: S pieces read, T pieces written.
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

SHADES = " ░▒▓█"


def alignment_text(
    source: Sequence[str], target: Sequence[str], weights: Float[Tensor, "T S"]
) -> str:
    """Return a row for each piece written, the line that was read above, letter under letter."""
    tall, wide = (max(map(len, pieces)) for pieces in (source, target))
    rows = [
        " " * (wide + 1) + "".join(f"{piece.rjust(tall)[n]} " for piece in source)
        for n in range(tall)
    ]
    for piece, looked in zip(target, weights.tolist(), strict=True):
        shades = "".join(2 * SHADES[min(int(5 * weight), 4)] for weight in looked)
        rows.append(f"{piece.rjust(wide)} {shades}")
    return "\n".join(row.rstrip() for row in rows) + "\n"
