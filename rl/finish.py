"""What every run of an agent ends with: an evaluation, and a film of one game."""

import json

from backbones.training.files import write_atomically
from backbones.training.log import Board, for_people, read_metrics
from backbones.training.run import Run
from rl.agent import load_agent
from rl.evaluate import evaluate, lines
from rl.watch import film


def finish(run: Run, board: Board, games: int, env_steps: int) -> None:
    """End a training run: evaluate its agent, write the score down and film a game."""
    if games == 0:
        return
    agent = load_agent(run)
    result = evaluate(agent, games=games).to_dict(run.name)
    for line in lines(result):
        run.log(line)
    rows = read_metrics(run.folder)
    # A run that was killed after it wrote the row, and before eval.json, has it.
    if not any("eval/score" in row and row["step"] == env_steps for row in rows):
        board.scalars(env_steps, {"eval/score": result["score"]})
    flat = {k: v for k, v in run.config.items() if not isinstance(v, dict)}
    for group in run.config.values():
        flat |= group if isinstance(group, dict) else {}
    board.hparams(flat, {"eval/score": result["score"]})
    result = {**result, "env_steps": env_steps}
    try:
        # Before the film: a run that has it is finished, whatever its game can draw.
        write_atomically(run.folder / "eval.json", json.dumps(result, indent=2) + "\n")
    except OSError as error:
        run.warn(
            f"eval.json could not be written ({error.strerror}); `arcadia resume {run.name}` "
            "makes it when there is room"
        )
    path = run.folder / "videos" / f"{env_steps:012d}.mp4"
    with for_people("the film of a game", run.warn):
        film(agent, path)
        run.log(f"film of one game: {path}")
    run.log(f"look at it with `arcadia watch {run.name}`, at the curves with `arcadia board`")
