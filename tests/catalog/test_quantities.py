"""Quantities: exact whole numbers of a base unit, or a sentence about what was expected."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from catalog.quantities import Duration, Quantity, Unit, Written, parse_quantity

IN_BASE_UNITS = {
    "us": ("us", 1),
    "ms": ("us", 1_000),
    "s": ("us", 1_000_000),
    "min": ("us", 60 * 1_000_000),
    "h": ("us", 3600 * 1_000_000),
    "d": ("us", 24 * 3600 * 1_000_000),
    "ppm": ("ppm", 1),
    "%": ("ppm", 10_000),
    "times": ("ppm", 1_000_000),
    "B": ("bytes", 1),
    "KiB": ("bytes", 1024),
    "MiB": ("bytes", 1024 * 1024),
    "GiB": ("bytes", 1024 * 1024 * 1024),
    "count": ("count", 1),
}
LARGEST = 2**53 - 1
SEEDED = settings(derandomize=True, deadline=None)


class Limits(BaseModel):
    limit: Written
    within: Duration | None = None


@SEEDED
@given(
    whole=st.integers(0, 10**6),
    digits=st.text("0123456789", max_size=30),
    unit=st.sampled_from(sorted(IN_BASE_UNITS)),
    gap=st.sampled_from(["", " ", "\t "]),
)
def test_what_is_written_is_held_exactly_or_refused(whole, digits, unit, gap):
    written = f"{whole}{'.' + digits if digits else ''}{gap}{unit}"
    base, factor = IN_BASE_UNITS[unit]
    exact = (whole + Fraction(int(digits or 0), 10 ** len(digits))) * factor
    if exact.denominator == 1 and exact <= LARGEST:
        assert parse_quantity(written) == (exact, Unit(base))
    else:
        with pytest.raises(ValueError, match=r"not a whole number|larger than"):
            parse_quantity(written)


def test_digits_beyond_any_machines_precision_are_not_rounded_away():
    with pytest.raises(ValueError, match="not a whole number of us"):
        parse_quantity("5.00000000000000000000000000000000000001 us")


def test_the_largest_figure_that_can_be_recorded():
    assert parse_quantity(f"{LARGEST} us") == (LARGEST, Unit.MICROSECONDS)
    with pytest.raises(ValueError, match="larger than any figure"):
        parse_quantity(f"{LARGEST + 1} us")


@pytest.mark.parametrize(
    "written", ["", "5", "ms", "-5 ms", "5 msec", "5 MS", "1e3 ms", ".5 s", "5. s", "٣ ms", 5, 1.5, None]
)
def test_anything_else_is_refused_with_an_example(written):
    with pytest.raises(ValueError, match="such as '250 ms'; found"):
        parse_quantity(written)


@SEEDED
@given(value=st.integers(0, LARGEST), unit=st.sampled_from(Unit))
def test_the_recorded_form_is_read_back(value, unit):
    quantity = Quantity(value=value, unit=unit)
    recorded = Limits(limit=quantity, within=value or None).model_dump(mode="json")
    assert recorded["limit"] == {"value": value, "unit": unit.value}
    assert Limits.model_validate(recorded).limit == quantity
    assert Limits.model_validate(recorded).within == (value or None)


def test_a_duration_is_a_time_longer_than_nothing():
    duration = TypeAdapter(Duration)
    assert duration.validate_python("8 h") == 28_800_000_000
    for written, told in (("5 KiB", "expected a duration"), ("0 s", "longer than nothing"), (0, "longer than nothing"),
                          (-5, "longer than nothing"), (True, "expected a number and a unit")):  # fmt: skip
        with pytest.raises(ValidationError, match=told):
            duration.validate_python(written)


def test_a_recorded_quantity_has_no_further_members():
    with pytest.raises(ValidationError, match="Extra inputs"):
        Limits.model_validate({"limit": {"value": 1, "unit": "us", "about": True}})
