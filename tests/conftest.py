"""What several test files need: a runs folder of their own, one thread, one smoke run."""

import os
import signal
from pathlib import Path

import pytest
import torch

from backbones.training.config import RunConfig
from backbones.training.device import precision

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("arcadia", "tests that learn: pytest -m learns")
    group.addoption("--precision", default="fp32", choices=["fp32", "bf16"])
    group.addoption("--seed", default=1, type=int)


@pytest.fixture(scope="session")
def learning(request: pytest.FixtureRequest) -> RunConfig:
    """How runs train that must have learnt something at their end: what they reach may depend on
    neither number format nor luck, so both are flags of pytest's."""
    asked = request.config.getoption
    return RunConfig(precision=asked("--precision"), seed=asked("--seed"))


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def heard_interrupts():
    """A shell has what it starts in the background ignore ctrl-C, which several tests press."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory):
    """Which runs were trained here is noted beside the tests, not in somebody's home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_STATE", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True, scope="session")
def pinned_precision():
    """Fail a test that trains with `--precision auto`: a timing, and so the machine's load, would
    choose the number format. Training with fp32 is asked for in the test's config or flags.
    """

    def asked_for_a_timing() -> bool:
        pytest.fail("auto leaves the precision to this machine; ask for --precision fp32")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "cpu_has_bf16", asked_for_a_timing)
        yield


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty runs folder that commands use instead of the real one."""
    monkeypatch.setenv("ARCADIA_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture(scope="session")
def smoke_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder with ppo/pong-1, trained by the smoke preset through the command line."""
    import arcadia

    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(folder))
        assert arcadia.main(["train", "ppo", "--preset", "smoke", "--precision", "fp32"]) == 0
    return folder


@pytest.fixture
def smoke(smoke_runs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The smoke run's folder, with commands pointed at it."""
    monkeypatch.setenv("ARCADIA_RUNS", str(smoke_runs))
    return smoke_runs / "ppo" / "pong-1"


@pytest.fixture
def small_worlds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worlds with 100 pictures to validate on and 200 to test on."""
    from tasks.labels import labelled, masked
    from tasks.words import captions, questions

    worlds = (labelled, masked, captions, questions)
    for sizes in (world.WORLD_SIZES for world in worlds):
        monkeypatch.setitem(sizes, "val", 100)
        monkeypatch.setitem(sizes, "test", 200)
