// A search by a network, one position at a time: PUCT, after Silver et al. 2017 (AlphaGo Zero).
// `judge(position)` gives { chances, value }: of each move, and -1 to 1 for the player to play.

const EXPLORE = 1.25, FIRST_LOSS = 0.2; // what a move that was not tried yet is thought to be worse by

class Node {
  constructor(position) {
    Object.assign(this, { position, chances: null, children: new Map(), visits: 0, total: 0 });
  }

  get value() { return this.visits ? this.total / this.visits : 0; }

  // Returns the move to try next.
  choose() {
    const root = Math.sqrt(this.visits);
    let best = -1, most = -Infinity;
    this.chances.forEach((chance, move) => {
      if (!chance) return;
      const child = this.children.get(move), visits = child ? child.visits : 0;
      const value = child ? -child.value : this.value - FIRST_LOSS;
      const hope = value + EXPLORE * chance * root / (1 + visits);
      if (hope > most) { most = hope; best = move; }
    });
    return best;
  }

  child(move) {
    if (!this.children.has(move)) {
      const position = this.position.copy();
      position.play(move);
      this.children.set(move, new Node(position));
    }
    return this.children.get(move);
  }
}

// Returns the moves of a position by their visits, most first, as [{ move, visits, chance }], where chance is
// that of the player to play to win. `going` says whether anybody still waits.
export async function search(position, judge, simulations, going = () => true) {
  const root = new Node(position);
  for (let n = 0; n <= simulations && (n === 0 || going()); n += 1) {
    const path = [root];
    let node = root;
    while (node.chances && !node.position.over) {
      node = node.child(node.choose());
      path.push(node);
    }
    let value = await worth(node, judge);
    for (const each of path.reverse()) {
      each.visits += 1;
      each.total += value;
      value = -value;
    }
  }
  const tried = [...root.children].map(([move, child]) => ({ move, visits: child.visits, chance: (1 - child.value) / 2 }));
  if (!tried.length) tried.push({ move: likeliest(root.chances), visits: 0, chance: (1 + root.value) / 2 });
  return tried.sort((a, b) => b.visits - a.visits);
}

// Judges a node that was not judged yet; returns what it is worth to its player.
async function worth(node, judge) {
  const { position } = node;
  if (position.over) {
    const score = position.score() * (position.toPlay === 1 ? 1 : -1);
    return Math.sign(score);
  }
  const { chances, value } = await judge(position);
  node.chances = chances;
  return value;
}

const likeliest = (chances) => chances.indexOf(Math.max(...chances));
