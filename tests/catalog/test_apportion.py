"""The largest remainder method: totals are conserved, and it is what its definition says, however it is computed."""

from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.apportion import apportion

weights = st.lists(st.fractions(min_value=0, max_value=1000), min_size=1, max_size=30)
whole_numbers = st.lists(st.integers(0, 10**9), min_size=1, max_size=30)
mixed = st.lists(st.one_of(st.integers(0, 1000), st.fractions(0, 1000)), min_size=1, max_size=30)
totals = st.one_of(st.integers(0, 100), st.integers(0, 10**12))


def by_definition(total: int, weights: Sequence[Fraction | int]) -> list[int]:
    """Hamilton's method in exact fractions, one unit left over after another."""
    exact = [total * Fraction(weight) / sum(weights) for weight in weights]
    parts = [int(share) for share in exact]
    waiting = list(range(len(parts)))
    while sum(parts) < total:
        first = max(waiting, key=lambda index: (exact[index] - int(exact[index]), -index))
        waiting.remove(first)
        parts[first] += 1
    return parts


@settings(derandomize=True, deadline=None)
@given(total=totals, weights=st.one_of(weights, whole_numbers, mixed))
def test_totals_are_conserved_and_each_part_is_within_one_of_its_share(
    total: int, weights: list[Fraction | int]
) -> None:
    whole = sum(weights)
    if not whole:
        weights = [*weights, Fraction(1)]
        whole = sum(weights)
    parts = apportion(total, weights)
    assert sum(parts) == total
    assert all(abs(part - total * Fraction(weight) / whole) < 1 for part, weight in zip(parts, weights, strict=True))
    assert all(type(part) is int for part in parts)


@settings(derandomize=True, deadline=None)
@given(total=totals, weights=st.one_of(weights, whole_numbers, mixed).filter(any))
def test_parts_are_those_of_the_definition(total: int, weights: list[Fraction | int]) -> None:
    assert apportion(total, weights) == by_definition(total, weights)


@settings(derandomize=True, deadline=None)
@given(total=totals, weights=whole_numbers.filter(any), scale=st.fractions(min_value="1/1000", max_value=1000))
def test_the_scale_of_the_weights_does_not_matter(total: int, weights: list[int], scale: Fraction) -> None:
    assert apportion(total, [weight * scale for weight in weights]) == apportion(total, weights)


@settings(derandomize=True, deadline=None)
@given(total=totals, weights=st.one_of(weights, whole_numbers).filter(any))
def test_what_is_left_over_goes_to_the_largest_remainders(total: int, weights: list[Fraction | int]) -> None:
    exact = [total * Fraction(weight) / sum(weights) for weight in weights]
    parts = apportion(total, weights)
    raised = [share % 1 for share, part in zip(exact, parts, strict=True) if part > share]
    lowered = [share % 1 for share, part in zip(exact, parts, strict=True) if part < share]
    assert min(raised, default=1) >= max(lowered, default=0)


def test_equal_remainders_go_to_the_earlier_part() -> None:
    assert apportion(2, [1, 1, 1, 1]) == [1, 1, 0, 0]
    assert apportion(3, [Fraction(1, 3), 1, 1, Fraction(1, 3)]) == [1, 1, 1, 0]  # 3/8, 9/8, 9/8, 3/8


def test_a_small_case_by_hand() -> None:
    # 10 over 1:1:1 is 3.33 each; the unit left over goes to the first of the equal remainders.
    assert apportion(10, [1, 1, 1]) == [4, 3, 3]
    assert apportion(7, [Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)]) == [3, 2, 2]


def test_weights_that_no_float_holds_are_exact() -> None:
    close = [Fraction(1, 10**9 + 7), Fraction(1, 10**9 + 9), Fraction(2, 2 * 10**9 + 11)]
    assert apportion(10**18, close) == by_definition(10**18, close)


def test_nothing_over_no_weight_is_nothing_and_something_is_refused() -> None:
    assert apportion(0, [0, 0]) == [0, 0]
    with pytest.raises(ValueError, match="add up to nothing"):
        apportion(1, [0, 0])
    with pytest.raises(ValueError, match="at least nothing"):
        apportion(-1, [1])
