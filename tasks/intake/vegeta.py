"""vegeta's results as it encodes them: gob, JSON lines and CSV. Times in nanoseconds.

vegeta attacks at a rate, but counts latency from when a request was really sent; where its submitter states the
constant rate, the time that each was due is rebuilt: the latest schedule of that rate by which none was sent early.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from tasks.intake.delimited import rows
from tasks.intake.format import BATCH, Account, Capability, Gives, Loop, Samples, Source, Start, SubmittedError, Sure
from tasks.intake.gob import GobError, values
from tasks.intake.json_lines import objects
from tasks.intake.lines import BOM
from tasks.intake.numbers import decimal_of, instant_us, rounded
from tasks.intake.outcomes import outcome_of

CAPABILITY = Capability(
    gives=Gives.RAW,
    resolution_us=0,
    latency_from=Start.SENT,
    loop=Loop.UNKNOWN,
    percentiles="any, over all samples; vegeta's own are estimates (t-digest)",
)
_YEAR_ONE = 62_135_596_800  # seconds from Go's zero time, the year 1, to the epoch
_FEWEST = 9  # columns of a CSV: time, code, latency, out, in, error, body, attack, seq, and since 12.5 three more


@dataclass(frozen=True, slots=True)
class _Hit:
    """One result; `at_us` rounded half-even, `latency_us` too."""

    line: int
    at_us: int
    latency_us: int
    code: int
    size: int
    error: str
    attack: str
    sequence: int
    method: str
    url: str


_Hits = Callable[[Source, Account], Iterator[_Hit]]


class _Vegeta:
    """What the three encodings share."""

    hits: _Hits

    def read(self, source: Source, account: Account) -> Iterator[Samples]:
        """Every hit."""
        account.tool, account.capability = "vegeta", CAPABILITY
        rate = _rate(source)
        begun = _begun(type(self).hits(source, Account()), rate) if rate else 0
        if rate:
            account.capability = replace(CAPABILITY, latency_from=Start.INTENDED, loop=Loop.OPEN)
            account.noted["intended"] = f"rebuilt from a constant rate of {source.assumptions.rate} a second, as stated"
        batch = Samples()
        for hit in type(self).hits(source, account):
            batch.add(
                line=hit.line,
                label=hit.attack or f"{hit.method} {hit.url}".strip(),
                intended_us=begun + _due(hit.sequence, rate) if rate else -1,
                sent_us=hit.at_us,
                done_us=hit.at_us + hit.latency_us,
                status=hit.code if 100 <= hit.code <= 599 else 0,
                outcome=outcome_of(ok=200 <= hit.code < 400 and not hit.error, text=hit.error),
                size=hit.size,
            )
            account.taken += 1
            if len(batch) >= BATCH:
                yield batch
                batch = Samples()
        yield batch


def _gob_hits(source: Source, account: Account) -> Iterator[_Hit]:
    account.unit = "records"
    with source.path.open("rb") as file:
        try:
            for number, found in enumerate(values(file), 1):
                account.total = number
                hit = _of_gob(number, found)
                if hit is None:
                    account.skip(number, "a result without a time")
                else:
                    yield hit
        except GobError as error:
            account.total += 1
            account.skip(account.total, f"{error}; nothing after it can be read")
            account.find("truncated", f"{source.name}: byte {file.tell()}: {error}")
    if not account.total:
        raise SubmittedError(f"{source.name}: expected results of vegeta, found none")


def _of_gob(number: int, found: dict[str, Any]) -> _Hit | None:
    at, latency = _go_time(found.get("Timestamp")), found.get("Latency", 0)
    if at is None or not isinstance(latency, int) or latency < 0:
        return None

    def whole(name: str) -> int:
        value = found.get(name, 0)
        return value if isinstance(value, int) and 0 <= value < 2**53 else 0

    texts = {name: str(found.get(name, "")) for name in ("Error", "Attack", "Method", "URL")}
    return _Hit(number, at, rounded(latency, 1000), whole("Code"), whole("BytesIn"), texts["Error"], texts["Attack"],
                whole("Seq"), texts["Method"], texts["URL"])  # fmt: skip


def _go_time(data: Any) -> int | None:
    """time.Time as it marshals itself: version, seconds since the year 1, nanoseconds, minutes off UTC."""
    if not isinstance(data, bytes) or len(data) < 15 or data[0] not in (1, 2):
        return None
    seconds, nanos = int.from_bytes(data[1:9], "big", signed=True), int.from_bytes(data[9:13], "big", signed=True)
    at = rounded((seconds - _YEAR_ONE) * 1_000_000_000 + nanos, 1000)
    return at if 0 <= at < 2**53 else None


def _json_hits(source: Source, account: Account) -> Iterator[_Hit]:
    for line, found in objects(source.path, account):
        at, latency = instant_us(str(found.get("timestamp", ""))), found.get("latency")
        if at is None or type(latency) is not int or latency < 0:
            account.skip(line, "expected a timestamp and a latency of 0 or more")
            continue
        numbers = [found.get(name) for name in ("code", "bytes_in", "seq")]
        code, size, sequence = (each if type(each) is int and 0 <= each < 2**53 else 0 for each in numbers)
        texts = [str(found.get(name) or "") for name in ("error", "attack", "method", "url")]
        yield _Hit(line, at, rounded(latency, 1000), code, size, texts[0], texts[1], sequence, texts[2], texts[3])


def _csv_hits(source: Source, account: Account) -> Iterator[_Hit]:
    for row in rows(source.path, account, ",", source.assumptions.encoding):
        fields = row.fields + [""] * 3
        if len(row.fields) < _FEWEST:
            account.skip(row.line, f"expected {_FEWEST} columns or more")
            continue
        at, code, latency, size, sequence = (_nanos(fields[place]) for place in (0, 1, 2, 4, 8))
        if at is None or latency is None or code is None or at >= 2**63:
            account.skip(row.line, "expected a timestamp, a code and a latency in nanoseconds")
            continue
        yield _Hit(row.line, rounded(at, 1000), rounded(latency, 1000), code, size or 0, fields[5], fields[7],
                   sequence or 0, fields[9], fields[10])  # fmt: skip


def _nanos(text: str) -> int | None:
    """A whole number of up to 19 digits, as nanoseconds since the epoch are."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else None


