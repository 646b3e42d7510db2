"""Good files, what is drawn to be wrong with them, and the process that tries them."""

import hashlib
import io
import json
import os
import random
import select
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

import arcadia
from backbones.training.checkpoint import remove
from rl.go.network.go_network import build_network, save_network
from tasks.data.formats.cifar import BATCHES
from tests.faults import mutations
from tests.faults.odd_words import command_lines, commands, gtp_lines
from tests.tasks.data.formats.arrays.test_npz import npy, npz, python2_drawing, python2_objects
from tests.tasks.data.formats.test_cifar import python2_pickle
from tests.tasks.data.formats.test_folders import one

ROOT = Path(__file__).parents[2]
# Bounds of every mutant. Seconds are those of the processor: a busy machine is no hang.
LONGEST_CPU_S = 10.0
LONGEST_WAIT_S = 120.0
MOST_GROWN_MIB = 512.0

GAME = b"""(;GM[1]FF[4]CA[UTF-8]SZ[9]KM[6.5]RU[Japanese]PB[Ann]PW[Bo]RE[W+R]AB[cc][gg]AW[cg]
;W[ee]C[a \\] comment];B[ce](;W[ge];B[])(;W[ec];B[eg](;W[aa])(;W[bb])))
(;SZ[5];B[aa];W[bb])"""

FOLDERS = {"good", "given", "runs", "work", "tmp", "home", "said-1", "said-2"}
CATCH = "Arcadia/Catch-v0"
PACKED = {f"train/{kind}/{n}.png": one(n) for kind in ("cat", "dog") for n in range(3)}
TRUNK = ("trunk", "@/checkpoints/000000000128/cnn.safetensors")


@dataclass(frozen=True)
class Mutant:
    """Files to put into the given folder, on top of `base`, and what to do with them."""

    what: str
    words: tuple[str, ...]
    base: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    stop_s: float = 0.0
    """Seconds until ctrl-C; above 0 for what a person typed, who may import and write anywhere."""


