"""What comes from somebody else: no module of its choosing is imported, whatever the verb."""

import json
import shutil
import sys
import zipfile

import pytest

import arcadia
from backbones.training.checks import trust
from backbones.training.checks.received import sealed
from backbones.training.config import ResumeConfig, RunConfig, changed
from backbones.training.errors import UserError
from backbones.training.run import Run
from backbones.transfer import TrunkConfig
from rl import ppo
from rl.agent import load_agent
from rl.find_agent import agent_of
from rl.games.options import EnvOptions
from rl.sb3.names import CARD
from rl.sb3.write_zip import export_sb3

TINY = ppo.Config(
    env="Arcadia/Catch-v0",
    total_steps=64,
    num_envs=2,
    num_steps=32,
    minibatch_size=64,
    num_epochs=1,
    hidden=8,
    eval_games=0,
    trunk=TrunkConfig(width=0.25),
    env_options=EnvOptions(max_frames=400),
    run=RunConfig(precision="fp32"),
)
PAYLOAD = """
import gymnasium
open({marker!r}, "w").close()
if "Sent-v0" not in gymnasium.registry:
    gymnasium.register("Sent-v0", entry_point="rl.games.toys:Catch")
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run on Catch, to be copied."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(folder))
        return ppo.train(TINY).folder


@pytest.fixture
def payload(tmp_path, monkeypatch):
    """A module in the working folder that leaves a mark when it is imported: (name, mark)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trust, "typed", set())
    monkeypatch.setattr(sys, "path", list(sys.path))
    name = f"payload_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(PAYLOAD.format(marker=str(tmp_path / "sprung")))
    yield name, tmp_path / "sprung"
    sys.modules.pop(name, None)


def with_config(trained, folder, **values):
    """Copy a run, change its config and make its digests fit again, as who sends it would."""
    shutil.copytree(trained, folder)
    path = folder / "config.json"
    about = json.loads(path.read_text())
    about["config"] |= values
    path.write_text(json.dumps(sealed(about)))
    for path in folder.glob("checkpoints/*/checkpoint.json"):
        path.write_text(
            json.dumps(sealed(json.loads(path.read_text()) | {"config": about["config"]}))
        )
    return folder


VERBS = [
    ["eval", "sent", "--games", "1"],
    ["watch", "sent", "--video", "v.mp4"],
    ["resume", "sent"],
    ["play", "sent", "--terminal"],
    ["export", "sent", "--onnx", "a.onnx"],
    ["export", "sent", "--sb3", "a.zip"],
    ["export", "sent", "--folder", "b"],
]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0] + verb[2] if verb[2:] else verb[0])
def test_no_verb_imports_what_a_sent_run_names(trained, payload, tmp_path, verb, capsys):
    name, mark = payload
    with_config(trained, tmp_path / "sent", env=f"{name}:Sent-v0")
    assert arcadia.main(verb) == 2
    assert f"add --env {name}:Sent-v0" in capsys.readouterr().err
    assert not mark.exists() and name not in sys.modules
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{name}.py", "sent"]


@pytest.mark.parametrize("module", ["antigravity", "sent.payload", "this"])
def test_no_module_of_the_library_or_of_the_run_is_imported_either(
    trained, payload, tmp_path, module, capsys
):
    with_config(trained, tmp_path / "sent", env=f"{module}:Sent-v0")
    (tmp_path / "sent" / "payload.py").write_text("raise SystemExit('sprung')")
    assert arcadia.main(["eval", "sent", "--games", "1"]) == 2
    assert "add --env" in capsys.readouterr().err
    assert module not in sys.modules


def test_the_advice_never_holds_what_a_shell_would_take_for_more(trained, payload, tmp_path):
    for env in ("x;reboot #:E-v0", "\x1b[2J:E-v0", "a b:E-v0"):
        with_config(trained, tmp_path / "sent", env=env)
        with pytest.raises(UserError, match="not the id of a game") as error:
            load_agent(tmp_path / "sent")
        assert "\x1b" not in str(error.value)
        shutil.rmtree(tmp_path / "sent")


