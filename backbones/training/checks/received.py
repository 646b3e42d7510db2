"""Reading files from somebody else: plain files only, of bounded size, inside the run's folder.

A run's folder, a .zip and a file of weights may be downloads. A pipe would wait for ever, a device
has no end, and a link can lead anywhere: all three are refused before anything is read.
"""

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backbones.training.errors import UserError
from backbones.training.files import check_plain, read_bounded

# A config has 2 KB; a checkpoint.json holds a translator's vocabulary, some MB at most.
CONFIG_BYTES, INFO_BYTES = 2**22, 2**25
DEEPEST = 32  # tables in tables; ours have 4


def regular(path: Path, within: Path | None = None) -> Path:
    """Return a path if a regular file is there, and inside `within` once all links are followed.

    UserError for anything else; FileNotFoundError if nothing is there.
    """
    if within is not None and not is_inside(path, os.path.realpath(within)):
        raise UserError(
            f"{path} is a link that leads out of {within}, which is not followed; put the file "
            "itself there"
        )
    check_plain(path)
    return path


def is_inside(path: str | Path, home: str) -> bool:
    """Say whether a path, once all links are followed, lies in a folder whose path has none."""
    return os.path.realpath(path).startswith(home + os.sep)


def read_json(path: Path, most_bytes: int, within: Path | None = None) -> dict[str, Any]:
    """Return the JSON object in a regular file; UserError, in one line, for anything else.

    FileNotFoundError, as any other OSError, stays one.
    """
    return parse_json(read_bounded(regular(path, within), most_bytes), str(path))


def parse_json(data: bytes | str, name: str) -> dict[str, Any]:
    """Return the object that JSON holds; UserError, which begins with `name`, if it is none."""
    try:
        found = json.loads(data)
    except RecursionError:
        raise UserError(f"{name} is broken: it is nested too deeply") from None
    except ValueError as error:
        raise UserError(f"{name} is broken: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{name} is broken: it holds no JSON object")
    level: list[Any] = [found]
    for _ in range(DEEPEST):
        inside = (v.values() if isinstance(v, dict) else v for v in level)
        level = [each for values in inside for each in values if isinstance(each, dict | list)]
    if level:
        raise UserError(f"{name} is broken: it is nested too deeply")
    return found


def refuse_strange(folder: Path) -> None:
    """UserError if anything in a folder is a link that leads out of it, or no file or folder."""
    home = os.path.realpath(folder)
    for parent, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = os.path.join(parent, name)
            try:
                mode = os.lstat(path).st_mode
            except FileNotFoundError:
                continue  # A training in this folder has dropped it just now.
            if stat.S_ISLNK(mode):
                if not is_inside(path, home):
                    raise UserError(
                        f"{path} is a link that leads out of {folder}, which is not followed; put "
                        "what it leads to there"
                    )
            elif not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise UserError(f"{path} is neither a file nor a folder; remove it first")


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal; it is never in memory as a whole."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_digest(values: Any) -> str:
    """Return the SHA-256 of what JSON can hold, in hexadecimal, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


SEAL = "sha256_of_this"


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what JSON can hold with its own digest in it."""
    rest = {key: value for key, value in values.items() if key != SEAL}
    return {**rest, SEAL: json_digest(rest)}


def is_sealed(values: Mapping[str, Any]) -> bool:
    """Say whether a digest in values is that of the rest; where none is, nothing is known."""
    return SEAL not in values or sealed(values)[SEAL] == values[SEAL]
