"""Evaluations while a run trains, and what figures say: curve, best checkpoint, exact resume."""

import shutil

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from backbones.training.config import RunConfig, changed
from backbones.training.log import read_metrics
from rl import ppo
from rl.agent import load_agent
from rl.evaluate import games_of
from rl.experience.evaluations import DURING_SEED, is_due
from rl.experience.hints import OVER_ROLLOUTS, Hints

FEW = changed(
    ppo.CATCH,
    total_steps=1280,
    num_envs=8,
    num_steps=32,
    eval_every=400,
    eval_games=3,
    run=RunConfig(precision="fp32", name="whole"),
)


def test_an_evaluation_is_due_where_a_multiple_was_reached():
    due = [n for n in range(0, 1280, 256) if is_due(n + 256, 400, n)]
    assert due == [256, 768, 1024]  # 400 lies after 256, 800 after 768, 1200 after 1024
    assert not any(is_due(n + 256, 0, n) for n in range(0, 1280, 256))


def rows_of(run) -> list[dict[str, float]]:
    tags = ("step", "train/", "rollout/", "eval/", "actions/")
    rows = read_metrics(run.folder)
    return [{k: v for k, v in row.items() if k.startswith(tags)} for row in rows]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run with evaluations, and one of the same settings that was killed and resumed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(tmp_path_factory.mktemp("runs")))
        whole = ppo.train(FEW)
        killed = ppo.train(changed(FEW, run=changed(FEW.run, name="killed")))
        # As kill -9 leaves it: the log is ahead of the newest checkpoint that is whole.
        shutil.rmtree(sorted(killed.checkpoints.iterdir())[-1])
        (killed.folder / "eval.json").unlink()
        ppo.resume(killed)
        yield whole, killed


def test_scores_of_evaluations_are_a_curve_that_ends_with_the_last_weights(trained):
    rows = [row for row in rows_of(trained[0]) if "eval/game_length" in row]
    assert [row["step"] for row in rows] == [512, 1024, 1280]
    assert rows[0]["eval/game_length"] == 13


def test_the_best_checkpoint_is_the_best_of_the_evaluations(trained):
    run = trained[0]
    best, last = load_agent(run, best=True), load_agent(run)
    rows = [row for row in rows_of(run) if "eval/game_length" in row]
    assert best.card["score"] == max(row["eval/score"] for row in rows)
    at = {row["step"]: row["eval/score"] for row in rows}
    assert at[best.card["progress"]] == best.card["score"]
    assert games_of(last, 3, seed=DURING_SEED).mean == at[1280] == last.card["score"]


def test_a_killed_and_resumed_run_has_the_same_evaluations(trained):
    whole, killed = trained
    assert rows_of(whole) == rows_of(killed)
    assert (
        load_agent(whole, best=True).card["progress"]
        == (load_agent(killed, best=True).card["progress"])
    )


def test_actions_are_counted_by_name(trained):
    shares = {k: v for k, v in rows_of(trained[0])[0].items() if k.startswith("actions/")}
    assert len(shares) == 3
    assert sum(shares.values()) == pytest.approx(1.0)


def test_settings_stand_in_tensorboard_from_the_start(trained):
    events = EventAccumulator(str(trained[0].folder)).Reload()
    (text,) = events.Tensors("config/text_summary")
    words = text.tensor_proto.string_val[0].decode()
    assert words.index("| env | Arcadia/Catch-v0 |") < words.index("| learning_rate | 0.001 |")
    assert words.index("| learning_rate |") < words.index("| gamma | 0.99 |")
    assert text.step == 0


def test_evaluations_without_games_are_refused():
    with pytest.raises(ValueError, match="--eval-every = 400 needs --eval-games of 1 or more"):
        changed(FEW, eval_games=0)


def hints_after(rollouts: int, **figures: float) -> list[str]:
    hints = Hints(ppo.FAST)
    tags = {f"train/{name}": value for name, value in figures.items()}
    return [line for _ in range(rollouts) for line in hints.look(tags)]


def test_figures_far_off_are_named_once_with_what_to_try():
    (line,) = hints_after(60, clip_fraction=0.7, learning_rate=1e-3, grad_norm=0.5)
    assert line.startswith("hint: 70.0 % of actions are beyond the clip range 0.1")
    assert "smaller --learning-rate" in line
    (line,) = hints_after(60, clip_fraction=0.001, learning_rate=1e-3, grad_norm=0.5)
    assert "the policy hardly changes" in line
    (line,) = hints_after(60, clip_fraction=0.2, learning_rate=1e-3, grad_norm=11.0)
    assert "gradients of norm 11 are scaled down to 0.5" in line
    assert hints_after(OVER_ROLLOUTS - 1, clip_fraction=0.7, learning_rate=1e-3) == []


def test_figures_of_runs_that_learn_give_no_hint():
    assert hints_after(60, clip_fraction=0.4, learning_rate=1e-3, grad_norm=3.0) == []
    # Late in a run the rate has fallen, and nothing should change much any more.
    assert hints_after(60, clip_fraction=0.001, learning_rate=1e-5, grad_norm=1.0) == []
    assert hints_after(60, loss=1.0, grad_norm=9.0) == []
