// The page: a view for every kind of address behind the #.
import { make } from "./dom.js";
import { showGo } from "./go.js";
import { showRun, showRuns } from "./runs.js";
import { showTry } from "./try.js";
import { showPlay, showWatch } from "./watch.js";

const main = document.getElementById("main");
const VIEWS = { runs: showRuns, run: showRun, compare: showRun, watch: showWatch, play: showPlay, go: showGo, try: showTry };
let leave = () => {};

function show() {
  const [view, ...rest] = location.hash.slice(1).split("=");
  const name = decodeURIComponent(rest.join("="));
  const known = view in VIEWS ? view : "runs";
  leave();
  main.replaceChildren();
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.dataset.view === ({ run: "runs", compare: "runs", play: "watch" }[known] || known);
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  leave = VIEWS[known](main, name) || (() => {});
  document.title = name ? `${name} - Arcadia` : "Arcadia";
}

window.addEventListener("hashchange", show);
window.addEventListener("error", (event) => {
  main.append(make("p", { className: "error", textContent: event.message }));
});
show();
