"""What a search for the highest load found: the knee, the servers' capacity, how the system fails, if it recovers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from catalog.declarations import Metric
from catalog.quantities import Unit
from expectations import capacity, statistics
from expectations.capacity import Limits
from expectations.statistics import MILLION, Estimate, Step
from expectations.verdicts import LATER, Outcome
from tasks.course import Part
from tasks.measures.rows import ALL, Row, row
from tasks.measures.subject import Run, Tables, fetched

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

OVERLOAD, SCALABILITY = "overload", "scalability"
"""The scopes of what came beyond the knee, and of the law fitted to all steps."""

_OF_STEP = f"""
    SELECT outcome, outcome = expect AS good, coalesce(intended_us, 0) AS intended_us, coalesce(done_us, 0) AS done_us,
           coalesce(ready_us - intended_us, {LATER}) AS lateness_us,
           CASE WHEN outcome = expect THEN coalesce(latency_us, {LATER}) ELSE {LATER} END AS latency_us
    FROM read_parquet(getvariable('results'))
    WHERE run = getvariable('run') AND kind IN ('request', 'alert') AND sequence BETWEEN $first AND $last
    ORDER BY sequence
"""  # noqa: S608 - made of constants only; what varies is bound


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offered:
    """One step: what the run's document says of it, its messages by column, and what came of it."""

    document: Mapping[str, Any]
    columns: "Mapping[str, NDArray[Any]]"
    came: Step

    @property
    def part(self) -> str:
        return str(self.document["part"])

    def count(self, outcome: Outcome) -> int:
        return int((self.columns["outcome"] == outcome.value).sum())


def ramp(connection: "duckdb.DuckDBPyConnection", run: Run, _tables: Tables) -> Iterator[Row]:
    """The highest load carried and what the servers can do, as multiples of the target volume; overload and after."""
    declared = run["definition"]["ramp"]
    limits = Limits(
        lateness_us=run["lateness_limit_us"],
        latency_us=declared["latency"],
        answered_ppm=declared["answered"]["value"],
    )
    steps = [_step(connection, step, limits) for step in run["steps"]]
    rising = [step for step in steps if step.part == Part.RAMP]
    if not rising:
        return
    found = capacity.knee([step.came for step in rising])
    yield _headroom(found, rising)
    yield _capacity(run, found, rising, limits)
    yield from _overload([step for step in rising if step.came.offered and not step.came.carried])
    yield from _recovery(run, limits, [step for step in steps if step.part == Part.RECOVERY])
    yield from _law(rising)


def _step(connection: "duckdb.DuckDBPyConnection", step: Mapping[str, Any], limits: Limits) -> _Offered:
    """A step of which messages are missing from the results was not offered."""
    columns = fetched(connection.execute(_OF_STEP, {"first": step["first"], "last": step["last"]}))
    came = capacity.step_of(
        step["multiple_ppm"],
        lateness_us=columns["lateness_us"],
        latency_us=columns["latency_us"],
        answered=int(columns["good"].sum()),
        limits=limits,
    )
    whole = len(columns["good"]) == step["last"] - step["first"] + 1
    came = came if whole else Step(multiple_ppm=step["multiple_ppm"], offered=False, carried=False)
    return _Offered(document=step, columns=columns, came=came)


def _headroom(found: capacity.Knee, rising: Sequence[_Offered]) -> Row:
    estimate = found.carried()
    told = ", ".join(f"{times(step.came.multiple_ppm)} {_told(step.came)}" for step in rising)
    ended = "; nothing bounds it: every step was carried" if estimate.upper == LATER else ""
    samples = sum(len(step.columns["good"]) for step in rising) if estimate.lower is not None else 0
    return row(ALL, Metric.HEADROOM, estimate, Unit.PARTS_PER_MILLION, samples, f"steps: {told}{ended}")


def times(multiple_ppm: int) -> str:
    """A multiple in words, exact."""
    return f"{(Decimal(multiple_ppm) / MILLION).normalize():f} times"


