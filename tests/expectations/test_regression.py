"""Non-inferiority: three verdicts, as often wrong as they say, and the margins that so many runs can show."""

import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from simulated import comparisons, families, queue_runs, recorded_days

from catalog.canonical import canonical
from catalog.keys import Difference
from expectations import regression
from expectations.regression import Comparison, Figure, Worse
from expectations.verdicts import LATER

fixed = settings(derandomize=True, deadline=None, max_examples=80)
RUNS = st.lists(st.integers(1, 10**7), min_size=5, max_size=12).map(tuple)
SAME = {"schedule": {"digest": "a"}, "payload": "b", "environment": {"name": "e", "dsp": {"workers": 4}}}


@fixed
@given(RUNS, RUNS, st.integers(0, 500_000), st.sampled_from(Worse))
def test_bounds_are_welchs_and_the_verdict_follows_from_them(old, new, margin_ppm, worse):
    found = regression.non_inferiority(Figure(baseline=old, candidate=new, margin_ppm=margin_ppm, worse=worse))
    if len(set(old)) > 1 and len(set(new)) > 1:
        interval = stats.ttest_ind(np.log(new), np.log(old), equal_var=False).confidence_interval(0.9)
        assert found.lower_ppm == pytest.approx(math.exp(interval.low) * 1e6, abs=1.001, rel=1e-9)
        assert found.upper_ppm == pytest.approx(math.exp(interval.high) * 1e6, abs=1.001, rel=1e-9)
    assert found.lower_ppm <= found.ratio_ppm <= found.upper_ppm
    limit = 1_000_000 + (margin_ppm if worse is Worse.HIGHER else -margin_ppm)
    inside = found.upper_ppm < limit - 1 if worse is Worse.HIGHER else found.lower_ppm > limit + 1
    outside = found.lower_ppm > limit + 1 if worse is Worse.HIGHER else found.upper_ppm < limit - 1
    assert not inside or found.verdict is Comparison.SHOWN
    assert not outside or found.verdict is Comparison.VIOLATED


@fixed
@given(RUNS, RUNS, st.integers(0, 500_000))
def test_a_unit_does_not_matter_and_the_order_of_runs_neither(old, new, margin_ppm):
    one = regression.non_inferiority(Figure(baseline=old, candidate=new, margin_ppm=margin_ppm))
    thousand = Figure(
        baseline=tuple(1000 * each for each in old[::-1]),
        candidate=tuple(1000 * each for each in new),
        margin_ppm=margin_ppm,
    )
    assert regression.non_inferiority(thousand).verdict is one.verdict


@pytest.mark.parametrize(
    ("candidate", "verdict"),
    [(100, Comparison.SHOWN), (109, Comparison.SHOWN), (112, Comparison.VIOLATED)],
)
def test_runs_without_any_spread_decide_by_themselves(candidate, verdict):
    found = regression.non_inferiority(Figure(baseline=(100,) * 5, candidate=(candidate,) * 5, margin_ppm=100_000))
    assert found.verdict is verdict
    assert found.reason


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [((1,) * 4, (1,) * 9, "too few runs: 4 of the baseline"), ((1,) * 5, (1, 1, 1, 1, 0), "no logarithm")],
)
def test_what_cannot_be_compared_is_inconclusive_and_says_why(old, new, why):
    figure = Figure(baseline=old, candidate=new, margin_ppm=0)
    found = regression.non_inferiority(figure)
    assert (found.verdict, found.upper_ppm) == (Comparison.INCONCLUSIVE, None)
    assert why in found.reason
    good = Figure(baseline=(3, 3, 3, 3, 3), candidate=(3, 3, 3, 3, 3), margin_ppm=100_000)
    both = regression.secondary({"good": good, "poor": figure})
    assert (both["good"].verdict, both["poor"].verdict) == (Comparison.SHOWN, Comparison.INCONCLUSIVE)


@pytest.mark.parametrize("margin_ppm", [-1, 1_000_000])
def test_a_margin_is_a_share(margin_ppm):
    with pytest.raises(ValueError, match="margin"):
        regression.non_inferiority(Figure(baseline=(), candidate=(), margin_ppm=margin_ppm))


def test_a_recorded_baseline_needs_days():
    figure = Figure(baseline=(), candidate=(100,) * 5, margin_ppm=50_000)
    assert "too few days: 4" in regression.non_inferiority_to_recorded([[100]] * 4, figure).reason
    one = Figure(baseline=(), candidate=(100,), margin_ppm=50_000)
    assert "too few runs: 1 today, 2 on a day" in regression.non_inferiority_to_recorded([[100, 101]] * 5, one).reason
    assert regression.non_inferiority_to_recorded([[100], [99], [101], [100], [102]], one).verdict is Comparison.SHOWN
    assert regression.non_inferiority_to_recorded([[100, 101], [99]] * 3, figure).verdict is Comparison.SHOWN


@fixed
@given(st.dictionaries(st.text(max_size=3), st.integers(0, 1_000_000), min_size=1, max_size=8))
def test_holms_probabilities_are_the_textbooks(alone):
    found = regression.holm(alone)
    ordered = sorted(alone, key=lambda name: (alone[name], name))
    for place, name in enumerate(ordered):
        wanted = max((len(alone) - at) * alone[each] for at, each in enumerate(ordered[: place + 1]))
        assert found[name] == min(1_000_000, wanted)


