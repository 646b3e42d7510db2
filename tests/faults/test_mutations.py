"""Mutants of everything that somebody may send, and of what people type: each is read or refused.

One line says what is wrong and the exit status is 2: no traceback, no hang, no memory above a
bound, nothing imported, nothing written outside of the folder, whatever the file says.
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.faults.mutants import TRUNK, Mutant, Victim, faults, using

# Of each kind 15 are tried wherever tests are, and a thousand in all by the slow ones;
# `ARCADIA_MUTANTS=10 pytest -m slow tests/faults/test_mutations.py` tries ten thousand.
FEW = 15
MANY = {
    "configs": 100,
    "checkpoints": 100,
    "networks": 80,
    "zips": 100,
    "games": 100,
    "idx": 80,
    "cifar": 80,
    "drawings": 100,
    "tars": 100,
    "texts": 60,
    "gtp": 100,
    "commands": 100,
}
TIMES = int(os.environ.get("ARCADIA_MUTANTS", "1"))

GOOD = [
    Mutant("arcadia", ("eval", "@", "--games", "1"), "catch"),
    Mutant("arcadia", ("resume", "@"), "catch"),
    Mutant("arcadia", ("predict", "@", "x.png"), "mnist"),
    Mutant("arcadia", ("predict", "@", "three.txt"), "translate-en-de"),
    Mutant("arcadia", ("eval", "@/x.zip", "--games", "1"), "zip"),
    Mutant("go-network", ("@/net.safetensors",), "go"),
    Mutant(TRUNK[0], TRUNK[1:], "catch"),
    Mutant("sgf", ("@/game.sgf",), "sgf"),
    Mutant("pictures", ("@",), "idx"),
    Mutant("pictures", ("@",), "cifar"),
    Mutant("pictures", ("@",), "cifar-py"),
    Mutant("pictures", ("@",), "tar"),
    Mutant("drawings", ("@",), "drawings"),
    Mutant("texts", ("@",), "texts"),
    Mutant("gtp", ("loadsgf @/game.sgf",), "sgf"),
]


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    found = Victim(tmp_path_factory.mktemp("mutants") / "all")
    yield found
    found.close()


def hold(kind: str, victim: Victim, count: int) -> None:
    """Try so many mutants of a kind, the same ones every time."""

    @seed(16)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(using(victim.good)[kind])
    def tried(mutant: Mutant) -> None:
        assert not faults(mutant, victim.try_it(mutant)), mutant

    tried()
    if kind == "commands":
        victim.close()  # what a person typed may be imported from then on, by a file too


def test_good_files_are_read(victim):
    for good in GOOD:
        found = victim.try_it(good)
        assert found["status"] == 0 and not faults(good, found), (good, found)


@pytest.mark.parametrize(
    ("what", "seen"),
    [
        ("import", "import evilpayload"),
        ("write", "open /proc/outside"),
        ("grow", "grows"),
        ("burst", "MemoryError"),
        ("crash", "died"),
        ("escape", "control"),
        ("process", "os.system"),
    ],
)
def test_what_must_not_be_is_seen(victim, what, seen):
    mischief = Mutant("mischief", (what,), "sgf")
    assert any(seen in fault for fault in faults(mischief, victim.try_it(mischief)))


@pytest.mark.parametrize("kind", MANY)
def test_a_few_mutants_are_read_or_refused_in_one_line(victim, kind):
    hold(kind, victim, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MANY)
def test_a_thousand_mutants_are_read_or_refused_in_one_line(victim, kind):
    hold(kind, victim, TIMES * MANY[kind])
