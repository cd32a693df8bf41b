"""JMeter's results as CSV (JTL): with, without or with reordered headers; comma, tab or semicolon.

Rows of transaction controllers, and of sub-results, are no messages of their own: a redirect's parts stand within the
sample that they are parts of, and a transaction within nothing but its own samples. Neither is counted twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from math import gcd
from typing import TYPE_CHECKING

from tasks.intake.delimited import Row, record, rows
from tasks.intake.format import (
    BATCH,
    Account,
    Assumptions,
    Capability,
    Gives,
    Loop,
    Samples,
    Scan,
    Source,
    Start,
    SubmittedError,
    Sure,
)
from tasks.intake.lines import BOM, text_of
from tasks.intake.numbers import count_of, count_sql, instant_us, whole_sql, zone_of
from tasks.intake.outcomes import outcome_of, outcome_sql, status_of, status_sql
from tasks.intake.sql import text_literal

if TYPE_CHECKING:
    import duckdb

_DELIMITERS = (",", "\t", ";", "|")
_BASE = "timeStamp,elapsed,label,responseCode,responseMessage,threadName,dataType,success"
_HEADERLESS = {
    10: f"{_BASE},bytes,Latency",
    11: f"{_BASE},failureMessage,bytes,Latency",
    12: f"{_BASE},bytes,grpThreads,allThreads,Latency",
    13: f"{_BASE},failureMessage,bytes,grpThreads,allThreads,Latency",
    16: f"{_BASE},failureMessage,bytes,sentBytes,grpThreads,allThreads,Latency,IdleTime,Connect",
    17: f"{_BASE},failureMessage,bytes,sentBytes,grpThreads,allThreads,URL,Latency,IdleTime,Connect",
}
"""What JMeter wrote by default, by the number of columns, where the names are left out (print_field_names=false)."""

LATEST_MS = 2**43
"""A time in ms from which on it is none: the year 2248."""

_TRANSACTION = "Number of samples in transaction"
_INTACT = "a transaction controller: its samples are counted"
_ABSENT = "a transaction controller whose samples are not in the file"
SEVERAL = "stands for several samples, as a summing sender writes them"
_MOST_THREADS = 100_000
_DATES = ("%Y/%m/%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S.%f", "%Y/%m/%d %H:%M:%S", "%Y-%m-%d %H:%M:%S")

CAPABILITY = Capability(
    gives=Gives.RAW,
    resolution_us=1000,
    latency_from=Start.SENT,
    loop=Loop.CLOSED,
    percentiles="any, over all samples",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a file is laid out: what its columns are, what stands between them, and whether it says so itself."""

    delimiter: str
    names: list[str]
    header: bool
    quoted_header: bool = False

    def place(self, name: str) -> int:
        """Where a column stands, -1 where there is none."""
        return self.names.index(name) if name in self.names else -1


