"""Nothing is lost: kills, a full disk, one that takes no writing, dead workers, clocks set back."""

import errno
import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from backbones.training import checkpoint, session
from backbones.training.config import ResumeConfig, RunConfig, changed
from backbones.training.errors import Stopped, UserError
from backbones.training.files import Appender
from backbones.training.log import read_metrics
from backbones.training.optim import FlatGradients
from backbones.training.progress import say
from backbones.training.run import Run, find_run
from rl import ppo
from tests.faults import kill
from tests.faults.trials import FLAGS, PATIENCE_S, TWO_PROCESSES, arcadia, differing

CATCH = changed(
    ppo.SMOKE,
    env="Arcadia/Catch-v0",
    total_steps=1024,
    eval_games=0,
    run=RunConfig(precision="fp32", checkpoint_every_s=1e-6),
)


def named(name: str, **values):
    return changed(CATCH, run=changed(CATCH.run, name=name), **values)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A runs folder with ppo/whole, a run of CATCH."""
    folder = tmp_path_factory.mktemp("trained")
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(folder))
        ppo.train(named("whole"))
    return folder


@pytest.fixture
def whole(trained, runs) -> Run:
    """A run of CATCH, alone in a runs folder of the test's own."""
    shutil.copytree(trained, runs)
    return find_run("whole").remembered()


def copied(run: Run, name: str) -> Run:
    """The same run under another name."""
    return Run.open(shutil.copytree(run.folder, run.folder.with_name(name))).remembered()


@pytest.mark.slow
def test_a_run_killed_at_random_moments_ends_as_if_never_killed(tmp_path):
    flags = [*FLAGS, "--env", "ALE/Breakout-v5", "--total-steps", "2560"]
    assert kill.trial(tmp_path, flags, kills=2, seed=int(time.time()), say=print) == 2
    assert differing(tmp_path, "whole", "killed") == []


@pytest.mark.slow
def test_a_run_with_a_replay_killed_at_random_moments_ends_as_if_never_killed(tmp_path):
    flags = [*FLAGS, "--env", "ALE/Breakout-v5", "--total-steps", "2560", "--prioritised"]
    seed = int(time.time())
    assert kill.trial(tmp_path, flags, kills=2, seed=seed, say=print, job="dqn") == 2
    assert differing(tmp_path, "whole", "killed", "dqn") == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_a_run_goes_on_without_its_disk_and_misses_nothing_afterwards(kind):
    own_mounts = ["unshare", "--user", "--map-root-user", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*own_mounts, "true"]).returncode:
        pytest.skip("this machine does not let `unshare` make file systems of one's own")
    words = [*own_mounts, sys.executable, "-m", "tests.faults.disk", kind]
    out = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S)
    assert out.returncode == 0, out.stdout + out.stderr
    assert "the ends are equal" in out.stdout


def workers(process: subprocess.Popen) -> list[int]:
    """Return the processes that torchrun has started."""
    return [
        int(p) for p in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ]


def wait_for_checkpoint(folder: Path, process: subprocess.Popen) -> None:
    while len(checkpoint.numbered(folder / "checkpoints")) < 2:
        assert process.poll() is None
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
def test_a_dead_worker_is_restarted_and_the_run_ends_the_same(tmp_path):
    flags = ["train", "ppo", *FLAGS, "--env", "Arcadia/Catch-v0", "--total-steps", "6400"]
    restarting = (*TWO_PROCESSES, "--max-restarts", "3")
    whole = arcadia(*flags, "--name", "whole", runs=tmp_path, torchrun=restarting)
    assert whole.wait(timeout=PATIENCE_S) == 0, (tmp_path / "said.txt").read_text()
    # No --name: the restarted processes must find their run by themselves.
    process = arcadia(*flags, runs=tmp_path, torchrun=restarting)
    folder = tmp_path / "ppo" / "catch-1"
    wait_for_checkpoint(folder, process)
    os.kill(workers(process)[1], signal.SIGKILL)
    assert process.wait(timeout=PATIENCE_S) == 0, (tmp_path / "said.txt").read_text()
    assert "goes on at" in (folder / "log.txt").read_text()
    assert not (tmp_path / "ppo" / "catch-2").exists()
    assert differing(tmp_path, "whole", "catch-1") == []


