"""Starting an agent's network from other weights: a run's or a backbone's file (see
`backbones/start.py`), or an agent of stable-baselines3."""

from pathlib import Path

from torch import nn

from backbones import start
from backbones.training.errors import UserError
from backbones.transfer import TrunkConfig, backbones, heads_of
from rl.sb3.read_zip import import_sb3


def start_from(network: nn.Module, trunk: TrunkConfig, env: str) -> list[str]:
    """Start a network as `--init` says; return lines for the log.

    A run that played the same game learnt the same, so its heads are taken too if they fit.
    """
    if start.is_zip(trunk.init):
        return start_from_zip(network, trunk.init, env)
    return start.start_from(network, trunk.init, lambda run, found: run.config.get("env") == env)


def start_from_zip(network: nn.Module, init: str, env: str) -> list[str]:
    """Start a network from the agent in a .zip of stable-baselines3, of which nothing is unpickled.

    Its optimiser stays behind. UserError if not even its trunk fits.
    """
    agent = import_sb3(Path(init), env)
    given = {name: module.state_dict() for name, module in backbones(agent.network).items()}
    source = f"{init} ({int(agent.card['progress']):,} env steps)"
    try:
        lines = start.start_backbones(network, given, source, init)
    except UserError as error:
        raise UserError(
            f"{error}; NatureCNN of stable-baselines3 is --trunk nature --width 1 --pool 1 "
            "--hidden 512"
        ) from None
    heads = heads_of(agent.network)
    if start.shapes(heads) != start.shapes(heads_of(network)):
        return [*lines, f"the heads start anew: those of {init} have other sizes"]
    network.load_state_dict(heads, strict=False)
    return [*lines, f"the heads start from {init} too, with an optimiser that begins anew"]
