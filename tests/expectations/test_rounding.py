"""What is recorded of a float: the same on every machine, and never narrower than what was found."""

import math
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations import rounding

fixed = settings(derandomize=True, deadline=None, max_examples=200)


@fixed
@given(st.floats(-1e15, 1e15), st.integers(1, 10))
def test_ends_are_rounded_outward_and_plain(value, digits):
    down, up = Decimal(rounding.rounded_down(value, digits)), Decimal(rounding.rounded_up(value, digits))
    own = Decimal(repr(rounding.settled(value)))
    assert down <= own <= up
    assert Decimal(rounding.rounded(value, digits)) in (down, up)
    assert "E" not in rounding.rounded(value, digits)
    assert len(rounding.rounded(value, digits).replace("-", "").replace(".", "").strip("0")) <= digits


def test_the_last_bits_do_not_matter():
    assert rounding.rounded_up(0.1 + 0.2) == rounding.rounded_down(0.3) == "0.3"
    assert rounding.whole_up(3.0000000000000004) == rounding.whole_down(2.9999999999999996) == rounding.whole(3) == 3
    assert [rounding.rounded(each) for each in (0.0, -0.0, 1234567, 1.5e-7)] == ["0", "0", "1234570", "0.00000015"]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_not_recorded(value):
    with pytest.raises(ValueError, match="not a number"):
        rounding.rounded(value)
