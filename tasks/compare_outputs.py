"""Compares what was recorded with what was computed again: bytes first, and where they differ, what they say.

Bytes must be equal. Under other versions of libraries they may not be: then values decide, and numbers may differ by
the last of the digits that a statistic is rounded to (`expectations.rounding.DIGITS`).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from html.parser import HTMLParser
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from catalog.errors import EvidenceError
from catalog.ledger import Reference
from catalog.store import ObjectStore, parse
from expectations.rounding import DIGITS
from tasks.stage import Artefact

TOLERANCE = Decimal(10) ** (1 - DIGITS)
"""By so much of the larger number may two differ, or by one unit, where other library versions computed them."""

MOST = 5
"""So many differing values are told of one output."""

_WIDEST = 60
_PARQUET = b"PAR1"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDiffers:
    """An output whose bytes are not those recorded. `excused`: other libraries wrote it, and the values are the same.

    `what`: the values that differ, or why bytes alone do.
    """

    output: str
    what: tuple[str, ...]
    excused: bool

    def as_json(self) -> dict[str, Any]:
        """As `reperform --json` gives it."""
        return {"output": self.output, "what": list(self.what), "excused": self.excused}


def compare_output(
    reference: Reference, computed: Artefact, store: ObjectStore, *, others: list[str]
) -> OutputDiffers | None:
    """How `computed` differs from the recorded output; None when it is the same, byte for byte.

    `others`: the library versions that are not those that were recorded; without any, bytes that differ are a
    difference whatever they say.
    """
    if _digest(computed.data) == reference.digest:
        return None
    try:
        recorded = store.get(reference.digest)
    except EvidenceError as error:
        return OutputDiffers(output=reference.role, what=(f"cannot be compared: {error}",), excused=False)
    data = computed.data.read_bytes() if isinstance(computed.data, Path) else computed.data
    if reference.rows is not None and reference.rows == computed.rows:
        found, what = [], "the same rows, written as other bytes"
    else:
        found = list(islice(_values(reference.role, recorded, data, tolerant=bool(others)), MOST + 1))
        what = "the same values within the tolerance" if others else "the same values, written as other bytes"
    if found:
        more = (f"and more than {MOST} in all",) if len(found) > MOST else ()
        return OutputDiffers(output=reference.role, what=(*found[:MOST], *more), excused=False)
    return OutputDiffers(output=reference.role, what=(what,), excused=bool(others))


def _digest(data: bytes | Path) -> str:
    if isinstance(data, bytes):
        return hashlib.sha256(data).hexdigest()
    with data.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _values(role: str, recorded: bytes, computed: bytes, *, tolerant: bool) -> Iterator[str]:
    """What differs in what two outputs say, a sentence for each difference."""
    if recorded.startswith(_PARQUET) and computed.startswith(_PARQUET):
        yield from _cells(role, recorded, computed, tolerant=tolerant)
        return
    try:
        old, new = parse(recorded), parse(computed)
    except ValueError:
        yield from _texts(recorded, computed)
        return
    yield from _members("", old, new, tolerant=tolerant)


def _members(path: str, old: Any, new: Any, *, tolerant: bool) -> Iterator[str]:
    """What differs in two documents, by path: members by name, items by place."""
    match old, new:
        case dict(), dict():
            for name in sorted(old.keys() | new.keys()):
                below = f"{path}.{name}" if path else name
                if name in old and name in new:
                    yield from _members(below, old[name], new[name], tolerant=tolerant)
                else:
                    yield f"{below}: {'is there no more' if name in old else 'was not there then'}"
        case list(), list():
            if len(old) != len(new):
                yield f"{path}: {len(old)} items → {len(new)} items"
            for place, (was, now) in enumerate(zip(old, new, strict=False)):
                yield from _members(f"{path}[{place}]", was, now, tolerant=tolerant)
        case _ if (type(old), old) != (type(new), new) and not (tolerant and close(old, new)):
            yield f"{path or 'the document'}: {_short(old)} → {_short(new)}"


def _cells(role: str, recorded: bytes, computed: bytes, *, tolerant: bool) -> Iterator[str]:
    from tasks.parquet import read_table

    try:
        old, new = read_table(role, recorded), read_table(role, computed)
    except (EvidenceError, KeyError) as error:
        yield f"a table that cannot be read: {error}"
        return
    if len(old) != len(new):
        yield f"{len(old)} rows → {len(new)} rows"
        return
    for name in old.columns:
        before, after = (each[name].astype(object).where(each[name].notna(), None).tolist() for each in (old, new))
        for row, (was, now) in enumerate(zip(before, after, strict=True), 1):
            if was != now and not (tolerant and close(was, now)):
                yield f"row {row}, {name}: {_short(was)} → {_short(now)}"


class _Texts(HTMLParser):
    """The texts of a page, without those of styles and scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002  # as inherited
        """Whether what comes is read by nobody."""
        self._hidden += tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        """And when it is over."""
        self._hidden -= tag in ("style", "script")

    def handle_data(self, data: str) -> None:
        """A text, its white space made one."""
        if not self._hidden and (text := " ".join(data.split())):
            self.found.append(text)


def _texts(recorded: bytes, computed: bytes) -> Iterator[str]:
    """Pages are compared by their texts: a drawing's own shape is no value, and its figures stand in tables beside."""
    pages = []
    for data in (recorded, computed):
        page = _Texts()
        page.feed(data.decode(errors="replace"))
        page.close()
        pages.append(page.found)
    for was, now in zip_longest(*pages):
        if was != now:
            yield f"{_short(was)} → {_short(now)}"


def close(old: object, new: object) -> bool:
    """Whether two numbers (whole, or decimal strings) are the same but for the last digit of a rounded statistic."""
    if isinstance(old, bool) or isinstance(new, bool) or not (_is_number(old) and _is_number(new)):
        return False
    one, two = Decimal(str(old)), Decimal(str(new))
    whole = isinstance(old, int) and isinstance(new, int)
    return abs(one - two) <= max(TOLERANCE * max(abs(one), abs(two)), Decimal(whole))


def _is_number(value: object) -> bool:
    if isinstance(value, int):
        return True
    try:
        return isinstance(value, str) and value.isascii() and Decimal(value).is_finite()
    except InvalidOperation:
        return False


def _short(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"
