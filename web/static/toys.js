// The toys of rl/games/toys.py, pixel for pixel. `random` gives numbers in [0, 1). A toy has its actions,
// `step(action)`, which returns { reward, over }, and `picture()`, SIDE * SIDE greys.

const CELL_PX = 6, CELLS = 14, ROOMS = 6, WAIT = 10;
export const SIDE = CELL_PX * CELLS;
const below = (random, count) => Math.floor(random() * count);

class Catch {
  static actions = ["LEFT", "NOOP", "RIGHT"];

  constructor(random) {
    this.row = 0;
    this.column = below(random, CELLS);
    this.paddle = CELLS / 2;
  }

  step(action) {
    this.paddle = Math.min(Math.max(this.paddle + action - 1, 1), CELLS - 2);
    this.row += 1;
    const over = this.row === CELLS - 1;
    const caught = Math.abs(this.column - this.paddle) <= 1;
    return { reward: over ? (caught ? 1 : -1) : 0, over };
  }

  picture() {
    const picture = new Uint8Array(SIDE * SIDE);
    fill(picture, CELLS - 1, CELLS, this.paddle - 1, this.paddle + 2, CELL_PX, 128);
    fill(picture, this.row, this.row + 1, this.column, this.column + 1, CELL_PX, 255);
    return picture;
  }
}

class Recall {
  static actions = ["LEFT", "RIGHT"];

  constructor(random) {
    this.side = below(random, 2);
    this.steps = 0;
  }

  step(action) {
    this.steps += 1;
    const over = this.steps > WAIT;
    return { reward: over ? (action === this.side ? 1 : -1) : 0, over };
  }

  picture() {
    const picture = new Uint8Array(SIDE * SIDE);
    if (this.steps === 0) fill(picture, 0, SIDE, 6 + 48 * this.side, 30 + 48 * this.side, 1, 255);
    if (this.steps === WAIT) {
      fill(picture, 0, SIDE, 0, SIDE, 1, 128);
      fill(picture, 1, SIDE - 1, 1, SIDE - 1, 1, 0);
    }
    return picture;
  }
}

class Corridor {
  static actions = ["LEFT", "RIGHT"];

  constructor(random) {
    this.room = 1 + below(random, ROOMS - 2);
  }

  step(action) {
    this.room += action ? 1 : -1;
    const reward = { 0: 0.5, [ROOMS - 1]: 1 }[this.room] || 0;
    return { reward, over: reward > 0 };
  }

  picture() {
    const picture = new Uint8Array(SIDE * SIDE), width = SIDE / ROOMS;
    fill(picture, 0, SIDE, this.room * width, (this.room + 1) * width, 1, 255);
    return picture;
  }
}

export const TOYS = { "Arcadia/Catch-v0": Catch, "Arcadia/Recall-v0": Recall, "Arcadia/Corridor-v0": Corridor };

// Fills rows and columns, each `scale` pixels wide.
function fill(picture, top, bottom, left, right, scale, grey) {
  for (let y = top * scale; y < bottom * scale; y += 1) picture.fill(grey, y * SIDE + left * scale, y * SIDE + right * scale);
}

const NIGHT = { 0: [18, 24, 38], 128: [92, 172, 238], 255: [255, 200, 87] };

// Returns a picture of greys in colour, [red, green, blue] each, as the toy draws itself for people.
export function coloured(env, picture) {
  const colours = new Uint8Array(3 * picture.length);
  const night = env === "Arcadia/Catch-v0";
  picture.forEach((grey, n) => colours.set(night ? NIGHT[grey] : [grey, grey, grey], 3 * n));
  return colours;
}

// The last four pictures, older ones first, zeros before the game: what an agent sees.
export class Stack {
  constructor(first) {
    this.data = new Uint8Array(4 * SIDE * SIDE);
    this.data.set(first, 3 * SIDE * SIDE);
  }

  push(picture) {
    this.data.copyWithin(0, SIDE * SIDE);
    this.data.set(picture, 3 * SIDE * SIDE);
  }
}
