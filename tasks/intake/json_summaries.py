"""What smaller tools say in sum, each as one JSON document: autocannon (`-j`), siege, and Artillery (`-o`).

None of them holds a message. autocannon and Artillery count in whole milliseconds, siege in hundredths of a second.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tasks.intake.format import Account, Capability, Figure, Figures, Gives, Loop, Source, Start, SubmittedError, Sure
from tasks.intake.json_lines import begins_object, document
from tasks.intake.numbers import count_of, decimal_of, micros

_COUNTED = "counted by the tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What a document says of all requests: how many, how many of them failed, and times by metric."""

    requests: int
    failures: int
    times: Mapping[str, Any]
    unit: str
    method: str


class Autocannon:
    """`autocannon -j`."""

    name = "autocannon"
    capability = Capability(
        gives=Gives.SUMMARY,
        resolution_us=1000,
        latency_from=Start.SENT,
        loop=Loop.CLOSED,
        percentiles="those it lists, from an HdrHistogram of whole milliseconds",
    )

    def recognises(self, head: bytes) -> Sure:
        """By names that only it has."""
        return _has(head, b'"latency"', b'"p97_5"', b'"non2xx"')

    def read(self, source: Source, account: Account) -> Iterator[Figures]:
        """Its latencies, which count from sending."""
        found = _begun(self, source, account)
        latency = _part(found, "latency")
        answers, errors, non2xx = (_count(found, name) for name in ("2xx", "errors", "non2xx"))  # a timeout is an error
        if answers is None or errors is None or non2xx is None or not latency:
            raise _nothing(source, "latency, 2xx, non2xx and errors")
        names = {"average": "mean", "min": "min", "max": "max", "p50": "p50", "p75": "p75", "p90": "p90",
                 "p97_5": "p97.5", "p99": "p99", "p99_9": "p99.9", "p99_99": "p99.99"}  # fmt: skip
        times = {metric: latency.get(name) for name, metric in names.items()}
        method = "autocannon's own: HdrHistogram of whole milliseconds, of what was answered"
        told = _Told(requests=answers + non2xx + errors, failures=non2xx + errors, times=times, unit="ms",
                     method=method)  # fmt: skip
        yield _taken(told, account)


class Siege:
    """What siege prints when it ends."""

    name = "siege"
    capability = Capability(
        gives=Gives.SUMMARY,
        resolution_us=10_000,
        latency_from=Start.SENT,
        loop=Loop.CLOSED,
        percentiles="none",
    )

    def recognises(self, head: bytes) -> Sure:
        """By names that only it has."""
        return _has(head, b'"transactions"', b'"availability"', b'"longest_transaction"')

    def read(self, source: Source, account: Account) -> Iterator[Figures]:
        """Mean, shortest and longest time."""
        found = _begun(self, source, account)
        good, failed = _count(found, "transactions"), _count(found, "failed_transactions")
        if good is None or failed is None:
            raise _nothing(source, "transactions and failed_transactions")
        names = {"response_time": "mean", "shortest_transaction": "min", "longest_transaction": "max"}
        told = _Told(requests=good + failed, failures=failed, unit="s",
                     times={metric: found.get(name) for name, metric in names.items()},
                     method="siege's own, to a hundredth of a second")  # fmt: skip
        yield _taken(told, account)


class Artillery:
    """`artillery run -o`."""

    name = "artillery"
    capability = Capability(
        gives=Gives.SUMMARY,
        resolution_us=1000,
        latency_from=Start.SENT,
        loop=Loop.UNKNOWN,
        percentiles="those it lists, estimated (DDSketch)",
    )

    def recognises(self, head: bytes) -> Sure:
        """By names that only it has."""
        return _has(head, b'"aggregate"', b'"counters"', b'"vusers.')

    def read(self, source: Source, account: Account) -> Iterator[Figures]:
        """Its aggregate over the whole run."""
        found = _part(_begun(self, source, account), "aggregate")
        counters, times = _part(found, "counters"), _part(_part(found, "summaries"), "http.response_time")
        requests = _count(counters, "http.requests")
        if requests is None:
            raise _nothing(source, "aggregate.counters, http.requests among them")
        answers = [
            _count(counters, name) or 0 for name in counters if name.startswith(("http.codes.2", "http.codes.3"))
        ]
        names = ("min", "max", "mean", "p50", "p75", "p90", "p95", "p99")
        told = _Told(requests=requests, failures=max(0, requests - sum(answers)), unit="ms",
                     times={**{name: times.get(name) for name in names}, "p99.9": times.get("p999")},
                     method="Artillery's own: estimated (DDSketch) in whole milliseconds")  # fmt: skip
        yield _taken(told, account)


def _has(head: bytes, *names: bytes) -> Sure:
    """Whether a JSON object begins with all of these near its beginning."""
    return Sure.CERTAIN if begins_object(head) and all(name in head for name in names) else Sure.NO


def _begun(format_: Any, source: Source, account: Account) -> Mapping[str, Any]:
    account.unit, account.tool, account.capability = "reports", format_.name, format_.capability
    found = document(source)
    if not isinstance(found, dict):
        raise SubmittedError(f"{source.name}:1:1: expected an object")
    return found


def _part(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = found.get(name)
    return part if isinstance(part, dict) else {}


def _count(found: Mapping[str, Any], name: str) -> int | None:
    value = found.get(name)
    return count_of(str(value)) if type(value) is int else None


def _nothing(source: Source, what: str) -> SubmittedError:
    return SubmittedError(f"{source.name}:1:1: expected {what}")


def _taken(told: _Told, account: Account) -> Figures:
    account.total = account.taken = 1

    def figure(metric: str, value: int, unit: str, method: str) -> Figure:
        return Figure(scope="all", metric=metric, value=value, unit=unit, samples=told.requests, method=method)

    made = [figure("requests", told.requests, "count", _COUNTED)]
    if told.requests and told.failures <= told.requests:
        share = (told.requests - told.failures) * 1_000_000 // told.requests
        made += [figure("failures", told.failures, "count", _COUNTED),
                 figure("answered-share", share, "ppm", f"{_COUNTED}, rounded down")]  # fmt: skip
    for metric, value in told.times.items():
        number = decimal_of(str(value)) if value is not None and not isinstance(value, bool) else None
        us = micros(str(number), told.unit) if number is not None else None
        if us is not None and us >= 0:
            made.append(figure(f"service-{metric}", us, "us", told.method))
    return Figures(rows=made)
