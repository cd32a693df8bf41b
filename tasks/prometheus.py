"""Infrastructure metrics of systems that cannot be seen from here: from endpoints, and from a Prometheus server.

An endpoint is scraped while a test runs (text exposition format); a server is asked after it (`/api/v1/query_range`),
for the instants at which an endpoint would have been scraped. What does not come, or is no number, is a gap: nothing is
filled in, nor taken from an instant before. A counter's figure is its growth in a second since the scrape before; one
that fell was reset, and of that stretch nothing is known, nor of one in which a series came or went.

Values are exact fractions of the doubles that Prometheus holds, rounded once, half to even, in our unit.
"""

import http.client
import json
import math
import os
import re
import time
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any
from urllib.parse import urlencode, urlsplit

from catalog.declarations import PrometheusSource, Sampled, Series
from catalog.errors import WorldError
from tasks.metrics import Account, Asked, NoAnswerError, reading_of
from tasks.wire import tls

LONGEST_S = 10.0
"""No answer is waited for longer than this, nor than samples are apart."""

LARGEST_ANSWER = 64 * 1024**2
MOST_POINTS = 10_000
"""A server gives at most 11,000 points of a series at once."""

_LONGEST_ERROR = 300  # characters of what a server says of an error
_TEXT = "text/plain;version=0.0.4"

Values = dict[tuple[tuple[str, str], ...], Fraction]
"""What is exposed of one metric: a number for each set of labels."""


class _Connection:
    """A connection to one server, kept, with a bearer token where one is declared."""

    def __init__(self, url: str, names: tls.Names, token: str | None, timeout_s: float) -> None:
        parts = urlsplit(url)
        self.path = parts.path + (f"?{parts.query}" if parts.query else "")
        self._token = _secret(token) if token else ""
        self._headers = {"Accept": _TEXT} | ({"Authorization": f"Bearer {self._token}"} if token else {})
        place: dict[str, Any] = {"host": parts.hostname or "", "port": parts.port, "timeout": timeout_s}
        self._connection = (
            http.client.HTTPSConnection(**place, context=tls.client_context(names))
            if parts.scheme == "https"
            else http.client.HTTPConnection(**place)
        )

    def get(self, path: str) -> bytes:
        """The body of an answer that is 200. NoAnswerError where there is none."""
        try:
            self._connection.request("GET", path, headers=self._headers)
            response = self._connection.getresponse()
            body = response.read(LARGEST_ANSWER + 1)
        except OSError as error:
            self.close()  # the next request opens it again
            raise NoAnswerError(tls.reason(error)) from None
        except http.client.HTTPException as error:
            self.close()
            raise NoAnswerError(f"no HTTP answer: {type(error).__name__}") from None
        if len(body) > LARGEST_ANSWER:
            self.close()
            raise NoAnswerError(f"its answer is longer than {LARGEST_ANSWER} bytes")
        if response.status != http.client.OK:
            told = tls.redacted(_told(body), self._token)[:_LONGEST_ERROR]
            raise NoAnswerError(f"it answered {response.status}{told}")
        return body

    def close(self) -> None:
        self._connection.close()


class Exposition:
    """An endpoint that is scraped while a load runs, as a `tasks.metrics.Reader`."""

    def __init__(self, source: PrometheusSource, names: tls.Names) -> None:
        self._metrics = source.metrics
        timeout_s = min(LONGEST_S, source.every / 1_000_000)
        self._connection = _Connection(source.url or "", names, source.token, timeout_s)
        self._before: dict[Sampled, tuple[Values, int]] = {}

    def read(self) -> dict[str, Fraction | None]:
        """See `Reader`."""
        at_ns = time.monotonic_ns()
        try:
            found = exposed(self._connection.get(self._connection.path or "/").decode(), self._metrics)
        except (NoAnswerError, ValueError):
            self._before.clear()
            raise
        return {metric.value: self._value(metric, at, at_ns) for metric, at in found.items()}

    def close(self) -> None:
        """See `Reader`."""
        self._connection.close()

    def _value(self, metric: Sampled, found: Values, at_ns: int) -> Fraction | None:
        series = self._metrics[metric]
        if not series.counter:
            return _total(found, series)
        before = self._before.get(metric)
        self._before[metric] = found, at_ns
        return _growth(before[0], found, Fraction(at_ns - before[1], 1_000_000_000), series) if before else None


