"""What grows over a soak run."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from catalog.declarations import Metric
from catalog.quantities import Unit
from expectations import statistics
from tasks.measures.messages import quantile
from tasks.measures.resources import MEMORY, samples_of
from tasks.measures.rows import ALL, Row, row
from tasks.measures.subject import Run, Tables, fetched

if TYPE_CHECKING:
    import duckdb


def growth(connection: "duckdb.DuckDBPyConnection", run: Run, _tables: Tables) -> Iterator[Row]:
    """Memory over messages handled: the median of each stretch against the messages done by the middle of it."""
    import numpy as np

    samples = samples_of(connection)
    if MEMORY not in samples:
        return
    at_us, memory = samples[MEMORY]
    block = run.stretches(at_us)
    held = np.unique(block)
    medians = [quantile(memory[block == each], 500) for each in held]
    middles = run["start_us"] + (2 * held + 1) * run["window_us"] // (2 * run["blocks"])
    done = fetched(connection.execute("SELECT done_us FROM done ORDER BY done_us"))["done_us"]
    handled = np.searchsorted(done, middles, side="right")
    if len(set(handled.tolist())) < 2:  # a line needs two points
        return
    estimate = statistics.trend(handled.tolist(), medians, level=run.level)
    method = f"Theil-Sen slope of resident memory over messages done, {len(held)} stretches of time" + (
        f"; Sen's interval, level {run.level:.6g}, corrected for autocorrelation"
        if estimate.lower is not None
        else f"; no interval: {statistics.FEWEST_BLOCKS} are needed"
    )
    yield row(ALL, Metric.MEMORY_GROWTH, estimate, Unit.BYTES, len(held), method)
