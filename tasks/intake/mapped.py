"""Any table of messages, CSV or Parquet, whose columns the submitter declares: for every tool without a reader."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import tzinfo
from math import gcd

from tasks.intake.delimited import rows
from tasks.intake.format import BATCH, Account, Capability, Gives, Loop, Samples, Source, Start, SubmittedError, Sure
from tasks.intake.lines import BOM
from tasks.intake.numbers import SCALE, count_of, decimal_of, instant_us, micros, zone_of
from tasks.intake.outcomes import outcome_of, status_of

KNOWN = ("label", "sent", "intended", "done", "elapsed", "status", "ok", "error", "bytes", "threads", "origin")
_TRUE = frozenset({"true", "t", "1", "yes", "ok", "success", "pass", "passed"})
_DELIMITERS = (",", "\t", ";", "|")
_MAGIC = b"PAR1"
_FINEST = 6  # decimal places of a second, in microseconds
_PLACES = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_FRACTION = re.compile(r":\d\d[.,](\d+)")


class Mapped:
    """A table with declared columns. Recognised only where columns are declared: `assumptions.columns`."""

    name = "mapped"

    def recognises(self, head: bytes) -> Sure:
        """Parquet, by its magic; a CSV is never recognised, as it could be anything."""
        return Sure.MAYBE if head.startswith(_MAGIC) else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Samples]:
        """Every row."""
        declared = _declared(source)
        intended = "intended" in declared
        account.capability = Capability(
            gives=Gives.RAW,
            resolution_us=0,
            latency_from=Start.INTENDED if intended else Start.SENT,
            loop=Loop.OPEN if intended else Loop.UNKNOWN,
            percentiles="any, over all samples",
        )
        account.noted["columns"] = ", ".join(f"{ours}={theirs}" for ours, theirs in sorted(declared.items()))
        account.noted["time_unit"] = source.assumptions.time_unit
        zone, seen = zone_of(source.assumptions.timezone), _Seen(source.assumptions.time_unit)
        is_parquet = source.head().startswith(_MAGIC)
        found = _parquet(source, account, declared) if is_parquet else _csv(source, account, declared)
        batch = Samples()
        for line, fields in found:
            reason = _add(batch, line, fields, source.assumptions.time_unit, zone)
            if reason:
                account.skip(line, reason)
                continue
            account.taken += 1
            seen.look(batch, fields.get("intended"))
            if len(batch) >= BATCH:
                yield batch
                batch = Samples()
        account.capability = replace(account.capability, resolution_us=seen.resolution_us(intended=intended))
        yield batch


class _Seen:
    """How fine a table's times are: by what all of a column's have in common, however many digits it writes.

    A schedule may well be due in whole hundredths of a second, so of `intended` the digits written count.
    """

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._sent = self._done = self._places = 0

    def look(self, batch: Samples, intended: str | None) -> None:
        """The message that was added last, and when it was due as the table has it."""
        self._sent, self._done = gcd(self._sent, batch.sent_us[-1]), gcd(self._done, batch.done_us[-1])
        if intended is not None and self._places < _FINEST:
            self._places = max(self._places, _places(intended.strip(), self._unit))

    def resolution_us(self, *, intended: bool) -> int:
        """Of the coarsest column, in microseconds, at most a second; 0 when all are finer, or nothing was read."""
        found = [_step(self._sent), _step(self._done)]
        if intended and self._sent:
            found.append(10 ** (_FINEST - min(self._places, _FINEST)))
        coarsest = max(found)
        return coarsest if coarsest > 1 else 0


def _step(common: int) -> int:
    """The largest power of ten in it, at most a second's."""
    return next((10**power for power in range(_FINEST, 0, -1) if common and common % 10**power == 0), 1)


def _places(text: str, unit: str) -> int:
    """Decimal places of a second that a time is written to."""
    if ":" in text:
        found = _FRACTION.search(text)
        return len(found[1]) if found else 0
    number = decimal_of(text)
    return _PLACES[unit] - int(number.as_tuple().exponent) if number is not None else 0


