"""The command `arcadia export` for a task's run: the model alone, such as runs/zoo has."""

from dataclasses import dataclass
from pathlib import Path

from backbones.training.config import RunName
from backbones.training.errors import UserError
from backbones.training.published import publish, replacing_folder, writing
from backbones.training.run import find_run
from backbones.training.session import newest_checkpoint
from tasks.evaluate import evaluate, load_model, report


@dataclass(frozen=True, kw_only=True)
class Config:
    """Write a run's model as a small run folder, with its card and the score on the test split."""

    run: RunName = "last"
    """A run: its name, a path, zoo/NAME or last."""
    folder: Path | None = None
    """Write this folder."""
    half: bool = False
    """Round the weights to bf16, half the size; the score is that of the rounded ones."""
    force: bool = False
    """Overwrite the folder of an earlier export."""

    def __post_init__(self) -> None:
        if self.folder is None:
            raise ValueError("a task's run is exported with --folder DIR; agents have more ways")


def main(config: Config) -> int:
    """The command `arcadia export`."""
    if config.folder is None:
        raise UserError("say where: --folder DIR")
    run = find_run(config.run)
    with replacing_folder(config.folder, run.folder, config.force) as ready:
        found = newest_checkpoint(run)
        task, model = load_model(run, found)
        if config.half:
            model.bfloat16().float()
        result = report(run.name, task, model, "test", evaluate(task, model, task.to_score("test")))
        result["progress"] = found.info["progress"]
        with writing(config.folder):
            size = publish(run, found, ready, result, config.half)
    print(f"{config.folder}: {size}")
    return 0
