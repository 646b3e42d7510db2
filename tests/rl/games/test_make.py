"""Environments by name."""

import pytest

from backbones.training.errors import UserError
from rl.games.gym import GymnasiumEnvironments
from rl.games.make import nearest, short_name
from rl.games.toys import CATCH
from tests.rl.games.making import make


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("ALE/Pnog-v5", "ALE/Pong-v5"),
        ("Pong", "ALE/Pong-v5"),
        ("BreakoutNoFrameskip-v4", "ALE/Breakout-v5"),
        ("Catsh-v0", CATCH),
    ],
)
def test_an_unknown_environment_suggests_the_nearest(given, meant):
    with pytest.raises(UserError, match=f"did you mean {meant}"):
        make(given)


def test_nothing_is_suggested_where_nothing_is_near():
    assert nearest("zzzzqqqq", ["ALE/Pong-v5"]) == ""
    with pytest.raises(UserError, match="unknown environment"):
        make("nosuchmodule:Game-v0")


def test_an_own_module_or_environment_is_suggested_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    text = "import gymnasium\ngymnasium.register('Owned-v0', entry_point='own_suggested:Owned')\n"
    (tmp_path / "own_suggested.py").write_text(text)
    with pytest.raises(UserError, match=r"did you mean own_suggested:Owned-v0\?"):
        make("own_sugested:Owned-v0")
    with pytest.raises(UserError, match=r"did you mean own_suggested:Owned-v0\?"):
        make("own_suggested:Owmed-v0")


def test_names_for_people():
    names = {"ALE/Pong-v5": "pong", "mygames:Flappy-v0": "flappy", "crafter:Env": "crafter"}
    assert {env: short_name(env) for env in names} == names


def test_v5_ids_are_sticky_unless_told_otherwise():
    assert make("ALE/Pong-v5").protocol.sticky == 0.25
    assert make("ALE/Pong-v5", sticky=0.0).protocol.sticky == 0.0
    assert isinstance(make(CATCH), GymnasiumEnvironments)


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("x = (", r"could not be imported: SyntaxError: .* \(own_broken.py, line 1\)$"),
        ("\n1 / 0", r"could not be imported: ZeroDivisionError: .* \(own_broken.py, line 2\)$"),
        ("import nosuchmodule", "No module named 'nosuchmodule'"),
    ],
)
def test_an_error_in_a_users_module_is_one_line_with_its_place(tmp_path, monkeypatch, code, line):
    (tmp_path / "own_broken.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match=line):
        make("own_broken:Game-v0")
