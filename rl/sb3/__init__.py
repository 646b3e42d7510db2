"""The bridge to stable-baselines3."""

from typing import Any


def __getattr__(name: str) -> Any:
    """Return the features extractor by the name that .zip files of earlier versions have for it."""
    if name != "TrunkExtractor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from rl.sb3.environments import TrunkExtractor

    return TrunkExtractor
