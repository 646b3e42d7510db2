"""Loading a job: one of the table, or one in a module of the user's, written `module:NAME`.

A run's config.json names its job, and a run may come from anybody: a module that is not in the
table of `backbones/training/jobs.py` is imported only if a person named it
(`backbones/training/checks/trust.py`).
"""

import os
import re
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from backbones.training.checks import trust
from backbones.training.config import parse_job
from backbones.training.errors import UserError, nearest
from backbones.training.job import Job
from backbones.training.jobs import JOBS, Kind, import_own
from backbones.training.run import Run

OWN_JOB = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<name>[A-Za-z_]\w*)", re.ASCII)


def load_job(name: str) -> Job:
    """Return a job by its name in the table, or `module:NAME`, which a person has typed or listed.

    UserError, with the nearest name, if there is none, or if what it needs is not installed.
    """
    if name in JOBS:
        try:
            return import_module(JOBS[name].module).JOB  # type: ignore[no-any-return]
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] != "stable_baselines3":
                raise
            raise UserError(
                f"{name} needs stable-baselines3; `pip install sb3-contrib` brings it"
            ) from None
    own = OWN_JOB.fullmatch(name)
    if own is None or own["module"].endswith(".py"):
        raise UserError(why_none(name))
    return own_job(name, own["module"], own["name"])


def typed_job(name: str) -> Job:
    """Return a job that a person named, whose module may be imported for that."""
    if name not in JOBS:
        trust.allow(name)
    return load_job(name)


def parse_flags(job: Job, args: Sequence[str], prog: str) -> tuple[Any, str]:
    """Return a job's config and the name of the preset that flags ask for; UserError, in one line,
    for a mistake."""
    about = JOBS[job.name].presets if job.name in JOBS else {}
    others = job.other_names
    return parse_job(
        job.config_type, job.presets, args, prog=prog, other_names=others, about_presets=about
    )


def why_none(name: str) -> str:
    """Return what is wrong with the name of a job, and what to write instead."""
    file, _, job = name.partition(":")
    stem = file.removesuffix(".py")
    if stem.isidentifier() and os.path.exists(f"{stem}.py"):
        return f"job {name!r} is unknown; did you mean {stem}:{job or 'JOB'}?"
    if not name:
        return f"which job? Choose one of {', '.join(JOBS)}, or module:JOB of your own"
    return f"job {name!r} is unknown{nearest(name, JOBS)} One of your own is module:JOB"


def own_job(full_name: str, module_name: str, name: str) -> Job:
    """Return the job `name` of a user's module; UserError if it has none."""
    try:
        module = import_own(module_name)
    except ModuleNotFoundError as error:
        if error.name not in (module_name, module_name.split(".")[0]):
            raise UserError(
                f"{module_name} needs the module {error.name}, which is missing"
            ) from None
        raise UserError(
            f"there is no module {module_name} for the job {full_name}, neither installed nor in "
            f"{os.getcwd()}; go to its folder, or put that into $PYTHONPATH"
        ) from None
    job = getattr(module, name, None)
    if not isinstance(job, Job):
        jobs = [key for key, value in vars(module).items() if isinstance(value, Job)]
        has = f"it has {', '.join(jobs)}" if jobs else "it has no job: see CONTRIBUTING.md"
        raise UserError(f"{module_name} has no job {name}; {has}")
    if job.name in JOBS:
        raise UserError(
            f"{full_name} calls itself {job.name!r}, which is a job of Arcadia's; give it a name "
            "of its own"
        )
    job.full_name = full_name
    return job


def job_of(run: Run) -> Job:
    """Return the job of a run; UserError for one that is unknown, or lives in a module that no
    person has named."""
    if run.job not in JOBS:
        if OWN_JOB.fullmatch(run.job) is None:
            raise UserError(f"{run.name} is a run of the job {run.job!r}{nearest(run.job, JOBS)}")
        if not run.silent and not trust.is_remembered(run.folder, run.about):
            trust.require_typed_job(run.job, run.name)
    return load_job(run.job)


def kind_of(run: Run) -> Kind:
    """Return the kind of a run's job, of one in the table without importing it."""
    return JOBS[run.job].kind if run.job in JOBS else job_of(run).kind


def require_kind(run: Run, kind: Kind) -> None:
    """UserError, with what can be done instead, unless a run's job is of this kind."""
    actual = kind_of(run)
    if actual == kind:
        return
    if actual == "go":
        raise UserError(
            f"{run.name} has learnt Go: `arcadia play {run.name}` plays it, `arcadia watch "
            f"{run.name}` shows it playing, `arcadia eval {run.name}` scores it"
        )
    if kind == "agent":
        raise UserError(f"{run.name} is a run of the job {run.job!r}, which plays no games")
    raise UserError(
        f"{run.name} is an agent ({run.job}), which predicts nothing of files; `arcadia watch "
        f"{run.name}` shows it playing, `arcadia eval {run.name}` scores it"
    )


def print_jobs() -> None:
    """Print every job of the table with its presets."""
    wide = 2 + max(map(len, JOBS))
    wide_preset = 2 + max(len(preset) for entry in JOBS.values() for preset in entry.presets)
    for name, entry in JOBS.items():
        print(f"{name:{wide}}{entry.about}")
        try:
            load_job(name)
        except UserError as error:
            print(f"{'':{wide}}{error}")
        for preset, about in entry.presets.items():
            print(f"{'':{wide}}{preset:{wide_preset}}{about}")
    print(f"{'module:JOB':{wide}}a job of your own: see CONTRIBUTING.md")
    print("below each job are its presets: `arcadia train JOB --preset NAME`")