class Server:
    """A Prometheus server, which is asked after a load: a `tasks.metrics.Historian`."""

    def __init__(self, source: PrometheusSource, names: tls.Names) -> None:
        self.every_us = source.every
        self._metrics = source.metrics
        self._connection = _Connection(source.server or "", names, source.token, LONGEST_S)

    def ask(self, start_us: int, end_us: int) -> Asked:
        """Rows (instant, metric, value, unit) of every instant from `start_us` until before `end_us`."""
        asked = Asked()
        for metric, series in self._metrics.items():
            try:
                points = self._points(series, start_us, end_us, asked.account)
            except (NoAnswerError, ValueError, KeyError, TypeError) as error:
                sensible = isinstance(error, NoAnswerError)
                asked.account.failed(error if sensible else ValueError(f"no answer that makes sense: {error}"))
                continue
            for at_us, value in _over_time(points, series, self.every_us):
                if reading := reading_of(metric.value, value):
                    asked.rows.append((at_us, *reading))
        return asked

    def close(self) -> None:
        """Ask no more."""
        self._connection.close()

    def _points(self, series: Series, start_us: int, end_us: int, account: Account) -> dict[int, Values]:
        """What the query gives at each instant. One more before the start, for counters to grow from."""
        first = -(-start_us // self.every_us) * self.every_us - (self.every_us if series.counter else 0)
        last = (end_us - 1) // self.every_us * self.every_us
        found: dict[int, Values] = {}
        for begins in range(first, last + 1, MOST_POINTS * self.every_us):
            ends = min(last, begins + (MOST_POINTS - 1) * self.every_us)
            account.asked += 1
            for at_us, labels, value in self._range(series.query or "", begins, ends):
                found.setdefault(at_us, {})[labels] = value
            account.answered += 1
        return found

    def _range(self, query: str, begins: int, ends: int) -> Iterator[tuple[int, tuple[tuple[str, str], ...], Fraction]]:
        every = _seconds(self.every_us)
        asked = {"query": query, "start": _seconds(begins), "end": _seconds(ends), "step": every}
        path = f"{self._connection.path.rstrip('/')}/api/v1/query_range"
        body = self._connection.get(f"{path}?{urlencode({**asked, 'lookback_delta': f'{self.every_us // 1000}ms'})}")
        document = json.loads(body, parse_float=Decimal)
        if document["status"] != "success" or document["data"]["resultType"] != "matrix":
            raise NoAnswerError(f"no matrix came of {query[:80]!r}")
        for series in document["data"]["result"]:
            labels = tuple(sorted(series["metric"].items()))
            for at_s, value in series["values"]:
                number = Decimal(value)
                if number.is_finite():
                    yield round(Decimal(at_s) * 1_000_000), labels, Fraction(number)


def open_source(source: PrometheusSource, names: tls.Names) -> Exposition | Server:
    """What reads a declared source, in the table of metric sources."""
    return Exposition(source, names) if source.url else Server(source, names)


def exposed(text: str, metrics: Mapping[Sampled, Series]) -> dict[Sampled, Values]:
    """What an exposition holds of `metrics`; one that it does not hold, or not as a number, is left out.

    Raises ValueError when a line of theirs cannot be read. Other lines are not looked at.
    """
    from prometheus_client.parser import text_string_to_metric_families

    names = {series.series for series in metrics.values()}
    lines = [line for line in text.splitlines() if _NAME.split(line, maxsplit=1)[0] in names]
    samples = [
        sample for family in text_string_to_metric_families("\n".join([*lines, ""])) for sample in family.samples
    ]
    found: dict[Sampled, Values] = {}
    for metric, series in metrics.items():
        own = [each for each in samples if each.name == series.series and _is_meant(each.labels, series)]
        if own and all(math.isfinite(each.value) for each in own):
            found[metric] = {tuple(sorted(each.labels.items())): Fraction(repr(each.value)) for each in own}
    return found


_NAME = re.compile(r"[{\s]")


def _is_meant(labels: Mapping[str, str], series: Series) -> bool:
    kept = all(re.fullmatch(pattern, labels.get(label, "")) for label, pattern in series.labels.items())
    return kept and not any(re.fullmatch(pattern, labels.get(label, "")) for label, pattern in series.without.items())


def _over_time(points: Mapping[int, Values], series: Series, every_us: int) -> Iterator[tuple[int, Fraction | None]]:
    """The figure at each instant at which all series are there that come at all."""
    whole = {labels for values in points.values() for labels in values}
    for at_us, values in sorted(points.items()):
        if not series.counter:
            yield at_us, _total(values, series) if values.keys() == whole else None
        elif (before := points.get(at_us - every_us)) is not None:
            yield at_us, _growth(before, values, Fraction(every_us, 1_000_000), series)


def _total(values: Values, series: Series) -> Fraction:
    return sum(values.values(), Fraction(0)) * Fraction(series.factor)


def _growth(before: Values, after: Values, seconds: Fraction, series: Series) -> Fraction | None:
    """How much counters grew in a second; None where one fell, came or went."""
    if before.keys() != after.keys() or any(after[labels] < before[labels] for labels in after) or seconds <= 0:
        return None
    return _total({labels: after[labels] - before[labels] for labels in after}, series) / seconds


def _secret(token: str) -> str:
    """The bearer token that an environment variable holds. WorldError that names the variable, never what it holds."""
    held = os.environ.get(token, "").strip()
    if not held or not re.fullmatch(r"[\x21-\x7e]+", held):
        raise WorldError(
            f"the bearer token cannot be read: the environment variable {token} "
            + ("is not set" if not held else "holds what is no token"),
            remedy="Set it to the token, which is printable and has no spaces.",
        )
    return held


def _seconds(us: int) -> str:
    return f"{us // 1_000_000}.{us % 1_000_000:06d}"


def _told(body: bytes) -> str:
    """What a server says of an error, where it says so as Prometheus does."""
    try:
        told = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return ""
    return f": {told}"
