"""The judge's process: that Great Expectations' answer is the plain rule's, complete, and never made up."""

import json
from dataclasses import fields, replace

import duckdb
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from catalog.canonical import canonical
from catalog.declarations import METRICS, Direction
from catalog.errors import WorldError
from expectations import plain
from expectations.further import Expectation
from expectations.verdicts import Judged, Need, Verdict, verdict
from tasks.expecting import unmet
from tasks.judge import TABLE, start_judge, stripped

SOME = st.integers(0, 9)
MAYBE = st.none() | SOME
WHY = st.sampled_from(["", "", "", "why"])
ROWS = st.builds(
    Judged,
    observation=st.just(""),
    run=st.just("r"),
    test=st.just("t"),
    requirement=st.just("q"),
    metric=st.sampled_from(sorted(metric.value for metric in METRICS)),
    scope=st.just("all"),
    value=MAYBE,
    lower=MAYBE,
    upper=MAYBE,
    unit=st.sampled_from(["us", "ppm", "bytes", "count"]),
    samples=SOME,
    needed_samples=st.integers(0, 3),
    method=st.just("m"),
    limit=SOME,
    limit_unit=st.sampled_from(["us", "ppm", "bytes", "count"]),
    direction=st.sampled_from([each.value for each in Direction]),
    offered=MAYBE,
    target=st.integers(0, 3),
    lateness_us=MAYBE,
    lateness_limit_us=st.integers(5, 9),
    coverage_ppm=MAYBE,
    coverage_needed_ppm=st.integers(0, 3),
    unreachable=WHY,
    withdrawn=WHY,
    reliance=st.just("executed"),
    closed_loop=st.booleans(),
)


def declared(row):
    """The row as its metric is declared, its interval in order: one that may well be proved or refuted."""
    unit, direction, _ = METRICS[row.metric]
    low, middle, high = sorted(0 if each is None else each for each in (row.lower, row.value, row.upper))
    whole = {
        "unit": unit.value,
        "limit_unit": unit.value,
        "direction": direction.value,
        "unreachable": "",
        "withdrawn": "",
    }
    return replace(row, lower=low, value=middle, upper=high, **whole)


def plainly(row):
    """The rule of three verdicts, written down a second time and without any suite."""
    unit, direction, _ = METRICS[row.metric]
    sufficient = (
        not row.unreachable
        and not row.withdrawn
        and row.offered is not None
        and row.offered >= row.target
        and (row.closed_loop or (row.lateness_us is not None and row.lateness_us <= row.lateness_limit_us))
        and None not in (row.value, row.lower, row.upper)
        and row.lower <= row.value <= row.upper
        and row.unit == row.limit_unit == unit
        and row.direction == direction
        and (row.coverage_needed_ppm == 0 or (row.coverage_ppm or 0) >= row.coverage_needed_ppm)
        and row.samples >= row.needed_samples
    )
    if not sufficient:
        return Verdict.INCONCLUSIVE
    good = range(row.limit + 1) if row.direction == "at most" else range(row.limit, 100)
    inside = [value in good for value in range(row.lower, row.upper + 1)]
    return Verdict.PROVED if all(inside) else Verdict.INCONCLUSIVE if any(inside) else Verdict.NOT_PROVED


def write(rows, path):
    path.unlink(missing_ok=True)
    numbers = {each.name: "Int64" for each in fields(Judged) if str(each.type).startswith(("int", "<class 'int"))}
    table = pd.DataFrame(rows).astype(numbers)
    with duckdb.connect(path) as connection:
        connection.register("given", table)
        connection.execute(f"CREATE TABLE {TABLE} AS FROM given")
    return path


def numbered(rows):
    return [replace(row, observation=f"o{number:05}") for number, row in enumerate(rows)]


@settings(
    derandomize=True,
    deadline=None,
    max_examples=15,
    phases=[Phase.generate],  # a request takes a quarter of a second: too long to shrink by
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(ROWS | ROWS.map(declared), min_size=40, max_size=200))
def test_great_expectations_answers_as_the_plain_rule_does(judge, tmp_path, rows):
    rows = numbered(rows)
    named = judge.judge(write(rows, tmp_path / "judged.duckdb")).named
    for row in rows:
        found, reason = verdict(row, named)
        assert found is plainly(row), row
        assert reason


