"""How much load was carried, from the steps of a ramp."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from catalog.declarations import Metric
from catalog.quantities import Unit
from expectations import statistics
from expectations.statistics import Step
from expectations.verdicts import LATER
from tasks.measures.messages import Messages, messages_of, quantile
from tasks.measures.rows import ALL, Row, row
from tasks.measures.subject import Run, Tables

if TYPE_CHECKING:
    import duckdb


def headroom(connection: "duckdb.DuckDBPyConnection", run: Run, _tables: Tables) -> Iterator[Row]:
    """The highest load carried, as a multiple of the target volume."""
    messages = messages_of(connection)
    steps = [_step(run, messages, step) for step in run["steps"]]
    estimate = statistics.knee(steps)
    told = ", ".join(f"{step.multiple_ppm} ppm {_told(step)}" for step in steps)
    ended = "; ramp ended" if estimate.upper == LATER else ""
    samples = len(messages) if estimate.lower is not None else 0
    yield row(ALL, Metric.HEADROOM, estimate, Unit.PARTS_PER_MILLION, samples, f"steps: {told or 'none'}{ended}")


def _told(step: Step) -> str:
    if not step.offered:
        return "not offered in time"
    return "carried" if step.carried else "not carried"


def _step(run: Run, messages: Messages, step: Mapping[str, int]) -> Step:
    """Carried: 95th percentile of latency and answered share within the step's limits. Offered: all of it, in time."""
    own = messages.where((messages.sequence >= step["first"]) & (messages.sequence <= step["last"]))
    whole = len(own) == step["last"] - step["first"] + 1 and len(own) > 0
    if not whole or not own.taken_up.all():
        return Step(multiple_ppm=step["multiple_ppm"], offered=False, carried=False)
    answered = int(own.good.sum()) * statistics.MILLION // len(own)
    return Step(
        multiple_ppm=step["multiple_ppm"],
        offered=quantile(own.lateness_us, 990) <= run["lateness_limit_us"],
        carried=quantile(own.latency_us, 950) <= run["step_latency_us"] and answered >= run["step_answered_ppm"],
    )
