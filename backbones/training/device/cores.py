"""How many cores this process may use.

`taskset`, containers and batch systems give less than the machine has; processes that torchrun
starts on one machine share what there is.
"""

import os


def available_cores() -> list[int]:
    """Return the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def available_threads() -> int:
    """Return how many cores this process may use."""
    return len(available_cores())


def cores_each() -> int:
    """Return how many cores each process of this machine may use."""
    return available_threads() // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def spare_cores() -> int:
    """Return the cores beside the one that learns and the one that acts; at least 1."""
    return max(1, cores_each() - 2)
