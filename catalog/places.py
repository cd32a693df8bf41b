"""A file's content together with the place of each of its parts, so that a fault can point at it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.errors import Fault

Address = tuple[str | int, ...]
"""The keys and list positions that lead from the top of a file to one of its parts, such as ("phases", 0, "id")."""

MOST_FAULTS = 500
"""So many faults of one file's shape, or of disagreement, are explained; nobody mends more in one go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place in a file. Lines and columns count from 1; columns count characters."""

    line: int
    column: int


MOST_PARTS = 100_000
"""So many values or cells may stand in one file; the largest shipped one has some thousands."""

_LONGEST_LINE = 300
_AROUND = 60
_START = Place(line=1, column=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One file, read: plain data (dict, list, str, int, Decimal, bool, None) and where each key and value stands."""

    file: str
    lines: Sequence[str]
    data: Any
    keys: Mapping[Address, Place]
    values: Mapping[Address, Place]

    def fault(self, address: Address, code: str, message: str, hint: str = "", *, at_key: bool = False) -> Fault:
        """A fault at the part that `address` names, or at the nearest part around it that stands in the file."""
        place = self.keys.get(address) if at_key else None
        while place is None and address:
            place = self.values.get(address)
            address = address[:-1]
        return fault_at(self.file, self.lines, place or self.values.get((), _START), code, message, hint)


def fault_at(file: str, lines: Sequence[str], place: Place, code: str, message: str, hint: str = "") -> Fault:
    """A fault at a place, with the source line that stands there: of one too long to be read, the part around it."""
    source, caret = lines[place.line - 1] if place.line <= len(lines) else "", 0
    if len(source) > _LONGEST_LINE:
        start = max(0, place.column - 1 - _AROUND)
        source, caret = f"…{source[start : place.column + _AROUND]}…", place.column - start + 1
    return Fault(
        file=file,
        line=place.line,
        column=place.column,
        code=code,
        message=message,
        hint=hint,
        source=source,
        caret=caret,
    )
