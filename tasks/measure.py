"""Measures one test run: percentiles, shares, resources and headroom, each with its interval, from the run's tables.

Pure: the same tables and the same run document give the same measurements. DuckDB reads the Parquet, `statistics`
computes; nothing here knows a limit or a verdict.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.declarations import METRICS, Metric, TestType
from catalog.quantities import Unit
from expectations import statistics
from expectations.statistics import Estimate, Step
from expectations.verdicts import LATER

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

ALL = "all"
"""The scope of all messages together."""

LATENESS = "lateness-p99"
"""How late messages were taken up: 99th percentile of (ready - intended), microseconds."""

COVERAGE = "coverage"
"""Infrastructure samples that are there, of those expected: of the metric with the fewest, parts per million."""

_PERCENTILES = {Metric.LATENCY_P50: 500, Metric.LATENCY_P95: 950, Metric.LATENCY_P99: 990}
_CPU, _MEMORY, _CONNECTIONS = "cpu_permille", "memory_bytes", "connections_count"
_RESOURCES: dict[str, tuple[Metric, Metric | None, int]] = {
    _CPU: (Metric.CPU_P95, None, 1000),
    _MEMORY: (Metric.MEMORY_P95, Metric.MEMORY_MAX, 1),
    _CONNECTIONS: (Metric.CONNECTIONS_P95, Metric.CONNECTIONS_MAX, 1),
}
"""What is sampled: the metrics of its 95th percentile and its maximum, and its factor into their unit."""

_MESSAGES = f"""
    SELECT sequence, coalesce(of_group.name, '') AS scope, outcome = expect AS good,
           ready_us IS NOT NULL AS taken_up, coalesce(ready_us - intended_us, {LATER}) AS lateness_us,
           CASE WHEN outcome = expect THEN coalesce(latency_us, -1) ELSE {LATER} END AS latency_us,
           greatest(0, least($blocks - 1, (coalesce(intended_us, ready_us, sent_us) - $start) * $blocks // $window))
               AS block
    FROM read_parquet($results) AS results
    LEFT JOIN (SELECT unnest($srvs::VARCHAR[]) AS srv, unnest($groups::VARCHAR[]) AS name) AS of_group USING (srv)
    WHERE run = $run AND kind IN ('request', 'alert')
    ORDER BY sequence
"""  # noqa: S608 - made of constants only; what varies is bound
"""What was offered. Whatever did not end as expected ranks later than any answer; -1: answered, latency unknown."""

_SAMPLES = """
    SELECT metric, at_us, sum(value)::BIGINT AS value FROM read_parquet($infrastructure)
    WHERE run = $run AND component = $component AND at_us >= $start AND at_us < $start + $window
      AND metric IN ($cpu, $memory, $connections)
    GROUP BY metric, at_us ORDER BY metric, at_us
"""

_DONE = "SELECT done_us FROM read_parquet($results) WHERE run = $run AND done_us IS NOT NULL ORDER BY done_us"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Messages:
    """Messages of one scope, in the order in which they were due; columns of equal length."""

    sequence: "Integers"
    scope: "NDArray[np.object_]"
    good: "NDArray[np.bool_]"
    taken_up: "NDArray[np.bool_]"
    lateness_us: "Integers"
    latency_us: "Integers"
    block: "Integers"

    def __len__(self) -> int:
        return len(self.sequence)

    def where(self, chosen: "NDArray[np.bool_]") -> "_Messages":
        return _Messages(**{name: getattr(self, name)[chosen] for name in self.__slots__})


@dataclass(frozen=True, slots=True)
class _Run:
    """What the statistics need of the run document."""

    document: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.document[name]

    @property
    def level(self) -> float:
        return statistics.judged_level(self["level_index"])

    @property
    def compressed(self) -> bool:
        return Decimal(self["compression"]) != 1

    @property
    def injector_steps(self) -> Sequence[Mapping[str, Any]]:
        """What the injector said of itself, step by step; nothing where another tool offered the load."""
        steps: Sequence[Mapping[str, Any]] = self.document.get("injector", {}).get("steps", ())
        return steps

    def stretches(self, at_us: "Integers") -> "Integers":
        """The stretch of the run, from 0, that each time falls into."""
        placed: Integers = (at_us - self["start_us"]) * self["blocks"] // self["window_us"]
        return placed


def measure(
    run: Mapping[str, Any], results: Path, infrastructure: Path, *, withins: tuple[int, ...], groups: Mapping[str, str]
) -> "pd.DataFrame":
    """The measurements table of one run, ordered by scope ('all' first) and metric.

    `run`: the test run document. `results`, `infrastructure`: its tables as Parquet. `withins`: the target times of
    service levels, in microseconds. `groups`: SRV to the SRV group that it belongs to.

    A stress run mixes loads, so of all its messages together only what was offered and how late is measured, and of
    its steps the headroom. What cannot be measured has no row.
    """
    import duckdb

    from tasks.parquet import frame

    with duckdb.connect(config={"threads": 1}) as connection:
        rows = list(_measurements(connection, _Run(run), results, infrastructure, withins, groups))
    ordered = sorted(rows, key=lambda row: (row["scope"] != ALL, row["scope"], row["metric"]))
    stated = {"run": run["run"], "component": run["component"]}
    return frame("measurements", {name: [({**stated, **row})[name] for row in ordered] for name in _columns()})


def service_level(within_us: int) -> str:
    """The name of the metric: share answered as expected within a target time."""
    return f"{Metric.SERVICE_LEVEL}/{within_us}"


def _columns() -> dict[str, str]:
    from expectations import tables

    return tables.columns("measurements")


def _measurements(
    connection: "duckdb.DuckDBPyConnection",
    run: _Run,
    results: Path,
    infrastructure: Path,
    withins: tuple[int, ...],
    groups: Mapping[str, str],
) -> Iterator[dict[str, Any]]:
    messages = _messages(connection, run, results, groups)
    yield from _offering(messages, ALL)
    yield from _lateness(run, messages)
    if run["type"] == TestType.STRESS:
        yield _headroom(run, messages)
        return
    yield from _answering(run, messages, ALL, withins)
    for group in sorted(set(messages.scope) - {""}):
        of_group = messages.where(messages.scope == group)
        yield from _offering(of_group, group)
        yield from _answering(run, of_group, group, withins)
    samples = _samples(connection, run, infrastructure)
    yield from _resources(run, samples)
    if run["type"] == TestType.SOAK:
        yield from _growth(run, samples, _done(connection, run, results))


def _messages(
    connection: "duckdb.DuckDBPyConnection", run: _Run, results: Path, groups: Mapping[str, str]
) -> _Messages:
    found = _fetched(
        connection.execute(
            _MESSAGES,
            {
                "results": str(results),
                "run": run["run"],
                "start": run["start_us"],
                "window": run["window_us"],
                "blocks": run["blocks"],
                "srvs": list(groups),
                "groups": list(groups.values()),
            },
        )
    )
    return _Messages(**found)


def _samples(connection: "duckdb.DuckDBPyConnection", run: _Run, infrastructure: Path) -> dict[str, Any]:
    """For each metric sampled: its times and values, in time order, parts of the component together."""
    found = _fetched(
        connection.execute(
            _SAMPLES,
            {
                "infrastructure": str(infrastructure),
                "run": run["run"],
                "component": run["component"],
                "start": run["start_us"],
                "window": run["window_us"],
                "cpu": _CPU,
                "memory": _MEMORY,
                "connections": _CONNECTIONS,
            },
        )
    )
    return {
        name: (found["at_us"][found["metric"] == name], found["value"][found["metric"] == name])
        for name in sorted(set(found["metric"]))
    }


def _done(connection: "duckdb.DuckDBPyConnection", run: _Run, results: Path) -> "Integers":
    return _fetched(connection.execute(_DONE, {"results": str(results), "run": run["run"]}))["done_us"]


def _row(scope: str, metric: str, estimate: Estimate, unit: Unit, samples: int, method: str) -> dict[str, Any]:
    ends = {"value": estimate.value, "lower": estimate.lower, "upper": estimate.upper}
    return {"scope": scope, "metric": metric, **ends, "unit": str(unit), "samples": samples, "method": method}


def _exact(value: int) -> Estimate:
    return Estimate(value, value, value)


def _offering(messages: _Messages, scope: str) -> Iterator[dict[str, Any]]:
    taken_up = int(messages.taken_up.sum())
    method = "messages taken up by the injector: a count, its own interval"
    yield _row(scope, Metric.OFFERED, _exact(taken_up), Unit.COUNT, len(messages), method)


def _lateness(run: _Run, messages: _Messages) -> Iterator[dict[str, Any]]:
    late = messages.lateness_us[messages.lateness_us < LATER]
    if len(late):
        value, method = _quantile(late, 990), "nearest rank over the messages taken up: known, its own interval"
        lag = max((step.get("loop_lag_p99_us", 0) for step in run.injector_steps), default=0)
        if lag > max(value, run["lateness_limit_us"]):
            value, method = lag, "answers waited so long to be read by the injector, by its own word"
        estimate = _exact(value)
        yield _row(ALL, LATENESS, estimate, Unit.MICROSECONDS, len(late), method)


def _answering(run: _Run, messages: _Messages, scope: str, withins: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    if not len(messages):
        return
    yield _share(run, messages, scope, Metric.ANSWERED_SHARE, messages.good)
    if (messages.latency_us < 0).any():  # answered, but nobody knows when it was due: no latency can be told
        return
    for within in withins:
        yield _share(run, messages, scope, service_level(within), messages.latency_us <= within)
    for metric, permille in _PERCENTILES.items():
        estimate = statistics.quantile_interval(
            messages.latency_us, messages.block, permille, seed=run["seed"], level=run.level
        )
        method = _bootstrapped(run, messages.block, estimate, "nearest rank over all messages offered, failures last")
        yield _row(scope, metric, estimate, Unit.MICROSECONDS, len(messages), method)
    yield _maximum(run, scope, Metric.LATENCY_MAX, messages.latency_us)


def _share(run: _Run, messages: _Messages, scope: str, metric: str, good: "NDArray[np.bool_]") -> dict[str, Any]:
    import numpy as np

    within = np.bincount(messages.block[good], minlength=run["blocks"])
    totals = np.bincount(messages.block, minlength=run["blocks"])
    estimate = statistics.share_interval(within.tolist(), totals.tolist(), seed=run["seed"], level=run.level)
    method = _bootstrapped(run, messages.block, estimate, "share of all messages offered, Clopper-Pearson")
    return _row(scope, metric, estimate, Unit.PARTS_PER_MILLION, len(messages), method)


def _maximum(run: _Run, scope: str, metric: Metric, values: "Integers") -> dict[str, Any]:
    """A maximum is only known to be the largest when the test ran for as long as it should."""
    value = int(values.max())
    upper = LATER if run.compressed else value
    known = f"durations compressed by {run['compression']}: nothing bounds it" if run.compressed else "full duration"
    return _row(scope, metric, Estimate(value, value, upper), METRICS[metric][0], len(values), f"largest seen, {known}")


def _bootstrapped(
    run: _Run, block: "Integers", estimate: Estimate, what: str, widened: str = "the effective sample size"
) -> str:
    held = len(set(block.tolist()))
    if estimate.lower is None:
        return f"{what}; no interval: {held} stretches of time hold any, {statistics.FEWEST_BLOCKS} are needed"
    return (
        f"{what}; block bootstrap: {held} of {run['blocks']} stretches of time, {statistics.RESAMPLES} resamples, "
        f"seed {run['seed']}, level {run.level:.6g}; widened to exact binomial theory at {widened}"
    )


def _resources(run: _Run, samples: dict[str, Any]) -> Iterator[dict[str, Any]]:
    expected = max(1, run["window_us"] // run["sampling_interval_us"])
    present = min((len(at_us) for at_us, _ in samples.values()), default=0)
    covered = _exact(min(statistics.MILLION, present * statistics.MILLION // expected))
    yield _row(ALL, COVERAGE, covered, Unit.PARTS_PER_MILLION, present, f"of {expected} samples expected")
    for name, (metric, largest, factor) in _RESOURCES.items():
        if name in samples:
            at_us, values = samples[name]
            yield _sampled(run, metric, at_us, values * factor)
            if largest is not None:
                yield _maximum(run, ALL, largest, values)


def _sampled(run: _Run, metric: Metric, at_us: "Integers", values: "Integers") -> dict[str, Any]:
    block = run.stretches(at_us)
    estimate = statistics.quantile_interval(values, block, 950, seed=run["seed"], level=run.level, effective=False)
    method = _bootstrapped(run, block, estimate, "nearest rank over all samples", widened="the number of samples")
    return _row(ALL, metric, estimate, METRICS[metric][0], len(values), method)


def _growth(run: _Run, samples: dict[str, Any], done: "Integers") -> Iterator[dict[str, Any]]:
    """Memory over messages handled: the median of each stretch against the messages done by the middle of it."""
    import numpy as np

    if _MEMORY not in samples:
        return
    at_us, memory = samples[_MEMORY]
    block = run.stretches(at_us)
    held = np.unique(block)
    medians = [_quantile(memory[block == each], 500) for each in held]
    middles = run["start_us"] + (2 * held + 1) * run["window_us"] // (2 * run["blocks"])
    handled = np.searchsorted(done, middles, side="right")
    if len(set(handled.tolist())) < 2:  # a line needs two points
        return
    estimate = statistics.trend(handled.tolist(), medians, level=run.level)
    method = f"Theil-Sen slope of resident memory over messages done, {len(held)} stretches of time" + (
        f"; Sen's interval, level {run.level:.6g}, corrected for autocorrelation"
        if estimate.lower is not None
        else f"; no interval: {statistics.FEWEST_BLOCKS} are needed"
    )
    yield _row(ALL, Metric.MEMORY_GROWTH, estimate, Unit.BYTES, len(held), method)


def _headroom(run: _Run, messages: _Messages) -> dict[str, Any]:
    steps = [_step(run, messages, step) for step in run["steps"]]
    estimate = statistics.knee(steps)
    told = ", ".join(f"{step.multiple_ppm} ppm {_told(step)}" for step in steps)
    ended = "; ramp ended" if estimate.upper == LATER else ""
    samples = len(messages) if estimate.lower is not None else 0
    return _row(ALL, Metric.HEADROOM, estimate, Unit.PARTS_PER_MILLION, samples, f"steps: {told or 'none'}{ended}")


def _told(step: Step) -> str:
    if not step.offered:
        return "not offered in time"
    return "carried" if step.carried else "not carried"


def _step(run: _Run, messages: _Messages, step: Mapping[str, int]) -> Step:
    """Carried: 95th percentile of latency and answered share within the step's limits. Offered: all of it, in time."""
    own = messages.where((messages.sequence >= step["first"]) & (messages.sequence <= step["last"]))
    whole = len(own) == step["last"] - step["first"] + 1 and len(own) > 0
    if not whole or not own.taken_up.all():
        return Step(multiple_ppm=step["multiple_ppm"], offered=False, carried=False)
    answered = int(own.good.sum()) * statistics.MILLION // len(own)
    return Step(
        multiple_ppm=step["multiple_ppm"],
        offered=_quantile(own.lateness_us, 990) <= run["lateness_limit_us"],
        carried=_quantile(own.latency_us, 950) <= run["step_latency_us"] and answered >= run["step_answered_ppm"],
    )


def _quantile(values: "Integers", permille: int) -> int:
    import numpy as np

    return statistics.quantile(np.sort(values), permille)


def _fetched(query: "duckdb.DuckDBPyConnection") -> "dict[str, NDArray[Any]]":
    """The columns of a query that has no nulls."""
    import numpy as np

    return {name: np.asarray(column) for name, column in query.fetchnumpy().items()}
