"""Starting an agent's network from the weights of another run: see `backbones/start.py`."""

from torch import nn

from backbones import start
from backbones.transfer import TrunkConfig


def start_from(network: nn.Module, trunk: TrunkConfig, env: str) -> list[str]:
    """Start a network as `--init` says; return lines for the log.

    A run that played the same game learnt the same, so its heads are taken too if they fit.
    """
    return start.start_from(network, trunk.init, lambda run, found: run.config.get("env") == env)
