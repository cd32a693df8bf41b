"""The plain rule against design rule 2, written down a second time by hand."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.declarations import METRICS, Direction, Metric
from expectations.plain import lacks_from_outside, named
from expectations.verdicts import LATER, Judged, Need, Verdict, verdict

SEEDED = settings(derandomize=True, deadline=None, max_examples=400)
FIGURE = st.none() | st.sampled_from([0, 4, 5, 6, 9, LATER])
ROWS = st.builds(
    Judged,
    observation=st.just("o"),
    run=st.just("r"),
    test=st.just("t"),
    requirement=st.just("q"),
    metric=st.sampled_from([*(metric.value for metric in Metric), "service-level/2000000", "unheard-of"]),
    scope=st.just("all"),
    value=FIGURE,
    lower=FIGURE,
    upper=FIGURE,
    unit=st.sampled_from(["us", "ppm", "count", "bytes"]),
    samples=st.integers(0, 3),
    needed_samples=st.integers(0, 2),
    method=st.just("how"),
    limit=st.sampled_from([4, 5, 6]),
    limit_unit=st.sampled_from(["us", "ppm", "count", "bytes"]),
    direction=st.sampled_from([each.value for each in Direction]),
    offered=st.none() | st.integers(0, 2),
    target=st.integers(0, 2),
    lateness_us=st.none() | st.integers(0, 2),
    lateness_limit_us=st.integers(0, 2),
    coverage_ppm=st.none() | st.integers(0, 2),
    coverage_needed_ppm=st.integers(0, 2),
    unreachable=st.sampled_from(["", "", "", "refused"]),
    withdrawn=st.sampled_from(["", "", "", "a wrong clock"]),
    closed_loop=st.booleans(),
    reliance=st.just("executed"),
)


def whole(row):
    """The row with everything that a verdict needs, as its metric is declared and its interval in order."""
    metric = row.metric if row.metric in {each.value for each in Metric} else Metric.LATENCY_P95.value
    unit, direction, _ = METRICS[Metric(metric)]
    lower, value, upper = sorted(each or 0 for each in (row.lower, row.value, row.upper))
    needed = {"samples": row.needed_samples, "offered": row.target, "lateness_us": row.lateness_limit_us}
    return replace(
        row, metric=metric, unit=unit.value, limit_unit=unit.value, direction=direction.value, lower=lower, value=value,
        upper=upper, coverage_ppm=row.coverage_needed_ppm, unreachable="", withdrawn="", **needed,
    )  # fmt: skip


def by_hand(row):
    """Rule 2: proved needs the whole interval inside the limit, not proved wholly outside, anything else is open."""
    if row.unreachable or row.withdrawn:
        return Verdict.INCONCLUSIVE
    if None in (row.value, row.lower, row.upper, row.offered, row.lateness_us):
        return Verdict.INCONCLUSIVE
    if not row.lower <= row.value <= row.upper:
        return Verdict.INCONCLUSIVE
    declared = {metric.value: (unit.value, direction.value) for metric, (unit, direction, _) in METRICS.items()}
    metric = row.metric.split("/")[0]
    if row.unit != row.limit_unit or declared.get(metric) != (row.unit, row.direction):
        return Verdict.INCONCLUSIVE
    if row.offered < row.target or row.lateness_us > row.lateness_limit_us or row.samples < row.needed_samples:
        return Verdict.INCONCLUSIVE
    if row.coverage_needed_ppm and (row.coverage_ppm is None or row.coverage_ppm < row.coverage_needed_ppm):
        return Verdict.INCONCLUSIVE
    good = [end <= row.limit if row.direction == "at most" else end >= row.limit for end in (row.lower, row.upper)]
    if all(good):
        return Verdict.PROVED
    return Verdict.INCONCLUSIVE if any(good) else Verdict.NOT_PROVED


@SEEDED
@given(row=ROWS | ROWS.map(whole))
def test_the_plain_rule_is_rule_two(row):
    found, reason = verdict(row, named([row]))
    assert found is by_hand(row)
    assert reason


@SEEDED
@given(row=ROWS.map(whole))
def test_whatever_is_whole_is_judged_by_its_interval_alone(row):
    found = named([row])
    assert not any(found.lacking.values())
    assert verdict(row, found)[0] is by_hand(row)


@SEEDED
@given(rows=st.lists(ROWS, max_size=4))
def test_rows_are_judged_each_by_itself(rows):
    rows = [replace(row, observation=str(place)) for place, row in enumerate(rows)]
    together = named(rows)
    for row in rows:
        assert verdict(row, together) == verdict(row, named([row]))
        assert lacks_from_outside(row, together) == lacks_from_outside(row, named([row]))


PROVED = Judged(
    observation="o", run="r", test="t", requirement="q", metric="cpu-p95", scope="all", value=5, lower=4, upper=6,
    unit="ppm", samples=99, needed_samples=73, method="how", limit=9, limit_unit="ppm", direction="at most",
    offered=300, target=300, lateness_us=1, lateness_limit_us=2, coverage_ppm=10, coverage_needed_ppm=10,
    unreachable="", withdrawn="", reliance="executed",
)  # fmt: skip
LACKS = [
    ({"unreachable": "refused"}, Need.REACHABLE),
    ({"withdrawn": "a wrong clock"}, Need.INTACT),
    ({"offered": 299}, Need.OFFERED),
    ({"offered": None}, Need.OFFERED),
    ({"lateness_us": 3}, Need.IN_TIME),
    ({"lateness_us": None}, Need.IN_TIME),
    ({"value": None, "lower": None, "upper": None}, Need.MEASURED),
    ({"unit": "us"}, Need.AGREEING),
    ({"unit": "us", "limit_unit": "us"}, Need.AGREEING),
    ({"direction": "at least"}, Need.AGREEING),
    ({"metric": "service-level/2000000"}, Need.AGREEING),
    ({"metric": "unheard-of"}, Need.AGREEING),
    ({"coverage_ppm": 9}, Need.COVERED),
    ({"coverage_ppm": None}, Need.COVERED),
    ({"samples": 72}, Need.SAMPLES),
    ({"lower": None}, Need.INTERVAL),
    ({"upper": None}, Need.INTERVAL),
    ({"lower": 6}, Need.INTERVAL),
    ({"upper": 4}, Need.INTERVAL),
]
LATE_STEP = {"metric": "headroom", "direction": "at least", "samples": 0, "needed_samples": 1, "value": None}


@pytest.mark.parametrize(("change", "need"), LACKS)
def test_each_lack_is_named_alone(change, need):
    found = named([replace(PROVED, **change), replace(PROVED, observation="whole")])
    assert {each: set(rows) for each, rows in found.lacking.items() if rows} == {need: {"o"}}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"offered": 301, "lateness_us": 2, "samples": 73, "lower": 5, "upper": 5},
        {"coverage_ppm": None, "coverage_needed_ppm": 0},
        {"closed_loop": True, "lateness_us": None},
        {"metric": "service-level/2000000", "direction": "at least"},
    ],
)
def test_what_is_just_enough_lacks_nothing(change):
    assert not any(named([replace(PROVED, **change)]).lacking.values())


def test_what_is_not_met_is_handed_on():
    unmet = {"in words": frozenset({"o"})}
    assert named([PROVED], unmet).unmet == unmet
    assert verdict(PROVED, named([PROVED], unmet))[0] is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    "change",
    [
        {"unreachable": "refused"},
        {"offered": 299},
        {"offered": None},
        {"lateness_us": 3},
        {"lateness_us": None},
        {"coverage_ppm": 9},
        {"coverage_ppm": None, "value": None, "lower": None, "upper": None},
        LATE_STEP,
    ],
)
def test_causes_outside_the_figure_let_a_run_be_repeated(change):
    row = replace(PROVED, **change)
    assert verdict(row, named([row]))[0] is Verdict.INCONCLUSIVE
    assert lacks_from_outside(row, named([row]))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"limit": 5},
        {"limit": 3},
        {"samples": 72},
        {"lower": None},
        {"value": None, "lower": None, "upper": None},
        {"limit_unit": "us"},
        {"withdrawn": "a wrong clock"},
    ],
)
def test_whatever_lies_in_the_figure_does_not(change):
    row = replace(PROVED, **change)
    assert not lacks_from_outside(row, named([row]))


def test_the_limit_itself_is_inside_on_either_side():
    for direction, metric in (("at most", "cpu-p95"), ("at least", "headroom")):
        row = replace(PROVED, metric=metric, direction=direction, lower=9, value=9, upper=9)
        assert verdict(row, named([row]))[0] is Verdict.PROVED


def test_a_maximum_with_no_upper_end_can_be_refuted_and_not_proved():
    row = replace(PROVED, metric="latency-max", unit="us", limit_unit="us", upper=LATER)
    assert verdict(row, named([row]))[0] is Verdict.INCONCLUSIVE
    beyond = replace(row, value=10, lower=10)
    assert verdict(beyond, named([beyond]))[0] is Verdict.NOT_PROVED


def test_every_need_is_looked_at():
    assert set(named([]).lacking) == set(Need)
