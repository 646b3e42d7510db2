"""The agent that a command means: that of a run, or of a file of stable-baselines3."""

from pathlib import Path

from backbones.training.errors import UserError
from rl.agent import Agent, load_agent
from rl.sb3.read_zip import import_sb3


def agent_of(text: str, env: str = "", *, best: bool = False) -> Agent:
    """Return the agent that a command means: that of a run, or of a .zip of stable-baselines3.

    `env` is the game, as a person typed it, of a .zip that does not say it, or of either if it is a
    module. UserError if there is none.
    """
    if not text.lower().endswith(".zip"):
        return load_agent(text, best=best, env=env)
    if best:
        raise UserError(f"{text} holds one checkpoint: leave --best out")
    return import_sb3(Path(text), env)
