"""Stock algorithms of stable-baselines3 (SB3) on our environments and trunks, into our run folders.

The algorithm is SB3's, line for line; the environment, the trunk, the log, the checkpoints and the
evaluation are ours, so such a run is watched, scored and exported like any other. What SB3 does not
save is not saved here either: these jobs resume from their weights, not exactly, and say so.
"""

import math
import re
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
import tyro
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from torch import nn

from backbones.training.checkpoint import Checkpoint
from backbones.training.checks.limits import MOST_GAMES, require_at_most
from backbones.training.config import (
    GameName,
    RunConfig,
    changed,
    require_fraction,
    require_not_negative,
    require_positive,
)
from backbones.training.device.memory import model_bytes, require_memory
from backbones.training.device.precision import choose_device
from backbones.training.distributed import ALONE, World
from backbones.training.errors import Stopped, UserError
from backbones.training.job import ANEW
from backbones.training.run import Run
from backbones.training.session import OnUpdate, Session, Snapshot
from backbones.transfer import TrunkConfig, load_weights, snapshot
from rl.finish import finish, introduce
from rl.games.contract import require_same_actions
from rl.games.first_look import first_look, settle_options
from rl.games.make import make_environments
from rl.games.options import EnvOptions
from rl.games.screen import drawing_notes
from rl.games.stacks import STACK
from rl.networks.body import MOST_UNITS, build_cnn
from rl.play_job import PlayJob
from rl.sb3.callback import load_callback
from rl.sb3.environments import SB3Environments, TrunkExtractor
from rl.scoring import SCORE_OVER_GAMES, Game, mean_score
from rl.start import start_from

# Figures are written this often, in env steps, whatever the algorithm calls an update.
RECORD_EVERY = 1000


