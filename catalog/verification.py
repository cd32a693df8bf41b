"""Whether a workspace's evidence can be believed, checked offline and by nothing but its own bytes.

1. The ledger: every line canonical, with the digest it states, in its place in one chain; a last line without newline
   is an interrupted append, noted and accepted.
2. The objects: every file's bytes are the ones its name says; no file in `objects/` or `ledger/` is unknown.
3. Completeness: whatever a record names exists; every execution was started; every figure of every report leads to
   measurements, results, runs and their plans (`catalog.completeness`).
4. Signatures, keys, time anchors (`catalog.vouching`); where a reader gives keys, every report is signed by one.
   Every decision of a person is signed, and about what its record names (`catalog.decisions`).
5. The reports that people open are the recorded ones, and the page of lineage beside each says what the evidence says.
6. Freshness: a head that an auditor saved (`catalog.tree`, or a record's digest) is one of this chain, so that what the
   auditor saw then is a prefix of it and nothing up to it was replaced. Without one, a ledger that was cut short or
   rewritten from its start cannot be told from an honest one.
7. A bundle (`catalog.bundle`) has whatever the phase's records reach, says nothing that its own evidence does not, and
   holds no other file.

Damage never raises: each is a fault that names its place. Notes are what a reader should know and may accept.
"""

