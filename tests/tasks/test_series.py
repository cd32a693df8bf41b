"""How a run went over time: exact, ordered, and failures never hidden. Tables are written by hand as Parquet."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.series import BUCKETS, series

START_US = 1_800_000_000_000_000
RUN = {"run": "r/1", "component": "shop", "start_us": START_US, "window_us": 3_600_000, "steps": [], "type": "load"}


def write_results(
    path: Path, rows: Sequence[tuple[int, int | None, int | None, str]], *, kind: str = "request", late_us: int = 0
) -> Path:
    """Rows of (sequence, offset from the start, latency, outcome) as the results table's columns that count here.

    `late_us`: how long after it was due each was taken up and sent.
    """
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE r (run VARCHAR, sequence BIGINT, kind VARCHAR, intended_us BIGINT, ready_us BIGINT,"
            " sent_us BIGINT, latency_us BIGINT, outcome VARCHAR, path VARCHAR DEFAULT 'p', srv VARCHAR DEFAULT 's',"
            " traffic VARCHAR DEFAULT 't', expect VARCHAR DEFAULT 'ok', status BIGINT DEFAULT 0)"
        )
        for sequence, offset, latency, outcome in rows:
            due = None if offset is None else START_US + offset
            sent = None if due is None else due + late_us
            connection.execute(
                "INSERT INTO r (run, sequence, kind, intended_us, ready_us, sent_us, latency_us, outcome)"
                " VALUES ('r/1',?,?,?,?,?,?,?)",
                [sequence, kind, due, sent, sent, latency, outcome],
            )
        connection.table("r").order("sequence DESC").write_parquet(str(path))
    return path


def write_infrastructure(path: Path, rows: list[tuple[str, str, int, str, int]]) -> Path:
    """Rows of (component, sub-component, offset, metric, value)."""
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE i (run VARCHAR, component VARCHAR, sub_component VARCHAR, at_us BIGINT, metric VARCHAR,"
            " value BIGINT)"
        )
        for component, part, offset, metric, value in rows:
            connection.execute(
                "INSERT INTO i VALUES ('r/1',?,?,?,?,?)", [component, part, START_US + offset, metric, value]
            )
        connection.table("i").write_parquet(str(path))
    return path


@pytest.fixture
def idle(tmp_path: Path) -> Path:
    return write_infrastructure(tmp_path / "infrastructure.parquet", [])


def test_messages_count_where_they_were_due(tmp_path: Path, idle: Path) -> None:
    rows = [(1, 0, 10, "ok"), (2, 99_999, 30, "ok"), (3, 100_000, 50, "ok"), (4, 3_599_999, 70, "ok")]
    found = series(RUN, write_results(tmp_path / "results.parquet", rows, late_us=100_000), idle)["latency"]
    assert found == [
        {"at_us": 0, "count": 2, "failed": 0, "p50": 10, "p95": 30},
        {"at_us": 100_000, "count": 1, "failed": 0, "p50": 50, "p95": 50},
        {"at_us": 3_500_000, "count": 1, "failed": 0, "p50": 70, "p95": 70},
    ]


@pytest.mark.parametrize("outcome", ["error", "timeout", "refused"])
def test_a_failure_ranks_later_than_any_answer(tmp_path: Path, idle: Path, outcome: str) -> None:
    rows: list[tuple[int, int, int | None, str]] = [(number, 0, 1_000 + number, "ok") for number in range(18)]
    rows += [(18, 0, 1, outcome), (19, 0, None, outcome)]
    found = series(RUN, write_results(tmp_path / "results.parquet", rows), idle)["latency"]
    assert found == [{"at_us": 0, "count": 20, "failed": 2, "p50": 1_009, "p95": None}]


def test_answers_to_messages_are_not_offered_messages(tmp_path: Path, idle: Path) -> None:
    path = write_results(tmp_path / "results.parquet", [(1, 0, 10, "ok")], kind="acknowledgement")
    assert series(RUN, path, idle)["latency"] == []


def test_a_received_result_without_intended_time_is_counted_but_not_ranked(tmp_path: Path, idle: Path) -> None:
    path = write_results(tmp_path / "results.parquet", [(1, 5, None, "ok")])
    assert series(RUN, path, idle)["latency"] == [{"at_us": 0, "count": 1, "failed": 0, "p50": None, "p95": None}]


def test_resources_are_the_largest_sample_of_the_component_its_parts_together(tmp_path: Path) -> None:
    results = write_results(tmp_path / "results.parquet", [])
    rows = [
        ("shop", "a", 10, "cpu_permille", 200),
        ("shop", "b", 10, "cpu_permille", 300),
        ("shop", "a", 20, "cpu_permille", 450),
        ("shop", "a", 150_000, "memory_bytes", 7),
        ("shop", "a", 160_000, "memory_bytes", 5),
        ("shop", "a", 170_000, "threads_count", 9_999),
        ("injector", "a", 10, "cpu_permille", 999),
        ("shop", "a", -5, "cpu_permille", 999),
        ("shop", "a", 3_600_000, "cpu_permille", 999),
    ]
    found = series(RUN, results, write_infrastructure(tmp_path / "infrastructure.parquet", rows))["resources"]
    assert found == [
        {"at_us": 0, "cpu_permille": 500, "memory_bytes": None},
        {"at_us": 100_000, "cpu_permille": None, "memory_bytes": 7},
    ]


def test_a_stress_test_is_told_step_by_step(tmp_path: Path, idle: Path) -> None:
    steps = [
        {"part": "ramp", "multiple_ppm": 1_000_000, "first": 1, "last": 2, "start_us": START_US, "window_us": 100},
        {
            "part": "ramp",
            "multiple_ppm": 1_500_000,
            "first": 3,
            "last": 4,
            "start_us": START_US + 500,
            "window_us": 100,
        },
    ]
    rows = [(1, 0, 10, "ok"), (2, 50, 20, "ok"), (3, 500, 30, "ok"), (4, 550, 1, "timeout")]
    run = {**RUN, "steps": steps, "window_us": 100}
    found = series(run, write_results(tmp_path / "results.parquet", rows), idle)
    assert found["steps"] == [
        {"part": "ramp", "multiple_ppm": 1_000_000, "count": 2, "failed": 0, "p50": 10, "p95": 20},
        {"part": "ramp", "multiple_ppm": 1_500_000, "count": 2, "failed": 1, "p50": 30, "p95": None},
    ]
    assert sum(row["count"] or 0 for row in found["latency"]) == 4


def test_what_waits_and_what_is_answered_is_told_stretch_by_stretch(tmp_path: Path, idle: Path) -> None:
    rows = [(1, 0, 150_000, "ok"), (2, 0, 250_000, "ok"), (3, 100_000, 1, "timeout")]
    found = series({**RUN, "type": "catch-up"}, write_results(tmp_path / "results.parquet", rows), idle)["flow"]
    assert [row["standing"] for row in found[:4]] == [2, 2, 1, 1]  # the last is never answered
    assert [row["answered"] for row in found[:4]] == [0, 1, 1, 0]
    assert len(found) == 36


def test_a_test_of_the_negative_path_is_told_by_outcome(tmp_path: Path, idle: Path) -> None:
    rows = [(1, 0, 10, "ok"), (2, 0, 10, "ok"), (3, 5, 10, "error")]
    found = series({**RUN, "type": "negative-path"}, write_results(tmp_path / "results.parquet", rows), idle)
    assert [(row["expect"], row["outcome"], row["count"]) for row in found["outcomes"]] == [
        ("ok", "error", 1),
        ("ok", "ok", 2),
    ]


def test_the_percentile_curve_goes_as_far_as_messages_lie_beyond(tmp_path: Path, idle: Path) -> None:
    rows: list[tuple[int, int, int | None, str]] = [(number, 0, 1_000 + number, "ok") for number in range(1, 99)]
    rows += [(99, 0, None, "timeout"), (100, 0, None, "error")]
    found = series(RUN, write_results(tmp_path / "results.parquet", rows), idle)["curve"]
    assert [(row["rank_ppm"], row["latency_us"]) for row in found] == [
        (0, 1_001),
        (250_000, 1_025),
        (500_000, 1_050),
        (750_000, 1_075),
        (900_000, 1_090),
        (950_000, 1_095),
        (990_000, None),  # it falls among those that were not answered
    ]


def test_messages_are_counted_by_kind_and_right_outcome(tmp_path: Path, idle: Path) -> None:
    path = write_results(tmp_path / "results.parquet", [(1, 0, 10, "ok"), (2, 0, 10, "error")])
    assert series(RUN, path, idle)["kinds"] == [
        {"kind": "request", "expect": "ok", "count": 2, "as_expected": 1, "srvs": 1}
    ]


def test_a_run_of_another_name_in_the_same_table_does_not_count(tmp_path: Path, idle: Path) -> None:
    path = write_results(tmp_path / "results.parquet", [(1, 0, 10, "ok")])
    assert series({**RUN, "run": "r/2"}, path, idle)["latency"] == []


@settings(derandomize=True, deadline=None, max_examples=25)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 3_599_999), st.integers(0, 10**9), st.sampled_from(["ok", "error"])), max_size=40
    )
)
def test_every_message_is_counted_once_and_ranks_are_nearest_ranks(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, str]]
) -> None:
    folder = tmp_path_factory.mktemp("series")
    written = [(number, *row) for number, row in enumerate(rows)]
    idle = write_infrastructure(folder / "infrastructure.parquet", [])
    path = write_results(folder / "results.parquet", written)
    found = series(RUN, path, idle)["latency"]
    assert found == [_expected(at, rows) for at in sorted({offset // 100_000 * 100_000 for offset, _, _ in rows})]
    assert len(found) <= BUCKETS


def _expected(at: int, rows: list[tuple[int, int, str]]) -> dict[str, Any]:
    """The same by the definition: ceil(q n)-th of the sorted values, failures last."""
    inside = [row for row in rows if at <= row[0] < at + 100_000]
    ranked: list[int | None] = [*sorted(latency for _, latency, outcome in inside if outcome == "ok")]
    failed = len(inside) - len(ranked)
    ranked += [None] * failed
    nearest = [ranked[-(-len(ranked) * percent // 100) - 1] for percent in (50, 95)]
    return {"at_us": at, "count": len(inside), "failed": failed, "p50": nearest[0], "p95": nearest[1]}
