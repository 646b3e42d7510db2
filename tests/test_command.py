"""The command as people type it: every verb on a smoke run, and every mistake a person can make."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

import arcadia
from backbones.training.run import find_run
from backbones.training.runs_table import row_of

ROOT = Path(__file__).parents[1]


def run(*args: str, **env: str) -> subprocess.CompletedProcess:
    """Run the command in a process of its own, without a display unless one is given."""
    inherited = {k: v for k, v in os.environ.items() if k != "SDL_VIDEODRIVER"}
    return subprocess.run(
        [sys.executable, "-m", "arcadia", *args],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**inherited, **env},
        timeout=300,
    )


def mistake(capsys, *args: str) -> str:
    """Run a command that must fail; return its one line on standard error."""
    try:
        status = arcadia.main(args)
    except SystemExit as error:  # tyro leaves by itself
        status = error.code
    captured = capsys.readouterr()
    assert status == 2
    assert "Traceback" not in captured.err
    return captured.err


def test_help_is_quick_and_needs_no_torch():
    code = "import sys, arcadia; arcadia.main(['--help']); print([m for m in sys.modules if "
    code += "m.split('.')[0] in ('torch', 'numpy', 'tyro', 'gymnasium')])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert out.stdout.rstrip().endswith("[]")
    for verb in arcadia.VERBS:
        assert f"\n  {verb}" in out.stdout


@pytest.mark.parametrize("verb", arcadia.VERBS)
def test_every_verb_has_help(verb, capsys):
    try:
        assert arcadia.main([verb, "--help"]) == 0
    except SystemExit as error:
        assert error.code == 0
    assert f"arcadia {verb}" in capsys.readouterr().out


def test_the_help_of_a_job_lists_flags_and_presets(capsys):
    with pytest.raises(SystemExit):
        arcadia.main(["train", "ppo", "--help"])
    out = capsys.readouterr().out
    for words in ("--learning-rate", "--sticky", "--trunk", "--init", "--seed", "reference, smoke"):
        assert words in out


def test_training_leaves_all_that_a_run_has(smoke):
    names = {path.name for path in smoke.iterdir()}
    assert {"config.json", "metrics.jsonl", "checkpoints", "videos", "log.txt"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert [p.suffix for p in (smoke / "videos").iterdir()] == [".mp4"]
    newest = sorted((smoke / "checkpoints").iterdir())[-1]
    files = {path.name for path in newest.iterdir()}
    parts = {"cnn.safetensors", "heads.safetensors", "state.safetensors"}
    assert files == {*parts, "checkpoint.json"}
    lines = map(json.loads, (smoke / "metrics.jsonl").read_text().splitlines())
    last = [line for line in lines if "train/kl" in line][-1]
    for tag in ("train/policy_loss", "train/kl", "train/entropy", "speed/env_steps_per_s"):
        assert tag in last


def test_eval_prints_one_json_object(smoke, capsys):
    assert arcadia.main(["eval", "last", "--games", "2", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["run"] == "ppo/pong-1"
    assert result["baseline"] == -20.7
    assert result["games"] == 2
    assert result["protocol"]["sticky"] == 0.25


def test_eval_for_people_states_the_protocol(smoke, capsys):
    assert (
        arcadia.main(["eval", "pong-1", "--games", "1", "--choice", "greedy", "--sticky", "0"]) == 0
    )
    out = capsys.readouterr().out
    assert "greedy actions, epsilon 0, sticky 0, frame skip 4" in out
    assert "random play -20.7" in out


def test_watch_films_and_keeps_what_is_there(smoke, tmp_path, capsys):
    path = tmp_path / "f.mp4"
    args = ["watch", "last", "--video", str(path), "--limit-s", "1"]
    assert arcadia.main(args) == 0
    assert path.stat().st_size > 1000
    assert "--force" in mistake(capsys, *args)
    assert arcadia.main([*args, "--force"]) == 0


@pytest.fixture
def no_display(monkeypatch):
    """Neither a display nor a terminal."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)


def test_watch_draws_in_a_terminal(smoke, no_display, capsys):
    assert arcadia.main(["watch", "last", "--terminal", "--games", "1", "--limit-s", "0.3"]) == 0
    out = capsys.readouterr().out
    assert out.count("▀") > 1000
    assert "game 1: score" in out


