"""A review written into the game's own tree, for whatever reads SGF.

V is FF[4]'s value of a position, in points for Black. SBKV and SBKS are the percent of Black's
chance to win and Black's lead, of which Sabaki draws its graphs. BM marks a bad move, unless the
file has a judgement of its own there. Words stand in C, behind those that were there before. The
better moves are variations, the last of each node.
"""

from collections.abc import Iterator

from rl.go.games import sgf
from rl.go.review.judge import Judged, Review, Reviewed
from rl.go.rules.board import BLACK, WHITE
from rl.go.rules.position import colour_name, vertex

LONGEST_LINE = 8  # moves of a variation; what a search expects further on is hardly searched
JUDGEMENTS = ("BM", "DO", "IT", "TE")  # of moves; FF[4] allows one


def annotate(root: sgf.Node, review: Review, *, by: str, worst: int) -> list[str]:
    """Write a review into the tree of its game; `by` says who judged, `worst` how many moves of
    each colour are told. Return the lines on the whole game that stand in its root."""
    told = {m.number: m for colour in (BLACK, WHITE) for m in review.worst(colour, worst)}
    lines = summary(review, by=by, worst=worst)
    comment(root, "\n".join(lines))
    for node, parent, first, last in nodes_of(root, review.size):
        value(node, review.positions[last])
        for number in range(first, last + 1):
            if number in told:
                blame(node, told[number], review.size)
                # A variation stands beside the move: where that is not the first of its node, or
                # there is no node before, the words have to do.
                if parent is not None and number == first:
                    parent.children.append(variation(told[number], review.size))
    # Texts were decoded, and are written anew.
    root.properties |= {"CA": ["UTF-8"], "FF": ["4"], "AP": ["Arcadia"]}
    return lines


def nodes_of(root: sgf.Node, size: int) -> Iterator[tuple[sgf.Node, sgf.Node | None, int, int]]:
    """Give the main line's root and its nodes with moves: each, the node before it, the number of
    its first move and that of its last, which is the lower one where it has none."""
    before, number = None, 0
    for node in list(root.main_line()):
        count = sum(1 for _ in sgf.moves_of(node, size))
        if count or before is None:
            yield node, before, number + 1, number + count
        before, number = node, number + count


def value(node: sgf.Node, judged: Judged) -> None:
    """Write what a position is worth."""
    node.properties |= {
        "V": [f"{judged.lead:.1f}"],
        "SBKV": [f"{100 * judged.winrate:.2f}"],
        "SBKS": [f"{judged.lead:.2f}"],
    }
    leader = colour_name(BLACK if judged.lead >= 0 else WHITE)
    comment(
        node, f"black wins {judged.winrate:.0%}, {leader} leads by {abs(judged.lead):.1f} points"
    )


def blame(node: sgf.Node, move: Reviewed, size: int) -> None:
    """Write that a move is bad, and what would have been better."""
    comment(node, sentence(move, size))
    if not any(name in node.properties for name in JUDGEMENTS):
        node.properties["BM"] = ["1"]


def sentence(move: Reviewed, size: int) -> str:
    """Return what a move lost, and what would have been better."""
    assert move.better
    line = " ".join(vertex(each, size) for each in move.better.line[:LONGEST_LINE])
    return (
        f"move {move.number}, {colour_name(move.colour)} {vertex(move.move, size)}, loses "
        f"{move.lost:.1f} points ({-move.chance_lost:+.0%} to win); better: {line}"
    )


def variation(move: Reviewed, size: int) -> sgf.Node:
    """Return what would have been played, as nodes."""
    assert move.better
    first = node = sgf.Node({"N": [f"better by {move.lost:.1f} points"]})
    colour = move.colour
    for number, each in enumerate(move.better.line[:LONGEST_LINE]):
        if number:
            node.children.append(sgf.Node())
            node = node.children[0]
        node.properties["B" if colour == BLACK else "W"] = [sgf.write_point(each, size)]
        colour = 3 - colour
    return first


def comment(node: sgf.Node, text: str) -> None:
    """Add a paragraph to a node's comment."""
    before = node.one("C").rstrip()
    node.properties["C"] = [f"{before}\n{text}" if before else text]


def summary(review: Review, *, by: str, worst: int) -> list[str]:
    """Return lines on the whole game: who judged it, and the worst moves of each colour."""
    lines = [f"reviewed by {by}"]
    for colour in (BLACK, WHITE):
        mine = [move for move in review.moves if move.colour == colour]
        lost = sum(move.lost for move in mine) / max(len(mine), 1)
        told = review.worst(colour, worst)
        lines.append(
            f"{colour_name(colour)}: {lost:.1f} points lost a move"
            + (", most by:" if told else ", none by much")
        )
        lines += [f"  {sentence(move, review.size)}" for move in told]
    return lines
