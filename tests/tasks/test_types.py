"""Types of test against emulated systems with and without a declared defect: what is there is found, and nothing else.

Orders are offered at 83 a second (two and a half times as many where a type multiplies them) to six workers of 32 ms,
which serve 187; durations are some seconds.
"""

import pytest
from evidence import write
from test_execute import QUICK, conduct

from catalog.declarations import METRICS, Direction, Emulated, Profile, TestType
from catalog.runs import RunState
from tasks.measure import measure

AS_DECLARED = Emulated(workers=6, service="32 ms")
COMMON = {
    "title": "X",
    "duration": "4 h",
    "blocks": 30,
    "timeout": "10 s",
    "lateness": "100 ms",
    "standing": "proposed",
    "source": "a test",
}
SCALING = {
    "load": "1.5",
    "begins_with": "0.5",
    "added": {"at": "80 min", "capacity": "1"},
    "removed": {"at": "160 min", "capacity": "0.75"},
}
PROFILES = {
    TestType.CATCH_UP: {"outage": "one-hour"},
    TestType.SCALING: {"scaling": SCALING},
    TestType.NEGATIVE_PATH: {"invalid": {"unknown-srv": "20 %", "unauthorised-device": "20 %"}},
    TestType.REGRESSION: {"comparison": {"runs": 5, "traffic": ["BAU"]}, "duration": "5 min"},
}
DURATIONS = {
    TestType.CATCH_UP: 3_000_000,
    TestType.SCALING: 4_500_000,
    TestType.NEGATIVE_PATH: 4_000_000,
    TestType.REGRESSION: 500_000,
}


@pytest.fixture
def conducted(template, tmp_path, monkeypatch):
    """A test of that type of the order service, with the system emulated so: its document, and measurements by name."""

    def of(kind, emulated=AS_DECLARED):
        profile = Profile.model_validate({**COMMON, "id": kind.value, "type": kind.value, **PROFILES[kind]})
        plans = tuple(each.model_copy(update={"tests": (kind.value,)}) for each in template.programme.tests.plans)
        tests = template.programme.tests.model_copy(update={"profiles": (profile,), "plans": plans})
        programme = template.programme.model_copy(update={"tests": tests})
        environment = programme.environment("rehearsal")
        systems = {"components": {**environment.components, "orders": emulated}, "baselines": {"orders": AS_DECLARED}}
        monkeypatch.setitem(QUICK, kind, DURATIONS[kind])
        done = conduct(programme, f"orders.{kind}", environment=environment.model_copy(update=systems)).execute()
        assert done.state is RunState.FINISHED
        paths = (write(tmp_path, name, done.tables[name]) for name in ("results", "infrastructure"))
        measured = measure(done.document, *paths, withins=(), groups={})
        return done, {(row.scope, row.metric): row for row in measured.itertuples(index=False)}

    return of


def verdict(row, limit):
    """What rule 2 says of a measurement."""
    at_most = METRICS[row.metric][1] is Direction.AT_MOST
    inside = row.upper <= limit if at_most else row.lower >= limit
    outside = row.lower > limit if at_most else row.upper < limit
    return "proved" if inside else "not proved" if outside else "inconclusive"


def test_queued_demand_is_released_at_once_and_cleared(conducted):
    """Of an hour's demand (0.75 s of the compressed test) 60 % is kept: 38 messages on top of 250."""
    done, found = conducted(TestType.CATCH_UP)
    results = done.tables["results"]
    released = done.document["released"]
    assert released == 38
    assert set(results.intended_us[:released] - done.document["start_us"]) == {0}
    assert (results.intended_us[released:] - done.document["start_us"]).is_monotonic_increasing
    assert found["all", "backlog-max"].value >= released
    assert verdict(found["all", "drain-time"], 2 * 3_600_000_000) == "proved"
    assert done.document["target"]["messages"] == len(results) == 288


def test_a_system_without_headroom_does_not_clear_it_in_time(conducted):
    """Two workers serve 62 a second: what was queued takes 0.6 s, 49 minutes uncompressed; half an hour is allowed."""
    _, found = conducted(TestType.CATCH_UP, Emulated(workers=2, service="32 ms"))
    assert verdict(found["all", "drain-time"], 3_600_000_000 // 2) == "not proved"


def test_added_capacity_adds_throughput_and_removed_capacity_is_survived(conducted):
    """Three workers serve 94 of 125 a second, six serve them all and what was left, four serve 125."""
    done, found = conducted(TestType.SCALING)
    assert verdict(found["all", "scaling-gain"], 1_150_000) == "proved"
    assert verdict(found["all", "reduced-share"], 900_000) == "proved"
    # three of six workers serve 93.75 a second, of a target of 83.3
    assert 1_000_000 < found["before", "throughput"].value < 1_200_000
    assert done.document["definition"]["scaling"]["load"] == "1.5"


def test_capacity_that_brings_nothing_is_not_proved(conducted):
    """Half of its workers carry the load already, so twice as many answer no more."""
    still = Emulated(workers=6, service="8 ms")
    _, found = conducted(TestType.SCALING, still)
    assert verdict(found["all", "scaling-gain"], 1_900_000) == "not proved"


def test_invalid_requests_are_refused_while_the_rest_is_answered(conducted):
    done, found = conducted(TestType.NEGATIVE_PATH)
    results = done.tables["results"]
    invalid = results[results.expect == "error"]
    assert len(invalid) == 134  # 20 % of 333 requests, for each of two flaws
    assert set(invalid.traffic) == {"unknown-srv", "unauthorised-device"}
    assert set(invalid[invalid.traffic == "unknown-srv"].srv) == {"0.0.0"}
    assert verdict(found["all", "refused-share"], 900_000) == "proved"
    assert found["valid", "answered-share"].value == 1_000_000


def test_a_system_that_serves_whatever_comes_is_not_proved(conducted):
    _, found = conducted(TestType.NEGATIVE_PATH, Emulated(workers=6, service="32 ms", refuses=("unknown-srv",)))
    assert found["unknown-srv", "refused-share"].value == 1_000_000
    assert found["unauthorised-device", "refused-share"].value == 0
    assert verdict(found["all", "refused-share"], 900_000) == "not proved"


def test_a_service_like_the_baselines_is_no_slower(conducted):
    done, found = conducted(TestType.REGRESSION)
    assert [step["part"] for step in done.document["steps"]].count("baseline") == 5
    assert verdict(found["all", "latency-p50-ratio"], 1_500_000) == "proved"
    assert verdict(found["all", "answered-share-ratio"], 990_000) == "proved"


def test_a_service_that_became_slower_is_not_proved(conducted):
    _, found = conducted(TestType.REGRESSION, Emulated(workers=12, service="64 ms"))
    assert verdict(found["all", "latency-p50-ratio"], 1_500_000) == "not proved"
