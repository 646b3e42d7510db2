"""A wheel built from the tree works in an empty folder, under one name, with the zoo inside."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.test_own_jobs import MODULE

ROOT = Path(__file__).parents[1]
BUILT = ("arcadia.py", "setup.py", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's content, as in site-packages."""
    tree, wheels = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheels")
    for name in BUILT:
        shutil.copy(ROOT / name, tree)
    for name in ("backbones", "rl", "tasks", "suites", "web", "runs/zoo"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    words = ["-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(wheels)]
    subprocess.run([sys.executable, *words, str(tree)], check=True, timeout=300)
    (wheel,) = wheels.glob("arcadia-*.whl")
    place = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(place)
    return place


def in_folder(folder: Path, installed: Path, *words: str) -> str:
    """Run Python in a folder, with the wheel before everything else; return what it prints."""
    env = {k: v for k, v in os.environ.items() if k != "ARCADIA_RUNS"}
    out = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**env, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert out.returncode == 0, out.stderr
    return out.stdout


@pytest.mark.slow
def test_it_holds_one_name_only(installed):
    assert sorted(p.name for p in installed.iterdir() if p.suffix != ".dist-info") == ["arcadia"]
    (about,) = installed.glob("*.dist-info")
    assert (about / "top_level.txt").read_text().split() == ["arcadia"]
    for name in ("page", "static"):
        there, here = installed / "arcadia" / "web" / name, ROOT / "web" / name
        assert {p.name for p in there.iterdir()} == {p.name for p in here.iterdir()}


@pytest.mark.slow
def test_it_trains_scores_and_answers_in_an_empty_folder(installed, tmp_path):
    run = ("-m", "arcadia")
    in_folder(tmp_path, installed, *run, "train", "ppo", "--preset", "smoke", "--precision", "fp32")
    assert (tmp_path / "runs" / "ppo" / "pong-1" / "eval.json").exists()
    assert "ppo/pong-1" in in_folder(tmp_path, installed, *run, "runs")
    assert "zoo/pong after" in in_folder(
        tmp_path, installed, *run, "eval", "zoo/pong", "--games", "1", "--max-frames", "400"
    )
    code = (
        "import arcadia, sys; print(arcadia.load('zoo/translate-en-de').predict('a man'));"
        "print([m for m in sys.modules if m.split('.')[0] in ('rl', 'tasks', 'backbones')])"
    )
    said, foreign = in_folder(tmp_path, installed, "-c", code).splitlines()
    assert "mann" in said and foreign == "[]"


@pytest.mark.slow
def test_a_module_of_ones_own_is_spelt_as_in_a_checkout(installed, tmp_path):
    text = MODULE.replace("from tasks.", "from arcadia.tasks.")
    (tmp_path / "mine.py").write_text(text.replace("from backbones.", "from arcadia.backbones."))
    words = ("-m", "arcadia", "train", "mine:JOB", "--preset", "smoke")
    for place, runs in ((installed, tmp_path / "runs"), (ROOT, tmp_path / "elsewhere")):
        out = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(place), "ARCADIA_RUNS": str(runs)},
            capture_output=True,
            text=True,
        )
        assert out.returncode == 0, out.stderr
        assert (runs / "halves" / "halves-1" / "eval.json").exists()
