"""What was offered, how late, and how it was answered: of all messages, and of each SRV group."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from catalog.declarations import Metric
from catalog.quantities import Unit
from expectations import statistics
from expectations.verdicts import LATER
from tasks.measures.rows import ALL, Row, bootstrapped, exact, maximum, row
from tasks.measures.subject import Run, Tables, fetched

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

LATENESS = "lateness-p99"
"""How late messages were taken up: 99th percentile of (ready - intended), microseconds."""

_PERCENTILES = {Metric.LATENCY_P50: 500, Metric.LATENCY_P95: 950, Metric.LATENCY_P99: 990}


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """Messages of one scope, in the order in which they were due; columns of equal length."""

    sequence: "Integers"
    of_group: "NDArray[np.object_]"
    good: "NDArray[np.bool_]"
    taken_up: "NDArray[np.bool_]"
    lateness_us: "Integers"
    latency_us: "Integers"
    block: "Integers"

    def __len__(self) -> int:
        return len(self.sequence)

    def where(self, chosen: "NDArray[np.bool_]") -> "Messages":
        """Those that are chosen."""
        return Messages(**{name: getattr(self, name)[chosen] for name in self.__slots__})


def offering(connection: "duckdb.DuckDBPyConnection", run: Run, _tables: Tables) -> Iterator[Row]:
    """How many of all messages were taken up, and how late."""
    messages = messages_of(connection)
    yield _offered(messages, ALL)
    yield from _lateness(run, messages)


def answering(connection: "duckdb.DuckDBPyConnection", run: Run, tables: Tables) -> Iterator[Row]:
    """Shares and percentiles of all messages; of each SRV group as well, and how many of it were taken up."""
    messages = messages_of(connection)
    yield from _answered(run, messages, ALL, tables.withins)
    for group in sorted(set(messages.of_group) - {""}):
        of_group = messages.where(messages.of_group == group)
        yield _offered(of_group, group)
        yield from _answered(run, of_group, group, tables.withins)


def messages_of(connection: "duckdb.DuckDBPyConnection") -> Messages:
    """All messages offered."""
    columns = ", ".join(Messages.__slots__)
    return Messages(**fetched(connection.execute(f"SELECT {columns} FROM offered ORDER BY sequence")))  # noqa: S608 - made of field names


def service_level(within_us: int) -> str:
    """The name of the metric: share answered as expected within a target time."""
    return f"{Metric.SERVICE_LEVEL}/{within_us}"


def _offered(messages: Messages, scope: str) -> Row:
    taken_up = int(messages.taken_up.sum())
    method = "messages taken up by the injector: a count, its own interval"
    return row(scope, Metric.OFFERED, exact(taken_up), Unit.COUNT, len(messages), method)


def _lateness(run: Run, messages: Messages) -> Iterator[Row]:
    late = messages.lateness_us[messages.lateness_us < LATER]
    if len(late):
        value, method = quantile(late, 990), "nearest rank over the messages taken up: known, its own interval"
        lag = max((step.get("loop_lag_p99_us", 0) for step in run.injector_steps), default=0)
        if lag > max(value, run["lateness_limit_us"]):
            value, method = lag, "answers waited so long to be read by the injector, by its own word"
        yield row(ALL, LATENESS, exact(value), Unit.MICROSECONDS, len(late), method)


def _answered(run: Run, messages: Messages, scope: str, withins: tuple[int, ...]) -> Iterator[Row]:
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
        method = bootstrapped(run, _held(messages), estimate, "nearest rank over all messages offered, failures last")
        yield row(scope, metric, estimate, Unit.MICROSECONDS, len(messages), method)
    yield maximum(run, scope, Metric.LATENCY_MAX, int(messages.latency_us.max()), len(messages))


def _share(run: Run, messages: Messages, scope: str, metric: str, good: "NDArray[np.bool_]") -> Row:
    import numpy as np

    within = np.bincount(messages.block[good], minlength=run["blocks"])
    totals = np.bincount(messages.block, minlength=run["blocks"])
    estimate = statistics.share_interval(within.tolist(), totals.tolist(), seed=run["seed"], level=run.level)
    method = bootstrapped(run, _held(messages), estimate, "share of all messages offered, Clopper-Pearson")
    return row(scope, metric, estimate, Unit.PARTS_PER_MILLION, len(messages), method)


def _held(messages: Messages) -> int:
    return len(set(messages.block.tolist()))


def quantile(values: "Integers", permille: int) -> int:
    """The nearest rank of unordered values, at least one."""
    import numpy as np

    return statistics.quantile(np.sort(values), permille)
