"""The job `go`: a network learns Go from games against itself, and from nothing else.

A turn plays so many moves with the averaged weights, all games at once; then the network learns
from the window of positions, as often as `reuse` says. Both follow from the seed alone, so a run
that was killed and resumed plays the same games and ends with the same weights.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
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
from rl.go.learning import ladder, opponent
from rl.go.learning.failures import Failures
from rl.go.learning.learn import GoLearner
from rl.go.learning.replay import PositionReplay
from rl.go.learning.selfplay import SelfPlay
from rl.go.learning.warm_start import read_folder
from rl.go.network.evaluator import turning_evaluator
from rl.go.network.go_network import build_network
from rl.go.train_config import PRESETS, Config

NEW = 512  # new positions that a turn is judged by before they are learnt


class GoTraining:
    """A run in progress: the games, the window, the learner."""

    def __init__(self, job: "GoJob", config: Config, world: World) -> None:
        if world.size > 1:
            raise UserError(f"go trains in one process, not in {world.size}; start it by itself")
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
        )
        self.ladder = ladder.Ladder(
            self.learner.average.model,
            size=config.size,
            komi=config.fair_komi - 0.5,
            simulations=config.play.simulations,
        )
        self.opponent = opponent.Opponent(
            opponent.command_of(config.ladder_opponent, config.size),
            size=config.size,
            komi=config.fair_komi - 0.5,
            simulations=config.play.simulations,
        )
        self.lines = list[str]()  # for the log, of the last turn

    def start(self) -> list[str]:
        """Start anew, from other weights if asked; return lines for the log."""
        learner = self.learner
        lines = start_from(
            learner.network, self.config.init, lambda run, found: self.learnt_the_same(run)
        )
        opponent.require_command(self.opponent.command)
        if self.config.ladder_opponent and not self.opponent.command:
            lines.append(opponent.NONE)
        learner.average.model.load_state_dict(learner.network.state_dict())
        self.ladder.network.load_state_dict(learner.network.state_dict())
        if self.config.warm_start:
            size, folder = self.config.size, Path(self.config.warm_start).expanduser()
            rows, line = read_folder(folder, size, self.config.window)
            self.replay.add(rows)
            lines.append(line)
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

    def learnt_the_same(self, run: Run) -> bool:
        """Say whether a run's heads mean the same: those of Go do on every size."""
        return run.job == self.job.findable()

    def turn(self) -> dict[str, float]:
        """Play, then learn; return figures as TensorBoard tags."""
        config, learner = self.config, self.learner
        turn = self.games.turn(turning_evaluator(learner.average.model), config.moves_a_turn)
        rung = self.moves // config.ladder_every
        self.moves += turn.moves
        figures, before = dict(turn.figures), self.replay.added
        self.replay.add(turn.rows)
        if len(turn.rows):
            numbers = np.arange(before, self.replay.added)[-NEW:]
            figures |= learner.judge_new(self.replay.batch(numbers, np.zeros_like(numbers)))
        due = int(self.replay.added * config.reuse / config.batch_size) - learner.updates
        if self.replay.added < config.batch_size:
            due = 0
        figures |= learner.learn(self.replay, due, config.rate(self.moves))
        if config.ladder_games and self.moves // config.ladder_every > rung:
            figures |= self.climb()
        rows = {"replay/rows": self.replay.added, "replay/window": self.replay.window}
        return figures | {name: float(count) for name, count in rows.items()}

    def climb(self) -> dict[str, float]:
        """Play the ladder's next match, and every few of them one against the program."""
        config, playing, rival = self.config, self.learner.average.model, self.opponent
        figures = self.ladder.climb(playing, config.ladder_games, config.run.seed)
        self.lines.append(ladder.line(self.moves, figures))
        rungs = self.ladder.rungs
        if not (rival.command and config.opponent_games) or rungs % config.opponent_every:
            return figures
        found = rival.match(playing, config.opponent_games, config.run.seed, rungs)
        figures |= found.figures(self.ladder.elo)
        self.lines += found.troubles
        self.lines.append(opponent.line(self.moves, rival.command, figures))
        return figures

    def checkpoint(self) -> Snapshot:
        """Return what `restore` continues from exactly."""
        learnt, info = self.learner.state()
        playing, games = self.games.state()
        rows, window, chunks = self.replay.state()
        rung, height = self.ladder.state()
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
        self.ladder.load(under("rung", state), info["ladder"])
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
                for line in self.lines:
                    run.log(line)
                self.lines.clear()
                failure = failures.named(figures) if config.stop_rules else ""
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
            f"trained {self.moves:,} moves, {self.games.counters.games:,} games, in "
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
