"""What caller and injector process hand each other: a declaration, columns of work, rows of results.

Columns of work are int64 in this machine's byte order, one after the other, each `count` long. Results are rows in
segments: see `tasks.inject.segments`. A message has one row, and a row more if it was acknowledged.
"""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from pathlib import Path
from struct import Struct
from typing import Any, Self

from tasks.codecs import DEFAULT_ORIGINATOR

WORK = ("sequence", "offset_us", "path", "srv", "kind", "device", "after")
RESULTS = ("sequence", "intended_us", "ready_us", "sent_us", "done_us", "status", "outcome", "bytes")
ROW = Struct(f"={len(RESULTS)}q")
"""A row of results: these columns, one after the other."""

NEVER = -1
"""Instead of an instant: it did not happen."""

OWN, LIBCURL = "own", "libcurl"
"""The engines that offer a load."""

HTTP_1_1, H2 = "http/1.1", "h2"
"""What is spoken to the system, by the names that TLS has for them (ALPN, RFC 7301). `h2` without TLS: at once."""

PHASES = ("name_lookup", "connect", "tls", "pretransfer", "start_transfer", "total")
"""Until when each phase of a transfer lasted, microseconds from its start, as libcurl counts."""

PHASES_SUFFIX = ".phases"
PHASES_ROW = Struct(f"={len(PHASES)}q")
"""A row of phases, beside a row of results; all `NEVER` where the transfer did not come to an answer."""


class Outcome(IntEnum):
    """How a message ended; lower-case names are those of the results table."""

    OK = 0
    ERROR = 1
    TIMEOUT = 2
    REFUSED = 3


ACKNOWLEDGED = 4
"""In place of an outcome: the row is of the message's acknowledgement."""

NOBODY = -1
"""In place of a message that another follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """When a gated load begins, µs since the epoch on the clock of whoever says so.

    `correction_us`: what is added to the wall clock of the injector's own machine, which may differ, to get that clock.
    """

    at_us: int
    correction_us: int = 0

    def as_json(self) -> dict[str, Any]:
        """As a JSON document."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """From that document."""
        return cls(**document)


@dataclass(frozen=True, slots=True, kw_only=True)
class InjectionSpec:
    """What the injector is to do. Codes in the work columns index `paths`, `srvs`, `kinds` and `devices`.

    `gated`: the load begins when the caller says so, and not as soon as everything is ready (`Start`).
    `receive`: where the certificates of its receive service are; None where it has none. `http` and `proxy` (its `url`,
    and the names of environment variables or files for `user`, `password` and `ca`) are for the engine that knows more
    than the own one does.
    """

    work: str
    segments: str
    summary: str
    count: int
    paths: list[str]
    srvs: list[str]
    kinds: list[str]
    devices: list[str]
    urls: dict[str, str]
    codec: str
    connections: int
    max_connections: int
    timeout_us: int
    tls: dict[str, str]
    originator: str = DEFAULT_ORIGINATOR
    receive: dict[str, str] | None = None
    engine: str = OWN
    http: str = HTTP_1_1
    proxy: dict[str, str] = field(default_factory=dict)
    gated: bool = False

    def as_json(self) -> dict[str, Any]:
        """As a JSON document."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """From that document."""
        return cls(**document)


def write_columns(path: Path, columns: Iterable[bytes | memoryview]) -> None:
    """Write columns to a temporary name and move them to `path`."""
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        for column in columns:
            file.write(column)
    temporary.replace(path)


def read_columns(path: Path, names: Iterable[str], count: int) -> dict[str, "array[int]"]:
    """The columns in such a file, without numpy."""
    columns = {}
    with path.open("rb") as file:
        for name in names:
            columns[name] = array("q")
            columns[name].fromfile(file, count)
    return columns
