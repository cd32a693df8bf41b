"""Gatling's simulation.log as it is since 3.12.1: binary, big-endian, strings sent once and then by number.

Not a public contract of Gatling's: what is not known is refused, and a record that makes no sense ends the reading,
since nothing says where the next one begins.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from tasks.intake.format import BATCH, Account, Capability, Gives, Loop, Samples, Source, Start, SubmittedError, Sure
from tasks.intake.outcomes import outcome_of

CAPABILITY = Capability(
    gives=Gives.RAW,
    resolution_us=1000,
    latency_from=Start.SENT,
    loop=Loop.UNKNOWN,
    percentiles="any, over all samples; Gatling's own are estimates (t-digest)",
)
_LONGEST = 1 << 20
_MOST = 100_000  # of scenarios, assertions, groups or strings: more makes no sense
_MOST_TEXT = 64 << 20
_RUN, _REQUEST, _USER, _GROUP, _ERROR = range(5)
_BESIDE = {
    _USER: "a user that starts or ends",
    _GROUP: "a group: its requests are counted",
    _ERROR: "an error of the simulation",
}


class _EndedError(Exception):
    """The file ends within a record, or holds what is none."""


class GatlingBinary:
    """simulation.log, binary."""

    name = "gatling-binary"

    def recognises(self, head: bytes) -> Sure:
        """By a record of the run: the byte 0, then the version as a string of sensible length."""
        if len(head) < 12 or head[0] != _RUN:
            return Sure.NO
        (length,) = struct.unpack_from(">i", head, 1)
        version = head[5 : 5 + length] if 0 < length < 40 else b""
        return Sure.CERTAIN if len(version) == length and version[:1].isdigit() and b"." in version else Sure.NO

    def read(self, source: Source, account: Account) -> Iterator[Samples]:
        """Every request."""
        account.unit, account.tool, account.capability = "records", "gatling", CAPABILITY
        with source.path.open("rb") as file:
            reader = _Reader(file)
            try:
                reader.begin(account)
            except _EndedError as error:
                raise SubmittedError(f"{source.name}: byte {reader.at}: {error}") from None
            yield from reader.batches(account)


class _Reader:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._strings: dict[int, str] = {}
        self._text = 0
        self._start_ms = 0
        self._users = 0
        self.at = 0

    def begin(self, account: Account) -> None:
        """The record of the run, which is the first."""
        if self._byte() != _RUN:
            raise _EndedError("expected the record of a run first")
        account.version = self._string()[:40]
        self._string()
        self._start_ms = self._long()
        self._string()
        for _ in range(self._number(_MOST)):
            self._string()
        for _ in range(self._number(_MOST)):
            self._bytes(self._number(_LONGEST))
        if not 0 <= self._start_ms < 2**43:
            raise _EndedError("a run that began at no time")
        account.total += 1
        account.headers += 1

    def batches(self, account: Account) -> Iterator[Samples]:
        """All records after it."""
        batch, errors = Samples(), 0
        while kind := self._file.read(1):
            self.at += 1
            account.total += 1
            began = account.total
            try:
                match kind[0]:
                    case 1:
                        taken = self._request(batch, began)
                        account.taken += taken
                        if not taken:
                            account.skip(began, "a request that ends before it begins")
                    case 2:
                        self._user()
                        account.beside[_BESIDE[_USER]] += 1
                    case 3:
                        self._group()
                        account.beside[_BESIDE[_GROUP]] += 1
                    case 4:
                        self._cached()
                        self._int()
                        errors += 1
                        account.beside[_BESIDE[_ERROR]] += 1
                    case _:
                        raise _EndedError(f"a record of the unknown kind {kind[0]}")
            except _EndedError as error:
                account.skip(began, f"{error}; nothing after it can be read")
                left = len(self._file.read(1))
                account.find(
                    "truncated", f"byte {self.at}: {error}" + ("; the rest of the file was not read" if left else "")
                )
                break
            if len(batch) >= BATCH:
                yield batch
                batch = Samples()
        if errors:
            account.find("tool-errors", f"Gatling logged {errors} errors of its own")
        yield batch

    def _request(self, batch: Samples, number: int) -> bool:
        groups = [self._cached() for _ in range(self._number(_MOST))]
        name = self._cached()
        start, end = self._int(), self._int()
        ok = self._byte()
        message = self._cached()
        if end < start or self._start_ms + start < 0:
            return False
        batch.add(
            line=number,
            label="/".join([*groups, name]),
            sent_us=(self._start_ms + start) * 1000,
            done_us=(self._start_ms + end) * 1000,
            outcome=outcome_of(ok=ok == 1, text=message),
            threads=self._users,
        )
        return True

    def _user(self) -> None:
        self._int()
        self._users = max(0, self._users + (1 if self._byte() else -1))
        self._int()

    def _group(self) -> None:
        for _ in range(self._number(_MOST)):
            self._cached()
        for _ in range(3):
            self._int()
        self._byte()

    def _cached(self) -> str:
        """A string: its number and its text when it is new, the number below zero when it was seen."""
        index = self._int()
        if index < 0:
            if -index not in self._strings:
                raise _EndedError(f"a string that was never written: {-index}")
            return self._strings[-index]
        if len(self._strings) >= _MOST or self._text > _MOST_TEXT:
            raise _EndedError("more strings than make sense")
        found = self._string()
        self._strings[index] = found
        self._text += len(found)
        return found

    def _string(self) -> str:
        length = self._number(_LONGEST)
        if not length:
            return ""
        data = self._bytes(length)
        coder = self._byte()
        if coder not in (0, 1):
            raise _EndedError(f"a string in the unknown coding {coder}")
        return data.decode("latin-1") if coder == 0 else data.decode("utf-16-le", "replace")

    def _number(self, most: int) -> int:
        found = self._int()
        if not 0 <= found <= most:
            raise _EndedError(f"a length of {found}")
        return found

    def _byte(self) -> int:
        return self._bytes(1)[0]

    def _int(self) -> int:
        return int.from_bytes(self._bytes(4), "big", signed=True)

    def _long(self) -> int:
        return int.from_bytes(self._bytes(8), "big", signed=True)

    def _bytes(self, count: int) -> bytes:
        data = self._file.read(count)
        self.at += len(data)
        if len(data) < count:
            raise _EndedError("the file ends within a record")
        return data
