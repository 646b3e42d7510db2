"""What a reader opens: plain files only, and never more of them than was stated."""

import io
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from backbones.training.errors import UserError
from backbones.training.files import (
    ALWAYS_UNPACKED_BYTES,
    check_stream,
    most_unpacked,
    open_input,
    open_plain,
    read_at_most,
    read_bounded,
    standard_input,
)


def special(kind: str, folder: Path) -> Path:
    """Make something that is no plain file; return its path."""
    path = folder / "it"
    if kind == "a named pipe":
        os.mkfifo(path)
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    elif kind == "a folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    return path


@pytest.mark.parametrize("kind", ["a named pipe", "a socket", "a device", "a folder"])
def test_only_plain_files_are_opened(kind, tmp_path):
    path = special(kind, tmp_path)
    for read in (open_plain, lambda path: read_bounded(path, 10), lambda p: open_input(str(p))):
        with pytest.raises(UserError, match=f"it is {kind}; give a plain file"):
            with read(path):  # type: ignore[attr-defined]
                pass
    with pytest.raises(FileNotFoundError):
        open_plain(tmp_path / "missing")


def test_a_file_is_read_to_a_bound_and_takes_no_more_memory_than_it_has(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"twelve bytes")
    assert read_bounded(path, 12) == b"twelve bytes"
    with pytest.raises(UserError, match="larger than 11 bytes, the most that is read"):
        read_bounded(path, 11)
    # Asked for at once, a terabyte is a MemoryError.
    assert read_at_most(io.BytesIO(b"short"), 2**40) == b"short"
    assert read_at_most(io.BytesIO(b"short"), 3) == b"sho"
    with pytest.raises(UserError, match="larger than 2 MiB"):
        Path(tmp_path / "large").write_bytes(bytes(2**21 + 1))
        read_bounded(tmp_path / "large", 2**21)


def test_what_is_packed_may_unpack_to_a_hundred_times_its_size():
    assert most_unpacked(30) == ALWAYS_UNPACKED_BYTES and most_unpacked(2**20) == 100 * 2**20


def test_pipes_that_a_shell_has_opened_are_read():
    reading, writing = os.pipe()
    threading.Thread(target=lambda: (os.write(writing, b"a line\n"), os.close(writing))).start()
    with open_input(f"/dev/fd/{reading}") as file:
        assert file.read() == b"a line\n"
    os.close(reading)
    with (
        pytest.raises(UserError, match=f"/dev/fd/{reading} is closed"),
        open_input(f"/dev/fd/{reading}"),
    ):
        pass


def test_standard_input_has_an_end(monkeypatch, tmp_path):
    for name in ("/dev/zero", "/dev/urandom"):
        with open(name, "rb") as device, pytest.raises(UserError, match="is a device; give"):
            check_stream(device.fileno(), "standard input")
    folder = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(UserError, match="standard input is a folder"):
        check_stream(folder, "standard input")
    os.close(folder)
    with open(os.devnull, "rb") as nothing:
        check_stream(nothing.fileno(), "standard input")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"in memory")))
    assert standard_input().read() == b"in memory"
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UserError, match="standard input is closed"):
        standard_input()


def test_every_reader_of_a_command_refuses_a_pipe_at_once(tmp_path):
    import arcadia

    os.mkfifo(tmp_path / "it")
    names = ("a.zip", "w.safetensors", "game.sgf", "lines")
    for name in names:
        (tmp_path / name).symlink_to(tmp_path / "it")
    zipped, weights, game, lines = (str(tmp_path / name) for name in names)
    data = tmp_path / "data"
    data.mkdir()
    for split in ("train", "t10k"):
        (data / f"{split}-images-idx3-ubyte").symlink_to(tmp_path / "it")
        (data / f"{split}-labels-idx1-ubyte").touch()
    for words in (
        ["eval", zipped, "--env", "tests.rl.games.my_game:Catch-v0"],
        ["train", "ppo", "--init", weights],
        ["gtp", weights],
        ["watch", game],
        ["predict", "zoo/translate-en-de", lines],
        ["predict", "zoo/mnist", lines],
        ["train", "classify", "--preset", "smoke", "--set", "mnist", "--data", str(data)],
    ):
        said = io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stderr", said)
            assert arcadia.main(words) == 2, words
        assert len(said.getvalue().splitlines()) == 1, words
        assert "named pipe" in said.getvalue() or "not a plain file" in said.getvalue()


def test_names_that_no_terminal_can_show_end_nothing(tmp_path):
    # Latin-1 bytes in a name, and a terminal that has ASCII only.
    script = "import arcadia, sys; print('k\\xf6ter \\udcf6') if arcadia.main(['jobs']) == 0 else 1"
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": os.getcwd()}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env)
    assert done.returncode == 0 and done.stdout.endswith("k?ter ?\n") and not done.stderr
