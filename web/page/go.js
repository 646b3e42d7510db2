// A game of Go: a board of SVG, an engine of a chosen strength, hints, and the game as a file.
import { Chart, COLOURS } from "./chart.js";
import { ask, make } from "./dom.js";
import { BLACK, boardOf, nameOf } from "./goban.js";
import { Line } from "./line.js";
import { showReview } from "./review.js";

const MOST_BYTES = 700_000; // of a game that is reviewed
const OWNED = 10; // what a point counts that is surely somebody's

export function showGo(main) {
  const board = make("div", { className: "board" });
  const note = make("p", { role: "status" }), error = make("p", { className: "error", role: "status" });
  const chance = make("div", { className: "chance" }), info = make("p", { className: "dim" });
  const buttons = make("p", { className: "row" }), curves = make("div");
  const form = make("form", { className: "card go-form" });
  const charts = [new Chart("black's chance to win, percent"), new Chart("black's lead, points")];
  const game = make("div", { className: "split" }, make("div", {}, board, error),
    make("div", {}, make("aside", { className: "card" }, note, chance, info, buttons, curves), form));
  const review = make("div", { className: "split", hidden: true });
  main.append(make("h1", { textContent: "Go" }), game, review);

  let state = null, chosen = null, leave = () => {};
  const line = new Line("/api/go", {
    opened: () => {
      error.textContent = "";
      if (!chosen || (state && state.result)) return;
      note.textContent = "preparing the engine ...";
      line.send({ new: { ...chosen, played: state ? state.played : [] } });
    },
    heard: (data) => {
      const answer = JSON.parse(data);
      if (answer.error) {
        error.textContent = answer.error;
        if (state) show();
      } else if (answer.reviewing) {
        note.textContent = `reviewing: ${answer.reviewing[0]} of ${answer.reviewing[1]} positions`;
      } else if (answer.review) {
        game.hidden = true;
        review.hidden = false;
        leave = showReview(review, answer.review, back);
        if (state) show();
      } else {
        state = answer;
        show();
      }
    },
    lost: () => { error.textContent = "the connection is lost; trying again, the game goes on"; },
  });
  const back = () => {
    leave();
    review.replaceChildren();
    review.hidden = true;
    game.hidden = false;
  };
  const send = (wish) => { error.textContent = ""; line.send(wish); };
  const play = (word) => {
    if (word === "hint" || word === "areas") note.textContent = "thinking ...";
    send({ play: word });
  };
  const button = (word, label) => {
    const made = make("button", { textContent: label });
    made.addEventListener("click", () => play(word));
    return made;
  };
  const save = make("a", { className: "button", textContent: "save as SGF", download: "game.sgf" });
  const own = [button("pass", "pass"), button("undo", "undo"), button("hint", "hint"), button("areas", "who owns what"), button("resign", "resign")];
  const judge = (more) => {
    note.textContent = "preparing the review ...";
    for (const each of own) each.disabled = true;
    const engine = form.elements.engine.value;
    send({ review: { engine: engine === "random" ? "playouts" : engine, ...more } });
  };
  const again = make("button", { textContent: "review this game" });
  again.addEventListener("click", () => judge({}));
  buttons.append(...own, save, again);
  buttons.hidden = true;

  const show = () => {
    const yours = state.turn === state.mine;
    const ownership = state.areas && state.areas.map((each) => each / OWNED);
    board.replaceChildren(boardOf({ ...state, ownership }, yours ? (move) => play(nameOf(move, state.size)) : null));
    note.textContent = state.result ? words(state) : yours ? "your turn" : "the engine thinks ...";
    info.textContent = `move ${state.moves}; captured: ${state.captured.black} black, ${state.captured.white} white`;
    chance.replaceChildren();
    if (state.chance !== null) {
      const percent = Math.round(100 * state.chance);
      chance.append(make("i", { style: `width:${percent}%` }), make("span", { textContent: `black wins ${percent} %` }));
    }
    for (const each of own) each.disabled = !yours;
    again.disabled = !state.moves;
    buttons.hidden = false;
    if (state.curve.length > 1) curves.replaceChildren(...charts.map((chart) => chart.figure));
    else curves.replaceChildren();
    charts.forEach((chart, n) => chart.show([{ name: "", colour: COLOURS[0],
      points: state.curve.map((row) => [row[0], n ? row[2] : 100 * row[1]]) }]));
    URL.revokeObjectURL(save.href);
    save.href = URL.createObjectURL(new Blob([state.sgf], { type: "application/x-go-sgf" }));
  };
  const upload = make("input", { type: "file", accept: ".sgf", ariaLabel: "a game of Go, as SGF" });
  upload.addEventListener("change", async () => {
    const [file] = upload.files;
    upload.value = "";
    if (!file) return;
    if (file.size > MOST_BYTES) error.textContent = `${file.name} is larger than ${MOST_BYTES / 1000} kB; cut it into single games`;
    else judge({ sgf: Array.from(new Uint8Array(await file.arrayBuffer()), (byte) => String.fromCharCode(byte)).join("") });
  });
  ask("/api/go").then((offered) => {
    fillForm(form, offered, (settings) => { chosen = settings; state = null; note.textContent = "preparing the engine ..."; send({ new: settings }); });
    form.append(make("h2", { textContent: "Review a game" }), make("p", { className: "dim", textContent: "an SGF file, by the engine chosen above" }), upload);
    board.replaceChildren(boardOf({ size: offered.first.size, stones: [], stars: [], hints: [], last: -1 }, null));
    note.textContent = "choose a game, and begin";
  }, (failed) => { error.textContent = failed.message; });
  return () => { leave(); line.close(); };
}

