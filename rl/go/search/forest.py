"""Many search trees at once, compiled: descend, wait for the network, tell the path.

Letters: G games, C nodes of a game, A = N * N + 1 moves, K leaves of a game at a time, D depth.

A node has an edge for every move: prior (-1: illegal), visits, sum of values and child, 16 bytes;
nothing else but 12 bytes, so a node of a 9 x 9 board takes 1.3 kB. Boards are not kept: the moves
are played again from the root, which costs about as much as reading one from memory.

Values are those of who plays the edge, in [-1, 1]. A node whose game is over has its exact value
and asks no network. While a leaf waits for the network its path counts it as a loss, so that the
next leaf of the same game goes another way (virtual loss).
"""

from typing import NamedTuple, no_type_check

import numpy as np
from numba import njit

from rl.go.network.features import PLANES, see
from rl.go.rules.area import area_score
from rl.go.rules.board import BLACK, BOARD, POINTS, copy, move_to_point, over, play

DEEPEST = 512
UNKNOWN, WAITING, KNOWN, ENDED = 0, 1, 2, 3  # states of a node
ASKS, TOLD, COLLIDED = 0, 1, 2  # what became of a descent


class Forest(NamedTuple):
    """The trees, and the leaves that wait."""

    roots: np.ndarray  # [G] BOARD
    komi: np.ndarray  # [G] f4
    prior: np.ndarray  # [G C A] f4
    visits: np.ndarray  # [G C A] i4
    total: np.ndarray  # [G C A] f4
    child: np.ndarray  # [G C A] i4
    value: np.ndarray  # [G C] f4: of who is to play at the node
    state: np.ndarray  # [G C] i4
    seen: np.ndarray  # [G C] i4: visits of the node
    used: np.ndarray  # [G] i4: nodes in use; node 0 is none, 1 the root
    path_node: np.ndarray  # [G K D] i4
    path_move: np.ndarray  # [G K D] i4
    depth: np.ndarray  # [G K] i4
    outcome: np.ndarray  # [G K] i4
    planes: np.ndarray  # [G K F M M] u1
    legal: np.ndarray  # [G K A] bool
    forced: np.ndarray  # [G] i4: the move to take at the root, -1 for PUCT's


def build_forest(games: int, size: int, nodes: int, leaves: int = 1) -> Forest:
    """Return a forest of empty boards with room for so many nodes of each game."""
    moves, shape = size * size + 1, (games, nodes + 1)
    return Forest(
        roots=np.zeros(games, BOARD),
        komi=np.zeros(games, np.float32),
        prior=np.zeros((*shape, moves), np.float32),
        visits=np.zeros((*shape, moves), np.int32),
        total=np.zeros((*shape, moves), np.float32),
        child=np.zeros((*shape, moves), np.int32),
        value=np.zeros(shape, np.float32),
        state=np.zeros(shape, np.int32),
        seen=np.zeros(shape, np.int32),
        used=np.ones(games, np.int32),
        path_node=np.zeros((games, leaves, DEEPEST), np.int32),
        path_move=np.zeros((games, leaves, DEEPEST), np.int32),
        depth=np.zeros((games, leaves), np.int32),
        outcome=np.zeros((games, leaves), np.int32),
        planes=np.zeros((games, leaves, PLANES, size, size), np.uint8),
        legal=np.zeros((games, leaves, moves), np.bool_),
        forced=np.full(games, -1, np.int32),
    )


def bytes_per_node(size: int) -> int:
    """Return the memory of a node."""
    return 16 * (size * size + 1) + 12


@njit(cache=True, nogil=True)
@no_type_check
def clear(forest, g):
    """Forget a game's tree."""
    forest.used[g] = 1
    fresh(forest, g, 1)


@njit(cache=True, nogil=True)
@no_type_check
def fresh(forest, g, node):
    """Make a node that nothing is known of."""
    forest.prior[g, node] = -1
    forest.visits[g, node] = 0
    forest.total[g, node] = 0
    forest.child[g, node] = 0
    forest.value[g, node], forest.state[g, node], forest.seen[g, node] = 0, UNKNOWN, 0


@njit(cache=True, nogil=True)
@no_type_check
def best_move(prior, visits, total, child, full, value, count, explore, caution):
    """Return the move that PUCT follows from a node, given its rows [A]; -1 if there is none.

    In a `full` forest only moves with a child are followed.

    Moves without visits are taken to be worth the node's value less `caution` times the root of
    the prior mass that was visited (KataGo's first-play urgency).
    """
    seen = 0.0
    for move in range(len(prior)):
        if visits[move] > 0:
            seen += prior[move]
    unseen = value - caution * np.sqrt(seen)
    scale = explore * np.sqrt(np.float64(count) + 1e-6)
    best, best_score = -1, -1e9
    for move in range(len(prior)):
        if prior[move] < 0 or (full and not child[move]):
            continue
        n = visits[move]
        score = (total[move] / n if n else unseen) + scale * prior[move] / (1 + n)
        if score > best_score:
            best, best_score = move, score
    return best


