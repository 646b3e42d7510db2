"""The command `arcadia export RUN --web DIR`: a folder of static files that plays in any browser.

The network runs there by onnxruntime-web, the game is written in JavaScript: the toys of
`rl/games/toys.py`, and Go. Any server of files will do, and nothing else is asked for. Atari stays
out: its emulator has no package for browsers.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backbones.training.config import GameName, RunName
from backbones.training.errors import UserError
from backbones.training.find_job import kind_of
from backbones.training.published import replacing_folder, writing
from backbones.training.run import Run, find_run

STATIC, PAGE = Path(__file__).parent / "static", Path(__file__).parent / "page"
TOYS = ("Arcadia/Catch-v0", "Arcadia/Recall-v0", "Arcadia/Corridor-v0")
# What the folder shares with the page of `arcadia serve`.
SHARED = ("style.css", "icon.svg", "dom.js", "bars.js", "goban.js")
SIZE_PX = 84


@dataclass(frozen=True, kw_only=True)
class Config:
    """Write a folder of static files that plays the run's toy, or Go against its network, in any
    browser."""

    run: RunName = "last"
    """A run of an agent or of Go: its name, a path, zoo/NAME or last."""
    web: Path
    """Write this folder."""
    onnxruntime: Path | None = None
    """Folder with the files of onnxruntime-web; default: they are fetched once (33 MB)."""
    env: GameName = ""
    """The game, once more, of a run that was not trained here and whose game is a module."""
    best: bool = False
    """Take an agent's checkpoint of the highest score while training, not the newest."""
    force: bool = False
    """Overwrite the folder of an earlier export."""


def main(config: Config) -> int:
    """The command `arcadia export RUN --web DIR`."""
    run = find_run(config.run)
    exports = {"agent": export_agent, "go": export_go}
    kind = kind_of(run)
    if kind not in exports:
        raise UserError(
            f"{run.name} plays nothing; --web is for agents of {', '.join(TOYS)} and for runs of Go"
        )
    with replacing_folder(config.web, run.folder, config.force, "--web") as ready:
        about = exports[kind](run, config, ready)
        copy_files(ready, kind, config.onnxruntime)
        with writing(config.web):
            (ready / "config.json").write_text(json.dumps(about, indent=2) + "\n")
    print(f"{config.web}: {about['title']}; look at it with: python -m http.server -d {config.web}")
    return 0


def export_agent(run: Run, config: Config, folder: Path) -> dict[str, Any]:
    """Write an agent's graph; return what the page is told. UserError if its game is played by no
    browser."""
    from rl.agent import load_agent
    from rl.export import export_onnx

    require_toy(str(run.config.get("env")))
    agent = load_agent(run, best=config.best, env=config.env)
    options, network = agent.options, agent.network
    changed = options.pixels or options.wrapper or options.env_kwargs or options.frame_skip != 1
    if changed or network.blank_obs(1).shape[1:] != (4, SIZE_PX, SIZE_PX):
        raise UserError(
            f"{run.name} sees {agent.env} in a way of its own; --web is for agents that see it as "
            f"it is: grey, {SIZE_PX} x {SIZE_PX}, every frame"
        )
    export_onnx(agent, folder / "network.onnx")
    memory = network.initial_memory(1)
    return {
        "from": run.name,
        "title": f"{run.name}, an agent at {agent.env}",
        "env": agent.env,
        "env_steps": agent.card.get("progress"),
        "score": agent.card.get("score"),
        "memory": list(memory[0].shape) if memory else None,
    }


def require_toy(env: str) -> None:
    """UserError, with the reason, for a game that no browser plays without a server."""
    if env in TOYS:
        return
    reason = "is played here alone"
    if env.startswith("ALE/"):
        reason = "needs the Atari emulator, which has no package for browsers"
    raise UserError(
        f"{env} {reason}; --web is for {', '.join(TOYS)} and for Go, and `arcadia serve` shows "
        "every game"
    )


def export_go(run: Run, config: Config, folder: Path) -> dict[str, Any]:
    """Write a Go network's graph; return what the page is told."""
    from rl.go.drawing import stars
    from rl.go.export import export_onnx
    from rl.go.learning.selfplay_config import fair_komi
    from rl.go.trained import load_trained

    network, found = load_trained(run)
    export_onnx(network, folder / "network.onnx")
    size, smallest = network.spec.largest, network.spec.smallest
    return {
        "from": run.name,
        "title": f"{run.name}, Go on {size} by {size}",
        "size": size,
        "smallest": smallest,
        "stars": {side: sorted(stars(side)) for side in range(smallest, size + 1)},
        "komi": fair_komi(size) if run.config.get("komi") is None else run.config["komi"],
        "moves": found.info["progress"],
    }


def copy_files(folder: Path, kind: str, onnxruntime: Path | None) -> None:
    """Fill the folder with the page, its scripts, and onnxruntime-web with its licence."""
    from web.runtime import runtime_files

    files = runtime_files(onnxruntime)
    files |= {name: (PAGE / name).read_bytes() for name in SHARED}
    files |= {path.name: path.read_bytes() for path in STATIC.iterdir()}
    index = files["index.html"].decode().replace("{kind}", kind)
    files["index.html"] = index.encode()
    with writing(folder):
        for name, content in files.items():
            (folder / name).write_bytes(content)
