// Elements from words, and answers from the command.

export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const path = (name) => name.split("/").map(encodeURIComponent).join("/");

const lost = document.getElementById("lost");

// Returns what the command answers; throws an Error with its own words.
export async function ask(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch {
    lost.hidden = false;
    throw new Error("no answer from the command");
  }
  lost.hidden = true;
  const type = response.headers.get("content-type") || "";
  const answer = type.includes("json") ? await response.json() : { error: await response.text() };
  if (!response.ok) throw new Error(answer.error || `status ${response.status}`);
  return answer;
}

// Calls a function now and then again every so many milliseconds, while its view is shown.
export function every(milliseconds, work) {
  let timer = 0;
  let stopped = false;
  const again = async () => {
    if (!document.hidden) await work();
    if (!stopped) timer = setTimeout(again, milliseconds);
  };
  again();
  return () => { stopped = true; clearTimeout(timer); };
}

export const whole = (number) => Math.round(number).toLocaleString("en");
export const brief = (number) => Number(number.toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 });
export function clock(minutes) {
  const seconds = Math.round(minutes * 60);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, n) => (n ? String(part).padStart(2, "0") : part)).join(":");
}
