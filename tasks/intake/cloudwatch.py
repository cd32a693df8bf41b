"""CloudWatch: get-metric-statistics and get-metric-data as JSON, and a CSV of a time and a column for each metric."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from tasks.intake.delimited import rows
from tasks.intake.format import Account, Readings, Source, SubmittedError, Sure
from tasks.intake.json_lines import begins_object, document
from tasks.intake.lines import BOM
from tasks.intake.numbers import decimal_of, instant_us, whole, zone_of
from tasks.intake.units import CAPABILITY

_UNITS = {
    "Percent": ("permille", Decimal(10)),
    "Bytes": ("bytes", Decimal(1)),
    "Kilobytes": ("bytes", Decimal(1000)),
    "Megabytes": ("bytes", Decimal(1_000_000)),
    "Gigabytes": ("bytes", Decimal(1_000_000_000)),
    "Seconds": ("us", Decimal(1_000_000)),
    "Milliseconds": ("us", Decimal(1000)),
    "Microseconds": ("us", Decimal(1)),
}
_STATISTICS = ("Average", "Sum", "Maximum", "Minimum", "SampleCount")
_PERCENT_NAMES = ("utilization", "percent", "%")


class CloudWatchJson:
    """Either answer of the AWS command line."""

    name = "cloudwatch-json"

    def recognises(self, head: bytes) -> Sure:
        """By the names at its root."""
        if not begins_object(head):
            return Sure.NO
        found = b'"MetricDataResults"' in head or (b'"Datapoints"' in head and b'"Timestamp"' in head)
        return Sure.CERTAIN if found else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Readings]:
        """Every point."""
        account.unit, account.tool, account.capability = "points", "cloudwatch", CAPABILITY
        found = document(source)
        readings = Readings()
        if isinstance(found, dict) and isinstance(found.get("Datapoints"), list):
            label = str(found.get("Label", "value"))
            for point in found["Datapoints"]:
                account.total += 1
                if not _statistics(readings, label, point):
                    account.skip(account.total, "no time, or no number")
                else:
                    account.taken += 1
        elif isinstance(found, dict) and isinstance(found.get("MetricDataResults"), list):
            for series in found["MetricDataResults"]:
                _series(readings, account, series)
        else:
            raise SubmittedError(f"{source.name}:1:1: expected Datapoints or MetricDataResults, a list")
        yield readings


class CloudWatchCsv:
    """The console's download, its labels above the columns or in the header."""

    name = "cloudwatch-csv"

    def recognises(self, head: bytes) -> Sure:
        """By the labels that stand before the first time."""
        text = head.removeprefix(BOM)[:4096]
        first = text.partition(b"\n")[0].rstrip(b"\r").strip(b'"').lower()
        if first.startswith(b"full label"):
            return Sure.CERTAIN
        if first.startswith(b"label,"):
            return Sure.MAYBE
        rows = text.split(b"\n")
        stamped = len(rows) > 1 and instant_us(_unzoned(rows[1].split(b",")[0].decode("latin-1"))) is not None
        return Sure.LIKELY if first.startswith((b"timestamp,", b"time,", b'timestamp",')) and stamped else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Readings]:
        """Every row with a time."""
        account.tool, account.capability = "cloudwatch", CAPABILITY
        account.noted["timezone"] = source.assumptions.timezone or "UTC, where a time has none"
        zone = zone_of(source.assumptions.timezone)
        labels: list[str] = []
        readings = Readings()
        for row in rows(source.path, account, ",", source.assumptions.encoding):
            at = instant_us(_unzoned(row.fields[0]), zone)
            if at is None:
                if readings.at_us or not _is_heading(row.fields[0]):
                    account.skip(row.line, "expected a time first")
                    continue
                account.headers += 1
                if row.fields[0].strip().lower() in ("label", "timestamp", "time") and any(row.fields[1:]):
                    labels = labels if labels and row.fields[0].strip().lower() != "label" else row.fields[1:]
                continue
            made = sum(_column(readings, at, *pair) for pair in zip(labels, row.fields[1:], strict=False))
            if made:
                account.taken += 1
            else:
                account.skip(row.line, "no number under a label")
        yield readings


def _is_heading(first: str) -> bool:
    known = (
        "full label",
        "label",
        "period",
        "statistic",
        "unit",
        "region",
        "account",
        "search",
        "timestamp",
        "time",
        "",
    )
    return first.strip().lower() in known


def _unzoned(text: str) -> str:
    """Its times as RFC 3339 has them: `2026/11/24 00:35:00` among them."""
    return text.strip().strip('"').replace("/", "-")


def _column(readings: Readings, at: int, label: str, text: str) -> bool:
    value = decimal_of(text)
    unit, factor = ("permille", Decimal(10)) if _is_percent(label) else ("count", Decimal(1))
    found = whole(value, factor)
    if found is None:
        return False
    readings.add(at_us=at, host="", metric=label, value=found, unit=unit)
    return True


def _is_percent(label: str) -> bool:
    return any(each in label.lower() for each in _PERCENT_NAMES)


def _decimal(value: Any) -> Decimal | None:
    return decimal_of(str(value)) if isinstance(value, int | Decimal) and not isinstance(value, bool) else None


def _statistics(readings: Readings, label: str, point: Any) -> bool:
    if not isinstance(point, dict):
        return False
    at = instant_us(str(point.get("Timestamp", "")))
    unit, factor = _UNITS.get(str(point.get("Unit")), ("count", Decimal(1)))
    made = False
    for name in _STATISTICS:
        found = whole(_decimal(point.get(name)), Decimal(1) if name == "SampleCount" else factor)
        if at is not None and found is not None:
            kind = "count" if name == "SampleCount" else unit
            readings.add(at_us=at, host="", metric=f"{label}_{name}", value=found, unit=kind)
            made = True
    return made


def _series(readings: Readings, account: Account, series: Any) -> None:
    times = series.get("Timestamps") if isinstance(series, dict) else None
    values = series.get("Values") if isinstance(series, dict) else None
    if not isinstance(times, list) or not isinstance(values, list):
        account.total += 1
        account.skip(account.total, "a series without times and values")
        return
    label = str(series.get("Label") or series.get("Id") or "value")
    if series.get("StatusCode") not in ("Complete", None):
        account.find("partial", f"{label}: CloudWatch says {series.get('StatusCode')}, so points are missing")
    factor, unit = (Decimal(10), "permille") if _is_percent(label) else (Decimal(1), "count")
    for place in range(max(len(times), len(values))):
        account.total += 1
        at = instant_us(str(times[place])) if place < len(times) else None
        value = whole(_decimal(values[place]), factor) if place < len(values) else None
        if at is None or value is None:
            account.skip(account.total, "no time, or no number")
            continue
        readings.add(at_us=at, host="", metric=label, value=value, unit=unit)
        account.taken += 1