class Victim:
    """The process of `victim.py`, begun again where it ends."""

    def __init__(self, folder: Path) -> None:
        """`folder` gets what mutants are made from, what is given, and what a user has."""
        self.folder, self.good, self.given = folder, folder / "good", folder / "given"
        self.process: subprocess.Popen[str] | None = None
        make_good(self.good)
        for name in ("work", "tmp", "home"):
            (folder / name).mkdir()

    def start(self) -> subprocess.Popen[str]:
        """Start the process in a folder with a module that only a file could have named."""
        read, write = os.pipe()
        env = {
            **os.environ,
            "ARCADIA_RUNS": str(self.folder / "runs"),
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "TORCHINDUCTOR_CACHE_DIR": str(self.folder / "tmp"),
            "OMP_NUM_THREADS": "1",
        }
        process = subprocess.Popen(
            [sys.executable, "-B", "-m", "tests.faults.victim", str(self.folder), str(write)],
            stdin=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(write,),
            cwd=self.folder / "work",
            env=env,
            text=True,
            start_new_session=True,
        )
        os.close(write)
        self.process, self.answers = process, os.fdopen(read)
        # Libraries are loaded, and then the memory is bounded.
        for words in (["final_score"], ["genmove b"]):
            self.ask("gtp", words)
        self.ask("limit", [])
        return process

    def close(self) -> None:
        """End the process and what it started."""
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            with suppress(BrokenPipeError):
                self.process.stdin.close()  # type: ignore[union-attr]
            self.answers.close()
            self.process = None

    def ask(self, what: str, words: Sequence[str], stop_s: float = 0.0) -> dict[str, Any]:
        """Have one thing done; return what happened, with an `error` where no answer came."""
        process = self.process or self.start()
        assert process.stdin
        process.stdin.write(json.dumps([what, words, stop_s]) + "\n")
        process.stdin.flush()
        answered = select.select([self.answers], [], [], LONGEST_WAIT_S)[0]
        if answered and (line := self.answers.readline()):
            return dict(json.loads(line))
        error = f"the process died with {process.wait()}" if answered else "it never answered"
        self.close()
        return {
            "error": error,
            "status": -1,
            "reached": [],
            "grown_mib": 0.0,
            "cpu_s": 0.0,
            "out": "",
            "err": "",
        }

    def try_it(self, mutant: Mutant) -> dict[str, Any]:
        """Put a mutant's files into the given folder and do what it says with them."""
        for name in ("given", "runs"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.copytree(self.good / mutant.base, self.given, copy_function=link_large)
        shutil.copytree(self.good / "work", self.folder / "work", dirs_exist_ok=True)
        for name, data in mutant.files.items():
            path = self.given / name
            path.unlink(missing_ok=True)
            path.write_bytes(data)
        words = [word.replace("@", str(self.given)) for word in mutant.words]
        found = self.ask(mutant.what, words, mutant.stop_s)
        for stray in set(os.listdir(self.folder)) - FOLDERS:
            found["reached"].append(f"the file {stray}")
            remove(self.folder / stray)
        return found


def link_large(source: str, target: str) -> None:
    """Copy a small file; link a large one, which nothing writes to."""
    copy = os.link if os.path.getsize(source) > 100_000 else shutil.copyfile
    copy(source, target)


def faults(mutant: Mutant, found: Mapping[str, Any]) -> list[str]:
    """Return what a mutant did that it must not."""
    said = found["err"].strip().splitlines()
    allowed = {0, 2} | ({130} if mutant.stop_s else set())
    wrong = [found["error"]] if found["error"] else []
    if not found["error"] and found["status"] not in allowed:
        wrong.append(f"exit status {found['status']}: {said[-1:]}")
    if found["status"] == 2 and not (said and said[-1].startswith("arcadia: ")):
        wrong.append(f"exit status 2 without its line: {said[-3:]}")
    if any(ord(letter) < 32 for line in said for letter in line):
        wrong.append(f"control characters are obeyed: {said[-1][:300]!r}")
    if not mutant.stop_s:
        wrong += [f"reached for {what}" for what in found["reached"]]
    if found["cpu_s"] > LONGEST_CPU_S:
        wrong.append(f"hangs: it took {found['cpu_s']:.0f} s")
    if found["grown_mib"] > MOST_GROWN_MIB:
        wrong.append(f"grows: it took {found['grown_mib']:.0f} MiB")
    return wrong


def make_good(folder: Path) -> None:
    """Write what mutants are made from: runs, a model of SB3, games, sets, a network."""
    work = folder / "work"
    work.mkdir(parents=True)
    (work / "evilpayload.py").write_text("open('evil', 'w').close()\n")
    (work / "x.png").write_bytes(one(128, 28))
    (work / "three.txt").write_text("a dog\n\ntwo green cats .\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(folder / "runs"))
        flags = ["--preset", "smoke", "--env", "Arcadia/Catch-v0", "--total-steps", "128"]
        words = ["train", "ppo", *flags, "--eval-games", "0", "--precision", "fp32", "--name", "x"]
        assert arcadia.main(words) == 0
        assert arcadia.main(["export", "x", "--sb3", str(folder / "zip" / "x.zip")]) == 0
    shutil.move(folder / "runs" / "ppo" / "x", folder / "catch")
    for earlier in sorted((folder / "catch" / "checkpoints").iterdir())[:-1]:
        shutil.rmtree(earlier)
    for name in ("mnist", "translate-en-de"):
        shutil.copytree(ROOT / "runs" / "zoo" / name, folder / name)
    (folder / "go").mkdir()
    save_network(build_network("b2c32"), folder / "go" / "net.safetensors")
    for name, data in sets().items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)


def sets() -> dict[str, bytes]:
    """Return the files of small sets of pictures and texts by their paths."""
    rng = random.Random(0)
    pictures = struct.pack(">4I", 0x803, 3, 8, 8) + rng.randbytes(3 * 64)
    labels = struct.pack(">2I", 0x801, 3) + bytes([0, 1, 2])
    rows = [rng.randbytes(3072) for _ in range(2)]
    files = {"sgf/game.sgf": GAME, "tar/train.tar": tar_of(PACKED), "tar/test.tar": tar_of(PACKED)}
    for stem in ("train", "t10k"):
        files[f"idx/{stem}-images-idx3-ubyte"] = pictures
        files[f"idx/{stem}-labels-idx1-ubyte"] = labels
    for name in sum(BATCHES.values(), ()):
        files[f"cifar/{name}.bin"] = b"".join(bytes([n]) + row for n, row in enumerate(rows))
        files[f"cifar-py/{name}"] = python2_pickle(rows, [0, 1])
    drawing = python2_drawing(np.array([[3, -4, 0], [0, 5, 1]], np.int16))
    whole = npy(python2_objects([drawing] * 3), "(3,)")
    files["drawings/x.npz"] = npz(io.BytesIO(), train=whole, valid=whole, test=whole).getvalue()
    for language in ("en", "de"):
        lines = (f"{language} line {n}.\n" for n in range(200))
        files[f"texts/train.{language}"] = "".join(lines).encode()
    return files


def tar_of(members: Mapping[str, bytes]) -> bytes:
    """Return a plain tar of files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def using(good: Path) -> dict[str, st.SearchStrategy[Mutant]]:
    """Return what is drawn, by what it changes; `good` is what `make_good` wrote."""

    def changed(
        base: str, file: str, change: Any, *todo: tuple[str, ...]
    ) -> st.SearchStrategy[Mutant]:
        """Draw a mutant with one other file."""
        path = max((good / base).glob(file))
        name = str(path.relative_to(good / base))
        return st.builds(
            lambda data, words: Mutant(words[0], words[1:], base, {name: data}),
            change(mutations.Good(path.read_bytes())),
            st.sampled_from(todo),
        )

    evaluate = ("arcadia", "eval", "@", "--games", "1")
    agent = (
        evaluate,
        evaluate,
        ("arcadia", "export", "@", "--sb3", "@/x.zip"),
        ("arcadia", "resume", "@"),
        ("arcadia", "watch", "@", "--video", "@/x.mp4", "--limit-s", "1"),
    )
    # This plays twenty games: of Catch that is soon done.
    export = ("arcadia", "export", "@", "--folder", "@/out")
    predict = ("arcadia", "predict", "@", "x.png")
    translate = ("arcadia", "predict", "@", "three.txt")
    table, tensors = mutations.changed_json, mutations.changed_safetensors
    pictures = ("pictures", "@")
    config = "config.json"
    info, state = "checkpoints/*/checkpoint.json", "checkpoints/*/state.safetensors"
    return {
        "configs": st.one_of(
            believed(good, "catch", *agent),
            believed(good, "catch", *agent),
            believed(good, "mnist", predict),
            believed(good, "translate-en-de", translate),
            changed("catch", config, table, *agent),
            changed("mnist", config, table, predict),
        ),
        "checkpoints": st.one_of(
            changed("catch", info, resealed, *agent),
            changed("catch", info, resealed, export),
            changed("mnist", info, resealed, predict),
            changed("catch", info, table, *agent),
            changed("catch", state, tensors, *agent),
            changed("catch", "checkpoints/*/cnn.safetensors", tensors, *agent),
        ),
        "networks": st.one_of(
            changed("go", "net.safetensors", tensors, ("go-network", "@/net.safetensors")),
            changed("catch", "checkpoints/*/cnn.safetensors", tensors, TRUNK),
        ),
        "zips": changed(
            "zip",
            "x.zip",
            mutations.changed_zip,
            ("arcadia", "eval", "@/x.zip", "--games", "1"),
            ("arcadia", "eval", "@/x.zip", "--games", "1", "--env", CATCH),
        ),
        "games": changed(
            "sgf",
            "game.sgf",
            mutations.changed_sgf,
            ("sgf", "@/game.sgf"),
            ("arcadia", "watch", "@/game.sgf"),
            ("gtp", "loadsgf @/game.sgf"),
        ),
        "idx": st.one_of(
            changed("idx", "train-images*", mutations.changed_idx, pictures),
            changed("idx", "t10k-labels*", mutations.changed_idx, pictures),
        ),
        "cifar": st.one_of(
            changed("cifar", "data_batch_3.bin", mutations.changed_bytes, pictures),
            changed("cifar-py", "data_batch_3", mutations.changed_bytes, pictures),
            changed("cifar-py", "test_batch", mutations.changed_bytes, pictures),
        ),
        "drawings": changed("drawings", "x.npz", mutations.changed_zip, ("drawings", "@")),
        "tars": changed("tar", "train.tar", lambda _: mutations.changed_tar(PACKED), pictures),
        "texts": changed("texts", "train.de", mutations.changed_lines, ("texts", "@")),
        "gtp": st.builds(lambda lines: Mutant("gtp", tuple(lines), "sgf"), gtp_lines()),
        "commands": st.builds(
            lambda words: Mutant("arcadia", tuple(words), "catch", stop_s=1.0),
            command_lines(commands("@")),
        ),
    }


@st.composite
def resealed(draw: mutations.Draw, data: bytes) -> bytes:
    """Draw another checkpoint.json whose own digest holds, as who sends it would make it."""
    return sealed(draw(mutations.changed_table(json.loads(data))))


def sealed(table: Any) -> bytes:
    """Return a table as JSON, with its own digest where it is one."""
    if isinstance(table, dict):
        rest = {name: value for name, value in table.items() if name != "sha256_of_this"}
        digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
        table = {**rest, "sha256_of_this": digest}
    return mutations.to_json(table)


def believed(good: Path, base: str, *todo: tuple[str, ...]) -> st.SearchStrategy[Mutant]:
    """Draw a run whose config and checkpoint say the same, so that no digest gives it away."""
    folder = good / base
    place = max(folder.glob("checkpoints/*/checkpoint.json"))
    about, info = json.loads((folder / "config.json").read_text()), json.loads(place.read_text())

    def made(config: Any, words: tuple[str, ...]) -> Mutant:
        files = {"config.json": sealed({**about, "config": config})}
        if "config" in info:
            files[str(place.relative_to(folder))] = sealed({**info, "config": config})
        return Mutant(words[0], words[1:], base, files)

    return st.builds(made, mutations.changed_table(about["config"]), st.sampled_from(todo))
