"""Decimal strings, as numbers are recorded that are no integers: without an exponent or trailing zeros."""

from decimal import Context, Decimal
from fractions import Fraction

_WIDE = Context(prec=60)


def decimal_text(number: Decimal | Fraction, places: int | None = None) -> str:
    """A number as a decimal string: of so many places at most, rounded half to even, or exactly as it is.

    Raises ValueError for a fraction without `places` that no decimal string says exactly.
    """
    exact = Fraction(number)
    kept = _places(exact) if places is None else places
    whole = Decimal(round(exact * 10**kept))
    return format(_WIDE.normalize(_WIDE.scaleb(whole, -kept)) if whole else Decimal(0), "f")


def _places(exact: Fraction) -> int:
    """How many decimal places the number has: the more of its denominator's factors two and five."""
    left, counts = exact.denominator, []
    for factor in (2, 5):
        count = 0
        while left % factor == 0:
            left, count = left // factor, count + 1
        counts.append(count)
    if left != 1:
        raise ValueError(f"{exact} has no end as a decimal")
    return max(counts)
