"""The job `go`: it repeats itself, goes on after a stop, and what it trained plays."""

import json
from concurrent.futures import Future

import pytest
import torch

import arcadia
from backbones.training import checkpoint
from backbones.training.config import changed
from backbones.training.distributed import World
from backbones.training.errors import UserError
from backbones.training.run import find_run
from backbones.transfer import weights_of
from rl.go.evaluate import Config as Evaluation
from rl.go.evaluate import score
from rl.go.gtp.serve import Config as GtpConfig
from rl.go.gtp.serve import build_player, check_player
from rl.go.learning import failures
from rl.go.rules.position import Position
from rl.go.train import JOB, PRESETS, Config, GoTraining

FLAGS = ("--preset", "smoke", "--precision", "fp32", "--eval-games", "0", "--total-moves", "300")


@pytest.fixture(autouse=True)
def _runs(tmp_path, monkeypatch):
    monkeypatch.setenv("ARCADIA_RUNS", str(tmp_path / "runs"))


def trained(name, *flags):
    assert arcadia.main(["train", "go", *FLAGS, "--name", name, *flags]) == 0
    return find_run(name)


def weights(run):
    return weights_of(checkpoint.load_newest(run.checkpoints)[0])


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.slow
def test_a_seed_means_the_same_weights_and_another_seed_others():
    one, two, other = trained("one"), trained("two"), trained("other", "--seed", "2")
    assert same(weights(one), weights(two))
    assert not same(weights(one), weights(other))


def smoke(**flags):
    return changed(PRESETS["smoke"], run=changed(PRESETS["smoke"].run, precision="fp32"), **flags)


class AtOnce:
    """Runs what it is given before it returns, where a thread would run it meanwhile."""

    def submit(self, work):
        done = Future()
        done.set_result(work())
        return done


def test_when_a_turn_is_played_beside_learning_makes_no_difference():
    ends = []
    for pool, sync in ((None, False), (AtOnce(), False), (None, True)):
        training = GoTraining(JOB, smoke(sync=sync), World())
        training.start()
        training.pool = pool or training.pool
        for _ in range(3):
            training.turn()
        ends.append((training.replay.rows.tobytes(), training.learner.network.state_dict()))
    assert ends[0][0] == ends[1][0] and same(ends[0][1], ends[1][1])
    assert ends[2][0] != ends[0][0]


@pytest.mark.parametrize("sync", [False, True])
def test_a_run_that_stops_and_goes_on_ends_with_the_same_weights(tmp_path, sync):
    config = smoke(sync=sync)
    whole = GoTraining(JOB, config, World())
    whole.start()
    for _ in range(3):
        whole.turn()
    first = GoTraining(JOB, config, World())
    first.start()
    first.turn()
    made = first.checkpoint()
    checkpoint.save(tmp_path, made.progress, made.parts, made.info, made.metadata, made.chunks)
    found, _ = checkpoint.load_newest(tmp_path, whole=True)
    second = GoTraining(JOB, config, World())
    assert second.restore(found) == []
    for _ in range(2):
        second.turn()
    assert second.moves == whole.moves
    assert same(second.learner.network.state_dict(), whole.learner.network.state_dict())
    assert same(second.learner.average.model.state_dict(), whole.learner.average.model.state_dict())
    assert second.replay.rows.tobytes() == whole.replay.rows.tobytes()


def test_a_run_is_lengthened(capsys):
    run = trained("long")
    assert arcadia.main(["resume", "long", "--extend", "200"]) == 0
    assert "lengthened from 300 to 500 moves" in (run.folder / "log.txt").read_text()
    assert checkpoint.load_newest(run.checkpoints)[0].info["progress"] >= 500
    capsys.readouterr()
    assert arcadia.main(["resume", "long"]) == 0
    assert "is finished" in capsys.readouterr().out


