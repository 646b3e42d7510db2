"""What every run of Go ends with: games against the player without a network."""

from backbones.training.log import Board
from backbones.training.run import Run
from backbones.training.session import write_evaluation
from rl.go.evaluate import Config, lines, score


def finish(run: Run, board: Board, games: int, moves: int) -> None:
    """End a training run: score its network and write the score down."""
    if games == 0:
        return
    result = score(Config(run=str(run.folder), games=games))
    for line in lines(result):
        run.log(line)
    scores = {"eval/score": result["score"], "eval/elo": result["elo"]}
    remedy = f"`arcadia resume {run.name}` makes it when there is room"
    write_evaluation(run, board, moves, scores, {**result, "progress": moves}, remedy)
    run.log(f"play it with `arcadia play {run.name}`, watch the curves with `arcadia board`")
