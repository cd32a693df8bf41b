"""The ledger: a hash chain of records, one canonical JSON line each, append only.

1. A record's digest is SHA-256 over its RFC 8785 form without the member `digest`; `previous` is the digest of the
   record before it (64 zeros for the first), and sequences count from 1 without a gap.
2. Files are named by the sequence of their first record; the chain runs on across them.
3. One process appends at a time. A batch goes out in one write and is synced before `append` returns: what it returned
   is promised, and nothing else is.
4. A last line without its newline is an interrupted append. Readers pass over it, and the next append sets its bytes
   aside in `torn/`. Any other damage is an error.

What the records mean to a pipeline is not here (see `catalog.workspace`), nor is trust in who wrote them
(`catalog.signing`, `catalog.verification`).
"""

import fcntl
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from catalog.canonical import canonical, digest
from catalog.errors import EvidenceError
from catalog.store import disk, is_digest, make_below, make_directory, parse, sync_directory, write_durably

FORMAT = 1
GENESIS = "0" * 64
LOCK = "lock"
TORN = "torn"
FILE_NAME = re.compile(r"\d{12}\.jsonl")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class Kind(StrEnum):
    """What a record says happened."""

    DECLARED = "declared"
    DERIVED = "derived"
    STARTED = "started"
    EXECUTED = "executed"
    RECEIVED = "received"
    RELIED = "relied"
    OBSERVED = "observed"
    ISSUE = "issue"
    INCIDENT = "incident"
    APPROVED = "approved"
    WAIVED = "waived"
    SAMPLED = "sampled"
    KEY = "key"
    SIGNED = "signed"
    WITHDRAWN = "withdrawn"
    REPORTED = "reported"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An artefact, or an earlier record, in a role. `rows` is the digest of a table's canonical rows, if it is one."""

    role: str
    digest: str
    rows: str | None = None

    def as_json(self) -> dict[str, str]:
        """The reference as the ledger holds it."""
        members = {"role": self.role, "digest": self.digest}
        return members if self.rows is None else {**members, "rows": self.rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who did it: a name, and the fingerprint of that person's or machine's public key (empty where there is none)."""

    name: str
    fingerprint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a caller wants recorded. `key` is the digest of the stage's key document, `rules` its rules' version."""

    kind: Kind
    stage: str
    key: str | None = None
    inputs: tuple[Reference, ...] = ()
    outputs: tuple[Reference, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    rules: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Draft):
    """A draft in its place in the chain. `time` is UTC, ISO 8601 with microseconds and Z; `code` is our version."""

    sequence: int
    time: str
    code: str
    actor: Actor
    previous: str
    digest: str

    def __str__(self) -> str:
        return f"record {self.sequence} ({self.kind} {self.stage})"

    def output(self, role: str) -> str | None:
        """The digest of the first output in `role`, if there is one."""
        return next((item.digest for item in self.outputs if item.role == role), None)


@dataclass(slots=True, kw_only=True)
class Cursor:
    """How far a ledger has been read: bytes and lines of `file`, the record last read (None after damage), the tail."""

    file: str = ""
    offset: int = 0
    line: int = 0
    sequence: int | None = 0
    digest: str | None = GENESIS
    torn: bytes = b""

    @property
    def where(self) -> str:
        """The line last read, as messages name it."""
        return f"ledger/{self.file}:{self.line}"

    def enter(self, name: str) -> None:
        """Goes to the start of the file `name`."""
        self.file, self.offset, self.line, self.torn = name, 0, 0, b""

    def advance(self, line: bytes, record: Record | None) -> None:
        """Goes past one whole line (given without its newline)."""
        self.offset += len(line) + 1
        self.line += 1
        self.sequence, self.digest = (record.sequence, record.digest) if record else (None, None)


class NewerFormatError(ValueError):
    """A line that a newer version wrote: nothing is wrong with it, and this version cannot tell what it says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What `scan` found at one place: a line and its record, or a problem, or both (a record out of its place).

    `newer`: the problem is that a newer version wrote the line.
    """

    where: str
    line: bytes = b""
    record: Record | None = None
    problem: str = ""
    newer: bool = False


def now() -> str:
    """The time as records hold it: UTC, ISO 8601 with microseconds and Z."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def encode(draft: Draft, *, sequence: int, previous: str, time: str, actor: Actor, code: str) -> bytes:
    """The line, without its newline, of `draft` at its place in the chain. Raises TypeError or ValueError for a draft
    that is not canonical JSON (floats, integers beyond 2^53 - 1)."""
    document = {
        "actor": {"fingerprint": actor.fingerprint, "name": actor.name},
        "code": code,
        "format": FORMAT,
        "inputs": [item.as_json() for item in draft.inputs],
        "key": draft.key,
        "kind": str(draft.kind),
        "outputs": [item.as_json() for item in draft.outputs],
        "parameters": dict(draft.parameters),
        "previous": previous,
        "rules": draft.rules,
        "sequence": sequence,
        "stage": draft.stage,
        "time": time,
    }
    text = canonical(document)
    cut = text.index(b',"format":')  # where `digest` goes in canonical order; putting it in saves serialising twice
    return text[:cut] + _digest_member(digest(text)) + text[cut:]


def decode(line: bytes) -> Record:
    """The record on one line. Raises ValueError, with the reason, unless its digest and its shape are right.

    A line that is not canonical but says the right digest of itself passes; `catalog.verification` refuses it.
    """
    document = parse(line)
    if not isinstance(document, dict):
        raise ValueError("not a record")
    written = document.get("format")
    if type(written) is int and written > FORMAT:
        raise NewerFormatError(f"written in format {written}, and this version reads format {FORMAT}: upgrade Plimsoll")
    claimed = document.pop("digest", None)
    if not is_digest(claimed) or digest(line.replace(_digest_member(claimed), b"", 1)) != claimed:
        raise ValueError("altered: the line does not have the digest that it states")
    return _record(document, claimed)


def scan(root: Path, cursor: Cursor) -> Iterator[Finding]:
    """Reads the ledger's lines from `cursor` on, which moves along and ends at the last whole line, `torn` after it.

    Every damage is a finding with a problem; reading goes on behind it. Raises WorldError when a file cannot be read.
    """
    for name in _files(root, cursor):
        if name != cursor.file:
            yield from _enter(cursor, name)
        with disk(root / name), (root / name).open("rb") as file:
            if file.seek(0, os.SEEK_END) < cursor.offset:
                yield Finding(where=f"ledger/{name}", problem="cut short since it was read")
            file.seek(cursor.offset)
            *lines, cursor.torn = file.read().split(b"\n")
        for line in lines:
            yield _examine(cursor, line)


_UPGRADE = "Upgrade Plimsoll, or name another workspace with --home; nothing is wrong with this one."
_RESTORE = "Run `plimsoll verify` for the whole extent, and restore the workspace from a copy."


class Ledger:
    """The ledger in directory `root`. One object may be shared by threads, and one directory by processes.

    Lines that were read once are not read again: what happens to them afterwards is for `catalog.verification` to
    find. `roll` is the number of records after which a new file is begun.
    """

    def __init__(self, root: Path, *, roll: int = 10_000) -> None:
        self.root = root
        self._roll = roll
        self._mutex = threading.RLock()
        self._cursor = Cursor()
        self._records: list[Record] = []

    @property
    def torn(self) -> bytes:
        """The unfinished last line that the last reading found; empty when there was none."""
        return self._cursor.torn

    def records(self) -> list[Record]:
        """All records, oldest first. Raises EvidenceError, naming file and line, when the chain is damaged."""
        with self._mutex:
            self._refresh()
            return list(self._records)

    def head(self) -> Record | None:
        """The newest record; None while there is none. Raises as `records` does."""
        with self._mutex:
            self._refresh()
            return self._records[-1] if self._records else None

    def append(self, drafts: Sequence[Draft], *, actor: Actor, code: str) -> list[Record]:
        """Records `drafts`, in order, and returns the records once they are durable.

        Raises EvidenceError when the chain is damaged, WorldError when the disk refuses, TypeError or ValueError for a
        draft that cannot be recorded; nothing was promised then, though whole lines that reached the file stand.
        """
        with self._mutex, disk(self.root), self._exclusive():
            self._refresh()
            self._set_torn_aside()
            batch = self._compose(drafts, actor, code)
            if batch:
                self._choose_file()
                self._write(b"".join(line + b"\n" for line, _ in batch))
            for line, record in batch:
                self._cursor.advance(line, record)
                self._records.append(record)
            return [record for _, record in batch]

    def _refresh(self) -> None:
        for finding in scan(self.root, self._cursor):
            if finding.problem or finding.record is None:
                self._cursor, self._records = Cursor(), []  # so that the next reading meets the damage again
                remedy = _UPGRADE if finding.newer else _RESTORE
                raise EvidenceError(f"{finding.where}: {finding.problem}", remedy=remedy)
            self._records.append(finding.record)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        make_below(self.root.parent, self.root)
        with (self.root / LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # let go when the file is closed, also by the death of this process
            yield

    def _set_torn_aside(self) -> None:
        torn = self._cursor.torn
        if not torn:
            return
        make_directory(self.root / TORN)
        # Kept, durably, before it is cut off: whoever doubts that nothing was promised can still read it.
        write_durably(self.root / TORN / f"{len(self._records) + 1:012d}-{digest(torn)[:16]}", torn)
        with (self.root / self._cursor.file).open("r+b") as file:
            file.truncate(self._cursor.offset)
            os.fsync(file.fileno())
        self._cursor.torn = b""

    def _compose(self, drafts: Sequence[Draft], actor: Actor, code: str) -> list[tuple[bytes, Record]]:
        batch: list[tuple[bytes, Record]] = []
        previous = self._records[-1].digest if self._records else GENESIS
        time = now()
        for sequence, draft in enumerate(drafts, len(self._records) + 1):
            line = encode(draft, sequence=sequence, previous=previous, time=time, actor=actor, code=code)
            batch.append((line, decode(line)))  # decoded, so that nothing is ever written that cannot be read
            previous = batch[-1][1].digest
        return batch

    def _choose_file(self) -> None:
        if not self._cursor.file or self._cursor.line >= self._roll:
            self._cursor.enter(f"{len(self._records) + 1:012d}.jsonl")
            with (self.root / self._cursor.file).open("ab"):
                sync_directory(self.root)

    def _write(self, data: bytes) -> None:
        with (self.root / self._cursor.file).open("ab", buffering=0) as file:
            written = file.write(data)
            while written < len(data):  # only a disk that fills up writes less; the next attempt says why
                written += file.write(data[written:])
            os.fsync(file.fileno())


class LedgerPart(Ledger):
    """The first `count` records of a ledger: the chain as it was when it was so long. Nothing can be appended."""

    def __init__(self, whole: Ledger, count: int) -> None:
        super().__init__(whole.root)
        self._records = whole.records()[:count]

    def append(self, drafts: Sequence[Draft], *, actor: Actor, code: str) -> list[Record]:
        """Raises ValueError: what was cannot be added to."""
        raise ValueError(f"{len(drafts)} records by {actor.name} ({code}) for a part of a ledger, which is only read")

    def _refresh(self) -> None:
        return


def _digest_member(name: str) -> bytes:
    # No JSON string can contain these bytes, its quotes being escaped: the first place where they stand is the member.
    return b',"digest":"' + name.encode() + b'"'


def _files(root: Path, cursor: Cursor) -> list[str]:
    with disk(root):
        entries = list(root.iterdir()) if root.is_dir() else []
    names = {path.name for path in entries if FILE_NAME.fullmatch(path.name) and path.is_file()}
    return sorted({name for name in names if name > cursor.file} | ({cursor.file} - {""}))


def _enter(cursor: Cursor, name: str) -> Iterator[Finding]:
    if cursor.torn:
        problem = "an unfinished line, and the ledger goes on behind it"
        yield Finding(where=f"ledger/{cursor.file}:{cursor.line + 1}", problem=problem)
        cursor.sequence = cursor.digest = None
    first = int(name.removesuffix(".jsonl"))
    if cursor.sequence is not None and first != cursor.sequence + 1:
        problem = f"begins with record {first} by its name, and record {cursor.sequence + 1} is due"
        yield Finding(where=f"ledger/{name}", problem=problem)
        cursor.digest = None
    cursor.sequence = first - 1
    cursor.enter(name)


def _examine(cursor: Cursor, line: bytes) -> Finding:
    due, previous = cursor.sequence, cursor.digest
    try:
        record = decode(line)
    except (ValueError, RecursionError) as error:
        cursor.advance(line, None)
        newer = isinstance(error, NewerFormatError)
        return Finding(where=cursor.where, line=line, problem=str(error), newer=newer)
    cursor.advance(line, record)
    problem = ""
    if due is not None and record.sequence != due + 1:
        problem = f"out of place: record {record.sequence} stands where record {due + 1} is due"
    elif previous is not None and record.previous != previous:
        problem = f"out of place: record {record.sequence} does not follow the record before it"
    return Finding(where=cursor.where, line=line, record=record, problem=problem)


_REFERENCE = ({"role", "digest"}, {"role", "digest", "rows"})
_SHAPE: dict[str, tuple[type, ...]] = {
    "format": (int,),
    "sequence": (int,),
    "time": (str,),
    "kind": (str,),
    "stage": (str,),
    "key": (str, type(None)),
    "inputs": (list,),
    "outputs": (list,),
    "parameters": (dict,),
    "rules": (int,),
    "code": (str,),
    "actor": (dict,),
    "previous": (str,),
}


def _record(document: dict[str, Any], name: str) -> Record:
    if document.keys() != _SHAPE.keys():
        raise ValueError(f"wrong shape: members {', '.join(map(repr, sorted(document.keys() ^ _SHAPE.keys())))}")
    for member, types in _SHAPE.items():
        if type(document[member]) not in types:  # so no bool passes for an integer
            raise ValueError(f"wrong shape: member {member!r} is {document[member]!r}")
    if document["format"] != FORMAT:
        raise ValueError(f"wrong shape: format {document['format']} never was")
    if not _TIME.fullmatch(document["time"]):
        raise ValueError(f"wrong shape: time {document['time']!r} is not UTC with microseconds")
    if document["key"] is not None and not is_digest(document["key"]):
        raise ValueError(f"wrong shape: key {document['key']!r} is no digest")
    return Record(
        kind=Kind(document["kind"]),
        stage=document["stage"],
        key=document["key"],
        inputs=tuple(_reference(item) for item in document["inputs"]),
        outputs=tuple(_reference(item) for item in document["outputs"]),
        parameters=document["parameters"],
        rules=document["rules"],
        sequence=document["sequence"],
        time=document["time"],
        code=document["code"],
        actor=_actor(document["actor"]),
        previous=document["previous"],
        digest=name,
    )


def _reference(item: Any) -> Reference:
    """What a record says of an artefact; without pattern matching, which takes most of the time of reading a ledger."""
    if type(item) is dict and item.keys() in _REFERENCE:
        role, name, rows = item["role"], item["digest"], item.get("rows", "")
        if type(role) is str and is_digest(name) and type(rows) is str:
            return Reference(role=role, digest=name, rows=rows if "rows" in item else None)
    raise ValueError(f"wrong shape: {item!r} is no reference to an artefact")


def _actor(item: dict[str, Any]) -> Actor:
    match item:
        case {"name": str(name), "fingerprint": str(fingerprint)} if len(item) == 2:
            return Actor(name=name, fingerprint=fingerprint)
        case _:
            raise ValueError(f"wrong shape: {item!r} is no actor")
