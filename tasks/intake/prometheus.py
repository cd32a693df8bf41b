"""Prometheus: the answer to a range query as JSON, and text exposition with times."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from tasks.intake.format import BATCH, Account, Readings, Source, SubmittedError, Sure
from tasks.intake.json_lines import begins_object, document
from tasks.intake.lines import BOM, LONGEST, lines, text_of
from tasks.intake.numbers import decimal_of, micros, whole
from tasks.intake.units import CAPABILITY, by_name

_LINE = re.compile(r"([a-zA-Z_:][\w:]*)\s*(\{.*\})?\s+(\S+)(?:\s+(-?\d+(?:\.\d+)?))?\s*(?:#.*)?")
_LABEL = re.compile(r'([a-zA-Z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*,?\s*')
_HOST = ("instance", "host", "node")


class PrometheusRange:
    """`/api/v1/query_range`."""

    name = "prometheus-range"

    def recognises(self, head: bytes) -> Sure:
        """By the type of the result."""
        start = head[:2048].replace(b" ", b"").replace(b"\n", b"")
        found = b'"resultType":"matrix"' in start or b'"resultType":"vector"' in start
        return Sure.CERTAIN if found and begins_object(head) else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Readings]:
        """Every point of every series."""
        account.unit, account.tool, account.capability = "points", "prometheus", CAPABILITY
        found = document(source)
        data = found.get("data") if isinstance(found, dict) else None
        result = data.get("result") if isinstance(data, dict) else None
        if not isinstance(result, list):
            raise SubmittedError(f"{source.name}:1:1: expected data.result, a list of series")
        readings = Readings()
        for series in result:
            labels = series.get("metric") if isinstance(series, dict) else None
            points = _points(series) if isinstance(labels, dict) else None
            if points is None or not isinstance(labels, dict):
                account.total += 1
                account.skip(account.total, "a series without a metric and values")
                continue
            name, host, part = _named({str(key): str(value) for key, value in labels.items()})
            for point in points:
                account.total += 1
                at, value = _at(point)
                _add(readings, account, account.total, name, host, part, at, value)
                if len(readings) >= BATCH:
                    yield readings
                    readings = Readings()
        yield readings


class PrometheusText:
    """The text format that targets expose, and OpenMetrics; a sample without a time says nothing about a run."""

    name = "prometheus-text"

    def recognises(self, head: bytes) -> Sure:
        """By its comments."""
        text = head.removeprefix(BOM)
        known = text.startswith((b"# HELP ", b"# TYPE ")) or b"\n# TYPE " in text[:8192]
        return Sure.CERTAIN if known else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Readings]:
        """Every sample with a time: milliseconds, or seconds with a fraction in OpenMetrics."""
        account.tool, account.capability = "prometheus", CAPABILITY
        openmetrics = b"# EOF" in _tail(source)
        account.noted["time"] = "seconds (OpenMetrics)" if openmetrics else "milliseconds"
        readings = Readings()
        for number, line, whole_line in lines(source.path):
            account.total += 1
            text = text_of(line, source.assumptions.encoding)[0].strip()
            if not text:
                account.blank += 1
            elif text.startswith("#"):
                account.headers += 1
            elif not whole_line:
                account.skip(number, f"longer than {LONGEST} bytes")
            elif (found := _LINE.fullmatch(text)) is None:
                account.skip(number, "no sample")
            elif found[4] is None:
                account.skip(number, "a sample without a time")
            else:
                labels = dict(_LABEL.findall((found[2] or "{}")[1:-1]))
                name, host, part = _named({"__name__": found[1], **labels})
                at = micros(found[4], "s" if openmetrics else "ms")
                _add(readings, account, number, name, host, part, at, decimal_of(found[3]))
            if len(readings) >= BATCH:
                yield readings
                readings = Readings()
        yield readings


def _tail(source: Source) -> bytes:
    with source.path.open("rb") as file:
        file.seek(max(0, source.path.stat().st_size - 64))
        return file.read()


def _points(series: dict[str, Any]) -> list[Any] | None:
    values = series.get("values", [series["value"]] if "value" in series else None)
    return values if isinstance(values, list) else None


def _at(point: Any) -> tuple[int | None, Decimal | None]:
    match point:
        case [int() | Decimal() as at, str(value)] if not isinstance(at, bool):
            return micros(str(at), "s"), decimal_of(value)
    return None, None


def _named(labels: dict[str, str]) -> tuple[str, str, str]:
    """Name, host and, of the labels that are left, which part it is of."""
    name = labels.pop("__name__", "value")
    host = next((labels.pop(each) for each in _HOST if each in labels), "")
    return name, host, ",".join(f"{key}={labels[key]}" for key in sorted(labels))


def _add(
    readings: Readings,
    account: Account,
    number: int,
    name: str,
    host: str,
    part: str,
    at: int | None,
    value: Decimal | None,
) -> None:
    unit, factor = by_name(name)
    found = whole(value, factor)
    if at is None or at < 0 or found is None:
        account.skip(number, "no time, or no finite number")
        return
    readings.add(at_us=at, host=host, metric=name, value=found, unit=unit, part=part)
    account.taken += 1