@pytest.mark.slow
def test_a_job_that_a_batch_system_begins_again_goes_on_where_it_was(tmp_path):
    flags = ["train", "ppo", *FLAGS, "--env", "Arcadia/Catch-v0", "--total-steps", "1280"]
    job = ("torch.distributed.run", "--nnodes", "1", "--nproc-per-node", "1", "--rdzv-id", "4711")
    job += ("--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0")
    for _ in range(2):
        process = arcadia(*flags, "--name", "mine", runs=tmp_path, torchrun=job)
        assert process.wait(timeout=PATIENCE_S) == 0, (tmp_path / "said.txt").read_text()
    assert "is finished" in (tmp_path / "ppo" / "mine" / "log.txt").read_text()
    # Another job may not take the name.
    other = arcadia(*flags, "--name", "mine", runs=tmp_path)
    assert other.wait(timeout=PATIENCE_S) == 2
    assert "a run named mine exists" in (tmp_path / "said.txt").read_text()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
def test_ctrl_c_stops_all_processes_after_saving_and_one_process_can_go_on(tmp_path):
    flags = ["train", "ppo", *FLAGS, "--env", "Arcadia/Catch-v0", "--total-steps", "6400"]
    process = arcadia(*flags, "--name", "both", runs=tmp_path, torchrun=TWO_PROCESSES)
    folder = tmp_path / "ppo" / "both"
    wait_for_checkpoint(folder, process)
    # A terminal sends it to torchrun and to its workers alike; torchrun passes it on once more.
    os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=PATIENCE_S)
    log = (folder / "log.txt").read_text()
    assert "stopped at" in log, (tmp_path / "said.txt").read_text()
    alone = arcadia("resume", "both", runs=tmp_path)
    assert alone.wait(timeout=PATIENCE_S) == 0, (tmp_path / "said.txt").read_text()
    assert "processes 2 -> 1" in (folder / "log.txt").read_text()
    assert checkpoint.load_newest(folder / "checkpoints")[0].info["progress"] == 6400


def test_a_clock_that_jumps_changes_nothing(runs, monkeypatch):
    whole = ppo.train(named("whole"))
    real, calls = time.time, []

    def jumping() -> float:
        calls.append(1)
        return real() + (-1) ** len(calls) * 1e6 * len(calls)

    monkeypatch.setattr(time, "time", jumping)
    jumped = ppo.train(named("jumped"))
    shutil.rmtree(checkpoint.numbered(jumped.checkpoints)[-1])
    ppo.resume(find_run("last"))
    assert find_run("last").name == jumped.name
    assert differing(runs, "whole", "jumped") == []
    steps = [line["step"] for line in read_metrics(jumped.folder)]
    assert steps == [line["step"] for line in read_metrics(whole.folder)]
    # TensorBoard reads event files in the order of their names.
    events = sorted(jumped.folder.glob("events.*"), key=lambda path: path.stat().st_mtime_ns)
    assert events == sorted(events)
    assert len(events) == 2


@pytest.mark.parametrize("length", [0, 0.999])
@pytest.mark.parametrize("name", ["cnn.safetensors", "state.safetensors", "checkpoint.json"])
@pytest.mark.parametrize("zeros", [False, True])
def test_files_that_a_power_cut_has_halved_are_stepped_around(whole, runs, name, length, zeros):
    cut = copied(whole, "cut")
    path = checkpoint.numbered(cut.checkpoints)[-1] / name
    data = path.read_bytes()
    kept = data[: int(length * len(data))]
    path.write_bytes(kept + bytes(len(data) - len(kept)) if zeros else kept)
    for log in ("metrics.jsonl", next(cut.folder.glob("events.*")).name):
        with (cut.folder / log).open("ab") as file:
            file.write(bytes(100))
    ppo.resume(cut)
    assert differing(runs, "whole", "cut") == []
    assert len(read_metrics(cut.folder)) == len(read_metrics(whole.folder))
    assert "taking the one before" in (cut.folder / "log.txt").read_text()


def test_a_run_killed_before_its_first_checkpoint_begins_anew(whole, runs):
    bare = copied(whole, "bare")
    shutil.rmtree(bare.checkpoints)
    ppo.resume(bare)
    assert "no checkpoint yet: it begins anew" in (bare.folder / "log.txt").read_text()
    assert differing(runs, "whole", "bare") == []


def test_a_folder_without_a_config_does_not_block_its_name(runs):
    (runs / "ppo" / "x").mkdir(parents=True)
    assert ppo.train(named("x", total_steps=128)).folder == runs / "ppo" / "x"


def test_a_gradient_that_is_not_finite_stops_the_run_and_names_the_update(runs, monkeypatch):
    clip, calls = FlatGradients.clip, []

    def explodes(self, max_norm):
        calls.append(1)
        if len(calls) == 4:
            self.flat[7] = math.inf
        return clip(self, max_norm)

    monkeypatch.setattr(FlatGradients, "clip", explodes)
    with pytest.raises(UserError, match="not finite at update 4; the last checkpoint is whole"):
        ppo.train(named("bad", minibatch_size=64))  # two updates a rollout
    found, passed_over = checkpoint.load_newest(find_run("bad").checkpoints)
    assert (found.info["rollouts"], passed_over) == (1, [])
    assert all(t.isfinite().all() for t in found.tensors("cnn").values())
    assert "not finite at update 4" in (find_run("bad").folder / "log.txt").read_text()


