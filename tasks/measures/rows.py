"""Rows of the measurements table: what every measure says of what it found."""

from typing import TYPE_CHECKING, Any

from catalog.declarations import METRICS, Metric
from catalog.quantities import Unit
from expectations import statistics
from expectations.statistics import Estimate
from expectations.verdicts import LATER

if TYPE_CHECKING:
    from tasks.measures.subject import Run

Row = dict[str, Any]
"""A row of the measurements table without the run and component that all of them have."""

ALL = "all"
"""The scope of all messages together."""


def row(scope: str, metric: str, estimate: Estimate, unit: Unit, samples: int, method: str) -> Row:
    """A measurement in `unit`, the number of messages or samples that it rests on, and how it was computed."""
    ends = {"value": estimate.value, "lower": estimate.lower, "upper": estimate.upper}
    return {"scope": scope, "metric": metric, **ends, "unit": str(unit), "samples": samples, "method": method}


def exact(value: int) -> Estimate:
    """What is known is its own interval."""
    return Estimate(value, value, value)


def maximum(run: "Run", scope: str, metric: Metric, value: int, samples: int) -> Row:
    """A maximum is only known to be the largest when the test ran for as long as it should."""
    upper = LATER if run.compressed else value
    known = f"durations compressed by {run['compression']}: nothing bounds it" if run.compressed else "full duration"
    return row(scope, metric, Estimate(value, value, upper), METRICS[metric][0], samples, f"largest seen, {known}")


def bootstrapped(
    run: "Run", held: int, estimate: Estimate, what: str, widened: str = "the effective sample size"
) -> str:
    """The method in words of an interval by block bootstrap, of whose stretches of time `held` hold anything."""
    if estimate.lower is None:
        return f"{what}; no interval: {held} stretches of time hold any, {statistics.FEWEST_BLOCKS} are needed"
    return (
        f"{what}; block bootstrap: {held} of {run['blocks']} stretches of time, {statistics.RESAMPLES} resamples, "
        f"seed {run['seed']}, level {run.level:.6g}; widened to exact binomial theory at {widened}"
    )
