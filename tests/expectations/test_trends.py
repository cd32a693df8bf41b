"""Drift: a declared leak is found, its absence is not, and the time until a limit is told only for a drift."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from simulated import drifts

from catalog.declarations import Direction
from expectations import trends
from expectations.trends import Crossing

fixed = settings(derandomize=True, deadline=None, max_examples=60)
MINUTES = [60 * each for each in range(40)]


def crossing(progress, values, limit, direction=Direction.AT_MOST):
    return trends.crossing(progress, values, trends.drift(progress, values), limit=limit, direction=direction)


@fixed
@given(st.lists(st.integers(0, 10**9), min_size=30, max_size=60))
def test_the_slope_is_theil_and_sens_and_kendalls_s_is_scipys(values):
    progress = list(range(len(values)))
    found = trends.drift(progress, values)
    assert float(found.slope) == pytest.approx(stats.theilslopes(values, progress).slope, rel=1e-5)
    pairs = [np.sign(b - a) for i, a in enumerate(values) for b in values[i + 1 :]]
    assert found.kendall == sum(pairs)
    assert float(found.lower) <= float(found.slope) <= float(found.upper)
    assert 0 <= found.p_ppm <= 1_000_000
    assert float(found.factor) >= 1


@fixed
@given(st.lists(st.integers(0, 10**6), min_size=30, max_size=50), st.integers(-1000, 1000))
def test_adding_a_line_adds_its_slope(values, steep):
    progress = list(range(len(values)))
    flat = trends.drift(progress, values)
    tilted = trends.drift(progress, [value + steep * at for at, value in zip(progress, values, strict=True)])
    assert float(tilted.slope) == pytest.approx(float(flat.slope) + steep, rel=1e-4, abs=1e-2)


def test_fewer_than_thirty_blocks_give_no_interval_and_no_drift():
    found = trends.drift(MINUTES[:29], list(range(29)))
    assert (found.lower, found.upper, found.p_ppm, found.drifts) == (None, None, None, False)
    assert crossing(MINUTES[:29], list(range(29)), 100) is None
    assert trends.drift([0, 1, 2], [5, 6, 7]).factor == "1"


def test_an_exact_line_and_a_flat_one():
    line = trends.drift(MINUTES, [1000 + 2 * each for each in MINUTES])
    assert (line.slope, line.lower, line.upper, line.drifts) == ("2", "2", "2", True)
    flat = trends.drift(MINUTES, [7] * 40)
    assert (flat.slope, flat.p_ppm, flat.drifts) == ("0", 1_000_000, False)


def test_a_crossing_is_counted_from_the_last_block():
    values = [1000 + 2 * each for each in MINUTES]
    assert crossing(MINUTES, values, values[-1] + 500) == Crossing(expected=250, earliest=250, latest=250)
    assert crossing(MINUTES, values, 1500) == Crossing(expected=0, earliest=0, latest=0)
    assert crossing(MINUTES, values, 0, Direction.AT_LEAST) is None
    assert crossing(MINUTES, values[::-1], 0, Direction.AT_LEAST) == Crossing(expected=500, earliest=500, latest=500)
    assert crossing(MINUTES, values[::-1], 10**6) is None


@pytest.mark.parametrize(("progress", "why"), [([3] * 40, "at least two"), (MINUTES[::-1], "in order")])
def test_a_trend_needs_progress(progress, why):
    with pytest.raises(ValueError, match=why):
        trends.drift(progress, MINUTES)


@pytest.mark.parametrize(("blocks", "correlation"), [(30, 0.0), (30, 0.6), (60, 0.3), (60, 0.6)])
def test_a_drift_that_is_not_there_is_not_seen(blocks, correlation):
    """400 soaks: nominal 5 % false alarms; 7.5 % is two and a half standard errors above."""
    found = drifts(400, blocks, correlation)
    assert found["seen"] <= 0.075 * 400
    assert found["held"] >= 0.925 * 400


@pytest.mark.parametrize(("blocks", "correlation", "leak"), [(30, 0.3, 6), (60, 0.6, 6), (60, 0.0, 3)])
def test_a_declared_leak_is_found_and_when_it_breaks_its_limit(blocks, correlation, leak):
    found = drifts(200, blocks, correlation, leak=leak)
    assert found["seen"] >= 0.9 * 200
    assert found["held"] >= 0.91 * 200
    assert found["crossed"] >= 0.8 * 200
