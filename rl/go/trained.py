"""Networks that runs of the job `go` have trained, for whatever plays with one."""

from dataclasses import field, make_dataclass
from typing import Any, TypeVar

from backbones.training import checkpoint
from backbones.training.errors import UserError
from backbones.training.run import Run, find_run

T = TypeVar("T")


def run_of(name: str) -> Run | None:
    """Return the run of Go that a name means; None if it means none. UserError for a run that
    learnt something else."""
    try:
        run = find_run(name)
    except (UserError, OSError):  # also a name that no file may have
        return None
    if run.job != "go":
        raise UserError(f"{run.name} is a run of the job {run.job!r}, which plays no Go")
    return run


def load_trained(run: Run) -> tuple[Any, checkpoint.Checkpoint]:
    """Return the network of a run's newest whole checkpoint, and that; UserError if there is
    none."""
    # Only who plays with a network waits for torch.
    from backbones.training.checks.saved import restoring, room_for
    from backbones.training.session import newest_checkpoint

    found = newest_checkpoint(run)
    with restoring(run), room_for(run, found):
        return network_of(run, found), found


def network_of(run: Run, found: checkpoint.Checkpoint) -> Any:
    """Return the network of a checkpoint of a run, ready to play."""
    from backbones.training.checks.saved import config_of
    from backbones.training.find_job import job_of
    from backbones.transfer import load_weights
    from rl.go.network.go_network import build_network

    config: Any = config_of(run, job_of(run).config_type, found)
    network = build_network(config.network, config.size, config.size)
    load_weights(network, found)
    return network.eval()


def with_size_of(run: Run, config: type[T], **defaults: Any) -> type[T]:
    """Return a verb's config whose board is by default the one that a run has learnt."""
    size = run.config.get("size")
    known = {"size": size} if run.job == "go" and isinstance(size, int) else {}
    new = [(name, type(value), field(default=value)) for name, value in (known | defaults).items()]
    namespace = {"__module__": config.__module__, "__doc__": config.__doc__}
    return make_dataclass(
        config.__name__, new, bases=(config,), frozen=True, kw_only=True, namespace=namespace
    )