import hashlib
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.bundle import BUNDLE_FILE, described, said_in
from catalog.canonical import canonical
from catalog.completeness import Grounds
from catalog.decisions import decision_faults, fingerprint_of
from catalog.errors import PlimsollError
from catalog.hashing import Hashed, Progress, hash_files
from catalog.inspection.page import PAGE, page_fault
from catalog.ledger import FILE_NAME, LOCK, TORN, Cursor, Finding, Kind, Record, scan
from catalog.lineage import figures, tainted
from catalog.reach import reach
from catalog.store import INCOMING, ObjectStore, is_digest, parse
from catalog.tree import Head, head_of, roots
from catalog.underway import FOLDER, left
from catalog.vouching import Vouching
from catalog.workspace import (
    FORMAT_FILE,
    HISTORY,
    HISTORY_FILES,
    REPORT_FILES,
    REPORT_PART,
    Workspace,
    check_format,
    occasion_of,
    pair_runs,
    report_files,
)

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # a phase's or occasion's name that is safe as a folder's


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFault:
    """One thing that is wrong, and the record, object or file that it is wrong with."""

    what: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The outcome. `head` is the head of the tree over all records: what an auditor saves for the next time."""

    ok: bool
    records: int
    objects: int
    bytes: int
    faults: list[EvidenceFault]
    freshness: str
    head: str
    notes: list[str]

    def as_json(self) -> dict[str, Any]:
        """The outcome as `verify --json` gives it."""
        return asdict(self)


def verify(
    home: Path,
    *,
    head: str | None = None,
    keys: Collection[str] = (),
    authorities: "Sequence[Certificate]" = (),
    progress: Progress | None = None,
) -> Verification:
    """Checks the workspace at `home`. `head` is a saved one: `size:root`, or a record by digest or `sequence:digest`.

    `keys` are public keys or fingerprints, `authorities` certificates of time-stamping authorities, that the caller
    trusts. `progress` is told of the objects' bytes: those hashed so far, and those in all.
    """
    check = _Check(home, keys, authorities)
    check.attempt(lambda: check_format(home))
    check.attempt(check.read_bundle)
    check.attempt(check.read_ledger)
    check.attempt(lambda: check.hash_objects(progress or (lambda _done, _all: None)))
    if check.newer:
        check.tell_newer()
    else:
        for step in _STEPS:
            check.attempt(partial(step, check))
    fresh = not check.newer and check.check_head(head)
    return Verification(
        ok=not check.faults,
        records=len(check.records),
        objects=len(check.objects),
        bytes=check.bytes,
        faults=check.faults,
        freshness="proven" if fresh else "not proven",
        head=str(head_of(check.records)) if check.records else "",
        notes=check.notes,
    )


class _Check:
    """What was read and found so far. `objects` are the digests of files in the store, `intact` the sound ones."""

    def __init__(self, home: Path, keys: Collection[str], authorities: "Sequence[Certificate]") -> None:
        self.home = home
        self.keys = keys
        self.authorities = authorities
        self.store = ObjectStore(home / "objects")
        self.records: list[Record] = []
        self.objects: set[str] = set()
        self.intact: set[str] = set()
        self.bytes = 0
        self.newer: list[Finding] = []
        self.bundle: dict[str, Any] | None = None
        self.faults: list[EvidenceFault] = []
        self.notes: list[str] = []

    def attempt(self, step: Callable[[], None]) -> None:
        """Runs one step; what stops it is a fault too, and the other steps go on."""
        try:
            step()
        except (PlimsollError, OSError, RecursionError) as error:
            self.fault(str(error), str(self.home))

    def fault(self, what: str, where: str) -> None:
        """Notes a fault. Damaged names and texts may hold anything: what a terminal or UTF-8 could not is escaped."""
        self.faults.append(EvidenceFault(what=_printable(what), where=_printable(where)))

    def note(self, text: str) -> None:
        """Notes what is no fault."""
        self.notes.append(_printable(text))

    def read_bundle(self) -> None:
        """What a bundle says that it is of."""
        self.bundle = said_in(self.home)
        if self.bundle:
            self.note(f"this is a bundle of phase {self.bundle['phase']}, made at record {self.bundle['head']}")

    def read_ledger(self) -> None:
        """Rule 1, and the files that do not belong."""
        cursor = Cursor()
        for finding in scan(self.home / "ledger", cursor):
            self._judge(finding)
        if cursor.torn:
            where = f"ledger/{cursor.file}:{cursor.line + 1}"
            self.note(f"{where}: an interrupted append of {len(cursor.torn)} bytes; nothing was promised")
        for path in _entries(self.home / "ledger"):
            self._judge_ledger_file(path)
        if not (self.home / "ledger").is_dir():
            self.fault("missing: a workspace has a ledger before it has anything else", "ledger")

    def _judge(self, finding: Finding) -> None:
        if finding.record:
            self.records.append(finding.record)
        if finding.newer:
            self.newer.append(finding)
        elif self.newer:
            return  # what stands behind a line that cannot be read cannot be told to be in its place
        elif finding.problem:
            self.fault(finding.problem, finding.where)
        elif finding.record and not _is_canonical(finding.line):
            self.fault(f"record {finding.record.sequence} is not canonical JSON (RFC 8785)", finding.where)

    def _judge_ledger_file(self, path: Path) -> None:
        mode = path.lstat().st_mode
        if path.name == TORN and stat.S_ISDIR(mode):
            count = len(_entries(path))
            self.note(f"ledger/{TORN}: {count} interrupted appends were set aside; nothing in them was promised")
        elif not stat.S_ISREG(mode) or not (path.name == LOCK or FILE_NAME.fullmatch(path.name)):
            self.fault("a file that does not belong in the ledger", f"ledger/{path.name}")
        elif path.name != LOCK and not path.stat().st_size:
            self.note(f"ledger/{path.name} is empty: whoever began it was interrupted before the first record")

    def tell_newer(self) -> None:
        """One fault for all that a newer version wrote, in place of whatever else could not be understood for it."""
        first, count = self.newer[0], len(self.newer)
        lines = f"this line and {count - 1} more are" if count > 1 else "this line is"
        self.faults.clear()
        self.fault(f"{lines} {first.problem}; nothing else was checked against the ledger", first.where)

    def check_emptiness(self) -> None:
        """Rule 3, the other way round: evidence without a single record is what a ledger was taken from."""
        if self.records or any(fault.where.startswith("ledger") for fault in self.faults):
            return
        published = any((folder / role).exists() for folder in _entries(self.home / "reports") for role in REPORT_FILES)
        if self.objects or published:
            found = f"{len(self.objects)} objects" if self.objects else "published reports"
            what = f"holds no record, and there are {found}: records were taken away, or the first was never written"
            self.fault(what, "ledger")

    def hash_objects(self, progress: Progress) -> None:
        """Rule 2."""
        files = list(self._object_files())
        for (name, _), hashed in zip(files, hash_files([path for _, path in files], progress), strict=True):
            self._judge_object(name, hashed)

    def _object_files(self) -> Iterator[tuple[str, Path]]:
        for folder in _entries(self.store.root):
            if folder.name == INCOMING:
                if left := len(_entries(folder)):
                    self.note(f"objects/{INCOMING}: {left} unfinished writes; no record can name them")
            elif not stat.S_ISDIR(folder.lstat().st_mode):
                self.fault("a file that does not belong in the evidence store", f"objects/{folder.name}")
            else:
                yield from self._folder_files(folder)

    def _folder_files(self, folder: Path) -> Iterator[tuple[str, Path]]:
        for path in _entries(folder):
            name = folder.name + path.name
            if len(folder.name) == 2 and is_digest(name) and stat.S_ISREG(path.lstat().st_mode):
                yield name, path
            else:
                what = "a file that does not belong in the evidence store"
                self.fault(what, f"objects/{folder.name}/{path.name}")

    def _judge_object(self, name: str, hashed: Hashed) -> None:
        self.objects.add(name)
        self.bytes += hashed.size
        if hashed.error is not None:
            self.fault(str(hashed.error), str(self.home))
        elif hashed.digest == name:
            self.intact.add(name)
        else:
            self.fault(f"object {name} is altered: its bytes are {hashed.digest}", _object(name))

    def check_references(self) -> None:
        """Rule 3: what records name exists, in a bundle as far as the phase reaches. An input may be a record, too."""
        needed = reach(self.records, self.bundle["phase"]).objects if self.bundle else None
        elsewhere = 0
        seen: set[str] = set()
        missing: set[str] = set()
        for record in self.records:
            named = [(f"output {item.role}", item.digest) for item in record.outputs]
            named += [(f"input {item.role}", item.digest) for item in record.inputs if item.digest not in seen]
            named += [("key", record.key)] if record.key else []
            for role, name in named:
                if name in self.objects or name in missing:
                    continue
                missing.add(name)
                if needed is not None and name not in needed:
                    elsewhere += 1
                else:
                    self.fault(f"object {name} is missing: {record} names it as its {role}", _object(name))
            seen.add(record.digest)
        if elsewhere:
            self.note(f"objects: {elsewhere} that only other phases rest on are not in this bundle")
        self._note_unused()

    def check_bundle(self) -> None:
        """Rule 7."""
        if not self.bundle:
            return
        head = str(head_of(self.records)) if self.records else "none"
        if self.bundle["head"] != head:
            self.fault(f"was made at record {self.bundle['head']}, and the ledger ends with {head}", BUNDLE_FILE)
        phase = self.bundle["phase"]
        reported = [each for each in self.records if each.kind is Kind.REPORTED and occasion_of(each) == phase]
        if not reported:
            self.fault(f"is of phase {phase!r}, of which the ledger has no report", BUNDLE_FILE)
            return
        self._check_said(described(Workspace(self.home), self.records, reported[-1]), report_files(reported[-1]))

    def _check_said(self, said: dict[str, bytes], reports: list[str]) -> None:
        """What the bundle says beside the evidence, against what the evidence says; and no file but what belongs."""
        expected = {**said, **{f"reports/{self.bundle['phase']}/{role}": b"" for role in reports}}  # type: ignore[index]  # there is one
        for name, data in said.items():
            file = self.home / name
            if _kind(file) != "file":
                self.fault(f"a {_kind(file)} where a file is due" if _kind(file) else "missing", name)
            elif file.name != PAGE and file.read_bytes() != data:
                self.fault("altered: it is not what the evidence makes it", name)
        for path in sorted(self.home.rglob("*")):
            name = path.relative_to(self.home).as_posix()
            evidence = name.startswith(("objects/", "ledger/")) or name == FORMAT_FILE
            if not evidence and name not in expected and _kind(path) != "folder":
                self.fault("a file that does not belong in a bundle", name)

    def _note_unused(self) -> None:
        used = {item.digest for record in self.records for item in (*record.inputs, *record.outputs)}
        used |= {record.key for record in self.records if record.key}
        if unused := len(self.objects - used):
            self.note(f"objects: {unused} are named by no record")

    def check_signatures(self) -> None:
        """Rule 4."""
        vouching = Vouching(self.records, self.keys, whole=self._is_chain())
        vouching.check_anchors(self.store, self.intact, self.authorities)
        for what, where in vouching.faults:
            self.fault(what, where)
        for note in vouching.notes:
            self.note(note)
        announced: dict[str, str] = {}
        for record in self.records:
            if record.kind is Kind.KEY:
                announced[str(record.parameters.get("public_key"))] = fingerprint_of(record)
            for what in decision_faults(record, announced):
                if EvidenceFault(what=what, where=str(record)) not in self.faults:  # signatures were checked above
                    self.fault(what, str(record))

    def _is_chain(self) -> bool:
        return not any(fault.where.startswith("ledger") for fault in self.faults)

    def note_runs(self) -> None:
        """Rule 3: an execution without its start is a fault, a start without its end an interrupted run."""
        started: set[str] = set()
        for record in self.records:
            run = str(record.parameters.get("run"))
            if record.kind is Kind.STARTED:
                started.add(run)
            elif record.kind is Kind.EXECUTED and run not in started:
                self.fault(f"executed run {run!r}, and no record before it says that it was started", str(record))
        for interrupted in (pair for pair in pair_runs(self.records) if pair.executed is None):
            self.note(f"{interrupted.started}: run {interrupted.id!r} was interrupted")
        for ended in (pair.executed for pair in pair_runs(self.records) if pair.executed):
            if ended.parameters.get("state") == "interrupted":
                told = f"{ended.parameters.get('reason')}".splitlines() or [""]
                self.note(f"{ended}: run {ended.parameters.get('run')!r} was interrupted: {told[-1]}")

    def note_underway(self) -> None:
        """What runs have left behind that is no evidence yet."""
        pairs = {pair.id: pair for pair in pair_runs(self.records)}
        for run, folder in left(self.home).items():
            files = [path for path in folder.rglob("*.rows") if _kind(path) == "file"]
            held = f"{sum(path.stat().st_size for path in files)} bytes of results in {len(files)} segments"
            match pairs.get(run):
                case None:
                    about = "of no run that a record names"
                case pair if pair.executed is None:
                    about = f"of run {run!r}, which goes on or was interrupted; the next `plimsoll run` records them"
                case _:
                    about = f"of run {run!r}, whose end is recorded; they are needed no more"
            self.note(f"{FOLDER}/{folder.name}: {held} {about}")

    def check_reports(self) -> None:
        """Rule 5, and rule 3 for the figures."""
        newest: dict[str, Record] = {}
        grounds, spoilt = Grounds(self.records), tainted(self.records)
        for what, where in grounds.faults:
            self.fault(what, where)
        for record in (item for item in self.records if item.kind is Kind.REPORTED):
            occasion = occasion_of(record)
            if isinstance(occasion, str) and _PLAIN.fullmatch(occasion):
                newest[occasion] = record
            else:
                self.fault(f"reports a phase without a proper name: {occasion!r}", str(record))
            self._check_figures(record, grounds, spoilt)
        for occasion, record in newest.items():
            if self.bundle is None or occasion == self.bundle["phase"]:
                self._check_published(occasion, record)
        for occasion, record in {occasion_of(item): item for item in self.records if item.stage == HISTORY}.items():
            if self.bundle is None and occasion in newest:
                self._check_published(occasion, record)
        for folder in _entries(self.home / "reports"):
            self._check_unrecorded(folder, newest)

    def _check_figures(self, record: Record, grounds: Grounds, spoilt: set[str]) -> None:
        for role in REPORT_FILES:
            if record.output(role) is None:
                self.fault(f"has no output {role}", str(record))
        name = record.output(REPORT_FILES[0])
        if name not in self.intact:
            return  # missing or altered, which is a fault already
        try:
            report = parse(self.store.get(name))
        except ValueError as error:
            self.fault(f"report.json of {record} is not a JSON document: {error}", _object(name))
            return
        known = self.objects | {item.digest for item in self.records}
        for figure in figures(report):
            for what in grounds.figure_faults(figure, known):
                self.fault(what, f"report.json of {record}, figure {figure['figure']!r}")
            if any(item in spoilt for item in _evidence(figure)):
                self.note(f"report.json of {record}: figure {figure['figure']!r} rests on withdrawn evidence")

    def _check_published(self, occasion: str, record: Record) -> None:
        earlier = [item for item in self.records if occasion_of(item) == occasion and item is not record]
        for role in report_files(record):
            file = self.home / "reports" / occasion / role
            where = f"reports/{occasion}/{role}"
            if (kind := _kind(file)) not in ("", "file"):
                self.fault(f"a {kind} where a report is due; its bytes are object {record.output(role)}", where)
                continue
            if not kind:
                told = f"missing; its bytes are object {record.output(role)}"
                self.fault(told, where) if self.bundle else self.note(f"{where} is {told}")
                continue
            found = hashlib.sha256(file.read_bytes()).hexdigest()
            if any(item.output(role) == found for item in earlier):
                self.note(f"{where} is an earlier report than the newest, {record}")
            elif found != record.output(role):
                self.fault(f"altered: it is not the {role} that {record} recorded", where)

    def _check_unrecorded(self, folder: Path, recorded: dict[str, Record]) -> None:
        """What lies under `reports/` beside the recorded reports: one that looks like a report is a fault."""
        if _kind(folder) != "folder":
            self.note(f"reports/{folder.name}: a {_kind(folder)} that no record names")
            return
        for path in _entries(folder):
            where = f"reports/{folder.name}/{path.name}"
            if path.name == PAGE and _kind(path) == "file":
                self.attempt(partial(self._check_page, path, folder.name, where))
            elif path.name not in (*REPORT_FILES, *HISTORY_FILES) and not REPORT_PART.fullmatch(path.name):
                self.note(f"{where}: a {_kind(path)} that no record names")
            elif folder.name not in recorded:
                self.fault("a report that no record names", where)

    def _check_page(self, path: Path, phase: str, where: str) -> None:
        """The page of lineage beside a report: it says what the evidence says, or it is a fault."""
        if fault := page_fault(path.read_bytes(), Workspace(self.home), self.records, phase, bundle=bool(self.bundle)):
            self.fault(fault, where)

    def check_head(self, head: str | None) -> bool:
        """Rule 6: whether `head` is one of this chain; a fault if it is not."""
        if head is None:
            return False
        found = self._saved(head)
        if found is None:
            size = head.partition(":")[0]
            cut = size.isascii() and size.isdigit() and int(size) > len(self.records)
            why = (
                f"it was cut short, and ends with record {len(self.records)}" if cut else "it was cut short or replaced"
            )
            self.fault(f"the saved head {head!r} is none of this ledger: {why}", "ledger")
            return False
        if not self._is_chain():
            return False  # what the chain does not hold together cannot be known to be what led to that record
        later = len(self.records) - found.sequence
        self.note(f"the saved head is {found} of {found.time}: a prefix of this ledger; {later} records came after it")
        return True

    def _saved(self, head: str) -> Record | None:
        """The last record of a saved head; None where this ledger has no such head."""
        stated = Head.parse(head)
        if stated and 0 < stated.size <= len(self.records):
            last = self.records[stated.size - 1]
            if stated.root in (last.digest, roots(self.records, {stated.size})[stated.size]):
                return last
        if ":" in head:
            return None
        return next((item for item in self.records if item.digest == head), None)


_STEPS = (
    _Check.check_emptiness,
    _Check.check_references,
    _Check.check_signatures,
    _Check.note_runs,
    _Check.note_underway,
    _Check.check_reports,
    _Check.check_bundle,
)


def _kind(path: Path) -> str:
    """What sort of thing is at `path`, links not followed; empty where there is nothing."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return ""
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
    return kinds.get(stat.S_IFMT(mode), "special file")


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _object(name: str) -> str:
    return f"objects/{name[:2]}/{name[2:]}"


def _entries(folder: Path) -> list[Path]:
    """What is in `folder`, in order; nothing where it is no folder."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(folder.iterdir(), key=lambda path: os.fsencode(path.name))


def _is_canonical(line: bytes) -> bool:
    try:
        return canonical(parse(line)) == line
    except (ValueError, TypeError, RecursionError):
        return False


def _evidence(figure: dict[str, Any]) -> list[Any]:
    evidence = figure.get("evidence")
    return [item for item in evidence if isinstance(item, str)] if isinstance(evidence, list) else []
