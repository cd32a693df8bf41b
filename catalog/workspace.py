"""A workspace: the evidence store, the ledger and the reports in one folder, and the lookups that pipelines make there.

plimsoll.json         the format of the workspace
objects/ab/cdef…      artefacts            (catalog.store)
ledger/*.jsonl        records              (catalog.ledger)
reports/<occasion>/   what people open, of a phase or of a regression's date; copies of artefacts
incoming/<run>/       what a test run has written so far (catalog.underway)
run.lock              held while a run goes on
"""

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.bucket import BucketLedger, attached
from catalog.canonical import canonical
from catalog.errors import EvidenceError, UsageError, WorldError
from catalog.keyring import refuse_ended
from catalog.ledger import Actor, Draft, Kind, Ledger, LedgerPart, Record
from catalog.lineage import withdrawals
from catalog.locking import held
from catalog.signing import Signer
from catalog.store import ObjectStore, disk, make_below, make_directory, parse, write_durably
from catalog.tree import head_of

FORMAT = 1
FORMAT_FILE = "plimsoll.json"
REPORT_FILES = ("report.json", "report.html")
REPORT_PART = re.compile(r"report-[a-z]+(?:-[0-9]+)?\.html")
"""The names of a report's further pages, where it has so many tests that it comes in parts."""
HISTORY, HISTORY_FILES = "trend", ("history.json", "history.html", "junit.xml")
"""The stage that records the history of regressions, and what it puts out beside the report of the newest."""

_FORMAT_TEXT = canonical({"format": FORMAT}) + b"\n"
_OURS = {FORMAT_FILE, "ledger", "objects", "reports", "incoming", "run.lock", "plimsoll.duckdb"}
_COPY = "Restore the workspace from a copy."


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One test run: the record of its start, and the one of its end (None when it was interrupted)."""

    id: str
    started: Record
    executed: Record | None


def pair_runs(records: Sequence[Record]) -> list[Run]:
    """Every `started` record with the `executed` one of the same run (`parameters["run"]`), in order of start."""
    ends = {str(record.parameters.get("run")): record for record in records if record.kind is Kind.EXECUTED}
    starts = [(str(record.parameters.get("run")), record) for record in records if record.kind is Kind.STARTED]
    return [Run(id=name, started=record, executed=ends.get(name)) for name, record in starts]


def occasion_of(record: Record) -> Any:
    """What a `reported` record reports on, by which its folder is named: a phase, or a regression's date."""
    return record.parameters.get("occasion", record.parameters.get("phase"))


def newest_reported(records: Iterable[Record]) -> dict[str, Record]:
    """The record of the newest report of each phase (or regression's date), by its name, in order of the first ones."""
    return {str(occasion_of(record)): record for record in records if record.kind is Kind.REPORTED}


def newest_reports(workspace: "Workspace", records: Sequence[Record] | None = None) -> dict[str, tuple[Record, Any]]:
    """The newest report of each phase (or regression's date) by its name: its record, and report.json.

    Of these `records`, or of the whole ledger. Those that rest on what was withdrawn are among them; those whose
    document is not here are not: a bundle has those of its phase and of the phases before.
    """
    found = newest_reported(workspace.ledger.records() if records is None else records)
    named = {phase: (record, record.output(REPORT_FILES[0]) or "") for phase, record in found.items()}
    return {
        phase: (record, workspace.store.document(name))
        for phase, (record, name) in named.items()
        if name and workspace.store.has(name)
    }


def report_files(record: Record) -> list[str]:
    """The files for people that a record names: of a report those that every report has and its parts, of a history."""
    if record.stage == HISTORY:
        return list(HISTORY_FILES)
    parts = [output.role for output in record.outputs if REPORT_PART.fullmatch(output.role)]
    return [*REPORT_FILES, *sorted(parts)]


def check_format(home: Path) -> None:
    """Raises EvidenceError unless `home` is a workspace that this version can read."""
    file = home / FORMAT_FILE
    try:
        with disk(file):
            data = file.read_bytes()
        written = parse(data)["format"]
        if type(written) is not int or written < 1:
            raise ValueError(f"format {written!r}")
    except (ValueError, KeyError, TypeError) as error:
        raise EvidenceError(f"{file} does not state the format of the workspace: {error}", remedy=_COPY) from error
    if written > FORMAT:
        message = f"{home} was written in format {written}, and this version reads format {FORMAT}"
        raise EvidenceError(message, remedy="Upgrade Plimsoll, or name another workspace with --home.")
    if data != _FORMAT_TEXT:
        raise EvidenceError(f"{file} was altered: expected {_FORMAT_TEXT!r}, found {data[:80]!r}", remedy=_COPY)


