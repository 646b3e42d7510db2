"""Tree search by playouts, without a network: plain UCT, or RAVE with a few heuristics.

Letters: P points with the frame, C nodes, E edges.

RAVE (Gelly and Silver 2011, https://doi.org/10.1016/j.artint.2011.03.007, section 4): an edge also
counts all playouts below its node in which the same colour played that point later, and relies on
them while it has few visits of its own. New edges have prior results from heuristics (section 5):
atari answers, patterns, distance to the last move, own eyes. At the root captures are read as well
(`tactics.py`).

A node takes 16 bytes and an edge 40; a node has one edge per legal move. A full tree stops growing
but is still searched. After a move the subtree below it is kept (`reroot`).
"""

from typing import no_type_check

import numpy as np
from numba import njit

from rl.go.rules.area import owners
from rl.go.rules.board import BLACK, EMPTY, LARGEST, PASS, WHITE, copy, in_atari, legal, over, play
from rl.go.search.playout import atari_answers, count_up, fits_pattern, is_eye, play_out, self_atari
from rl.go.search.tactics import judge

NODE = np.dtype(
    [("first", "i4"), ("edges", "i4"), ("visits", "i4"), ("to_play", "i2"), ("read", "i2")],
    align=True,
)
"""`read` is 1 if captures were read for the node's edges, as they are at the root."""
EDGE = np.dtype(
    [
        ("point", "i2"),
        ("stake", "i2"),
        ("child", "i4"),
        ("visits", "i4"),
        ("half_wins", "i4"),
        ("later_visits", "i4"),
        ("later_half_wins", "i4"),
        ("prior_visits", "f4"),
        ("prior_wins", "f4"),
        ("score", "f8"),
    ],
    align=True,
)
"""Wins and `score` are those of who plays the edge; `later_` are RAVE's; child 0 means none; and
`stake` counts the stones that are won or saved by playing there, or lost (below 0).

A draw is half a win, and counts are whole numbers: a float32 would stand still at 2^24, after eight
minutes of thinking.
"""

TRUST = 1_500.0  # playouts after which an edge's own results weigh as much as RAVE's
EXPLORE = 0.6  # of UCT, as often in the literature: RAVE's edges explore by themselves
# Results that a stone at stake counts as on the largest board, and the most stones. Playouts see a
# stone's worth the worse, the more points there are.
BY_STONE, MOST_STONES = 40.0, 20
DEEPEST = 200


class Tree:
    """A search tree and its memory; `nodes[1]` is the root."""

    def __init__(self, nodes: int, edges: int) -> None:
        """Make room for so many nodes and edges."""
        self.nodes = np.zeros(nodes + 1, NODE)
        self.edges = np.zeros(edges, EDGE)
        # How many nodes and edges are in use, and a spare pair of arrays for `reroot`.
        self.used = np.array([1, 0], np.int64)

    @classmethod
    def of_megabytes(cls, megabytes: float, size: int) -> "Tree":
        """Return a tree of at most so many bytes, for boards of so many points on a side."""
        points = size * size + 1
        # Boards fill up: a node has three quarters of all points as edges, or fewer.
        nodes = int(megabytes * 2**20 / (NODE.itemsize + 0.75 * points * EDGE.itemsize))
        return cls(max(nodes, 2), max(int(0.75 * points * nodes), 2 * points))

    def edges_of(self, node: int) -> np.ndarray:
        """Return the edges of a node."""
        first, count = self.nodes[node]["first"], self.nodes[node]["edges"]
        return self.edges[first : first + count]

    def clear(self) -> None:
        """Forget everything."""
        self.used[:] = (1, 0)
        self.nodes[1] = 0


@njit(cache=True, nogil=True)
@no_type_check
def clear_edge(edge, point):
    """Reset an edge to one without visits."""
    edge.point, edge.child, edge.stake = point, 0, 0
    edge.visits = edge.half_wins = edge.later_visits = edge.later_half_wins = 0
    edge.score = edge.prior_visits = edge.prior_wins = 0