def _told(step: Step) -> str:
    if not step.offered:
        return "not offered in time"
    return "carried" if step.carried else "not carried"


def _capacity(run: Run, found: capacity.Knee, rising: Sequence[_Offered], limits: Limits) -> Row:
    first = rising[0]
    at_target = len(first.columns["good"]) * MILLION // first.came.multiple_ppm
    estimate = capacity.service_capacity(
        found, limit_us=limits.latency_us, step_us=run["window_us"], messages=max(1, at_target)
    )
    method = (
        "the knee's interval, widened by what an overload hides in a step of "
        f"{run['window_us']} us and by waiting close to capacity"
    )
    samples = 0 if estimate.lower is None else len(rising)
    return row(ALL, Metric.CAPACITY, estimate, Unit.PARTS_PER_MILLION, samples, method)


def _overload(beyond: Sequence[_Offered]) -> Iterator[Row]:
    """How it fails: what became of the messages of the steps that were not carried."""
    if not beyond:
        return
    total = sum(len(step.columns["good"]) for step in beyond)
    answered = sum(step.count(Outcome.OK) for step in beyond)
    told = ", ".join(f"{sum(step.count(each) for step in beyond)} {each}" for each in Outcome)
    slowest = max(int(step.columns["latency_us"][step.columns["latency_us"] < LATER].max(initial=0)) for step in beyond)
    method = f"{len(beyond)} steps that were not carried: {told}; the slowest answer took {slowest} us"
    share = answered * MILLION // total
    yield row(OVERLOAD, Metric.ANSWERED_SHARE, Estimate(share, None, None), Unit.PARTS_PER_MILLION, total, method)


def _recovery(run: Run, limits: Limits, after: Sequence[_Offered]) -> Iterator[Row]:
    """Whether it recovers: the share answered within the ramp's latency when the first load comes again."""
    import numpy as np

    for step in after:
        columns, blocks = step.columns, run["blocks"]
        gone = columns["intended_us"] - step.document["start_us"]
        block = np.clip(gone * blocks // step.document["window_us"], 0, blocks - 1)
        within = np.bincount(block[columns["latency_us"] <= limits.latency_us], minlength=blocks)
        totals = np.bincount(block, minlength=blocks)
        estimate = statistics.share_interval(within.tolist(), totals.tolist(), seed=run["seed"], level=run.level)
        method = (
            f"answered within {limits.latency_us} us, of all offered, at {times(step.came.multiple_ppm)} the target"
        )
        yield row(ALL, Metric.RECOVERED_SHARE, estimate, Unit.PARTS_PER_MILLION, len(block), f"{method} once more")


def _law(rising: Sequence[_Offered]) -> Iterator[Row]:
    """The Universal Scalability Law over all steps: load against throughput, both as multiples of the target's."""
    points = [(step.came.multiple_ppm / MILLION, rate) for step in rising if (rate := _throughput(step))]
    law = capacity.scalability(points) if points else None
    if law is None:
        return
    peak = "none" if law.peak_load is None else f"{law.peak_load}{', beyond every load seen' if law.beyond else ''}"
    method = (
        f"Universal Scalability Law over {len(points)} steps: {law.rate} messages a second at the target, contention "
        f"{law.contention}, coherency {law.coherency}, peak at {peak}, residual {law.residual_ppm} ppm"
    )
    value = Estimate(round(float(law.contention) * MILLION), None, None)
    yield row(SCALABILITY, "contention", value, Unit.PARTS_PER_MILLION, len(points), method)


def _throughput(step: _Offered) -> float:
    """Messages answered a second, from the step's start to its last answer."""
    good = step.columns["good"]
    if not good.any():
        return 0.0
    lasted = max(step.document["window_us"], int(step.columns["done_us"][good].max()) - step.document["start_us"])
    return float(int(good.sum()) * MILLION / lasted)
