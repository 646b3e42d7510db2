"""A run's folder that was damaged, edited or made up: one line says what is wrong with it."""

import json
import os
import shutil

import pytest

import arcadia
from backbones.training.config import ResumeConfig, RunConfig, changed
from backbones.training.errors import UserError
from backbones.training.run import Run, find_run
from rl import ppo
from rl.agent import load_agent
from tests.rl.test_trust import TINY, with_config

# Checkpoints at 0 (before anything is learnt), 64 and 128; the two newest are kept.
CONFIG = changed(TINY, total_steps=128, run=RunConfig(precision="fp32", checkpoint_every_s=1e-6))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run with two checkpoints, to be copied."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(folder))
        return ppo.train(CONFIG).folder


@pytest.fixture
def sent(trained, runs):
    """A copy of it, where runs lie."""
    return shutil.copytree(trained, runs / "ppo" / "sent")


def edit(path, **values):
    """Change a config.json by hand: its digest stays."""
    about = json.loads(path.read_text())
    for name, value in values.items():
        inner = about["config"]
        *groups, last = name.split("__")
        for group in groups:
            inner = inner[group]
        inner[last] = value
    path.write_text(json.dumps(about, indent=2))


def said(capsys, *words):
    """Run a command that must end with one line on standard error; return the line."""
    assert arcadia.main(list(words)) == 2
    error = capsys.readouterr().err
    assert error.startswith("arcadia: ") and error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"hidden": "x"}, "hidden = 'x' must be a whole number"),
        ({"gamma": 5}, "gamma = 5.0 must lie between 0 and 1"),
        ({"hidden": 10**12}, "hidden = 1000000000000 must be at most"),
        ({"hidden": 9}, "hidden = 9 in config.json was 8"),
        ({"trunk__width": None}, "trunk.width = None must be a finite number"),
        ({"trunk": 3}, "trunk = 3 must be a table"),
        ({"env": None}, "env = None must be a text"),
        ({"learning_rate": 0.003}, "learning_rate = 0.003 in config.json was 0.001"),
        ({"gamma": float("nan")}, "gamma = nan must be a finite number"),
        ({"normalise_over": "game"}, "one of rollout, minibatch"),
        ({"more": 1}, "more"),
    ],
)
@pytest.mark.parametrize("verb", ["eval", "resume"])
def test_an_edited_config_is_one_line_with_the_run_and_the_field(sent, capsys, values, words, verb):
    edit(sent / "config.json", **values)
    line = said(capsys, verb, "sent")
    assert "ppo/sent" in line and words in line


@pytest.mark.parametrize(
    "values",
    [
        {"hidden": 10**12},
        {"hidden": 10**5},
        {"hidden": 9},
        {"memory": "lstm", "lstm_units": 10**9},
        {"trunk": {"width": 1e9}},
        {"trunk": {"pool": 10**9}},
        {"trunk": {"trunk": "vgg16"}},
        {"env_options": {"size_px": 10**9}},
        {"env_options": {"colour": True}},
    ],
)
def test_sizes_are_held_against_the_weights_whatever_the_digests_say(trained, runs, values):
    (runs / "ppo").mkdir(parents=True)
    whole = json.loads((trained / "config.json").read_text())["config"]
    merged = {k: {**whole[k], **v} if isinstance(v, dict) else v for k, v in values.items()}
    with_config(trained, runs / "ppo" / "sent", **merged)
    with pytest.raises(UserError, match="ppo/sent") as error:
        load_agent("sent")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("job", ["environments", "go.serve", "../x", "sb3_zip", "", "classify"])
def test_a_run_names_no_other_module_of_ours(sent, capsys, job):
    path = sent / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"job": job}))
    said(capsys, "eval", "sent")
    said(capsys, "resume", "sent")


def test_a_run_without_a_checkpoint_notices_a_changed_bit_too(sent, capsys):
    shutil.rmtree(sent / "checkpoints")
    edit(sent / "config.json", learning_rate=0.003)
    assert "config.json is not as Arcadia wrote it" in said(capsys, "resume", "sent")


def test_what_resume_changes_is_no_damage(sent):
    newest = sorted((sent / "checkpoints").iterdir())[-1]
    ppo.resume(find_run("sent"), ResumeConfig(extend=64, threads=2))
    # As if it had been killed before the first checkpoint of the longer run.
    shutil.rmtree(sorted((sent / "checkpoints").iterdir())[-1])
    assert load_agent("sent").card["progress"] == int(newest.name) == 128
    assert ppo.resume(find_run("sent")).config["total_steps"] == 192
    edit(sent / "config.json", learning_rate=0.003)
    with pytest.raises(UserError, match=r"learning_rate = 0.003 in config.json was 0.001"):
        load_agent("sent")


