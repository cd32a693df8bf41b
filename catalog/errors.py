"""The error tree, grouped by whose fault it is, and the exit status that each group ends with.

A person's mistake is never a traceback: the command line prints `str(error)` and `error.help()`, and ends with
`status`.
"""

from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import ClassVar


class Status(IntEnum):
    """How a command ends; the highest that applies wins."""

    PROVED = 0
    NOT_PROVED = 1
    DECLARATION = 2
    ENVIRONMENT = 3
    EVIDENCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong with a declaration or a submitted file, and where. Lines and columns count from 1.

    `source`: the line, or the part of a long one around the fault; `caret`: the column in it (0: as in the file).
    """

    file: str
    line: int
    column: int
    code: str
    message: str
    hint: str = ""
    source: str = ""
    caret: int = 0

    def render(self) -> str:
        """Place, message, the source line with a caret under the fault, and what to do about it."""
        text = f"{self.file}:{self.line}:{self.column}: {self.code}: {self.message}"
        if self.source:
            margin = " " * (len(str(self.line)) + 1)
            source = self.source.replace("\t", " ")  # which takes one column here, whatever it takes in an editor
            text += f"\n  {self.line} | {source}\n  {margin}| {' ' * ((self.caret or self.column) - 1)}^"
        return text + (f"\n  hint: {self.hint}" if self.hint else "")

    def as_json(self) -> dict[str, str | int]:
        """The fault as `check --json` gives it."""
        return {name: value for name, value in asdict(self).items() if name not in ("source", "caret")}


class PlimsollError(Exception):
    """Anything that Plimsoll itself reports; `status` is the exit status, `help()` what a person should do next."""

    status: ClassVar[Status] = Status.ENVIRONMENT

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self._remedy = remedy

    def help(self) -> str:
        """What to do next; empty when the message says it already."""
        return self._remedy


class DeclarationError(PlimsollError):
    """The declared programme is at fault: every fault found, in file order."""

    status = Status.DECLARATION

    def __init__(self, faults: list[Fault], *, remedy: str = "") -> None:
        count = f"{len(faults)} fault{'s' if len(faults) != 1 else ''}"
        super().__init__("\n".join([*(fault.render() for fault in faults), count]), remedy=remedy)
        self.faults = faults


class UsageError(PlimsollError):
    """What was asked for does not exist or makes no sense: an unknown phase, test or figure."""

    status = Status.DECLARATION


class WorldError(PlimsollError):
    """The environment is at fault: the system under test, Prefect, the disk, another process."""

    status = Status.ENVIRONMENT


class EvidenceError(PlimsollError):
    """The recorded evidence is at fault: tampered with, missing, torn, or from a newer version."""

    status = Status.EVIDENCE
