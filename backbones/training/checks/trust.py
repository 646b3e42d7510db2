"""Which Python modules may be imported for a game or a job: those a person names, never those a
file names.

The game `mygames:Flappy-v0`, its wrapper `mywraps:Shaped` and the job `mytasks:COUNT` import a
module, and a module can do anything. A run or a .zip that somebody sent must not choose one. A
module may be imported if it was typed in this process (`--env`, `--wrapper`, `--module`,
`arcadia train mytasks:COUNT`), if $ARCADIA_MODULES lists it, or if a run that was trained here
named it. The last is remembered outside the run's folder, where nothing that is sent can say it:
one small file a run in $ARCADIA_STATE (else $XDG_STATE_HOME/arcadia, else ~/.local/state/arcadia)
with the folder's path and the digest of job and config.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backbones.training.checks.received import CONFIG_BYTES, json_digest, read_json
from backbones.training.checks.values import shown
from backbones.training.errors import UserError
from backbones.training.files import write_atomically

PLAIN_ID = re.compile(r"[\w./:-]{1,200}", re.ASCII)
# Modules that a person has named in this process.
typed: set[str] = set()


def module_of(name: object) -> str:
    """Return the Python module in the id of a game or a job, "" for one without."""
    return name.rpartition(":")[0] if isinstance(name, str) else ""


def allow(name: str) -> None:
    """Note that a person typed the id of this game or job: its module may be imported now."""
    if module_of(name):
        typed.add(module_of(name))


def wrapper_modules(config: Mapping[str, Any]) -> list[str]:
    """Return the Python modules of the wrappers, `module:Class(...)`, that a run's config names."""
    options = config.get("env_options")
    wrappers = options.get("wrapper") if isinstance(options, Mapping) else None
    texts = wrappers if isinstance(wrappers, list | tuple) else ()
    return [text.partition(":")[0] for text in texts if isinstance(text, str)]


def allow_all(config: Mapping[str, Any]) -> None:
    """Note that a person typed a config's game, wrappers and callback."""
    allow(config.get("env", ""))
    allow(config.get("callback", ""))
    typed.update(wrapper_modules(config))


def is_allowed(module: str) -> bool:
    """Say whether a person has named a module, here or in $ARCADIA_MODULES."""
    listed = re.split(r"[,:\s]+", os.environ.get("ARCADIA_MODULES", ""))
    return module in typed or module in listed


def require_typed(env: str, name: str) -> None:
    """UserError, with what to type, unless the module in an id that a file names is allowed.

    `name` is the run or file.
    """
    module = module_of(env)
    if module and not is_allowed(module):
        if PLAIN_ID.fullmatch(env) is None:  # Nothing that a shell would take for more.
            raise UserError(f"{name} plays {shown(env)}, which is not the id of a game")
        raise UserError(
            f"{name} plays {env!r}; its Python module {module!r} is not imported because a file "
            f"asks for it. If you trust it, add --env {env}, or list {module} in $ARCADIA_MODULES"
        )


def require_typed_wrappers(config: Mapping[str, Any], name: str) -> None:
    """The same for the modules of the wrappers that a run's config, or a file's card, names."""
    for module in wrapper_modules(config):
        if not is_allowed(module):
            raise UserError(
                f"{name} wraps its game in a class of {shown(module)}; that Python module is not "
                "imported because a file asks for it. If you trust it, add --module with its name, "
                "or list it in $ARCADIA_MODULES"
            )


def require_typed_job(job: str, name: str) -> None:
    """The same for the module of a job that a run's config names."""
    module = module_of(job)
    if not is_allowed(module):
        others = ", ".join(sorted(typed))
        raise UserError(
            f"{name} was trained by {job}; its Python module {module!r} is not imported because a "
            f"file asks for it. If you trust it, add --module {module}, or list it in "
            "$ARCADIA_MODULES" + (f" (you named {others})" if others else "")
        )


def require_typed_callback(callback: str, name: str) -> None:
    """The same for the module of a callback that a run's config names."""
    module = module_of(callback)
    if not is_allowed(module):
        raise UserError(
            f"{name} has the callback {shown(callback)}; its Python module {shown(module)} is not "
            "imported because a file asks for it. If you trust it, add --module and its name, or "
            "list it in $ARCADIA_MODULES"
        )


def state_folder() -> Path:
    """Return where this person's own notes lie; RuntimeError where there is no home."""
    if os.environ.get("ARCADIA_STATE"):
        return Path(os.environ["ARCADIA_STATE"])
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "arcadia"


def note_of(folder: Path) -> tuple[Path, str]:
    """Return the file with what is remembered of a run, and the path that it must hold."""
    path = str(folder.resolve())
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:32]
    return state_folder() / "trained" / f"{name}.json", path


def digest_of(about: Mapping[str, Any]) -> str:
    """Return the digest of a run's job and config."""
    return json_digest([about["job"], about["config"]])


def remember(folder: Path, about: Mapping[str, Any]) -> str:
    """Note that this person trains a run here, if its game or its job needs a module.

    Return "", or a warning for where no note can be made: then the run works by typing.
    """
    env = about["config"].get("env")
    config = about["config"]
    callback = module_of(config.get("callback"))
    named = (module_of(env), module_of(about["job"]), callback, *wrapper_modules(config))
    modules = [name for name in named if name]
    if not modules:
        return ""
    try:
        file, path = note_of(folder)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps({"run": path, "sha256": digest_of(about)}) + "\n")
    except (OSError, RuntimeError) as error:
        wanted = f"--env {env}" if module_of(env) else f"--module {modules[0]}"
        return (
            f"no note could be made that this run was trained here ({error}): resume, eval and "
            f"watch will want {wanted}; $ARCADIA_STATE is where the notes go"
        )
    return ""


def is_remembered(folder: Path, about: Mapping[str, Any]) -> bool:
    """Say whether this person trained the run at this place, with this very config."""
    try:
        file, path = note_of(folder)
        note = read_json(file, CONFIG_BYTES)
    except (OSError, RuntimeError, UserError):
        return False
    return note == {"run": path, "sha256": digest_of(about)}
