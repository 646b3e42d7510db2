"""How answers are made, as flags of `arcadia eval` and `arcadia predict`.

A flag means the same for every task whose `config.answer` has a field of that name. The default of
each leaves that as the model was trained.
"""

from dataclasses import dataclass, fields
from typing import Any, Literal

from backbones.training.config import changed, require_not_negative
from backbones.training.errors import UserError


@dataclass(frozen=True, kw_only=True)
class AnswerFlags:
    """How answers are made, where it differs from how the model was trained."""

    beam: int = 0
    """Texts that a translator follows side by side; 0: as trained."""
    alpha: float | None = None
    """Strength of the length's penalty in that search; None: as trained."""
    tta: Literal["", "none", "flip", "shift"] = ""
    """Views of a picture that a classifier averages; empty: as trained."""

    def __post_init__(self) -> None:
        require_not_negative(self, "beam")

    @property
    def given(self) -> dict[str, Any]:
        """The flags that were given, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        untouched = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in values.items() if value != untouched[name]}

    def applied_to(self, config: Any, run: str) -> Any:
        """Return the config of a run, answering as the flags say; UserError if its task has no
        such choice."""
        if not self.given:
            return config
        answer = getattr(config, "answer", None)
        choices = [field.name for field in fields(answer)] if answer else []
        for name in self.given:
            if name not in choices:
                has = " and ".join(f"--{choice}" for choice in choices) or "no flag for that"
                raise UserError(f"--{name} means nothing to {run}: how it answers has {has}")
        return changed(config, answer=changed(answer, **self.given))
