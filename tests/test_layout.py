"""The house stays as it was drawn: imports go one way, rooms stay small, names say something."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "backbones": {"backbones"},
    "rl": {"rl", "backbones"},
    "tasks": {"tasks", "backbones"},
    "suites": {"suites", "tasks", "rl", "backbones"},
    "web": {"web", "suites", "tasks", "rl", "backbones"},
}
SOURCES = sorted(p for package in ALLOWED for p in (ROOT / package).rglob("*.py"))


def imported_packages(path: Path) -> set[str]:
    """Return the first names of everything that a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path: Path):
    package = path.relative_to(ROOT).parts[0]
    ours = imported_packages(path) & {*ALLOWED, "arcadia", "tests"}
    assert ours <= ALLOWED[package]


def imported_files(path: Path) -> set[Path]:
    """Return the files of ours that a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    files = {ROOT / f"{name.replace('.', '/')}.py" for name in names}
    return files & {*SOURCES} - {path}


def test_no_files_import_each_other_in_a_circle():
    circles = []
    try:
        TopologicalSorter({path: imported_files(path) for path in SOURCES}).prepare()
    except CycleError as error:
        circles = [str(path.relative_to(ROOT)) for path in error.args[1]]
    assert circles == []


def test_no_file_is_longer_than_a_reader_can_hold():
    longest = {p: len(p.read_text().splitlines()) for p in [*SOURCES, ROOT / "arcadia.py"]}
    assert {str(p): n for p, n in longest.items() if n > 400} == {}


def test_no_folder_holds_more_than_a_reader_can_scan():
    folders = {path.parent for path in SOURCES}
    assert {str(f): n for f in folders if (n := len(list(f.glob("*.py")))) > 20} == {}


def classes() -> list[tuple[Path, ast.ClassDef]]:
    """Return every class at the top of a file of ours."""
    return [
        (path, node)
        for path in SOURCES
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    ]


def test_no_class_is_longer_than_200_lines():
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for _, node in classes()}
    assert {name: n for name, n in lengths.items() if n > 200} == {}


def test_no_two_types_of_a_package_have_one_name():
    # Every command and job calls its settings Config: that is how they are found.
    named = [(path.relative_to(ROOT).parts[0], node.name) for path, node in classes()]
    assert [name for name in set(named) if named.count(name) > 1 and name[1] != "Config"] == []


def test_lines_are_left_to_the_formatter():
    skips = sum(
        p.read_text().count("# fmt: " + "skip")
        for p in ROOT.rglob("*.py")
        if ".venv" not in p.parts
    )
    assert skips < 20


def test_no_file_is_named_after_nothing():
    assert not {p.stem for p in SOURCES} & {"utils", "helpers", "common", "misc"}


def test_every_module_says_what_is_in_it():
    silent = [str(p) for p in SOURCES if not ast.get_docstring(ast.parse(p.read_text()))]
    assert silent == []


def test_nothing_is_ever_unpickled():
    words = ("pickle.load", "Unpickler(", "allow_pickle=True", "cloudpickle")
    found = [p for p in SOURCES if any(word in p.read_text() for word in words)]
    # CIFAR-10 and .npz of drawings come in pickles; a find_class of ours decides what may be there.
    assert found == [ROOT / "tasks" / "data" / "formats" / "arrays" / "pickled.py"]
    text = found[0].read_text()
    assert [word for word in words if word in text] == ["Unpickler("]
    readers = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ClassDef)]
    restricted = [
        n.name for n in readers if "def find_class" in (ast.get_source_segment(text, n) or "")
    ]
    assert restricted == ["ArrayUnpickler"]
    assert text.count("Unpickler(") == 2  # the class, and its one use
    # Torch's restricted reader gives tensors and plain values, or refuses.
    loads = [line for p in SOURCES for line in p.read_text().splitlines() if "torch.load(" in line]
    assert [line for line in loads if "weights_only=True" not in line] == []
