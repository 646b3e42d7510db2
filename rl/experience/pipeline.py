"""Playing one rollout ahead of learning, in one process or in several.

While rollout k is learnt from, a thread plays rollout k + 1 with the weights from before; with
`sync` the two strictly alternate. When it has played, the thread helps to learn. What it does never
depends on when it does it, so a run is a function of its config.

Several processes share the environments. A checkpoint holds all of them side by side, so that a run
may go on with another number of processes.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float64, Int64
from torch import Tensor

from backbones.lstm import State as LSTMState
from backbones.training.checkpoint import prefixed, under
from backbones.training.device.cores import cores_each
from backbones.training.distributed import World
from rl.experience.collector import Collector, state_with_new_games
from rl.experience.learner import RolloutLearner
from rl.experience.rollout import Rollout
from rl.games.contract import Environments
from rl.networks.acting import acting_copy, copy_weights_
from rl.scoring import SCORE_OVER_GAMES, Game, rollout_scalars

State = dict[str, Tensor]

# Smaller minibatches are not split: two calls cost more than the second core saves. With PPO's
# `fast`, halves of 64 positions take 100 us each, 128 at once 81.
LEAST_HALVED = 256
# Tables of a state, whose rows belong to one environment each: where its number stands.
# How names begin in a checkpoint's state of what was played; the others are the learner's.
PLAYED = ("rollout.", "collector.", "games")
TABLES = {
    "games": ("games", 0),
    "rollout.cuts": ("rollout.cuts", 1),
    "rollout.cut_frames": ("rollout.cuts", 1),
}


class Pipeline:
    """The collector, the rollout in hand, the copy of the weights that plays, recent games."""

    def __init__(
        self,
        envs: Environments,
        num_steps: int,
        seed: int,
        device: torch.device,
        world: World,
        *,
        sync: bool,
        memory: LSTMState | None = None,
        graphs: bool = False,
    ) -> None:
        self.collector = Collector(envs, num_steps, seed, device, memory, graphs=graphs)
        self.envs, self.world, self.sync = envs, world, sync
        self.scores: list[Game] = []

    def begin(self, learner: RolloutLearner) -> None:
        """Begin the first games and play the first rollout."""
        self.act_with(learner)
        self.collector.reset()
        self.collector.stream.hand_over()
        self.rollout = self.collect()

    def act_with(self, learner: RolloutLearner) -> None:
        """Make the copy of a learner's weights that plays."""
        self.acting = acting_copy(learner.network, learner.precision.dtype)
        self.policy = learner.policy(self.acting)

    def collect(self) -> Rollout:
        """Play a rollout with the weights that were copied last."""
        return self.collector.collect(self.policy)

    def copy_weights(self, learner: RolloutLearner) -> None:
        """Give the collector the learner's weights."""
        copy_weights_(self.acting, learner.network)
        self.collector.stream.hand_over()

    def advance(
        self, learner: RolloutLearner, pool: ThreadPoolExecutor
    ) -> tuple[Rollout, dict[str, float]]:
        """Learn from the rollout in hand while the next is played, or, with `sync`, before.

        Return the rollout learnt from (this process's share), and figures as TensorBoard tags.
        """
        rollout, start = self.rollout, time.monotonic()
        # Before learning from it, and before the weights that it was played with are overwritten.
        self.collector.stream.join()
        self.copy_weights(learner)
        upcoming = None if self.sync else pool.submit(self.collect)
        figures = learner.learn(rollout, pool if cores_each() > 1 else None)
        learnt = time.monotonic()
        if upcoming is None:
            self.copy_weights(learner)
        self.rollout = upcoming.result() if upcoming else self.collect()
        end = time.monotonic()
        self.scores = (self.scores + self.games_of_all(rollout))[-SCORE_OVER_GAMES:]
        seconds = {**rollout.seconds, "learn": learnt - start, "wait": end - learnt}
        env_steps = int(self.world.sum_(torch.tensor(rollout.action.numel())))
        return rollout, figures | rollout_scalars(env_steps, seconds, self.scores)

    @property
    def can_be_saved(self) -> bool:
        """Whether the running games can be brought back: always, or where all have just begun."""
        every = self.envs.end_games_every
        return not every or self.collector.num_rollouts * self.collector.num_steps % every == 0

    def games_of_all(self, rollout: Rollout) -> list[Game]:
        """Return the games that ended in a rollout, those of all processes in the first one."""
        if self.world.size == 1:
            return rollout.games
        # In the order of their ends, as one process lists them: by step, then by environment.
        ended = (rollout.age[1:].cpu() == 0).nonzero()[:, :1]
        table = torch.cat([ended, as_table(rollout.games)], dim=1)
        rows = [row for share in self.world.gather({"games": table}) for row in share["games"]]
        ordered = sorted(row.tolist() for row in rows)
        return [Game(int(n), score, int(length)) for _, n, score, length in ordered]

    def state(self) -> tuple[State, dict[str, Any]]:
        """Return tensors and figures from which `load_state` goes on; empty but in the first."""
        self.collector.stream.join()
        state = prefixed("rollout", self.rollout.tensors())
        state |= prefixed("collector", self.collector.state_dict())
        state["games"] = as_table(self.rollout.games)
        return merge_shares(self.world.gather(state)), {"scores": self.scores}

    def state_with_new_games(self) -> tuple[State, dict[str, Any]]:
        """Return the same where a game has failed while learning from the rollout in hand: what
        ran is lost, and `load_state` plays a rollout of new games. For one process."""
        # The rollout, too: learners know their sizes from it. Nobody learns from it twice.
        state = prefixed("rollout", self.rollout.tensors())
        state |= prefixed("collector", state_with_new_games(self.collector))
        scores = (self.scores + self.rollout.games)[-SCORE_OVER_GAMES:]
        return state, {"scores": scores, "games_lost": True}

    def load_state(self, state: State, info: Mapping[str, Any], learner: RolloutLearner) -> bool:
        """Take over this process's share; False if a game did not repeat itself anywhere."""
        self.act_with(learner)
        if info.get("games_lost"):
            self.begin_anew(state, info)
            return True
        games = [Game(int(n), score, int(length)) for n, score, length in state["games"].tolist()]
        blocks = under("rollout", state).items()
        moved = {name: tensor.to(self.collector.device) for name, tensor in blocks}
        self.rollout = Rollout.of(moved, games)
        self.scores = [Game(*game) for game in info["scores"]]
        same = self.collector.load_state_dict(under("collector", state))
        self.collector.stream.hand_over()
        return not self.world.any(not same)[0]

    def begin_anew(self, state: State, info: Mapping[str, Any]) -> None:
        """Go on from `state_with_new_games`: play a rollout of them."""
        self.scores = [Game(*game) for game in info["scores"]]
        self.collector.load_state_dict(under("collector", state), new_games=True)
        self.collector.stream.hand_over()
        self.rollout = self.collect()


