"""Peaks inside the window, demand after an outage and the day by hours: by hand, and whatever is declared."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_programmes import random_programmes
from scipy.stats import poisson

from tasks.volumes.model import OFFERED, model_phase, periods_in_window, window_us
from tasks.volumes.peaks import Minutes, backlogs, busiest_second, hourly, peaks
from tasks.volumes.spread import minute_weights

SEEDED = settings(derandomize=True, deadline=None)


@pytest.fixture(scope="module")
def launch(template):
    return model_phase(template.programme, "launch")


def test_the_template_by_hand(template, launch):
    """1,200,000 requests from 18 to 22 at the rates 1, 1, 1.5, 1: the hour from 20 has 400,000 of them, 1.333 times."""
    storefront = next(each for each in peaks(template.programme, launch) if each.component == "storefront")
    assert storefront.window == 1_200_000
    assert storefront.average == Fraction(1_200_000, 14_400)
    assert (storefront.hour.begins, storefront.hour.messages) == (20 * 60, 400_000)
    assert storefront.hour.ratio == Fraction(4, 3)
    assert (storefront.minute.begins, storefront.minute.messages) == (20 * 60, 6_667)
    assert storefront.minute.ratio == Fraction(4, 3)
    assert storefront.second_ratio == storefront.second / storefront.average


def test_the_day_by_hours_adds_up_to_the_day(launch):
    hours = hourly(launch)["storefront"]
    assert hours[18:22] == [266_667, 266_667, 400_000, 266_667]
    assert abs(sum(hours) - 2_400_000) <= 12


def test_demand_after_an_outage_by_hand(template, launch):
    """An outage from 18 keeps 60 % of 266,667 requests; 19 to 21 bring 666,667 more, as 20 to 22 would."""
    storefront = next(each for each in backlogs(template.programme, launch) if each.component == "storefront")
    exact = (Fraction(6, 10) * Fraction(1_200_000 * 2, 9) + Fraction(1_200_000 * 5, 9)) / 7_200
    assert storefront.rate == exact
    assert (storefront.begins, storefront.queued) == (18 * 60, 160_000)


def test_a_stretch_may_pass_midnight():
    """Half of a day's messages before midnight, half after: the busiest hour is around it."""
    weights = tuple(int(minute < 30 or minute >= 1410) for minute in range(1440))
    minutes = Minutes.of({weights: 6_000})
    counts = minutes.stretches(60)
    assert counts.index(max(counts)) == 1410
    assert Fraction(max(counts), minutes.scale) == 6_000


@settings(derandomize=True, deadline=None, max_examples=30)
@given(minute=st.fractions(0, 60_000, max_denominator=7))
def test_the_busiest_second_is_the_smallest_count_that_holds_in_95_of_100_days(minute):
    second = busiest_second(minute)
    mean = float(minute / 60)
    assert poisson.cdf(second, mean) ** 3600 >= 0.95
    assert second == 0 or poisson.cdf(second - 1, mean) ** 3600 < 0.95


@SEEDED
@given(data=st.data())
def test_no_stretch_has_less_than_the_average_and_hours_hold_the_minutes(template, data):
    programme = data.draw(random_programmes(template.programme))
    model = model_phase(programme, "pilot")
    window = periods_in_window(programme)
    for each in peaks(programme, model):
        offered = model.offered[each.component]
        minutes = Minutes.of(offered)
        assert minutes.between(0, 1440) == sum(offered.values())
        rows = [row for row in model.rows if row.component == each.component and row.kind in OFFERED]
        on_demand = [row for row in rows if row.period in window]
        assert abs(each.window - sum(row.messages for row in on_demand)) <= 2 * len(on_demand) + 1
        longest = window_us(programme) // 60_000_000
        if each.average and longest >= 60:
            assert each.hour.ratio >= 1  # some hour of the window is at least as busy as its average
        if each.average:
            assert each.minute.ratio >= max(each.hour.ratio, 1)


@SEEDED
@given(data=st.data())
def test_weights_put_the_declared_share_into_the_window(template, data):
    programme = data.draw(random_programmes(template.programme))
    traffic = programme.volumes.traffic[0]
    inside = Fraction(programme.assumption(traffic.in_window).value)
    weights = minute_weights(programme, inside, traffic.profile)
    window = programme.volumes.peak_window
    begins, ends = (int(time[:2]) * 60 + int(time[3:]) for time in (window.begins, window.ends))
    assert Fraction(sum(weights[begins:ends]), sum(weights)) == inside
