"""What is measured of results that another tool wrote: service times, and of a summary the tool's own figures.

Service time counts from sending. It is not the latency that requirements limit, which counts from when a message was
due, and never stands in for it.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from catalog.declarations import Metric
from catalog.quantities import Unit
from catalog.shown import shown
from expectations import statistics
from expectations.statistics import Estimate
from expectations.verdicts import FROM_INTENDED, LATER
from tasks.measures.messages import LATENESS
from tasks.measures.rows import ALL, Row, exact, row
from tasks.measures.subject import Run, Tables, fetched

if TYPE_CHECKING:
    import duckdb

COARSE = 2
"""So many times its resolution a duration may be wrong by: it is one time less another, and each was rounded or cut."""

SERVICE = {"service-p50": 500, "service-p90": 900, "service-p95": 950, "service-p99": 990, "service-max": 1000}
"""Quantiles of service time, in permille."""

METHOD = "nearest rank over all messages answered, from sending: not from when they were due"


def serving(connection: "duckdb.DuckDBPyConnection", _run: Run, _tables: Tables) -> Iterator[Row]:
    """Quantiles of service time over all messages that have one, exact, without an interval."""
    values = fetched(
        connection.execute(
            "SELECT done_us - sent_us AS took FROM read_parquet(getvariable('results')) "
            "WHERE run = getvariable('run') AND done_us IS NOT NULL AND sent_us IS NOT NULL ORDER BY took"
        )
    )["took"]
    for metric, permille in SERVICE.items() if len(values) else ():
        value = statistics.quantile(values, permille)
        yield row(ALL, metric, Estimate(value, None, None), Unit.MICROSECONDS, len(values), METHOD)


def coarsened(row: Row, resolution_us: int) -> Row:
    """A measurement of times that are only known to a resolution (in microseconds): what they cannot tell, it does not.

    Intervals of latencies end that much further out, the lateness is the largest that it can be, and a service level,
    which depends on every message, has no interval at all.
    """
    metric, away = str(row["metric"]).partition("/")[0], COARSE * resolution_us
    if not resolution_us or (metric not in FROM_INTENDED and metric != LATENESS):
        return row
    method = f"{row['method']}; times are known to {shown(resolution_us, Unit.MICROSECONDS)} only"
    lower, upper = row["lower"], row["upper"]
    if metric == LATENESS:
        return {**row, **dict.fromkeys(("value", "lower", "upper"), row["value"] + away), "method": method}
    if metric == Metric.SERVICE_LEVEL or lower is None:
        return {**row, "lower": None, "upper": None, "method": method}
    upper = upper if upper == LATER else upper + away
    return {**row, "lower": max(0, lower - away), "upper": upper, "method": method}


def in_time(row: Row, received: Mapping[str, Any]) -> Row | None:
    """A measurement of messages offered, held to the time that the test is planned to take.

    As many over a longer time are a smaller load, so what counts is the most within the planned time. None where nobody
    knows in which time they were sent.
    """
    limited = received.get("in_time")
    if limited is None or (row["scope"], row["metric"]) != (ALL, Metric.OFFERED):
        return row
    most = limited["most"]
    if most is None or most >= row["value"]:
        return None if most is None else row
    planned = shown(limited["planned_us"], Unit.MICROSECONDS)
    method = f"the most messages sent within the planned {planned}, of {row['value']} in all"
    return {**row, **dict.fromkeys(("value", "lower", "upper"), most), "method": method}


def told(_connection: "duckdb.DuckDBPyConnection", run: Run, _tables: Tables) -> Iterator[Row]:
    """The figures of a summary, each with its tool's method, and without an interval: nobody saw what they rest on."""
    seen = set()
    for figure in run["received"]["figures"]:
        place = figure["scope"], figure["metric"]
        if place not in seen:
            seen.add(place)
            yield row(
                figure["scope"],
                figure["metric"],
                Estimate(figure["value"], None, None),
                Unit(figure["unit"]),
                figure["samples"],
                figure["method"],
            )
        if place == (ALL, "requests"):
            method = f"requests, {figure['method']}"
            yield row(ALL, Metric.OFFERED, exact(figure["value"]), Unit.COUNT, figure["samples"], method)
