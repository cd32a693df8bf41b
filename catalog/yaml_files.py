"""YAML files as plain data with places.

A small, exact part of YAML 1.2: one document, mappings with text for keys, lists and scalars. Numbers are whole or
exact decimals, never floats. Tags and aliases are refused: a declaration is data that reads the same everywhere, and
a file of a few lines must not unfold into gigabytes.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

import yaml

from catalog.errors import Fault
from catalog.places import MOST_FAULTS, MOST_PARTS, Address, Document, Place, fault_at
from catalog.text_files import UNPRINTABLE

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's parser is ten times as fast
_DEEPEST = 32
_LARGEST = 2**53 - 1  # RFC 8785 numbers are IEEE 754 doubles: larger integers could not be recorded exactly
_MOST_DIGITS = 40
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)")
_INEXACT = re.compile(r"[-+]?(\.inf|\.Inf|\.INF|([0-9]+(\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+)|\.nan|\.NaN|\.NAN")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
"""Plain scalars that are not text, by the core schema of YAML 1.2 (section 10.3.2); `yes` and `on` are text."""


def parse_yaml(file: str, text: str) -> tuple[Document | None, list[Fault]]:
    """The document in `text`, and its faults. There is no document when its structure could not be made out."""
    lines = text.splitlines()
    tabs = (_tab(file, lines, number) for number, line in enumerate(lines, 1) if line.lstrip(" ").startswith("\t"))
    if faults := list(islice(tabs, MOST_FAULTS)):
        return None, faults
    builder = _Builder(file, lines)
    try:
        data = builder.document(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        return None, [*builder.faults, _not_yaml(file, lines, error)]
    except yaml.YAMLError as error:
        return None, [*builder.faults, fault_at(file, lines, Place(line=1, column=1), "yaml", f"not YAML: {error}")]
    except _UnfitError:
        return None, builder.faults
    return Document(file=file, lines=lines, data=data, keys=builder.keys, values=builder.values), builder.faults


class _UnfitError(Exception):
    """Nothing more can be made of a file; its builder holds the fault that says why."""


class _Builder:
    """Makes plain data of parser events, and notes where each part stands and what is wrong with it."""

    def __init__(self, file: str, lines: list[str]) -> None:
        self.faults: list[Fault] = []
        self.keys: dict[Address, Place] = {}
        self.values: dict[Address, Place] = {}
        self._file = file
        self._lines = lines

    def document(self, events: Iterator[yaml.Event]) -> Any:
        """The data of the only document among `events`; None when there is none."""
        data, count = None, 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                count += 1
                if count > 1:
                    self._fault(event, "documents", "expected one document, found another", "make it a file of its own")
                    raise _UnfitError
                data = self._node(next(events), events, ())
        return data

    def _node(self, event: yaml.Event, events: Iterator[yaml.Event], address: Address) -> Any:
        self.values[address] = _place(event)
        if len(self.values) > MOST_PARTS:
            self._fault(
                event,
                "too-much",
                f"expected at most {MOST_PARTS} values in a file, found more",
                "is this the right file?",
            )
            raise _UnfitError
        if (tag := getattr(event, "tag", None)) is not None:
            self._fault(event, "tag", f"found the tag {tag[:60]}", "remove it: declarations are plain data")
        self._refuse_depth(event, len(address))
        match event:
            case yaml.MappingStartEvent():
                return self._mapping(events, address)
            case yaml.SequenceStartEvent():
                return self._sequence(events, address)
            case yaml.ScalarEvent():
                return self._scalar(event)
            case _:
                self._fault(event, "alias", "found an alias (*)", "write out what it stands for")
                return None

    def _sequence(self, events: Iterator[yaml.Event], address: Address) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self._node(event, events, (*address, len(items))))
        return items

    def _mapping(self, events: Iterator[yaml.Event], address: Address) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key = self._key(event, events)
            place = _place(event)
            first = self.keys.get((*address, key)) if key in items else None
            if first is not None:
                message = f"the key '{key}' stands here a second time; the first is in line {first.line}"
                self._fault(event, "duplicate-key", message, "keep one of them")
                self._skip(next(events), events)
                continue
            self.keys[*address, key] = place
            items[key] = self._node(next(events), events, (*address, key))
        return items

    def _key(self, event: yaml.Event, events: Iterator[yaml.Event]) -> str:
        """The key that `event` begins; a fault and a name that nobody declares when it is not text."""
        if not isinstance(event, yaml.ScalarEvent):
            self._fault(
                event, "key", "expected a key that is text, found something else", "a key is a word, such as title:"
            )
            self._skip(event, events)
            return f"line {_place(event).line}"
        if event.value == "<<" and event.implicit[0]:
            self._fault(event, "merge-key", "found the merge key <<", "write out what it merges")
            return "<<"
        data = self._scalar(event)
        if not isinstance(data, str):
            self._fault(event, "key", f"expected a key that is text, found '{event.value[:60]}'", "put it in quotes")
        return str(event.value)

    def _skip(self, event: yaml.Event, events: Iterator[yaml.Event]) -> None:
        """Past a node that is not looked into; its nesting is limited like that of any other."""
        depth = int(isinstance(event, yaml.CollectionStartEvent))
        while depth:
            event = next(events)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            self._refuse_depth(event, depth)

    def _refuse_depth(self, event: yaml.Event, depth: int) -> None:
        if depth > _DEEPEST:
            self._fault(
                event, "too-deep", f"nested more than {_DEEPEST} levels deep", "look for brackets that are not closed"
            )
            raise _UnfitError

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        value = event.value
        if unprintable := UNPRINTABLE.search(value):
            self._fault(
                event, "control-character", f"the text holds the character U+{ord(unprintable[0]):04X}", "remove it"
            )
            return UNPRINTABLE.sub("", value)
        if not event.implicit[0]:  # quoted, or a block
            return value
        if value in _WORDS:
            return _WORDS[value]
        return self._number(event, value)

    def _number(self, event: yaml.ScalarEvent, value: str) -> Any:
        """`value` as a whole number or a decimal where it is one, else as text."""
        whole, exact = _WHOLE.fullmatch(value), _DECIMAL.fullmatch(value)
        if _INEXACT.fullmatch(value):
            self._fault(event, "number", f"expected a number written out, found '{value[:60]}'", "such as 1500 or 0.25")
            return 0
        if (whole or exact) and (len(value) > _MOST_DIGITS or (whole and abs(int(value)) > _LARGEST)):
            self._fault(
                event,
                "number",
                f"'{value[:60]}' is larger than any number that can be recorded exactly",
                "put it in quotes if it is a name; else round it",
            )
            return 0
        return int(value) if whole else Decimal(value) if exact else value

    def _fault(self, event: yaml.Event, code: str, message: str, hint: str = "") -> None:
        self.faults.append(fault_at(self._file, self._lines, _place(event), code, message, hint))
        if len(self.faults) == MOST_FAULTS:
            raise _UnfitError


def _place(event: yaml.Event) -> Place:
    mark: Any = event.start_mark  # never None in an event that a parser made
    return Place(line=mark.line + 1, column=mark.column + 1)


def _tab(file: str, lines: list[str], number: int) -> Fault:
    place = Place(line=number, column=lines[number - 1].index("\t") + 1)
    return fault_at(file, lines, place, "tab", "found a tab in the indentation", "indent with spaces")


def _not_yaml(file: str, lines: list[str], error: yaml.MarkedYAMLError) -> Fault:
    mark = error.problem_mark or error.context_mark
    if mark and mark.line >= len(lines) and error.context_mark:
        mark = error.context_mark  # the file ends within something: where that began says more
    place = Place(line=mark.line + 1, column=mark.column + 1) if mark else Place(line=1, column=1)
    context = f" ({error.context} of line {error.context_mark.line + 1})" if error.context_mark else ""
    hint = "check indentation, colons, quotes and brackets here and in the line before"
    return fault_at(file, lines, place, "yaml", f"not YAML: {error.problem}{context}", hint)
