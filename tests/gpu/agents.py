"""The parts that play: emulators alone, PPO's speed, equality of CPU, GPU and graphs, Pong."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backbones.training.config import changed
from backbones.training.device.precision import Precision, choose_device
from backbones.training.distributed import World
from backbones.training.optim import FlatGradients
from rl import ppo
from rl.agent import load_agent
from rl.evaluate import evaluate
from rl.games.atari import SEED_EVERY
from rl.games.make import make_environments
from rl.games.options import EnvOptions
from rl.training import Training

# Updates until graphs are recorded and memory is reserved.
WARM_UP_ROLLOUTS = 4


def emulators(small: bool, out: Path) -> dict[str, Any]:
    """Env steps per second of Pong alone, random play, over numbers of games and threads."""
    figures = {}
    for games, threads in [(4, 1)] if small else [(16, 1), (64, 8), (64, 16), (128, 16)]:
        envs = make_environments(
            "ALE/Pong-v5", games, seed=1, options=EnvOptions(sticky=0.0), threads=threads
        )
        envs.reset()
        figures[f"{games} games, {threads} threads"] = steps_per_s(envs, 1 if small else 4)
        envs.close()
    return figures


def seeding(small: bool, out: Path) -> dict[str, Any]:
    """Env steps per second of 16 games of Breakout on one thread, random play, with a seed for each
    game and with seeds as training has them."""
    figures = {}
    for name, seed_every in (("every game", 0), ("rarely", SEED_EVERY)):
        envs = make_environments(
            "ALE/Breakout-v5",
            4 if small else 16,
            seed=1,
            options=EnvOptions(),
            threads=1,
            seed_every=seed_every,
        )
        envs.reset()
        figures[f"seeded {name}"] = steps_per_s(envs, 1 if small else 15)
        envs.close()
    return figures


def steps_per_s(envs: Any, seconds: float) -> int:
    """Return the env steps per second of environments that have begun, random play."""
    rng = np.random.default_rng(1)
    steps, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        envs.step(rng.integers(len(envs.action_names), size=envs.num_envs))
        steps += 1
    return round(steps * envs.num_envs / (time.perf_counter() - begin))


def training_of(preset: str, small: bool, **run: Any) -> Training:
    """Return a begun training of a preset that never ends by itself."""
    config = changed(ppo.PRESETS[preset], total_steps=10**9, env_options=EnvOptions(sticky=0.0))
    if small:
        config = changed(config, num_envs=4, num_steps=32, minibatch_size=64)
    training = Training(ppo.JOB, changed(config, run=changed(config.run, **run)), World())
    training.start()
    return training


def speed(preset: str, graphs: bool) -> Callable[[bool, Path], dict[str, Any]]:
    """Return the part that measures PPO's env steps per second, and where its time goes."""

    def measure(small: bool, out: Path) -> dict[str, Any]:
        training = training_of(preset, small, graphs=graphs)
        seconds = 2 if small else 12
        tags = ("env", "policy", "learn", "wait")
        with ThreadPoolExecutor(1) as pool:
            for _ in range(WARM_UP_ROLLOUTS):
                training.advance(pool)
            rows, begin = [], time.perf_counter()
            while time.perf_counter() - begin < seconds:
                rows.append(training.advance(pool)[1])
            spent = time.perf_counter() - begin
            profile(training, pool, out / f"profile-{preset}-{'graphs' if graphs else 'eager'}.txt")
        figures = {
            "env_steps_per_s": round(len(rows) * training.config.rollout_size / spent),
            "emulators_alone": steps_per_s(training.envs, 1 if small else 5),
        }
        figures |= {
            f"{tag}_ms": round(1e3 * float(np.median([row[f"speed/{tag}_s"] for row in rows])), 1)
            for tag in tags
        }
        training.envs.close()
        return figures

    return measure