@njit(cache=True, nogil=True)
@no_type_check
def descend(forest, g, k, board, stamps, explore, caution):
    """Walk one game's tree to a leaf, and draw it for the network or tell an exact value."""
    root = forest.roots[g]
    copy(board, root, True)
    node, depth, size = 1, 0, root.size
    full = forest.used[g] + 1 >= forest.state.shape[1]
    while forest.state[g, node] == KNOWN and depth < DEEPEST - 1:
        move = forest.forced[g] if depth == 0 else -1
        if move < 0:
            move = best_move(
                forest.prior[g, node],
                forest.visits[g, node],
                forest.total[g, node],
                forest.child[g, node],
                full,
                forest.value[g, node],
                forest.seen[g, node],
                explore,
                caution,
            )
        if move < 0 or (full and not forest.child[g, node, move]):
            break  # no room: what the node is worth is told once more
        if not forest.child[g, node, move]:
            forest.used[g] += 1
            fresh(forest, g, forest.used[g])
            forest.child[g, node, move] = forest.used[g]
        forest.path_node[g, k, depth], forest.path_move[g, k, depth] = node, move
        depth += 1
        play(board, move_to_point(move, size))
        node = forest.child[g, node, move]
    forest.path_node[g, k, depth], forest.depth[g, k] = node, depth
    if forest.state[g, node] == WAITING:
        forest.outcome[g, k] = COLLIDED
        return
    if forest.state[g, node] == UNKNOWN and over(board):
        score = area_score(board) - forest.komi[g]
        lead = score if board.to_play == BLACK else -score
        forest.value[g, node] = 1 if lead > 0 else -1 if lead < 0 else 0
        forest.state[g, node] = ENDED
    if forest.state[g, node] == ENDED or forest.state[g, node] == KNOWN:
        forest.outcome[g, k] = TOLD
        tell(forest, g, k, forest.value[g, node], 0.0)
        return
    forest.outcome[g, k] = ASKS
    forest.state[g, node] = WAITING
    see(board, forest.komi[g], forest.planes[g, k], forest.legal[g, k], stamps)
    lose(forest, g, k)


@njit(cache=True, nogil=True)
@no_type_check
def lose(forest, g, k):
    """Count a path as lost until the network has answered."""
    for d in range(forest.depth[g, k]):
        node, move = forest.path_node[g, k, d], forest.path_move[g, k, d]
        forest.visits[g, node, move] += 1
        forest.total[g, node, move] -= 1
        forest.seen[g, node] += 1


@njit(cache=True, nogil=True)
@no_type_check
def tell(forest, g, k, value, waited):
    """Tell a path its leaf's value; `waited` is 1 if the path was counted as lost before.

    The leaf's value is that of who is to play there, so the edge into it gets the opposite.
    """
    depth = forest.depth[g, k]
    forest.seen[g, forest.path_node[g, k, depth]] += 1
    for d in range(depth - 1, -1, -1):
        value = -value
        node, move = forest.path_node[g, k, d], forest.path_move[g, k, d]
        forest.total[g, node, move] += value + waited
        if waited == 0:
            forest.visits[g, node, move] += 1
            forest.seen[g, node] += 1


@njit(cache=True, nogil=True)
@no_type_check
def select(forest, games, boards, explore, caution):
    """Descend once for every leaf of some games; boards[1] BOARD is room for the walk."""
    stamps = np.zeros(POINTS, np.int32)
    for g in games:
        for k in range(forest.depth.shape[1]):
            descend(forest, g, k, boards[0], stamps, explore, caution)


@njit(cache=True, nogil=True)
@no_type_check
def expand(forest, games, logits, values):
    """Give the leaves of some games what the network said: logits[G K A], values[G K]."""
    for g in games:
        for k in range(forest.depth.shape[1]):
            if forest.outcome[g, k] != ASKS:
                continue
            node = forest.path_node[g, k, forest.depth[g, k]]
            softmax(logits[g, k], forest.legal[g, k], forest.prior[g, node])
            forest.value[g, node], forest.state[g, node] = values[g, k], KNOWN
            tell(forest, g, k, values[g, k], 1.0)


@njit(cache=True, nogil=True)
@no_type_check
def softmax(logits, legal, prior):
    """Write the softmax over the legal moves into prior[A], -1 for the others."""
    top = -np.inf
    for move in range(len(prior)):
        if legal[move]:
            top = max(top, logits[move])
    total = 0.0
    for move in range(len(prior)):
        prior[move] = -1
        if legal[move]:
            prior[move] = np.exp(logits[move] - top)
            total += prior[move]
    for move in range(len(prior)):
        if legal[move]:
            prior[move] /= total


@njit(cache=True, nogil=True)
@no_type_check
def keep_below(forest, g, move):
    """Make the node behind a move of the root the root, in place; say if there was one.

    The old numbers grow along the queue, so every node moves to a lower number than it had.
    """
    kept = forest.child[g, 1, move]
    if not kept or forest.state[g, kept] == UNKNOWN or forest.state[g, kept] == WAITING:
        clear(forest, g)
        return False
    # Mark what is below, then close the gaps in the order of the numbers: parents have lower ones.
    used = forest.used[g]
    new = np.zeros(used + 1, np.int32)
    new[kept] = 1
    following = 1
    for node in range(kept, used + 1):
        if new[node] == 0:
            continue
        for edge in range(forest.child.shape[2]):
            below = forest.child[g, node, edge]
            if below:
                new[below] = 1
    for node in range(kept, used + 1):
        if new[node]:
            new[node] = following
            following += 1
    for node in range(kept, used + 1):
        if new[node]:
            shift(forest, g, node, new)
    forest.used[g] = following - 1
    return True


@njit(cache=True, nogil=True)
@no_type_check
def shift(forest, g, node, new):
    """Move a node to its new number; new[C] has those of its children too, and 0 for none."""
    to = new[node]
    for edge in range(forest.child.shape[2]):
        forest.prior[g, to, edge] = forest.prior[g, node, edge]
        forest.visits[g, to, edge] = forest.visits[g, node, edge]
        forest.total[g, to, edge] = forest.total[g, node, edge]
        forest.child[g, to, edge] = new[forest.child[g, node, edge]]
    forest.value[g, to], forest.state[g, to] = forest.value[g, node], forest.state[g, node]
    forest.seen[g, to] = forest.seen[g, node]
