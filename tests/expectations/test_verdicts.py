"""The rule of three verdicts, over what the suites named."""

from dataclasses import replace

import pytest

from catalog.canonical import canonical
from catalog.declarations import Metric
from expectations.verdicts import LATER, NEEDED_SAMPLES, Judged, Named, Need, Verdict, is_closed_loop, verdict

ROW = Judged(
    observation="o",
    run="r",
    test="t",
    requirement="q",
    metric="latency-p95",
    scope="all",
    value=5,
    lower=4,
    upper=6,
    unit="us",
    samples=300,
    needed_samples=200,
    method="how",
    limit=10,
    limit_unit="us",
    direction="at most",
    offered=300,
    target=300,
    lateness_us=1,
    lateness_limit_us=2,
    coverage_ppm=None,
    coverage_needed_ppm=0,
    unreachable="",
    withdrawn="",
    reliance="executed",
)


def named(*lacking, unproved=False, unrefuted=False):
    return Named(
        lacking={need: frozenset({"o"} if need in lacking else ()) for need in Need},
        unproved=frozenset({"o"} if unproved else ()),
        unrefuted=frozenset({"o"} if unrefuted else ()),
    )


def test_inside_is_proved_outside_is_not_proved_and_between_is_inconclusive():
    assert verdict(ROW, named(unrefuted=True))[0] is Verdict.PROVED
    assert verdict(ROW, named(unproved=True))[0] is Verdict.NOT_PROVED
    straddling = verdict(ROW, named(unproved=True, unrefuted=True))
    assert straddling == (Verdict.INCONCLUSIVE, "[4 µs, 6 µs] straddles the limit, at most 10 µs")


@pytest.mark.parametrize("need", Need)
@pytest.mark.parametrize(("unproved", "unrefuted"), [(False, True), (True, False), (True, True)])
def test_whatever_is_lacking_makes_it_inconclusive_with_a_reason(need, unproved, unrefuted):
    found, reason = verdict(ROW, named(need, unproved=unproved, unrefuted=unrefuted))
    assert found is Verdict.INCONCLUSIVE
    assert reason


def test_the_lack_that_explains_the_others_is_told():
    row = replace(ROW, unreachable="connection refused", offered=None)
    assert verdict(row, named(*Need))[1] == "system unreachable: connection refused"
    assert verdict(row, named(Need.SAMPLES, Need.OFFERED))[1] == "load not offered: an unknown number of 300 messages"


def test_reasons_name_their_figures():
    assert verdict(ROW, named(Need.SAMPLES))[1] == "too few samples: 300 of 200"
    assert "99th percentile of lateness 1 µs, at most 2 µs" in verdict(ROW, named(Need.IN_TIME))[1]
    late_step = replace(ROW, metric="headroom", method="steps: 1000000 ppm not offered in time")
    assert verdict(late_step, named(Need.SAMPLES))[1] == "load not offered: steps: 1000000 ppm not offered in time"
    unbounded = replace(ROW, upper=LATER)
    assert verdict(unbounded, named(unproved=True, unrefuted=True))[1].endswith("(how)")


CLOSED, TOOL = {"closed_loop": True}, {"evidence": "another tool's"}
UNMEASURED = "missing metrics: latency-p95 was not measured for all"
WEAK = "not provable from this evidence"
UNKNOWN_DUE = "cannot be told: nobody knows when a message was due, and"


@pytest.mark.parametrize(
    ("need", "change", "told"),
    [
        (Need.INTACT, {"withdrawn": "a wrong clock"}, "evidence withdrawn: a wrong clock"),
        (Need.OFFERED, {"offered": 1_299, "target": 1_300}, "load not offered: 1,299 of 1,300 messages"),
        (Need.MEASURED, {}, UNMEASURED),
        (Need.MEASURED, CLOSED, f"{UNKNOWN_DUE} latency-p95 counts from then; closed loop"),
        (
            Need.MEASURED,
            CLOSED | {"metric": "service-level/7"},
            f"{UNKNOWN_DUE} service-level/7 counts from then; closed loop",
        ),
        (
            Need.MEASURED,
            CLOSED | {"metric": "cpu-p95"},
            "missing metrics: cpu-p95 was not measured for all; closed loop",
        ),
        (Need.MEASURED, TOOL, f"{WEAK}: {UNMEASURED} (another tool's)"),
        (Need.MEASURED, CLOSED | TOOL, f"{WEAK}: {UNKNOWN_DUE} latency-p95 counts from then (another tool's)"),
        (Need.AGREEING, {"unit": "ppm"}, "measured in ppm, limited in us, at most: not as latency-p95 is declared"),
        (
            Need.COVERED,
            {"coverage_ppm": 800_000, "coverage_needed_ppm": 900_000},
            "missing metrics: 80 % of the samples, 90 % needed",
        ),
        (
            Need.COVERED,
            {"coverage_needed_ppm": 900_000},
            "missing metrics: an unknown number of the samples, 90 % needed",
        ),
        (Need.SAMPLES, TOOL, "too few samples: 300 of 200 (another tool's)"),
        (Need.INTERVAL, {}, "too few samples: how"),
        (Need.INTERVAL, TOOL, f"{WEAK}: it has no interval: how (another tool's)"),
    ],
)
def test_a_lack_is_told_with_its_figures_and_what_is_weak_about_the_evidence(need, change, told):
    assert verdict(replace(ROW, **change), named(need)) == (Verdict.INCONCLUSIVE, told)


def test_what_is_not_as_expected_proves_and_refutes_nothing():
    found = replace(
        named(), unmet={"the clock is right (clock)": frozenset({"o"}), "b": frozenset({"o"}), "c": frozenset()}
    )
    assert verdict(ROW, found) == (Verdict.INCONCLUSIVE, "not as expected: the clock is right (clock); b")
    assert verdict(replace(ROW, observation="p"), found)[0] is Verdict.PROVED


def test_an_interval_is_told_from_nothing_and_without_end():
    assert verdict(replace(ROW, lower=0), named())[1] == "[0 µs, 6 µs] lies inside the limit, at most 10 µs"
    beyond = replace(ROW, lower=11, value=12, upper=LATER)
    assert verdict(beyond, named(unproved=True))[1] == "[11 µs, unbounded] lies outside the limit, at most 10 µs"


def test_an_injector_says_by_its_name_whether_its_loop_is_closed():
    assert is_closed_loop("locust, closed loop")
    assert not is_closed_loop("own, open loop")


def test_what_never_came_ranks_later_than_two_hundred_years_and_can_be_recorded():
    assert LATER > 200 * 365 * 86_400_000_000
    assert canonical([LATER]) == f"[{LATER}]".encode()


def test_every_metric_has_a_least_number_of_samples():
    assert set(NEEDED_SAMPLES) == set(Metric)
    for metric, quantile in ((Metric.LATENCY_P95, 0.95), (Metric.LATENCY_P99, 0.99)):
        assert NEEDED_SAMPLES[metric] * (1 - quantile) == pytest.approx(10)
    cpu = NEEDED_SAMPLES[Metric.CPU_P95]
    assert 0.95**cpu < 0.025 <= 0.95 ** (cpu - 1)
