"""What drifts over a soak run: memory, open handles, latency and failures, against messages handled."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from catalog.declarations import METRICS, Metric
from expectations import statistics, trends
from expectations.rounding import whole, whole_down, whole_up
from expectations.statistics import MILLION, Estimate
from expectations.verdicts import LATER
from tasks.measures.resources import MEMORY
from tasks.measures.rows import ALL, Row, row
from tasks.measures.subject import Run, Tables, fetched

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

_HANDLES = "handles_count"
_SAMPLED = {MEMORY: (Metric.MEMORY_GROWTH, 1), _HANDLES: (Metric.HANDLES_GROWTH, MILLION)}
"""Resources whose growth is measured: the metric, and over how many messages."""

_BY_BLOCK = f"""
    SELECT block, quantile_disc(latency_us, 0.5) AS median_us,
           count(*) FILTER (NOT good) * {MILLION} // count(*) AS failed_ppm
    FROM offered GROUP BY block ORDER BY block
"""  # noqa: S608 - made of constants only

_DONE_BY_HALVES = """
    SELECT (greatest(0, done_us - getvariable('start_us')) * 2 * getvariable('blocks') + getvariable('window_us') - 1)
           // getvariable('window_us') AS halves, count(*) AS messages
    FROM done GROUP BY halves ORDER BY halves
"""
"""Messages done by halves of stretches: the end of the half (from the start, where it is 0) that each was done by."""


def growth(connection: "duckdb.DuckDBPyConnection", run: Run, _tables: Tables) -> Iterator[Row]:
    """The trend of each, of a figure per stretch of time, over the messages done by the middle of the stretch."""
    import numpy as np

    done = fetched(connection.execute(_DONE_BY_HALVES))
    so_far = np.concatenate([[0], np.cumsum(done["messages"])])

    def handled(blocks: "Integers") -> list[int]:
        return [int(each) for each in so_far[np.searchsorted(done["halves"], 2 * blocks + 1, "right")]]

    for name, (metric, per) in _SAMPLED.items():
        query = "SELECT at_us, value FROM sampled WHERE metric = $name ORDER BY at_us"
        found = fetched(connection.execute(query, {"name": name}))
        block = run.stretches(found["at_us"])
        held = np.unique(block)
        medians = [statistics.quantile(np.sort(found["value"][block == each]), 500) for each in held]
        yield from _trend(run, metric, handled(held), medians, per, f"median {name} of each stretch")
    found = fetched(connection.execute(_BY_BLOCK))
    progress = handled(found["block"])
    if len(progress) and found["median_us"].min() >= 0 and found["median_us"].max() < LATER:
        medians = found["median_us"].tolist()
        yield from _trend(run, Metric.LATENCY_GROWTH, progress, medians, MILLION, "median latency of each stretch")
    failed = found["failed_ppm"].tolist()
    yield from _trend(run, Metric.FAILURE_GROWTH, progress, failed, MILLION, "failed share of each stretch")


def _trend(
    run: Run, metric: Metric, progress: Sequence[int], values: Sequence[int], per: int, what: str
) -> Iterator[Row]:
    """A row, in whole units for `per` messages; none where no line can be drawn: it needs two points."""
    if len(set(progress)) < 2:
        return
    found = trends.drift(progress, [value * per for value in values], level=run.level)
    if found.lower is None or found.upper is None:
        estimate = Estimate(whole(float(found.slope)), None, None)
        interval = f"no interval: {statistics.FEWEST_BLOCKS} are needed"
    else:
        ends = whole_down(float(found.lower)), whole_up(float(found.upper))
        estimate = Estimate(whole(float(found.slope)), *ends)
        interval = (
            f"Sen's interval, level {run.level:.6g}, its variance times {found.factor} for autocorrelation; Kendall's "
            f"S {found.kendall}, probability without a drift at most {found.p_ppm} ppm"
        )
    method = f"Theil-Sen slope over messages done, {what}, {found.blocks} stretches of time; {interval}"
    yield row(ALL, metric, estimate, METRICS[metric][0], found.blocks, method)
