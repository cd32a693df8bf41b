"""Quantiles from counts: the same as from the messages themselves, however the counts came about."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from row_wise import quantile_interval

from expectations import statistics
from expectations.statistics import Counts
from expectations.verdicts import LATER

PERMILLES = st.sampled_from([1, 500, 950, 990, 1000])


@st.composite
def offered(draw, fewest=30):
    """Latencies of messages and the stretch of each: some stretches slower, some never answered."""
    drawn = np.random.default_rng(draw(st.integers(0, 2**32)))
    blocks = draw(st.integers(fewest, 34))
    sizes = drawn.integers(1, draw(st.sampled_from([2, 9, 60])), size=blocks)
    block = np.repeat(np.arange(blocks) * draw(st.sampled_from([1, 3])), sizes)
    spread = draw(st.sampled_from([1, 40, 100_000]))
    slower = 1 + block % draw(st.sampled_from([1, 5]))
    values = drawn.integers(0, spread, size=len(block)) * slower
    values[drawn.random(len(block)) < draw(st.sampled_from([0, 0.02, 0.4]))] = LATER
    order = drawn.permutation(len(block))
    return values[order], block[order]


@settings(max_examples=10, deadline=None)
@given(offered(), PERMILLES, st.integers(0, 3), st.booleans())
def test_counting_gives_what_the_messages_give(messages, permille, seed, effective):
    values, block = messages
    told = {"seed": seed, "level": 0.975, "effective": effective}
    wanted = quantile_interval(values, block, permille, **told)
    assert statistics.quantile_interval(values, block, permille, **told) == wanted
    rows, counts = np.unique(np.stack([values, block]), axis=1, return_counts=True)
    assert statistics.counted_interval(Counts.of(*rows, counts), permille, **told) == wanted


@settings(max_examples=40, deadline=None)
@given(offered(fewest=28), PERMILLES, st.sampled_from([2, 16, 4_096]))
def test_only_what_decides_needs_to_be_known_exactly(messages, permille, width):
    values, block = messages
    rounded = values // width * width
    while True:
        counts = Counts.of(rounded, block)
        unknown = set(rounded[rounded != values].tolist())
        exact = np.array([value not in unknown for value in counts.values.tolist()])
        places = statistics.deciding(counts, exact, permille, seed=1)
        assert not exact[sorted(places)].any()
        if not places:
            break
        rounded = np.where(np.isin(rounded, counts.values[sorted(places)]), values, rounded)
    assert statistics.counted_interval(counts, permille, seed=1) == statistics.quantile_interval(
        values, block, permille, seed=1
    )


def test_counts_are_of_messages_and_stretches():
    counts = Counts.of(np.array([5, 3, 5, 9]), np.array([7, 7, 2, 2]), np.array([2, 1, 4, 3]))
    assert (len(counts), counts.stretches, counts.values.tolist()) == (10, 2, [3, 5, 9])
    assert counts.at_most.tolist() == [[0, 4, 7], [1, 3, 3]]
    assert [counts.quantile(permille) for permille in (1, 100, 101, 700, 701)] == [3, 3, 5, 5, 9]


def test_counts_of_nothing_are_refused():
    with pytest.raises(ValueError, match="nothing"):
        Counts.of(np.array([], dtype=np.int64), np.array([], dtype=np.int64))