def sound(**changes):
    row = Judged(
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
        method="m",
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
    return replace(row, **changes)


@pytest.mark.parametrize(
    ("change", "need"),
    [
        ({"unreachable": "refused"}, Need.REACHABLE),
        ({"withdrawn": "a mistake"}, Need.INTACT),
        ({"offered": 299}, Need.OFFERED),
        ({"offered": None}, Need.OFFERED),
        ({"lateness_us": 3}, Need.IN_TIME),
        ({"lateness_us": None}, Need.IN_TIME),
        ({"value": None, "lower": None, "upper": None}, Need.MEASURED),
        ({"unit": "ppm"}, Need.AGREEING),
        ({"direction": "at least"}, Need.AGREEING),
        ({"coverage_needed_ppm": 9, "coverage_ppm": 8}, Need.COVERED),
        ({"coverage_needed_ppm": 9, "coverage_ppm": None}, Need.COVERED),
        ({"samples": 199}, Need.SAMPLES),
        ({"lower": None}, Need.INTERVAL),
        ({"lower": 7}, Need.INTERVAL),
        ({"upper": 4}, Need.INTERVAL),
    ],
)
def test_each_lack_is_named_alone(judge, tmp_path, change, need):
    named = judge.judge(write([sound(**change), sound(observation="whole")], tmp_path / "judged.duckdb")).named
    assert {each for each in Need if named.lacking[each]} == {need}
    assert named.lacking[need] == {"o"}


def test_every_failing_row_is_named_however_many_there_are(judge, tmp_path):
    rows = numbered([sound(limit=5 if number % 2 else 10) for number in range(3000)])
    named = judge.judge(write(rows, tmp_path / "judged.duckdb")).named
    assert named.unproved == {row.observation for row in rows if row.limit == 5}
    assert len(named.unrefuted) == 3000


def test_documents_can_be_recorded_and_are_the_same_each_time(judge, tmp_path):
    rows = numbered([sound(), sound(limit=1), sound(samples=0)])
    first = judge.judge(write(rows, tmp_path / "one.duckdb"))
    second = judge.judge(write(rows, tmp_path / "another.duckdb"))
    assert set(first.suites) == set(first.results) == {"sufficient", "proved", "refuted"}
    assert canonical(first.suites) == canonical(second.suites)
    assert canonical(first.results) == canonical(second.results)
    told = json.dumps([first.suites, first.results])
    assert str(tmp_path) not in told
    assert "run_id" not in told


def test_another_file_of_the_same_name_is_another_table(judge, tmp_path):
    path = tmp_path / "judged.duckdb"
    assert judge.judge(write([sound()], path)).named.unproved == frozenset()
    assert judge.judge(write([sound(limit=1)], path)).named.unproved == {"o"}


def test_suites_do_not_grow_with_the_requirements(judge, tmp_path):
    suites = judge.judge(write(numbered([sound()] * 500), tmp_path / "judged.duckdb")).suites
    assert {name: len(suite["expectations"]) for name, suite in suites.items()} == {
        "sufficient": len(Need),
        "proved": 2,
        "refuted": 2,
    }


def test_a_check_that_errored_is_an_error_and_the_judge_goes_on(judge, tmp_path):
    path = write([sound()], tmp_path / "judged.duckdb")
    with duckdb.connect(path) as connection:
        connection.execute(f"ALTER TABLE {TABLE} DROP COLUMN upper")
    with pytest.raises(WorldError, match=r'a check errored, so nothing was judged(.|\n)*"upper"'):
        judge.judge(path)
    with pytest.raises(WorldError, match="a check errored"):
        judge.judge(tmp_path / "missing.duckdb")
    assert judge.judge(write([sound()], tmp_path / "sound.duckdb")).named.unproved == frozenset()


def test_it_leaves_nothing_behind(judge, tmp_path):
    judge.judge(write([sound()], tmp_path / "judged.duckdb"))
    assert not list(judge.home.iterdir())
    left = [path.name for path in judge.temporary.rglob("*") if path.is_file()]
    assert set(left) <= {"owner", "spec.json", "stderr"}
    assert [path.name for path in tmp_path.iterdir()] == ["judged.duckdb"]


def test_a_judge_that_was_stopped_or_ended_says_so(tmp_path):
    with start_judge() as ended:
        ended._process.kill()
        with pytest.raises(WorldError, match="the judge ended unexpectedly"):
            ended.judge(tmp_path / "judged.duckdb")
    assert not ended.is_running


def test_stripping_keeps_numbers_exact():
    document = {"id": "x", "batch_id": "y", "kept": [1, 2.5, {"exception_info": {}, "deep": True}]}
    assert stripped(document) == {"kept": [1, "2.5", {"deep": True}]}


NARROW = Expectation(
    name="narrow",
    condition="""metric NOT LIKE 'latency-%' OR upper - lower <= "limit" / 5""",
    description="the interval is narrow",
)


def test_what_does_not_meet_a_further_expectation_is_inconclusive_and_nothing_else_changes(judge, tmp_path):
    base = {"metric": "latency-p95", "unit": "us", "limit_unit": "us", "direction": "at most", "limit": 1000}
    cells = {
        "narrow": {"value": 500, "lower": 450, "upper": 550},
        "wide": {"value": 500, "lower": 300, "upper": 900},
        "lacking": {"value": None, "lower": None, "upper": None},
        "out": {"value": 2000, "lower": 1950, "upper": 2050},
        "share": {"metric": "answered-share", "unit": "ppm", "limit_unit": "ppm", "direction": "at least"},
    }
    rows = [sound(**{**base, "observation": name, **each}) for name, each in cells.items()]
    database = write(rows, tmp_path / "judged.duckdb")
    judgement = judge.judge(database, [NARROW])
    found = judgement.named
    assert found.unmet == {NARROW.words: {"wide", "lacking"}}
    assert found == plain.named(rows, {NARROW.words: unmet(database, TABLE, [NARROW])["narrow"]})
    told = {row.observation: verdict(row, found) for row in rows}
    assert told["wide"] == (Verdict.INCONCLUSIVE, "not as expected: the interval is narrow (narrow)")
    assert told["narrow"][0] is Verdict.PROVED
    assert told["out"][0] is Verdict.NOT_PROVED
    assert told["lacking"][1].startswith("missing metrics")  # what every row needs comes first
    checks = [each["meta"]["check"] for each in judgement.suites["sufficient"]["expectations"]]
    assert "expectation:narrow" in checks
    assert judge.judge(database).named.unmet == {}


def test_a_further_condition_that_cannot_be_asked_is_an_error_and_never_a_verdict(judge, tmp_path):
    broken = Expectation(name="broken", condition="colour = 'red'", description="red")
    database = write([sound()], tmp_path / "judged.duckdb")
    with pytest.raises(WorldError, match="a check errored, so nothing was judged"):
        judge.judge(database, [broken])
    assert judge.judge(database).named.unmet == {}