@njit(cache=True, nogil=True)
@no_type_check
def expand(nodes, edges, used, node, board, heuristics, found):
    """Give a node its edges; return False if there is no room."""
    if used[1] + board.num_empty + 1 > len(edges):
        return False
    first, colour, last = used[1], board.to_play, board.last[0]
    count = 0
    for i in range(board.num_empty):
        point = np.int64(board.empty[i])
        if (heuristics and is_eye(board, point, colour)) or not legal(board, point):
            continue
        edge = edges[first + count]
        clear_edge(edge, point)
        if heuristics:
            set_priors(board, point, colour, last, edge)
        count += 1
    edge = edges[first + count]
    clear_edge(edge, np.int64(PASS))
    if heuristics and count:
        edge.prior_visits, edge.prior_wins = 20, 1
    count += 1
    if heuristics and last > PASS:
        for k in range(atari_answers(board, last, colour, found)):
            for i in range(count):
                if edges[first + i].point == found[k]:
                    edges[first + i].prior_visits += 15
                    edges[first + i].prior_wins += 15
    used[1] += count
    nodes[node].first, nodes[node].edges, nodes[node].to_play = first, count, colour
    return True


@njit(cache=True, nogil=True)
@no_type_check
def set_priors(board, point, colour, last, edge):
    """Set a new edge's prior results by heuristics."""
    width = board.size + 2
    visits, wins = 10.0, 5.0
    if self_atari(board, point, colour):
        visits += 15
    elif fits_pattern(board, point):
        visits, wins = visits + 10, wins + 10
    for step in (-width, -1, 1, width):
        there = board.colour[point + step]
        if there == 3 - colour and in_atari(board, np.int64(board.head[point + step])):
            visits, wins = visits + 15, wins + 15
            break
    if last > PASS:
        across = abs(point % width - last % width)
        along = abs(point // width - last // width)
        distance = across + along + max(across, along)
        if distance <= 6:
            near = 20 - 2 * distance
            visits, wins = visits + near, wins + near
    line = line_of(board, point)
    if line <= 3 and lonely(board, point):
        visits += 5 if line == 2 else 10
        wins += 10 if line == 3 else 0
    edge.prior_visits, edge.prior_wins = visits, wins


@njit(cache=True, nogil=True)
@no_type_check
def line_of(board, point):
    """Return how far a point is from the edge, 1 on it."""
    x, y = point % (board.size + 2), point // (board.size + 2)
    return min(min(x, board.size + 1 - x), min(y, board.size + 1 - y))


@njit(cache=True, nogil=True)
@no_type_check
def lonely(board, point):
    """Return whether no stone is within two points."""
    width = board.size + 2
    x, y = point % width, point // width
    for row in range(max(y - 2, 1), min(y + 2, board.size) + 1):
        for column in range(max(x - 2, 1), min(x + 2, board.size) + 1):
            if board.colour[row * width + column] != EMPTY:
                return False
    return True


@njit(cache=True, nogil=True)
@no_type_check
def best_edge(nodes, edges, node, rave, by_stone):
    """Return the edge that the search selects at a node; `by_stone` results count a stone at stake.

    What was read pulls the value, RAVE included, to a win or a loss until the edge has visits of
    its own (progressive bias: Chaslot et al. 2008, https://doi.org/10.1142/S1793005708001094).
    """
    first, count = nodes[node].first, nodes[node].edges
    best, best_value = first, -1e9
    log_visits = np.log(max(nodes[node].visits, 1))
    for i in range(first, first + count):
        edge = edges[i]
        visits = edge.visits + edge.prior_visits
        if rave:
            value = (0.5 * edge.half_wins + edge.prior_wins) / visits if visits > 0 else 0.5
            if edge.later_visits > 0:
                later = np.float64(edge.later_visits)
                weight = later / (later + visits + later * visits / TRUST)
                value += weight * (0.5 * edge.later_half_wins / later - value)
            if edge.stake != 0:
                results = by_stone * min(abs(edge.stake), MOST_STONES)
                value += results / (results + edge.visits) * ((edge.stake > 0) - value)
        elif visits == 0:
            return i  # the points are in no order: the list of empty ones is shuffled by play
        else:
            value = 0.5 * edge.half_wins / visits + EXPLORE * np.sqrt(log_visits / visits)
        if value > best_value:
            best, best_value = i, value
    return best


@njit(cache=True, nogil=True)
@no_type_check
def read(nodes, edges, node, board, reader, gains):
    """Write the stones that are at stake in a position into the edges of its node."""
    judge(reader, board, gains)
    first = nodes[node].first
    for i in range(first, first + nodes[node].edges):
        if edges[i].point != PASS:
            edges[i].stake = gains[edges[i].point]
    nodes[node].read = 1


@njit(cache=True, nogil=True)
@no_type_check
def simulate(nodes, edges, used, root, board, komi, rave, sense, expand_at, rng, room, reader):
    """Descend from the root, play out, back the result up; return Black's score.

    `room` holds a path, the moves found, who first played where, who owns what, and the stones at
    stake: [5, P] int32.
    """
    path, found, first, owner = room[0], room[1][:16], room[2], room[3]
    copy(board, root, True)
    # Who asks after two passes wants to play on: the next pass ends the game again.
    board.passes = min(board.passes, 1)
    node, depth = np.int64(1), 0
    grown = False
    while depth < DEEPEST and not over(board):
        if nodes[node].edges == 0:
            if grown or (node > 1 and nodes[node].visits < expand_at):
                break
            if not expand(nodes, edges, used, node, board, rave, found):
                break
            grown = True
        if rave and depth == 0 and not nodes[node].read:
            read(nodes, edges, node, board, reader, room[4])
        i = best_edge(nodes, edges, node, rave, BY_STONE * root.size**4 / LARGEST**4)
        play(board, np.int64(edges[i].point))
        path[depth] = i
        depth += 1
        if edges[i].child == 0:
            if used[0] + 1 >= len(nodes):
                break
            used[0] += 1
            fresh = nodes[used[0]]
            fresh.first = fresh.edges = fresh.visits = fresh.read = 0
            fresh.to_play = board.to_play
            edges[i].child = used[0]
        node = np.int64(edges[i].child)
    first[:] = EMPTY
    if over(board):
        owners(board.colour.copy(), board.size, owner)
        score = -komi
        for point in range((board.size + 2) * (board.size + 2)):
            owner[point] = (owner[point] == BLACK) - (owner[point] == WHITE)
            score += owner[point]
    else:
        play_out(board, sense, rng, found, first)
        score = count_up(board, owner) - komi
    black_halves = 2 if score > 0 else 1 if score == 0 else 0
    backup(nodes, edges, path, depth, black_halves, score, rave, first)
    return score


@njit(cache=True, nogil=True)
@no_type_check
def backup(nodes, edges, path, depth, black_halves, score, rave, first):
    """Add a result to every node and edge of a path, and to the RAVE statistics of their siblings.

    The result is Black's: 2 half wins, 1 or none, and a score. `first[P]` says who played where in
    the playout; the path's own moves are added from its end.
    """
    node_of = np.empty(DEEPEST + 1, np.int32)
    node = np.int64(1)
    for d in range(depth):
        node_of[d] = node
        node = np.int64(edges[path[d]].child)
    if node:
        nodes[node].visits += 1
    for d in range(depth - 1, -1, -1):
        edge, node = edges[path[d]], nodes[node_of[d]]
        halves = black_halves if node.to_play == BLACK else 2 - black_halves
        edge.visits += 1
        edge.half_wins += halves
        edge.score += score if node.to_play == BLACK else -score
        node.visits += 1
        if not rave:
            continue
        if edge.point != PASS:
            first[edge.point] = node.to_play
        for i in range(node.first, node.first + node.edges):
            if edges[i].point != PASS and first[edges[i].point] == node.to_play:
                edges[i].later_visits += 1
                edges[i].later_half_wins += halves


@njit(cache=True, nogil=True)
@no_type_check
def search(
    nodes, edges, used, root, board, komi, rave, sense, expand_at, rng, room, reader, owned, count
):
    """Simulate `count` times from a root; add to owned[P] who owned each point at the end."""
    for _ in range(count):
        simulate(nodes, edges, used, root, board, komi, rave, sense, expand_at, rng, room, reader)
        for point in range((root.size + 2) * (root.size + 2)):
            owned[point] += room[3][point]


@njit(cache=True, nogil=True)
@no_type_check
def reroot(nodes, edges, used, kept, new_nodes, new_edges, new_used):
    """Copy the tree below a node into another tree, where it becomes the root."""
    new_nodes[1] = nodes[kept]
    new_used[0], new_used[1] = 1, 0
    # The new nodes themselves are the queue: each is copied with edges that still point at the old.
    done = 1
    while done <= new_used[0]:
        node = new_nodes[done]
        first = new_used[1]
        for i in range(node.edges):
            new_edges[first + i] = edges[node.first + i]
            child = new_edges[first + i].child
            if child:
                new_used[0] += 1
                new_nodes[new_used[0]] = nodes[child]
                new_edges[first + i].child = new_used[0]
        node.first = first
        new_used[1] += node.edges
        done += 1
