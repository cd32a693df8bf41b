"""Quantities as people write them ("250 ms", "99 %", "4 KiB"), held as whole numbers of one base unit.

Base units are those of the measurements table: us (microseconds), ppm (parts per million), bytes, count.
"""

import re
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema, model_serializer


class Unit(StrEnum):
    """The base units that recorded figures stand in."""

    MICROSECONDS = "us"
    PARTS_PER_MILLION = "ppm"
    BYTES = "bytes"
    COUNT = "count"


_FACTORS: dict[str, tuple[Unit, int]] = {
    "us": (Unit.MICROSECONDS, 1),
    "ms": (Unit.MICROSECONDS, 1_000),
    "s": (Unit.MICROSECONDS, 1_000_000),
    "min": (Unit.MICROSECONDS, 60_000_000),
    "h": (Unit.MICROSECONDS, 3_600_000_000),
    "d": (Unit.MICROSECONDS, 86_400_000_000),
    "ppm": (Unit.PARTS_PER_MILLION, 1),
    "%": (Unit.PARTS_PER_MILLION, 10_000),
    "times": (Unit.PARTS_PER_MILLION, 1_000_000),
    "B": (Unit.BYTES, 1),
    "KiB": (Unit.BYTES, 1024),
    "MiB": (Unit.BYTES, 1024**2),
    "GiB": (Unit.BYTES, 1024**3),
    "count": (Unit.COUNT, 1),
}
_WRITTEN = re.compile(r"^\s*(?P<number>\d+(\.\d+)?)\s*(?P<unit>[A-Za-z%]+)\s*$", re.ASCII)
_MOST_DIGITS = 40
_LARGEST = 2**53 - 1  # RFC 8785 numbers are IEEE 754 doubles: larger integers could not be recorded exactly


def parse_quantity(written: Any) -> tuple[int, Unit]:
    """`written` as a whole number of its base unit.

    Raises ValueError when it is not a number and a known unit, not whole in the base unit, or beyond 2^53 - 1.
    """
    found = _WRITTEN.match(written) if isinstance(written, str) else None
    if found is None or found["unit"] not in _FACTORS:
        told = f"{written[:60]!r}" if isinstance(written, str) else repr(written)
        raise ValueError(f"expected a number and a unit ({', '.join(_FACTORS)}), such as '250 ms'; found {told}")
    if len(found["number"]) > _MOST_DIGITS:
        raise ValueError(f"expected a number of at most {_MOST_DIGITS} characters; found {len(found['number'])}")
    unit, factor = _FACTORS[found["unit"]]
    value = Fraction(found["number"]) * factor  # exact, however many digits are written
    if value.denominator != 1:
        raise ValueError(f"{written!r} is not a whole number of {unit}")
    if value > _LARGEST:
        raise ValueError(f"{written!r} is larger than any figure that can be recorded")
    return int(value), unit


class Quantity(BaseModel):
    """A value in a base unit, written in declarations as one string."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: int
    unit: Unit

    @property
    def is_share(self) -> bool:
        """Whether it is a share, above nothing and up to the whole."""
        return self.unit is Unit.PARTS_PER_MILLION and 0 < self.value <= _FACTORS["times"][1]

    @model_serializer
    def as_document(self) -> dict[str, int | str]:
        """The recorded form: value and unit apart."""
        return {"value": self.value, "unit": str(self.unit)}


def _quantity(written: Any) -> Any:
    if isinstance(written, Quantity | dict):
        return written
    value, unit = parse_quantity(written)
    return Quantity(value=value, unit=unit)


def _duration(written: Any) -> Any:
    if isinstance(written, int) and not isinstance(written, bool):
        value, unit = written, Unit.MICROSECONDS  # recorded form
    else:
        value, unit = parse_quantity(written)
    if unit is not Unit.MICROSECONDS:
        raise ValueError(f"expected a duration such as '30 s' or '8 h'; found {written!r}")
    if value <= 0:
        raise ValueError(f"expected a duration longer than nothing; found {written!r}")
    return value


_WRITTEN_SCHEMA = {"type": "string", "pattern": _WRITTEN.pattern.replace("?P<number>", "").replace("?P<unit>", "")}

Written = Annotated[Quantity, BeforeValidator(_quantity), WithJsonSchema(_WRITTEN_SCHEMA)]
"""A quantity field of a declaration."""

Duration = Annotated[int, BeforeValidator(_duration), WithJsonSchema(_WRITTEN_SCHEMA)]
"""A duration field of a declaration: written '8 h', held as microseconds."""