class JMeterCsv:
    """JTL as CSV."""

    name = "jmeter-csv"

    def recognises(self, head: bytes) -> Sure:
        """By its header; or by a first line that looks like a sample."""
        layout = layout_of(head)
        if layout is None:
            return Sure.NO
        return Sure.CERTAIN if layout.header else Sure.LIKELY

    def read(self, source: Source, account: Account) -> Iterator[Samples]:
        """Every sample, line by line."""
        layout = _known(source)
        self._begin(source, account, layout)
        reader = _Reader(source, account, layout)
        batch = Samples()
        for row in rows(source.path, account, layout.delimiter, source.assumptions.encoding):
            reader.take(row, batch)
            if len(batch) >= BATCH:
                yield batch
                batch = Samples()
        reader.finish()
        yield batch

    def bulk(self, source: Source, account: Account, connection: "duckdb.DuckDBPyConnection") -> Scan | None:  # noqa: ARG002  # what every format is given
        """All of it by DuckDB, where times are whole milliseconds."""
        layout = _known(source)
        if len(set(layout.names)) != len(layout.names):
            return None
        self._begin(source, account, layout)
        return _scan(source, layout)

    def mend(self, source: Source, account: Account, refused: Iterator[tuple[int, bytes]]) -> Iterator[Samples]:
        """What DuckDB refused: foreign bytes in labels, mostly."""
        layout = _known(source)
        alone = not (account.taken or account.beside)
        reader = _Reader(source, account, layout, alone=alone)
        batch = Samples()
        for line, data in refused:
            fields, utf8 = record(data, layout.delimiter, source.assumptions.encoding)
            if fields is None:
                account.skip(line, "a quoted field that does not end")
                continue
            reader.take(Row(line, fields, utf8), batch)
        reader.finish()
        yield batch

    def parts(self) -> str:
        """Rows named as another with -0, -1 … behind it, of the same thread, within the time of that other."""
        return """
            WITH names AS (SELECT DISTINCT label FROM samples_read),
            numbered AS (
                SELECT label, regexp_replace(label, '-[0-9]+$', '') AS whole FROM names
                WHERE regexp_matches(label, '.-[0-9]+$')
                  AND regexp_replace(label, '-[0-9]+$', '') IN (SELECT label FROM names)
            )
            SELECT part.place FROM
                (SELECT place, origin, sent_us, done_us, numbered.whole
                 FROM samples_read JOIN numbered USING (label)) AS part
            ASOF JOIN
                (SELECT label, origin, sent_us, done_us FROM samples_read
                 WHERE label IN (SELECT whole FROM numbered)) AS whole
            ON part.origin = whole.origin AND part.whole = whole.label AND part.sent_us >= whole.sent_us
            WHERE part.done_us <= whole.done_us
        """

    def doubtful(self, beside: int) -> str:
        """Transactions (rows of class `beside`) in whose time their thread sent no message that the file holds."""
        return f"""
            SELECT count(*) FROM (SELECT origin, sent_us, done_us FROM bulk WHERE class = {beside}) AS whole
            ASOF LEFT JOIN (SELECT origin, sent_us AS last_us FROM bulk WHERE class = 0) AS part
            ON whole.origin = part.origin AND whole.done_us > part.last_us
            WHERE part.last_us IS NULL OR part.last_us < whole.sent_us
        """  # noqa: S608  # a number of our own

    def _begin(self, source: Source, account: Account, layout: Layout) -> None:
        account.tool, account.capability = "jmeter", CAPABILITY
        account.noted["timestamp"] = source.assumptions.timestamp or "start (not stated: JMeter's shipped setting)"
        account.noted["encoding"] = source.assumptions.encoding or "UTF-8, and ISO 8859-1 where it is not"
        if not layout.header:
            account.noted["columns"] = f"JMeter's default {len(layout.names)}, as the file names none"


def layout_of(head: bytes) -> Layout | None:
    """The layout of a file that begins so; None where it is no JTL."""
    first, _, _ = head.removeprefix(BOM).lstrip(b"\r\n").partition(b"\n")
    text, _ = text_of(first.rstrip(b"\r"))
    for delimiter in _DELIMITERS:
        fields, _ = record(text.encode(), delimiter)
        if fields is None:
            continue
        if {"timeStamp", "elapsed"} <= set(fields):
            return Layout(delimiter=delimiter, names=fields, header=True, quoted_header='"' in text)
        if len(fields) in _HEADERLESS and _is_sample(fields):
            return Layout(delimiter=delimiter, names=_HEADERLESS[len(fields)].split(","), header=False)
    return None


def _is_sample(fields: list[str]) -> bool:
    return count_of(fields[0]) is not None and count_of(fields[1]) is not None and fields[7] in ("true", "false")


def _known(source: Source) -> Layout:
    layout = layout_of(source.head())
    if layout is None:
        raise SubmittedError(
            f"{source.name}:1:1: expected JMeter's columns, timeStamp and elapsed among them, or a sample of "
            f"{', '.join(map(str, _HEADERLESS))} columns",
            remedy="Switch jmeter.save.saveservice.print_field_names on, or declare `columns` in the manifest.",
        )
    return layout


