"""Whether a file has the shape that its model declares, and plain sentences about where it has not."""

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from catalog.errors import Fault
from catalog.hints import did_you_mean, shown
from catalog.places import MOST_FAULTS, Address, Document
from catalog.quantities import Quantity

Shape = TypeVar("Shape")

_IDENTIFIER = "expected lower-case letters, digits and hyphens, the first a letter or digit"
_PATTERNS = {
    r"^[a-z0-9][a-z0-9-]*$": _IDENTIFIER,
    r"^(role:)?[a-z0-9][a-z0-9-]*$": "expected the id of a component, or role: and a role",
    r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$": "expected a time of day from 00:00 to 24:00, such as 08:30",
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$": "expected a date, such as 2020-06-30",
    r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$": "expected a month and a day, such as 04-01",
    r"^https?://[^\s/]+(/[^\s]*)?$": "expected an http:// or https:// URL",
}
_EXPECTED = {int: "a whole number", bool: "true or false", Decimal: "a number", str: "text"}


def check_shape(document: Document, shape: type[Shape]) -> tuple[Shape | None, list[Fault]]:
    """The document as `shape` (a model, or a tuple of models), and its faults. Nothing is returned beside a fault."""
    mistyped = dict(_mistyped(shape, document.data, ()))
    faults = [document.fault(address, "type", message, hint) for address, (message, hint) in mistyped.items()]
    try:
        value = TypeAdapter(shape).validate_python(document.data, by_alias=True, by_name=False)
    except ValidationError as error:
        value, errors = None, error.errors(include_url=False, include_input=False)
        faults += _translated(document, shape, errors[:MOST_FAULTS], set(mistyped))
    return (None if faults else value), faults[:MOST_FAULTS]


# --- what is written must be of the declared type, for pydantic would convert it: '8', true and 1.0 into whole numbers,
# --- and 30 into a duration of 30 microseconds (the recorded form)


def _mistyped(kind: Any, data: Any, address: Address) -> Iterator[tuple[Address, tuple[str, str]]]:
    """Parts of `data` that are not written as `kind` wants, each with a message and a hint."""
    bare, is_written = _bare(kind)
    if is_written:
        sample = "a number and a unit, such as '250 ms'" if bare is Quantity else "a duration, such as '30 s'"
        if not isinstance(data, str):
            yield address, (f"expected {sample}; found {shown(data)}", "write the unit")
    elif _is_union(bare):
        yield from _mistyped_choice(get_args(bare), data, address)
    elif bare in _EXPECTED:
        if not _is_written_as(bare, data):
            yield address, (f"expected {_EXPECTED[bare]}; found {shown(data)}", _quoting(bare, data))
    else:
        for step, child in _children(bare, data):
            yield from _mistyped(child, data[step], (*address, step))


def _mistyped_choice(
    choices: tuple[Any, ...], data: Any, address: Address
) -> Iterator[tuple[Address, tuple[str, str]]]:
    if len(choices) == 2 and NoneType in choices:
        if data is not None:
            yield from _mistyped(next(choice for choice in choices if choice is not NoneType), data, address)
    elif not any(_is_written_as(choice, data) for choice in choices):
        expected = " or ".join(_EXPECTED[choice] for choice in choices)
        yield address, (f"expected {expected}; found {shown(data)}", _quoting(str, data))


def _is_written_as(kind: Any, data: Any) -> bool:
    return type(data) is kind or (kind is Decimal and type(data) is int)


def _quoting(kind: Any, data: Any) -> str:
    """What quotes have to do with it."""
    if kind is str:
        return "put it in quotes" if isinstance(data, bool | int | Decimal) else "write one text, in quotes if need be"
    if kind is bool and isinstance(data, str) and data.lower() in ("yes", "on", "no", "off"):
        return "write true or false"
    if isinstance(data, str) and re.fullmatch(
        {int: r"[0-9]{1,15}", bool: "true|false"}.get(kind, r"[0-9.]{1,40}"), data
    ):
        return "write it without quotes"
    return _SAMPLES.get(kind, "")


_SAMPLES = {
    int: "write digits only, 15 of them at most, such as 12",
    bool: "write true or false",
    Decimal: "write a number, such as 0.25",
}


# --- kinds: annotations of declared models, taken apart --------------------------------------------------------------


def _bare(kind: Any) -> tuple[Any, bool]:
    """`kind` without its annotations, and whether it is a quantity, which is written as a number and a unit."""
    if get_origin(kind) is not Annotated:
        return kind, False
    bare, *marks = get_args(kind)
    return bare, any(isinstance(mark, BeforeValidator) for mark in marks)


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType)


@cache
def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """The kinds of a model's fields, by the name that declarations write."""
    return {
        field.alias or name: Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        for name, field in model.model_fields.items()
    }


def _child(kind: Any, step: str | int) -> Any:
    """The kind that a bare kind declares for one of its parts; None when it declares none."""
    if get_origin(kind) is tuple:
        return get_args(kind)[0]
    if get_origin(kind) is dict:
        return get_args(kind)[1]
    return _fields(kind).get(str(step)) if _is_model(kind) else None


def _children(kind: Any, data: Any) -> Iterator[tuple[Any, Any]]:
    """The steps from `data` to those of its parts that a bare kind declares, each with its kind."""
    if isinstance(data, list) and get_origin(kind) is tuple:
        yield from ((position, get_args(kind)[0]) for position in range(len(data)))
    elif isinstance(data, dict) and get_origin(kind) is not tuple:
        yield from ((key, child) for key in data if (child := _child(kind, key)) is not None)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _kind_at(kind: Any, address: Address) -> Any:
    """The bare kind that is declared for the part at `address`."""
    bare, _ = _bare(kind)
    if _is_union(bare):
        bare = next(choice for choice in get_args(bare) if choice is not NoneType)
    return _kind_at(_child(bare, address[0]), address[1:]) if address else bare


