"""Composed latencies: no dependence breaks the bounds, two components attain them, independence is convolution."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import coupled, paths

from expectations import composition, statistics
from expectations.composition import Latencies, counted
from expectations.statistics import Estimate
from expectations.verdicts import LATER

fixed = settings(derandomize=True, deadline=None, max_examples=100)
few = settings(derandomize=True, deadline=None, max_examples=40)
PERMILLES = st.sampled_from([1, 500, 900, 950, 990, 1000])


def samples(components):
    size = st.shared(st.integers(1, 80 if components == 2 else 25), key=f"size of {components}")
    one = size.flatmap(lambda n: st.lists(st.integers(0, 5_000) | st.just(LATER), min_size=n, max_size=n))
    return st.tuples(*[one] * components).map(lambda each: [np.array(own, dtype=np.int64) for own in each])


def percentile(sums, permille):
    return statistics.quantile(np.sort(np.minimum(sums, LATER)), permille)


@fixed
@given(samples(2), PERMILLES, st.integers(0, 99))
def test_every_coupling_of_two_components_lies_within_the_bounds(pair, permille, seed):
    lower, upper = composition.bounds([counted(each) for each in pair], permille)
    for name, sums in coupled(np.random.default_rng(seed), *pair):
        assert lower <= percentile(sums, permille) <= upper, name


@fixed
@given(samples(2), PERMILLES)
def test_some_coupling_attains_each_bound(pair, permille):
    """Upper: the values beyond the percentile meet their opposites. Lower: those up to it do."""
    one, other = (np.sort(each) for each in pair)
    lower, upper = composition.bounds([counted(each) for each in pair], permille)
    cut = statistics.rank(permille, len(one)) - 1
    worst = one + np.concatenate([other[:cut], other[cut:][::-1]])
    best = one + np.concatenate([other[: cut + 1][::-1], other[cut + 1 :]])
    assert percentile(worst, permille) == upper
    assert percentile(best, permille) == lower


@few
@given(samples(3), PERMILLES, st.integers(0, 99))
def test_every_coupling_of_three_components_lies_within_the_bounds(three, permille, seed):
    drawn = np.random.default_rng(seed)
    lower, upper = composition.bounds([counted(each) for each in three], permille)
    for _, sums in coupled(drawn, three[0], three[1]):
        assert lower <= percentile(sums + drawn.permutation(three[2]), permille) <= upper
    assert lower <= percentile(sum(np.sort(each) for each in three), permille) <= upper


@few
@given(samples(2), PERMILLES)
def test_independence_lies_within_the_bounds_and_is_exact_on_a_grid_of_microseconds(pair, permille):
    found = composition.compose([counted(each) for each in pair], permille, grid_us=1)
    exact = percentile(np.add.outer(*pair).ravel(), permille)
    assert found.independent == Estimate(exact, exact, exact)
    assert found.lower_us <= exact <= found.upper_us


@few
@given(samples(3), PERMILLES, st.integers(2, 400))
def test_a_grid_moves_independence_by_no_more_than_a_cell_a_component(three, permille, grid_us):
    found = composition.independent([counted(each) for each in three], permille, grid_us=grid_us)
    exact = percentile(np.add.outer(np.add.outer(three[0], three[1]), three[2]).ravel(), permille)
    assert found.lower <= exact <= found.upper
    assert found.lower <= found.value <= found.upper
    assert found.upper == LATER or found.upper - found.lower <= 3 * grid_us


def test_the_shared_parts_lose_little_where_the_exact_bounds_are_known():
    drawn = np.random.default_rng(2)
    pair = [counted(np.exp(drawn.normal(9, 0.5, 5_000)).astype(np.int64)) for _ in range(2)]
    lower, upper = composition.bounds(pair, 950)
    assert upper <= composition._upper(pair, 950) <= 1.01 * upper
    assert 0.99 * lower <= composition._lower(pair, 950) <= lower


def test_one_component_is_itself():
    own = counted([5, 3, 9, LATER])
    found = composition.compose([own], 750, grid_us=1)
    assert (found.lower_us, found.upper_us, found.independent.value) == (9, 9, 9)
    assert composition.compose([own], 751, grid_us=1).upper_us == LATER


def test_a_path_that_meets_an_unanswered_message_is_not_answered():
    """One in ten is not answered, in each of two components: 19 in 100 if independent, 1 in 5 at worst."""
    one = Latencies(values=np.array([100, LATER]), counts=np.array([90, 10]))
    assert composition.bounds([one, one], 800) == (200, 200)
    assert composition.bounds([one, one], 801) == (200, LATER)
    assert composition.bounds([one, one], 901) == (LATER, LATER)
    assert composition.independent([one, one], 809, grid_us=100).value == 200
    assert composition.independent([one, one], 811, grid_us=100) == Estimate(LATER, LATER, LATER)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (lambda: composition.bounds([], 950), "at least one component"),
        (lambda: composition.bounds([counted([1])], 0), "between 1 and 1000"),
        (lambda: composition.independent([counted([1])], 5, grid_us=0), "at least 1"),
        (lambda: composition.independent([counted([2**30])], 5, grid_us=1), "too fine"),
        (lambda: composition.independent([counted([2**22 + 9])] * 2, 5, grid_us=1), "too fine"),
        (lambda: counted([]), "at least one"),
        (lambda: counted([-1]), "at least 0"),
        (lambda: Latencies(values=np.array([2, 1]), counts=np.array([1, 1])), "rising"),
    ],
)
def test_what_cannot_be_composed_is_refused(wrong, why):
    with pytest.raises(ValueError, match=why):
        wrong()


@pytest.mark.parametrize(("components", "permille"), [(2, 990), (3, 950)])
def test_independence_is_what_simulation_says(components, permille):
    found = paths(5, permille, components=components)
    assert found["held"] == 5
    assert found["worst error of independence in %"] < 1.5
