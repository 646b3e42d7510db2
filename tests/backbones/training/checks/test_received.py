"""Files that somebody sent: only regular ones, of a stated size, from where they belong."""

import json
import os

import pytest

from backbones.training.checks.received import (
    is_sealed,
    parse_json,
    read_json,
    refuse_strange,
    regular,
    sealed,
)
from backbones.training.errors import UserError


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 50 + b"1" + b"}" * 50, "nested too deeply"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "is broken"),
        (b"[1]", "holds no JSON object"),
        (b"\xff\xfe", "is broken"),
        (b"", "is broken"),
        (b'{"a": "' + b"x" * 2_000 + b'"}', "larger than 1000 bytes"),
    ],
)
def test_a_bomb_of_json_is_one_line(tmp_path, data, words):
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(UserError, match=words) as error:
        read_json(tmp_path / "a.json", 1_000 if words.startswith("larger") else 2**20)
    assert "\n" not in str(error.value)


def test_json_as_deep_as_ours_is_read():
    text = json.dumps({"config": {"trunk": {"freeze": ["s1"]}}})
    assert parse_json(text, "it") == json.loads(text)


def test_pipes_and_devices_are_refused_before_they_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "zero"):
        if path.name == "zero":
            path.symlink_to("/dev/zero")
        with pytest.raises(UserError, match="give a plain file"):
            regular(path)
        with pytest.raises(UserError):
            read_json(path, 100)


def test_a_link_is_followed_only_inside(tmp_path):
    home = tmp_path / "home"
    (home / "deep").mkdir(parents=True)
    (home / "a").write_text("{}")
    (home / "deep" / "inside").symlink_to("../a")
    refuse_strange(home)
    assert read_json(home / "deep" / "inside", 100, home) == {}
    (tmp_path / "outside").write_text("{}")
    (home / "deep" / "leads-out").symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match="leads out"):
        read_json(home / "deep" / "leads-out", 100, home)
    with pytest.raises(UserError, match="leads out"):
        refuse_strange(home)


def test_a_seal_tells_what_was_changed():
    values = sealed({"a": 1.5, "b": [1, "ö"]})
    assert is_sealed(json.loads(json.dumps(values))) and is_sealed({"a": 1})
    assert not is_sealed(values | {"a": 1.25})
