"""Floats made fit to be recorded: decimal strings of a declared number of significant digits, and whole units outward.

Machines may differ in the last bits of a float. What is recorded is therefore rounded here first, half to even, and an
interval's ends are rounded away from its middle, so that rounding never narrows what is claimed.
"""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal

DIGITS = 6
"""Significant digits of a recorded float, unless told otherwise."""

_SETTLED = 12  # significant digits of a float before it is rounded: beyond them machines may differ


def rounded(value: float, digits: int = DIGITS) -> str:
    """`value` as a plain decimal string of at most `digits` significant digits, without trailing zeros.

    Raises ValueError for what is not a finite number.
    """
    return _written(value, digits, ROUND_HALF_EVEN)


def rounded_down(value: float, digits: int = DIGITS) -> str:
    """As `rounded`, towards minus infinity: for the lower end of an interval."""
    return _written(value, digits, ROUND_FLOOR)


def rounded_up(value: float, digits: int = DIGITS) -> str:
    """As `rounded`, towards plus infinity: for the upper end of an interval."""
    return _written(value, digits, ROUND_CEILING)


def settled(value: float) -> float:
    """`value` without the last bits, in which machines may differ."""
    return float(f"{value:.{_SETTLED}g}")


def whole(value: float) -> int:
    """The nearest integer, ties to even."""
    return round(settled(value))


def whole_down(value: float) -> int:
    """The integer at or below."""
    return math.floor(settled(value))


def whole_up(value: float) -> int:
    """The integer at or above."""
    return math.ceil(settled(value))


def _written(value: float, digits: int, rounding: str) -> str:
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a number that can be recorded")
    context = Context(prec=digits, rounding=rounding)
    found = context.create_decimal(Decimal(repr(settled(value)))).normalize(context)
    return f"{found + 0:f}"  # of -0 there is no sign left
