// A row for each action: its name, a bar as long as its chance, the chance in percent.
import { make } from "./dom.js";

// Returns the parts of an action's row, and what shows its chance.
export function barOf(action) {
  const label = make("b", { textContent: action }), bar = make("i");
  const percent = make("span", { className: "dim" });
  const show = (chance, chosen) => {
    label.className = bar.className = chosen ? "chosen" : "";
    bar.style.width = `${100 * chance}%`;
    percent.textContent = `${Math.round(100 * chance)} %`;
  };
  return { parts: [label, make("span", {}, bar), percent], show };
}