# --- pydantic's errors as faults --------------------------------------------------------------------------------------


def _translated(document: Document, shape: Any, errors: list[ErrorDetails], mistyped: set[Address]) -> Iterator[Fault]:
    """Errors as faults: one for each place and reason, without those that follow from another fault."""
    misspelt = set[tuple[Address, str]]()
    for error in (error for error in errors if error["type"] == "extra_forbidden"):
        *above, key = error["loc"]
        known = list(_fields(_kind_at(shape, tuple(above))))
        hint = did_you_mean(str(key), known)
        misspelt |= {(tuple(above), name) for name in known if hint == f"did you mean '{name}'?"}
        yield document.fault(error["loc"], "unknown-key", f"unknown key '{key}'", hint, at_key=True)
    for error in errors:
        address = _along(document.data, error["loc"])
        if error["type"] == "missing" and (address, str(error["loc"][-1])) not in misspelt:
            message = f"the key '{error['loc'][-1]}' is missing"
            yield document.fault(address, "missing-key", message, _meaning(shape, address, error))
        elif not (_is_said_elsewhere(error, document.data) or address in mistyped):
            at_key = error["loc"][-1:] == ("[key]",)
            found = address[-1] if at_key else _part(document.data, address)
            yield document.fault(address, *_explained(error, found), at_key=at_key)


def _is_said_elsewhere(error: ErrorDetails, data: Any) -> bool:
    """Whether an error is told otherwise, or a list is called too short for items that are at fault themselves."""
    if error["type"] == "too_short":
        return bool(len(_part(data, _along(data, error["loc"]))) >= error["ctx"]["min_length"])
    return error["type"] in ("missing", "extra_forbidden")


def _meaning(shape: Any, address: Address, error: ErrorDetails) -> str:
    """The description of the missing field, where its model gives one."""
    model = _kind_at(shape, address)
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    return fields[str(error["loc"][-1])].description or "add it here"


def _along(data: Any, location: Address) -> Address:
    """As much of pydantic's location as leads to a part of the data; the rest names types, or what is missing."""
    for length, step in enumerate(location):
        reachable = step in data if isinstance(data, dict) else isinstance(data, list) and isinstance(step, int)
        if not reachable:
            return location[:length]
        data = data[step]
    return location


def _part(data: Any, address: Address) -> Any:
    for step in address:
        data = data[step]
    return data


def _explained(error: ErrorDetails, found: Any) -> tuple[str, str, str]:
    """Code, message and hint for an error about the value `found`."""
    context = error.get("ctx", {})
    match error["type"]:
        case "enum":
            choices = re.findall(r"'([^']*)'|([0-9]+)", str(context["expected"]))
            names = [text or number for text, number in choices]
            return "unknown-value", f"expected one of {', '.join(names)}; found {shown(found)}", _closest(found, names)
        case "string_pattern_mismatch":
            message = f"{_PATTERNS.get(context['pattern'], error['msg'])}; found {shown(found)}"
            return "pattern", message, _pattern_hint(context["pattern"], str(found))
        case "string_too_short":
            return "empty", "expected some text; found nothing", "say it in a word or more"
        case "too_short":
            return (
                "empty",
                f"expected at least {context['min_length']} in this list; found {len(found)}",
                "name what belongs here",
            )
        case "string_too_long":
            return (
                "too-long",
                f"expected at most {context['max_length']} characters; found {len(str(found))}",
                "shorten it",
            )
        case "greater_than_equal":
            return "range", f"expected {context['ge']} or more; found {found}", f"{context['ge']} is the least"
        case "less_than_equal":
            return "range", f"expected {context['le']} or less; found {found}", f"{context['le']} is the most"
        case "decimal_max_digits":
            return "range", f"expected at most {context['max_digits']} digits; found {found}", "round it"
        case "value_error":
            return "quantity", str(context["error"]), _quantity_hint(str(context["error"]))
        case kind:
            return "type", f"{_WANTED.get(kind, error['msg'])}; found {shown(found)}", _LAYOUT.get(kind, "")


def _pattern_hint(pattern: str, found: str) -> str:
    if _PATTERNS.get(pattern) == _IDENTIFIER:
        plain = re.sub(r"[^a-z0-9]+", "-", found.lower()).strip("-")[:64]
        return f"such as '{plain or 'orders-2'}'"
    return _PATTERN_HINTS.get(pattern, "look for spaces and stray characters")


_PATTERN_HINTS = {
    r"^(role:)?[a-z0-9][a-z0-9-]*$": 'such as orders or "role:orders"',
    r"^https?://[^\s/]+(/[^\s]*)?$": "such as http://host:8080/",
}


def _quantity_hint(message: str) -> str:
    if "is not a whole number" in message:
        return "round it"
    if "duration" in message:
        return "units of time are us, ms, s, min, h and d"
    return "look at the number and its unit" if "larger" in message or "at most" in message else "such as '99 %'"


_LAYOUT = {
    "string_type": "write one text, in quotes if need be",
    "tuple_type": "write [a, b], or a line with a hyphen for each item",
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "write {key: value}, or a line for each key"),
}


_WANTED = {
    "string_type": "expected text",
    "tuple_type": "expected a list",
    "dict_type": "expected a mapping of keys to values",
    "model_type": "expected a mapping of keys to values",
    "model_attributes_type": "expected a mapping of keys to values",
}


def _closest(found: Any, names: list[str]) -> str:
    hint = did_you_mean(str(found), names)
    return "" if hint.startswith("known") else hint
