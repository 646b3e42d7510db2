"""The command `arcadia export`: a trained agent as a file for other programs.

ONNX files take `obs`, uint8 [batch, K * C, H, W] with older frames first, and give `logits`
[batch, A] and `value` [batch]: what the agent computes, in fp32, for any number of observations.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from backbones.training.errors import UserError
from rl.agent import Agent, load_agent
from rl.network import blank_obs

OPSET = 17


@dataclass(frozen=True, kw_only=True)
class Config:
    """Write a run's agent as a stable-baselines3 model or as an ONNX graph."""

    run: tyro.conf.Positional[str] = "last"
    """A run: its name, a path, zoo/NAME or last."""
    sb3: Path | None = None
    """Write this .zip, for PPO.load of stable-baselines3."""
    onnx: Path | None = None
    """Write this .onnx file, for any ONNX runtime."""
    best: bool = False
    """Take the checkpoint of the highest score while training, not the newest."""
    force: bool = False
    """Overwrite the file if it exists."""

    def __post_init__(self) -> None:
        if (self.sb3 is None) == (self.onnx is None):
            raise ValueError("export takes one of --sb3 FILE.zip and --onnx FILE.onnx")
        for path, ending in ((self.sb3, ".zip"), (self.onnx, ".onnx")):
            if path is not None and path.suffix != ending:
                raise ValueError(f"{path} must end in {ending}")


def export_onnx(agent: Agent, path: Path) -> str:
    """Write an agent as an ONNX graph; return a line for people. UserError without `onnx`."""
    obs, names = blank_obs(agent.network, 2), ["obs", "logits", "value"]
    try:
        with warnings.catch_warnings():
            # The tracing exporter, which is said to be superseded: the other one needs a compiler's
            # worth of packages more and gives the same graph for three convolutions.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                agent.network, (obs,), str(path), input_names=names[:1], output_names=names[1:],
                dynamic_axes={name: {0: "batch"} for name in names}, opset_version=OPSET,
                dynamo=False,
            )  # fmt: skip
    except (ModuleNotFoundError, torch.onnx.errors.OnnxExporterError) as error:
        raise UserError(
            f"no graph could be written ({error}); `pip install -e .[onnx]` brings what it needs"
        ) from None
    return f"{path}: obs uint8 [batch, {obs.shape[1]}, {obs.shape[2]}, {obs.shape[3]}]"


def main(config: Config) -> int:
    """The command `arcadia export`."""
    agent = load_agent(config.run, best=config.best)
    path = config.sb3 or config.onnx
    assert path is not None
    if path.exists() and not config.force:
        raise UserError(f"{path} exists; choose another name, or --force")
    path.parent.mkdir(parents=True, exist_ok=True)
    if config.onnx:
        print(export_onnx(agent, path))
        return 0
    try:
        from rl.sb3 import export_sb3
    except ModuleNotFoundError:
        raise UserError(
            "stable-baselines3 is not installed; `pip install -e .[sb3]` brings it"
        ) from None
    print(export_sb3(agent, path))
    return 0