def test_watch_without_display_or_terminal_films_into_the_working_folder(
    smoke, no_display, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for number, run_name in ((1, "last"), (2, "last"), (1, "zoo/pong")):
        assert arcadia.main(["watch", run_name, "--limit-s", "0.3"]) == 0
        film = f"pong-{number}.mp4" if run_name == "zoo/pong" else f"pong-1-{number}.mp4"
        assert f"here: filming into {film}" in capsys.readouterr().out
        assert (tmp_path / film).exists()
    assert not list((ROOT / "runs" / "zoo").rglob("*.mp4"))


def test_runs_that_come_with_the_project_are_listed_as_finished():
    row = row_of(find_run("zoo/pong"))
    assert row[1:4] == ["ALE/Pong-v5", "1,100,800 / 1,100,000 env steps", "9:13"]
    assert (row[5], row[-1]) == ("20.8", "finished")
    assert row_of(find_run("zoo/go5"))[1] == "Go 5 x 5"
    assert row_of(find_run("zoo/mnist"))[2] == "1,208,064"


def test_watch_opens_a_window(smoke):
    out = run(
        "watch", "last", "--window", "--games", "1", "--limit-s", "0.3", SDL_VIDEODRIVER="dummy"
    )
    assert out.returncode == 0, out.stderr
    assert "game 1: score" in out.stdout


def test_runs_and_jobs_list_what_is_there(smoke, capsys):
    assert arcadia.main(["runs"]) == 0
    row = capsys.readouterr().out.splitlines()[1]
    assert row.split()[:2] == ["ppo/pong-1", "ALE/Pong-v5"]
    assert row.split()[-1] == "finished"
    assert arcadia.main(["jobs"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "default the same as fast" in words
    assert "reference Schulman et al. 2017" in words


def test_resume_of_a_finished_run_has_nothing_to_train(smoke_runs, tmp_path, monkeypatch, capsys):
    shutil.copytree(smoke_runs, tmp_path / "runs")
    monkeypatch.setenv("ARCADIA_RUNS", str(tmp_path / "runs"))
    assert arcadia.main(["resume", "last"]) == 0
    assert capsys.readouterr().out == (
        "ppo/pong-1 is finished; `arcadia resume ppo/pong-1 --extend N` lengthens it\n"
    )


def test_load_gives_an_agent(smoke):
    import numpy as np

    agent = arcadia.load("last")
    assert agent.act(np.zeros((4, 84, 84), np.uint8)) in range(6)
    assert agent.card["data"] == "ALE/Pong-v5"


def test_board_serves_the_runs_on_this_machine_only(smoke_runs):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {**os.environ, "ARCADIA_RUNS": str(smoke_runs)}
    words = [sys.executable, "-m", "arcadia", "board", "--port", str(port)]
    with subprocess.Popen(words, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert f"http://127.0.0.1:{port}/" in server.stdout.readline()
            taken = run("board", "--port", str(port))
            assert taken.returncode == 2
            assert f"try --port {port + 1}" in taken.stderr
            assert "ppo/pong-1" in runs_on_board(port)
            curve = "/data/plugin/scalars/scalars?run=ppo%2Fpong-1&tag=train%2Fkl"
            assert len(from_board(port, curve)) == 2
            film = "/data/plugin/images/images?run=ppo%2Fpong-1&tag=rollout%2Fgame&sample=0"
            assert len(from_board(port, film)) == 1
        finally:
            server.send_signal(signal.SIGINT)
        assert server.wait(300) == 0


def from_board(port: int, path: str) -> list:
    """Return what TensorBoard's server answers to its own page."""
    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        return json.loads(answer.read())


def runs_on_board(port: int) -> list[str]:
    """Return the runs that TensorBoard shows, waiting up to 15 s for the first."""
    for _ in range(60):
        found = from_board(port, "/data/runs")
        if found:
            return found
        time.sleep(0.25)
    return []


def test_an_interrupted_run_saves_says_how_to_go_on_and_goes_on(runs):
    env = {**os.environ, "ARCADIA_RUNS": str(runs)}
    words = [sys.executable, "-u", "-m", "arcadia", "train", "ppo", "--preset", "catch"]
    words += ["--name", "halted", "--precision", "fp32", "--eval-games", "0"]
    with subprocess.Popen(words, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as training:
        assert training.stdout is not None
        for line in training.stdout:
            if " %  " in line:
                break
        training.send_signal(signal.SIGINT)
        rest = training.stdout.read()
        assert training.wait(300) == 130
    assert "continue with `arcadia resume ppo/halted`" in rest
    rows = run("runs", ARCADIA_RUNS=str(runs)).stdout
    assert "stopped" in rows
    state = sorted((runs / "ppo/halted/checkpoints").iterdir())[-1]
    assert int(state.name) < 60_000


# Mistakes: one line that says what to do, exit status 2, nothing lost.


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["trian"], "did you mean train?"),
        (["train"], "which job?"),
        (["train", "pppo"], "did you mean ppo?"),
        (["train", "ppo", "--preset", "huge"], "choose one of default, fast"),
        (["train", "ppo", "--env", "ALE/Pnog-v5"], "did you mean ALE/Pong-v5?"),
        (["train", "ppo", "--env", "CartPole-v1"], "agents here see pixels"),
        (["train", "ppo", "--env", "PongNoFrameskip-v4"], "ALE/Pong-v5"),
        (["train", "ppo", "--learning-rat", "1"], "--learning-rate"),
        (["train", "ppo", "--minibatch-size", "300"], "try --minibatch-size = 4"),
        (["train", "ppo", "--num-envs", "-3"], "must be above 0"),
        (["train", "ppo", "--total-steps", "many"], "total-steps"),
        (["train", "ppo", "--device", "cuda:99"], "use --device cpu"),
        (["train", "ppo", "--device", "tpu9"], "is unknown"),
        (["train", "ppo", "--init", "nosuchrun"], "is not a run"),
        (["train", "ppo", "--preset", "smoke", "--freeze", "s9"], "choose from s1, s2, s3, cnn"),
        (["train", "ppo", "--name", "a/b"], "plain folder name"),
        (["eval", "nonsense"], "is not a run"),
        (["eval", "last"], "there is no run in"),
        (["eval", "--games", "0"], "must be above 0"),
        (["watch", "nonsense"], "is not a run"),
        (["watch", "--window", "--terminal"], "choose one of"),
        (["play", "ALE/Pnog-v5"], "did you mean ALE/Pong-v5?"),
        (["resume"], "there is no run in"),
        (["resume", "a", "b"], "b"),
        (["resume", "--extend", "-5"], "0 or above"),
        (["resume", "--extend", "much"], "much"),
        (["resume", "nonsense"], "is not a run"),
        (["board", "--port", "99999999"], "between 1 and 65535"),
        (["board", "--host", ""], "host is empty, which would serve on all networks"),
        (["board", "--host", " "], "host is empty"),
        (["board", "--host", "0"], "'0' would serve on all networks; give 127.0.0.1"),
        (["board", "--host", "a..b"], "'a..b' is no address"),
        (["board", "--host", "192.0.2.1"], "'192.0.2.1' is not an address of this machine"),
        (["bench", "chess"], "choose one of ppo"),
        (["runs", "--bogus"], "takes no arguments"),
        (["jobs", "x"], "takes no arguments"),
        (["train", "ppo", "--pool", "3"], "pools its input by 1, 2 or 4"),
        (["train", "ppo", "--trunk", "impala", "--pool", "100"], "too small for this impala"),
        (["train", "ppo", "--device", "meta"], "is not supported"),
        (["train", "ppo", "--env", ".x:Foo-v0"], "unknown environment"),
        (["train", "ppo", "--sticky", "1.5"], "must lie in [0, 1)"),
        (["train", "ppo", "--name", "last"], "plain folder name"),
        (["watch", "--seed", "-1"], "0 or above"),
        (["play", "ALE/Pong-v5", "--sticky", "2"], "in [0, 1)"),
    ],
)
def test_mistakes_are_one_clear_line(runs, capsys, args, words):
    error = mistake(capsys, *args)
    assert words in error
    assert error.startswith("arcadia: ")
    assert error.count("\n") == 1
    assert not list(runs.glob("*/*"))  # no folder of a run that never began


def test_a_window_without_a_display_is_refused(smoke, no_display, capsys):
    assert mistake(capsys, "watch", "last", "--window") == (
        "arcadia: there is no display for --window; use --terminal, or --video FILE.mp4\n"
    )


def test_playing_without_a_keyboard_is_refused(smoke, no_display, capsys):
    assert "playing needs a keyboard" in mistake(capsys, "play", "ALE/Pong-v5")


def test_wrong_protocols_of_an_evaluation_are_refused(smoke, capsys):
    assert "[0, 1)" in mistake(capsys, "eval", "last", "--sticky", "1.5")
    assert "at least 1" in mistake(capsys, "eval", "last", "--noop-max", "0")


def test_a_display_that_does_not_answer_is_said(smoke):
    out = run("watch", "last", "--window", "--games", "1", DISPLAY=":77", WAYLAND_DISPLAY="")
    assert out.returncode == 2
    assert "--terminal" in out.stderr


def test_training_goes_on_when_the_reader_of_its_lines_has_left(runs):
    env = {**os.environ, "ARCADIA_RUNS": str(runs)}
    words = f"{sys.executable} -m arcadia train ppo --preset smoke --eval-games 0 | head -1"
    subprocess.run(words, shell=True, cwd=ROOT, env=env, capture_output=True, timeout=300)
    assert (runs / "ppo/pong-1/checkpoints/000000000256").exists()


@pytest.fixture
def copy_of_smoke(smoke_runs, tmp_path, monkeypatch) -> Path:
    shutil.copytree(smoke_runs, tmp_path / "runs")
    monkeypatch.setenv("ARCADIA_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs" / "ppo" / "pong-1"


def checkpoints(folder: Path) -> list[Path]:
    return sorted((folder / "checkpoints").iterdir())


def test_a_flipped_byte_is_said_and_the_checkpoint_before_is_taken(copy_of_smoke, capsys):
    from backbones.training.checkpoint import info_digest

    newer = checkpoints(copy_of_smoke)[-1].with_name("000000000999")
    shutil.copytree(checkpoints(copy_of_smoke)[-1], newer)
    info = json.loads((newer / "checkpoint.json").read_text()) | {"progress": 999}
    info |= {"sha256_of_this": info_digest(info)}
    (newer / "checkpoint.json").write_text(json.dumps(info))
    path = newer / "heads.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    assert arcadia.main(["eval", "last", "--games", "1"]) == 0
    captured = capsys.readouterr()
    assert "heads.safetensors is damaged" in captured.err
    assert "taking the one before" in captured.err
    assert "after 256 env steps" in captured.out


def test_a_run_whose_only_checkpoint_is_damaged_is_refused(copy_of_smoke, capsys):
    for folder in checkpoints(copy_of_smoke):
        (folder / "cnn.safetensors").write_bytes(b"x")
    assert "no usable checkpoint" in mistake(capsys, "eval", "last")


def test_a_checkpoint_of_a_newer_format_is_refused(copy_of_smoke, capsys):
    from backbones.training.checkpoint import info_digest

    path = checkpoints(copy_of_smoke)[-1] / "checkpoint.json"
    info = json.loads(path.read_text()) | {"format": 2}
    path.write_text(json.dumps(info | {"sha256_of_this": info_digest(info)}))
    assert "update Arcadia" in mistake(capsys, "eval", "last")


def test_a_second_trainer_of_a_run_is_refused(copy_of_smoke):
    from backbones.training.run import Run

    with Run.open(copy_of_smoke).lock():
        out = run("resume", "ppo/pong-1", ARCADIA_RUNS=str(copy_of_smoke.parents[1]))
    assert out.returncode == 2
    assert "being trained by another process" in out.stderr


def test_a_name_that_is_taken_is_refused(copy_of_smoke, capsys):
    args = ["train", "ppo", "--preset", "smoke", "--name", "pong-1"]
    assert "arcadia resume ppo/pong-1" in mistake(capsys, *args)
