"""What every reader of a format is: how sure it is of a file, and the rows it gives with an account of every line.

Three kinds of rows: `Samples` (one message each, raw), `Readings` (one sample of an infrastructure metric each) and
`Figures` (what a tool had already put together, which can never be raw again). Nothing here knows a format.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from catalog.errors import PlimsollError, Status

if TYPE_CHECKING:
    import duckdb

HEAD = 1 << 16
"""So many bytes of a file, from its start, a format is recognised by."""

BATCH = 50_000
"""Rows in a batch: enough that the cost of handing one over does not matter, few enough that none is felt in memory."""

SHOWN = 100
"""So many line numbers are kept of each reason for skipping; all are counted."""

LARGEST = 2**53 - 1


class SubmittedError(PlimsollError):
    """The submitted file or its manifest is at fault; nothing was recorded."""

    status = Status.DECLARATION


class Sure(IntEnum):
    """How sure a format is that a file is one of its own, from its first bytes."""

    NO = 0
    MAYBE = 1
    LIKELY = 2
    CERTAIN = 3


class Gives(StrEnum):
    """What a format holds."""

    RAW = "raw"
    SUMMARY = "summary"
    INFRASTRUCTURE = "infrastructure"


class Loop(StrEnum):
    """Whether the load was offered by a schedule, or by users that wait for their answers."""

    OPEN = "open loop"
    CLOSED = "closed loop"
    BACK_FILLED = "back-filled"
    UNKNOWN = "unknown"


class Start(StrEnum):
    """From which moment a tool counts latency."""

    INTENDED = "intended"
    SENT = "sent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """What evidence of a format can show at the most. `resolution_us`: of its times, in microseconds, 0 when finer.

    `percentiles`: which ones can be had, in words. `warm_up`: left out, included, or unknown.
    """

    gives: Gives
    resolution_us: int
    latency_from: Start
    loop: Loop
    percentiles: str
    warm_up: str = "unknown"

    def as_json(self) -> dict[str, Any]:
        """The capability record as it is kept with the evidence."""
        return {
            "gives": self.gives.value,
            "resolution_us": self.resolution_us,
            "latency_from": self.latency_from.value,
            "loop": self.loop.value,
            "percentiles": self.percentiles,
            "warm_up": self.warm_up,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What a file does not say and its submitter does. None, or empty: not stated.

    `timezone`: of times written without one, an IANA name. `timestamp`: whether a sample's time is its start or its
    end. `encoding`: of bytes that are not UTF-8. `value_unit`: of a histogram's values (ns, us, ms, s). `rate`: the
    constant rate of an open-loop attack, messages a second as a decimal. `columns`: of a table that is no tool's own,
    our name to its column; `time_unit`: its unit of times (ns, us, ms, s). `started`: when the run began, as RFC 3339.
    """

    timezone: str = ""
    timestamp: str = ""
    encoding: str = ""
    value_unit: str = ""
    rate: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    time_unit: str = ""
    started: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file to be read, already unpacked, as it was named, and what its submitter says of it."""

    path: Path
    name: str
    assumptions: Assumptions = field(default_factory=Assumptions)

    def head(self) -> bytes:
        """Its first bytes."""
        with self.path.open("rb") as file:
            return file.read(HEAD)


@dataclass(slots=True, kw_only=True)
class Samples:
    """Raw messages, one a place of every list; times in microseconds since the epoch, -1 where none is known.

    `line`: where it stands in the file, from 1. `origin`: the thread or user that sent it, empty where unknown.
    `threads`: how many there were at the time, 0 where unknown. `outcome`: ok, error, timeout or refused.
    """

    line: list[int] = field(default_factory=list)
    label: list[str] = field(default_factory=list)
    intended_us: list[int] = field(default_factory=list)
    sent_us: list[int] = field(default_factory=list)
    done_us: list[int] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    outcome: list[str] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    origin: list[str] = field(default_factory=list)

    def add(
        self,
        *,
        line: int,
        label: str,
        sent_us: int,
        done_us: int,
        status: int = 0,
        outcome: str = "ok",
        size: int = 0,
        threads: int = 0,
        origin: str = "",
        intended_us: int = -1,
    ) -> None:
        """One message more."""
        self.line.append(line)
        self.label.append(label)
        self.intended_us.append(intended_us)
        self.sent_us.append(sent_us)
        self.done_us.append(done_us)
        self.status.append(status)
        self.outcome.append(outcome)
        self.bytes.append(size)
        self.threads.append(threads)
        self.origin.append(origin)

    def __len__(self) -> int:
        return len(self.line)


@dataclass(slots=True, kw_only=True)
class Readings:
    """Samples of infrastructure metrics; `at_us` since the epoch, `value` in `unit` (permille, bytes, count, us)."""

    at_us: list[int] = field(default_factory=list)
    host: list[str] = field(default_factory=list)
    sub_component: list[str] = field(default_factory=list)
    metric: list[str] = field(default_factory=list)
    value: list[int] = field(default_factory=list)
    unit: list[str] = field(default_factory=list)

    def add(self, *, at_us: int, host: str, metric: str, value: int, unit: str, part: str = "") -> None:
        """One sample more."""
        self.at_us.append(at_us)
        self.host.append(host)
        self.sub_component.append(part)
        self.metric.append(metric)
        self.value.append(value)
        self.unit.append(unit)

    def __len__(self) -> int:
        return len(self.at_us)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number that the tool itself put together. `scope`: a label, or 'all'. `value` in `unit` (us, count, ppm).

    `method`: how the tool came to it. `samples`: how many messages it rests on, 0 where the file does not say.
    """

    scope: str
    metric: str
    value: int
    unit: str
    samples: int
    method: str