class _Reader:
    """Samples out of records, one after the other.

    `alone`: no other rows of the file were read before, whose times may be in whole seconds or not, and which may be
    samples of a transaction.
    """

    def __init__(self, source: Source, account: Account, layout: Layout, *, alone: bool = True) -> None:
        self._account = account
        self._alone = alone
        self._layout = layout
        self._ends = source.assumptions.timestamp == "end"
        self._zone = _zone(source.assumptions)
        self._foreign = self._absent = self._common = self._waiting = 0
        self._last: dict[str, int] = {}  # of every thread, when it sent its latest message
        self._open: dict[str, list[tuple[int, int, int]]] = {}  # transactions before their samples: line, start, end
        self._at = {name: layout.place(name) for name in _USED}

    def take(self, row: Row, batch: Samples) -> None:
        """One record: a sample, or accounted for as something else."""
        account, fields = self._account, row.fields
        if fields == self._layout.names:
            account.headers += 1
            return
        if len(fields) != len(self._layout.names):
            account.skip(row.line, f"expected {len(self._layout.names)} columns")
            return
        at = self._time(self._field(fields, "timeStamp"))
        elapsed = count_of(self._field(fields, "elapsed"))
        if at is None or elapsed is None:
            account.skip(row.line, f"expected a whole number, found none: {'timeStamp' if at is None else 'elapsed'}")
            return
        sent = at - elapsed * 1000 if self._ends else at
        self._common = gcd(self._common, at)
        thread = self._field(fields, "threadName")
        if self._field(fields, "responseMessage").startswith(_TRANSACTION):
            if self._alone:  # else what it holds was read already: unaccounted for, it has the file read line by line
                self._transaction(row.line, thread, sent, sent + elapsed * 1000)
            return
        if self._field(fields, "SampleCount") not in ("", "0", "1"):
            account.skip(row.line, SEVERAL)
            return
        self._foreign += not row.utf8
        if thread in self._open:
            self._close(thread, sent)
        if len(self._last) < _MOST_THREADS or thread in self._last:
            self._last[thread] = max(sent, self._last.get(thread, -1))
        code = self._field(fields, "responseCode")
        ok = (
            self._field(fields, "success") == "true" if self._at["success"] >= 0 else status_of(code) in range(200, 400)
        )
        batch.add(
            line=row.line,
            label=self._field(fields, "label"),
            sent_us=sent,
            done_us=sent + elapsed * 1000,
            status=status_of(code),
            outcome=outcome_of(ok=ok, text=code),
            size=count_of(self._field(fields, "bytes")) or 0,
            threads=count_of(self._field(fields, "allThreads")) or 0,
            origin=thread,
        )
        account.taken += 1

    def _transaction(self, line: int, thread: str, start: int, end: int) -> None:
        """One whose samples were written, each after its own time; or that was written in their place.

        JMeter writes it after its samples. In a file that was sorted by time, it may stand before the first of them.
        """
        if self._last.get(thread, -1) >= start or self._at["threadName"] < 0 or len(self._last) >= _MOST_THREADS:
            self._account.beside[_INTACT] += 1
            return
        waiting = self._open.pop(thread, [])
        while waiting and waiting[-1][2] <= start:  # it is over, and held nothing
            self._missing(waiting.pop()[0])
            self._waiting -= 1
        if self._waiting < _MOST_THREADS:
            waiting.append((line, start, end))
            self._waiting += 1
        else:
            self._missing(line)
        if waiting:
            self._open[thread] = waiting

    def _close(self, thread: str, sent: int | None) -> None:
        """Tells of the transactions of a thread whose next message was sent at `sent`, or never."""
        waiting = self._open.pop(thread)
        self._waiting -= len(waiting)
        for line, start, end in waiting:
            if sent is not None and start <= sent < end:  # the next may begin at its end
                self._account.beside[_INTACT] += 1
            else:
                self._missing(line)

    def _missing(self, line: int) -> None:
        self._account.skip(line, _ABSENT)
        self._absent += 1

    def finish(self) -> None:
        """Tells of bytes that were not UTF-8, of messages that nobody wrote, and of times in whole seconds."""
        for thread in list(self._open):
            self._close(thread, None)
        whole = self._common % 1_000_000 == 0
        if self._account.capability and self._common and (self._alone or not whole):
            resolution_us = 1_000_000 if whole else CAPABILITY.resolution_us
            self._account.capability = replace(self._account.capability, resolution_us=resolution_us)
        if self._absent:
            self._account.find(
                "samples-missing",
                f"{self._absent} transactions stand in the place of their samples, as with JMeter's 'Generate parent "
                "sample': those messages are not in the file",
            )
        if self._foreign:
            self._account.find("encoding", f"{self._foreign} samples hold bytes that are not UTF-8, kept one by one")

    def _field(self, fields: list[str], name: str) -> str:
        at = self._at[name]
        return fields[at] if at >= 0 else ""

    def _time(self, text: str) -> int | None:
        """Microseconds since the epoch, from milliseconds or one of the date formats that JMeter is given."""
        if (whole := count_of(text)) is not None:
            return whole * 1000 if whole < LATEST_MS else None
        if (found := instant_us(text, self._zone)) is not None:
            return found
        for form in _DATES:
            try:
                at = datetime.strptime(text.strip(), form).replace(tzinfo=self._zone)
            except ValueError:
                continue
            return int(at.replace(microsecond=0).timestamp()) * 1_000_000 + at.microsecond
        return None


