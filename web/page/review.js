// A reviewed game of Go to step through: the board after each move, the curves, what lost most, what was better.
import { Chart, COLOURS } from "./chart.js";
import { make } from "./dom.js";
import { BLACK, boardOf, nameOf } from "./goban.js";

const OWNED = 10; // what a point counts that is surely somebody's

// Shows a review in a place; returns what leaves it. `done` is called when the person has seen enough.
export function showReview(place, review, done) {
  const { size, moves, boards } = review;
  let now = moves.length;
  const board = make("div", { className: "board" }), words = make("p", { role: "status" });
  const slider = make("input", { type: "range", min: 0, max: moves.length, value: now, ariaLabel: "move" });
  const areas = make("input", { type: "checkbox", checked: true }), better = make("input", { type: "checkbox", checked: true });
  const chance = new Chart("black's chance to win, percent"), lead = new Chart("black's lead, points");
  const step = (label, to, title) => {
    const button = make("button", { textContent: label, ariaLabel: title, title });
    button.addEventListener("click", () => go(to()));
    return button;
  };
  const leave = make("button", { textContent: "back to the board" });
  leave.addEventListener("click", done);
  const save = make("a", { className: "button", textContent: "save as SGF", download: "review.sgf",
    href: URL.createObjectURL(new Blob([review.sgf], { type: "application/x-go-sgf" })) });
  const controls = make("p", { className: "row" }, step("|\u25c0", () => 0, "to the beginning"), step("\u25c0", () => now - 1, "one move back"),
    step("\u25b6", () => now + 1, "one move on"), step("\u25b6|", () => moves.length, "to the end"));
  const worst = review.worst.map((bad) => {
    const button = make("button", { className: "bad-move",
      textContent: `${bad.number}: ${bad.colour === BLACK ? "black" : "white"} ${bad.name}, ${bad.lost} points` });
    button.addEventListener("click", () => go(bad.number - 1));
    return button;
  });
  const check = (box, text) => make("label", { className: "check" }, box, ` ${text}`);
  place.replaceChildren(
    make("div", {}, board, slider, controls, words),
    make("div", {}, make("aside", { className: "card" },
      make("h2", { textContent: `${review.names[0]} (black), ${review.names[1]} (white)${review.result ? `: ${review.result}` : ""}` }),
      make("p", { className: "dim", textContent: [`reviewed by ${review.by}`, ...review.notes].join("; ") }),
      check(areas, "who will own each point"), check(better, "the best next move"),
      make("p", { className: "row" }, leave, save)),
    make("section", { className: "card" }, chance.figure, lead.figure),
    make("section", { className: "card" }, make("h2", { textContent: worst.length ? "What lost most" : "No move lost much" }), ...worst)));

  const curve = (numbers) => numbers.map((number, n) => [n, number]);
  const series = [[chance, curve(review.chance.map((each) => 100 * each))], [lead, curve(review.lead)]];
  const show = () => {
    const last = now ? moves[now - 1][1] : -1, best = review.best[now];
    const told = review.worst.find((bad) => bad.number === now + 1);
    const marks = better.checked && best >= 0 ? [{ move: best, text: "\u2605" }] : [];
    const ownership = areas.checked && review.ownership[now] ? review.ownership[now].map((each) => each / OWNED) : null;
    board.replaceChildren(boardOf({ size, stones: boards[now], stars: review.stars, last, ownership, marks }, null));
    slider.value = now;
    const played = now ? `${moves[now - 1][0] === BLACK ? "black" : "white"} ${nameOf(last, size)}` : "the beginning";
    const next = told ? `; next, ${told.name} loses ${told.lost} points; better: ${told.better.join(" ")}` : "";
    words.textContent = `move ${now} of ${moves.length}: ${played}; black wins ${Math.round(100 * review.chance[now])} %${next}`;
    for (const [chart, points] of series) chart.show([{ name: "", colour: COLOURS[0], points }], now);
  };
  const go = (number) => {
    now = Math.min(Math.max(Math.round(number), 0), moves.length);
    show();
  };
  slider.addEventListener("input", () => go(Number(slider.value)));
  for (const box of [areas, better]) box.addEventListener("change", show);
  for (const chart of [chance, lead]) chart.picked = go;
  const keys = (event) => {
    if (event.target.matches("input, select")) return;
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: moves.length }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    go(to);
  };
  document.addEventListener("keydown", keys);
  show();
  return () => {
    document.removeEventListener("keydown", keys);
    URL.revokeObjectURL(save.href);
  };
}
