"""The history of regressions: what is compared with what, what is found, and how the page and JUnit's XML tell it."""

import math
from xml.etree import ElementTree

import numpy as np
import pytest
from pydantic import ValidationError

from catalog import rules
from catalog.canonical import document_digest
from catalog.declarations import RecordedBaseline
from tasks.report.trend import junit, render_trend
from tasks.trend import MOST_DAYS, Day, baseline_runs, told, trend

GOLDEN = (1, "bd259bda8f0f7d88")
"""Version of the rules, and what they give; raise the first whenever the other changes."""

ABOUT = {"programme": "A shop", "environment": {"id": "rehearsal", "kind": "rehearsal"}}
HOSTILE = "<script>alert(1)</script>\x07‮"


def observation(day, *, value, test="launch.orders.load", requirement="latency", scope="all", **changes):
    run = f"regression-{day}/{test}/1"
    row = {
        "observation": f"{run}/{requirement}/{scope}", "run": run, "test": test, "requirement": requirement,
        "metric": "latency-p95", "scope": scope, "value": value, "lower": value - 500, "upper": value + 500,
        "unit": "us", "samples": 500, "limit": 50_000, "direction": "at most", "verdict": "proved",
        "reason": "it lies inside the limit", "reliance": "executed",
    }  # fmt: skip
    return {**row, **changes}


def history(days, conduct=()):
    """The history of days with these observations each; `conduct`: how each was conducted, alike unless given."""
    listed = [
        {
            "occasion": f"regression-2026-{1 + number // 28:02}-{1 + number % 28:02}",
            "day": f"2026-{1 + number // 28:02}-{1 + number % 28:02}",
            "conduct": dict.fromkeys([row["run"] for row in rows], conduct[number] if conduct else "alike"),
        }
        for number, rows in enumerate(days)
    ]
    return trend(listed, days, ABOUT)


def latencies(levels, spread=0.02):
    noise = np.random.default_rng(7).normal(0, spread, len(levels))
    return [round(level * math.exp(each)) for level, each in zip(levels, noise, strict=True)]


def days_of(levels, **changes):
    return [[observation(f"{at:03}", value=value, **changes)] for at, value in enumerate(latencies(levels))]


def test_a_step_to_the_worse_is_found_and_its_day_is_named():
    found = history(days_of([33_000] * 20 + [37_000] * 6))
    (series,) = found["series"]
    assert found["worse"] == 1
    assert [change["occasion"] for change in series["changes"]] == ["regression-2026-01-21"]
    assert next(iter(told(series))).startswith("since regression-2026-01-21 its level is 3")


def test_a_step_to_the_better_is_told_and_is_not_worse():
    found = history(days_of([37_000] * 20 + [33_000] * 6))
    (series,) = found["series"]
    assert found["worse"] == 0
    assert [change["worse"] for change in series["changes"]] == [False]
    assert not list(told(series))


def test_of_a_share_less_is_worse():
    days = days_of([990_000] * 20 + [900_000] * 6, unit="ppm", direction="at least", metric="answered-share")
    found = history(days)
    assert found["worse"] == 1


def test_a_slow_slide_is_found_though_no_day_differs_from_the_last():
    found = history(days_of([33_000 * 1.003**day for day in range(40)]))
    (series,) = found["series"]
    assert series["slide"]["found"]
    assert series["slide"]["worse"]
    assert float(series["slide"]["lower"]) > 0
    assert "it slides by" in "; ".join(told(series))


def held_against(days, baseline):
    """The history of these days, held against the runs of those of them that `baseline` names by their places."""
    runs = [row["run"] for place in baseline for row in days[place]]
    listed = [
        {"occasion": f"day-{number}", "day": f"2026-01-{1 + number:02}",
         "conduct": {row["run"]: "alike" for row in rows}}
        for number, rows in enumerate(days)
    ]  # fmt: skip
    return trend(listed, days, ABOUT, {"title": "Release 2.0", "margin_ppm": 100_000, "runs": runs})


@pytest.mark.parametrize(
    ("today", "direction", "verdict", "worse"),
    [
        (33_000, "at most", "shown", 0),
        (45_000, "at most", "violated", 1),
        (36_300, "at most", "inconclusive", 0),
        (45_000, "at least", "shown", 0),
        (25_000, "at least", "violated", 1),
    ],
)
def test_the_newest_day_is_held_against_days_that_were_recorded_before(today, direction, verdict, worse):
    days = days_of([33_000] * 8 + [today], direction=direction)
    days[-1][0]["value"] = today
    found = held_against(days, range(8))
    (series,) = found["series"]
    assert (series["baseline"]["verdict"], series["baseline"]["days"]) == (verdict, 8)
    assert found["worse"] == worse
    assert ("against Release 2.0, 8 days: the ratio lies in" in "; ".join(told(series))) == bool(worse)
    assert "Against Release 2.0, 8 days" in render_trend(found)
    cases = ElementTree.fromstring(junit(days[-1], found)).findall("testsuite[@name='history']/testcase")  # noqa: S314 - written here
    assert [[child.tag for child in case] for case in cases] == [
        {"violated": ["failure"], "inconclusive": ["error"]}.get(verdict, [])
    ]


