"""Computes how one test run went over time, or step by step: what a report's charts are drawn from.

Facts for the eye, in whole numbers; no verdict rests on them (measurements do that).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.declarations import TestType
from expectations.verdicts import LATER

if TYPE_CHECKING:
    import duckdb

BUCKETS = 36
"""Equal stretches that a run is cut into: enough to see a trend, few enough for a chart of a hand's width."""

Row = dict[str, Any]

_OFFERED = f"""
    SELECT sequence, path || '|' || srv || '|' || kind AS label,
           coalesce(intended_us, ready_us, sent_us) - $start AS at_us,
           outcome = expect AS answered,
           CASE WHEN outcome = expect THEN latency_us ELSE {LATER} END AS latency_us
    FROM read_parquet($results)
    WHERE run = $run AND kind IN ('request', 'alert')
"""  # noqa: S608 - made of constants only; what varies is bound
"""Every message offered; one that did not end as it should ranks later than any that did."""

_RANKED = """
    count(*) AS count, count(*) FILTER (NOT answered) AS failed,
    quantile_disc(latency_us, 0.5) AS p50, quantile_disc(latency_us, 0.95) AS p95
"""

_LATENCY = f"""
    SELECT at_us // $width * $width AS at_us, {_RANKED} FROM ({_OFFERED})
    WHERE at_us >= 0 GROUP BY 1 ORDER BY 1
"""  # noqa: S608 - made of constants only; what varies is bound

_STEP = f"""
    SELECT {_RANKED} FROM ({_OFFERED})
    WHERE sequence BETWEEN $first AND $last
      AND (len($compared::VARCHAR[]) = 0 OR label IN (SELECT unnest($compared::VARCHAR[])))
"""  # noqa: S608 - made of constants only; what varies is bound

_FLOW = f"""
    WITH offered AS ({_OFFERED}), messages AS (
        SELECT at_us, CASE WHEN answered AND latency_us < {LATER} THEN at_us + latency_us END AS done_us
        FROM offered WHERE at_us IS NOT NULL
    ), due AS (SELECT greatest(at_us, 0) // $width * $width AS at_us, count(*) AS due FROM messages GROUP BY 1),
    done AS (
        SELECT greatest(done_us, 0) // $width * $width AS at_us, count(*) AS answered
        FROM messages WHERE done_us IS NOT NULL GROUP BY 1
    ), edges AS (SELECT unnest(range(0, $end, $width)) AS at_us)
    SELECT at_us, sum(coalesce(due, 0) - coalesce(answered, 0)) OVER (ORDER BY at_us)::BIGINT AS standing,
           coalesce(answered, 0) AS answered
    FROM edges LEFT JOIN due USING (at_us) LEFT JOIN done USING (at_us) ORDER BY at_us
"""  # noqa: S608 - made of constants only; what varies is bound
"""By stretch: messages due and not answered at its end, and messages answered in it."""

_CURVE = f"""
    SELECT unnest($ranks::BIGINT[]) AS rank_ppm,
           unnest((SELECT quantile_disc(latency_us, list_transform($ranks::BIGINT[], x -> x / 1000000.0))
                   FROM ({_OFFERED}))) AS latency_us
"""  # noqa: S608 - made of constants only; what varies is bound

_KINDS = """
    SELECT kind, expect, count(*) AS count, count(*) FILTER (outcome = expect) AS as_expected,
           count(DISTINCT srv) AS srvs
    FROM read_parquet($results) WHERE run = $run AND $start >= 0 GROUP BY ALL ORDER BY kind, expect
"""

_OUTCOMES = """
    SELECT traffic, expect, outcome, status, count(*) AS count FROM read_parquet($results)
    WHERE run = $run AND kind IN ('request', 'alert') AND $start >= 0
    GROUP BY ALL ORDER BY expect DESC, traffic, outcome, status
"""

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
    `cpu_permille` (of one core, its parts together) and `memory_bytes`. `steps`, of a test of several turns: for each
    `part`, `multiple_ppm`, `count`, `failed`, `p50`, `p95`; of a regression over the messages that are compared.
    `flow`: messages `standing` (due and not answered) at the end of each stretch, and `answered` in it. `curve`: the
    latency of every message offered at each `rank_ppm`. `kinds`: for each message kind and right outcome (`expect`) how
    many messages, how many `as_expected`, and of how many SRVs. `outcomes`, of a test of the negative path: messages by
    `traffic` (an invalid one's is its flaw), `expect`, `outcome` and HTTP `status`. Exact integers throughout, ordered:
    the same tables give the same series.
    """
    import duckdb

    kind = TestType(run["type"])
    with duckdb.connect(config={"threads": 1}) as connection:
        return {
            "latency": _over_time(connection, run, results),
            "resources": _resources(connection, run, infrastructure),
            "steps": _steps(connection, run, results),
            "flow": _flow(connection, run, results),
            "curve": _curve(connection, run, results),
            "kinds": _rows(connection, _KINDS, _of(run, results)),
            **({"outcomes": _outcomes(connection, run, results)} if kind is TestType.NEGATIVE_PATH else {}),
        }


_RANKS = (0, 250_000, 500_000, 750_000, 900_000, 950_000, 990_000, 995_000, 999_000, 999_500, 999_900, 999_950, 999_990)
"""Ranks of the percentile curve in parts per million: closer the nearer to the slowest, as on an HDR plot."""


def _curve(connection: "duckdb.DuckDBPyConnection", run: dict[str, Any], results: Path) -> list[Row]:
    """Latency at each rank that at least one message lies beyond."""
    count = connection.execute(f"SELECT count(*) FROM ({_OFFERED})", _of(run, results)).fetchall()[0][0]  # noqa: S608 - a constant
    ranks = [rank for rank in _RANKS if count * (1_000_000 - rank) >= 1_000_000]
    return _rows(connection, _CURVE, _of(run, results) | {"ranks": ranks}) if ranks else []


def _flow(connection: "duckdb.DuckDBPyConnection", run: dict[str, Any], results: Path) -> list[Row]:
    return _rows(connection, _FLOW, _of(run, results) | {"width": _width(run), "end": _length_us(run)})


def _outcomes(connection: "duckdb.DuckDBPyConnection", run: dict[str, Any], results: Path) -> list[Row]:
    return _rows(connection, _OUTCOMES, _of(run, results))


def _over_time(connection: "duckdb.DuckDBPyConnection", run: dict[str, Any], results: Path) -> list[Row]:
    return _rows(connection, _LATENCY, _of(run, results) | {"width": _width(run)})


def _steps(connection: "duckdb.DuckDBPyConnection", run: dict[str, Any], results: Path) -> list[Row]:
    return [
        {"part": step["part"], "multiple_ppm": int(step["multiple_ppm"]), **row}
        for step in run.get("steps", ())
        for row in _rows(connection, _STEP, _of(run, results) | _between(run, step))
    ]


def _between(run: dict[str, Any], step: dict[str, Any]) -> dict[str, Any]:
    return {"first": step["first"], "last": step["last"], "compared": list(run.get("compared", ()))}


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