def test_a_run_of_an_earlier_version_says_nothing_of_its_config_and_loads(sent):
    from backbones.training.checks.received import sealed

    path = sent / "config.json"
    about = json.loads(path.read_text())
    path.write_text(json.dumps({k: v for k, v in about.items() if k != "sha256_of_this"}))
    for path in sent.glob("checkpoints/*/checkpoint.json"):
        info = json.loads(path.read_text())
        old = {k: v for k, v in info.items() if k not in ("config", "started_s")}
        path.write_text(json.dumps(sealed(old)))
    assert load_agent("sent").card["progress"] == 128
    ppo.resume(find_run("sent"), ResumeConfig(extend=64))
    assert load_agent("sent").card["config"]["total_steps"] == 192


def test_a_checkpoint_in_another_s_place_is_passed_over(sent, capsys):
    *_, first, last = sorted((sent / "checkpoints").iterdir())
    other = ppo.train(changed(CONFIG, run=RunConfig(name="other", precision="fp32")))
    shutil.rmtree(last)
    shutil.copytree(other.checkpoints / last.name, last)
    assert load_agent("sent").card["progress"] == 64
    assert "was saved by another run" in capsys.readouterr().err
    shutil.rmtree(last)
    shutil.copytree(first, last)
    assert load_agent("sent").card["progress"] == 64
    assert "was saved at 64 and then put in its place" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["/dev/zero", "../config.json", "../../config.json", ".", "", "a/b.safetensors", "x\n"]
)
def test_a_checkpoint_names_only_files_of_its_own(sent, name, capsys):
    from backbones.training.checks.received import sealed

    for path in sent.glob("checkpoints/*/checkpoint.json"):
        info = json.loads(path.read_text())
        path.write_text(json.dumps(sealed(info | {"sha256": {name: "x", **info["sha256"]}})))
    with pytest.raises(UserError, match="no file of its own"):
        load_agent("sent")


@pytest.mark.parametrize(
    "values",
    [
        {"num_actions": "x"},
        {"num_actions": 10**12},
        {"num_actions": 5},
        {"num_actions": -1},
        {"progress": "x"},
        {"precision": "fp8"},
        {"sha256": []},
        {"config": 3},
        {"format": "x"},
        {"rollouts": None},
        {"made_on": 3},
        {"trained_s": "x"},
        {"scores": 3},
        {"scores": [[1]]},
    ],
)
def test_a_made_up_checkpoint_is_refused_in_one_line(sent, values):
    from backbones.training.checks.received import sealed

    for path in sent.glob("checkpoints/*/checkpoint.json"):
        path.write_text(json.dumps(sealed(json.loads(path.read_text()) | values)))
    with pytest.raises(UserError):
        if "scores" not in values:
            load_agent("sent")
        ppo.resume(find_run("sent"), ResumeConfig(extend=64))


@pytest.mark.parametrize("name", ["config.json", "checkpoints", "log.txt", "part"])
def test_links_out_of_a_run_are_not_followed(sent, tmp_path, name, capsys):
    newest = sorted((sent / "checkpoints").iterdir())[-1]
    path = newest / "cnn.safetensors" if name == "part" else sent / name
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    before = (tmp_path / "outside").stat().st_mtime_ns
    for verb in ("eval", "resume"):
        assert arcadia.main([verb, "sent", *(["--extend", "64"] * (verb == "resume"))]) == 2
        assert "leads out" in capsys.readouterr().err
    assert (tmp_path / "outside").stat().st_mtime_ns == before


def test_a_pipe_in_a_run_is_refused_rather_than_waited_for(sent, capsys):
    (sent / "log.txt").unlink()
    os.mkfifo(sent / "log.txt")
    assert "neither a file nor a folder" in said(capsys, "resume", "sent")


def test_a_run_is_written_with_its_config_in_every_checkpoint(sent):
    run = Run.open(sent)
    for path in sent.glob("checkpoints/*/checkpoint.json"):
        assert json.loads(path.read_text())["config"] == run.config


def test_an_agent_predicts_nothing(sent, capsys):
    line = said(capsys, "predict", "sent", "x.png")
    assert "is an agent (ppo)" in line and "arcadia watch ppo/sent" in line