def test_too_few_days_of_a_baseline_decide_nothing():
    (series,) = held_against(days_of([33_000] * 9), range(4))["series"]
    assert series["baseline"]["verdict"] == "inconclusive"
    assert series["baseline"]["reason"] == "too few days: 4 of the baseline, 5 needed"


def recorded(number, release):
    run = f"day-{number}/launch.orders.load/1"
    return Day(
        occasion=f"day-{number}",
        day=f"2026-01-{1 + number:02}",
        observations="",
        conduct={run: "alike"},
        releases={run: release},
    )


@pytest.mark.parametrize(
    ("declared", "accepted", "meant"),
    [
        ({"of": "recorded", "until": "2026-01-03"}, "", [0, 1, 2]),
        ({"of": "recorded", "since": "2026-01-02", "until": "2026-01-09"}, "", [1, 2, 3, 4]),
        ({"of": "last-accepted"}, "2026-01-02", [0, 1]),
        ({"of": "last-accepted"}, "", []),
        ({"of": "last-release"}, "", [1, 2]),
    ],
)
def test_a_baseline_is_the_days_that_its_declaration_means(declared, accepted, meant):
    days = [recorded(number, release) for number, release in enumerate(["1.0", "1.1", "1.1", "1.2", "1.2", "1.2"])]
    stated = {"title": "Before", "margin": "10 %", "standing": "proposed", "source": "This test", **declared}
    found = baseline_runs(days, RecordedBaseline.model_validate(stated), accepted)
    assert found["margin_ppm"] == 100_000
    assert found["runs"] == [f"day-{number}/launch.orders.load/1" for number in meant]


@pytest.mark.parametrize(
    "declared",
    [
        {"of": "recorded"},
        {"of": "last-release", "until": "2026-01-03"},
        {"of": "last-release", "margin": "3 s"},
        {"of": "last-release", "margin": "100 %"},
    ],
)
def test_a_baseline_that_means_no_days_or_no_margin_is_refused(declared):
    stated = {"title": "Before", "margin": "10 %", "standing": "proposed", "source": "This test", **declared}
    with pytest.raises(ValidationError):
        RecordedBaseline.model_validate(stated)


def test_days_that_were_conducted_otherwise_are_not_compared():
    levels = [33_000] * 20 + [45_000] * 6
    found = history(days_of(levels), conduct=["before"] * 20 + ["after"] * 6)
    (series,) = found["series"]
    assert (len(series["points"]), series["otherwise"], found["worse"]) == (6, 20, 0)


def test_runs_that_do_not_count_and_figures_without_a_value_are_left_out():
    days = days_of([33_000] * 5)
    days[1].append(observation("001", value=1, test="launch.storefront.load"))
    days[1][0]["value"] = None
    days[2].append(observation("002", value=1, test="not.counted"))
    found = history(days)
    (series,) = found["series"]
    assert [point["occasion"] for point in series["points"]] == [f"regression-2026-01-0{at}" for at in (1, 3, 4, 5)]


def test_only_the_newest_days_are_compared():
    found = history(days_of([33_000] * (MOST_DAYS + 3)))
    (series,) = found["series"]
    assert len(series["points"]) == MOST_DAYS
    assert series["points"][0]["occasion"] == "regression-2026-01-04"


def test_the_same_days_give_the_same_history():
    days = days_of([33_000] * 20 + [37_000] * 6)
    found = history(days)
    digest = document_digest({"history": found, "junit": junit(days[-1], found).decode()})
    assert (rules.TREND, digest[:16]) == GOLDEN
    assert render_trend(found) == render_trend(found)


def test_the_page_shows_hostile_texts_harmlessly_and_asks_for_nothing():
    found = history(days_of([33_000] * 20 + [37_000] * 6, requirement=HOSTILE, scope=HOSTILE))
    page = render_trend({**found, "programme": HOSTILE})
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/", "")


def test_junit_fails_what_is_not_proved_and_errs_on_what_is_inconclusive():
    days = days_of([33_000] * 20 + [37_000] * 6)
    days[-1] += [
        observation("025", value=1, requirement="a", verdict="not proved", reason=HOSTILE),
        observation("025", value=1, requirement="b", verdict="inconclusive", reason="too few"),
    ]
    found = history(days)
    root = ElementTree.fromstring(junit(days[-1], found))  # noqa: S314 - written here
    suites = {suite.get("name"): suite for suite in root}
    assert set(suites) == {"launch.orders.load", "history"}
    told_of = {case.get("name"): [child.tag for child in case] for case in suites["launch.orders.load"]}
    assert told_of == {"latency (all)": [], "a (all)": ["failure"], "b (all)": ["error"]}
    assert (suites["launch.orders.load"].get("failures"), suites["launch.orders.load"].get("errors")) == ("1", "1")
    (worse,) = suites["history"].findall("testcase/failure")
    assert worse.get("message", "").startswith("since regression-2026-01-21")
