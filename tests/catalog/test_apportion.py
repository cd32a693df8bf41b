from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.apportion import apportion

weights = st.lists(st.fractions(min_value=0, max_value=1000), min_size=1, max_size=30)


@settings(derandomize=True, deadline=None)
@given(total=st.integers(0, 10**12), weights=weights)
def test_totals_are_conserved_and_each_part_is_within_one_of_its_share(total: int, weights: list[Fraction]) -> None:
    whole = sum(weights)
    if not whole:
        weights = [*weights, Fraction(1)]
        whole = sum(weights)
    parts = apportion(total, weights)
    assert sum(parts) == total
    assert all(abs(part - total * weight / whole) < 1 for part, weight in zip(parts, weights, strict=True))


def test_a_small_case_by_hand() -> None:
    # 10 over 1:1:1 is 3.33 each; the unit left over goes to the first of the equal remainders.
    assert apportion(10, [1, 1, 1]) == [4, 3, 3]
    assert apportion(7, [Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)]) == [3, 2, 2]


def test_nothing_over_no_weight_is_nothing_and_something_is_refused() -> None:
    assert apportion(0, [0, 0]) == [0, 0]
    with pytest.raises(ValueError, match="add up to nothing"):
        apportion(1, [0, 0])
    with pytest.raises(ValueError, match="at least nothing"):
        apportion(-1, [1])
