"""Truth of the intervals of percentiles, and of a freeze, in short; `benchmarks/studies.py` has the full studies."""

import pytest
from simulated import coverage, departures, freeze


def test_departures_are_those_of_a_queue():
    import numpy as np

    arrival = np.array([0.0, 0.0, 0.0, 100.0])
    assert departures(arrival, np.full(4, 10.0), 2).tolist() == [10, 10, 20, 110]
    assert departures(arrival, np.array([10.0, 30.0, 10.0, 5.0]), 2).tolist() == [10, 30, 20, 105]


@pytest.mark.parametrize("permille", [500, 950, 990])
def test_intervals_cover_at_their_rate_when_latencies_depend(permille):
    assert coverage(100, permille, 0.7, seed=3)["held"] >= 90


@pytest.mark.parametrize("pool", [1, 16, 64])
def test_a_frozen_second_shows_in_full_whatever_the_pool(pool):
    """Of 14,000 messages 1,000 wait, up to 1 s: the 140th longest wait is 860 ms. Counted from the send it hides."""
    found = freeze(pool=pool)
    assert found["p99 from intended time"] == pytest.approx(860_000, rel=0.03)
    assert found["p99 from the send"] < 5_000
