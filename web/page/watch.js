// A game over a socket: an agent at play with its score, value and the chance of each action, or the
// same game for the person, by keys or by touch.
import { barOf } from "./bars.js";
import { ask, brief, make, path } from "./dom.js";
import { Line } from "./line.js";
import { link } from "./runs.js";

const KEYS = { ArrowUp: "up", ArrowDown: "down", ArrowLeft: "left", ArrowRight: "right", " ": "space",
  w: "up", s: "down", a: "left", d: "right" };
const PAD = [["up", "\u25b2"], ["left", "\u25c0"], ["down", "\u25bc"], ["right", "\u25b6"], ["space", "fire"]];
const SPEEDS = [0.25, 0.5, 1, 2, 4, 8];

// The socket of a game: sends wishes, shows what comes. A game that was refused is not asked for again.
class GameLine extends Line {
  constructor(address, wishes, canvas, tell) {
    let text = {};
    super(address, {
      opened: () => { tell({ error: "" }); this.send(wishes); },
      heard: async (data) => {
        if (typeof data === "string") {
          text = JSON.parse(data);
          if (text.error) this.close();
          if (text.error || text.scores) tell(text);
          return;
        }
        const shown = text;
        draw(canvas, await createImageBitmap(data), shown);
        tell(shown);
      },
      lost: () => tell({ error: "the connection is lost; trying again" }),
    });
    this.wishes = wishes;
  }

  wish(changed) {
    Object.assign(this.wishes, changed);
    this.send(changed);
  }
}

export function showWatch(main, name) {
  if (!name) return pickAgent(main);
  const parts = gameParts(main, name);
  const value = make("div", { className: "big" }), bars = make("div", { className: "bars" });
  parts.figures.append(make("div", {}, make("div", { className: "dim", textContent: "value" }), value));
  parts.side.append(bars, parts.scores);
  const choice = make("select", { ariaLabel: "how actions are chosen" },
    ...["sampled", "greedy"].map((each) => make("option", { value: each, textContent: each })));
  const follow = make("button", { textContent: "follow training", ariaPressed: "false" });
  const glow = make("button", { textContent: "what it looks at", ariaPressed: "false",
    title: "glows where the likeliest action hangs on the picture" });
  parts.controls.append(choice, follow, glow, make("a", { className: "button", href: link("play", name), textContent: "play yourself" }));
  let rows = [];
  const line = new GameLine(`/api/watch/${path(name)}`, { speed: 1, paused: false, choice: "sampled", follow: false, saliency: false },
    parts.canvas, (shown) => {
      parts.tell(shown);
      if (!shown.actions) return;
      value.textContent = (shown.value > 0 ? "+" : "") + shown.value.toFixed(2);
      if (rows.length !== shown.actions.length) {
        rows = shown.actions.map(barOf);
        bars.replaceChildren(...rows.flatMap((row) => row.parts));
      }
      rows.forEach((row, n) => row.show(shown.chances[n], n === shown.action));
    });
  choice.addEventListener("change", () => line.wish({ choice: choice.value }));
  for (const [button, name] of [[follow, "follow"], [glow, "saliency"]]) {
    button.addEventListener("click", () => {
      line.wish({ [name]: !line.wishes[name] });
      button.ariaPressed = String(line.wishes[name]);
    });
  }
  const keys = parts.control(line, true);
  return () => { document.removeEventListener("keydown", keys); line.close(); };
}

export function showPlay(main, name) {
  const parts = gameParts(main, name);
  const rival = make("div", { className: "big" });
  parts.figures.append(make("div", {}, make("div", { className: "dim", textContent: "the agent has" }), rival));
  ask(`/api/runs/${path(name)}/about`).then((about) => { rival.textContent = about.eval || "-"; }, () => {});
  parts.controls.append(make("a", { className: "button", href: link("watch", name), textContent: "watch the agent" }));
  const line = new GameLine(`/api/play/${path(name)}`, { speed: 1, paused: false, keys: [] }, parts.canvas, parts.tell);
  const down = new Set();
  const press = (key, on) => {
    if (down.has(key) === on) return;
    down[on ? "add" : "delete"](key);
    line.wish({ keys: [...down] });
  };
  const pad = make("div", { className: "pad" }, ...PAD.map(([key, sign]) => {
    const button = make("button", { textContent: sign, className: key === "space" ? "fire" : key, ariaLabel: key });
    button.addEventListener("pointerdown", (event) => { event.preventDefault(); press(key, true); });
    for (const end of ["pointerup", "pointerleave", "pointercancel"]) button.addEventListener(end, () => press(key, false));
    return button;
  }));
  parts.side.append(make("p", { className: "dim", textContent: "arrows or WASD move, space fires; or touch:" }), pad, parts.scores);
  const onKey = (event) => {
    const key = /^[0-9]$/.test(event.key) ? event.key : KEYS[event.key] || KEYS[event.key.toLowerCase()];
    if (!key || event.target.matches("select")) return;
    event.preventDefault();
    press(key, event.type === "keydown");
  };
  document.addEventListener("keydown", onKey);
  document.addEventListener("keyup", onKey);
  const keys = parts.control(line, false);
  return () => {
    for (const [kind, work] of [["keydown", onKey], ["keyup", onKey], ["keydown", keys]]) document.removeEventListener(kind, work);
    line.close();
  };
}

