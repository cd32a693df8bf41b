"""Observes: holds the measurements of test runs against the requirements and target volumes in force.

Every requirement in scope of a run's role and test type has its row, measured or not; what has no measurement is
inconclusive, not absent. The suites of Great Expectations name the rows that fail, and `verdicts` says what that means.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.declarations import METRICS, Metric, Requirement
from expectations.ddl import ddl
from expectations.further import Expectation
from expectations.verdicts import (
    COVERAGE_NEEDED_PPM,
    NEEDED_SAMPLES,
    SAMPLED,
    TARGET_VOLUME,
    Judged,
    Named,
    Reliance,
    is_closed_loop,
    verdict,
)
from tasks.judge import TABLE, Judge
from tasks.measure import ALL, COVERAGE, LATENESS, service_level
from tasks.scratch import scratch

if TYPE_CHECKING:
    import duckdb
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A test run to be observed. `document`: as its execution wrote it, with `unreachable` saying why, if it was.

    `measurements`: its table as Parquet, None when it was never measured. `withdrawn`: why its evidence may not be
    used any more, empty when it may. `record`: the digest of the record that it is evidence of.
    """

    document: Mapping[str, Any]
    measurements: Path | None
    reliance: Reliance = Reliance.EXECUTED
    withdrawn: str = ""
    record: str = ""

    @property
    def run(self) -> str:
        """Its run id."""
        return str(self.document["run"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The observations table, and the suites and their results as documents fit to be recorded."""

    observations: "pd.DataFrame"
    suites: dict[str, Any]
    results: dict[str, Any]


def observe(
    runs: Sequence[Subject], requirements: Sequence[Requirement], judge: Judge, further: Sequence[Expectation] = ()
) -> Observed:
    """The observations of `runs`, ordered by run, requirement and scope; the target volume is one of each run.

    `further`: what every observation must meet besides, or is inconclusive.

    Raises WorldError when a check errored or the judge ended: no observation is made then.
    """
    with scratch() as folder:
        database = Path(folder) / "judged.duckdb"
        rows = judged_rows(runs, requirements, database)
        judgement = judge.judge(database, further)
    return Observed(
        observations=_observations(rows, judgement.named), suites=judgement.suites, results=judgement.results
    )


def tally(observations: Path) -> str:
    """The verdicts of an observations table, counted, in words."""
    import duckdb

    with duckdb.connect() as connection:
        found = Counter(
            dict(
                connection.execute(
                    "SELECT verdict, count(*) FROM read_parquet(?) GROUP BY verdict", [str(observations)]
                ).fetchall()
            )
        )
    return ", ".join(f"{found[each]} {each}" for each in ("proved", "not proved", "inconclusive"))


_JOIN = f"""
    CREATE TABLE {TABLE} AS
    SELECT wanted.* EXCLUDE (component),
           measured.value, measured.lower, measured.upper, coalesce(measured.unit, wanted.limit_unit) AS unit,
           coalesce(measured.samples, 0) AS samples, coalesce(measured.method, '') AS method,
           offered.value AS offered, lateness.value AS lateness_us, coverage.value AS coverage_ppm
    FROM wanted
    LEFT JOIN measurements AS measured USING (run, component, scope, metric)
    LEFT JOIN measurements AS offered ON offered.run = wanted.run AND offered.component = wanted.component
         AND offered.scope = '{ALL}' AND offered.metric = '{Metric.OFFERED}'
    LEFT JOIN measurements AS lateness ON lateness.run = wanted.run AND lateness.component = wanted.component
         AND lateness.scope = '{ALL}' AND lateness.metric = '{LATENESS}'
    LEFT JOIN measurements AS coverage ON coverage.run = wanted.run AND coverage.component = wanted.component
         AND coverage.scope = '{ALL}' AND coverage.metric = '{COVERAGE}'
    ORDER BY wanted.run, wanted.requirement, wanted.scope
"""  # noqa: S608 - made of constants only
"""What is wanted, with whatever was measured of it, and what the run's load and samples were worth."""


def judged_rows(runs: Sequence[Subject], requirements: Sequence[Requirement], database: Path) -> list[Judged]:
    """The judged table, made in a new DuckDB file and returned: requirements in force joined with measurements."""
    import duckdb

    given = database.with_suffix(".wanted.jsonl")
    given.write_text("".join(f"{json.dumps(row)}\n" for run in runs for row in _wanted(run, requirements)))
    with duckdb.connect(database, config={"threads": 1}) as connection:
        connection.execute("CREATE TABLE wanted AS FROM read_json(?, columns = ?)", [str(given), _WANTED])
        _create_measurements(connection, [str(run.measurements) for run in runs if run.measurements is not None])
        connection.execute(_JOIN)
        found = connection.execute(f"FROM {TABLE} ORDER BY run, requirement, scope")
        names = [column[0] for column in found.description]
        return [Judged(**dict(zip(names, row, strict=True))) for row in found.fetchall()]


_WANTED = {
    **dict.fromkeys(("observation", "run", "component", "test", "requirement", "metric", "scope"), "VARCHAR"),
    **dict.fromkeys(("limit_unit", "direction", "unreachable", "withdrawn", "reliance", "evidence"), "VARCHAR"),
    "closed_loop": "BOOLEAN",
    **dict.fromkeys(("limit", "target", "lateness_limit_us", "needed_samples", "coverage_needed_ppm"), "BIGINT"),
}


def _create_measurements(connection: "duckdb.DuckDBPyConnection", files: list[str]) -> None:
    """The measurements of all runs as one table."""
    if files:
        connection.execute("CREATE TABLE measurements AS FROM read_parquet(?)", [files])
    else:
        connection.execute(ddl("measurements"))


def _wanted(run: Subject, requirements: Sequence[Requirement]) -> Iterator[dict[str, Any]]:
    """A row for the run's target volume, and one for each requirement and scope in force for it."""
    target = run.document["target"]["messages"]
    yield _row(run, TARGET_VOLUME, Metric.OFFERED, ALL, limit=target, limit_unit=METRICS[Metric.OFFERED][0])
    for requirement in requirements:
        scope = requirement.scope
        if run.document["role"] in scope.roles and run.document["type"] in scope.types:
            for each in scope.groups or (ALL,):
                limit = requirement.limit
                row = _row(run, requirement.id, requirement.metric, each, limit=limit.value, limit_unit=limit.unit)
                yield row | ({"metric": service_level(requirement.within)} if requirement.within else {})


def _row(run: Subject, requirement: str, metric: Metric, scope: str, *, limit: int, limit_unit: str) -> dict[str, Any]:
    document = run.document
    return {
        "observation": f"{run.run}/{requirement}/{scope}",
        "run": run.run,
        "component": document["component"],
        "test": document["test"],
        "requirement": requirement,
        "metric": metric.value,
        "scope": scope,
        "limit": limit,
        "limit_unit": str(limit_unit),
        "direction": METRICS[metric][1].value,
        "target": document["target"]["messages"],
        "lateness_limit_us": document["lateness_limit_us"],
        "needed_samples": NEEDED_SAMPLES[metric],
        "coverage_needed_ppm": COVERAGE_NEEDED_PPM if metric in SAMPLED else 0,
        "unreachable": document.get("unreachable", ""),
        "withdrawn": run.withdrawn,
        "reliance": run.reliance.value,
        "evidence": document.get("received", {}).get("evidence", ""),
        "closed_loop": is_closed_loop(document.get("injector", {}).get("kind", "")) and "interrupted" not in document,
    }


def _observations(rows: Sequence[Judged], named: Named) -> "pd.DataFrame":
    from expectations import tables
    from tasks.parquet import frame

    verdicts = [verdict(row, named) for row in rows]
    told = {"verdict": [each.value for each, _ in verdicts], "reason": [reason for _, reason in verdicts]}
    kept = [name for name in tables.columns("observations") if name not in told]
    return frame("observations", {**{name: [getattr(row, name) for row in rows] for name in kept}, **told})
