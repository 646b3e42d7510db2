"""The job `go`: a network learns Go from games against itself, and from nothing else.

A turn plays so many moves with the averaged weights, all games at once, in a thread with a copy of
them. Meanwhile the network learns from the window of positions as the turn before left it, as often
as `reuse` says; with `sync` it learns after the turn, from its games too. What is played and learnt
never depends on which is done first, so it follows from the seed alone: a run that was killed and
resumed plays the same games and ends with the same weights. Of several processes each plays its
share of the games and learns from its share of every minibatch.
"""

import copy
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backbones import transfer
from backbones.start import start_from
from backbones.training.checkpoint import Checkpoint, prefixed, under
from backbones.training.config import changed
from backbones.training.device.memory import keep_freed_memory
from backbones.training.device.precision import choose_device, choose_precision
from backbones.training.distributed import World, leave
from backbones.training.errors import Stopped, UserError
from backbones.training.job import ANEW, Job
from backbones.training.run import Run
from backbones.training.session import OnUpdate, Session, Snapshot, lengthened
from rl.go.finish import finish
from rl.go.gallery import Gallery
from rl.go.learning.failures import Failures
from rl.go.learning.learn import GoLearner
from rl.go.learning.matches import Matches
from rl.go.learning.replay import PositionReplay
from rl.go.learning.selfplay import SelfPlay, Turn
from rl.go.learning.sharing import gather_state, gather_turn
from rl.go.learning.warm_start import read_folder
from rl.go.network.evaluator import turning_evaluator
from rl.go.network.go_network import build_network
from rl.go.train_config import PRESETS, Config

NEW = 512  # new positions that a turn is judged by before they are learnt


def require_work_for(world: World, config: Config) -> None:
    """UserError if there are more processes than games or positions that they could share."""
    for name, count in (
        ("--games-at-a-time", config.play.games_at_a_time),
        ("--batch-size", config.batch_size),
    ):
        if count < world.size:
            raise UserError(
                f"{name} {count} cannot be shared by {world.size} processes; give at least one each"
            )


