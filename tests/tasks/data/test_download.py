"""Downloads from a server on this machine that continues, refuses to, cuts off, or lies."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import tasks.data.download as download
from backbones.training.config import parse
from backbones.training.errors import UserError
from tasks.data.download import SETS, Config, PublicSet, fetch_set, main

CONTENT = bytes(i * 7 % 251 for i in range(400_000))
SUM = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Gives `files`; notes the byte from which each answer began."""

    files: dict[str, bytes]
    ranges = True
    cuts = 0  # so many answers end half way
    starts: list[int]

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        data = self.server.files.get(self.path[1:])
        if data is None:
            self.send_error(404)
            return
        wanted = self.headers.get("Range", "bytes=0-")
        start = int(wanted[6:-1]) if self.server.ranges else 0
        if start and start >= len(data):
            self.send_error(416)
            return
        self.server.starts.append(start)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        rest = data[start:]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if self.server.cuts:
            self.server.cuts -= 1
            rest = rest[: len(rest) // 2]
        self.wfile.write(rest)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "WAIT_S", 0.0)
    with Server(("127.0.0.1", 0), Handler) as server:
        server.files, server.starts = {"a.bin": CONTENT}, []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def source(server: Server, known: str = SUM) -> PublicSet:
    return PublicSet("a set", (server.base,), {"a.bin": known})


def only_the_file(folder: Path) -> bool:
    return [p.name for p in folder.iterdir()] == ["a.bin"] and (
        (folder / "a.bin").read_bytes() == CONTENT
    )


def test_a_file_is_fetched_once(server: Server, tmp_path: Path, capsys):
    fetch_set(source(server), tmp_path / "new" / "set")
    fetch_set(source(server), tmp_path / "new" / "set")
    assert only_the_file(tmp_path / "new" / "set") and server.starts == [0]
    assert "a.bin: 0.4 MB, checksum right" in capsys.readouterr().out


def test_an_interrupted_download_continues(server: Server, tmp_path: Path, capsys):
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:150_000])
    fetch_set(source(server), tmp_path)
    assert only_the_file(tmp_path) and server.starts == [150_000]
    assert "a.bin: continuing after 0.1 MB of 0.4 MB" in capsys.readouterr().out


def test_a_server_that_cannot_continue_is_asked_for_all_and_it_is_said(
    server: Server, tmp_path: Path, capsys
):
    server.ranges = False
    (tmp_path / "a.bin.part").write_bytes(b"x" * 150_000)
    fetch_set(source(server), tmp_path)
    assert only_the_file(tmp_path) and server.starts == [0]
    assert "does not continue a download; starting again from 0" in capsys.readouterr().out


def test_a_connection_that_is_cut_continues_by_itself(server: Server, tmp_path: Path):
    server.cuts = 2
    fetch_set(source(server), tmp_path)
    assert only_the_file(tmp_path) and server.starts == [0, 200_000, 300_000]


def test_what_came_before_the_last_cut_waits_for_the_next_command(server: Server, tmp_path: Path):
    server.cuts = 5
    with pytest.raises(
        UserError, match=r"the connection ended after 0\.4 MB of 0\.4 MB.*continues"
    ):
        fetch_set(source(server), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin.part"]
    fetch_set(source(server), tmp_path)
    assert only_the_file(tmp_path) and server.starts[-1] == 387_500


def test_a_server_that_cuts_and_cannot_continue_is_given_up(server: Server, tmp_path: Path):
    server.cuts, server.ranges = 99, False
    with pytest.raises(UserError, match="connection ended"):
        fetch_set(source(server), tmp_path)
    assert server.starts == [0, 0]


def test_a_whole_part_that_was_not_renamed_is_replaced(server: Server, tmp_path: Path):
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    fetch_set(source(server), tmp_path)
    assert only_the_file(tmp_path)


@pytest.mark.parametrize("known", [SUM, "md5:" + hashlib.md5(CONTENT).hexdigest()])
def test_a_wrong_checksum_is_said_and_the_file_removed(server: Server, tmp_path: Path, known: str):
    server.files["a.bin"] = b"something else"
    kind = hashlib.new(known.split(":")[0], b"something else").hexdigest()
    with pytest.raises(UserError) as caught:
        fetch_set(source(server, known), tmp_path)
    assert kind in str(caught.value) and known in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_changed_on_the_disk_is_fetched_again(server: Server, tmp_path: Path):
    (tmp_path / "a.bin").write_bytes(b"damaged")
    fetch_set(source(server), tmp_path)
    assert only_the_file(tmp_path)


def test_a_server_without_the_file_is_said(server: Server, tmp_path: Path):
    server.files = {}
    with pytest.raises(UserError, match=r"a.bin could not be fetched .*Not Found"):
        fetch_set(source(server), tmp_path)


def test_a_second_server_is_asked_where_the_first_fails(server: Server, tmp_path: Path, capsys):
    bases = (server.base + "gone/", "http://127.0.0.1:9/", server.base)
    fetch_set(PublicSet("a set", bases, {"a.bin": SUM}), tmp_path)
    assert only_the_file(tmp_path) and capsys.readouterr().out.count("gives nothing") == 2


def test_nobody_at_the_other_end_is_said(tmp_path: Path):
    with pytest.raises(UserError, match=r"could not be fetched .*refused"):
        fetch_set(PublicSet("a set", ("http://127.0.0.1:9/",), {"a.bin": SUM}), tmp_path)


def test_a_target_that_is_a_file_is_said(server: Server, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another --to"):
        fetch_set(source(server), tmp_path / "file")


def test_a_full_disk_is_said(server: Server, tmp_path: Path):
    (tmp_path / "a.bin.part").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"takes no writing \(No space left on device\); make room"):
        fetch_set(source(server), tmp_path)


def test_known_files_are_taken_out_of_an_archive_and_no_others(server: Server, tmp_path: Path):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name in ("cifar-10-batches-bin/test_batch.bin", "../evil.bin"):
            member = tarfile.TarInfo(name)
            member.size = 3
            archive.addfile(member, io.BytesIO(b"abc"))
    data = out.getvalue()
    server.files["c.tar.gz"], known = data, "sha256:" + hashlib.sha256(data).hexdigest()
    files = {"c.tar.gz": known}
    there = PublicSet("a set", (server.base,), files, ("test_batch.bin",))
    fetch_set(there, tmp_path / "set")
    files = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert files == {"set/c.tar.gz", "set/cifar-10-batches-bin/test_batch.bin"}
    with pytest.raises(UserError, match=r"lacks data_batch_1\.bin"):
        missing = PublicSet("a set", (server.base,), {"c.tar.gz": known}, ("data_batch_1.bin",))
        fetch_set(missing, tmp_path / "set")


def test_the_command_fetches_into_the_data_folder(server: Server, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(SETS, "mnist", source(server))
    monkeypatch.setenv("ARCADIA_DATA", str(tmp_path / "data"))
    assert main(parse(Config, ["mnist"], prog="arcadia data")) == 0
    assert only_the_file(tmp_path / "data" / "mnist")
    assert main(parse(Config, ["mnist", "--to", str(tmp_path)], prog="arcadia data")) == 0
    assert only_the_file(tmp_path / "mnist")
    assert f"train with --data {tmp_path / 'mnist'}" in capsys.readouterr().out


def test_the_command_lists_the_sets_and_knows_no_others(capsys):
    assert main(parse(Config, [], prog="arcadia data")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["mnist", "fashion-mnist", "cifar10"]
    with pytest.raises(ValueError, match="'imagenet' is unknown; choose one of mnist"):
        parse(Config, ["imagenet"], prog="arcadia data")
