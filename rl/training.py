"""A run of an algorithm that learns from rollouts: how it begins, what is saved, how it goes on."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import torch

from backbones.training.checkpoint import Checkpoint, prefixed, under
from backbones.training.checks.saved import config_of, restoring, room_for
from backbones.training.config import ResumeConfig, changed
from backbones.training.device.cores import spare_cores
from backbones.training.device.memory import model_bytes, require_memory
from backbones.training.device.precision import Precision, choose_device
from backbones.training.distributed import World, leave
from backbones.training.errors import Stopped, UserError
from backbones.training.jobs import JOBS
from backbones.training.optim import load_optimizer_tensors, optimizer_tensors
from backbones.training.run import Run, shared_run
from backbones.training.session import (
    Session,
    Snapshot,
    finished,
    is_evaluated,
    lengthened,
    resume_point,
)
from backbones.transfer import full_name, load_weights, snapshot
from rl.evaluate import finish
from rl.experience.pipeline import Pipeline, share_of
from rl.experience.rollout import Rollout
from rl.games.contract import STACK, mean_score
from rl.games.make import make_environments, settle_end_of_games, short_name
from rl.games.screen import drawing_notes
from rl.shows.reel import SCORE_OVER_GAMES, Reel
from rl.start import start_from

EMULATOR_BYTES = 2**20  # of one game, at least


class Training:
    """A run in progress: the learner, and the pipeline that plays for it."""

    def __init__(
        self, job: str, config: Any, make_learner: Callable[..., Any], world: World
    ) -> None:
        """`config` has the fields of PPO's; `make_learner` is a class such as PPO's Learner."""
        self.job, self.config, self.world = job, config, world
        torch.set_num_threads(config.run.threads)
        self.device = choose_device(config.run.device, world)
        share = world.share(config.num_envs)
        if not share:
            raise UserError(f"{world.size} processes cannot share num_envs = {config.num_envs}")
        refuse_too_large(job, config, self.device)
        self.envs = make_environments(
            config.env,
            share,
            seed=config.run.seed,
            options=config.env_options,
            threads=config.env_threads or spare_cores(),
            seed_every=config.seed_every,
            end_games_every=config.end_games_every or 0,
        )
        self.learner = make_learner(config, len(self.envs.action_names), self.device, world, share)
        self.pipeline = Pipeline(
            self.envs,
            config.num_steps,
            config.run.seed,
            self.device,
            world,
            sync=config.sync,
            memory=self.learner.network.initial_memory(len(share)),
            graphs=self.learner.update_graph is not None,
        )

    def begin(self) -> list[str]:
        """Start anew, from the weights of another run if asked; return lines for the log."""
        learner, trunk = self.learner, self.config.trunk
        said = self.world.broadcast_json(
            lambda: start_from(learner.network, trunk, self.config.env)
        )
        self.world.broadcast_(learner.network.state_dict().values())
        learner.choose_precision()
        self.pipeline.begin(learner.network, learner.precision.dtype)
        return said

    def advance(self, pool: ThreadPoolExecutor) -> tuple[Rollout, dict[str, float]]:
        """Learn from one rollout and play one; see `Pipeline.advance`."""
        return self.pipeline.advance(self.learner.network, self.learner.learn, pool)

    def checkpoint(self) -> Snapshot | None:
        """Return, in the first process, what `restore` continues from exactly."""
        learner, scores = self.learner, self.pipeline.scores
        self.world.confirm(self.device)
        state, info = self.pipeline.state()
        if not self.world.is_first:
            return None
        state |= prefixed("adam", optimizer_tensors(learner.optimizer))
        info |= {
            "job": self.job,
            "data": self.config.env,
            "num_actions": len(self.envs.action_names),
            "rollouts": learner.rollouts,
            "precision": learner.precision.name,
            "score": mean_score(scores) if len(scores) == SCORE_OVER_GAMES else None,
        }
        return snapshot(learner.env_steps, learner.network, state, info)

    def restore(self, found: Checkpoint) -> bool:
        """Continue from a checkpoint; False if its games could not be lived through again."""
        info, learner = found.info, self.learner
        state = found.share("state", self.envs.numbers, share_of)
        load_weights(learner.network, found)
        load_optimizer_tensors(learner.optimizer, under("adam", state))
        learner.rollouts = info["rollouts"]
        learner.precision = Precision(info["precision"], self.device.type, "as in the checkpoint")
        return self.pipeline.load_state(state, info, learner.network, learner.precision.dtype)


def refuse_too_large(job: str, config: Any, device: torch.device) -> None:
    """UserError, before anything is allocated, if network and rollouts need more memory than is
    free; of a network on a GPU, torch itself says so."""
    options, rows = config.env_options, config.num_envs * config.num_steps
    channels = 3 if options.colour else 1
    frame = channels * options.size_px**2
    # Frames of the rollout that is learnt from and of the next; the first also as stacks.
    size = (2.0 + STACK) * rows * frame + config.num_envs * EMULATOR_BYTES
    if device.type == "cpu":
        build = import_module(JOBS[job][0]).build_network
        obs = (STACK * channels, options.size_px, options.size_px)
        size += model_bytes(lambda: build(config, 1), obs, min(rows, config.minibatch_size))
    require_memory(size, "this run", "--hidden, --width, --size-px, --num-envs or --num-steps")


def begin(
    job: str, config: Any, make_learner: Callable[..., Any], preset: str, world: World
) -> tuple[Training, Run]:
    """Begin a run: settle what is found out by trying, build everything, then make the folder."""
    said: list[str] = []
    if config.end_games_every is None:
        every, said = world.broadcast_json(
            lambda: settle_end_of_games(config.env, config.env_options, config.num_steps)
        )
        config = changed(config, end_games_every=every)
    if config.eval_games:
        said += world.broadcast_json(lambda: drawing_notes(config.env, config.env_options))
    # By its own name: `last` will be this run soon.
    trunk = changed(config.trunk, init=world.broadcast_json(lambda: full_name(config.trunk.init)))
    config = changed(config, trunk=trunk)
    training = Training(job, config, make_learner, world)
    said += training.begin()
    name = short_name(config.env)
    run = shared_run(world, lambda: Run.create(job, config, config.run.name, name, preset))
    run.log(f"{run.name}: {config.env}, {config.total_steps:,} env steps, in {run.folder}")
    for line in said:
        run.log(line)
    return training, run


def go_on(
    run: Run,
    config_type: type[Any],
    make_learner: Callable[..., Any],
    flags: ResumeConfig,
    world: World,
) -> tuple[Training, Run, dict[str, Any]] | None:
    """Return a run as its newest checkpoint left it, and that checkpoint's info; None if finished.

    The info is empty where there is no checkpoint yet and the run begins anew.
    """
    found = resume_point(run, world)
    before = config_of(run, config_type, found, env=flags.env)
    extend = 0 if run.was_changed_before_restart() else flags.extend
    rollouts, done = (found.info["rollouts"], found.info["progress"]) if found else (0, 0)
    if not extend and rollouts >= before.num_rollouts and is_evaluated(run, world, done):
        run.log(finished(run.name))
        return None
    config = changed(
        before, total_steps=before.total_steps + extend, run=flags.applied_to(before.run)
    )

    def make_known(*args: Any) -> Any:
        with room_for(run, found):
            return make_learner(*args)

    training = Training(run.job, config, make_known, world)
    run = run.reconfigured(config)
    if extend:
        rates = before.rate(rollouts), config.rate(rollouts)
        run.log(lengthened(before.total_steps, config.total_steps, "env steps", *rates))
    if found is None:
        run.log(f"{run.name} has no checkpoint yet: it begins anew")
        for line in training.begin():
            run.log(line)
        return training, run, {}
    with restoring(run):
        exact = training.restore(found)
    if not exact:
        run.warn(f"{config.env} does not repeat its games: this resume is not exact")
    return training, run, found.info


def run_to_end(training: Training, run: Run, resumed: dict[str, Any] | None) -> None:
    """Learn rollout after rollout; save, evaluate, make a video. `Stopped` if ctrl-C stopped it.

    `resumed` is the info of the checkpoint where it goes on, empty where there was none yet; None
    for a new run.
    """
    config, learner, world = training.config, training.learner, training.world
    session = Session(
        run,
        config.run,
        world,
        total=config.total_steps,
        unit="env steps",
        done=learner.env_steps,
        resumed=resumed,
    )
    run.log(f"device {training.device}, {learner.precision}")
    if config.run.graphs and learner.no_graphs:
        run.log(f"no CUDA graphs (--graphs): {learner.no_graphs}")
    reel = Reel(session.board, config.video_every_s, run.warn)
    with ThreadPoolExecutor(1, "collector") as pool, session:
        if not resumed and training.pipeline.can_be_saved:
            session.save(training.checkpoint)
        while learner.rollouts < config.num_rollouts and not session.stopped:
            rollout, figures = training.advance(pool)
            score = figures.get("rollout/score")
            shown = {"score": f"{score:.1f}"} if score is not None else {}
            session.record(learner.env_steps, figures, shown)
            reel.add(rollout, learner.env_steps)
            session.keep(training.checkpoint, training.pipeline.can_be_saved)
        session.save_last(training.checkpoint)
        reel.write(learner.env_steps)
    training.envs.close()
    leave(world)
    if learner.rollouts < config.num_rollouts:
        run.log(
            f"stopped at {learner.env_steps:,} env steps; continue with `arcadia resume {run.name}`"
        )
        raise Stopped
    if session.board:
        run.log(
            f"trained {learner.env_steps:,} env steps in {session.trained_s / 60:.1f} min, "
            f"{session.saving_s / session.trained_s:.1%} of it saving"
        )
        finish(run, session.board, config.eval_games, learner.env_steps)