def test_two_processes_cannot_train_one_run(whole, runs):
    with whole.lock():
        process = arcadia("resume", "whole", runs=runs)
        assert process.wait(timeout=PATIENCE_S) == 2
    said = (runs / "said.txt").read_text()
    assert said.strip() == (
        "arcadia: ppo/whole is being trained by another process; wait for it or stop it"
    )


def test_a_checkpoint_that_does_not_fit_on_the_disk_leaves_the_others_whole(tmp_path):
    code = """
import resource, sys, torch
from pathlib import Path
from backbones.training import checkpoint, session
folder = Path(sys.argv[1])
checkpoint.save(folder, 1, {"a": {"x": torch.zeros(10)}}, {})
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
try:
    checkpoint.save(folder, 2, {"a": {"x": torch.zeros(10)}, "b": {"x": torch.zeros(10_000)}}, {})
except OSError as error:
    print("refused:", error.strerror)
print(checkpoint.load_newest(folder)[0].info["progress"], sorted(p.name for p in folder.iterdir()))
"""
    out = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True
    )
    assert out.stdout.splitlines() == ["refused: File too large", "1 ['000000000001']"], out.stderr


def test_what_the_disk_refuses_is_appended_later_in_order_and_whole(tmp_path):
    path = tmp_path / "folder" / "file"
    appender = Appender(path)
    appender.write(b"one\n")
    appender.write(b"two\n")
    assert appender.trouble is not None
    path.parent.mkdir()
    appender.write(b"three\n")
    assert appender.trouble is None
    assert path.read_bytes() == b"one\ntwo\nthree\n"


def test_a_piece_that_fits_only_in_part_leaves_the_file_as_it_was(tmp_path):
    code = """
import resource, sys
from pathlib import Path
from backbones.training.files import Appender
appender = Appender(Path(sys.argv[1]))
appender.write(b"a" * 900)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
appender.write(b"b" * 900)
print(appender.path.stat().st_size, appender.trouble.strerror)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
appender.write(b"c")
print(appender.path.stat().st_size, appender.trouble)
"""
    words = [sys.executable, "-c", code, str(tmp_path / "file")]
    out = subprocess.run(words, capture_output=True, text=True)
    assert out.stdout.splitlines() == ["900 File too large", "1801 None"], out.stderr


@pytest.mark.parametrize("sync", [False, True])
def test_where_games_do_not_repeat_themselves_a_run_resumes_exactly_between_their_ends(
    runs, sync, capsys
):
    unruly = {"env": "tests.rl.games.unruly_game:Unruly-v0", "end_games_every": 96, "sync": sync}
    whole, cut = (ppo.train(named(name, **unruly)) for name in ("whole", "cut"))
    kept = [int(path.name) // 128 for path in checkpoint.numbered(cut.checkpoints)]
    # A rollout is 32 env steps: saved is where all games have just ended, and at the end.
    assert [(rollouts + 1) % 3 for rollouts in kept[:-1]] == [0] * (len(kept) - 1)
    shutil.rmtree(checkpoint.numbered(cut.checkpoints)[-1])
    capsys.readouterr()
    ppo.resume(find_run("cut"))
    assert "not exact" not in capsys.readouterr().err
    assert differing(runs, "whole", "cut") == []
    assert whole.folder.exists()


@pytest.mark.slow
def test_ctrl_c_saves_although_the_reader_of_the_output_has_died_of_it(tmp_path):
    flags = ["--env", "Arcadia/Catch-v0", "--total-steps", "64000", "--checkpoint-every-s", "600"]
    words = ["-m", "arcadia", "train", "ppo", *FLAGS[:6], *flags, "--name", "piped"]
    process = subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "ARCADIA_RUNS": str(tmp_path)},
    )
    wait_for_metrics(tmp_path / "ppo" / "piped", 5, process)
    process.stdout.close()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE_S) == 130
    found, _ = checkpoint.load_newest(tmp_path / "ppo" / "piped" / "checkpoints")
    assert found.info["progress"] >= 5 * 128
    assert "stopped at" in (tmp_path / "ppo" / "piped" / "log.txt").read_text()


def wait_for_metrics(folder: Path, lines: int, process: subprocess.Popen) -> None:
    while len(read_metrics(folder)) < lines:
        assert process.poll() is None
        time.sleep(0.05)


