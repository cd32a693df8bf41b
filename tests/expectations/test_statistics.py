"""Percentiles, shares and totals: exact definitions, and intervals that hold what they say."""

import math
from fractions import Fraction
from statistics import NormalDist

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from expectations import statistics
from expectations.statistics import Estimate
from expectations.verdicts import LATER

PERMILLES = st.sampled_from([1, 500, 900, 950, 990, 999, 1000])
fixed = settings(derandomize=True, deadline=None, max_examples=60)


def in_blocks(count, blocks=30):
    return np.arange(count) * blocks // count


@fixed
@given(st.lists(st.integers(0, LATER), min_size=1, max_size=300), PERMILLES)
def test_a_quantile_is_the_nearest_rank(values, permille):
    ordered = sorted(values)
    wanted = ordered[max(1, math.ceil(Fraction(permille, 1000) * len(ordered))) - 1]
    assert statistics.quantile(np.array(ordered), permille) == wanted


@pytest.mark.parametrize("permille", [500, 950, 990])
def test_duckdb_means_the_same_by_quantile_disc(permille):
    rows = pd.DataFrame(
        [(count, value * value % 7919) for count in range(1, 420) for value in range(count)], columns=["n", "v"]
    )
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        found = connection.execute(f"SELECT n, quantile_disc(v, {permille / 1000}) FROM rows GROUP BY n").fetchall()  # noqa: S608  # a number
    for count, value in found:
        assert statistics.quantile(np.sort(rows["v"][rows["n"] == count].to_numpy()), permille) == value


@fixed
@given(
    st.lists(st.integers(0, 10**6) | st.just(LATER), min_size=30, max_size=200),
    st.sampled_from([500, 950, 990]),
    st.integers(0, 2**31),
)
def test_a_quantile_lies_in_its_interval_and_more_confidence_is_wider(values, permille, seed):
    values = np.array(values)
    at = {
        level: statistics.quantile_interval(values, in_blocks(len(values)), permille, seed=seed, level=level)
        for level in (0.95, 0.9875)
    }
    assert at[0.95].lower <= at[0.95].value <= at[0.95].upper
    assert at[0.9875].lower <= at[0.95].lower
    assert at[0.9875].upper >= at[0.95].upper


def test_the_order_of_messages_within_a_stretch_does_not_matter():
    values, block = np.arange(3000) * 7919 % 5003, in_blocks(3000)
    shuffled = np.random.default_rng(3).permutation(3000)
    assert statistics.quantile_interval(values, block, 950, seed=1) == statistics.quantile_interval(
        values[shuffled], block[shuffled], 950, seed=1
    )


def test_intervals_are_the_same_on_every_machine():
    values = np.arange(3000) * 7919 % 5003
    assert statistics.quantile_interval(values, in_blocks(3000), 950, seed=1) == Estimate(4758, 4711, 4803)
    assert statistics.share_interval([49] * 15 + [47] * 15, [50] * 30, seed=1) == Estimate(960_000, 948_809, 969_340)
    assert statistics._drawn_blocks(5, 1)[:3].tolist() == [[1, 0, 1, 0, 2], [0, 1, 2, 0, 1], [1, 0, 2, 1, 0]]
    assert statistics._drawn_blocks(5, 1).shape == (2_000, 5)


def test_messages_that_were_not_answered_rank_later_than_any_that_was():
    values = np.full(1000, 20_000)
    values[::12] = LATER  # 8.4 % of the messages
    found = statistics.quantile_interval(values, in_blocks(1000), 950, seed=1)
    assert found.value == found.upper == LATER
    assert statistics.quantile_interval(values, in_blocks(1000), 500, seed=1) == Estimate(20_000, 20_000, 20_000)


def test_fewer_than_thirty_stretches_with_messages_give_no_interval():
    block = in_blocks(1000, 29)
    assert statistics.quantile_interval(np.arange(1000), block, 950, seed=1) == Estimate(949, None, None)
    assert statistics.share_interval([9] * 29, [10] * 29, seed=1) == Estimate(900_000, None, None)
    assert statistics.share_interval([9] * 29 + [0], [10] * 29 + [0], seed=1).lower is None


def test_a_tail_that_too_few_messages_reach_has_no_upper_end():
    def upper(count):
        return statistics.quantile_interval(np.arange(count) * 7919 % 5003, in_blocks(count), 990, seed=1).upper

    assert upper(360) == LATER  # 0.99^360 > 0.025: the largest of so few values may well lie below the percentile
    assert upper(900) < LATER
    rising = np.arange(900)  # every value of the tail in one stretch of time: worth far fewer than 900
    assert statistics.quantile_interval(rising, in_blocks(900), 990, seed=1).upper == LATER


def autoregressive(drawn, count, runs, correlation):
    noise = drawn.normal(size=(count, runs)) * math.sqrt(1 - correlation**2)
    found = np.empty((count, runs))
    found[0] = drawn.normal(size=runs)
    for index in range(1, count):
        found[index] = correlation * found[index - 1] + noise[index]
    return found


