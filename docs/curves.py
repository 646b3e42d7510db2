"""Draw and print learning curves: `python docs/curves.py RUN... [--png FILE] [--every N]`.

The table is Markdown: the mean raw score of the last 20 training games at every N env steps, one
column a run (by seed, or by name where two have the same), and the minutes of training it took.
"""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from backbones.training.log import read_metrics
from backbones.training.run import Run, find_run

SIZE, LEFT, BOTTOM, TOP = (900, 460), 70, 400, 40
COLOURS = [
    (38, 110, 180),
    (214, 96, 40),
    (52, 140, 80),
    (150, 80, 160),
    (120, 120, 120),
    (20, 20, 20),
]
TAG = "rollout/score"


def curve(run: Run) -> list[tuple[int, float, float]]:
    """Return (env steps, score, minutes) of every line that has a score."""
    lines = [line for line in read_metrics(run.folder) if TAG in line]
    return [(line["step"], line[TAG], line["time/minutes"]) for line in lines]


def table(runs: list[Run], every: int) -> str:
    """Return the Markdown table of several runs."""
    curves = [curve(run) for run in runs]
    seeds = [f"seed {run.config['run']['seed']}" for run in runs]
    heads = seeds if len(set(seeds)) == len(runs) else [run.name for run in runs]
    rows = ["| env steps | " + " | ".join(heads) + " |"]
    rows.append("|---" * (len(runs) + 1) + "|")
    for steps in range(every, max(c[-1][0] for c in curves) + 1, every):
        cells = []
        for points in curves:
            at, score, minutes = min(points, key=lambda point: abs(point[0] - steps))
            ended = abs(at - steps) > every / 2
            cells.append("" if ended else f"{score:.1f} ({minutes:.1f} min)")
        rows.append(f"| {steps:,} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def draw(runs: list[Run], path: Path) -> None:
    """Draw score against env steps."""
    curves = [curve(run) for run in runs]
    scores = [score for points in curves for _, score, _ in points]
    low, high = min(scores), max(scores)
    low, high = low - 0.05 * (high - low), high + 0.05 * (high - low)
    longest = max(points[-1][0] for points in curves)
    image = Image.new("RGB", SIZE, "white")
    pen, small = ImageDraw.Draw(image), ImageFont.load_default(13)

    def place(steps: float, score: float) -> tuple[float, float]:
        x = LEFT + (SIZE[0] - LEFT - 30) * steps / longest
        return x, BOTTOM - (BOTTOM - TOP) * (score - low) / (high - low)

    for i in range(6):
        score, steps = low + (high - low) * i / 5, longest * i / 5
        pen.line([place(0, score), place(longest, score)], (228, 228, 228))
        pen.text((10, place(0, score)[1] - 8), f"{score:7.1f}", "black", small)
        pen.text((place(steps, low)[0] - 24, BOTTOM + 8), f"{steps / 1000:,.0f}k", "black", small)
    title = f"{runs[0].config['env']}: mean raw score of the last 20 training games"
    pen.text((LEFT, 10), title, "black", ImageFont.load_default(16))
    pen.text((SIZE[0] / 2 - 30, BOTTOM + 32), "env steps", "black", small)
    for i, (run, points) in enumerate(zip(runs, curves, strict=True)):
        colour = COLOURS[i % len(COLOURS)]
        pen.line([place(steps, score) for steps, score, _ in points], colour, 2)
        pen.text(
            (LEFT + 14, TOP + 18 * i),
            f"{run.name}, seed {run.config['run']['seed']}",
            colour,
            small,
        )
    image.save(path)


def main() -> None:
    """Read the arguments, print the table, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", help="runs by name")
    parser.add_argument("--png", type=Path, help="draw into this file")
    parser.add_argument("--every", type=int, default=100_000, help="env steps between rows")
    args = parser.parse_args()
    runs = [find_run(name) for name in args.runs]
    print(table(runs, args.every))
    if args.png:
        draw(runs, args.png)


if __name__ == "__main__":
    main()
