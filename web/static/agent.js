// An agent at its toy: it plays, or the person does, with keys or by touch, beside what the agent would do.
import { barOf } from "./bars.js";
import { brief, make, whole } from "./dom.js";
import { softmax, start, tensor } from "./network.js";
import { SIDE, Stack, TOYS, coloured } from "./toys.js";

const STEP_MS = 1000 / 15, PAUSE_MS = 600; // after a game
const KEYS = { ArrowLeft: "LEFT", a: "LEFT", ArrowRight: "RIGHT", d: "RIGHT" };

start(async (about, run, main) => {
  const Toy = TOYS[about.env], names = Toy.actions;
  const view = build(main, about, names);
  const held = hold(view.buttons);
  let bySelf = false, left = false, score = 0, games = 0;
  window.addEventListener("pagehide", () => { left = true; });
  view.who.addEventListener("click", () => {
    bySelf = !bySelf;
    score = games = 0;
    view.tell(bySelf, score, games);
    view.who.blur();
  });
  while (!left) {
    const toy = new Toy(Math.random), player = bySelf;
    const stack = new Stack(toy.picture());
    let memory = about.memory && blank(about.memory), reward = 0, over = false;
    view.show(coloured(about.env, toy.picture()));
    while (!over && player === bySelf) {
      const begin = performance.now();
      const judged = await judge(run, stack, memory);
      memory = judged.memory;
      const idle = Math.max(names.indexOf("NOOP"), 0);
      const action = player ? Math.max(names.indexOf(held()), held() ? 0 : idle) : drawn(judged.chances);
      view.bars.forEach((row, n) => row.show(judged.chances[n], n === action));
      view.value.textContent = (judged.value > 0 ? "+" : "") + judged.value.toFixed(2);
      await wait(STEP_MS - (performance.now() - begin));
      ({ reward, over } = toy.step(action));
      score += reward;
      stack.push(toy.picture());
      view.show(coloured(about.env, toy.picture()));
    }
    games += Number(over);
    view.tell(bySelf, score, games);
    if (over) await wait(PAUSE_MS);
  }
});

const wait = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, Math.max(milliseconds, 0)); });
const blank = (shape) => ({ shape, hidden: new Float32Array(shape.reduce((a, b) => a * b)), cell: new Float32Array(shape.reduce((a, b) => a * b)) });

// Returns the chance of each action, the value, and the memory afterwards.
async function judge(run, stack, memory) {
  const inputs = { obs: tensor("uint8", stack.data.slice(), [1, 4, SIDE, SIDE]) };
  const outputs = ["logits", "value"];
  if (memory) {
    inputs.hidden = tensor("float32", memory.hidden, memory.shape);
    inputs.cell = tensor("float32", memory.cell, memory.shape);
    outputs.push("hidden_after", "cell_after");
  }
  const found = await run(inputs, outputs);
  const after = memory && { shape: memory.shape, hidden: found.hidden_after, cell: found.cell_after };
  return { chances: softmax(found.logits), value: found.value[0], memory: after };
}

// Returns an action, drawn by its chance.
function drawn(chances) {
  let left = Math.random();
  const found = chances.findIndex((chance) => { left -= chance; return left < 0; });
  return found < 0 ? chances.length - 1 : found;
}

// Returns what says which action is held, by key or by touch.
function hold(buttons) {
  const down = [];
  const press = (name, on) => {
    if (down.includes(name)) down.splice(down.indexOf(name), 1);
    if (on) down.push(name);
  };
  for (const kind of ["keydown", "keyup"]) {
    document.addEventListener(kind, (event) => {
      const name = KEYS[event.key];
      if (!name) return;
      event.preventDefault();
      press(name, kind === "keydown");
    });
  }
  for (const button of buttons) {
    button.addEventListener("pointerdown", (event) => { event.preventDefault(); press(button.value, true); });
    for (const end of ["pointerup", "pointerleave", "pointercancel"]) button.addEventListener(end, () => press(button.value, false));
  }
  return () => down[down.length - 1] || "";
}

function build(main, about, names) {
  const canvas = make("canvas", { width: SIDE, height: SIDE, role: "img", ariaLabel: `the game ${about.env}` });
  canvas.style.width = "min(100%, 420px)";
  const score = make("div", { className: "big" }), value = make("div", { className: "big" });
  const player = make("p", { role: "status" }), bars = names.map(barOf);
  const who = make("button", { className: "main", textContent: "play yourself" });
  const signs = { LEFT: "\u25c0", RIGHT: "\u25b6" };
  const buttons = names.filter((name) => signs[name]).map((name) =>
    make("button", { value: name, textContent: signs[name], ariaLabel: name.toLowerCase() }));
  const figure = (name, node) => make("div", {}, make("div", { className: "dim", textContent: name }), node);
  const learnt = about.env_steps ? `learnt from ${whole(about.env_steps)} env steps` : "";
  main.append(make("h1", { textContent: about.title }), make("div", { className: "split" },
    make("div", {}, make("div", { className: "screen" }, canvas), make("p", { className: "row" }, who, ...buttons)),
    make("aside", { className: "card" }, make("p", { className: "dim", textContent: learnt }), player,
      make("div", { className: "figures" }, figure("score a game", score), figure("value", value)),
      make("div", { className: "bars" }, ...bars.flatMap((row) => row.parts)))));
  const pen = canvas.getContext("2d");
  const show = (colours) => {
    const image = pen.createImageData(SIDE, SIDE);
    for (let n = 0; n < SIDE * SIDE; n += 1) {
      image.data.set(colours.subarray(3 * n, 3 * n + 3), 4 * n);
      image.data[4 * n + 3] = 255;
    }
    pen.putImageData(image, 0, 0);
  };
  const tell = (bySelf, total, games) => {
    player.textContent = `${bySelf ? "you play" : "the agent plays"}; ${games} ${games === 1 ? "game" : "games"}`;
    who.textContent = bySelf ? "let the agent play" : "play yourself";
    score.textContent = games ? brief(total / games) : "-";
    for (const button of buttons) button.hidden = !bySelf;
  };
  tell(false, 0, 0);
  return { bars, buttons, show, tell, value, who };
}