_USED = (
    "timeStamp",
    "elapsed",
    "label",
    "responseCode",
    "responseMessage",
    "threadName",
    "success",
    "bytes",
    "allThreads",
    "SampleCount",
)


def _zone(assumptions: Assumptions) -> tzinfo:
    return zone_of(assumptions.timezone)


def _scan(source: Source, layout: Layout) -> Scan:
    columns = ", ".join(f"{text_literal(f'c{place}')}: 'VARCHAR'" for place in range(len(layout.names)))
    options = (
        f"header = {str(layout.header).lower()}, delim = {text_literal(layout.delimiter)}, quote = '\"', "
        f"escape = '\"', auto_detect = false, columns = {{{columns}}}, store_rejects = true, rejects_limit = 20000, "
        f"max_line_size = 1048576, nullstr = '\\N'"
    )

    def column(name: str) -> str:
        place = layout.place(name)
        return f"c{place}" if place >= 0 else "''"

    at, elapsed = f"try_cast({column('timeStamp')} AS BIGINT)", f"try_cast({column('elapsed')} AS BIGINT)"
    whole = " AND ".join(whole_sql(column(name), 13) for name in ("timeStamp", "elapsed"))
    exact = f"coalesce({whole} AND {at} < {LATEST_MS} AND {column('SampleCount')} IN ('', '0', '1'), false)"
    names = " AND ".join(f"{column(name)} = {text_literal(name)}" for name in layout.names)
    sent = f"({at} - {elapsed})" if source.assumptions.timestamp == "end" else at
    code = column("responseCode")
    ok = f"{column('success')} = 'true'" if layout.place("success") >= 0 else f"{status_sql(code)} BETWEEN 200 AND 399"
    return Scan(
        source=f"read_csv({text_literal(str(source.path))}, {options})",
        select=f"""
            coalesce({column("label")}, '\\N') AS label, NULL::BIGINT AS intended_us, {sent} * 1000 AS sent_us,
            ({sent} + {elapsed}) * 1000 AS done_us, {status_sql(code)} AS status, {outcome_sql(ok, code)} AS outcome,
            {count_sql(column("bytes"))} AS bytes, {count_sql(column("allThreads"))} AS threads,
            hash({column("threadName")}) AS origin""",
        exact=exact,
        headers=f"{column('timeStamp')} = 'timeStamp' AND {names}",
        header_lines=int(layout.header),
        stamped="done_us" if source.assumptions.timestamp == "end" else "sent_us",
        beside={_INTACT: f"starts_with({column('responseMessage')}, '{_TRANSACTION}') AND {exact}"},
    )