def _rate(source: Source) -> Fraction | None:
    found = decimal_of(source.assumptions.rate) if source.assumptions.rate else None
    return Fraction(found) if found else None


def _due(sequence: int, rate: Fraction | None) -> int:
    """Microseconds from the first that a hit is due at a constant rate."""
    if rate is None:
        return 0
    found = Fraction(sequence * 1_000_000) / rate
    return rounded(found.numerator, found.denominator)


def _begun(hits: Iterator[_Hit], rate: Fraction) -> int:
    return min((hit.at_us - _due(hit.sequence, rate) for hit in hits), default=0)


class VegetaGob(_Vegeta):
    """vegeta's own encoding."""

    name = "vegeta-gob"
    hits = staticmethod(_gob_hits)

    def recognises(self, head: bytes) -> Sure:
        """By the description of its type, which stands first."""
        start = head[:400]
        return Sure.CERTAIN if b"Result\x01" in start and b"Attack" in start and b"Latency" in start else Sure.NO


class VegetaJson(_Vegeta):
    """`vegeta encode --to json`."""

    name = "vegeta-json"
    hits = staticmethod(_json_hits)

    def recognises(self, head: bytes) -> Sure:
        """By the first object's names."""
        first = head.removeprefix(BOM).lstrip().partition(b"\n")[0]
        try:
            found = json.loads(first)
        except (ValueError, RecursionError):
            return Sure.LIKELY if first.startswith(b'{"attack":') and b'"latency":' in first[:400] else Sure.NO
        wanted = {"attack", "seq", "code", "timestamp", "latency"}
        return Sure.CERTAIN if isinstance(found, dict) and wanted <= found.keys() else Sure.NO


class VegetaCsv(_Vegeta):
    """`vegeta encode --to csv`, which names no columns."""

    name = "vegeta-csv"
    hits = staticmethod(_csv_hits)

    def recognises(self, head: bytes) -> Sure:
        """By the digits of the first columns."""
        fields = head.removeprefix(BOM).partition(b"\n")[0].rstrip(b"\r").split(b",")
        if len(fields) < _FEWEST:
            return Sure.NO
        digits = len(fields[0]) == 19 and all(fields[place].isdigit() for place in (0, 1, 2, 3, 4))
        return Sure.LIKELY if digits and len(fields[1]) <= 3 else Sure.NO
