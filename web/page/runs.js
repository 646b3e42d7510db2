// Runs in a table, and one run, or several side by side, with their curves.
import { Chart, COLOURS } from "./chart.js";
import { ask, clock, every, make, path, whole } from "./dom.js";

const picked = new Set();
const SHOWN_AT_FIRST = 6; // curves

export const link = (view, name) => `#${view}=${encodeURIComponent(name)}`;

export function showRuns(main) {
  const body = make("tbody");
  const compare = make("a", { className: "button", textContent: "compare" });
  const heads = ["", "run", "learns", "progress", "time", "score", "eval", "state"];
  const table = make("table", {}, make("thead", {}, make("tr", {}, ...heads.map((name) =>
    make("th", { textContent: name, className: ["time", "score", "eval"].includes(name) ? "number" : "" })))), body);
  const note = make("p", { className: "empty" });
  main.append(make("h1", { textContent: "Runs" }), make("div", { className: "row" }, compare),
    make("div", { className: "card scroll" }, table, note));
  const mark = () => {
    compare.hidden = picked.size < 2;
    compare.href = link("compare", [...picked].join("|"));
    compare.textContent = `compare ${picked.size} runs`;
  };
  mark();
  let before = "";
  return every(3000, async () => {
    const rows = await ask("/api/runs").catch((error) => { note.textContent = error.message; return null; });
    if (!rows || JSON.stringify(rows) === before) return;
    before = JSON.stringify(rows);
    note.textContent = rows.length ? "" : "no runs yet; start one with: arcadia train ppo";
    body.replaceChildren(...rows.map((row) => rowOf(row, mark)));
  });
}

function rowOf(row, mark) {
  const box = make("input", { type: "checkbox", checked: picked.has(row.name), ariaLabel: `compare ${row.name}` });
  box.addEventListener("change", () => { picked[box.checked ? "add" : "delete"](row.name); mark(); });
  const cell = (child, className = "") => make("td", { className }, child);
  return make("tr", {}, cell(box), cell(make("a", { href: link("run", row.name), textContent: row.name })),
    cell(row.learns), cell(progressOf(row)), cell(row.minutes ? clock(row.minutes) : "", "number"),
    cell(row.score === null ? "" : row.score.toFixed(1), "number"), cell(row.eval, "number"),
    cell(make("span", { className: `state ${row.state}`, textContent: row.state })));
}

function progressOf(row) {
  if (!row.done) return row.total ? `${whole(row.total)} ${row.unit}` : "";
  return make("span", {}, make("progress", { max: row.total || 1, value: row.done }),
    ` ${whole(row.done)} ${row.unit}`);
}

// Shows one run; several, with a | between their names, side by side.
export function showRun(main, names) {
  const all = names.split("|");
  const alone = all.length === 1;
  const head = make("h1", { textContent: alone ? names : "Side by side" });
  const actions = make("div", { className: "row" });
  const legend = make("div", { className: "legend" });
  const charts = make("div", { className: "charts" });
  const more = make("select", { ariaLabel: "another curve" });
  const details = make("div");
  const note = make("p", { className: "error" });
  main.append(head, actions, make("section", { className: "card" }, legend, charts, make("p", {}, more)), details, note);
  if (!alone) legend.append(...all.map((name, n) => make("span", {},
    make("i", { style: `background:${COLOURS[n % COLOURS.length]}` }), make("a", { href: link("run", name), textContent: name }))));
  const drawn = new Map();
  const want = (tag) => {
    if (drawn.has(tag)) return;
    drawn.set(tag, new Chart(tag));
    charts.append(drawn.get(tag).figure);
  };
  let curves = [];
  const draw = () => {
    for (const [tag, chart] of drawn) {
      chart.show(curves.map((found, n) => ({ name: all[n], colour: COLOURS[n % COLOURS.length], points: found[tag] || [] })));
    }
  };
  more.addEventListener("change", () => { want(more.value); more.selectedIndex = 0; draw(); });
  return every(3000, async () => {
    try {
      curves = await Promise.all(all.map((name) => ask(`/api/runs/${path(name)}/curves`)));
      const tags = [...new Set(curves.flatMap((found) => Object.keys(found)))];
      const lines = tags.filter((tag) => curves.some((found) => (found[tag] || []).length > 1));
      if (!drawn.size) lines.slice(0, SHOWN_AT_FIRST).forEach(want);
      more.replaceChildren(make("option", { textContent: tags.length ? "another curve ..." : "no curves yet" }),
        ...tags.filter((tag) => !drawn.has(tag)).map((tag) => make("option", { value: tag, textContent: tag })));
      draw();
      if (alone) showDetails(actions, details, await ask(`/api/runs/${path(names)}/about`));
      note.textContent = "";
    } catch (error) {
      note.textContent = error.message;
    }
  });
}

function showDetails(actions, details, about) {
  const stamp = JSON.stringify(about);
  if (details.dataset.stamp === stamp) return;
  details.dataset.stamp = stamp;
  const verbs = { agent: [["watch", "watch it play"], ["play", "play yourself"]], task: [["try", "try it"]] };
  actions.replaceChildren(make("span", { className: `state ${about.state}`, textContent: about.state }),
    make("span", { textContent: `${whole(about.done)} ${about.unit}` }),
    ...(about.eval ? [make("span", { textContent: `evaluation: ${about.eval}` })] : []),
    ...(verbs[about.kind] || []).map(([view, textContent], n) =>
      make("a", { className: n ? "button" : "button main", href: link(view, about.name), textContent })));
  const section = (title, child) => make("section", { className: "card" }, make("h2", { textContent: title }), child);
  const parts = [];
  if (about.films.length) {
    const film = about.films[about.films.length - 1];
    parts.push(section(`Film ${film}`, make("video", { className: "medium", controls: true,
      src: `/api/runs/${path(about.name)}/films/${encodeURIComponent(film)}` })));
  }
  if (about.command) parts.push(section("Command", make("pre", { textContent: about.command })));
  if (about.log.length) parts.push(section("Log", make("pre", { textContent: about.log.join("\n") })));
  const config = make("details", {}, make("summary", { textContent: "Settings" }),
    make("pre", { textContent: JSON.stringify(about.config, null, 2) }));
  parts.push(make("section", { className: "card" }, config));
  const playing = details.querySelector("video");
  if (playing && !playing.paused) return;
  details.replaceChildren(...parts);
  const log = details.querySelectorAll("pre")[1];
  if (log) log.scrollTop = log.scrollHeight;
}
