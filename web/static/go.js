// Go against a network that searches in this browser.
import { make } from "./dom.js";
import { BLACK, boardOf, nameOf } from "./goban.js";
import { softmax, start, tensor } from "./network.js";
import { PLANES, Position } from "./rules.js";
import { search } from "./search.js";

const LEVELS = { "plays at once": 0, "thinks a little": 30, "thinks longer": 150 };

start(async (about, run, main) => {
  const side = about.size, view = build(main, about);
  let game, mine, owned = null, thinking = false, begun = 0;

  const judge = async (position) => {
    const { planes, legal } = position.planes(side);
    const found = await run({ planes: tensor("uint8", planes, [1, PLANES, side, side]) }, ["policy", "value", "ownership", "score"]);
    const logits = legal.map((may, move) => (may ? found.policy[onRoom(move, position.size, side)] : -Infinity));
    return { chances: softmax(logits), value: found.value[0], ownership: found.ownership, score: found.score[0] };
  };
  const show = async () => {
    const mover = game.toPlay, sign = mover === BLACK ? 1 : -1, yours = !game.over && mover === mine && !thinking;
    const shown = game, judged = await judge(game);
    if (shown !== game) return;
    owned = view.areas.checked ? Array.from({ length: game.passMove }, (_, move) => sign * judged.ownership[onRoom(move, game.size, side)]) : null;
    const last = game.moves.length ? game.moves[game.moves.length - 1] : -1;
    view.board.replaceChildren(boardOf({ size: game.size, stones: game.stones, stars: about.stars[game.size], last, ownership: owned }, yours ? play : null));
    const percent = Math.round(50 + 50 * sign * judged.value);
    view.chance.replaceChildren(make("i", { style: `width:${percent}%` }), make("span", { textContent: `black wins ${percent} %` }));
    view.note.textContent = game.over ? outcome(game.score(), mine) : thinking ? "the network thinks ..." : "your turn";
    view.info.textContent = `move ${game.moves.length}${last === game.passMove ? "; the last was a pass" : ""}; komi ${game.komi}`;
    view.pass.disabled = !yours;
    view.undo.disabled = thinking || game.moves.length < 2;
  };
  const play = async (move) => {
    if (!game.legal(move)) {
      view.note.textContent = `${nameOf(move, game.size)} is not allowed: suicide, or the board was there before`;
      return;
    }
    game.play(move);
    await answer();
  };
  const answer = async () => {
    if (game.over || game.toPlay === mine) return show();
    const number = begun, before = game;
    thinking = true;
    await show();
    const found = await search(game, judge, LEVELS[view.level.value], () => number === begun);
    if (number !== begun || game !== before) return undefined;
    thinking = false;
    game.play(found[0].move);
    return show();
  };
  view.begin(async (size, colour) => {
    begun += 1;
    thinking = false;
    game = new Position(size, about.komi);
    mine = colour;
    await answer();
  });
  view.pass.addEventListener("click", () => play(game.passMove));
  view.undo.addEventListener("click", () => {
    const moves = game.moves.slice();
    while (moves.length) {
      const colour = moves.length % 2 ? BLACK : 3 - BLACK;
      moves.pop();
      if (colour === mine) break;
    }
    game = new Position(game.size, about.komi);
    for (const move of moves) game.play(move);
    answer();
  });
  view.areas.addEventListener("change", show);
});

// Networks number moves in their room, which may be larger than the board.
const onRoom = (move, size, side) => move === size * size ? side * side : Math.floor(move / size) * side + (move % size);

function outcome(score, mine) {
  if (score === 0) return "a draw";
  const winner = score > 0 ? BLACK : 3 - BLACK;
  return `${winner === mine ? "you win" : "the network wins"} by ${Math.abs(score)} points; every stone on the board counts`;
}

function build(main, about) {
  const board = make("div", { className: "board" }), note = make("p", { role: "status" });
  const chance = make("div", { className: "chance" }), info = make("p", { className: "dim" });
  const pass = make("button", { textContent: "pass" }), undo = make("button", { textContent: "undo" });
  const areas = make("input", { type: "checkbox" });
  const pick = (options) => make("select", {}, ...options.map(([value, textContent]) => make("option", { value, textContent })));
  const level = pick(Object.keys(LEVELS).map((name) => [name, name]));
  level.selectedIndex = 1;
  const sizes = Array.from({ length: about.size - about.smallest + 1 }, (_, n) => about.size - n);
  const size = pick(sizes.map((n) => [n, `${n} by ${n}`]));
  const colour = pick([[1, "you are black"], [2, "you are white"]]);
  const form = make("form", { className: "card go-form" }, make("h2", { textContent: "New game" }),
    ...[["size", size], ["colour", colour], ["network", level]].map(([name, field]) => make("label", {}, make("span", { textContent: name }), field)),
    make("button", { className: "main", textContent: "begin" }));
  main.append(make("h1", { textContent: about.title }), make("div", { className: "split" }, board,
    make("div", {}, make("aside", { className: "card" }, note, chance, info, make("p", { className: "row" }, pass, undo),
      make("label", {}, areas, " show who will own each point")), form,
    make("p", { className: "dim", textContent: "No stone is dead until it is taken: capture before you pass. The same board never comes twice." }))));
  const begin = (work) => {
    const now = () => work(Number(size.value), Number(colour.value));
    form.addEventListener("submit", (event) => { event.preventDefault(); now(); });
    now();
  };
  return { board, note, chance, info, pass, undo, areas, level, begin };
}
