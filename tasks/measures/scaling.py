"""What capacity that is added and removed while the load goes on does to throughput, and to the answers."""

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from catalog.declarations import Metric
from catalog.quantities import Unit
from expectations import statistics
from expectations.statistics import MILLION, Estimate
from tasks.measures.rows import ALL, Row, bootstrapped, row
from tasks.measures.subject import Run, Tables, fetched

if TYPE_CHECKING:
    import duckdb

STRETCHES = ("before", "added", "removed")
"""The scopes: before capacity is added, with it, and after it was removed."""

THROUGHPUT = "throughput"
"""Messages answered as expected, of those due in the same time at the target volume, parts per million."""

_ANSWERED = """
    SELECT done_us - getvariable('start_us') AS at_us FROM offered
    WHERE good AND done_us < getvariable('start_us') + getvariable('window_us') ORDER BY done_us
"""

_DUE = """
    SELECT intended_us - getvariable('start_us') AS at_us, good FROM offered
    WHERE intended_us IS NOT NULL ORDER BY intended_us
"""


def scaling(connection: "duckdb.DuckDBPyConnection", run: Run, _tables: Tables) -> Iterator[Row]:
    """Throughput before, with and after added capacity, by how much it rose, and the share answered at the end."""
    import numpy as np

    plan = run["definition"]["scaling"]
    edges = _edges(run, plan)
    answered = fetched(connection.execute(_ANSWERED))["at_us"]
    counts = [
        np.histogram(answered, bins=_cut(start, end, run["blocks"]))[0].tolist() for start, end in pairwise(edges)
    ]
    per_us = Fraction(run["target"]["messages"]) / run["window_us"] / Fraction(Decimal(plan["load"]))
    for name, each, (start, end) in zip(STRETCHES, counts, pairwise(edges), strict=True):
        whole = Fraction(sum(each) * MILLION) / (per_us * (end - start))
        factor = whole / sum(each) if sum(each) else Fraction(0)
        estimate = _mean(run, each, factor)
        method = bootstrapped(
            run, len(each), estimate, f"messages answered from {start} to {end} us, over the target's"
        )
        yield row(name, THROUGHPUT, estimate, Unit.PARTS_PER_MILLION, sum(each), method)
    yield _gain(run, counts, [end - start for start, end in pairwise(edges)])
    yield from _reduced(connection, run, edges)


def _edges(run: Run, plan: dict[str, Any]) -> list[int]:
    """Where the stretches begin, and the last one ends, in microseconds of the run as it was conducted."""
    compression = Fraction(Decimal(run["compression"]))
    changes = [round(plan[each]["at"] / compression) for each in ("added", "removed")]
    return [0, *changes, run["window_us"]]


def _cut(start: int, end: int, blocks: int) -> list[int]:
    return [start + (end - start) * each // blocks for each in range(blocks + 1)]


def _mean(run: Run, counts: list[int], factor: Fraction) -> Estimate:
    """The bootstrap interval of a mean count a block, in the unit that `factor` makes of their sum."""
    sums = statistics.resampled_sums(counts, seed=run["seed"], level=run.level)
    value = round(sum(counts) * factor)
    if sums is None:
        return Estimate(value, None, None)
    return Estimate(value, int(sums[0] * factor // 1), int(-(-sums[1] * factor // 1)))


def _drawn(run: Run, blocks: int, estimate: Estimate) -> str:
    if estimate.lower is None:
        return f"no interval: {blocks} stretches of time, {statistics.FEWEST_BLOCKS} are needed"
    return f"block bootstrap of {blocks} stretches of time, seed {run['seed']}, level {run.level:.6g}"


def _gain(run: Run, counts: list[list[int]], lengths: list[int]) -> Row:
    """Throughput with added capacity over that before; the ends from the ends of both, each at half the error."""
    before, added = counts[0], counts[1]
    level = 1 - (1 - run.level) / 2
    old, new = (statistics.resampled_sums(each, seed=run["seed"], level=level) for each in (before, added))
    scale = Fraction(MILLION * lengths[0], lengths[1])
    value = round(Fraction(sum(added)) / max(1, sum(before)) * scale)
    samples = sum(before) + sum(added)
    method = f"throughput of the stretch 'added' over 'before', {len(before)} blocks each, level {run.level:.6g}"
    if old is None or new is None or not old[0]:
        return row(ALL, Metric.SCALING_GAIN, Estimate(value, None, None), Unit.PARTS_PER_MILLION, samples, method)
    ends = int(Fraction(new[0]) / old[1] * scale // 1), int(-(-Fraction(new[1]) / old[0] * scale // 1))
    return row(ALL, Metric.SCALING_GAIN, Estimate(value, *ends), Unit.PARTS_PER_MILLION, samples, method)


def _reduced(connection: "duckdb.DuckDBPyConnection", run: Run, edges: list[int]) -> Iterator[Row]:
    """The share answered of the messages due after capacity was removed."""
    import numpy as np

    due = fetched(connection.execute(_DUE))
    after = due["at_us"] >= edges[2]
    at_us, good, blocks = due["at_us"][after], due["good"][after], run["blocks"]
    if not len(at_us):
        return
    block = np.clip((at_us - edges[2]) * blocks // (edges[3] - edges[2]), 0, blocks - 1)
    within, totals = np.bincount(block[good], minlength=blocks), np.bincount(block, minlength=blocks)
    estimate = statistics.share_interval(within.tolist(), totals.tolist(), seed=run["seed"], level=run.level)
    held = len(set(block.tolist()))
    method = bootstrapped(run, held, estimate, "share of the messages due after the removal, Clopper-Pearson")
    yield row(ALL, Metric.REDUCED_SHARE, estimate, Unit.PARTS_PER_MILLION, len(at_us), method)