// What watching and playing have in common: the screen, score, last games, pause, step and speed.
function gameParts(main, name) {
  const canvas = make("canvas", { role: "img", ariaLabel: `the game of ${name}` });
  const title = make("h1", { textContent: name }), note = make("p", { className: "dim" });
  const score = make("div", { className: "big" }), scores = make("p", { className: "dim" });
  const error = make("p", { className: "error", role: "status" });
  const figures = make("div", { className: "figures" },
    make("div", {}, make("div", { className: "dim", textContent: "score" }), score));
  const side = make("aside", { className: "card" }, note, figures);
  const controls = make("p", { className: "row" });
  main.append(title, make("div", { className: "split" },
    make("div", {}, make("div", { className: "screen" }, canvas), error, controls), side));
  const tell = (shown) => {
    if (shown.error !== undefined) error.textContent = shown.error;
    if (shown.scores) scores.textContent = `last games: ${shown.scores.map(brief).join("  ")}`;
    if (shown.score !== undefined) score.textContent = brief(shown.score);
    else if (shown.caption) score.textContent = shown.caption.split(/\s+/)[1];
    if (shown.title) title.textContent = shown.title;
    if (shown.note) note.textContent = shown.note;
  };
  const control = (line, withSpace) => {
    const words = withSpace ? ["pause (space)", "play (space)"] : ["pause (p)", "play (p)"];
    const pause = make("button", { textContent: words[0] }), step = make("button", { textContent: "step (n)" });
    const speed = make("select", { ariaLabel: "speed" }, ...SPEEDS.map((n) =>
      make("option", { value: n, textContent: `${n} x speed`, selected: n === 1 })));
    const toggle = (paused) => {
      line.wish({ paused });
      pause.textContent = words[paused ? 1 : 0];
    };
    const next = () => { if (!line.wishes.paused) toggle(true); line.send({ step: 1 }); };
    pause.addEventListener("click", () => toggle(!line.wishes.paused));
    step.addEventListener("click", next);
    speed.addEventListener("change", () => line.wish({ speed: Number(speed.value) }));
    controls.prepend(pause, step, speed);
    const keys = (event) => {
      if (event.target.matches("button, select, input")) return;
      if (event.key === "p" || (withSpace && event.key === " ")) { event.preventDefault(); toggle(!line.wishes.paused); }
      if (event.key === "n") next();
    };
    document.addEventListener("keydown", keys);
    return keys;
  };
  return { canvas, figures, side, scores, controls, tell, control };
}

function draw(canvas, bitmap, shown) {
  if (canvas.width !== shown.width || canvas.height !== shown.height) {
    canvas.width = shown.width || bitmap.width;
    canvas.height = shown.height || bitmap.height;
  }
  const pen = canvas.getContext("2d");
  pen.imageSmoothingEnabled = false;
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
}

function pickAgent(main) {
  const tiles = make("div", { className: "tiles" });
  main.append(make("h1", { textContent: "Watch an agent" }), tiles);
  showTiles(tiles, "agent", "watch", "no agents yet; train one with: arcadia train ppo");
  return () => {};
}

// Shows a tile for every run of a kind that has something to show.
export async function showTiles(tiles, kind, view, none) {
  try {
    const rows = (await ask("/api/runs")).filter((row) => row.kind === kind);
    tiles.replaceChildren(...rows.map((row) => make("a", { className: "card", href: link(view, row.name) },
      make("h2", { textContent: row.name }), make("div", { textContent: row.learns }),
      make("div", { className: "dim", textContent: row.eval ? `evaluation: ${row.eval}` : row.state }))));
    if (!rows.length) tiles.append(make("p", { className: "empty", textContent: none }));
  } catch (error) {
    tiles.replaceChildren(make("p", { className: "error", textContent: error.message }));
  }
}
