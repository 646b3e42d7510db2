"""A run of an algorithm that learns from rollouts: how it begins, what is saved, how it goes on."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from typing import Any

import torch

from backbones.training.checkpoint import Checkpoint
from backbones.training.checks.typed import OtherNames
from backbones.training.config import changed
from backbones.training.device.cores import spare_cores
from backbones.training.device.memory import model_bytes, require_memory
from backbones.training.device.precision import choose_device
from backbones.training.distributed import World, leave
from backbones.training.errors import Stopped, UserError
from backbones.training.job import ANEW
from backbones.training.run import Run
from backbones.training.session import OnUpdate, Session, Snapshot, lengthened
from backbones.training.streams import plain
from backbones.transfer import load_weights, snapshot
from rl.experience.evaluations import evaluate_during, is_due
from rl.experience.hints import Hints
from rl.experience.pipeline import Pipeline, take_from_checkpoint
from rl.experience.rollout import Rollout
from rl.finish import finish, introduce
from rl.games.atari import FRAME_SKIP
from rl.games.background import UNCENTRED, background
from rl.games.contract import require_same_actions
from rl.games.first_look import first_look, settle_options
from rl.games.foreign.blame import GameFault
from rl.games.make import make_environments
from rl.games.patience import before_training
from rl.games.repeats import settle_end_of_games
from rl.games.screen import drawing_notes
from rl.games.speed import settle_processes
from rl.games.stacks import STACK
from rl.play_job import PlayJob
from rl.sb3.flag_names import OTHER_NAMES
from rl.scores import normalised_tag
from rl.scoring import SCORE_OVER_GAMES, Game, mean_score
from rl.shows.reel import Reel
from rl.start import start_from

ACTIONS_EVERY = 50  # rollouts
EMULATOR_BYTES = 2**20  # of one game, at least


class Training:
    """A run in progress: the learner, and the pipeline that plays for it."""

    def __init__(
        self,
        job: "AgentJob",
        config: Any,
        world: World,
        rebuilt: AbstractContextManager[object] = ANEW,
    ) -> None:
        """`config` has the fields of PPO's; the learner of a checkpoint is built in `rebuilt`."""
        self.job, self.config, self.world = job, config, world
        torch.set_num_threads(config.run.threads)
        self.device = choose_device(config.run.device, world)
        self.evaluated: tuple[int, float] | None = None  # env steps, and the score there
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
        with rebuilt:
            self.learner = job.make_learner(
                config, len(self.envs.action_names), self.device, world, share
            )
        self.pipeline = Pipeline(
            self.envs,
            config.num_steps,
            config.run.seed,
            self.device,
            world,
            sync=config.sync,
            memory=self.learner.network.initial_memory(len(share)),
            graphs=config.run.graphs and not self.learner.no_graphs,
        )

    def start(self) -> list[str]:
        """Start anew, from the weights of another run if asked; return lines for the log."""
        learner, trunk = self.learner, self.config.trunk
        log_lines = self.world.broadcast_json(
            lambda: start_from(learner.network, trunk, self.config.env)
        )
        self.world.broadcast_(learner.network.state_dict().values())
        learner.choose_precision()
        # What a timing found: a repeat of this config computes the same.
        run = changed(self.config.run, precision=learner.precision.name)
        self.config = changed(self.config, run=run)
        self.pipeline.begin(learner)
        return log_lines

    def advance(self, pool: ThreadPoolExecutor) -> tuple[Rollout, dict[str, float]]:
        """Learn from one rollout and play one; see `Pipeline.advance`."""
        return self.pipeline.advance(self.learner, pool)

    def shown_of(self, figures: Mapping[str, float]) -> dict[str, str]:
        """Return the figures that stand beside the progress."""
        score = figures.get("rollout/score")
        shown = {} if score is None else {"score": f"{score:.1f}"}
        if self.config.eval_every and self.evaluated:
            shown["eval"] = f"{self.evaluated[1]:.1f}"
        return shown

    def checkpoint(self, new_games: bool = False) -> Snapshot | None:
        """Return, in the first process, what `restore` continues from exactly; with `new_games`
        from what was learnt alone, where a game cannot go on."""
        learner, pipeline = self.learner, self.pipeline
        self.world.confirm(self.device)
        state, info = pipeline.state_with_new_games() if new_games else pipeline.state()
        if not self.world.is_first:
            return None
        tensors, more, chunks = learner.state()
        scores = [Game(*game) for game in info["scores"]]
        info |= {
            **more,
            "job": self.job.findable(),
            "data": self.config.env,
            "num_actions": len(self.envs.action_names),
            "score": self.score_of(scores),
        }
        whole = snapshot(learner.env_steps, learner.network, {**state, **tensors}, info)
        return replace(whole, chunks=chunks)

    def score_of(self, games: list[Game]) -> float | None:
        """Return the score by which checkpoints compare: of an evaluation of these very weights,
        or, where none is wanted, the mean of the latest training games."""
        if self.config.eval_every:
            at, score = self.evaluated or (-1, 0.0)
            return score if at == self.learner.env_steps else None
        return mean_score(games) if len(games) == SCORE_OVER_GAMES else None

    def evaluation(self, run: Run) -> dict[str, float]:
        """Return the figures of an evaluation if one is due here, else none.

        One is due where a checkpoint can keep what was scored, and at the end.
        """
        config, env_steps = self.config, self.learner.env_steps
        apart = max(1, (config.end_games_every or 0) // config.num_steps) * config.rollout_size
        due = self.pipeline.can_be_saved and is_due(
            env_steps, config.eval_every, max(0, env_steps - apart)
        )
        at_end = config.eval_every > 0 and self.learner.rollouts == config.num_rollouts
        if not due and not at_end:
            return {}
        network, num_actions = self.learner.network, len(self.envs.action_names)
        figures = evaluate_during(network, config, num_actions, run, env_steps)
        self.evaluated = env_steps, figures["eval/score"]
        where = f"evaluation at {env_steps:,} env steps, {config.eval_games} games"
        run.write_log(f"{where}: {figures['eval/score']:.2f}")
        return figures

    def restore(self, found: Checkpoint) -> list[str]:
        """Continue from a checkpoint; return a warning if its games could not be replayed."""
        found_actions = len(self.envs.action_names)
        require_same_actions(self.config.env, found_actions, found.info["num_actions"])
        state = found.share("state", self.envs.numbers, take_from_checkpoint)
        load_weights(self.learner.network, found)
        if found.info.get("score") is not None:
            self.evaluated = found.info["progress"], found.info["score"]
        self.learner.load_state(state, found.info, found.tensors)
        exact = self.pipeline.load_state(state, found.info, self.learner)
        env = self.config.env
        if found.info.get("games_lost"):
            return [f"{env} had failed at {found.info['progress']:,} env steps: new games begin"]
        return [] if exact else [f"{env} does not repeat its games: this resume is not exact"]

    def lengthened(self, before: Any) -> str:
        """Return what lengthening the run does to its schedule, as a line for the log."""
        rollouts = self.learner.rollouts
        return lengthened(
            before.total_steps,
            self.config.total_steps,
            "env steps",
            before.rate(rollouts),
            self.config.rate(rollouts),
        )

    def run(
        self, run: Run, resumed: Mapping[str, Any] | None, on_update: OnUpdate | None = None
    ) -> None:
        """Learn rollout after rollout; save, evaluate, make a video: see `Loop.run`."""
        config, learner, world = self.config, self.learner, self.world
        session = Session(
            run,
            config.run,
            world,
            total=config.total_steps,
            unit="env steps",
            done=learner.env_steps,
            resumed=resumed,
            on_update=on_update,
        )
        run.log(f"device {self.device}, {learner.precision}")
        if config.run.graphs and learner.no_graphs:
            run.log(f"no CUDA graphs (--graphs): {learner.no_graphs}")
        reel, hints = Reel(session.board, config.video_every_s, run.warn), Hints(config)
        if session.board and not resumed:
            introduce(run, session.board)
        with closing(self.envs), ThreadPoolExecutor(1, "collector") as pool, session:
            if not resumed and self.pipeline.can_be_saved:
                session.save(self.checkpoint)
            while learner.rollouts < config.num_rollouts and not session.stopped:
                try:
                    rollout, figures = self.advance(pool)
                except GameFault as fault:
                    raise saved_after(self, fault, run, session) from fault
                figures |= more_figures(self, rollout, figures) | self.evaluation(run)
                session.record(learner.env_steps, figures, self.shown_of(figures))
                for line in hints.look(figures):
                    run.log(line)
                reel.add(rollout, learner.env_steps)
                if "eval/score" in figures and self.pipeline.can_be_saved:
                    session.save(self.checkpoint)
                session.keep(self.checkpoint, self.pipeline.can_be_saved)
            session.save_last(self.checkpoint)
            reel.write(learner.env_steps)
        leave(world)
        if learner.rollouts < config.num_rollouts:
            where = f"{learner.env_steps:,} env steps"
            run.log(f"stopped at {where}; continue with `arcadia resume {run.name}`")
            raise Stopped
        if session.board:
            run.log(
                f"trained {learner.env_steps:,} env steps in {session.trained_s / 60:.1f} min, "
                f"{session.saving_s / session.trained_s:.1%} of it saving"
            )
            finish(run, session.board, config.eval_games, learner.env_steps)


def refuse_too_large(job: "AgentJob", config: Any, device: torch.device) -> None:
    """UserError, before anything is allocated, if network and rollouts need more memory than is
    free; of a network on a GPU, torch itself says so."""
    options, rows = config.env_options, config.num_envs * config.num_steps
    channels = options.frame_channels
    frame = channels * options.size_px**2
    # Frames of the rollout that is learnt from and of the next; the first also as stacks.
    size = (2.0 + STACK) * rows * frame + config.num_envs * EMULATOR_BYTES
    if device.type == "cpu":
        obs = (STACK * channels, options.size_px, options.size_px)
        size += model_bytes(
            lambda: job.build_network(config, 1), obs, min(rows, config.minibatch_size)
        )
    require_memory(size, "this run", "--hidden, --width, --size-px, --num-envs or --num-steps")


def saved_after(training: Training, fault: GameFault, run: Run, session: Session) -> UserError:
    """Save what was learnt before a game failed; return what to raise: a line, and the game's own
    traceback below it. Of several processes none saves: each waits for all."""
    config, collector = training.config, training.pipeline.collector
    played = collector.num_rollouts * config.num_steps + collector.step_now
    saved = "the last checkpoint stands"
    if training.world.size == 1:
        session.save(lambda: training.checkpoint(new_games=True))
        saved = f"what was learnt in {training.learner.env_steps:,} env steps is saved"
    error = UserError(
        f"{run.name}, env step {played * config.num_envs:,}, environment {fault.number}: "
        f"{fault}; {saved}, `arcadia resume {run.name}` goes on with new games"
    )
    error.below = fault.trace
    return error


def more_figures(
    training: Training, rollout: Rollout, figures: Mapping[str, float]
) -> dict[str, float]:
    """Return the human-normalised training score, and now and then how often each action was
    taken."""
    more: dict[str, float] = {}
    if "rollout/score" in figures:
        frames = max(game.length for game in training.pipeline.scores) * FRAME_SKIP
        score, config = figures["rollout/score"], training.config
        more |= normalised_tag("rollout", config.env, score, frames, config.env_options)
    if training.learner.rollouts % ACTIONS_EVERY == 1:
        names = [plain(name) for name in training.envs.action_names]
        counts = rollout.action.flatten().bincount(minlength=len(names))
        shares = (counts / counts.sum()).tolist()
        more |= {f"actions/{name}": share for name, share in zip(names, shares, strict=True)}
    return more


class AgentJob(PlayJob):
    """An algorithm that learns from rollouts, as a job.

    `build_network(config, num_actions)` returns its untrained network; `make_learner` is a class
    such as `Learner` in `rl/ppo.py`; `other_names` are what other libraries call its settings.
    """

    def __init__(
        self,
        name: str,
        presets: Mapping[str, Any],
        build_network: Callable[[Any, int], Any],
        make_learner: Callable[..., Any],
        other_names: OtherNames = OTHER_NAMES,
    ) -> None:
        super().__init__(name, presets)
        self.other_names = other_names
        self.build_network, self.make_learner = build_network, make_learner

    def build(
        self,
        config: Any,
        world: World,
        found: Checkpoint | None = None,
        rebuilt: AbstractContextManager[object] = ANEW,
    ) -> Training:
        return Training(self, config, world, rebuilt)

    def settle(self, config: Any, world: World) -> tuple[Any, list[str]]:
        with before_training():
            return self.settle_game(*super().settle(config, world), world)

    def settle_game(self, config: Any, notes: list[str], world: World) -> tuple[Any, list[str]]:
        """Try the game: return a config that says what was found, and lines for the log."""
        found, more = world.broadcast_json(lambda: settle_options(config.env, config.env_options))
        config = changed(config, env_options=changed(config.env_options, **found))
        notes += more
        notes += world.broadcast_json(lambda: first_look(config.env, config.env_options))
        if config.centred and (config.trunk.mean, config.trunk.std) == UNCENTRED:
            mean, std = world.broadcast_json(
                lambda: background(config.env, config.env_options, config.trunk)
            )
            config = changed(config, trunk=changed(config.trunk, mean=mean, std=std))
        if config.end_games_every is None:
            every, more = world.broadcast_json(
                lambda: settle_end_of_games(config.env, config.env_options, config.num_steps)
            )
            notes += more
            config = changed(config, end_games_every=every)
        options = config.env_options
        count, more = world.broadcast_json(
            lambda: settle_processes(config.env, options, config.num_envs, config.num_steps)
        )
        if count:
            config = changed(config, env_options=changed(options, env_processes=count))
        notes += more
        if config.eval_games:
            notes += world.broadcast_json(lambda: drawing_notes(config.env, config.env_options))
        return config, notes
