"""What was offered, how late, and how it was answered: of all messages, of each SRV group, and of each SRV."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from catalog.declarations import Metric
from catalog.quantities import Unit
from expectations import statistics
from expectations.verdicts import LATER, NEEDED_SAMPLES
from tasks.measures.percentiles import percentiles
from tasks.measures.rows import ALL, Row, bootstrapped, exact, maximum, row
from tasks.measures.scopes import Scope, enough, scopes_of
from tasks.measures.subject import Run, Tables, fetched

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

LATENESS = "lateness-p99"
"""How late messages were taken up: 99th percentile of (ready - intended), microseconds."""

_PERCENTILES = {Metric.LATENCY_P50: 500, Metric.LATENCY_P95: 950, Metric.LATENCY_P99: 990}

_BIN = "(sqrt(sqrt(greatest(lateness_us, 0))) * 1024)::INTEGER"
"""The bin of a lateness: of a microsecond up to one millisecond, and of the 250th part of a minute at a minute."""

_LATE = f"""
    SELECT {_BIN} AS bin, min(lateness_us) AS least, max(lateness_us) AS largest, count(*) AS messages
    FROM compact WHERE lateness_us < {LATER} GROUP BY bin ORDER BY bin
"""  # noqa: S608 - made of constants only

_TAKEN_UP = """
    SELECT place, count(*) AS messages, count(lateness_us) AS taken_up FROM compact GROUP BY place
"""

_LATE_WITHIN = f"""
    SELECT lateness_us, count(*) AS messages FROM compact
    WHERE lateness_us < {LATER} AND {_BIN} = $bin GROUP BY lateness_us ORDER BY lateness_us
"""  # noqa: S608 - made of constants only


def offering(connection: "duckdb.DuckDBPyConnection", run: Run, _tables: Tables) -> Iterator[Row]:
    """How many of all messages were taken up, and how late."""
    found = fetched(connection.execute(_TAKEN_UP))
    yield _offered(ALL, int(found["taken_up"].sum()), int(found["messages"].sum()))
    late = fetched(connection.execute(_LATE))
    total = int(late["messages"].sum())
    if total:
        yield _lateness(run, _late(connection, late, statistics.rank(990, total)), total)


def answering(connection: "duckdb.DuckDBPyConnection", run: Run, tables: Tables) -> Iterator[Row]:
    """Shares and percentiles of all messages; of each SRV group and SRV as well, and how many of it were taken up.

    An SRV is told apart only in metrics that it has messages enough for.
    """
    import numpy as np

    scopes = [scope for scope in scopes_of(connection, run, tables) if len(scope)]
    found = fetched(connection.execute(_TAKEN_UP))
    taken_up = np.bincount(found["place"] // run["blocks"], weights=found["taken_up"])
    for scope in scopes:
        if scope.name != ALL:
            yield _offered(scope.name, int(taken_up[list(scope.parts)].sum()), len(scope), _lacking(scope))
        yield from _shares(run, scope, tables.withins)
        if scope.timed and enough(scope, Metric.LATENCY_MAX):
            yield maximum(run, scope.name, Metric.LATENCY_MAX, int(scope.stretches["largest"].max()), len(scope))
    what = "nearest rank over all messages offered, failures last"
    yield from percentiles(connection, run, scopes, _PERCENTILES, what)


def service_level(within_us: int) -> str:
    """The name of the metric: share answered as expected within a target time."""
    return f"{Metric.SERVICE_LEVEL}/{within_us}"


def _offered(scope: str, taken_up: int, messages: int, lacking: str = "") -> Row:
    method = f"messages taken up by the injector: a count, its own interval{lacking}"
    return row(scope, Metric.OFFERED, exact(taken_up), Unit.COUNT, messages, method)


def _late(connection: "duckdb.DuckDBPyConnection", late: "dict[str, Integers]", rank: int) -> int:
    """The lateness of a rank (from 1), out of bins in order."""
    passed = late["messages"].cumsum()
    at = int(passed.searchsorted(rank))
    if late["least"][at] == late["largest"][at]:
        return int(late["least"][at])
    within = fetched(connection.execute(_LATE_WITHIN, {"bin": int(late["bin"][at])}))
    before = int(passed[at] - late["messages"][at])
    return int(within["lateness_us"][within["messages"].cumsum().searchsorted(rank - before)])


def _lateness(run: Run, value: int, samples: int) -> Row:
    method = "nearest rank over the messages taken up: known, its own interval"
    lag = max((step.get("loop_lag_p99_us", 0) for step in run.injector_steps), default=0)
    if lag > max(value, run["lateness_limit_us"]):
        value, method = lag, "answers waited so long to be read by the injector, by its own word"
    return row(ALL, LATENESS, exact(value), Unit.MICROSECONDS, samples, method)


def _shares(run: Run, scope: Scope, withins: tuple[int, ...]) -> Iterator[Row]:
    if enough(scope, Metric.ANSWERED_SHARE):
        yield _share(run, scope, Metric.ANSWERED_SHARE, "good")
    if scope.timed and enough(scope, Metric.SERVICE_LEVEL):
        for within in withins:
            yield _share(run, scope, service_level(within), str(within))


def _share(run: Run, scope: Scope, metric: str, good: str) -> Row:
    successes, totals = scope.by_block(run, good), scope.by_block(run, "messages")
    estimate = statistics.share_interval(successes, totals, seed=run["seed"], level=run.level)
    held = sum(each > 0 for each in totals)
    method = bootstrapped(run, held, estimate, "share of all messages offered, Clopper-Pearson")
    return row(scope.name, metric, estimate, Unit.PARTS_PER_MILLION, len(scope), method)


def _lacking(scope: Scope) -> str:
    """The metrics that an SRV has too few messages for, in words."""
    wanted = (Metric.ANSWERED_SHARE, *_PERCENTILES, Metric.LATENCY_MAX)
    lacking = [f"{metric} ({NEEDED_SAMPLES[metric]})" for metric in wanted if not enough(scope, metric)]
    return f"; too few of them for {', '.join(lacking)}" if lacking else ""