def test_what_a_person_types_or_lists_is_imported(trained, payload, tmp_path, monkeypatch, capsys):
    name, mark = payload
    env = f"{name}:Sent-v0"
    with_config(trained, tmp_path / "sent", env=env)
    assert arcadia.main(["eval", "sent", "--games", "1", "--env", "Arcadia/Catch-v0"]) == 2
    assert "a run knows its game" in capsys.readouterr().err
    assert arcadia.main(["eval", "sent", "--games", "1", "--env", env]) == 0
    assert mark.exists()
    trust.typed.clear()
    with pytest.raises(UserError, match="ARCADIA_MODULES"):
        arcadia.load("sent")
    assert arcadia.load("sent", env=env).env == env
    trust.typed.clear()
    monkeypatch.setenv("ARCADIA_MODULES", f"other,{name}")
    assert arcadia.load("sent").env == env


def test_a_run_that_was_trained_here_goes_on_without_typing_until_it_is_another(
    payload, tmp_path, monkeypatch, capsys
):
    name, _ = payload
    monkeypatch.setenv("ARCADIA_RUNS", "runs")
    run = ppo.train(
        changed(TINY, env=f"{name}:Sent-v0", run=RunConfig(name="mine", precision="fp32"))
    )
    for _ in range(2):  # As the config began, and as resume has changed it.
        trust.typed.clear()
        assert load_agent("mine").env == f"{name}:Sent-v0"
        ppo.resume(Run.open(run.folder), ResumeConfig(extend=64))
    trust.typed.clear()
    assert load_agent("mine").card["progress"] == 192
    shutil.copytree(run.folder, tmp_path / "elsewhere")
    with pytest.raises(UserError, match="add --env"):
        load_agent(tmp_path / "elsewhere")
    shutil.rmtree(run.folder)
    with_config(tmp_path / "elsewhere", run.folder, gamma=0.5)
    with pytest.raises(UserError, match="add --env"):
        load_agent("mine")


def test_where_no_note_can_be_made_training_says_what_to_type_later(
    payload, tmp_path, monkeypatch, capsys
):
    name, _ = payload
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ARCADIA_STATE", str(tmp_path / "file" / "state"))
    monkeypatch.setenv("ARCADIA_RUNS", "runs")
    env = f"{name}:Sent-v0"
    ppo.train(changed(TINY, env=env, eval_games=1, run=RunConfig(name="mine", precision="fp32")))
    assert f"will want --env {env}" in capsys.readouterr().err
    trust.typed.clear()
    with pytest.raises(UserError, match="add --env"):
        ppo.resume(Run.open(tmp_path / "runs" / "ppo" / "mine"), ResumeConfig(extend=64))
    ppo.resume(Run.open(tmp_path / "runs" / "ppo" / "mine"), ResumeConfig(extend=64, env=env))


def test_the_card_of_a_zip_imports_nothing(trained, payload, tmp_path, capsys):
    name, mark = payload
    export_sb3(load_agent(trained), tmp_path / "ours.zip")
    with zipfile.ZipFile(tmp_path / "ours.zip") as archive:
        files = {each: archive.read(each) for each in archive.namelist()}
    files[CARD] = json.dumps(json.loads(files[CARD]) | {"env": f"{name}:Sent-v0"}).encode()
    with zipfile.ZipFile(tmp_path / "sent.zip", "w") as archive:
        for each, content in files.items():
            archive.writestr(each, content)
    for verb in (["eval", "sent.zip"], ["watch", "sent.zip", "--video", "v.mp4"]):
        assert arcadia.main(verb) == 2
        assert f"add --env {name}:Sent-v0" in capsys.readouterr().err
    assert not mark.exists()
    assert agent_of("sent.zip", f"{name}:Sent-v0").env == f"{name}:Sent-v0"
    assert mark.exists()
