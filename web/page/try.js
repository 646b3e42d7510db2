// A model of a task: a card that its own declaration makes. Files are dropped, lines are typed.
import { ask, make, path } from "./dom.js";
import { showTiles } from "./watch.js";

const ACCEPTS = { picture: "image/*", film: "video/*", sound: "audio/*" };

export function showTry(main, name) {
  if (!name) {
    const tiles = make("div", { className: "tiles" });
    main.append(make("h1", { textContent: "Try a model" }), tiles);
    showTiles(tiles, "task", "try", "no models yet; train one with: arcadia train classify");
    return () => {};
  }
  const form = make("section", { className: "card" }, make("p", { className: "dim", textContent: "loading ..." }));
  const answers = make("div");
  main.append(make("h1", { textContent: name }), form, answers);
  ask(`/api/try/${path(name)}/card`).then((card) => showCard(form, answers, card), (error) => {
    form.replaceChildren(make("p", { className: "error", textContent: error.message }));
  });
  return () => {};
}

function showCard(form, answers, card) {
  const explain = make("input", { type: "checkbox", id: "explain" });
  const asked = async (body, type, shown, question) => {
    const place = make("section", { className: "card" }, make("p", {}, ...(shown ? [shown] : [])),
      make("p", { className: "dim", textContent: "thinking ..." }));
    answers.prepend(place);
    try {
      const query = new URLSearchParams({ ...(explain.checked && { explain: 1 }), ...(question && { question }) });
      const answer = await ask(`/api/try/${path(card.name)}/answer?${query}`,
        { method: "POST", body, headers: { "content-type": type } });
      place.lastChild.replaceWith(...answered(answer));
    } catch (error) {
      place.lastChild.replaceWith(make("p", { className: "error", textContent: error.message }));
    }
  };
  const about = make("p", { textContent: card.about });
  const where = make("label", {}, explain, " show where it looked");
  let examples = asked;
  if (!card.takes.length) {
    const go = make("button", { className: "main", textContent: "draw one" });
    go.addEventListener("click", () => asked("", "application/octet-stream"));
    form.replaceChildren(about, go);
  } else if (card.takes[0] === "line") {
    const text = make("textarea", { rows: 2, ariaLabel: "a line", placeholder: "a line; Enter asks" });
    const send = () => {
      if (text.value.trim()) asked(text.value, "text/plain", make("p", { className: "dim", textContent: text.value }));
    };
    text.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); send(); }
    });
    const go = make("button", { className: "main", textContent: "ask" });
    go.addEventListener("click", send);
    form.replaceChildren(about, text, make("p", { className: "row" }, go, where));
    text.focus();
  } else if (card.takes.length === 2) {
    examples = showPair(form, card, about, where, asked);
  } else {
    form.replaceChildren(about, dropPlace(card.takes[0], asked), make("p", {}, where));
  }
  if (card.takes.length) showExamples(form, card, examples);
}

// A picture stays while one question after another is asked of it. Returns what takes an example.
function showPair(form, card, about, where, asked) {
  let picture = null;
  const place = make("p");
  const text = make("input", { type: "text", ariaLabel: "a question", placeholder: "a question about the picture; Enter asks" });
  const send = () => {
    if (!picture) place.replaceChildren(make("span", { className: "dim", textContent: "choose a picture first" }));
    else if (text.value.trim()) {
      const shown = make("span", {}, make("img", { className: "given", src: picture.src, alt: "the picture" }), ` ${text.value}`);
      asked(picture.body, "application/octet-stream", shown, text.value);
    }
  };
  const take = (given, type, shown) => {
    if (type === "text/plain") { text.value = given; send(); return; }
    picture = { body: given, src: shown.src };
    place.replaceChildren(make("img", { className: "given", src: shown.src, alt: "the picture that is asked about" }));
    text.focus();
  };
  text.addEventListener("keydown", (event) => { if (event.key === "Enter") send(); });
  const go = make("button", { className: "main", textContent: "ask" });
  go.addEventListener("click", send);
  form.replaceChildren(about, dropPlace(card.takes[0], take), place, text, make("p", { className: "row" }, go, where));
  return take;
}

// Shows inputs of the test split, or of the task's own world, to click on.
async function showExamples(form, card, asked) {
  const found = await ask(`/api/try/${path(card.name)}/examples`).catch(() => null);
  if (!found || !form.isConnected || !(found.lines.length + found.media.length)) return;
  const lines = found.lines.map((line) => {
    const button = make("button", { className: "example", textContent: line });
    button.addEventListener("click", () => asked(line, "text/plain", make("p", { className: "dim", textContent: line })));
    return button;
  });
  const pictures = found.media.map((medium, n) => {
    const src = `/api/media/${medium.number}`;
    const button = make("button", { className: "example" }, make("img", { src, alt: `example ${n + 1}` }));
    button.addEventListener("click", async () => {
      const answer = await fetch(src);
      if (!answer.ok) button.disabled = true;
      else asked(await answer.blob(), "application/octet-stream", make("img", { className: "given", src, alt: `example ${n + 1}` }));
    });
    return button;
  });
  form.append(make("p", { className: "dim", textContent: "or an example:" }), make("div", { className: "row" }, ...lines, ...pictures));
}

function dropPlace(kind, asked) {
  const file = make("input", { type: "file", accept: ACCEPTS[kind] || "", multiple: true, ariaLabel: `a ${kind}` });
  const place = make("div", { className: "drop" }, make("p", { textContent: `drop a ${kind} here, or choose one` }), file);
  const send = (files) => {
    for (const each of files) asked(each, "application/octet-stream", given(kind, each));
  };
  file.addEventListener("change", () => { send(file.files); file.value = ""; });
  for (const name of ["dragover", "dragleave", "drop"]) {
    place.addEventListener(name, (event) => {
      event.preventDefault();
      place.classList.toggle("over", name === "dragover");
      if (name === "drop") send(event.dataTransfer.files);
    });
  }
  return place;
}

function given(kind, file) {
  const src = URL.createObjectURL(file);
  if (kind === "picture") return make("img", { className: "given", src, alt: file.name });
  return make("p", { className: "dim", textContent: file.name });
}

function answered(answer) {
  const parts = [make("p", { className: "answer", textContent: answer.text })];
  if (answer.doubts) parts.push(make("p", { className: "dim", textContent: answer.doubts }));
  const chances = Object.entries(answer.values.chances || {}).slice(0, 6);
  if (chances.length) {
    parts.push(make("div", { className: "bars" }, ...chances.flatMap(([label, chance]) => [
      make("b", { textContent: label }),
      make("span", {}, make("i", { style: `width:${100 * chance}%` })),
      make("span", { className: "dim", textContent: `${(100 * chance).toFixed(1)} %` })])));
  }
  for (const medium of [answer.medium, answer.explained]) {
    if (!medium) continue;
    const src = `/api/media/${medium.number}`;
    const tag = { image: "img", audio: "audio", video: "video" }[medium.type.split("/")[0]];
    parts.push(make(tag, { className: "medium", src, controls: true, alt: "" }));
  }
  return parts;
}
