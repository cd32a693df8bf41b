"""Whether the demand that an outage left behind is cleared while new demand goes on."""

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from catalog.declarations import Metric
from catalog.quantities import Unit
from expectations import statistics
from expectations.statistics import MILLION, Estimate
from expectations.verdicts import LATER
from tasks.measures.rows import ALL, Row, bootstrapped, exact, row
from tasks.measures.subject import Run, Tables, fetched

if TYPE_CHECKING:
    import duckdb

QUEUED, RECOVERY = "queued", "recovery"
"""The scopes of the messages released at the start, and of new ones that are due before those are answered."""

_QUEUED = """
    SELECT count(*) AS released, count(*) FILTER (good) AS answered,
           coalesce(max(done_us) - getvariable('start_us'), 0)::BIGINT AS drained_us
    FROM offered WHERE sequence < $released
"""

_BACKLOG = """
    WITH changes AS (
        SELECT intended_us AS at_us, 1 AS change FROM offered WHERE intended_us IS NOT NULL
        UNION ALL SELECT done_us, -1 FROM offered WHERE intended_us IS NOT NULL AND done_us IS NOT NULL
    ), together AS (SELECT at_us, sum(change) AS change FROM changes GROUP BY at_us),
    standing AS (SELECT sum(change) OVER (ORDER BY at_us) AS messages FROM together)
    SELECT coalesce(max(messages), 0)::BIGINT AS most FROM standing
"""

_RECOVERY = """
    SELECT latency_us, block FROM offered
    WHERE sequence >= $released AND intended_us < getvariable('start_us') + $drained ORDER BY sequence
"""

_PERCENTILES = {Metric.LATENCY_P50: 500, Metric.LATENCY_P95: 950, Metric.LATENCY_P99: 990}


def catch_up(connection: "duckdb.DuckDBPyConnection", run: Run, _tables: Tables) -> Iterator[Row]:
    """Time to drain in uncompressed time, the largest backlog, how the queued messages and the new ones fared."""
    released = run["released"]
    if not released:
        return
    found = {name: int(each[0]) for name, each in fetched(connection.execute(_QUEUED, {"released": released})).items()}
    if found["released"] < released:  # rows are missing: nobody knows when the last was answered
        return
    yield _drain(run, found)
    yield _share(found)
    most = int(fetched(connection.execute(_BACKLOG))["most"][0])
    method = "most messages due and not ended at once, known, its own interval"
    yield row(ALL, Metric.BACKLOG_MAX, exact(most), Unit.COUNT, found["released"], method)
    yield from _recovery(connection, run, found)


def _drain(run: Run, found: dict[str, int]) -> Row:
    """Exact of this run, and times the compression, rounded up; unbounded where a queued message went unanswered."""
    uncompressed = -(-found["drained_us"] * Fraction(Decimal(run["compression"])) // 1)
    lost = found["released"] - found["answered"]
    if lost:
        method = f"{lost} of {found['released']} queued messages were not answered: nothing bounds the time to drain"
        estimate = Estimate(int(uncompressed), int(uncompressed), LATER)
    else:
        method = (
            f"from the release to the last of {found['released']} queued messages' answer: {found['drained_us']} us"
        )
        method += f", times the compression {run['compression']}" if run.compressed else ""
        estimate = exact(int(uncompressed))
    return row(ALL, Metric.DRAIN_TIME, estimate, Unit.MICROSECONDS, found["released"], method)


def _share(found: dict[str, int]) -> Row:
    share = found["answered"] * MILLION // found["released"]
    method = "share of the queued messages answered: known of all of them, its own interval"
    return row(QUEUED, Metric.ANSWERED_SHARE, exact(share), Unit.PARTS_PER_MILLION, found["released"], method)


def _recovery(connection: "duckdb.DuckDBPyConnection", run: Run, found: dict[str, int]) -> Iterator[Row]:
    bound = {"released": found["released"], "drained": found["drained_us"]}
    new = fetched(connection.execute(_RECOVERY, bound))
    if not len(new["latency_us"]) or new["latency_us"].min() < 0:
        return
    held = len(set(new["block"].tolist()))
    for metric, permille in _PERCENTILES.items():
        estimate = statistics.quantile_interval(
            new["latency_us"], new["block"], permille, seed=run["seed"], level=run.level
        )
        method = bootstrapped(run, held, estimate, "nearest rank over new messages due before the queue had drained")
        yield row(RECOVERY, metric, estimate, Unit.MICROSECONDS, len(new["latency_us"]), method)
