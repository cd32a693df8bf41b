"""HdrHistogram's log (.hlog, V0 to V2) and percentile output (.hgrm); neither says in which unit its values are."""

import re
from collections.abc import Iterator
from decimal import Decimal

from tasks.intake.format import (
    Account,
    Assumptions,
    Capability,
    Figure,
    Figures,
    Gives,
    Loop,
    Source,
    Start,
    SubmittedError,
    Sure,
)
from tasks.intake.histogram import Histogram, decoded
from tasks.intake.lines import BOM, LONGEST, lines, text_of
from tasks.intake.numbers import SCALE, decimal_of, whole

CAPABILITY = Capability(
    gives=Gives.SUMMARY,
    resolution_us=0,
    latency_from=Start.UNKNOWN,
    loop=Loop.UNKNOWN,
    percentiles="any, to the width of a bucket",
)
_WANTED = {5_000: "p50", 9_000: "p90", 9_500: "p95", 9_900: "p99", 9_990: "p99.9", 10_000: "max"}
_ROW = re.compile(r"(?:Tag=([^,\s]*),)?(\d+(?:\.\d+)?),(\d+(?:\.\d+)?),(\d+(?:\.\d+)?),(\S+)")
_SPECTRUM = re.compile(r"\s*(\d+(?:\.\d+)?)\s+([01]\.\d+)\s+(\d+)(?:\s+(\S+))?\s*")
_TITLE = re.compile(r"\s*Value(?:\((\w+)\))?\s+Percentile\s+TotalCount\s+1/\(1-Percentile\)\s*")
_LEGEND = b'"StartTimestamp","Interval_Length"'


class HdrLog:
    """A log of histograms, one an interval."""

    name = "hdr-log"

    def recognises(self, head: bytes) -> Sure:
        """By its comments, or its legend."""
        text = head.removeprefix(BOM)
        return Sure.CERTAIN if b"#[Histogram log format version" in text[:4096] or text.startswith(_LEGEND) else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Figures]:
        """Quantiles by nearest rank over all intervals, of each tag."""
        scale = _scale(source.assumptions, source.name)
        account.tool, account.capability = "hdrhistogram", CAPABILITY
        account.noted["value_unit"] = source.assumptions.value_unit
        found: dict[str, Histogram] = {}
        for number, line, whole_line in lines(source.path):
            account.total += 1
            text = text_of(line)[0].strip()
            if not text:
                account.blank += 1
            elif text.startswith("#"):
                version = re.match(r"#\[Histogram log format version ([\d.]+)\]", text)
                account.version = version[1] if version else account.version
                account.headers += 1
            elif text.startswith('"StartTimestamp"'):
                account.headers += 1
            elif not whole_line:
                account.skip(number, f"longer than {LONGEST} bytes")
            else:
                _add(found, account, number, text)
        yield Figures(rows=[row for tag, each in sorted(found.items()) for row in _figures(tag, each, scale)])


class HdrPercentiles:
    """The table of percentiles that HdrHistogram prints (and vegeta's hdrplot)."""

    name = "hdr-percentiles"

    def recognises(self, head: bytes) -> Sure:
        """By the title of its columns."""
        first = head.removeprefix(BOM).lstrip().partition(b"\n")[0]
        return Sure.CERTAIN if _TITLE.fullmatch(first.decode("latin-1").rstrip()) else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Figures]:
        """Of each percentile the first value listed at it or beyond."""
        title = _TITLE.match(source.head().removeprefix(BOM).lstrip(b"\r\n").partition(b"\n")[0].decode("latin-1"))
        unit = (title[1] if title else "") or source.assumptions.value_unit
        scale = _scale(Assumptions(value_unit=unit), source.name)
        account.tool, account.capability = "hdrhistogram", CAPABILITY
        account.noted["value_unit"] = unit
        listed: list[tuple[Decimal, int, int]] = []
        for number, line, _ in lines(source.path):
            account.total += 1
            text = text_of(line)[0]
            if not text.strip():
                account.blank += 1
            elif text.startswith("#[") or _TITLE.fullmatch(text.strip()):
                account.headers += 1
            elif (row := _SPECTRUM.fullmatch(text)) and (value := whole(decimal_of(row[1]), scale)) is not None:
                listed.append((Decimal(row[2]), value, int(row[3][:16])))
                account.taken += 1
            else:
                account.skip(number, "no value, percentile and count")
        yield Figures(rows=list(_listed(listed)))


def _scale(assumptions: Assumptions, name: str) -> Decimal:
    if assumptions.value_unit not in SCALE:
        raise SubmittedError(
            f"{name}: a histogram's values have no unit in the file, and the manifest states none",
            remedy="State `assumptions: {value_unit: ns}` (or us, ms, s) in the manifest.",
        )
    return SCALE[assumptions.value_unit]


def _add(found: dict[str, Histogram], account: Account, number: int, text: str) -> None:
    row = _ROW.fullmatch(text)
    if row is None:
        account.skip(number, "no interval")
        return
    try:
        histogram = decoded(row[5])
    except ValueError as error:
        account.skip(number, f"a histogram that cannot be read: {error}")
        return
    if len(found) >= 1000 and (row[1] or "") not in found:
        account.skip(number, "more than a thousand tags")
        return
    found.setdefault(row[1] or "", Histogram()).add(histogram)
    account.taken += 1


def _figures(tag: str, found: Histogram, scale: Decimal) -> Iterator[Figure]:
    method = "nearest rank over the buckets of all intervals, each as its highest value"
    total = found.total
    yield Figure(scope=tag or "all", metric="requests", value=total, unit="count", samples=total, method="counted")
    for permyriad, metric in _WANTED.items():
        value = whole(Decimal(found.quantile(permyriad)), scale) if total else None
        if value is not None:
            yield Figure(scope=tag or "all", metric=f"service-{metric}", value=value, unit="us", samples=total,
                         method=method)  # fmt: skip


def _listed(rows: list[tuple[Decimal, int, int]]) -> Iterator[Figure]:
    total = max((count for _, _, count in rows), default=0)
    method = "HdrHistogram's table: the first value listed at the percentile or beyond"
    if rows:
        yield Figure(scope="all", metric="requests", value=total, unit="count", samples=total, method="counted")
    for permyriad, metric in _WANTED.items():
        value = next((value for at, value, _ in rows if at * 10_000 >= permyriad), None)
        if value is not None:
            yield Figure(scope="all", metric=f"service-{metric}", value=value, unit="us", samples=total,
                         method=method)  # fmt: skip
