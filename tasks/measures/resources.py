"""CPU, memory, handles, disk and network of the component, and how many of the samples expected are there."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

from catalog.declarations import METRICS, Metric, Sampled
from catalog.quantities import Unit
from expectations import statistics
from tasks.measures.rows import ALL, Row, bootstrapped, exact, maximum, row
from tasks.measures.subject import Run, Tables, fetched

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Samples = dict[str, tuple[Integers, Integers]]

COVERAGE = "coverage"
"""Infrastructure samples that are there, of those expected: of the metric with the fewest, parts per million."""

CPU, MEMORY, CONNECTIONS = Sampled.CPU.value, Sampled.MEMORY.value, Sampled.CONNECTIONS.value

_RESOURCES: dict[str, tuple[Metric, Metric | None, int]] = {
    CPU: (Metric.CPU_P95, None, 1000),
    MEMORY: (Metric.MEMORY_P95, Metric.MEMORY_MAX, 1),
    CONNECTIONS: (Metric.CONNECTIONS_P95, Metric.CONNECTIONS_MAX, 1),
    Sampled.HANDLES: (Metric.HANDLES_P95, Metric.HANDLES_MAX, 1),
    Sampled.DISK_READ: (Metric.DISK_READ_P95, None, 1),
    Sampled.DISK_WRITTEN: (Metric.DISK_WRITTEN_P95, None, 1),
    Sampled.NETWORK_RECEIVED: (Metric.NETWORK_RECEIVED_P95, None, 1),
    Sampled.NETWORK_SENT: (Metric.NETWORK_SENT_P95, None, 1),
}
"""What is sampled: the metrics of its 95th percentile and its maximum, and its factor into their unit."""


def sampled_as(metric: Metric) -> tuple[str, int] | None:
    """What is sampled for a metric, and its factor into the metric's unit; None for what no single sample tells."""
    return next(
        ((name, factor) for name, (p95, largest, factor) in _RESOURCES.items() if metric in (p95, largest)), None
    )


def resources(connection: "duckdb.DuckDBPyConnection", run: Run, _tables: Tables) -> Iterator[Row]:
    """The 95th percentile and the maximum of each resource that was sampled, and the coverage of all."""
    samples = samples_of(connection)
    present, expected = _coverage(run, {name: len(at_us) for name, (at_us, _) in samples.items()})
    covered = exact(min(statistics.MILLION, present * statistics.MILLION // expected))
    yield row(ALL, COVERAGE, covered, Unit.PARTS_PER_MILLION, present, f"of {expected} samples expected")
    for name, (metric, largest, factor) in _RESOURCES.items():
        if name in samples:
            at_us, values = samples[name]
            yield _sampled(run, metric, at_us, values * factor)
            if largest is not None:
                yield maximum(run, ALL, largest, int(values.max()), len(values))


def _coverage(run: Run, present: Mapping[str, int]) -> tuple[int, int]:
    """Samples that are there and that were expected, of the metric with the fewest of those that are there or declared.

    Samples of a declared metric are as far apart as is declared, others as the run says.
    """

    def expected(name: str) -> int:
        every_us = run.declared.get(name, {}).get("every_us", run["sampling_interval_us"])
        return max(1, int(run["window_us"] // every_us))

    names = sorted(present.keys() | (run.declared.keys() & _RESOURCES.keys()))
    counts = [(present.get(name, 0), expected(name)) for name in names]
    return min(counts, key=lambda each: Fraction(*each), default=(0, expected("")))


def samples_of(connection: "duckdb.DuckDBPyConnection") -> "Samples":
    """For each resource sampled: its times and values, in time order, parts of the component together."""
    query = "SELECT metric, at_us, value FROM sampled WHERE metric IN $metrics ORDER BY metric, at_us"
    found = fetched(connection.execute(query, {"metrics": list(_RESOURCES)}))
    return {
        name: (found["at_us"][found["metric"] == name], found["value"][found["metric"] == name])
        for name in sorted(set(found["metric"]))
    }


def _sampled(run: Run, metric: Metric, at_us: "Integers", values: "Integers") -> Row:
    block = run.stretches(at_us)
    estimate = statistics.quantile_interval(values, block, 950, seed=run["seed"], level=run.level, effective=False)
    what, widened = "nearest rank over all samples", "the number of samples"
    method = bootstrapped(run, len(set(block.tolist())), estimate, what, widened=widened)
    return row(ALL, metric, estimate, METRICS[metric][0], len(values), method)