def is_workspace(home: Path) -> bool:
    """Whether there is a workspace at `home`, or what is left of one: opening it then says what is missing."""
    return (home / FORMAT_FILE).exists() or (home / "objects").exists() or any((home / "ledger").glob("*"))


def refuse_as_home(home: Path) -> None:
    """Raises UsageError for a `home` that is there and can be no workspace: no folder, or a folder of other things."""
    remedy = "Name a workspace, or a folder that does not exist yet, with --home."
    try:
        names = {path.name for path in home.iterdir()}
    except FileNotFoundError:
        if home.is_symlink():
            raise UsageError(f"{home} is a link to what does not exist", remedy=remedy) from None
        return
    except PermissionError as error:
        raise WorldError(f"{home} cannot be read: {error.strerror}", remedy="Check its permissions.") from error
    except OSError as error:
        reason = "is no folder" if isinstance(error, NotADirectoryError) else f"is no folder: {error.strerror}"
        raise UsageError(f"{home} {reason}", remedy=remedy) from error
    visible = {name for name in names if not name.startswith(".")}
    if visible and not visible & _OURS:
        raise UsageError(f"{home} is a folder of other things, and no workspace", remedy=remedy)


class Workspace:
    """The workspace in the folder `home`; get one by `Workspace.open`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.store = ObjectStore(home / "objects")
        self.bucket = attached(home)
        ledger = home / "ledger"
        self.ledger = BucketLedger(ledger, self.bucket, self.store) if self.bucket else Ledger(ledger)
        self.reports = home / "reports"
        self._mutex = threading.Lock()
        self._known: set[str] = set()
        self._by_key: dict[str, list[Record]] = {}
        self._tainted: dict[str, Record] = {}

    @classmethod
    def open(cls, home: Path, *, create: bool = False) -> "Workspace":
        """The workspace at `home`, made there if it does not exist and `create` says so.

        Raises UsageError where there is none, EvidenceError for one that has lost its format file or was written by a
        newer version, WorldError when the disk refuses.
        """
        if not (home / FORMAT_FILE).exists():
            _refuse_or_create(home, create=create)
        check_format(home)
        return cls(home)

    def record(self, *drafts: Draft, actor: Actor, code: str) -> list[Record]:
        """Appends `drafts` to the ledger and returns their records once they are durable.

        Raises EvidenceError when a draft names what is neither in the store nor, as an input, an earlier record.
        """
        self._index()
        for draft in drafts:
            self._refuse_dangling(draft)
        return self.ledger.append(drafts, actor=actor, code=code)

    def find(self, key: str, occasion: str) -> Record | None:
        """The newest record that ended the stage with key `key` (a digest) within `occasion`; see `matching`."""
        return next(reversed(self.matching(key, occasion)), None)

    def matching(self, key: str, occasion: str) -> list[Record]:
        """The records, oldest first, that ended a stage with key `key` within `occasion` (`parameters["occasion"]`).

        One that was withdrawn, rests on what was, or whose outputs are not all there is left out.
        """
        self._index()
        found = [record for record in self._by_key.get(key, []) if record.parameters.get("occasion") == occasion]
        return [record for record in found if record.digest not in self._tainted and self._outputs_exist(record)]

    def select(self, kind: Kind, **parameters: Any) -> list[Record]:
        """The records of `kind`, oldest first, with these `parameters`, but for those that withdrawals taint."""
        return [
            record
            for record in self._index()
            if record.kind is kind
            and parameters.items() <= dict(record.parameters).items()
            and record.digest not in self._tainted
        ]

    def withdrawn(self) -> set[str]:
        """Digests of the records and artefacts that were withdrawn or rest on what was."""
        return set(self.withdrawals())

    def withdrawals(self) -> dict[str, Record]:
        """The same, each with the record of the withdrawal that it is so by (`catalog.lineage.withdrawals`)."""
        self._index()
        return dict(self._tainted)

    def until(self, sequence: int) -> "Workspace":
        """The workspace as it was when record `sequence` was its newest, to be read only. Its objects are today's."""
        earlier = Workspace(self.home)
        earlier.ledger = LedgerPart(self.ledger, sequence)
        return earlier

    def runs(self) -> list[Run]:
        """Every test run that was started, interrupted ones and withdrawn ones among them."""
        return pair_runs(self.ledger.records())

    def publish(self, record: Record) -> list[Path]:
        """Writes the reports, or the history, that a record names to `reports/<occasion>/`, for people: the files.

        After the record and not before it: a report that no record names is a fault to `verify`.
        """
        folder = self.reports / str(occasion_of(record))
        files = []
        with disk(folder):
            make_below(self.home, folder)
            for role in report_files(record):
                if name := record.output(role):
                    data = self.store.get(name)
                    write_durably(folder / role, data)
                    if self.bucket:
                        self.bucket.replace(f"reports/{folder.name}/{role}", data)
                    files.append(folder / role)
        return files

    def sign(self, signer: Signer, *, phase: str, name: str, code: str) -> Record:
        """Signs the ledger's head as `phase` is reported, acting as `name`, and announces the key if that is due.

        Raises WorldError where the ledger says that the key was replaced or revoked.
        """
        self.announce(signer, name=name, code=code)
        records = self.ledger.records()
        draft = signer.sign_head(records[-1], head_of(records).root, phase=phase)
        return self.record(draft, actor=signer.actor(name), code=code)[0]

    def announce(self, signer: Signer, *, name: str, code: str) -> None:
        """Records the public key of `signer`, acting as `name`, unless it stands in the ledger already.

        Raises WorldError where the ledger says that the key was replaced or revoked.
        """
        refuse_ended(signer, self.ledger.records())
        announced = any(
            record.kind is Kind.KEY and record.parameters.get("public_key") == signer.public_key
            for record in self.ledger.records()
        )
        if not announced:
            self.record(signer.announcement(), actor=signer.actor(name), code=code)

    @contextmanager
    def lock(self, *, wait: Callable[[str], object] | None = None) -> Iterator[None]:
        """Holds the workspace for one run. While another run does: raises WorldError, naming its process, or waits for
        as long as it takes, once `wait` was told of whom. A run on another machine is never waited for.
        """
        with (
            held(self.home / "run.lock", f"the workspace {self.home}", wait=wait),
            self.bucket.lock() if self.bucket else nullcontext(),
        ):
            yield

    def _index(self) -> list[Record]:
        """All records, once the lookups know them."""
        with self._mutex:
            records = self.ledger.records()
            fresh = records[len(self._known) :]
            for record in fresh:
                if record.key is not None and record.kind is not Kind.STARTED:
                    self._by_key.setdefault(record.key, []).append(record)
            if fresh and (self._tainted or any(record.kind is Kind.WITHDRAWN for record in fresh)):
                self._tainted = withdrawals(records)
            self._known.update(record.digest for record in fresh)
            return records

    def _outputs_exist(self, record: Record) -> bool:
        return all(self.store.has(item.digest) for item in record.outputs)

    def _refuse_dangling(self, draft: Draft) -> None:
        needed = [*((item.role, item.digest) for item in draft.outputs), *([("key", draft.key)] if draft.key else [])]
        needed += [(item.role, item.digest) for item in draft.inputs if item.digest not in self._known]
        for role, name in needed:
            if not self.store.has(name):
                message = f"{draft.kind} {draft.stage} names {role} {name}, which is not in the evidence store"
                raise EvidenceError(message, remedy="Put the artefact into the store before it is recorded.")


def _refuse_or_create(home: Path, *, create: bool) -> None:
    if is_workspace(home):
        raise EvidenceError(f"{home / FORMAT_FILE} is missing", remedy="Restore the workspace from a copy.")
    if not create:
        remedy = "Name one with --home, or make one with `plimsoll run PHASE`."
        raise UsageError(f"there is no workspace at {home}", remedy=remedy)
    with disk(home):
        make_directory(home / "ledger")  # first: whatever state a crash leaves, a workspace without a ledger was robbed
        write_durably(home / FORMAT_FILE, _FORMAT_TEXT)