def backward_in_halves(
    loss_of: Callable[[Int64[Tensor, "_"]], tuple[Tensor, Tensor]],
    index: Int64[Tensor, "B"],
    rows: int,
    pool: ThreadPoolExecutor | None,
) -> list[Tensor]:
    """Add the gradient of a minibatch; return its figures, of each half.

    `loss_of` gives the loss of some positions of the minibatch, and figures. `index` are `rows`
    equal rows, which are cut by columns. It is one part on a GPU, where the minibatch is small and
    where there are no two columns, and none where it is empty. The cut depends on nothing else, so
    that a run has the same bits on one core and on many.
    """
    table = index.view(rows, -1)
    columns = table.shape[1]
    if index.device.type != "cpu" or columns < 2 or len(index) < LEAST_HALVED:
        parts = [index] if len(index) else []
    else:
        parts = [table[:, : columns // 2].flatten(), table[:, columns // 2 :].flatten()]

    def backward(part: Int64[Tensor, "_"]) -> Tensor:
        loss, figures = loss_of(part)
        loss.backward()  # type: ignore[no-untyped-call]
        return figures

    if pool is None or len(parts) < 2:
        return [backward(part) for part in parts]
    # The pool's thread takes the second half if it is idle. Both add to the same gradients, which
    # were zero: a sum of two does not depend on which comes first.
    second = pool.submit(backward, parts[1])
    first = backward(parts[0])
    # Where the thread is still playing, it has not begun.
    return [first, backward(parts[1]) if second.cancel() else second.result()]


def as_table(games: list[Game]) -> Float64[Tensor, "games 3"]:
    """Return games as rows of environment, score and length."""
    return torch.tensor(games, dtype=torch.float64).reshape(-1, len(Game._fields))


def merge_shares(shares: list[State]) -> State:
    """Return the states of several processes as one, environments in order.

    Environments lie along axis 1 of a tensor, or axis 0 if that is its only one. Scalars are equal
    in all processes. Shorter histories are padded with zeros in front. Tables name an environment
    in each row.
    """
    whole: State = {}
    for name in shares[0] if shares else ():
        parts = [share[name] for share in shares]
        if name in TABLES:
            whole[name] = torch.cat(parts)
        elif parts[0].ndim < 2:
            whole[name] = torch.cat(parts) if parts[0].ndim else parts[0]
        else:
            rows = max(len(part) for part in parts)
            behind = [0, 0] * (parts[0].ndim - 1)
            padded = [F.pad(part, [*behind, rows - len(part), 0]) for part in parts]
            whole[name] = torch.cat(padded, dim=1)
    return whole


def take_share(state: State, numbers: range) -> State:
    """Return the part of a whole state that belongs to some environments."""
    part: State = {}
    for name, tensor in state.items():
        if name in TABLES:
            table, column = TABLES[name]
            part[name] = tensor[[int(row[column]) in numbers for row in state[table]]]
        elif tensor.ndim < 2:
            part[name] = tensor[numbers.start : numbers.stop] if tensor.ndim else tensor
        else:
            part[name] = tensor[:, numbers.start : numbers.stop].contiguous()
    return part


def take_from_checkpoint(state: State, numbers: range) -> State:
    """Return a process's share of a checkpoint's state: its environments, all of the learner's."""
    played = {name: tensor for name, tensor in state.items() if name.startswith(PLAYED)}
    return {**state, **take_share(played, numbers)}
