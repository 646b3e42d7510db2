"""How answers are made, as flags of `arcadia eval` and `arcadia predict`: those of the run's task.

A task whose config has a group `answer` (a translator's beam, a classifier's views) has its fields
as flags of both commands; their defaults are what the run was trained with.
"""

from dataclasses import field, make_dataclass
from typing import Any

from backbones.training.checks.saved import config_of
from backbones.training.find_job import job_of, require_kind
from backbones.training.run import Run


def with_answer_flags(command: type[Any], run: Run) -> type[Any]:
    """Return a command's config with the `answer` group of a run's task, if it has one."""
    require_kind(run, "task")
    answer = getattr(config_of(run, job_of(run).config_type, None), "answer", None)
    if answer is None:
        return command
    return make_dataclass(
        command.__name__,
        [("answer", type(answer), field(default=answer))],
        bases=(command,),
        namespace={"__doc__": command.__doc__},
        frozen=True,
        kw_only=True,
    )
