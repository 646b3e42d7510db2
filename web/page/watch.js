// An agent at play: its game, its score and value, and how likely it finds each action.
import { ask, brief, make, path } from "./dom.js";
import { link } from "./runs.js";

const AGAIN_MS = 2000; // after a lost connection

export function showWatch(main, name) {
  if (!name) return pickAgent(main);
  const canvas = make("canvas", { role: "img", ariaLabel: `${name} at play` });
  const score = make("div", { className: "big" }), value = make("div", { className: "big" });
  const title = make("h1", { textContent: name }), note = make("p", { className: "dim" });
  const bars = make("div", { className: "bars" }), scores = make("p", { className: "dim" });
  const error = make("p", { className: "error", role: "status" });
  const pause = make("button", { textContent: "pause (space)" });
  const step = make("button", { textContent: "step (.)" });
  const speed = make("select", { ariaLabel: "speed" },
    ...[0.25, 0.5, 1, 2, 4, 8].map((n) => make("option", { value: n, textContent: `${n} x speed`, selected: n === 1 })));
  const choice = make("select", { ariaLabel: "how actions are chosen" },
    ...["sampled", "greedy"].map((each) => make("option", { value: each, textContent: each })));
  const follow = make("button", { textContent: "follow training" });
  follow.setAttribute("aria-pressed", "false");
  const figure = (label, node) => make("div", {}, make("div", { className: "dim", textContent: label }), node);
  main.append(title, make("div", { className: "split" },
    make("div", {}, make("div", { className: "screen" }, canvas), error,
      make("p", { className: "row" }, pause, step, speed, choice, follow)),
    make("aside", { className: "card" }, note,
      make("div", { className: "figures" }, figure("score", score), figure("value", value)), bars, scores)));

  const wishes = { speed: 1, paused: false, choice: "sampled", follow: false };
  let socket, timer = 0, left = false, text = {};
  const wish = (changed) => {
    Object.assign(wishes, changed);
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(changed));
  };
  const connect = () => {
    socket = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/api/watch/${path(name)}`);
    socket.binaryType = "blob";
    let refused = false;
    socket.addEventListener("open", () => { error.textContent = ""; socket.send(JSON.stringify(wishes)); });
    socket.addEventListener("message", async (event) => {
      if (typeof event.data === "string") {
        text = JSON.parse(event.data);
        if (text.error) { error.textContent = text.error; refused = true; }
        if (text.scores) scores.textContent = `last games: ${text.scores.map(brief).join("  ")}`;
        return;
      }
      const shown = text;
      draw(canvas, await createImageBitmap(event.data), shown);
      tell(shown);
    });
    socket.addEventListener("close", () => {
      if (left || refused) return;
      error.textContent = "the connection is lost; trying again";
      timer = setTimeout(connect, AGAIN_MS);
    });
  };
  const tell = (shown) => {
    if (shown.score === undefined) return;
    score.textContent = brief(shown.score);
    value.textContent = (shown.value > 0 ? "+" : "") + shown.value.toFixed(2);
    title.textContent = shown.title;
    note.textContent = shown.note;
    bars.replaceChildren(...shown.actions.flatMap((action, n) => {
      const className = n === shown.action ? "chosen" : "";
      const percent = `${Math.round(100 * shown.chances[n])} %`;
      return [make("b", { textContent: action, className }),
        make("span", {}, make("i", { className, style: `width:${100 * shown.chances[n]}%` })),
        make("span", { textContent: percent, className: "dim" })];
    }));
  };
  const toggle = () => {
    wish({ paused: !wishes.paused });
    pause.textContent = wishes.paused ? "play (space)" : "pause (space)";
  };
  const next = () => {
    if (!wishes.paused) toggle();
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ step: 1 }));
  };
  pause.addEventListener("click", toggle);
  step.addEventListener("click", next);
  speed.addEventListener("change", () => wish({ speed: Number(speed.value) }));
  choice.addEventListener("change", () => wish({ choice: choice.value }));
  follow.addEventListener("click", () => {
    wish({ follow: !wishes.follow });
    follow.setAttribute("aria-pressed", String(wishes.follow));
  });
  const keys = (event) => {
    if (event.target.matches("button, select, input")) return;
    if (event.key === " ") { event.preventDefault(); toggle(); }
    if (event.key === ".") next();
  };
  document.addEventListener("keydown", keys);
  connect();
  return () => {
    left = true;
    clearTimeout(timer);
    document.removeEventListener("keydown", keys);
    socket.close();
  };
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
