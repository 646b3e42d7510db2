// A board of Go as SVG. Points are numbered by rows from the top left; colours are 1 for black, 2 for white.

const SVG = "http://www.w3.org/2000/svg";
const LETTERS = "ABCDEFGHJKLMNOPQRST";
const SURE = 0.08; // what is owned less than this is left blank
export const BLACK = 1;

export const nameOf = (move, size) => move === size * size ? "pass" : `${LETTERS[move % size]}${size - Math.floor(move / size)}`;

function draw(tag, properties, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(properties)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function label(x, y, text, kind = "label") {
  const node = draw("text", { x, y, class: kind });
  node.textContent = text;
  return node;
}

// Returns the board as SVG; `play`, if any, is called with the point that is chosen. Shown are
// { size, stones, stars, last } and, where there are some, hints ([{ move, chance }]), the ownership
// of each point (1: black's, -1: white's) and marks ([{ move, text }]).
export function boardOf({ size, stones, stars, last, hints = [], ownership = null, marks = [] }, play) {
  const side = size + 1.6;
  const x = (move) => (move % size) + 1.3, y = (move) => Math.floor(move / size) + 1.3;
  const svg = draw("svg", { viewBox: `0 0 ${side} ${side}`, role: "grid", "aria-label": `board of ${size} by ${size}` });
  svg.append(draw("rect", { class: "wood", width: side, height: side, rx: 0.3 }));
  for (let n = 0; n < size; n += 1) {
    svg.append(draw("path", { class: "grid", d: `M${n + 1.3} 1.3V${size + 0.3}M1.3 ${n + 1.3}H${size + 0.3}` }),
      label(n + 1.3, 0.5, LETTERS[n]), label(0.5, n + 1.3, size - n));
  }
  for (const move of stars) svg.append(draw("circle", { class: "star", cx: x(move), cy: y(move), r: 0.11 }));
  stones.forEach((colour, move) => {
    if (colour) svg.append(draw("circle", { class: colour === BLACK ? "black" : "white", cx: x(move), cy: y(move), r: 0.47 }));
  });
  (ownership || []).forEach((owned, move) => {
    if (Math.abs(owned) < SURE) return;
    const half = 0.34 * Math.sqrt(Math.abs(owned));
    svg.append(draw("rect", { class: owned > 0 ? "owned-black" : "owned-white", x: x(move) - half, y: y(move) - half,
      width: 2 * half, height: 2 * half, rx: 0.06 }));
  });
  if (last >= 0 && last < size * size) svg.append(draw("circle", { class: "last", cx: x(last), cy: y(last), r: 0.2 }));
  const onBoard = (each) => each.move < size * size;
  for (const hint of hints.filter(onBoard)) {
    svg.append(draw("circle", { class: "hinted", cx: x(hint.move), cy: y(hint.move), r: 0.45 }),
      label(x(hint.move), y(hint.move), Math.round(100 * hint.chance), "hint"));
  }
  for (const mark of marks.filter(onBoard)) {
    svg.append(draw("circle", { class: "hinted", cx: x(mark.move), cy: y(mark.move), r: 0.45 }),
      label(x(mark.move), y(mark.move), mark.text, "hint"));
  }
  for (let move = 0; play && move < size * size; move += 1) {
    if (stones[move]) continue;
    const place = draw("rect", { class: "place", x: x(move) - 0.5, y: y(move) - 0.5, width: 1, height: 1, "data-point": nameOf(move, size) });
    place.addEventListener("click", () => play(move));
    svg.append(place);
  }
  return svg;
}
