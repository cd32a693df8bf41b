"""How figures are made and shown."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.decimals import decimal_text
from catalog.shown import plain
from expectations.verdicts import LATER
from tasks.report.figures import Figures, show


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0, "us", "0 µs"),
        (999, "us", "999 µs"),
        (45_231, "us", "45.23 ms"),
        (1_000_000, "us", "1 s"),
        (90_000_000, "us", "1.5 min"),
        (28_800_000_000, "us", "8 h"),
        (-1_500, "us", "-1.5 ms"),
        (512 * 1024**2, "bytes", "512 MiB"),
        (4_915, "bytes", "4.8 KiB"),
        (990_000, "ppm", "99 %"),
        (999_999, "ppm", "99.9999 %"),
        (1_234_567, "count", "1,234,567"),
        ("2.50", "times", "2.5 times"),
        ("4114.285714", "times", "4,114 times"),
        ("0.0525", "times", "0.0525 times"),
        ("1.54", "messages per meter per day", "1.54 messages per meter per day"),
        (LATER, "us", "unbounded"),
    ],
)
def test_a_value_is_shown_in_the_unit_that_suits_its_size(value: int | str, unit: str, shown: str) -> None:
    assert show(value, unit) == shown


@settings(derandomize=True, deadline=None)
@given(st.integers(min_value=1, max_value=LATER - 1))
def test_four_digits_are_within_half_a_thousandth(value: int) -> None:
    read = Decimal(plain(Decimal(value) / 1_000).replace(",", ""))
    assert abs(read - Decimal(value) / 1_000) <= Decimal(value) / 1_000 / 2_000


@settings(derandomize=True, deadline=None)
@given(st.decimals(min_value=0, max_value=10**12, places=6))
def test_a_recorded_decimal_is_exact_and_has_no_exponent(number: Decimal) -> None:
    assert Decimal(decimal_text(number)) == number
    assert "E" not in decimal_text(number)


def test_figures_keep_their_evidence_in_order_and_once() -> None:
    figure = Figures().figure("a", 1, "count", ["x", "", "y", "x"], standing="proposed", lower=None)
    assert figure == {
        "figure": "a",
        "value": 1,
        "unit": "count",
        "text": "1",
        "evidence": ["x", "y"],
        "standing": "proposed",
    }


def test_one_id_cannot_stand_for_two_figures() -> None:
    figures = Figures()
    assert figures.figure("a", 1, "count", ["x"]) == figures.figure("a", 1, "count", ["x"])
    with pytest.raises(ValueError, match="two different figures are named a"):
        figures.figure("a", 2, "count", ["x"])
    assert figures.evidence() == {"x"}