class GoTraining:
    """A run in progress: the games, the window, the learner."""

    def __init__(self, job: "GoJob", config: Config, world: World) -> None:
        require_work_for(world, config)
        self.job, self.config, self.world, self.moves = job, config, world, 0
        torch.set_num_threads(config.run.threads)
        self.device = choose_device(config.run.device, world)
        torch.manual_seed(config.run.seed)
        self.learner = GoLearner(
            build_network(config.network, config.size, config.size), config, self.device, world
        )
        self.replay = PositionReplay(config.size, config.window, config.first_window)
        self.games = SelfPlay(
            config.size,
            config.play,
            komi=config.fair_komi,
            seed=config.run.seed,
            threads=config.run.threads,
            places=world.share(config.play.games_at_a_time),
        )
        self.player = copy.deepcopy(self.learner.average.model)
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="play")
        self.matches = Matches(self.learner.average.model, config, world)

    def start(self) -> list[str]:
        """Start anew, from other weights if asked; return lines for the log."""
        learner = self.learner
        lines = self.world.broadcast_json(self.begin)
        self.world.broadcast_(learner.network.state_dict().values())
        learner.average.model.load_state_dict(learner.network.state_dict())
        self.matches.ladder.network.load_state_dict(learner.network.state_dict())
        self.replay.share(self.world)
        planes = torch.zeros(self.config.batch_size, *self.games.search.forest.planes.shape[2:])
        given = planes.to(self.device, torch.uint8)
        learner.precision = choose_precision(
            self.config.run.precision,
            self.device,
            lambda: learner.network(given).value.sum(),
            learner.network,
            self.world,
        )
        # A repeat of this config computes the same.
        run = changed(self.config.run, precision=learner.precision.name)
        self.config = changed(self.config, run=run)
        return lines

    def begin(self) -> list[str]:
        """In the first process: take over what the run begins with; return lines for the log."""
        lines = start_from(
            self.learner.network, self.config.init, lambda run, found: self.learnt_the_same(run)
        )
        lines += self.matches.begin()
        if self.config.warm_start:
            size, folder = self.config.size, Path(self.config.warm_start).expanduser()
            rows, line = read_folder(folder, size, self.config.window)
            self.replay.add(rows)
            lines.append(line)
        return lines

    def learnt_the_same(self, run: Run) -> bool:
        """Say whether a run's heads mean the same: those of Go do on every size."""
        return run.job == self.job.findable()

    def turn(self) -> dict[str, float]:
        """Play and learn; return figures as TensorBoard tags."""
        config, average = self.config, self.learner.average.model
        self.player.load_state_dict(average.state_dict())
        play = partial(self.games.turn, turning_evaluator(self.player), config.moves_a_turn)
        rung = self.moves // config.ladder_every
        if config.sync:
            figures = self.take_in(play())
            figures |= self.learn()
        else:
            upcoming = self.pool.submit(play)
            figures = self.learn()
            figures |= self.take_in(upcoming.result())
        if config.ladder_games and self.moves // config.ladder_every > rung:
            figures |= self.matches.climb(average, self.moves)
        rows = {"replay/rows": self.replay.added, "replay/window": self.replay.window}
        return figures | {name: float(count) for name, count in rows.items()}

    def take_in(self, played: Turn) -> dict[str, float]:
        """Add what all processes played in a turn to the window; return figures."""
        turn = gather_turn(self.world, played)
        self.moves += turn.moves
        figures, before = self.games.end_turn(turn), self.replay.added
        self.replay.add(turn.rows)
        if len(turn.rows):
            numbers = np.arange(before, self.replay.added)[-NEW:]
            figures |= self.learner.judge_new(self.replay.batch(numbers, np.zeros_like(numbers)))
        return figures

    def learn(self) -> dict[str, float]:
        """Learn as often as the window's positions are still to be reused; return figures."""
        config, learner = self.config, self.learner
        due = int(self.replay.added * config.reuse / config.batch_size) - learner.updates
        if self.replay.added < config.batch_size:
            due = 0
        return learner.learn(self.replay, due, config.rate(self.moves))

    def checkpoint(self) -> Snapshot | None:
        """Return, in the first process, what `restore` continues from exactly."""
        self.world.confirm(self.device)
        playing, games = self.games.state()
        playing = gather_state(self.world, playing)
        if not self.world.is_first:
            return None
        learnt, info = self.learner.state()
        rows, window, chunks = self.replay.state()
        rung, height = self.matches.ladder.state()
        state = {
            **learnt,
            **prefixed("games", playing),
            **prefixed("replay", rows),
            **prefixed("rung", rung),
        }
        info |= {
            "job": self.job.findable(),
            "data": f"go {self.config.size}x{self.config.size}",
            "score": None,
            "games": games,
            "replay": window,
            "ladder": height,
        }
        whole = transfer.snapshot(self.moves, self.learner.average.model, state, info)
        return replace(whole, chunks=chunks)

    def restore(self, found: Checkpoint) -> list[str]:
        """Continue from a checkpoint; there is nothing to warn of."""
        state, info = found.tensors("state"), found.info
        transfer.load_weights(self.learner.average.model, found)
        self.learner.load(state, info)
        self.games.load(under("games", state), info["games"])
        self.replay.load(under("replay", state), info["replay"], lambda name: found.tensors(name))
        self.matches.ladder.load(under("rung", state), info["ladder"])
        self.moves = info["progress"]
        return []

    def lengthened(self, before: Config) -> str:
        """Return what lengthening the run does to its schedule, as a line for the log."""
        return lengthened(
            before.total_moves,
            self.config.total_moves,
            "moves",
            before.rate(self.moves),
            self.config.rate(self.moves),
        )

    def run(
        self, run: Run, resumed: Mapping[str, Any] | None, on_update: OnUpdate | None = None
    ) -> None:
        """Play and learn to the end: see `Loop.run`."""
        config = self.config
        session = Session(
            run,
            config.run,
            self.world,
            total=config.total_moves,
            unit="moves",
            done=self.moves,
            resumed=resumed,
            on_update=on_update,
        )
        run.log(f"device {self.device}, {self.learner.precision}")
        gallery = Gallery(session.board, config.size, config.picture_every_s, run.warn)
        failures, failure = Failures(), ""
        with session:
            while self.moves < config.total_moves and not session.stopped:
                figures = self.turn()
                shown = {"games": f"{figures['selfplay/games']:,.0f}"}
                if "train/value_loss" in figures:
                    shown["value loss"] = f"{figures['train/value_loss']:.3f}"
                session.record(self.moves, figures, shown)
                for line in self.matches.take_lines():
                    run.log(line)
                named = failures.named(figures) if config.stop_rules else ""
                failure = self.world.broadcast_json(partial(str, named))
                gallery.add(self.games.latest, self.learner.average.model, self.moves)
                session.keep(self.checkpoint)
                if failure:
                    break
            session.save_last(self.checkpoint)
        leave(self.world)
        if failure:
            raise UserError(f"{run.name} has stopped at {self.moves:,} moves: {failure}")
        if self.moves < config.total_moves:
            run.log(f"stopped at {self.moves:,} moves; continue with `arcadia resume {run.name}`")
            raise Stopped
        run.log(
            f"trained {self.moves:,} moves, {self.games.num_games:,} games, in "
            f"{session.trained_s / 60:.1f} min"
        )
        if session.board:
            finish(run, session.board, config.eval_games, self.moves)


class GoJob(Job):
    """Self-play of Go as a job."""

    kind = "go"

    def build(
        self,
        config: Any,
        world: World,
        found: Checkpoint | None = None,
        rebuilt: AbstractContextManager[object] = ANEW,
    ) -> GoTraining:
        keep_freed_memory()
        with rebuilt:
            return GoTraining(self, config, world)

    def lengthen(self, config: Any, extend: int) -> Any:
        return changed(config, total_moves=config.total_moves + extend)

    def total(self, config: Any, found: Checkpoint) -> int:
        return int(config.total_moves)

    def base_name(self, config: Any) -> str:
        return f"{config.size}x{config.size}"

    def title(self, config: Any) -> str:
        return f"Go on {config.size} by {config.size}, {config.total_moves:,} moves of self-play"


JOB = GoJob("go", PRESETS)
train, resume = JOB.train, JOB.resume
