"""Delimited text, record by record and exactly: quotes, newlines within them, and what is broken, line by line."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.intake.format import Account
from tasks.intake.lines import LONGEST, lines, text_of

_MOST_LINES = 1000
"""So many lines may one record take up; a quote that is never closed must not swallow the file."""

csv.field_size_limit(2 * LONGEST)


@dataclass(frozen=True, slots=True)
class Row:
    """The fields of one record, the line that it begins on, and whether all of it was UTF-8."""

    line: int
    fields: list[str]
    utf8: bool


def rows(path: Path, account: Account, delimiter: str, encoding: str = "") -> Iterator[Row]:
    """Every record of a file; blank lines, broken records and lines within one are accounted for.

    A quoted field that does not end within a thousand lines spoils the line that it begins on, and no more.
    """
    waiting: list[tuple[int, bytes]] = []
    for number, line, whole in lines(path):
        account.total += 1
        if not whole:
            yield from _flush(waiting, account, delimiter, encoding)
            waiting = []
            account.skip(number, f"longer than {LONGEST} bytes")
            continue
        waiting.append((number, line))
        yield from _taken(waiting, account, delimiter, encoding, last=False)
    yield from _flush(waiting, account, delimiter, encoding)


def record(data: bytes, delimiter: str, encoding: str = "") -> tuple[list[str] | None, bool]:
    """The fields of one record, None where its quotes do not close, and whether it was UTF-8."""
    text, utf8 = text_of(data, encoding)
    if '"' not in text:
        return text.split(delimiter), utf8
    try:
        found = list(csv.reader([text] if "\n" not in text else _split(text), delimiter=delimiter, strict=True))
    except csv.Error:
        return None, utf8
    return (found[0] if len(found) == 1 else None), utf8


def _split(text: str) -> list[str]:
    parts = text.split("\n")
    return [f"{part}\n" for part in parts[:-1]] + [parts[-1]]


def _taken(
    waiting: list[tuple[int, bytes]], account: Account, delimiter: str, encoding: str, *, last: bool
) -> Iterator[Row]:
    """The record that `waiting` makes, if it is whole; where it can be none, its first line alone is given up."""
    while waiting:
        quotes = sum(line.count(b'"') for _, line in waiting)
        long = len(waiting) > _MOST_LINES or sum(len(line) for _, line in waiting) > LONGEST
        if quotes % 2 and not (long or last):
            return
        first = waiting[0][0]
        joined = b"\n".join(line for _, line in waiting)
        fields, utf8 = (None, True) if quotes % 2 else record(joined, delimiter, encoding)
        if fields is not None:
            if len(waiting) == 1 and not waiting[0][1].strip():
                account.blank += 1
            else:
                account.continued += len(waiting) - 1
                yield Row(first, fields, utf8)
            waiting.clear()
            return
        account.skip(first, "a quoted field that does not end")
        rest = waiting[1:]
        waiting.clear()
        for each in rest:  # what followed is looked at anew, without the line that spoiled it
            waiting.append(each)
            yield from _taken(waiting, account, delimiter, encoding, last=False)


def _flush(waiting: list[tuple[int, bytes]], account: Account, delimiter: str, encoding: str) -> Iterator[Row]:
    yield from _taken(waiting, account, delimiter, encoding, last=True)
