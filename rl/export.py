"""The command `arcadia export`: a trained agent as a file for other programs.

ONNX files take `obs`, uint8 [batch, K * C, H, W] with older frames first, and give `logits`
[batch, A] and `value` [batch]: what the agent computes, in fp32, for any number of observations; of
an agent with Q values `q_value` [batch, A] as well. With a memory they also take `hidden` and
`cell` [layers, batch, units], zeros where a game begins, and give both as they are afterwards.
`--folder` writes the agent as a run without the state of its training, such as runs/zoo has.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from backbones.onnx_graph import write_graph
from backbones.training.config import GameName, RunName
from backbones.training.errors import UserError
from backbones.training.published import publish, replacing_file, replacing_folder, writing
from rl.agent import Agent, load_agent
from rl.evaluate import Evaluation, evaluate
from rl.networks.body import Body
from rl.networks.q_network import QNetwork


@dataclass(frozen=True, kw_only=True)
class Config:
    """Write a run's agent as a stable-baselines3 model, an ONNX graph or a small run folder."""

    run: RunName = "last"
    """A run: its name, a path, zoo/NAME or last."""
    sb3: Path | None = None
    """Write this .zip, for PPO.load, A2C.load or DQN.load of stable-baselines3, or
    RecurrentPPO.load of sb3-contrib."""
    onnx: Path | None = None
    """Write this .onnx file, for any ONNX runtime."""
    folder: Path | None = None
    """Write this folder: the agent alone, with its card and the score of 20 games."""
    env: GameName = ""
    """The game, once more, of a run that was not trained here and whose game is a module."""
    best: bool = False
    """Take the checkpoint of the highest score while training, not the newest."""
    force: bool = False
    """Overwrite a file, or the folder of an earlier export."""

    def __post_init__(self) -> None:
        if sum(path is not None for path in (self.sb3, self.onnx, self.folder)) != 1:
            raise ValueError(
                "export takes one of --sb3 F.zip, --onnx F.onnx, --folder DIR and --web DIR"
            )
        for path, ending in ((self.sb3, ".zip"), (self.onnx, ".onnx")):
            if path is not None and path.suffix != ending:
                raise ValueError(f"{path} must end in {ending}")


class OneStep(nn.Module):
    """One step of a network, as a graph: a memory goes in and comes out, where there is one."""

    def __init__(self, network: Body) -> None:
        super().__init__()
        self.network = network

    def forward(self, obs: Tensor, *memory: Tensor) -> tuple[Tensor, ...]:
        begins = torch.zeros_like(obs[:, 0, 0, 0], dtype=torch.bool)
        before = (memory[0], memory[1]) if memory else None
        logits, value, after, q_value = self.network.step(obs, before, begins)
        values = () if q_value is None else (q_value,)
        return logits, value, *values, *(after or ())


def export_onnx(agent: Agent, path: Path) -> str:
    """Write an agent as an ONNX graph; return what it takes. UserError without `onnx`."""
    obs, network = agent.network.blank_obs(2), agent.network
    memory = network.initial_memory(2)
    given = {"obs": obs, **dict(zip(("hidden", "cell"), memory or (), strict=False))}
    outputs = ["logits", "value", *(["q_value"] if isinstance(network, QNetwork) else [])]
    outputs += ["hidden_after", "cell_after"] if memory else []
    along = dict.fromkeys(("hidden", "cell", "hidden_after", "cell_after"), 1)
    write_graph(OneStep(network), given, outputs, path, along)
    with_memory = ", hidden and cell" if memory is not None else ""
    shape = ", ".join(map(str, obs.shape[1:]))
    return f"obs uint8 [batch, {shape}]{with_memory}"


def export_sb3(agent: Agent, path: Path) -> str:
    """Write an agent for stable-baselines3; return what it is for. UserError if that, or
    sb3-contrib for an agent with a memory, is not installed."""
    with sb3_needed():
        from rl.sb3 import write_zip

        return write_zip.export_sb3(agent, path)


def export_folder(agent: Agent, path: Path, force: bool) -> str:
    """Write an agent as a run folder that can be evaluated and watched; return size and score.

    UserError, before a game is played, if the folder may not or cannot be written.
    """
    with replacing_folder(path, agent.run.folder, force) as ready:
        assert agent.found is not None
        result: Evaluation = evaluate(agent)
        shown = {**result.to_dict(agent.name), "env_steps": agent.card["progress"]}
        with writing(path):
            size = publish(agent.run, agent.found, ready, shown)
    return f"{size} over 20 games"


def main(config: Config) -> int:
    """The command `arcadia export`."""
    agent = load_agent(config.run, best=config.best, env=config.env)
    if config.folder is not None:
        print(f"{config.folder}: {export_folder(agent, config.folder, config.force)}")
        return 0
    path, export = (config.sb3, export_sb3) if config.sb3 else (config.onnx, export_onnx)
    assert path is not None
    with replacing_file(path, config.force) as ready:
        purpose = export(agent, ready)
    print(f"{path}: {purpose}")
    return 0


@contextmanager
def sb3_needed() -> Iterator[None]:
    """UserError with what to install where the body misses stable-baselines3 or sb3-contrib."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in ("stable_baselines3", "sb3_contrib"):
            raise
        raise UserError(
            f"{package.replace('_', '-')} is not installed; `pip install sb3-contrib` brings it"
        ) from None
