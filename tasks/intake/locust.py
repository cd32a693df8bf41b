"""Locust's CSVs: statistics, their history, failures and exceptions. None of them holds a message of its own.

Locust keeps response times in buckets of two significant digits above 100 ms and of whole milliseconds below, so its
percentiles are estimates; the history's are over the last ten seconds only.
"""

from collections.abc import Iterator, Mapping

from tasks.intake.delimited import rows
from tasks.intake.format import (
    Account,
    Batch,
    Capability,
    Figure,
    Figures,
    Gives,
    Loop,
    Readings,
    Source,
    Start,
    SubmittedError,
    Sure,
)
from tasks.intake.lines import BOM
from tasks.intake.numbers import count_of, decimal_of, micros, whole

CAPABILITY = Capability(
    gives=Gives.SUMMARY,
    resolution_us=1000,
    latency_from=Start.SENT,
    loop=Loop.CLOSED,
    percentiles="those it lists: two significant digits above 100 ms, whole milliseconds below",
)
_METHOD = "Locust's own estimate, from buckets of two significant digits above 100 ms and whole ms below"
_STATS = ("Type", "Name", "Request Count", "Failure Count")
_HISTORY = ("Timestamp", "User Count", "Type", "Name")
_FAILURES = ("Method", "Name", "Error", "Occurrences")
_EXCEPTIONS = ("Count", "Message", "Traceback")
_TIMES = {
    "Median Response Time": "p50",
    "Average Response Time": "mean",
    "Min Response Time": "min",
    "Max Response Time": "max",
    "95%": "p95",
    "90%": "p90",
    "99%": "p99",
    "99.9%": "p99.9",
    "99.99%": "p99.99",
}


class Locust:
    """Whichever of Locust's CSVs it is."""

    name = "locust"

    def recognises(self, head: bytes) -> Sure:
        """By the first columns of the header."""
        return Sure.CERTAIN if _kind(head) else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Batch]:
        """Figures of statistics and failures; users and counts of the history as readings."""
        account.tool, account.capability = "locust", CAPABILITY
        kind = _kind(source.head())
        if not kind:
            raise SubmittedError(f"{source.name}:1:1: expected a header of Locust's, found none")
        figures, readings = Figures(), Readings()
        names: list[str] = []
        for row in rows(source.path, account, ",", source.assumptions.encoding):
            if not names or row.fields == names:
                names = row.fields
                account.headers += 1
                continue
            if len(row.fields) != len(names):
                account.skip(row.line, f"expected {len(names)} columns")
                continue
            fields = dict(zip(names, row.fields, strict=True))
            if kind == _HISTORY:
                _history(readings, account, row.line, fields)
                continue
            made = list(_figures(kind, fields))
            figures.rows += made
            if made:
                account.taken += 1
            else:
                account.skip(row.line, "without a count")
        yield figures
        yield readings


def _kind(head: bytes) -> tuple[str, ...]:
    first = head.removeprefix(BOM).partition(b"\n")[0].rstrip(b"\r").decode("latin-1")
    fields = first.replace('"', "").split(",")
    found = (each for each in (_STATS, _HISTORY, _FAILURES, _EXCEPTIONS) if tuple(fields[: len(each)]) == each)
    return next(found, ())


def _figures(kind: tuple[str, ...], fields: Mapping[str, str]) -> Iterator[Figure]:
    if kind in (_FAILURES, _EXCEPTIONS):
        count = count_of(fields.get("Occurrences", fields.get("Count", "")))
        if count is not None:
            what = "failures" if kind == _FAILURES else "exceptions"
            told = f"{fields.get('Error', fields.get('Message', ''))[:200]}"
            scope = f"{fields.get('Method', '')} {fields.get('Name', '')}".strip() or "all"
            yield Figure(scope=scope, metric=what, value=count, unit="count", samples=count, method=f"counted: {told}")
        return
    count, failed = count_of(fields.get("Request Count", "")), count_of(fields.get("Failure Count", ""))
    if count is None or failed is None:
        return
    aggregated = fields.get("Name", "") == "Aggregated" and not fields.get("Type", "")
    scope = "all" if aggregated else f"{fields.get('Type', '')} {fields.get('Name', '')}".strip()

    def figure(metric: str, value: int, unit: str, method: str) -> Figure:
        return Figure(scope=scope, metric=metric, value=value, unit=unit, samples=count, method=method)

    yield figure("requests", count, "count", "counted by Locust")
    if count and failed <= count:
        share = whole(decimal_of(str(count - failed)), 1_000_000) or 0
        yield figure("answered-share", share // count, "ppm", "counted by Locust, rounded down")
    for column, metric in _TIMES.items():
        us = micros(fields.get(column, ""), "ms")
        if us is not None and us >= 0 and count:
            yield figure(f"service-{metric}", us, "us", _METHOD)


def _history(readings: Readings, account: Account, line: int, fields: Mapping[str, str]) -> None:
    at, users = micros(fields.get("Timestamp", ""), "s"), count_of(fields.get("User Count", ""))
    if at is None or users is None or at < 0:
        account.skip(line, "expected a time and a number of users")
        return
    if fields.get("Name", "") != "Aggregated" or fields.get("Type", ""):
        account.beside["of one name: the history is kept of all together"] += 1
        return
    account.taken += 1
    readings.add(at_us=at, host="", metric="users_count", value=users, unit="count", part="injector")
    for column, metric in (("Total Request Count", "requests_total"), ("Total Failure Count", "failures_total")):
        count = count_of(fields.get(column, ""))
        if count is not None:
            readings.add(at_us=at, host="", metric=metric, value=count, unit="count", part="injector")