@dataclass(slots=True, kw_only=True)
class Figures:
    """What a tool says in sum."""

    rows: list[Figure] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)


Batch = Samples | Readings | Figures


@dataclass(slots=True, kw_only=True)
class Skipped:
    """Lines that could not be used for one reason: how many, and where the first of them stand."""

    count: int = 0
    lines: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something about the evidence that a reader of it must know; nothing was changed because of it."""

    code: str
    message: str

    def as_json(self) -> dict[str, str]:
        """The finding as `intake --json` gives it."""
        return {"code": self.code, "message": self.message}


@dataclass(slots=True, kw_only=True)
class Account:
    """What became of every line of a file: `total` = taken + skipped + headers + blank + continued + beside.

    `unit`: what is counted: lines of text, or elements, records or points where lines mean nothing. `taken`: units
    that gave rows. `continued`: lines within a record that began on an earlier line. `beside`: units that are sound,
    and no message, by what they are.
    """

    unit: str = "lines"
    total: int = 0
    taken: int = 0
    headers: int = 0
    blank: int = 0
    continued: int = 0
    beside: Counter[str] = field(default_factory=Counter)
    skipped: dict[str, Skipped] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    tool: str = ""
    version: str = ""
    capability: Capability | None = None
    noted: dict[str, str] = field(default_factory=dict)

    def skip(self, line: int, reason: str, count: int = 1) -> None:
        """A line that could not be used, and why."""
        known = self.skipped.setdefault(reason, Skipped())
        known.count += count
        if len(known.lines) < SHOWN:
            known.lines.append(line)

    def find(self, code: str, message: str) -> None:
        """A finding, each code and message once."""
        finding = Finding(code=code, message=message)
        if finding not in self.findings:
            self.findings.append(finding)

    @property
    def skips(self) -> int:
        """How many units were skipped."""
        return sum(each.count for each in self.skipped.values())

    @property
    def accounted(self) -> int:
        """How many units are accounted for; equals `total`, or the reader is at fault."""
        return self.taken + self.skips + self.headers + self.blank + self.continued + sum(self.beside.values())

    def as_json(self) -> dict[str, Any]:
        """The account as it is kept with the evidence."""
        return {
            "unit": self.unit,
            "total": self.total,
            "taken": self.taken,
            "headers": self.headers,
            "blank": self.blank,
            "continued": self.continued,
            "beside": dict(sorted(self.beside.items())),
            "skipped": [
                {"reason": reason, "count": each.count, "lines": each.lines}
                for reason, each in sorted(self.skipped.items())
            ],
            "tool": self.tool,
            "version": self.version,
            "capability": self.capability.as_json() if self.capability else None,
            "assumed": dict(sorted(self.noted.items())),
        }


@runtime_checkable
class Nested(Protocol):
    """A format in which messages may be parts of others."""

    def parts(self) -> str:
        """SQL for the `place` of every row of `samples` that is a part of another, and not to be counted again."""
        ...


class Format(Protocol):
    """A format that results come in. One file of this room each."""

    name: str

    def recognises(self, head: bytes) -> Sure:
        """How sure it is that a file that begins with these bytes is one of its own. Never raises."""
        ...

    def read(self, source: Source, account: Account) -> Iterator[Batch]:
        """The rows of a file, batch by batch in bounded memory; `account` is complete when the last one was given.

        Whatever the bytes: a line that cannot be used is skipped with its reason. Raises SubmittedError where nothing
        can be made of the file at all.
        """
        ...


@runtime_checkable
class Doubtful(Protocol):
    """A format of which some rows can only be told for what they are by looking at others."""

    def doubtful(self, beside: int) -> str:
        """SQL for how many rows of `bulk`, of class `beside`, are not what they seem; then all is read line by line."""
        ...


@runtime_checkable
class Bulk(Protocol):
    """A format that DuckDB can read by itself, in all its lines but those that it refuses."""

    def bulk(self, source: Source, account: Account, connection: "duckdb.DuckDBPyConnection") -> "Scan | None":
        """How DuckDB reads the file; None where only `read` can. `account` has tool, version and capability then."""
        ...

    def mend(self, source: Source, account: Account, refused: Iterator[tuple[int, bytes]]) -> Iterator[Samples]:
        """The messages in the lines that DuckDB refused (number and bytes), each of which is accounted for."""
        ...


@runtime_checkable
class Staging(Protocol):
    """A format that knows by itself how to have a file read by DuckDB as a whole."""

    def stage(
        self, source: Source, account: Account, folder: Path, connection: "duckdb.DuckDBPyConnection"
    ) -> Path | None:
        """A Parquet file in `folder` of the staged rows, and the account of them; None where only `read` can."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """A file as DuckDB reads it: `select` gives the columns of `staged` (all but `class`) from rows of `source`.

    `exact`: holds for the rows that DuckDB reads as they stand; one that it does not hold for, and that is neither a
    header nor `beside`, makes the whole file be read line by line. `headers`: holds for a header in the middle;
    `header_lines`: those at the start, which DuckDB does not give. `beside`: reason to condition, for rows that are
    sound and no message. `quoted`: whether a newline within quotes ends no row. `stamped`: the column of the times as
    they are written, where whole seconds in all of them are the file's resolution.
    """

    source: str
    select: str
    exact: str
    headers: str = "false"
    header_lines: int = 0
    beside: Mapping[str, str] = field(default_factory=dict)
    quoted: bool = True
    stamped: str = ""
