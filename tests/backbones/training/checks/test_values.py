"""Values from a file are held to the types of the fields, as those that are typed."""

import math
from dataclasses import asdict, dataclass, field
from typing import Literal

import pytest

from backbones.training.checks.values import from_dict
from backbones.training.errors import UserError
from backbones.training.find_job import load_job
from backbones.training.jobs import JOBS


@dataclass(frozen=True, kw_only=True)
class Inner:
    sizes: tuple[int, ...] = ()
    pair: tuple[int, float] = (1, 1.0)


@dataclass(frozen=True, kw_only=True)
class Outer:
    count: int = 1
    rate: float = 0.5
    name: str = ""
    on: bool = False
    kind: Literal["a", "b"] = "a"
    most: int | None = None
    inner: Inner = field(default_factory=Inner)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"count": "x"}, "count = 'x' must be a whole number"),
        ({"count": True}, "count = True must be a whole number"),
        ({"count": 1.5}, "count = 1.5"),
        ({"count": None}, "count = None"),
        ({"count": 10**30}, "count = 1000"),
        ({"rate": math.nan}, "rate = nan must be a finite number"),
        ({"rate": []}, r"rate = \[\] must be a finite"),
        ({"name": 3}, "name = 3 must be a text"),
        ({"name": "a\0b"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"name": "x" * 5_000}, "name"),
        ({"on": 1}, "on = 1 must be true or false"),
        ({"kind": "c"}, "kind = 'c' must be one of a, b"),
        ({"kind": ["a"]}, "kind"),
        ({"most": "3"}, "most = '3'"),
        ({"inner": 3}, "inner = 3"),
        ({"inner": {"sizes": "12"}}, r"inner.sizes = '12' must be a list"),
        ({"inner": {"sizes": [1, "2"]}}, "inner.sizes = '2'"),
        ({"inner": {"pair": [1]}}, "inner.pair"),
        ({"inner": {"more": 1}}, "inner.more"),
        ([1], "must be a table"),
        ({"\x1b[2J": 1}, r"\\x1b"),
    ],
)
def test_a_value_of_another_type_is_named_with_its_field(values, words):
    with pytest.raises(UserError, match=words) as error:
        from_dict(Outer, values)
    assert str(error.value).isprintable()


def test_a_whole_number_may_stand_for_any_and_lists_for_tuples():
    values = {"rate": 1, "most": None, "inner": {"sizes": [1, 2], "pair": [1, 2]}}
    assert from_dict(Outer, values) == Outer(rate=1, inner=Inner(sizes=(1, 2), pair=(1, 2)))


@pytest.mark.parametrize("job", JOBS)
def test_every_preset_of_every_job_comes_back(job):
    for preset in load_job(job).presets.values():
        assert from_dict(load_job(job).config_type, asdict(preset)) == preset


def test_a_run_s_config_becomes_a_dataclass_in_one_place_only():
    """So that no reader of a run steps around the checks."""
    from tests.test_layout import SOURCES

    readers = {p.name for p in SOURCES if "from_dict" in p.read_text()}
    # The others read cards, the spec of a trunk, what a program gives as flags, or what a run tells
    # the processes that it has begun.
    cards = {"read_zip.py", "environments.py", "transfer.py", "go_network.py", "trunk.py"}
    assert readers == {"values.py", "saved.py", "config.py", "worker.py", *cards}
    assert not [
        p
        for p in SOURCES
        if p.name in cards
        and "run.config"
        in "".join(line for line in p.read_text().splitlines() if "from_dict" in line)
    ]
