"""Drawing a board in a terminal: stones, coordinates, the last move, winrate and lead."""

from rl.go.player import Thoughts
from rl.go.rules.board import BLACK, EMPTY, WHITE
from rl.go.rules.position import (
    LETTERS,
    Position,
    colour_name,
    handicap_points,
    most_handicap,
    vertex,
)

WOOD, INK = "\033[48;2;222;184;120m", "\033[38;2;60;40;20m"
BLACK_INK, WHITE_INK = "\033[38;2;10;10;10m", "\033[38;2;255;255;255m"
RED, PLAIN, DIM = "\033[38;2;200;30;30m", "\033[0m", "\033[2m"
BAR = 40  # characters


def stars(size: int) -> set[int]:
    """Return the points that are marked on a board."""
    most = min(most_handicap(size), 5 if size == 9 else 9)
    return set(handicap_points(size, most)) if most else set()


def draw(position: Position, colours: bool = True) -> str:
    """Return the board as lines; `colours` are ANSI's."""
    size = position.size
    letters = "    " + " ".join(LETTERS[:size])
    last = position.moves[-1][1] if position.moves else -1
    marked = stars(size)
    rows = [letters]
    for row in range(size):
        cells = []
        for column in range(size):
            move = row * size + column
            cells.append(cell(position.at(move), move == last, move in marked, colours))
        line = "".join(cells)
        wood, plain = (WOOD, PLAIN) if colours else ("", "")
        rows.append(f"{size - row:3}{wood}{line} {plain} {size - row:<3}".rstrip())
    rows.append(letters)
    return "\n".join(rows)


def cell(there: int, last: bool, star: bool, colours: bool) -> str:
    """Return a point, two characters wide: a gap, or the mark of the last move, and the point."""
    if not colours:
        mark = ">" if last else " "
        return mark + {EMPTY: "+" if star else ".", BLACK: "X", WHITE: "O"}[there]
    mark = f"{RED}▸" if last else " "
    ink = {EMPTY: INK, BLACK: BLACK_INK, WHITE: WHITE_INK}[there]
    return f"{mark}{ink}{'+' if star and there == EMPTY else '·' if there == EMPTY else '●'}"


def bars(position: Position, thoughts: Thoughts) -> list[str]:
    """Return Black's winrate as a bar, the lead and the expected moves; `thoughts` are of who is
    to play.
    """
    is_black = position.to_play == BLACK
    black = thoughts.winrate if is_black else 1 - thoughts.winrate
    lead = thoughts.score if is_black else -thoughts.score
    full = round(BAR * black)
    leader = colour_name(BLACK if lead >= 0 else WHITE)
    best = " ".join(vertex(move, position.size) for move in thoughts.best.line[:6])
    return [
        f"black {black:4.0%} {'█' * full}{'░' * (BAR - full)} {1 - black:4.0%} white",
        f"{leader} leads by {abs(lead):.1f} points; {thoughts.visits:,} games thought; {best}",
    ]
