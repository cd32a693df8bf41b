"""The knee of a ramp: the search ends, its interval holds the truth, and a law is fitted only where points allow."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import knees

from expectations import capacity
from expectations.capacity import Knee, Ramp
from expectations.statistics import Estimate, Step
from expectations.verdicts import LATER

fixed = settings(derandomize=True, deadline=None, max_examples=150)


def searched(ramp, carries):
    steps = []
    while (multiple := capacity.next_multiple(ramp, steps)) is not None:
        steps.append(Step(multiple_ppm=multiple, offered=True, carried=carries(multiple, len(steps))))
    return steps


def told(*steps):
    return [Step(multiple_ppm=multiple, offered=said != "late", carried=said == "carried") for multiple, said in steps]


@fixed
@given(st.integers(310_000, 60_000_000), st.integers(5_000, 300_000), st.integers(1, 3))
def test_a_sharp_knee_lies_in_an_interval_of_the_declared_width(truth, width, agreeing):
    ramp = Ramp(width_ppm=width, agreeing=agreeing)
    steps = searched(ramp, lambda multiple, _: multiple <= truth)
    found = capacity.knee(steps)
    assert found.carried_ppm <= truth < found.not_carried_ppm
    assert (found.not_carried_ppm - found.carried_ppm) * 1_000_000 <= width * found.carried_ppm
    ends = (found.carried_ppm, found.not_carried_ppm)
    assert all(sum(step.multiple_ppm == end for step in steps) == agreeing for end in ends)


@fixed
@given(st.lists(st.booleans(), min_size=64, max_size=64), st.integers(5_000, 300_000))
def test_whatever_a_system_answers_the_search_ends_within_what_was_declared(answers, width):
    ramp = Ramp(width_ppm=width)
    steps = searched(ramp, lambda _, number: answers[number])
    found = capacity.knee(steps)
    assert 0 < len(steps) <= 64
    assert all(0 < step.multiple_ppm <= ramp.most_ppm for step in steps)
    assert all(not step.carried for step in steps if step.multiple_ppm >= (found.not_carried_ppm or LATER))
    assert all(step.carried for step in steps if step.multiple_ppm <= found.carried_ppm)


def test_the_next_multiple_depends_on_the_steps_and_not_on_their_order():
    steps = searched(Ramp(), lambda multiple, number: multiple <= 2_300_000 + 100_000 * (number % 2))
    for number in range(len(steps)):
        so_far = steps[:number]
        assert capacity.next_multiple(Ramp(), so_far[::-1]) == steps[number].multiple_ppm
    assert capacity.knee(steps) == capacity.knee(steps[::-1])


def test_a_multiple_that_contradicts_itself_lies_inside_the_interval():
    steps = told((1_000_000, "carried"), (1_100_000, "carried"), (1_100_000, "not"), (1_200_000, "not"))
    assert capacity.knee(steps) == Knee(carried_ppm=1_000_000, not_carried_ppm=1_200_000)
    assert capacity.next_multiple(Ramp(width_ppm=50_000), steps) == 1_050_000


def test_a_step_that_was_not_offered_in_time_ends_the_search_and_leaves_no_interval():
    steps = told((1_000_000, "carried"), (1_500_000, "late"))
    assert capacity.next_multiple(Ramp(), steps) is None
    assert capacity.knee(steps).carried() == Estimate(0, None, None)
    assert capacity.service_capacity(capacity.knee(steps), limit_us=1, step_us=1, messages=1).lower is None


def test_a_system_that_carries_everything_is_bounded_by_nothing_and_one_that_carries_nothing_by_the_lowest():
    everything = capacity.knee(searched(Ramp(most_ppm=3_000_000), lambda *_: True))
    assert everything == Knee(carried_ppm=3_000_000, not_carried_ppm=None)
    assert everything.carried() == Estimate(3_000_000, 3_000_000, LATER)
    assert capacity.service_capacity(everything, limit_us=1000, step_us=10**6, messages=9).upper == LATER
    nothing = capacity.knee(searched(Ramp(), lambda *_: False))
    assert nothing.carried_ppm == 0
    assert nothing.not_carried_ppm <= 100_000
    assert nothing.carried() == Estimate(0, 0, nothing.not_carried_ppm - 1)


@pytest.mark.parametrize(
    "wrong", [{"first_ppm": 0}, {"growth_ppm": 1_000_000}, {"width_ppm": 10}, {"agreeing": 0}, {"most_ppm": 1}]
)
def test_a_ramp_that_could_not_end_is_refused(wrong):
    with pytest.raises(ValueError, match=r"ramp|least one step"):
        Ramp(**wrong)


def test_an_overload_shows_only_in_a_step_that_is_long_enough():
    needed = capacity.needed_step_us(500_000, 50_000)
    assert needed == math.ceil(500_000 / 0.05 / 0.95)
    arrival = [number * 1_000 / 1.05 for number in range(int(needed * 1.05 / 1_000))]  # 1.05 times 1 a millisecond
    latency = [(number + 1) * 1_000 - each for number, each in enumerate(arrival)]
    assert sorted(latency)[int(0.95 * len(latency))] == pytest.approx(500_000, rel=0.01)


def test_the_known_capacity_lies_in_the_interval_of_ninety_of_a_hundred_stress_tests():
    found = knees(100)
    assert found["held"] >= 95
    assert found["held by the knee itself"] >= 90
    assert found["widest in %"] < 16


@fixed
@given(st.floats(10, 10_000), st.floats(0, 0.3), st.floats(1e-5, 0.01))
def test_a_law_is_found_again_from_points_on_it(rate, contention, coherency):
    loads = [1, 2, 4, 8, 16, 32, 64]
    points = [(n, rate * n / (1 + contention * (n - 1) + coherency * n * (n - 1))) for n in loads]
    found = capacity.scalability(reversed(points))
    assert float(found.rate) == pytest.approx(rate, rel=1e-4)
    assert float(found.contention) == pytest.approx(contention, abs=1e-4)
    assert float(found.coherency) == pytest.approx(coherency, rel=1e-2, abs=1e-6)
    peak = max(1.0, math.sqrt((1 - contention) / coherency))
    assert float(found.peak_load) == pytest.approx(peak, rel=0.01)
    assert found.beyond == (float(found.peak_load) > 64)
    assert found.residual_ppm <= 10


def test_a_system_without_contention_has_no_greatest_throughput():
    found = capacity.scalability((n, 250 * n) for n in (1, 2, 3, 4, 8))
    assert (found.rate, found.contention, found.coherency) == ("250", "0", "0")
    assert (found.peak_load, found.peak_rate, found.beyond) == (None, None, False)


@pytest.mark.parametrize("loads", [(), (1, 2, 4), (1, 1, 2, 2, 4, 4), (100, 120, 140, 160, 180), (1e6, 2e6, 3e6, 4e6)])
def test_a_law_that_the_points_do_not_identify_is_none(loads):
    assert capacity.scalability((n, 10 * n) for n in loads) is None


def test_loads_and_throughputs_lie_above_nothing():
    with pytest.raises(ValueError, match="above 0"):
        capacity.scalability([(0, 1), (1, 2)])


@settings(derandomize=True, deadline=None)
@given(st.lists(st.none() | st.integers(1, 300), max_size=60), st.integers(0, 200))
def test_a_step_is_carried_when_enough_are_answered_soon_enough(latencies, late):
    ordered = sorted(LATER if latency is None else latency for latency in latencies)
    answered = sum(latency is not None for latency in latencies)
    step = capacity.step_of(
        2_000_000,
        lateness_us=np.full(len(latencies), late),
        latency_us=np.array(ordered, dtype=np.int64),
        answered=answered,
        limits=capacity.Limits(lateness_us=100, latency_us=150, answered_ppm=990_000),
    )
    # nearest rank: the 95th percentile is within the limit when at least 95 of 100 messages are
    soon = sum(latency <= 150 for latency in ordered)
    carried = soon * 100 >= 95 * len(latencies) and answered * 100 >= 99 * len(latencies)
    assert step == Step(
        multiple_ppm=2_000_000, offered=bool(latencies) and late <= 100, carried=bool(latencies) and carried
    )


def test_a_step_of_which_a_message_was_never_taken_up_was_not_offered():
    late = np.array([5] * 199 + [LATER])
    limits = capacity.Limits(lateness_us=100, latency_us=LATER, answered_ppm=0)
    assert not capacity.step_of(1, lateness_us=late, latency_us=late, answered=199, limits=limits).offered


LIMITS = capacity.Limits(lateness_us=100, latency_us=500, answered_ppm=990_000)


@pytest.mark.parametrize(
    ("late", "slow", "unanswered", "offered", "carried"),
    [
        (10, 50, 10, True, True),
        (11, 50, 10, False, True),
        (10, 51, 10, True, False),
        (10, 50, 11, True, False),
    ],
)
def test_of_a_thousand_messages_so_many_may_be_beyond_each_limit(late, slow, unanswered, offered, carried):
    step = capacity.step_of(
        1_000_000,
        lateness_us=np.where(np.arange(1000) < late, 101, 100),
        latency_us=np.where(np.arange(1000) < slow, 501, 500),
        answered=1000 - unanswered,
        limits=LIMITS,
    )
    assert step == Step(multiple_ppm=1_000_000, offered=offered, carried=carried)