def test_holm_says_what_it_changed():
    close = Figure(baseline=(100, 102, 104, 106, 108), candidate=(104, 106, 108, 110, 113), margin_ppm=0)
    alone = regression.non_inferiority(close)
    found = regression.secondary({str(number): close for number in range(6)})["3"]
    assert (alone.verdict, found.verdict) == (Comparison.VIOLATED, Comparison.INCONCLUSIVE)
    assert "violated alone, not among 6 figures (Holm)" in found.reason


def test_documents_that_differ_are_not_compared():
    assert regression.refusals(SAME, SAME | {"at": 5}) == ()
    other = {"schedule": {"digest": "c"}, "environment": {"name": "e", "dsp": {"workers": 5}}}
    assert regression.refusals(SAME, other) == (
        Difference(input="schedule.digest", old="a", new="c"),
        Difference(input="payload", old="b", new=None),
        Difference(input="environment.dsp.workers", old=4, new=5),
    )
    assert [each.input for each in regression.refusals({}, {})] == list(regression.MUST_AGREE)


def test_the_margin_that_so_many_runs_can_show():
    assert regression.power(100_000, 0.22, 68) >= 0.8 > regression.power(100_000, 0.22, 63)
    margins = [regression.margin(0.05, runs) for runs in (5, 6, 10, 20, 60)]
    assert margins == sorted(margins, reverse=True)
    assert regression.power(margins[1], 0.05, 6) >= 0.8 > regression.power(margins[1] - 1, 0.05, 6)
    found = comparisons(1_000, margin_ppm=margins[1])
    assert found["shown"] == pytest.approx(800, abs=40)
    assert regression.margin(0.05, 6, worse=Worse.LOWER) < margins[1]
    assert regression.margin(3.0, 5) is None


def test_a_spread_is_pooled_over_groups_of_the_same_system():
    drawn = np.random.default_rng(1)
    groups = np.rint(1e6 * np.exp(drawn.normal(0, 0.1, (50, 6)) + drawn.normal(0, 1, (50, 1)))).astype(int).tolist()
    assert regression.spread(groups) == pytest.approx(0.1, rel=0.1)
    with pytest.raises(ValueError, match="5 more runs than groups"):
        regression.spread([[1, 2, 3], [4, 5]])
    with pytest.raises(ValueError, match="two runs a side"):
        regression.power(1, 0.1, 1)


@pytest.mark.parametrize(("seed", "spread"), [(1, 0.02), (2, 0.2)])
def test_pairs_of_the_same_system_are_called_worse_as_rarely_as_said(seed, spread):
    """At margin 0, 5 % of 200 pairs (17 is two and a half standard errors above); with a margin, next to none."""
    assert comparisons(200, spread=spread, seed=seed)["violated"] <= 17
    assert comparisons(200, spread=0.05, margin_ppm=100_000, seed=seed)["violated"] <= 5


def test_a_system_at_the_margin_is_shown_as_rarely_as_said():
    assert comparisons(200, margin_ppm=100_000, change=1.1)["shown"] <= 17


def test_power_grows_with_runs():
    shown = [comparisons(200, runs=runs, spread=0.1, margin_ppm=100_000)["shown"] for runs in (5, 10, 20, 40)]
    assert shown == sorted(shown)
    assert shown[0] < 120
    assert shown[-1] > 190


def test_runs_of_one_queue_are_not_called_different_although_their_messages_depend():
    assert queue_runs(100)["violated"] <= 10


def test_holm_keeps_the_family_to_its_level():
    found = families(200)
    assert found["any violated"] <= 17 < found["without Holm"]


def test_the_day_to_day_spread_belongs_in_the_interval():
    found = recorded_days(200)
    assert found["violated"] <= 17 < found["violated if days were alike"]


@pytest.mark.parametrize("level", [0.95, 1 - 0.05 / 2**30])
def test_a_ratio_to_what_never_came_is_unbounded_and_can_be_recorded(level: float) -> None:
    good, some = (40_000, 41_000, 42_000, 43_000, 44_000), (40_000, LATER, 42_000, LATER, 44_000)
    alpha = 1 - level
    gone = regression.non_inferiority(Figure(baseline=good, candidate=(LATER,) * 5, margin_ppm=100_000), alpha=alpha)
    assert (gone.verdict is Comparison.VIOLATED) is (level == 0.95)  # a probability is told to the millionth
    assert (gone.ratio_ppm, gone.upper_ppm) == (LATER, LATER)
    torn = regression.non_inferiority(Figure(baseline=good, candidate=some, margin_ppm=100_000), alpha=alpha)
    assert (torn.verdict, torn.upper_ppm) == (Comparison.INCONCLUSIVE, LATER)
    days = regression.non_inferiority_to_recorded(
        [[each] for each in good], Figure(baseline=(), candidate=(LATER,), margin_ppm=100_000), alpha=alpha
    )
    assert (days.ratio_ppm, days.upper_ppm) == (LATER, LATER)
    for found in (gone, torn, days):
        assert canonical({name: each for name, each in asdict(found).items() if name.endswith("_ppm")})
