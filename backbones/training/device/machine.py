"""Where a number was made: the commit, the versions, the machine. Saved with every run."""

import platform
import re
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from backbones.training.device.cores import available_threads

CHECKOUT = Path(__file__).resolve().parents[3]
PACKAGES = ("arcadia", "torch", "numpy", "gymnasium", "ale-py", "safetensors")


@cache
def commit() -> str:
    """Return the commit of the checkout, `-dirty` behind it if files changed; "" outside one."""
    if not (CHECKOUT / ".git").exists():
        return ""
    words = ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide results."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def hardware() -> dict[str, Any]:
    """Return processor, usable cores and GPUs of this machine."""
    import torch

    cpu = platform.processor()
    if Path("/proc/cpuinfo").exists():
        match = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        cpu = match.group(1) if match else cpu
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"cpu": cpu, "cores": available_threads(), "gpus": gpus}
