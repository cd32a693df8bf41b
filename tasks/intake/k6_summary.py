"""k6's end-of-test summary as JSON: the machine-readable one (`results.metrics`), and what handleSummary was given."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from tasks.intake.format import Account, Capability, Figure, Figures, Gives, Loop, Source, Start, SubmittedError, Sure
from tasks.intake.json_lines import document
from tasks.intake.numbers import decimal_of, micros, whole

CAPABILITY = Capability(
    gives=Gives.SUMMARY,
    resolution_us=0,
    latency_from=Start.SENT,
    loop=Loop.UNKNOWN,
    percentiles="those it lists, linearly interpolated by k6",
)
_TRENDS = {"med": "p50", "p(50)": "p50", "p(90)": "p90", "p(95)": "p95", "p(99)": "p99", "p(99.9)": "p99.9",
           "min": "min", "max": "max", "avg": "mean"}  # fmt: skip
_METHOD = "k6's own summary: percentiles interpolated linearly over all its samples"


class K6Summary:
    """The summary, of either shape."""

    name = "k6-summary"

    def recognises(self, head: bytes) -> Sure:
        """By names that no other tool's JSON has together."""
        if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            return Sure.NO
        if b'"k6Version"' in head or (
            b'"metrics"' in head and b'"http_req_duration"' in head and b'"type":"Point"' not in head
        ):
            return Sure.CERTAIN
        return Sure.MAYBE if b'"http_reqs"' in head or b'"iteration_duration"' in head else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Figures]:
        """Its figures on requests."""
        account.unit, account.tool, account.capability = "metrics", "k6", CAPABILITY
        found = document(source)
        metrics = _metrics(found)
        if not metrics:
            raise SubmittedError(f"{source.name}:1:1: expected k6's metrics, found none")
        metadata = found.get("metadata")
        if isinstance(metadata, dict):
            account.version = str(metadata.get("k6Version", ""))
        rows = Figures()
        samples = whole(_value(metrics.get("http_reqs", {}).get("count"))) or 0
        for number, (name, values) in enumerate(metrics.items(), 1):
            account.total += 1
            made = list(_figures(name, values, samples))
            rows.rows += made
            if made:
                account.taken += 1
            elif not values:
                account.skip(number, "without values")
            else:
                account.beside["a metric that says nothing of requests as a whole"] += 1
        dropped = whole(_value(metrics.get("dropped_iterations", {}).get("count"))) or 0
        if dropped:
            account.find("load-dropped", f"k6 dropped {dropped} iterations: that much of the load was not offered")
        yield rows


def _metrics(found: Any) -> dict[str, Mapping[str, Any]]:
    """Name to values, out of a list of metrics or a mapping of them."""
    if not isinstance(found, dict):
        return {}
    results = found.get("results")
    listed = results.get("metrics") if isinstance(results, dict) else found.get("metrics")
    if isinstance(listed, list):
        pairs = [(each.get("name"), each.get("values")) for each in listed if isinstance(each, dict)]
    elif isinstance(listed, dict):
        pairs = [(name, each.get("values", each)) for name, each in listed.items() if isinstance(each, dict)]
    else:
        return {}
    return {str(name): values if isinstance(values, dict) else {} for name, values in pairs}


def _value(value: Any) -> Decimal | None:
    return decimal_of(str(value)) if isinstance(value, int | Decimal) and not isinstance(value, bool) else None


def _figures(name: str, values: Mapping[str, Any], samples: int) -> Iterator[Figure]:
    def figure(metric: str, value: int, unit: str) -> Figure:
        return Figure(scope="all", metric=metric, value=value, unit=unit, samples=samples, method=_METHOD)

    if name == "http_req_duration":
        for key, metric in _TRENDS.items():
            value = _value(values.get(key))
            if value is not None and (us := micros(str(value), "ms")) is not None and us >= 0:
                yield figure(f"service-{metric}", us, "us")
    if name == "http_reqs" and (count := whole(_value(values.get("count")))) is not None:
        yield figure("requests", count, "count")
    if name == "http_req_failed":
        rate = _value(values.get("rate", values.get("value")))
        if rate is not None and 0 <= rate <= 1:
            yield figure("answered-share", 1_000_000 - (whole(rate, 1_000_000) or 0), "ppm")
