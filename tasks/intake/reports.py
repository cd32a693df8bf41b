"""Reports that tools make of their own results: JMeter's statistics.json, vegeta's as JSON, Gatling's statistics.

Gatling's (`js/stats.json`, `js/global_stats.json`) list four percentiles that its configuration chooses; they are taken
to be the default ones, 50, 75, 95 and 99, and that is noted.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from tasks.intake.format import Account, Capability, Figure, Figures, Gives, Loop, Source, Start, SubmittedError, Sure
from tasks.intake.json_lines import begins_object, document
from tasks.intake.numbers import count_of, decimal_of, micros, whole

_JMETER = Capability(
    gives=Gives.SUMMARY,
    resolution_us=1000,
    latency_from=Start.SENT,
    loop=Loop.CLOSED,
    percentiles="90, 95 and 99, interpolated over the last 20,000 samples",
)
_VEGETA = Capability(
    gives=Gives.SUMMARY,
    resolution_us=0,
    latency_from=Start.SENT,
    loop=Loop.UNKNOWN,
    percentiles="50, 90, 95 and 99, estimated (t-digest)",
)
_TIMES = {"meanResTime": "mean", "medianResTime": "p50", "minResTime": "min", "maxResTime": "max",
          "pct1ResTime": "p90", "pct2ResTime": "p95", "pct3ResTime": "p99"}  # fmt: skip
_GATLING = Capability(
    gives=Gives.SUMMARY,
    resolution_us=1000,
    latency_from=Start.SENT,
    loop=Loop.UNKNOWN,
    percentiles="four, estimated (t-digest)",
)
_GATLING_TIMES = {"minResponseTime": "min", "maxResponseTime": "max", "meanResponseTime": "mean", "percentiles1": "p50",
                  "percentiles2": "p75", "percentiles3": "p95", "percentiles4": "p99"}  # fmt: skip
_LATENCIES = {"mean": "mean", "50th": "p50", "90th": "p90", "95th": "p95", "99th": "p99", "max": "max", "min": "min"}


class JMeterStatistics:
    """statistics.json of JMeter's dashboard, its percentiles at the default 90, 95 and 99."""

    name = "jmeter-statistics"

    def recognises(self, head: bytes) -> Sure:
        """By names that only it has."""
        found = b'"pct1ResTime"' in head and b'"sampleCount"' in head
        return Sure.CERTAIN if found and begins_object(head) else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Figures]:
        """The figures of every label, and of all together."""
        account.unit, account.tool, account.capability = "labels", "jmeter", _JMETER
        found = document(source)
        if not isinstance(found, dict):
            raise SubmittedError(f"{source.name}:1:1: expected an object of labels")
        rows = Figures()
        for label, values in found.items():
            account.total += 1
            count = _count(values, "sampleCount")
            if count is None:
                account.skip(account.total, "without a sampleCount")
                continue
            scope = "all" if label == "Total" else label
            rows.rows += list(_figures(scope, count, values, "ms", _TIMES, "JMeter's dashboard: interpolated over its "
                                       "last 20,000 samples"))  # fmt: skip
            account.taken += 1
        yield rows


class GatlingStatistics:
    """stats.json or global_stats.json of Gatling's report."""

    name = "gatling-statistics"

    def recognises(self, head: bytes) -> Sure:
        """By names that only it has."""
        found = b'"numberOfRequests"' in head and b'"percentiles1"' in head
        return Sure.CERTAIN if found and begins_object(head) else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Figures]:
        """The figures of every request and group, and of all together."""
        account.unit, account.tool, account.capability = "statistics", "gatling", _GATLING
        account.noted["percentiles"] = "50, 75, 95 and 99: Gatling's default, the file names none"
        found = document(source)
        if not isinstance(found, dict):
            raise SubmittedError(f"{source.name}:1:1: expected an object of statistics")
        rows = Figures()
        for scope, kind, values in _statistics(found):
            account.total += 1
            total = _ended(values, "numberOfRequests", "total")
            if total is None:
                account.skip(account.total, "without a numberOfRequests")
            elif kind == "GROUP" and scope != "all":
                account.beside["a group: its requests are counted"] += 1
            else:
                rows.rows += list(_gatling_figures(scope, total, values))
                account.taken += 1
        yield rows


