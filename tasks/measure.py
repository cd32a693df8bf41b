"""Measures one test run: percentiles, shares, resources and headroom, each with its interval, from the run's tables.

Pure: the same tables and the same run document give the same measurements. DuckDB reads the Parquet, `statistics`
computes; nothing here knows a limit or a verdict. What is measured stands in `tasks.measures`, a module for each kind.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.declarations import Metric, TestType
from tasks.measures.acknowledgements import acknowledgements
from tasks.measures.catch_up import catch_up
from tasks.measures.chains import chains
from tasks.measures.drift import growth
from tasks.measures.messages import LATENESS, answering, offering, service_level
from tasks.measures.negative_path import negative_path
from tasks.measures.path_stages import stages
from tasks.measures.ramp import ramp
from tasks.measures.received import coarsened, in_time, serving, told
from tasks.measures.regression import compared
from tasks.measures.resources import COVERAGE, resources
from tasks.measures.rows import ALL
from tasks.measures.scaling import scaling
from tasks.measures.subject import Measure, Run, Tables, database, prepare

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ALL", "COVERAGE", "LATENESS", "measure", "service_level"]

_MEASURES: dict[TestType, tuple[Measure, ...]] = {
    TestType.LOAD: (offering, stages, answering, acknowledgements, chains, resources),
    TestType.CATCH_UP: (offering, stages, answering, acknowledgements, chains, resources, catch_up),
    TestType.STRESS: (offering, stages, ramp),
    TestType.SOAK: (offering, stages, answering, acknowledgements, chains, resources, growth),
    TestType.REGRESSION: (offering, compared),
    TestType.SCALING: (offering, stages, answering, acknowledgements, chains, resources, scaling),
    TestType.NEGATIVE_PATH: (offering, stages, answering, acknowledgements, chains, resources, negative_path),
}
"""What is measured of each type of test. A run that mixes loads is measured step by step: of all its messages together
only what was offered and how late it was."""

_RECEIVED: dict[str, tuple[Measure, ...]] = {
    "raw": (offering, answering, serving, resources),
    "summary": (told, resources),
}
"""What is measured of results that came from another tool, by what they hold."""


def measure(
    run: Mapping[str, Any],
    results: Path | None,
    infrastructure: Path,
    *,
    withins: tuple[int, ...],
    groups: Mapping[str, str],
) -> "pd.DataFrame":
    """The measurements table of one run, ordered by scope ('all' first) and metric.

    `run`: the test run document. `results`, `infrastructure`: its tables as Parquet. `withins`: the target times of
    service levels, in microseconds. `groups`: SRV to the SRV group that it belongs to. What cannot be measured has no
    row. Of an interrupted run, only what was offered is measured: without lateness nothing can be held against it. A
    received summary has no results.
    """
    from tasks.parquet import frame

    subject = Run(run)
    tables = Tables(results=results, infrastructure=infrastructure, withins=withins, groups=groups)
    with database() as connection:
        prepare(connection, subject, tables)
        if "interrupted" in run:  # whatever else it has is of a part that nobody chose
            rows = [row for row in offering(connection, subject, tables) if row["metric"] == Metric.OFFERED]
        else:
            received = run.get("received")
            measures = _RECEIVED[received["gives"]] if received else _MEASURES[TestType(run["type"])]
            rows = [row for measured in measures for row in measured(connection, subject, tables)]
            if received:
                resolution_us = received.get("capability", {}).get("resolution_us", 0)
                kept = filter(None, (in_time(row, received) for row in rows))
                rows = [coarsened(row, resolution_us) for row in kept]
    ordered = sorted(rows, key=lambda row: (row["scope"] != ALL, row["scope"], row["metric"]))
    stated = {"run": run["run"], "component": run["component"]}
    return frame("measurements", {name: [({**stated, **row})[name] for row in ordered] for name in _columns()})


def _columns() -> dict[str, str]:
    from expectations import tables

    return tables.columns("measurements")