@dataclass(frozen=True, kw_only=True)
class Config:
    """What the configs of all stock algorithms share."""

    env: GameName = "ALE/Pong-v5"
    """Gymnasium id: an Atari game, Arcadia/Catch-v0, or module:Env-v0 of your own."""
    total_steps: int = 1_000_000
    """Length of the run in env steps (4 frames each on Atari)."""
    gamma: float = 0.99
    """Discount per env step."""
    hidden: int = 512
    """Units between the trunk and the heads."""
    eval_games: int = 20
    """Games of the evaluation at the end; 0: none, and no film."""
    callback: Annotated[str, tyro.conf.arg(metavar="MODULE:CLASS")] = ""
    """A callback of stable-baselines3 of your own, made without arguments, called beside ours."""
    env_options: EnvOptions = field(default_factory=EnvOptions)
    trunk: TrunkConfig = field(default_factory=TrunkConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        require_positive(self, "total_steps", "hidden")
        require_fraction(self, "gamma")
        require_not_negative(self, "eval_games")
        require_at_most(self, hidden=MOST_UNITS, eval_games=MOST_GAMES)

    @property
    def storage(self) -> tuple[int, str]:
        """How many observations SB3 makes room for before it begins, and the flag for it."""
        raise NotImplementedError


# (config, environments, keyword arguments for every algorithm) -> SB3's model
MakeModel = Callable[[Any, SB3Environments, dict[str, Any]], BaseAlgorithm]


def ours_from_sb3(theirs: str) -> str:
    """Return our name of a tensor in SB3's policy; shared extractors and targets name it again."""
    match = re.match(
        r"(?:q_net(?:_target)?\.)?(?:pi_|vf_)?(features_extractor|action_net|value_net|q_net\.0)\.(.*)",
        theirs,
    )
    assert match is not None, theirs
    heads = {"action_net": "policy.", "value_net": "value.", "q_net.0": "q."}
    return heads.get(match[1], "") + match[2]


def to_ours(policy: nn.Module, network: Any) -> Any:
    """Give a network of ours the weights of SB3's policy; return it."""
    # In reverse, so the online network's tensor overwrites the target's copy of the same name.
    tensors = reversed(policy.state_dict().items())
    network.load_state_dict({ours_from_sb3(name): tensor for name, tensor in tensors})
    return network


def give_weights(network: nn.Module, policy: nn.Module) -> None:
    """The way back: give SB3's policy the weights of our network."""
    ours = network.state_dict()
    policy.load_state_dict({name: ours[ours_from_sb3(name)] for name in policy.state_dict()})


class Recorder(BaseCallback):
    """SB3's loop, seen by our session: figures, checkpoints, stopping."""

    def __init__(self, session: Session, snapshot: Callable[[], Snapshot], games: list[Game]):
        super().__init__()
        self.session, self.snapshot, self.games = session, snapshot, games
        self.recorded, self.since = 0, time.monotonic()

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                self.games.append(Game(0, info["episode"]["r"], info["episode"]["l"]))
        del self.games[:-SCORE_OVER_GAMES]
        if self.num_timesteps - self.recorded >= RECORD_EVERY:
            self.record()
        self.session.keep(self.snapshot)
        return not self.session.stopped

    def record(self) -> None:
        """Write what SB3 has logged since; nothing if nothing was played since."""
        if self.num_timesteps == self.recorded:
            return
        now, figures = time.monotonic(), {}
        for name, value in self.logger.name_to_value.items():
            if name.startswith("train/") and isinstance(value, int | float):
                figures[name] = float(value)
        steps = self.num_timesteps - self.recorded
        figures["speed/env_steps_per_s"] = steps / (now - self.since)
        self.recorded, self.since = self.num_timesteps, now
        score = mean_score(self.games)
        if score is not None:
            figures["rollout/score"] = score
        shown = {} if score is None else {"score": f"{score:.1f}"}
        self.session.record(self.num_timesteps, figures, shown)


class StockJob(PlayJob):
    """A stock algorithm as a job of ours: its model, and our network of the same shape."""

    def __init__(
        self, name: str, presets: Mapping[str, Any], make_model: MakeModel, network_type: type[Any]
    ) -> None:
        super().__init__(name, presets)
        self.make_model, self.network_type = make_model, network_type

    def build_network(self, config: Any, num_actions: int) -> Any:
        """Return our untrained network of a config."""
        cnn = build_cnn(config.trunk, config.env_options.frame_channels)
        return self.network_type(cnn, config.env_options.size_px, num_actions, config.hidden)

    def resumed(self, model: BaseAlgorithm, config: Any) -> list[str]:
        """Prepare SB3's model to go on from its weights alone; return warnings."""
        return []

    def refuse_too_large(self, config: Any) -> None:
        """UserError, before it is allocated, if the network needs more memory than is free; of a
        network on a GPU, torch itself says so."""
        if choose_device(config.run.device).type == "cpu":
            side = config.env_options.size_px
            obs = (STACK * config.env_options.frame_channels, side, side)
            size = model_bytes(lambda: self.build_network(config, 1), obs, 2)
            require_memory(size, "the network", "--hidden, --width or --size-px")

    def settle(self, config: Any, world: World) -> tuple[Any, list[str]]:
        config, notes = super().settle(config, world)
        load_callback(config.callback)  # UserError before anything is built
        found, more = settle_options(config.env, config.env_options)
        config = changed(config, env_options=changed(config.env_options, **found))
        notes += [*more, *first_look(config.env, config.env_options)]
        notes += drawing_notes(config.env, config.env_options) if config.eval_games else []
        return config, notes

    def build(
        self,
        config: Any,
        world: World,
        found: Checkpoint | None = None,
        rebuilt: AbstractContextManager[object] = ANEW,
    ) -> "StockLoop":
        refuse_what_sb3_cannot_do(config, world)
        self.refuse_too_large(config)
        return StockLoop(self, config, rebuilt)


def refuse_what_sb3_cannot_do(config: Any, world: World) -> None:
    """UserError for settings of ours that stock algorithms do not have."""
    if config.trunk.freeze or config.trunk.lr_backbone != 1.0:
        raise UserError("stock SB3 jobs train all layers alike: no --freeze, no --lr-backbone")
    if world.size > 1:
        raise UserError("stable-baselines3 trains in one process; start it without torchrun")
    if config.run.precision == "bf16":
        raise UserError("stable-baselines3 computes in fp32; leave --precision at auto or fp32")


class StockLoop:
    """SB3's model on our environments, and a network of ours that its weights are saved as."""

    def __init__(self, job: StockJob, config: Any, rebuilt: AbstractContextManager[object]) -> None:
        self.job, self.config = job, config
        self.model, self.envs = build_model(config, job.make_model)
        self.num_actions = len(self.envs.envs.action_names)
        with rebuilt:
            self.network = job.build_network(config, self.num_actions)

    def start(self) -> list[str]:
        """Give SB3's untrained model what `--init` names, and our network its weights."""
        config, model = self.config, self.model
        kind = self.job.name.removeprefix("sb3-").upper()
        notes = [f"stock {kind} of stable-baselines3: resumes from its weights only"]
        if config.run.graphs:
            notes.append("no CUDA graphs (--graphs): stock jobs are not recorded, only PPO is")
        notes += start_from(to_ours(model.policy, self.network), config.trunk, config.env)
        give_weights(self.network, model.policy)
        return notes

    def restore(self, found: Checkpoint) -> list[str]:
        """Continue from the weights of a checkpoint: not exact, and the warning says so."""
        require_same_actions(self.config.env, self.num_actions, found.info["num_actions"])
        load_weights(self.network, found)
        give_weights(self.network, self.model.policy)
        self.model.num_timesteps = found.info["progress"]
        warning = "a stock SB3 job resumes from its weights: optimiser, games and replay begin anew"
        return [warning, *self.job.resumed(self.model, self.config)]

    def lengthened(self, before: Any) -> str:
        """Return what lengthening the run does, as a line for the log."""
        old, new = before.total_steps, self.config.total_steps
        return f"lengthened from {old:,} to {new:,} env steps"

    def run(
        self, run: Run, resumed: Mapping[str, Any] | None, on_update: OnUpdate | None = None
    ) -> None:
        """Let SB3 learn; save, as our network, evaluate, film: see `Loop.run`."""
        config, model = self.config, self.model
        games: list[Game] = []

        def checkpoint() -> Snapshot:
            score = mean_score(games) if len(games) == SCORE_OVER_GAMES else None
            info = {
                "job": self.job.findable(),
                "data": config.env,
                "num_actions": self.num_actions,
                "score": score,
            }
            return snapshot(model.num_timesteps, to_ours(model.policy, self.network), {}, info)

        session = Session(
            run,
            config.run,
            ALONE,
            total=config.total_steps,
            unit="env steps",
            done=model.num_timesteps,
            resumed=resumed,
            on_update=on_update,
        )
        with session:
            if not resumed:
                assert session.board is not None
                introduce(run, session.board)
                session.save(checkpoint)
            recorder = Recorder(session, checkpoint, games)
            recorder.recorded = model.num_timesteps
            left = config.total_steps - model.num_timesteps
            if left > 0:
                # Theirs first: where it stops the run, ours has the last step too.
                own = load_callback(config.callback, None if resumed is None else run)
                callbacks = [*([own] if own else []), recorder]
                model.learn(left, callbacks, reset_num_timesteps=False, log_interval=10**9)
                recorder.record()
            session.save_last(checkpoint)
        self.envs.close()
        steps = f"{model.num_timesteps:,}"
        if session.stopped:
            run.log(f"stopped at {steps}; continue with `arcadia resume {run.name}`")
            raise Stopped
        assert session.board is not None
        run.log(f"trained {steps} env steps in {session.trained_s / 60:.1f} min")
        finish(run, session.board, config.eval_games, model.num_timesteps)


def build_model(config: Any, make_model: MakeModel) -> tuple[BaseAlgorithm, SB3Environments]:
    """Return SB3's model on our environments."""
    torch.set_num_threads(config.run.threads)
    envs = make_environments(
        config.env, config.num_envs, seed=config.run.seed, options=config.env_options, threads=1
    )
    wrapped = SB3Environments(envs)
    spec = config.trunk.spec(STACK * envs.frame_shape[0]).to_dict()
    policy_kwargs = {
        "features_extractor_class": TrunkExtractor,
        "normalize_images": False,
        "net_arch": [],
        "features_extractor_kwargs": {"spec": spec, "features_dim": config.hidden},
    }
    common = {
        "policy": "CnnPolicy",
        "env": wrapped,
        "seed": config.run.seed,
        "verbose": 0,
        "learning_rate": config.learning_rate,
        "gamma": config.gamma,
        "policy_kwargs": policy_kwargs,
        "device": choose_device(config.run.device),
    }
    count, flag = config.storage
    size = count * math.prod(wrapped.observation_space.shape or ())
    try:
        if size > sys.maxsize:
            raise MemoryError  # NumPy calls this a ValueError.
        return make_model(config, wrapped, common), wrapped
    except MemoryError:
        raise UserError(
            f"{count:,} observations take {size / 1e9:,.1f} GB, more than this machine gives; use "
            f"a smaller {flag}"
        ) from None
