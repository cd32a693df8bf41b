"""ApacheBench's files: `-g`, a request a line in whole milliseconds, and `-e`, a percentile a line.

How a request ended is in neither, and `-g` gives the second that it began in, so both are figures and never messages.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import accumulate

from tasks.intake.delimited import rows
from tasks.intake.format import Account, Capability, Figure, Figures, Gives, Loop, Source, Start, Sure
from tasks.intake.lines import BOM
from tasks.intake.numbers import count_of, decimal_of, micros, rounded

CAPABILITY = Capability(
    gives=Gives.SUMMARY,
    resolution_us=1000,
    latency_from=Start.SENT,
    loop=Loop.CLOSED,
    percentiles="any, over the requests that it wrote",
)
_REQUESTS = "starttime\tseconds\tctime\tdtime\tttime\twait"
_PERCENTILES = "Percentage served,Time in ms"
_PERMYRIAD = {"p50": 5_000, "p90": 9_000, "p95": 9_500, "p99": 9_900, "p99.9": 9_990}
_MOST = 1_000_000
"""So many different durations are told apart; a millisecond each, that is a quarter of an hour."""


class AbRequests:
    """`ab -g`."""

    name = "ab-requests"

    def recognises(self, head: bytes) -> Sure:
        """By its header."""
        return Sure.CERTAIN if head.removeprefix(BOM).startswith(_REQUESTS.encode()) else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Figures]:
        """The nearest rank over its lines."""
        account.tool, account.capability = "ab", CAPABILITY
        counts: Counter[int] = Counter()
        names = _REQUESTS.split("\t")
        for row in rows(source.path, account, "\t", source.assumptions.encoding):
            took = count_of(row.fields[4]) if len(row.fields) == len(names) else None
            if row.fields == names:
                account.headers += 1
            elif took is None or took > _MOST:
                account.skip(row.line, "expected six columns, and whole milliseconds in ttime")
            else:
                counts[took] += 1
                account.taken += 1
        yield Figures(rows=list(_figures(counts)))


class AbPercentiles:
    """`ab -e`."""

    name = "ab-percentiles"

    def recognises(self, head: bytes) -> Sure:
        """By its header."""
        return Sure.CERTAIN if head.removeprefix(BOM).startswith(_PERCENTILES.encode()) else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Figures]:
        """The percentiles that it lists; of how many requests it does not say."""
        account.tool, account.capability = "ab", CAPABILITY
        found = Figures()
        for row in rows(source.path, account, ",", source.assumptions.encoding):
            if row.fields == _PERCENTILES.split(","):
                account.headers += 1
                continue
            percent = decimal_of(row.fields[0])
            us = micros(row.fields[1], "ms") if len(row.fields) == 2 else None
            if percent is None or not 0 <= percent <= 100 or us is None or us < 0:
                account.skip(row.line, "expected a percentage and milliseconds")
                continue
            account.taken += 1
            metric = "min" if not percent else "max" if percent == 100 else f"p{percent.normalize():f}"
            found.rows.append(Figure(scope="all", metric=f"service-{metric}", value=us, unit="us", samples=0,
                                     method="ab's own, over all requests that were completed"))  # fmt: skip
        yield found


def _figures(counts: Counter[int]) -> Iterator[Figure]:
    total = sum(counts.values())

    def figure(metric: str, value: int, unit: str, method: str) -> Figure:
        return Figure(scope="all", metric=metric, value=value, unit=unit, samples=total, method=method)

    yield figure("requests", total, "count", "counted in ab's file")
    if not total:
        return
    values = sorted(counts)
    upto = list(accumulate(counts[value] for value in values))
    method = "nearest rank over ab's lines, in whole ms; how requests ended is not in them"
    for metric, permyriad in _PERMYRIAD.items():
        rank = -(-total * permyriad // 10_000)
        value = next(value for value, count in zip(values, upto, strict=True) if count >= rank)
        yield figure(f"service-{metric}", value * 1000, "us", method)
    mean = rounded(sum(value * count for value, count in counts.items()) * 1000, total)
    for metric, us in (("min", values[0] * 1000), ("max", values[-1] * 1000), ("mean", mean)):
        yield figure(f"service-{metric}", us, "us", method)
