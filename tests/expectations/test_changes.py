"""Changes of level: a declared one is found and its day named, and a history without one is left in peace."""

import math
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.canonical import canonical
from expectations.changes import FEWEST_DAYS, LEVEL, changes
from expectations.statistics import MILLION
from expectations.verdicts import LATER

fixed = settings(derandomize=True, deadline=None, max_examples=40)


def history(levels, spread=0.03, seed=1):
    """A latency a day in microseconds: the level of each day, with a lognormal spread."""
    noise = np.random.default_rng(seed).normal(0, spread, len(levels))
    return [round(level * math.exp(each)) for level, each in zip(levels, noise, strict=True)]


def test_a_step_of_ten_per_cent_is_found_after_a_week_and_its_day_is_named():
    (found,) = changes(history([33_000] * 23 + [36_300] * 7))
    assert found.at == 23
    assert found.ratio_ppm == pytest.approx(1_100_000, rel=0.03)
    assert found.p_ppm <= LEVEL * MILLION


def test_two_steps_and_the_way_back_are_told_apart():
    found = changes(history([33_000] * 20 + [40_000] * 15 + [33_000] * 20))
    assert [each.at for each in found] == [20, 35]
    assert [each.after > each.before for each in found] == [True, False]


def test_histories_without_a_change_are_seldom_called_changed():
    alarms = sum(bool(changes(history([33_000] * 30, seed=seed))) for seed in range(100))
    assert alarms <= 2  # 0.2 are expected; three or more have a probability below 1 in 800


def test_one_bad_day_is_not_a_change_of_level():
    values = history([33_000] * 30)
    values[15] *= 4
    assert changes(values) == ()
    values[-1] *= 4
    assert changes(values) == ()


@fixed
@given(st.lists(st.integers(0, 10**12), max_size=40))
def test_parts_are_never_shorter_than_a_change_needs_and_stand_in_order(values):
    found = changes(values)
    ends = [0, *(each.at for each in found), len(values)]
    assert not found or min(b - a for a, b in pairwise(ends)) >= FEWEST_DAYS
    assert changes(values) == found
    for each in found:
        assert each.before in values
        assert (each.ratio_ppm is None) is (each.before == 0)


@pytest.mark.parametrize("values", [[], [5], [5] * 5, [7] * 40])
def test_too_short_or_flat_a_history_has_no_change(values):
    assert changes(values) == ()


def test_a_figure_that_was_nothing_has_no_ratio():
    (found,) = changes([0] * 12 + [50, 51, 49, 50, 52, 50, 51, 50])
    assert (found.at, found.before, found.ratio_ppm) == (12, 0, None)


def test_figures_below_nothing_are_refused():
    with pytest.raises(ValueError, match="not below 0"):
        changes([1, -1])


def test_a_change_to_what_never_came_is_unbounded_and_can_be_recorded() -> None:
    (found,) = changes([40_000] * 15 + [LATER] * 15)
    assert (found.after, found.ratio_ppm) == (LATER, LATER)
    assert canonical(asdict(found))
