"""Kill a run at random moments and resume it: does it end with the weights of an unbroken one?

    python -m tests.faults.kill --env ALE/Pong-v5 --kills 20
    python -m tests.faults.kill --env Arcadia/Catch-v0 --kills 20

The moments are spread over the time that the unbroken run took: importing, replaying, playing,
learning, saving, writing down the end. Nothing in the run knows that it will be killed.
"""

import argparse
import math
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
from tests.faults.trials import FLAGS, arcadia, differing


def trial(runs: Path, flags: list[str], kills: int, seed: int, say: Callable[[str], None]) -> int:
    """Train a run unbroken and one that is killed; return the number of kills that hit it."""
    start, folder = time.time(), runs / "ppo" / "killed"
    assert arcadia("train", "ppo", *flags, "--name", "whole", runs=runs).wait() == 0
    whole_s = time.time() - start
    start_s = (runs / "ppo" / "whole" / "config.json").stat().st_mtime - start
    # Sittings last from nothing to so long that the kills use up about 70 % of the work: for
    # uniform times up to L, kills (L - start)^2 / 2L = 0.7 work.
    part = 0.7 * (whole_s - start_s) / kills
    longest_s = start_s + part + math.sqrt(part * (part + 2 * start_s))
    rng, hits = random.Random(seed), 0
    while True:
        begun = (folder / "config.json").exists()
        words = ["resume", "killed"] if begun else ["train", "ppo", *flags, "--name", "killed"]
        process = arcadia(*words, runs=runs)
        try:
            process.wait(rng.uniform(0, longest_s) if hits < kills else None)
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
    parser.add_argument("--env", default="ALE/Pong-v5")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--total-steps", type=int, default=20_000)
    args = parser.parse_args()
    flags = [*FLAGS, "--env", args.env, "--total-steps", str(args.total_steps)]
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        hits = trial(runs, flags, args.kills, args.seed, print)
        different = differing(runs, "whole", "killed")
        print(f"{args.env}: {hits} kills; the ends {'differ: ' if different else 'are equal'}",
              *different)  # fmt: skip
    return 1 if different or hits < args.kills else 0


if __name__ == "__main__":
    sys.exit(main())