function words(state) {
  if (state.result === "0") return "a draw";
  const winner = state.result[0] === "B" ? "black" : "white";
  const won = (winner === "black") === (state.mine === BLACK) ? "you win" : "the engine wins";
  const how = state.result.endsWith("R") ? "by resignation" : `by ${state.result.slice(2)} points`;
  return `${won} with ${winner} ${how}`;
}

function fillForm(form, offered, begin) {
  const first = { ...offered.first };
  const pick = (name, options, value) => make("select", { name },
    ...options.map(([option, shown]) => make("option", { value: option, textContent: shown, selected: option === value })));
  const range = (low, high) => Array.from({ length: high - low + 1 }, (_, n) => low + n);
  const engine = pick("engine", offered.engines.map((each) => [each.name, each.size ? `${each.name}, ${each.size} by ${each.size}` : each.name]));
  const size = pick("size", [5, 7, 9, 13, 19].map((n) => [n, `${n} by ${n}`]), first.size);
  const fields = {
    engine, size,
    level: pick("level", range(1, offered.levels).map((n) => [n, `level ${n}`]), first.level),
    colour: pick("colour", [["black", "you are black"], ["white", "you are white"]], first.colour),
    handicap: pick("handicap", [[0, "no handicap"], ...range(2, 9).map((n) => [n, `${n} stones`])], 0),
    komi: make("input", { name: "komi", type: "number", step: 0.5, value: first.komi, min: -150, max: 150 }),
    rules: pick("rules", offered.rules.map((name) => [name, name]), first.rules),
  };
  const knows = () => offered.engines.find((each) => each.name === engine.value).size;
  engine.addEventListener("change", () => {
    const known = knows();
    if (known && ![...size.options].some((each) => Number(each.value) === known)) size.append(make("option", { value: known, textContent: `${known} by ${known}` }));
    if (known) size.value = known;
    size.disabled = Boolean(known);
  });
  form.replaceChildren(make("h2", { textContent: "New game" }),
    ...Object.entries(fields).map(([name, field]) => make("label", {}, make("span", { textContent: name }), field)),
    make("button", { className: "main", textContent: "begin" }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const settings = {};
    for (const [name, field] of Object.entries(fields)) {
      settings[name] = ["size", "level", "handicap", "komi"].includes(name) ? Number(field.value) : field.value;
    }
    begin(settings);
  });
}
