"""What holding an exit criterion against the facts gives: its state, and the reason with its counts."""

from dataclasses import dataclass, field
from enum import StrEnum

from catalog.declarations import ExitCriterion


class State(StrEnum):
    """Whether a criterion holds, as far as it can be told."""

    MET = "met"
    NOT_MET = "not met"
    CANNOT_BE_TOLD = "cannot be told"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A criterion held against the facts. `reason` names each of `counts` in braces: `{proved} of {observations} …`."""

    criterion: ExitCriterion
    state: State
    reason: str
    counts: dict[str, int] = field(default_factory=dict)

    def told(self) -> str:
        """The reason as one sentence."""
        text = self.reason
        for name, value in self.counts.items():
            text = text.replace(f"{{{name}}}", str(value))
        return text
