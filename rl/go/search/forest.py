"""Many search trees in parallel (numba): select a leaf, wait for the network, back its value up.

Letters: G games, C nodes of a game, A = N * N + 1 moves, K leaves of a game at a time, D depth.

A node has one edge per move, of 16 bytes: prior (-1: illegal), visits, sum of values and child.
The node itself adds 12 bytes, so a node of a 9 x 9 board takes 1.3 kB. Boards are not stored: the
moves are replayed from the root, which costs about as much as reading a board from memory.

An edge's values, in [-1, 1], are those of the player who makes the move. A node where the game is
over has its exact value and needs no network. While a leaf waits for the network, its path counts
as lost, so that the next leaf of the same game takes another path (virtual loss).
"""

from typing import NamedTuple, no_type_check

import numpy as np
from numba import njit

from rl.go.network.features import PLANES, see
from rl.go.rules.area import area_score
from rl.go.rules.board import BLACK, BOARD, POINTS, copy, move_to_point, over, play

DEEPEST = 512
UNKNOWN, WAITING, KNOWN, ENDED = 0, 1, 2, 3  # states of a node
ASKS, BACKED_UP, COLLIDED = 0, 1, 2  # how a descent ended


class Forest(NamedTuple):
    """The trees of all games, and the leaves that wait for the network."""

    roots: np.ndarray  # [G] BOARD
    komi: np.ndarray  # [G] f4
    prior: np.ndarray  # [G C A] f4
    visits: np.ndarray  # [G C A] i4
    total: np.ndarray  # [G C A] f4
    child: np.ndarray  # [G C A] i4
    value: np.ndarray  # [G C] f4: of the player to move at the node
    state: np.ndarray  # [G C] i4
    seen: np.ndarray  # [G C] i4: visits of the node
    used: np.ndarray  # [G] i4: nodes in use; node 0 is none, 1 the root
    path_node: np.ndarray  # [G K D] i4
    path_move: np.ndarray  # [G K D] i4
    depth: np.ndarray  # [G K] i4
    outcome: np.ndarray  # [G K] i4
    planes: np.ndarray  # [G K F M M] u1
    legal: np.ndarray  # [G K A] bool
    forced: np.ndarray  # [G] i4: the move to take at the root, -1: the one that PUCT selects


def build_forest(games: int, size: int, nodes: int, leaves: int = 1) -> Forest:
    """Return a forest of empty boards, with room for `nodes` nodes in each game."""
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
    clear_node(forest, g, 1)


@njit(cache=True, nogil=True)
@no_type_check
def clear_node(forest, g, node):
    """Reset a node to one that was never visited."""
    forest.prior[g, node] = -1
    forest.visits[g, node] = 0
    forest.total[g, node] = 0
    forest.child[g, node] = 0
    forest.value[g, node], forest.state[g, node], forest.seen[g, node] = 0, UNKNOWN, 0


@njit(cache=True, nogil=True)
@no_type_check
def best_move(prior, visits, total, child, full, value, count, explore, caution):
    """Return the move that PUCT selects at a node, given its rows [A]; -1 if there is none.

    In a `full` forest only moves that have a child are candidates.

    A move without visits counts as the node's value minus `caution` times the square root of the
    prior mass already visited (KataGo's first-play urgency).
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
    """Walk a game's tree to a leaf; write its planes for the network, or back up an exact value."""
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
            break  # no room for a child: the value of the node itself is backed up again
        if not forest.child[g, node, move]:
            forest.used[g] += 1
            clear_node(forest, g, forest.used[g])
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
        forest.outcome[g, k] = BACKED_UP
        backup(forest, g, k, forest.value[g, node], 0.0)
        return
    forest.outcome[g, k] = ASKS
    forest.state[g, node] = WAITING
    see(board, forest.komi[g], forest.planes[g, k], forest.legal[g, k], stamps)
    add_virtual_loss(forest, g, k)


@njit(cache=True, nogil=True)
@no_type_check
def add_virtual_loss(forest, g, k):
    """Count a path as lost until the network has evaluated its leaf."""
    for d in range(forest.depth[g, k]):
        node, move = forest.path_node[g, k, d], forest.path_move[g, k, d]
        forest.visits[g, node, move] += 1
        forest.total[g, node, move] -= 1
        forest.seen[g, node] += 1


@njit(cache=True, nogil=True)
@no_type_check
def backup(forest, g, k, value, waited):
    """Add a leaf's value to its path; `waited` is 1 if the path has a virtual loss to take back.

    The value is that of the player to move at the leaf, so the edge into it gets the opposite.
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
    """Descend once for every leaf of some games; boards[1] BOARD is scratch space."""
    stamps = np.zeros(POINTS, np.int32)
    for g in games:
        for k in range(forest.depth.shape[1]):
            descend(forest, g, k, boards[0], stamps, explore, caution)


@njit(cache=True, nogil=True)
@no_type_check
def expand(forest, games, logits, values):
    """Expand the leaves of some games with the network's logits[G K A] and values[G K]."""
    for g in games:
        for k in range(forest.depth.shape[1]):
            if forest.outcome[g, k] != ASKS:
                continue
            node = forest.path_node[g, k, forest.depth[g, k]]
            softmax(logits[g, k], forest.legal[g, k], forest.prior[g, node])
            forest.value[g, node], forest.state[g, node] = values[g, k], KNOWN
            backup(forest, g, k, values[g, k], 1.0)


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
def reroot(forest, g, move):
    """Make the child of a move the new root, in place; return whether there was such a child.

    Children have higher numbers than their parents, so every node moves to a lower number.
    """
    kept = forest.child[g, 1, move]
    if not kept or forest.state[g, kept] == UNKNOWN or forest.state[g, kept] == WAITING:
        clear(forest, g)
        return False
    # Mark the subtree, then close the gaps in ascending order: parents come before children.
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
    """Move a node to its new number; new[C] maps old numbers to new ones, 0 to 0."""
    to = new[node]
    for edge in range(forest.child.shape[2]):
        forest.prior[g, to, edge] = forest.prior[g, node, edge]
        forest.visits[g, to, edge] = forest.visits[g, node, edge]
        forest.total[g, to, edge] = forest.total[g, node, edge]
        forest.child[g, to, edge] = new[forest.child[g, node, edge]]
    forest.value[g, to], forest.state[g, to] = forest.value[g, node], forest.state[g, node]
    forest.seen[g, to] = forest.seen[g, node]
