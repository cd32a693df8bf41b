"""Sensitivities and the backtest: by hand, and that the two ways of computing one peak agree."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_programmes import random_programmes

from tasks.volumes.backtest import backtest
from tasks.volumes.model import OFFERED, model_phase, periods_in_window
from tasks.volumes.sensitivity import _triangular, sensitivities, window_messages
from tasks.volumes.streams import declared_values


@pytest.fixture(scope="module")
def launch(template):
    return model_phase(template.programme, "launch")


def found(programme, launch, **levels):
    return sensitivities(programme, launch.day, {"storefront": levels})[0]


def test_one_at_a_time_by_hand(template, launch):
    """1,200,000 requests in the window: x 8/12 and 18/12; x 0.40/0.50 and 0.65/0.50; the weekend is not modelled."""
    sensitivity = found(template.programme, launch)
    assert sensitivity.peak == 1_200_000
    swings = [(each.assumption, each.at_low, each.at_high) for each in sensitivity.swings]
    assert swings == [
        ("requests-per-customer-per-day", 800_000, 1_800_000),
        ("evening-share", 960_000, 1_560_000),
    ]


def test_drawn_together_by_another_way(template, launch):
    """Both ranges drawn by numpy's own triangular generator, another stream: the shares agree."""
    level = 1_400_000
    sensitivity = found(template.programme, launch, tested=level)
    drawn = np.random.default_rng(7)
    requests = drawn.triangular(8, 12, 18, 200_000)
    evening = drawn.triangular(0.40, 0.50, 0.65, 200_000)
    expected = float((200_000 * requests * evening > level).mean())
    assert sensitivity.exceeded[0].draws_above_ppm / 1e6 == pytest.approx(expected, abs=0.015)
    assert sensitivity.quantiles[50] == pytest.approx(float(np.median(200_000 * requests * evening)), rel=0.01)


def test_the_same_seed_draws_the_same_and_levels_order_the_shares(template, launch):
    first, again = (found(template.programme, launch, low=1, high=10**9) for _ in range(2))
    assert first == again
    assert [each.draws_above_ppm for each in first.exceeded] == [1_000_000, 0]


def test_a_triangular_draw_has_its_mean_and_stays_in_its_range():
    drawn = _triangular(np.random.default_rng(3).random(100_000), 1.0, 2.0, 6.0)
    assert drawn.min() >= 1
    assert drawn.max() <= 6
    assert drawn.mean() == pytest.approx(3.0, abs=0.02)
    assert (_triangular(np.array([0.0, 0.5]), 2.0, 2.0, 2.0) == 2).all()
    assert (_triangular(np.array([0.0, 1.0]), 0.0, 1.0, 1.0) == [0, 1]).all()


def test_a_component_without_traffic_has_nothing_to_exceed(template, launch):
    empty = sensitivities(template.programme, launch.day, {"shopper": {"tested": 1}})[0]
    assert (empty.peak, empty.swings, empty.quantiles, empty.exceeded[0].draws_above_ppm) == (0, (), {}, 0)


@settings(derandomize=True, deadline=None)
@given(data=st.data())
def test_the_exact_peak_is_that_of_the_rows_but_for_rounding(template, data):
    programme = data.draw(random_programmes(template.programme))
    model = model_phase(programme, "pilot")
    exact = window_messages(programme, model.day, declared_values(programme))
    window = periods_in_window(programme)
    for component in ("storefront", "orders"):
        rows = [row for row in model.rows if row.component == component and row.kind in OFFERED]
        offered = sum(row.messages for row in rows if row.period in window)
        unasked = sum(row.messages for row in rows if row.mode == "scheduled") if component == "orders" else 0
        assert unasked >= 0
        assert abs(offered - exact.get(component, 0)) <= 2 * max(len(rows), 20)


# --- backtest ---------------------------------------------------------------------------------------------------------


def test_each_observed_volume_is_held_against_the_forecast_of_its_days(smets1):
    rows = {(each.observed.begins, each.observed.measure.value, each.observed.generation): each
            for each in backtest(smets1.programme)}  # fmt: skip
    meters = rows["2020-02-26", "meters", "smets2"]
    assert (meters.phase, meters.modelled, meters.error_ppm) == ("ioc", 3_000_000, -250_000)
    migrations = rows["2021-08-01", "migrations", "smets1"]
    assert (migrations.phase, migrations.modelled) == ("foc", 42_500)
    requests = rows["2022-07-01", "requests", ""]
    exact = Fraction("1.54") * (15_100_000 * Fraction("0.97") + 14_800_000 * Fraction("1.14"))
    assert requests.modelled == round(exact)
    before = rows["2019-10-01", "requests", ""]  # before any forecast
    assert (before.phase, before.modelled, before.error_ppm) == (None, None, None)


def test_what_was_observed_as_nothing_has_no_error_by_it(smets1, edited):
    row = {"begins": "2022-07-01", "ends": "2022-07-31", "measure": "alerts", "generation": "smets1", "value": 0,
           "standing": "proposed", "source": "s"}  # fmt: skip
    each = backtest(edited(smets1.programme, ("observed_volumes", [row])))[0]
    assert (each.modelled, each.error_ppm) == (38_807_000, None)
