"""What every run of an agent begins with, its settings in TensorBoard, and what it ends with: an
evaluation, and a film of one game."""

from typing import Any

from backbones.training.log import Board, for_people
from backbones.training.run import Run
from backbones.training.session import write_evaluation
from rl.agent import load_agent
from rl.evaluate import evaluate, lines
from rl.watch import film

# The columns of TensorBoard's table of runs that tell runs apart, first.
FIRST = ("env", "seed", "total_steps", "learning_rate", "num_envs", "num_steps", "minibatch_size")


def settings_of(run: Run) -> dict[str, Any]:
    """Return a run's settings, flat, those that tell runs apart first."""
    flat = {k: v for k, v in run.config.items() if not isinstance(v, dict)}
    for group in run.config.values():
        flat |= group if isinstance(group, dict) else {}
    return {name: flat[name] for name in FIRST if name in flat} | flat


def introduce(run: Run, board: Board) -> None:
    """Write a run's settings into TensorBoard, as a text and into the table of runs."""
    settings = settings_of(run)
    rows = [f"| {name} | {value} |" for name, value in settings.items()]
    command = f"    {run.about.get('command', '')}"
    board.text(0, "config", "\n".join([command, "", "| setting | value |", "|---|---|", *rows]))
    board.hparams(settings, {"eval/score": 0.0}, begun=True)


def finish(run: Run, board: Board, games: int, env_steps: int) -> None:
    """End a training run: evaluate its agent, write the score down and film a game."""
    if games == 0:
        return
    agent = load_agent(run)
    result = evaluate(agent, games=games).to_dict(run.name)
    for line in lines(result):
        run.log(line)
    board.hparams(settings_of(run), {"eval/score": result["score"]})
    # Before the film: a run that has eval.json is finished, whatever its game can draw.
    scores, result = {"eval/score": result["score"]}, {**result, "env_steps": env_steps}
    remedy = f"`arcadia resume {run.name}` makes it when there is room"
    write_evaluation(run, board, env_steps, scores, result, remedy)
    path = run.folder / "videos" / f"{env_steps:012d}.mp4"
    with for_people("the film of a game", run.warn):
        film(agent, path)
        run.log(f"film of one game: {path}")
    run.log(f"look at it with `arcadia watch {run.name}`, at the curves with `arcadia board`")
