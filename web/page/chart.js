// A chart of curves on a canvas: [{name, colour, points: [[x, y], ...]}], with what is under the pointer.
import { brief, make, whole } from "./dom.js";

export const COLOURS = ["#1f9e80", "#d9822b", "#5b7fd6", "#c2477f", "#8a6fd1", "#7a8f1f"];
const LEFT = 52, RIGHT = 10, TOP = 8, BOTTOM = 22;

// Returns round numbers that divide a range into a few parts.
export function ticks(low, high, count) {
  const span = high - low || 1;
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
  const found = [];
  for (let n = Math.ceil(low / step); n * step <= high + 1e-9 * span; n += 1) found.push(n * step);
  return found;
}

const short = (n) => Math.abs(n) >= 1e6 ? `${brief(n / 1e6)}M` : Math.abs(n) >= 1e4 ? `${brief(n / 1e3)}k` : brief(n);

export class Chart {
  constructor(title) {
    this.series = [];
    this.pointer = null;
    this.mark = null; // the place of a line from top to bottom
    this.across = null; // from pixels to places
    this.canvas = make("canvas", { role: "img", ariaLabel: `curve of ${title}` });
    this.output = make("output");
    this.figure = make("figure", { className: "chart" },
      make("figcaption", {}, make("span", { textContent: title }), this.output), this.canvas);
    this.canvas.addEventListener("pointermove", (event) => { this.pointer = event.offsetX; this.draw(); });
    this.canvas.addEventListener("click", (event) => { if (this.across) this.picked?.(this.across(event.offsetX)); });
    this.canvas.addEventListener("pointerleave", () => { this.pointer = null; this.draw(); });
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  show(series, mark = null) {
    this.mark = mark;
    this.series = series.filter((each) => each.points.length);
    this.draw();
  }

  draw() {
    const { canvas } = this;
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    if (!width || !this.series.length) return;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const style = getComputedStyle(canvas);
    const all = this.series.flatMap((each) => each.points);
    let [low, high] = range(all, 1);
    const [first, last] = range(all, 0);
    if (low === high) { low -= 1; high += 1; }
    const x = (value) => LEFT + ((value - first) / (last - first || 1)) * (width - LEFT - RIGHT);
    const y = (value) => TOP + (1 - (value - low) / (high - low)) * (height - TOP - BOTTOM);
    pen.font = `11px ${style.fontFamily}`;
    pen.fillStyle = style.getPropertyValue("--dim");
    pen.strokeStyle = style.getPropertyValue("--line");
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const tick of ticks(low, high, 4)) {
      line(pen, [[LEFT, y(tick)], [width - RIGHT, y(tick)]]);
      pen.fillText(short(tick), LEFT - 6, y(tick));
    }
    pen.textAlign = "center";
    for (const tick of ticks(first, last, 4)) pen.fillText(short(tick), x(tick), height - 8);
    pen.lineWidth = 1.8;
    for (const { colour, points } of this.series) {
      pen.strokeStyle = colour;
      if (points.length > 1) line(pen, points.map(([a, b]) => [x(a), y(b)]));
      else pen.strokeRect(x(points[0][0]) - 2, y(points[0][1]) - 2, 4, 4);
    }
    this.across = (pixel) => first + ((pixel - LEFT) / (width - LEFT - RIGHT)) * (last - first);
    if (this.mark !== null) {
      pen.strokeStyle = style.getPropertyValue("--chosen");
      line(pen, [[x(this.mark), TOP], [x(this.mark), height - BOTTOM]]);
    }
    this.tell(pen, x, height, style, this.across(this.pointer));
  }

  tell(pen, x, height, style, at) {
    const newest = this.series.map(({ points }) => points[points.length - 1]);
    if (this.pointer === null) {
      this.output.textContent = newest.map((point) => brief(point[1])).join("  ");
      return;
    }
    const near = this.series.map(({ points }) => points.reduce(
      (best, point) => (Math.abs(point[0] - at) < Math.abs(best[0] - at) ? point : best)));
    pen.strokeStyle = style.getPropertyValue("--dim");
    pen.lineWidth = 1;
    line(pen, [[x(near[0][0]), TOP], [x(near[0][0]), height - BOTTOM]]);
    this.output.textContent = `${whole(near[0][0])}: ${near.map((point) => brief(point[1])).join("  ")}`;
  }
}

const range = (points, axis) => points.reduce(
  ([low, high], point) => [Math.min(low, point[axis]), Math.max(high, point[axis])], [Infinity, -Infinity]);

function line(pen, places) {
  pen.beginPath();
  places.forEach(([a, b], n) => (n ? pen.lineTo(a, b) : pen.moveTo(a, b)));
  pen.stroke();
}