def profile(training: Training, pool: ThreadPoolExecutor, path: Path) -> None:
    """Write what one rollout and its updates spend their time on."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if training.device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as found:
        training.advance(pool)
    key = "self_cuda_time_total" if training.device.type == "cuda" else "self_cpu_time_total"
    path.write_text(found.key_averages().table(sort_by=key, row_limit=40, max_name_column_width=70))


def same_numbers(small: bool, out: Path) -> dict[str, Any]:
    """Graphs against eager after five rollouts of Catch; the gradient of one rollout against the
    CPU's, as cosines."""
    figures: dict[str, Any] = {}
    ends = {}
    for graphs in (False, True):
        torch.manual_seed(1)
        config = changed(ppo.CATCH, total_steps=10**6, sync=True)
        config = changed(config, run=changed(config.run, precision="fp32", graphs=graphs))
        training = Training(ppo.JOB, config, World())
        training.start()
        with ThreadPoolExecutor(1) as pool:
            for _ in range(5):
                rollout = training.advance(pool)[0]
        ends[graphs] = (training.learner.updater.gradients, training.learner.network, rollout)
        training.envs.close()
    weights = [
        torch.cat([p.detach().flatten() for p in ends[g][1].parameters()]) for g in (False, True)
    ]
    figures["largest weight"] = round(float(weights[0].abs().max()), 3)
    figures["graphs differ by"] = float((weights[0] - weights[1]).abs().max())
    same = (ends[False][2].action == ends[True][2].action).float().mean()
    figures["same actions"] = round(float(same), 4)
    gradients = {
        f"{device} {precision}": gradient_of(torch.device(device), precision)
        for device, precision in (
            ("cpu", "fp32"),
            (str(choose_device("auto")), "fp32"),
            (str(choose_device("auto")), "bf16"),
        )
    }
    exact = gradients.pop("cpu fp32", None)
    if exact is None:
        return figures
    for name, gradient in gradients.items():
        figures[f"cosine {name}"] = float(torch.cosine_similarity(exact, gradient, dim=0))
    return figures


def gradient_of(device: torch.device, precision: Any) -> torch.Tensor:
    """Return the gradient of PPO's loss on random observations, in float64."""
    torch.manual_seed(2)
    network = ppo.build_network(ppo.FAST, 6)
    obs = torch.randint(0, 256, (256, 4, 84, 84), dtype=torch.uint8)
    action, advantage = torch.randint(0, 6, (256,)), torch.randn(256)
    network.to(device)
    gradients = FlatGradients(network.parameters())
    with Precision(precision, device.type, "").autocast():
        logits, value = network(obs.to(device))
    old = torch.full((256,), -1.79, device=device)
    loss, _ = ppo.ppo_loss(
        logits,
        value,
        action.to(device),
        old,
        advantage.to(device),
        advantage.to(device),
        clip=0.1,
        value_coef=0.5,
        entropy_coef=0.01,
        of=256,
    )
    loss.backward()
    return gradients.flat.double().cpu()


def pong(small: bool, out: Path) -> dict[str, Any]:
    """Train Pong without sticky actions by the preset for GPUs; minutes to each score."""
    config = changed(ppo.PRESETS["gpu"], env_options=EnvOptions(sticky=0.0), eval_games=0)
    run_config = changed(config.run, name=f"pong-gpu-{int(time.time())}")
    if small:
        config = changed(config, total_steps=512, num_envs=4, minibatch_size=64)
    run = ppo.train(changed(config, run=run_config), "gpu")
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    curve = [(row["time/minutes"], row["rollout/score"]) for row in rows if "rollout/score" in row]
    (out / "pong-curve.json").write_text(json.dumps(curve))
    figures: dict[str, Any] = {
        f"minutes to {wanted}": round(next((m for m, s in curve if s >= wanted), float("nan")), 2)
        for wanted in (0, 10, 18, 20)
    }
    if curve:
        figures |= {"minutes": round(curve[-1][0], 2), "score": curve[-1][1]}
    begin = time.monotonic()
    agent = load_agent(run, str(choose_device("auto")))
    figures["eval, 20 games"] = evaluate(agent, games=1 if small else 20).to_dict(run.name)["score"]
    figures["eval_s"] = round(time.monotonic() - begin, 1)
    return figures


def trained(job: Any, steps: int) -> Callable[[bool, Path], dict[str, Any]]:
    """Return the part that trains an agent of another algorithm on Pong: its env steps per second
    and where its time goes, the first quarter left out."""

    def measure(small: bool, out: Path) -> dict[str, Any]:
        config = changed(job.PRESETS["smoke" if small else "default"], eval_games=0)
        if not small:
            config = changed(config, total_steps=steps, env_options=EnvOptions(sticky=0.0))
        name = f"{job.JOB.name}-gpu-{int(time.time())}"
        run = job.train(changed(config, run=changed(config.run, name=name)), "default")
        lines = (run.folder / "metrics.jsonl").read_text().splitlines()
        rows = [row for row in map(json.loads, lines) if "speed/env_steps_per_s" in row]
        figures = {}
        for tag in ("env_steps_per_s", "env_s", "policy_s", "learn_s", "wait_s"):
            values = [row[f"speed/{tag}"] for row in rows[len(rows) // 4 :]]
            figures[tag] = round(float(np.median(values)), 4)
        return figures

    return measure
