"""What a run of an agent ends with."""

import arcadia
from backbones.training.log import read_metrics
from backbones.training.run import find_run


def test_the_score_has_one_row_though_a_run_was_killed_after_its_evaluation(runs):
    flags = ["--preset", "smoke", "--env", "Arcadia/Catch-v0", "--eval-games", "2"]
    assert arcadia.main(["train", "ppo", *flags]) == 0
    run = find_run("last")
    rows = read_metrics(run.folder)
    # As a process leaves it that is killed between the row and the file.
    (run.folder / "eval.json").unlink()
    assert arcadia.main(["resume", "last"]) == 0
    assert (run.folder / "eval.json").exists()
    assert read_metrics(run.folder) == rows
    assert ["eval/score" in row for row in rows].count(True) == 1
