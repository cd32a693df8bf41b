"""The report that a tool made of its own results beside ours over the same results, and why the two differ.

Ours has one method whatever the tool: nearest rank over all samples, from sending, failures among them as they came.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.intake.format import Figure, SubmittedError
from tasks.intake.numbers import rounded
from tasks.intake.staging import Staged, connect, samples_of

_QUANTILES = {
    "p50": 5_000,
    "p75": 7_500,
    "p90": 9_000,
    "p95": 9_500,
    "p97.5": 9_750,
    "p99": 9_900,
    "p99.9": 9_990,
    "p99.99": 9_999,
}
_OURS = "nearest rank over all samples"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One figure of the tool's beside ours. `ours` is None where the results do not give it. `why`: why they differ."""

    scope: str
    metric: str
    unit: str
    theirs: int
    ours: int | None
    why: str

    def as_json(self) -> dict[str, Any]:
        """The figure as `intake --json` gives it."""
        return {name: getattr(self, name) for name in ("scope", "metric", "unit", "theirs", "ours", "why")}


def compare(results: Sequence[Staged], reports: Sequence[Staged], folder: Path) -> list[Compared]:
    """Every figure of the reports beside the same one of the results.

    Raises SubmittedError where the results hold no messages, or the reports no figures.
    """
    files = tuple(path for each in results for path in each.samples)
    figures = [figure for each in reports for figure in each.figures]
    if not files or not figures:
        what = "messages to compare a report with" if not files else "figures in the report"
        raise SubmittedError(f"expected {what}, found none")
    connection = connect(folder)
    try:
        rows = f"SELECT label, outcome, done_us - sent_us AS took FROM ({samples_of(files)})"  # noqa: S608  # `samples_of` quotes its files
        connection.execute(f"CREATE OR REPLACE VIEW compared AS {rows}")
        scopes = {figure.scope for figure in figures}
        ours = {scope: _ours(connection, scope) for scope in sorted(scopes)}
    finally:
        connection.close()
    left_out = _left_out(results)
    return [_compared(figure, ours[figure.scope].get(figure.metric), left_out) for figure in figures]


def _ours(connection: Any, scope: str) -> dict[str, int]:
    """Our figures of a label, or of all messages, by metric."""
    quantiles = ", ".join(f"quantile_disc(took, {value / 10_000})" for value in _QUANTILES.values())
    query = (
        f"SELECT count(*), count(*) FILTER (outcome = 'ok'), sum(took)::HUGEINT, min(took), max(took), {quantiles} "  # noqa: S608  # numbers of our own; the scope is bound
        "FROM compared WHERE $scope = 'all' OR label = $scope"
    )
    count, good, total, least, most, *found = connection.execute(query, {"scope": scope}).fetchone()
    if not count:
        return {}
    return {
        "requests": count,
        "failures": count - good,
        "answered-share": good * 1_000_000 // count,
        "service-mean": rounded(total, count),
        "service-min": least,
        "service-max": most,
        **{f"service-{name}": value for name, value in zip(_QUANTILES, found, strict=True)},
    }


def _left_out(results: Sequence[Staged]) -> str:
    """What of the results is no message of its own, or could not be used."""
    beside: Counter[str] = Counter()
    for each in results:
        beside += each.account.beside
        beside += Counter({reason: skipped.count for reason, skipped in each.account.skipped.items()})
    return "".join(f"; not counted: {count} of {reason}" for reason, count in sorted(beside.items()))


def _compared(figure: Figure, ours: int | None, left_out: str) -> Compared:
    why = ""
    if ours is None:
        why = (
            "the results hold nothing of that name"
            if not figure.metric.startswith("latency-")
            else ("counted from when a message was due, which the results do not tell")
        )
    elif ours != figure.value and figure.unit == "us":
        why = f"theirs: {figure.method}; ours: {_OURS}"
    elif ours != figure.value:
        why = f"theirs: {figure.method}; ours: every message once{left_out}"
    return Compared(scope=figure.scope, metric=figure.metric, unit=figure.unit, theirs=figure.value, ours=ours, why=why)