def _statistics(found: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Scope, kind and numbers of a node and of all below it."""
    stats, contents = found.get("stats"), found.get("contents")
    values = stats if isinstance(stats, dict) else found
    kind, name = str(found.get("type", "GROUP")), str(found.get("name", ""))
    is_root = not above and kind == "GROUP"
    yield "all" if is_root else "/".join([*above[1:], name]), kind, values
    for each in contents.values() if isinstance(contents, dict) else ():
        if isinstance(each, dict):
            yield from _statistics(each, (*above, name))


def _ended(values: Mapping[str, Any], name: str, how: str) -> int | None:
    """A number of those that ended so; Gatling writes it as a number or as text, and '-' for none."""
    part = values.get(name)
    told = part.get(how) if isinstance(part, dict) else None
    return count_of(str(told)) if isinstance(told, int | str) and not isinstance(told, bool) else None


def _gatling_figures(scope: str, total: int, values: Mapping[str, Any]) -> Iterator[Figure]:
    def figure(metric: str, value: int, unit: str, method: str) -> Figure:
        return Figure(scope=scope, metric=metric, value=value, unit=unit, samples=total, method=method)

    yield figure("requests", total, "count", "counted by the tool")
    failed = _ended(values, "numberOfRequests", "ko")
    if failed is not None and failed <= total and total:
        yield figure("failures", failed, "count", "counted by the tool")
        yield figure("answered-share", (total - failed) * 1_000_000 // total, "ppm", "counted by the tool")
    for name, metric in _GATLING_TIMES.items():
        ms = _ended(values, name, "total")
        if ms is not None and total:
            yield figure(f"service-{metric}", ms * 1000, "us", "Gatling's own: estimated (t-digest), in whole ms")


class VegetaReport:
    """`vegeta report -type json`."""

    name = "vegeta-report"

    def recognises(self, head: bytes) -> Sure:
        """By names that only it has."""
        return Sure.CERTAIN if b'"latencies"' in head and b'"99th"' in head and b'"requests"' in head else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Figures]:
        """The figures of the attack."""
        account.unit, account.tool, account.capability = "reports", "vegeta", _VEGETA
        found = document(source)
        latencies = found.get("latencies") if isinstance(found, dict) else None
        count = _count(found, "requests")
        if not isinstance(latencies, dict) or count is None:
            raise SubmittedError(f"{source.name}:1:1: expected latencies and a number of requests")
        account.total = account.taken = 1
        yield Figures(rows=list(_figures("all", count, latencies, "ns", _LATENCIES, "vegeta's own: t-digest")))


def _count(values: Any, name: str) -> int | None:
    value = values.get(name) if isinstance(values, dict) else None
    return value if type(value) is int and 0 <= value < 2**53 else None


def _figures(
    scope: str, count: int, values: Mapping[str, Any], unit: str, names: Mapping[str, str], method: str
) -> Iterator[Figure]:
    yield Figure(scope=scope, metric="requests", value=count, unit="count", samples=count, method="counted by the tool")
    errors = values.get("errorCount")
    if count and type(errors) is int and 0 <= errors <= count:
        share = whole(Decimal(count - errors), 1_000_000) or 0
        yield Figure(scope=scope, metric="answered-share", value=share // count, unit="ppm", samples=count,
                     method="counted by the tool")  # fmt: skip
    for name, metric in names.items():
        value = values.get(name)
        number = decimal_of(str(value)) if isinstance(value, int | Decimal) and not isinstance(value, bool) else None
        us = micros(str(number), unit) if number is not None else None
        if us is not None and us >= 0:
            yield Figure(scope=scope, metric=f"service-{metric}", value=us, unit="us", samples=count, method=method)