def test_a_failure_ends_the_run_with_its_name(monkeypatch, capsys):
    always = failures.Rule(lambda figures: True, "a failure of the test: do nothing")
    monkeypatch.setattr(failures, "RULES", (always,))
    monkeypatch.setattr(failures, "PATIENCE", 1)
    assert arcadia.main(["train", "go", *FLAGS, "--name", "fails"]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "go/fails has stopped at 1" in said and said.endswith(
        "a failure of the test: do nothing"
    )
    assert checkpoint.numbered(find_run("fails").checkpoints)


def test_a_run_that_was_cut_short_is_refused_in_one_line(capsys):
    run = trained("short")
    newest = checkpoint.numbered(run.checkpoints)[-1]
    for path in checkpoint.numbered(run.checkpoints):
        state = path / "state.safetensors"
        state.write_bytes(state.read_bytes()[:-100])
    capsys.readouterr()
    assert arcadia.main(["resume", "short", "--extend", "100"]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("arcadia: ") and newest.name in said and "damaged" in said


def test_what_a_run_has_learnt_plays_on_the_board_that_it_knows():
    run = trained("plays")
    player = build_player("go/plays")
    position = Position(4, 2.0)
    player.search(position, 32)
    assert 0 <= player.thoughts(position).best.move <= 16
    with pytest.raises(UserError, match="knows boards of 4, not of 9"):
        player.search(Position(9), 8)
    settings = arcadia.settings_of(__import__("rl.go.gtp.serve", fromlist=["Config"]), run)
    assert settings(run="plays").size == 4 and issubclass(settings, GtpConfig)


def test_a_run_is_watched_playing_itself(capsys):
    trained("seen")
    assert arcadia.main(["watch", "seen", "--visits", "4", "--follow"]) == 0
    said = capsys.readouterr().out
    assert "move 1: black" in said and "move 2: white" in said and "result: " in said


def test_a_run_of_go_is_refused_where_it_does_not_fit(capsys):
    trained("fits")
    capsys.readouterr()
    assert arcadia.main("predict fits x.png".split()) == 2
    assert "`arcadia play go/fits` plays it" in capsys.readouterr().err


def test_a_run_is_exported_alone_and_plays_as_before(tmp_path, capsys):
    run = trained("sent")
    file, folder, position = tmp_path / "sent.safetensors", tmp_path / "sent", Position(4, 2.0)
    assert arcadia.main(["export", "sent", "--file", str(file)]) == 0
    assert arcadia.main(["export", "sent", "--folder", str(folder), "--games", "2"]) == 0
    assert same(weights(find_run(str(folder))), weights(run))
    thoughts = []
    for name in ("go/sent", str(file), str(folder)):
        player = build_player(name)
        player.search(position, 32)
        thoughts.append([(c.move, c.visits) for c in player.thoughts(position).candidates])
    assert thoughts[0] == thoughts[1] == thoughts[2]
    capsys.readouterr()
    for more, words in ((["--folder", str(folder)], "--force"), ([], "--folder DIR, --file")):
        assert arcadia.main(["export", "sent", *more]) == 2
        assert words in capsys.readouterr().err


def test_a_run_is_scored_by_games_with_the_protocol_beside(capsys):
    trained("scored")
    result = score(Evaluation(run="scored", opponent="random", games=2, visits=4))
    assert 0 <= result["score"] <= 1 and result["protocol"]["size"] == 4
    assert result["protocol"]["komi"] == 1.5
    capsys.readouterr()
    assert arcadia.main(["eval", "scored", "--games", "2", "--opponent", "random", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metric"] == "share of points"


def test_a_match_of_one_run_against_another_gives_each_its_visits(capsys):
    trained("a")
    assert (
        arcadia.main(
            "arena a --opponent go/a --games 2 --visits 8 --opponent-visits 2 --json".split()
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["games"] == 2


def test_a_name_that_plays_no_go_is_refused():
    with pytest.raises(UserError, match=r"'nobody' plays no Go; choose one of .* a run of Go"):
        check_player("nobody")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"network": "b9c9"}, "b9c9.*choose one of"),
        ({"size": 20}, "20"),
        ({"komi": 1e9}, "komi"),
        ({"first_window": 200_000}, "first_window = 200000 must be at most window"),
        ({"ema": 1.0}, "would never learn"),
        ({"reuse": 0.0}, "reuse = 0.0 must be above 0"),
        ({"eval_games": -1}, "eval_games"),
    ],
)
def test_what_cannot_be_trained_is_refused(flags, words):
    with pytest.raises(ValueError, match=words):
        Config(**flags)


def test_more_processes_than_games_are_refused():
    with pytest.raises(UserError, match="--games-at-a-time 8 cannot be shared by 9 processes"):
        GoTraining(JOB, PRESETS["smoke"], World(size=9))


@pytest.mark.parametrize(("reuse", "said"), [("4", "at update 2"), ("0.08", "are not finite")])
def test_a_rate_that_ends_in_no_numbers_is_one_line(runs, capsys, reuse, said):
    flags = ["--preset", "smoke", "--eval-games", "0", "--precision", "fp32"]
    flags += ["--total-moves", "1200", "--ladder-games", "0"]
    assert arcadia.main(["train", "go", *flags, "--learning-rate", "1e30", "--reuse", reuse]) == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
