// The network, by onnxruntime-web: WebAssembly, one thread, so that any server of files will do.
/* global ort */
import { make } from "./dom.js";

const script = (src) => new Promise((resolve, reject) => {
  const node = make("script", { src });
  node.addEventListener("load", resolve);
  node.addEventListener("error", () => reject(new Error(`${src} did not come`)));
  document.head.append(node);
});

// Shows the page that `work(about, run, main)` makes: `about` is config.json, and `run(inputs, outputs)`
// gives the numbers of each output, of one batch after the other.
export async function start(work) {
  const main = document.getElementById("main");
  if (window.lacking) return;
  const note = make("p", { className: "empty", textContent: "loading the network (14 MB, once) ..." });
  main.append(note);
  try {
    const [answer] = await Promise.all([fetch("config.json"), script("ort.wasm.min.js")]);
    const about = await answer.json();
    document.title = `${about.title} - Arcadia`;
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmPaths = new URL(".", location.href).href;
    const session = await ort.InferenceSession.create("network.onnx", { executionProviders: ["wasm"] });
    let last = Promise.resolve();
    const run = (inputs, outputs) => {
      const asked = async () => {
        const found = await session.run(inputs, outputs);
        return Object.fromEntries(outputs.map((name) => [name, found[name].data]));
      };
      last = last.then(asked, asked);
      return last;
    };
    note.remove();
    await work(about, run, main);
  } catch (error) {
    note.remove();
    main.append(make("p", { className: "error", role: "alert", textContent: `this did not work: ${error.message}` }));
  }
}

export const tensor = (type, data, shape) => new ort.Tensor(type, data, shape);

// Returns probabilities of logits.
export function softmax(logits) {
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const weights = Array.from(logits, (each) => Math.exp(each - most));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((each) => each / total);
}
