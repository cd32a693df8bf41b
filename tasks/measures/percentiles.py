"""Percentiles of latencies, each with its interval, scope by scope, exact to the microsecond."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from catalog.declarations import Metric
from catalog.quantities import Unit
from expectations import statistics
from tasks.measures.rows import Row, bootstrapped, row
from tasks.measures.scopes import Latencies, Scope, enough, look_closer
from tasks.measures.subject import Run

if TYPE_CHECKING:
    import duckdb

Permilles = Mapping[Metric, int]
"""What is to be told, and of which rank."""


def percentiles(
    connection: "duckdb.DuckDBPyConnection",
    run: Run,
    scopes: Sequence[Scope],
    wanted: Permilles,
    what: str,
    *,
    timed: str = "compact",
) -> Iterator[Row]:
    """The percentiles wanted of every scope that has messages enough for them, and knows all their latencies.

    `what`: the method in words, but for its interval. `timed`: the table that the scopes were counted in.
    """
    known = [scope for scope in scopes if len(scope) and scope.timed]
    for scope, latencies in zip(known, _closer(connection, run, known, wanted, timed), strict=True):
        for metric, permille in _of(scope, wanted).items():
            estimate = statistics.counted_interval(latencies.counts, permille, seed=run["seed"], level=run.level)
            method = bootstrapped(run, latencies.counts.stretches, estimate, what)
            yield row(scope.name, metric, estimate, Unit.MICROSECONDS, len(scope), method)


def _of(scope: Scope, wanted: Permilles) -> dict[Metric, int]:
    return {metric: permille for metric, permille in wanted.items() if enough(scope, metric)}


def _closer(
    connection: "duckdb.DuckDBPyConnection", run: Run, scopes: Sequence[Scope], wanted: Permilles, timed: str
) -> list[Latencies]:
    """The latencies of each scope, known to the microsecond wherever its percentiles and their intervals lie."""
    found = [scope.latencies for scope in scopes]
    while any(bins := [_asked(run, each, _of(scope, wanted)) for scope, each in zip(scopes, found, strict=True)]):
        found = look_closer(connection, run, scopes, found, bins, timed)
    return found


def _asked(run: Run, latencies: Latencies, wanted: Permilles) -> set[int]:
    """The bins whose latencies its percentiles and their intervals are among."""
    told = {"seed": run["seed"], "level": run.level}
    places = [statistics.deciding(latencies.counts, latencies.exact, permille, **told) for permille in wanted.values()]
    return {int(latencies.bins[each]) for each in set().union(*places)}
