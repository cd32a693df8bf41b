"""Computes how one test run went over time, or step by step: what a report's charts are drawn from.

Facts for the eye, in whole numbers; no verdict rests on them (measurements do that).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from expectations.verdicts import LATER, Outcome

if TYPE_CHECKING:
    import duckdb

BUCKETS = 48
"""Equal stretches that a run is cut into: enough to see a trend, few enough for a chart of a hand's width."""

Row = dict[str, int | None]

_OFFERED = f"""
    SELECT sequence,
           coalesce(intended_us, ready_us, sent_us) - $start AS at_us,
           outcome = '{Outcome.OK}' AS answered,
           CASE WHEN outcome = '{Outcome.OK}' THEN latency_us ELSE {LATER} END AS latency_us
    FROM read_parquet($results)
    WHERE run = $run AND kind IN ('request', 'alert')
"""  # noqa: S608 - made of constants only; what varies is bound
"""Every message offered; one that failed ranks later than any that was answered."""

_RANKED = """
    count(*) AS count, count(*) FILTER (NOT answered) AS failed,
    quantile_disc(latency_us, 0.5) AS p50, quantile_disc(latency_us, 0.95) AS p95
"""

_LATENCY = f"""
    SELECT at_us // $width * $width AS at_us, {_RANKED} FROM ({_OFFERED})
    WHERE at_us >= 0 GROUP BY 1 ORDER BY 1
"""  # noqa: S608 - made of constants only; what varies is bound

_STEP = f"""
    SELECT {_RANKED} FROM ({_OFFERED}) WHERE sequence BETWEEN $first AND $last
"""  # noqa: S608 - made of constants only; what varies is bound

_RESOURCES = """
    WITH samples AS (
        SELECT at_us - $start AS at_us, metric, sum(value) AS value FROM read_parquet($infrastructure)
        WHERE run = $run AND component = $component AND metric IN ('cpu_permille', 'memory_bytes')
        GROUP BY ALL
    )
    SELECT at_us // $width * $width AS at_us,
           max(value) FILTER (metric = 'cpu_permille')::BIGINT AS cpu_permille,
           max(value) FILTER (metric = 'memory_bytes')::BIGINT AS memory_bytes
    FROM samples WHERE at_us >= 0 AND at_us < $end GROUP BY 1 ORDER BY 1
"""


def series(run: dict[str, Any], results: Path, infrastructure: Path) -> dict[str, list[Row]]:
    """The series of one run: `run` is its document, the others its tables as Parquet.

    `latency`: `at_us` (start of the stretch, from the run's start), `count` offered, `failed`, `p50` and `p95` (µs from
    intended time; None where the rank falls among messages that were not answered, or latency is unknown). Messages
    count where they were due. `resources`: the largest sample of the component under test in each stretch,
    `cpu_permille` (of one core, its parts together) and `memory_bytes`. `steps`, of a stress test only: for each step
    `multiple_ppm`, `count`, `failed`, `p50`, `p95`. Exact integers throughout, ordered: the same tables give the same
    series.
    """
    import duckdb

    with duckdb.connect(config={"threads": 1}) as connection:
        return {
            "latency": _over_time(connection, run, results),
            "resources": _resources(connection, run, infrastructure),
            "steps": _steps(connection, run, results),
        }


def _over_time(connection: "duckdb.DuckDBPyConnection", run: dict[str, Any], results: Path) -> list[Row]:
    return _rows(connection, _LATENCY, _of(run, results) | {"width": _width(run)})


def _steps(connection: "duckdb.DuckDBPyConnection", run: dict[str, Any], results: Path) -> list[Row]:
    return [
        {"multiple_ppm": int(step["multiple_ppm"]), **row}
        for step in run.get("steps", ())
        for row in _rows(connection, _STEP, _of(run, results) | {"first": step["first"], "last": step["last"]})
    ]


def _resources(connection: "duckdb.DuckDBPyConnection", run: dict[str, Any], infrastructure: Path) -> list[Row]:
    names = {
        "infrastructure": str(infrastructure),
        "run": run["run"],
        "component": run["component"],
        "start": run["start_us"],
        "width": _width(run),
        "end": _length_us(run),
    }
    return _rows(connection, _RESOURCES, names)


def _of(run: dict[str, Any], results: Path) -> dict[str, Any]:
    return {"results": str(results), "run": run["run"], "start": run["start_us"]}


def _width(run: dict[str, Any]) -> int:
    return max(1, -(-_length_us(run) // BUCKETS))


def _length_us(run: dict[str, Any]) -> int:
    """From the first step's start to the last one's end; a run without steps is one window."""
    steps = run.get("steps") or ({"start_us": run["start_us"], "window_us": run["window_us"]},)
    return max(int(step["start_us"]) + int(step["window_us"]) for step in steps) - int(run["start_us"])


def _rows(connection: "duckdb.DuckDBPyConnection", query: str, parameters: dict[str, Any]) -> list[Row]:
    found = connection.execute(query, parameters)
    names = [column[0] for column in found.description]
    return [
        {name: None if value == LATER else value for name, value in zip(names, row, strict=True)}
        for row in found.fetchall()
    ]
