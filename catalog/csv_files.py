"""CSV files (RFC 4180, UTF-8, with a header) as rows of plain data with places.

Columns are the fields of a declared model. Line ends may be LF or CRLF; blank lines are skipped.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from catalog.declarations import Declared, MeterUnit, ObservedMeasure
from catalog.errors import Fault
from catalog.hints import did_you_mean
from catalog.places import MOST_FAULTS, MOST_PARTS, Address, Document, Place, fault_at

_CELL = re.compile(r'"(?P<quoted>(?:[^"]|"")*)"|(?P<plain>[^",\n]*)')
_WHOLE = re.compile(r"[0-9]{1,15}")
_YES_NO = {"yes": True, "no": False}
_ENUMERATED = (MeterUnit, ObservedMeasure)
"""Columns of these say what is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cell:
    text: str
    place: Place


class _UnfitError(Exception):
    """No rows can be made out of a file, for a reason that stands at a place."""

    def __init__(self, place: Place, code: str, message: str, hint: str = "") -> None:
        super().__init__(place, code, message, hint)
        self.reason = (place, code, message, hint)


def parse_csv(
    file: str, text: str, model: type[Declared], words: Mapping[str, str] | None = None
) -> tuple[Document | None, list[Fault]]:
    """The rows in `text` (a list of mappings by column), and their faults. No document: no use looking further.

    `words`: what columns and whole cells of enumerations may be called here, to the names that the model has for them.
    """
    words = words or {}
    text = text.replace("\r\n", "\n")
    lines = text.split("\n")
    try:
        header, *rows = [row for row in _rows(text) if len(row) > 1 or row[0].text] or [[]]
    except _UnfitError as error:
        return None, [fault_at(file, lines, *error.reason)]
    header = [replace(cell, text=words.get(cell.text.strip(), cell.text)) for cell in header]
    faults = list(islice(_header_faults(file, lines, header, model), MOST_FAULTS))
    if faults:
        return None, faults
    names = [cell.text.strip() for cell in header]
    if words:
        rows = [_renamed(model, names, row, words) if len(row) == len(names) else row for row in rows]
    return _document(file, lines, names, rows, model)


def _renamed(model: type[Declared], names: list[str], row: list[_Cell], words: Mapping[str, str]) -> list[_Cell]:
    """The row by the model's own words, in those columns that hold one of a list of words."""
    kinds = [_kind(model, name) for name in names]
    return [
        replace(cell, text=words.get(cell.text.strip(), cell.text)) if kind in _ENUMERATED else cell
        for cell, kind in zip(row, kinds, strict=True)
    ]


def reworded(faults: Iterable[Fault], words: Mapping[str, str]) -> list[Fault]:
    """Faults that speak of the model's names, in the words that stand in the file (see `parse_csv`)."""
    own = {name: word for word, name in words.items()}
    pattern = re.compile("|".join(rf"\b{re.escape(name)}\b" for name in sorted(own, key=len, reverse=True)) or "$^")

    def word(text: str) -> str:
        return pattern.sub(lambda found: own[found[0]], text)

    return [replace(fault, message=word(fault.message), hint=word(fault.hint)) for fault in faults]


def _rows(text: str) -> Iterator[list[_Cell]]:
    line, start, offset, cells, row = 1, 0, 0, 0, list[_Cell]()
    while offset <= len(text):
        found = _CELL.match(text, offset)
        place = Place(line=line, column=offset - start + 1)
        end = found.end() if found else offset
        if found is None or text[end : end + 1] not in (",", "\n", ""):
            message = "expected a comma or the end of the line after a cell whose quotes are closed"
            raise _UnfitError(place, "csv", message, "quotes enclose a whole cell; a quote within is written twice")
        cells += 1
        if cells > MOST_PARTS:
            raise _UnfitError(
                place, "too-much", f"expected at most {MOST_PARTS} cells in a file, found more", "split it"
            )
        row.append(_Cell(text=(found["plain"] or "") + (found["quoted"] or "").replace('""', '"'), place=place))
        if breaks := found[0].count("\n"):
            line, start = line + breaks, offset + found[0].rindex("\n") + 1
        offset = end + 1
        if text[end : end + 1] != ",":
            yield row
            line, start, row = line + 1, offset, []


def _header_faults(file: str, lines: list[str], header: list[_Cell], model: type[Declared]) -> Iterator[Fault]:
    fields, seen = set(model.model_fields), set[str]()
    for cell in header:
        name = cell.text.strip()
        if name in seen:
            yield fault_at(
                file, lines, cell.place, "duplicate-column", f"the column '{name}' stands here again", "keep one"
            )
        elif name not in fields and model.model_config.get("extra") == "forbid":
            message, hint = f"unknown column '{name[:60]}'", did_you_mean(name, fields)
            yield fault_at(file, lines, cell.place, "unknown-column", message, hint)
        seen.add(name)
    required = [name for name, field in model.model_fields.items() if field.is_required()]
    if missing := [name for name in required if name not in seen]:
        message = f"expected the columns {', '.join(required)}; {', '.join(missing)} not found"
        hint = "the first line names the columns"
        yield fault_at(file, lines, Place(line=1, column=1), "missing-column", message, hint)


def _document(
    file: str, lines: list[str], names: list[str], rows: list[list[_Cell]], model: type[Declared]
) -> tuple[Document, list[Fault]]:
    data: list[dict[str, Any]] = []
    values: dict[Address, Place] = {}
    faults = []
    for row in rows:
        if len(row) != len(names):
            message = f"expected {len(names)} cells, found {len(row)}"
            faults.append(fault_at(file, lines, row[0].place, "cells", message, "quote a cell that holds a comma"))
            continue
        values[len(data),] = row[0].place
        values.update({(len(data), name): cell.place for name, cell in zip(names, row, strict=True)})
        data.append({name: _converted(model, name, cell.text.strip()) for name, cell in zip(names, row, strict=True)})
        faults += [
            fault_at(
                file,
                lines,
                cell.place,
                "expected-yes-no",
                f"expected yes or no, found '{cell.text[:60]}'",
                "write one of them",
            )
            for name, cell in zip(names, row, strict=True)
            if _kind(model, name) is bool and not isinstance(data[-1][name], bool)
        ]
    return Document(file=file, lines=lines, data=data, keys={}, values=values), faults[:MOST_FAULTS]


def _kind(model: type[Declared], name: str) -> Any:
    """The type of a column's cells; where they may be empty, the type of the others."""
    annotation = model.model_fields[name].annotation if name in model.model_fields else str
    if get_origin(annotation) is UnionType or get_origin(annotation) is Union:
        annotation = next(choice for choice in get_args(annotation) if choice is not NoneType)
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _may_be_empty(model: type[Declared], name: str) -> bool:
    return name in model.model_fields and NoneType in get_args(model.model_fields[name].annotation)


def _converted(model: type[Declared], name: str, text: str) -> Any:
    """A cell as the field wants it; as text where that cannot be, which its shape then refuses."""
    kind = _kind(model, name)
    if not text and _may_be_empty(model, name):
        return None
    if kind is bool:
        return _YES_NO.get(text, text)
    return int(text) if kind is int and _WHOLE.fullmatch(text) else text