@pytest.mark.parametrize("correlation", [0.0, 0.7, 0.9])
@pytest.mark.parametrize("permille", [500, 950, 990])
def test_intervals_of_percentiles_hold_the_truth_when_latencies_depend_on_each_other(correlation, permille):
    """200 runs of 1,500 log-normal latencies, autocorrelated: nominal 95 % intervals hold the truth in 91 % or more."""
    runs, count = 200, 1500
    latencies = np.exp(10 + 0.5 * autoregressive(np.random.default_rng(11), count, runs, correlation)).astype(np.int64)
    truth = math.exp(10 + 0.5 * NormalDist().inv_cdf(permille / 1000))
    found = [
        statistics.quantile_interval(latencies[:, run], in_blocks(count), permille, seed=run) for run in range(runs)
    ]
    assert sum(each.lower <= truth <= each.upper for each in found) >= 0.91 * runs


def test_intervals_hold_the_truth_for_a_real_queue():
    """One server, half busy, exponential service: waiting time and service together are exponential too (M/M/1)."""
    drawn, held, runs, count = np.random.default_rng(5), 0, 150, 2000
    truth = -math.log(0.05) / (1 / 10_000 - 1 / 20_000)  # the 95th percentile of a mean of 20 ms
    for run in range(runs):
        arrival = np.cumsum(drawn.exponential(20_000, count + 500))
        service = drawn.exponential(10_000, count + 500)
        done = np.maximum.accumulate(arrival - np.concatenate([[0], np.cumsum(service)[:-1]])) + np.cumsum(service)
        latency = (done - arrival)[500:].astype(np.int64)
        block = np.minimum(29, (arrival[500:] - arrival[500]) * 30 // (arrival[-1] - arrival[500])).astype(np.int64)
        found = statistics.quantile_interval(latency, block, 950, seed=run)
        held += found.lower <= truth <= found.upper
    assert held >= 0.91 * runs


@fixed
@given(st.integers(1, 5000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_clopper_pearson_is_scipys_rounded_outward(counts):
    good, total = counts
    low, high = stats.binomtest(good, total).proportion_ci(0.95, method="exact")
    found = statistics.clopper_pearson(good, total)
    assert found[0] == pytest.approx(low * 1e6, abs=1.000001)
    assert found[1] == pytest.approx(high * 1e6, abs=1.000001)
    assert found[0] <= low * 1e6 + 1e-6
    assert found[1] >= high * 1e6 - 1e-6


def test_a_run_without_a_failure_is_not_certain_never_to_fail():
    found = statistics.share_interval([20] * 30, [20] * 30, seed=1)
    assert found == Estimate(1_000_000, statistics.clopper_pearson(600, 600)[0], 1_000_000)
    assert found.lower == 993_870  # 0.025^(1/600)


def test_failures_that_come_together_say_less_than_as_many_apart():
    together = statistics.share_interval([50] * 29 + [20], [50] * 30, seed=1)
    apart = statistics.share_interval([49] * 30, [50] * 30, seed=1)
    assert together.value == apart.value == 980_000
    assert together.lower < apart.lower


@fixed
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=30, max_size=60), st.integers(0, 2**31))
def test_a_share_lies_in_its_interval(counts, seed):
    totals = [a + b + 1 for a, b in counts]
    found = statistics.share_interval([a for a, _ in counts], totals, seed=seed)
    share = Fraction(1_000_000 * sum(a for a, _ in counts), sum(totals))
    assert 0 <= found.lower <= found.value <= share <= found.upper <= 1_000_000


@settings(derandomize=True, deadline=None)
@given(st.lists(st.integers(0, 200), min_size=30, max_size=90), st.integers(0, 9))
def test_a_total_lies_in_its_interval_and_one_that_never_changes_is_known(counts, seed):
    low, high = statistics.resampled_sums(counts, seed=seed)
    assert low <= sum(counts) <= high
    same = statistics.resampled_sums([7] * len(counts), seed=seed)
    assert same == (7 * len(counts), 7 * len(counts))
    assert statistics.resampled_sums(counts[:29], seed=seed) is None


def test_intervals_of_totals_hold_the_truth():
    """Counts of Poisson traffic: nominal 95 % intervals of the total hold its mean in 92 % of 300 runs or more."""
    drawn, runs = np.random.default_rng(11), 300
    held = 0
    for counts in drawn.poisson(13, size=(runs, 30)):
        low, high = statistics.resampled_sums(counts.tolist(), seed=3)
        held += low <= 390 <= high
    assert held >= 0.92 * runs


def test_each_further_run_is_judged_more_strictly():
    assert [statistics.judged_level(run) for run in (1, 2, 3)] == [0.95, 0.975, 0.9875]
