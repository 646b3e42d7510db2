// The rules of Go that networks learn by: positional superko, no suicide, every stone on the board counts.
// And what a network sees of a position: the planes of rl/go/network/features.py.
// A move is row * size + column from the top left, or size * size for a pass.

export const EMPTY = 0, BLACK = 1, WHITE = 2, PLANES = 15;

export class Position {
  constructor(size, komi) {
    Object.assign(this, { size, komi, toPlay: BLACK, passes: 0, moves: [] });
    this.stones = new Uint8Array(size * size);
    this.seen = new Set([this.stones.join("")]);
  }

  copy() {
    const other = Object.assign(Object.create(Position.prototype), this);
    other.stones = this.stones.slice();
    other.moves = this.moves.slice();
    other.seen = new Set(this.seen);
    return other;
  }

  get passMove() { return this.size * this.size; }

  get over() { return this.passes >= 2; }

  beside(point) {
    const { size } = this, column = point % size, found = [];
    if (point >= size) found.push(point - size);
    if (column > 0) found.push(point - 1);
    if (column < size - 1) found.push(point + 1);
    if (point < size * size - size) found.push(point + size);
    return found;
  }

  // Returns the chain of a point and its liberties.
  chain(point, stones = this.stones) {
    const chain = new Set([point]), liberties = new Set();
    for (const each of chain) {
      for (const other of this.beside(each)) {
        if (stones[other] === EMPTY) liberties.add(other);
        else if (stones[other] === stones[point]) chain.add(other);
      }
    }
    return { chain, liberties };
  }

  // Returns the stones after a move of the player to play, null if it is illegal.
  after(move) {
    if (this.stones[move] !== EMPTY) return null;
    const stones = this.stones.slice();
    stones[move] = this.toPlay;
    for (const other of this.beside(move)) {
      if (stones[other] !== 3 - this.toPlay) continue;
      const { chain, liberties } = this.chain(other, stones);
      if (!liberties.size) for (const each of chain) stones[each] = EMPTY;
    }
    if (!this.chain(move, stones).liberties.size) return null;
    return this.seen.has(stones.join("")) ? null : stones;
  }

  legal(move) { return move === this.passMove || this.after(move) !== null; }

  legalMoves() { return Array.from({ length: this.passMove + 1 }, (_, move) => this.legal(move)); }

  // Plays a legal move.
  play(move) {
    if (move === this.passMove) this.passes += 1;
    else {
      this.stones = this.after(move);
      this.passes = 0;
      this.seen.add(this.stones.join(""));
    }
    this.moves.push(move);
    this.toPlay = 3 - this.toPlay;
  }

  // Returns black's points less white's and the komi.
  score() {
    const counted = new Set();
    let score = -this.komi;
    this.stones.forEach((colour, point) => {
      if (colour !== EMPTY) score += colour === BLACK ? 1 : -1;
      else if (!counted.has(point)) {
        const { empty, borders } = this.region(point);
        for (const each of empty) counted.add(each);
        if (borders.size === 1) score += borders.has(BLACK) ? empty.size : -empty.size;
      }
    });
    return score;
  }

  // Returns the empty points that are connected with one, and the colours around them.
  region(point) {
    const empty = new Set([point]), borders = new Set();
    for (const each of empty) {
      for (const other of this.beside(each)) {
        if (this.stones[other] === EMPTY) empty.add(other);
        else borders.add(this.stones[other]);
      }
    }
    return { empty, borders };
  }

  // Returns the planes that a network sees, in its room of `side` by `side` points, and the legal moves.
  planes(side) {
    const planes = new Uint8Array(PLANES * side * side), legal = this.legalMoves();
    const put = (plane, point, value = 255) => {
      planes[(plane * side + Math.floor(point / this.size)) * side + (point % this.size)] = value;
    };
    const komi = this.toPlay === WHITE ? this.komi : -this.komi;
    const last = this.moves.slice(-3).reverse();
    for (let point = 0; point < this.passMove; point += 1) {
      const there = this.stones[point];
      put(9, point, Math.min(Math.max(128 + 4 * komi, 0), 255));
      put(10, point, last[0] === this.passMove ? 255 : 0);
      put(14, point);
      if (there === EMPTY) {
        if (!legal[point]) put(8, point);
        continue;
      }
      put(there === this.toPlay ? 0 : 1, point);
      const liberties = this.chain(point).liberties.size;
      if (liberties < 4) put(1 + liberties, point);
    }
    last.forEach((move, n) => { if (move < this.passMove) put(5 + n, move); });
    return { planes, legal };
  }
}
