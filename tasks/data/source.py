"""Where samples come from: a set on disk or a world, apart from the task that learns from them."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from tasks.data.samples import Samples
from tasks.data.split_names import Split


class Source(ABC):
    """Samples by split, and what is known of them."""

    def __init__(self, config: Any, about: dict[str, Any] | None = None) -> None:
        """`about` is what a checkpoint kept of the training data, so that it is not needed."""
        self.config = config
        self.about = about or {}
        """What an answer needs to know of the training data, as plain values."""

    @abstractmethod
    def samples(self, split: Split) -> Samples:
        """Return the samples of a split; UserError if there are none."""

    @property
    def name(self) -> str:
        """What card and protocol call the data: the end of the folder that was given, or the set's
        name, if the config has them."""
        given = "/".join(Path(getattr(self.config, "data", "")).parts[-2:])
        return given or str(getattr(self.config, "set", type(self).__name__.lower()))

    def notes(self) -> list[str]:
        """Return what is to be said of the data read so far, such as what was left out."""
        return []

    def protocol(self, split: Split) -> dict[str, Any]:
        """Return what a score on a split has to say of the data."""
        return {"set": self.name}
