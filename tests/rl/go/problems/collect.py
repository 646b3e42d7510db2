"""Collect tactical positions from our games: `python -m tests.rl.go.problems.collect SEED`.

Prints paragraphs as `rl/go/problems/collected.py` holds them. A position is taken if exactly one
chain of at least STONES stones is at stake, and the slow reader agrees on every move.
"""

import sys
import textwrap
import time

import numpy as np

from rl.go.games.sgf import write_point
from rl.go.player import PlayoutPlayer
from rl.go.rules.board import BLACK, point_to_move
from rl.go.rules.position import Position
from rl.go.search import reader as fast
from tests.rl.go.search.slow_reader import SlowReader

EACH, STONES, LAST_MOVE, VISITS, LONG = 7, 2, 150, 40, 12
SIZE, KOMI = 19, 7.5
BUDGET = 20_000
READER = fast.build_reader()
SLOW = SlowReader(SIZE)


def captured(head, attacking, only=fast.ALL, quiet=1):
    READER.budget[0] = BUDGET
    return bool(fast.captured(READER, head, attacking, quiet, only))


def chains(position):
    heads = {int(position.board["head"][p]) for p in position.points()}
    return [head for head in sorted(heads) if position.board["colour"][head]]


def chain_of(position, head):
    return {int(point) for point in np.flatnonzero(position.board["head"] == head)}


def at_stake(position):
    """Return the chains that are captured or saved by who moves first: (head, own, number)."""
    READER.boards[0] = position.board
    found = []
    for head in chains(position):
        number = fast.liberties(position.board, head, np.zeros(3, np.int32))
        if position.board["stones"][head] < STONES or number > 2:
            continue
        if captured(head, True) and not captured(head, False):
            found.append((head, position.board["colour"][head] == position.to_play, number))
    return found


def candidates(head, own, number):
    """Return the moves that are tried, by whether they work."""
    board, moves = READER.boards[0], np.zeros(fast.MOST_MOVES, np.int32)
    libs = np.zeros(3, np.int32)
    fast.liberties(board, head, libs)
    if own:
        count = fast.defences(board, head, libs, number, moves)
        return {int(moves[i]): not captured(head, False, i) for i in range(count)}, set(libs)
    count = fast.attacks(board, head, libs, number, 1, moves)
    if number == 1:
        return {int(libs[0]): True}, set(libs)
    return {int(moves[i]): captured(head, True, i) for i in range(count)}, set(libs)


def kind_of(position, head, own, number, answers, libs):
    """Return what sort of problem it is."""
    quick = answers & {int(lib) for lib in libs}
    captured(head, not own, quiet=0)
    long = BUDGET - int(READER.budget[0]) >= LONG
    if own and number == 2:
        return "save in two"
    if own:
        if not quick:
            return "save by capture"
        return "broken ladder" if long else "save by extension"
    if number == 1:
        return "capture"
    if not quick:
        return "net"
    if all(thrown_in(position, point) for point in quick):
        return "throw-in"
    return "ladder" if long else "capture in two"


def thrown_in(position, point):
    """Return whether a stone there could be taken at once."""
    after = position.copy()
    after.play(int(point_to_move(point, SIZE)))
    head = int(after.board["head"][point])
    return fast.liberties(after.board, head, np.zeros(3, np.int32)) == 1


def agreed(position, head, own, number, answers):
    """Return whether the slow reader finds the chain at stake, and the answers right."""
    stones = {divmod(m, SIZE): position.at(m) for m in range(SIZE * SIZE) if position.at(m)}
    ko = divmod(int(point_to_move(position.board["ko"], SIZE)), SIZE)
    target = divmod(int(point_to_move(head, SIZE)), SIZE)
    first, second = (SLOW.captured(stones, ko, target, attacking, 1) for attacking in (True, False))
    if not first or second:
        return False
    if not own and number == 1:
        return True
    works = SLOW.defence_works if own else SLOW.attack_works
    points = [divmod(int(point_to_move(p, SIZE)), SIZE) for p in answers]
    return all(works(stones, ko, target, point, 1) for point in points)


def written(kind, position, head, answers):
    """Return a paragraph."""
    marks = "X" if position.to_play == BLACK else "O"
    moves = sorted(int(point_to_move(p, SIZE)) for p in answers)
    words = "".join(write_point(m, SIZE) for m in moves)
    target = write_point(int(point_to_move(head, SIZE)), SIZE)
    lines = [f"{kind} | {marks} | {target} | {words}"]
    for mark, colour in (("X", 1), ("O", 2)):
        stones = [write_point(m, SIZE) for m in range(SIZE * SIZE) if position.at(m) == colour]
        lines += [f"{mark} {part}" for part in textwrap.wrap("".join(stones), 96)]
    return "\n".join(lines)


def main():
    counts, seed = {}, int(sys.argv[1])
    while len(counts) < 9 or min(counts.values()) < EACH:
        player, position = PlayoutPlayer(seed=seed, memory_mb=32.0), Position(SIZE, KOMI)
        taken, points = set(), set()
        seed += 1
        for number in range(LAST_MOVE):
            player.search(position, VISITS)
            position.play(player.thoughts(position).best.move)
            if number < 30 or position.board["ko"]:
                continue
            stake = at_stake(position)
            if len(stake) != 1:
                continue
            head, own, libs_count = stake[0]
            tried, libs = candidates(head, own, libs_count)
            answers = {
                point
                for point, works in tried.items()
                if works and position.legal(int(point_to_move(point, SIZE)))
            }
            if not answers or len(answers) > 4:
                continue
            kind = kind_of(position, head, own, libs_count, answers, libs)
            if kind in taken or points & chain_of(position, head) or counts.get(kind, 0) >= EACH:
                continue
            if not agreed(position, head, own, libs_count, answers):
                continue
            taken.add(kind)
            points |= chain_of(position, head)
            counts[kind] = counts.get(kind, 0) + 1
            print(written(kind, position, head, answers) + "\n", flush=True)
        print(seed, time.process_time(), counts, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
