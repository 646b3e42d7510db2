"""Kill a run at random moments and resume it: does it end with the weights of an unbroken one?

    python -m tests.faults.kill --env ALE/Pong-v5 --kills 20
    python -m tests.faults.kill --job dqn --env Arcadia/Catch-v0 --kills 10

The moments are spread over what the run does: importing, replaying, playing, learning, saving.
They are counted in the run's own env steps, not in seconds, so that a machine that is suddenly
faster does not end the run before its kills. Nothing in the run knows that it will be killed.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from backbones.training import checkpoint
from backbones.training.log import read_metrics
from tests.faults.trials import FLAGS, arcadia, differing


def played(folder: Path) -> int:
    """Return the env steps that a run's log has got to."""
    lines = read_metrics(folder)
    return lines[-1]["step"] if lines else 0


def trial(
    runs: Path,
    flags: list[str],
    kills: int,
    seed: int,
    say: Callable[[str], None],
    job: str = "ppo",
) -> int:
    """Train a run unbroken and one that is killed; return the number of kills that hit it."""
    start, folder = time.time(), runs / job / "killed"
    assert arcadia("train", job, *flags, "--name", "whole", runs=runs).wait() == 0
    config = runs / job / "whole" / "config.json"
    start_s, whole_s = config.stat().st_mtime - start, time.time() - start
    rng, hits = random.Random(seed), 0
    # A fifth of the work is left after the last, for a kill comes a little later than its step.
    steps = sorted(rng.uniform(0, 0.8 * played(config.parent)) for _ in range(kills))
    while True:
        begun = (folder / "config.json").exists()
        words = ["resume", "killed"] if begun else ["train", job, *flags, "--name", "killed"]
        process = arcadia(*words, runs=runs)
        # One in four, and whoever is past its step, dies while it starts: importing, replaying.
        if hits < kills and (rng.random() < 0.25 or played(folder) >= steps[hits]):
            delay_s = rng.uniform(0, start_s)
        else:
            while process.poll() is None and (hits == kills or played(folder) < steps[hits]):
                time.sleep(0.02)
            delay_s = rng.uniform(0, 0.1 * (whole_s - start_s))
        try:
            process.wait(delay_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            hits += 1
            numbers = checkpoint.numbered(folder / "checkpoints")
            say(f"kill {hits}: newest checkpoint {numbers[-1].name if numbers else 'none'}")
            continue
        said = (runs / "said.txt").read_text()
        assert process.returncode == 0 and "Traceback" not in said, said
        return hits


def main() -> int:
    """Run one trial as the flags say; return 1 if the ends differ."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--job", default="ppo")
    parser.add_argument("--env", default="ALE/Pong-v5")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--total-steps", type=int, default=20_000)
    args = parser.parse_args()
    flags = [*FLAGS, "--env", args.env, "--total-steps", str(args.total_steps)]
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        hits = trial(runs, flags, args.kills, args.seed, print, args.job)
        different = differing(runs, "whole", "killed", args.job)
        ends = "differ: " if different else "are equal"
        print(f"{args.job}, {args.env}: {hits} kills; the ends {ends}", *different)
    return 1 if different or hits < args.kills else 0


if __name__ == "__main__":
    sys.exit(main())