def test_what_cannot_be_said_does_not_end_a_run(monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys, "stdout", Full())
    say("a line")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
def test_a_run_is_lengthened_once_however_often_its_processes_are_restarted(tmp_path):
    flags = ["train", "ppo", *FLAGS, "--env", "Arcadia/Catch-v0", "--total-steps", "256"]
    assert arcadia(*flags, "--name", "x", runs=tmp_path).wait(timeout=PATIENCE_S) == 0
    torchrun = (*TWO_PROCESSES, "--max-restarts", "3")
    more = ["resume", "x", "--extend", "3840"]
    process = arcadia(*more, runs=tmp_path, torchrun=torchrun)
    folder = tmp_path / "ppo" / "x"
    wait_for_metrics(folder, 6, process)
    os.kill(workers(process)[1], signal.SIGKILL)
    assert process.wait(timeout=PATIENCE_S) == 0, (tmp_path / "said.txt").read_text()
    assert find_run(str(folder)).config["total_steps"] == 4096
    assert (folder / "log.txt").read_text().count("lengthened from") == 1


def test_a_checkpoint_damaged_twice_is_stepped_around_twice(whole):
    for _ in range(2):
        (checkpoint.numbered(whole.checkpoints)[-1] / "state.safetensors").write_bytes(b"")
        ppo.resume(whole)
    assert checkpoint.load_newest(whole.checkpoints)[0].info["progress"] == 1024


def test_a_copy_that_somebody_made_is_left_alone(runs):
    run = ppo.train(named("mine", total_steps=256))
    newest = checkpoint.numbered(run.checkpoints)[-1]
    shutil.copytree(newest, newest.with_name(f"{newest.name}-good"))
    ppo.resume(run, ResumeConfig(extend=512))
    assert newest.with_name(f"{newest.name}-good").exists()


def test_an_evaluation_of_an_earlier_end_does_not_count(runs, capsys):
    run = ppo.train(named("scored", total_steps=256, eval_games=2))
    monkey = ResumeConfig(extend=256)
    ppo.resume(run, monkey)
    old = json.loads((run.folder / "eval.json").read_text())
    assert old["env_steps"] == 512
    # As if killed after training and before scoring.
    (run.folder / "eval.json").write_text(json.dumps({**old, "env_steps": 256}))
    capsys.readouterr()
    ppo.resume(find_run("scored"))
    assert "is finished" not in capsys.readouterr().out
    assert json.loads((run.folder / "eval.json").read_text())["env_steps"] == 512


def test_a_run_that_begins_anew_takes_back_its_curves_and_knows_what_last_was(runs):
    ppo.train(named("source"))
    trunk = changed(CATCH.trunk, init="last")
    run = ppo.train(named("bare", trunk=trunk))
    assert run.config["trunk"]["init"] == "ppo/source"
    shutil.rmtree(run.checkpoints)
    steps = [line["step"] for line in read_metrics(run.folder)]
    ppo.resume(run)
    assert [line["step"] for line in read_metrics(run.folder)] == steps


def test_a_stop_between_two_ends_of_unruly_games_saves_at_once(runs, monkeypatch):
    class AtOnce(session.StopRequest):
        def __enter__(self):
            self.requested = True
            return self

    unruly = {"env": "tests.rl.games.unruly_game:Unruly-v0", "end_games_every": 32 * 50}
    with monkeypatch.context() as patch:
        patch.setattr(session, "StopRequest", AtOnce)
        with pytest.raises(Stopped):
            ppo.train(named("stopped", **unruly))
    assert checkpoint.load_newest(find_run("stopped").checkpoints)[0].info["progress"] == 128
    ppo.resume(find_run("stopped"))
    assert checkpoint.load_newest(find_run("stopped").checkpoints)[0].info["progress"] == 1024


@pytest.mark.slow
def test_a_run_stopped_in_one_worker_is_not_begun_again_by_torchrun(tmp_path):
    flags = ["train", "ppo", *FLAGS, "--env", "Arcadia/Catch-v0", "--total-steps", "64000"]
    torchrun = (*TWO_PROCESSES, "--max-restarts", "2")
    process = arcadia(*flags, "--name", "x", runs=tmp_path, torchrun=torchrun)
    wait_for_checkpoint(tmp_path / "ppo" / "x", process)
    os.kill(workers(process)[0], signal.SIGTERM)
    assert process.wait(timeout=PATIENCE_S) == 0, (tmp_path / "said.txt").read_text()
    log = (tmp_path / "ppo" / "x" / "log.txt").read_text()
    assert "stopped at" in log and "goes on" not in log
