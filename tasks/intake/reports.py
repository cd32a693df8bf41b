"""Reports that tools make of their own results: JMeter's dashboard (statistics.json) and vegeta's report as JSON."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from tasks.intake.format import Account, Capability, Figure, Figures, Gives, Loop, Source, Start, SubmittedError, Sure
from tasks.intake.json_lines import document
from tasks.intake.lines import BOM
from tasks.intake.numbers import decimal_of, micros, whole

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
_LATENCIES = {"mean": "mean", "50th": "p50", "90th": "p90", "95th": "p95", "99th": "p99", "max": "max", "min": "min"}


class JMeterStatistics:
    """statistics.json of JMeter's dashboard, its percentiles at the default 90, 95 and 99."""

    name = "jmeter-statistics"

    def recognises(self, head: bytes) -> Sure:
        """By names that only it has."""
        found = b'"pct1ResTime"' in head and b'"sampleCount"' in head
        return Sure.CERTAIN if found and head.removeprefix(BOM).lstrip().startswith(b"{") else Sure.NO

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