def _declared(source: Source) -> Mapping[str, str]:
    declared = source.assumptions.columns
    remedy = "Declare them in the manifest: `assumptions: {columns: {label: …, sent: …, elapsed: …}, time_unit: ms}`."
    if unknown := sorted(set(declared) - set(KNOWN)):
        raise SubmittedError(f"{source.name}: columns that nothing is known of: {', '.join(unknown)}",
                             remedy=f"Known are: {', '.join(KNOWN)}.")  # fmt: skip
    if "sent" not in declared or not {"done", "elapsed"} & set(declared):
        raise SubmittedError(f"{source.name}: no tool's own format, and no columns declared: expected sent, and done "
                             "or elapsed", remedy=remedy)  # fmt: skip
    if source.assumptions.time_unit not in SCALE:
        raise SubmittedError(f"{source.name}: the unit of its times is not stated: expected ns, us, ms or s",
                             remedy=remedy)  # fmt: skip
    return declared


def _csv(source: Source, account: Account, declared: Mapping[str, str]) -> Iterator[tuple[int, dict[str, str]]]:
    first = source.head().removeprefix(BOM).partition(b"\n")[0].decode("latin-1")
    delimiter = max(_DELIMITERS, key=first.count)
    at: dict[str, int] = {}
    width = 0
    for row in rows(source.path, account, delimiter, source.assumptions.encoding):
        if not at:
            missing = sorted(set(declared.values()) - set(row.fields))
            if missing:
                raise SubmittedError(f"{source.name}:{row.line}:1: declared columns that are not there: "
                                     f"{', '.join(missing)}; found {', '.join(row.fields)[:200]}")  # fmt: skip
            at = {ours: row.fields.index(theirs) for ours, theirs in declared.items()}
            width = len(row.fields)
            account.headers += 1
        elif len(row.fields) != width:
            account.skip(row.line, f"expected {width} columns")
        else:
            yield row.line, {ours: row.fields[place] for ours, place in at.items()}


def _parquet(source: Source, account: Account, declared: Mapping[str, str]) -> Iterator[tuple[int, dict[str, str]]]:
    import duckdb

    account.unit = "rows"
    path = str(source.path).replace("'", "''")
    columns = ", ".join(f'"{theirs.replace(chr(34), chr(34) * 2)}"::VARCHAR' for theirs in declared.values())
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        try:
            found = connection.execute(f"SELECT {columns} FROM read_parquet('{path}')")  # noqa: S608  # names are quoted
            while batch := found.fetchmany(BATCH):
                for values in batch:
                    account.total += 1
                    pairs = zip(declared, values, strict=True)
                    yield account.total, {ours: "" if value is None else str(value) for ours, value in pairs}
        except (duckdb.Error, UnicodeDecodeError) as error:  # what it says of damage may hold the damaged bytes
            raise SubmittedError(f"{source.name}: cannot be read as Parquet with the declared columns: "
                                 f"{str(error).splitlines()[0]}") from None  # fmt: skip


def _add(batch: Samples, line: int, fields: Mapping[str, str], unit: str, zone: tzinfo) -> str:
    """Adds a message; why not, if it cannot."""

    def time(name: str) -> int | None:
        text = fields.get(name, "")
        found = micros(text, unit)
        return instant_us(text, zone) if found is None else found

    sent, elapsed = time("sent"), micros(fields.get("elapsed", ""), unit)
    done = sent + elapsed if sent is not None and elapsed is not None else time("done")
    intended = time("intended") if "intended" in fields else -1
    if sent is None or done is None or intended is None:
        return "expected a number, or an RFC 3339 time, in every time"
    if sent < 0 or done < sent or done > 2**53 - 1:
        return "done before it was sent, or at no time"
    status = status_of(fields.get("status", ""))
    if "ok" in fields:
        ok = fields["ok"].strip().lower() in _TRUE
    else:
        ok = status in range(200, 400) if "status" in fields else not fields.get("error")
    batch.add(
        line=line,
        label=fields.get("label", ""),
        intended_us=intended,
        sent_us=sent,
        done_us=done,
        status=status,
        outcome=outcome_of(ok=ok, text=fields.get("error", "")),
        size=count_of(fields.get("bytes", "")) or 0,
        threads=count_of(fields.get("threads", "")) or 0,
        origin=fields.get("origin", ""),
    )
    return ""
