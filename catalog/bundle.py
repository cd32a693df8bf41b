"""A bundle: one zip file with everything that one phase's evidence consists of, to be checked by whoever gets it.

README.md             what an auditor does with it
verify.py             a verifier that needs nothing of this package (`catalog.second_verifier`)
bundle.json           the phase, and the head of the ledger that it was made from
plimsoll.json         as in a workspace
ledger/*.jsonl        the whole ledger: what happened later, such as a withdrawal, must not be hidden
objects/ab/cdef…      every artefact that the phase's records reach (`catalog.reach`)
reports/<phase>/      the newest report, and lineage.html to walk through what it rests on (`catalog.inspection`)
catalogue/            the files of the catalogue as they were recorded for it
lineage.json          what rests on what, and the evidence of each figure

The same workspace gives the same bytes on any machine: names in order, one fixed time, nothing compressed (tables are
already). So a member that is compressed, named twice, or has a name that none of these has is refused unread.
"""

import hashlib
import os
import re
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import quote

from catalog.canonical import canonical
from catalog.errors import EvidenceError, UsageError
from catalog.hints import suggestion
from catalog.inspection.page import PAGE, page_of
from catalog.ledger import FILE_NAME, Kind, Record
from catalog.lineage import figures
from catalog.reach import Reach, reach
from catalog.store import disk, parse, sync_directory
from catalog.tree import head_of
from catalog.workspace import (
    FORMAT_FILE,
    REPORT_FILES,
    REPORT_PART,
    Workspace,
    newest_reported,
    occasion_of,
    report_files,
)

FORMAT = 1
BUNDLE_FILE, README, LINEAGE, CATALOGUE = "bundle.json", "README.md", "lineage.json", "catalogue"
VERIFIER = "verify.py"

MOST_MEMBERS = 1_000_000
LARGEST = 1 << 40
"""So many members may a bundle have, and so many bytes all of them together."""

_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can tell
_CHUNK = 1 << 20
_FILE = "file:"
_PART = r"\w[^/\\:\x00-\x1f\x7f]*"
_MEMBER = re.compile(
    rf"{re.escape(FORMAT_FILE)}|{BUNDLE_FILE}|{re.escape(README)}|{LINEAGE}|{re.escape(VERIFIER)}|ledger/[0-9]{{12}}\.jsonl"
    rf"|objects/[0-9a-f]{{2}}/[0-9a-f]{{62}}|reports/{_PART}/({'|'.join(map(re.escape, (*REPORT_FILES, PAGE)))}"
    rf"|{REPORT_PART.pattern})"
    rf"|{CATALOGUE}(/{_PART})+"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A bundle that was written: its file, the SHA-256 of it, and what it holds."""

    file: Path
    digest: str
    occasion: str
    records: int
    objects: int
    bytes: int
    head: str

    def as_json(self) -> dict[str, Any]:
        """As `export --json` gives it."""
        return {
            "file": str(self.file),
            "sha256": self.digest,
            "phase": self.occasion,
            "records": self.records,
            "objects": self.objects,
            "bytes": self.bytes,
            "head": self.head,
        }


def export(workspace: Workspace, occasion: str, file: Path) -> Exported:
    """Writes the bundle of a phase (or of a regression's date) to `file`, in one step: it is there whole or not at all.

    Raises UsageError for a phase without a report and for a `file` that is something else already, EvidenceError when
    what belongs in it is damaged or missing, WorldError when the disk refuses.
    """
    records = workspace.ledger.records()
    reported = newest_report(records, occasion)
    _refuse_in_the_way(file, workspace)
    found = reach(records, occasion)
    members = [
        *_described(workspace, records, reported),
        *_ledger(workspace, len(records)),
        *_objects(workspace, found),
    ]
    with disk(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "w+b") as stream:
                _write(stream, sorted(members, key=lambda each: each.name))
                stream.flush()
                os.fchmod(stream.fileno(), 0o644)
                os.fsync(stream.fileno())
                size = stream.seek(0, os.SEEK_END)
                stream.seek(0)
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            temporary.rename(file)
        finally:
            temporary.unlink(missing_ok=True)
        sync_directory(file.parent)
    return Exported(
        file=file,
        digest=digest,
        occasion=occasion,
        records=len(records),
        objects=len(found.objects),
        bytes=size,
        head=str(head_of(records)),
    )


def newest_report(records: Iterable[Record], occasion: str) -> Record:
    """The newest report of a phase. Raises UsageError where there is none, with the nearest name that has one."""
    reports = newest_reported(records)
    if occasion in reports:
        return reports[occasion]
    remedy = suggestion(occasion, list(reports)) or "Make one with `plimsoll run PHASE`."
    raise UsageError(f"there is no report of {occasion!r} in this ledger", remedy=remedy)


def is_bundle(path: Path) -> bool:
    """Whether there is a zip file at `path`."""
    return path.is_file() and zipfile.is_zipfile(path)


def unpack(file: Path, folder: Path) -> Path:
    """Unpacks a bundle into the empty `folder`, which is then a workspace to be read; returns it.

    Raises EvidenceError, before anything of it is written, for what no bundle has: a name that leads out of it or that
    nothing in a bundle has, one that stands twice, a link, a compressed or an encrypted member, members that are more
    or larger than the file can hold.
    """
    try:
        with disk(file), zipfile.ZipFile(file) as archive:
            _refuse_strange(file, archive)
            for member in archive.infolist():
                target = folder / member.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, target.open("xb") as out:
                    _copy(source, out)
            return folder
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, ValueError) as error:
        raise _strange(file, f"cannot be read: {error}") from error


def said_in(home: Path) -> dict[str, Any] | None:
    """What the bundle at `home` says that it is, None where it is a workspace. Raises EvidenceError for nonsense."""
    path = home / BUNDLE_FILE
    if not path.is_file():
        return None
    with disk(path):
        data = path.read_bytes()
    try:
        said = parse(data)
    except ValueError:
        said = None
    match said:
        case {"format": 1, "phase": str(), "head": str()} if canonical(said) + b"\n" == data:
            return dict(said)
        case _:
            raise EvidenceError(f"{BUNDLE_FILE} does not say what the bundle is of")


def described(workspace: Workspace, records: list[Record], reported: Record) -> dict[str, bytes]:
    """What a bundle says beside the evidence, each file by its name, all of it made from the evidence alone."""
    occasion = str(occasion_of(reported))
    said = {"format": FORMAT, "phase": occasion, "head": str(head_of(records))}
    return {
        BUNDLE_FILE: canonical(said) + b"\n",
        README: _readme(occasion, records, reported).encode(),
        VERIFIER: second_verifier(),
        LINEAGE: canonical(lineage_document(workspace, records, reported)) + b"\n",
        f"reports/{occasion}/{PAGE}": page_of(workspace, records, occasion, bundle=True),
        **{
            f"{CATALOGUE}/{_plain(name)}": workspace.store.get(digest)
            for name, digest in catalogue_of(records, reported)
        },
    }


def second_verifier() -> bytes:
    """The verifier that a bundle carries."""
    return Path(__file__).with_name("second_verifier.py").read_bytes()


def catalogue_of(records: list[Record], reported: Record) -> list[tuple[str, str]]:
    """The files of the catalogue that a report rests on, each with its digest."""
    wanted = next((item.digest for item in reported.inputs if item.role == "programme"), None)
    for record in reversed(records[: reported.sequence]):
        if record.kind is Kind.DECLARED and record.output("programme") == wanted:
            files = [item for item in record.outputs if item.role.startswith(_FILE)]
            return [(item.role.removeprefix(_FILE), item.digest) for item in files]
    return []


def _plain(name: str) -> str:
    """The name of a catalogue's file, parts of it quoted where no member of a bundle may be named so."""
    return "/".join(part if re.fullmatch(_PART, part) else f"_{quote(part, safe='')}" for part in name.split("/"))


def lineage_document(workspace: Workspace, records: list[Record], reported: Record) -> dict[str, Any]:
    """The graph that the ledger spans, and the evidence of each figure of a report."""
    report = workspace.store.document(reported.output(REPORT_FILES[0]) or "")
    return {
        "report": reported.digest,
        "figures": {str(each["figure"]): each.get("evidence") for each in figures(report)},
        "records": [
            {
                "sequence": record.sequence,
                "time": record.time,
                "kind": str(record.kind),
                "stage": record.stage,
                "digest": record.digest,
                "key": record.key,
                "inputs": [item.as_json() for item in record.inputs],
                "outputs": [item.as_json() for item in record.outputs],
            }
            for record in records
        ],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """A file of the bundle: its name, and what copies its bytes."""

    name: str
    size: int
    copy: Callable[[Any], None]


def _bytes(name: str, data: bytes) -> _Member:
    return _Member(name=name, size=len(data), copy=lambda out: out.write(data))


def _described(workspace: Workspace, records: list[Record], reported: Record) -> Iterator[_Member]:
    folder = f"reports/{occasion_of(reported)}"
    for name, data in described(workspace, records, reported).items():
        yield _bytes(name, data)
    with disk(workspace.home / FORMAT_FILE):
        yield _bytes(FORMAT_FILE, (workspace.home / FORMAT_FILE).read_bytes())
    for role in report_files(reported):
        yield _bytes(f"{folder}/{role}", workspace.store.get(reported.output(role) or ""))


def _ledger(workspace: Workspace, count: int) -> Iterator[_Member]:
    """The first `count` lines of the ledger, in its files: what is appended meanwhile is not in the bundle."""
    left = count
    for path in sorted(path for path in workspace.ledger.root.iterdir() if FILE_NAME.fullmatch(path.name)):
        size = 0
        with disk(path), path.open("rb") as file:
            for line in islice(file, left):
                size += len(line)
                left -= 1
        if size:
            yield _Member(name=f"ledger/{path.name}", size=size, copy=_Beginning(path, size))


@dataclass(frozen=True, slots=True)
class _Beginning:
    """Copies the first `size` bytes of a file."""

    path: Path
    size: int

    def __call__(self, out: Any) -> None:
        with self.path.open("rb") as source:
            out.write(source.read(self.size))


def _objects(workspace: Workspace, found: Reach) -> Iterator[_Member]:
    for name in sorted(found.objects):
        path = workspace.store.path(name)
        if not path.is_file():
            remedy = "Run `plimsoll verify` for the whole extent, and restore the workspace from a copy."
            raise EvidenceError(f"object {name} is missing ({path})", remedy=remedy)
        yield _Member(name=f"objects/{name[:2]}/{name[2:]}", size=path.stat().st_size, copy=_Hashed(path, name))


@dataclass(frozen=True, slots=True)
class _Hashed:
    """Copies an object, and refuses it once its bytes turn out not to be those that it is named by."""

    path: Path
    name: str

    def __call__(self, out: Any) -> None:
        with self.path.open("rb") as source:
            if _copy(source, out) != self.name:
                remedy = "Run `plimsoll verify` for the whole extent, and restore the workspace from a copy."
                raise EvidenceError(f"object {self.name} is altered ({self.path})", remedy=remedy)


def _copy(source: Any, out: Any) -> str:
    sha = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        sha.update(chunk)
        out.write(chunk)
    return sha.hexdigest()


def _write(stream: BinaryIO, members: Iterable[_Member]) -> None:
    with zipfile.ZipFile(stream, "w", compression=zipfile.ZIP_STORED) as archive:
        for member in members:
            entry = zipfile.ZipInfo(member.name, date_time=_TIME)
            entry.create_system = 3  # Unix, wherever it is written
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            entry.file_size = member.size
            with archive.open(entry, "w") as out:
                member.copy(out)


def _refuse_in_the_way(file: Path, workspace: Workspace) -> None:
    if file.resolve().is_relative_to(workspace.home.resolve()):
        raise UsageError(f"{file} would be inside the workspace", remedy="Name a file elsewhere with --out.")
    if file.is_dir() or (file.exists() and not zipfile.is_zipfile(file)):
        remedy = "Name another file with --out; only a bundle is replaced."
        raise UsageError(f"{file} is there already, and no bundle", remedy=remedy)


def _refuse_strange(file: Path, archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    if len(members) > MOST_MEMBERS:
        raise _strange(file, f"has {len(members)} members, and {MOST_MEMBERS} at most are read")
    seen: set[str] = set()
    for member in members:
        if problem := _problem(member, seen):
            raise _strange(file, f"member {member.filename[:200]!r} {problem}")
        seen.add(member.filename.casefold())
    if both := seen & {str(parent) for name in seen for parent in PurePosixPath(name).parents}:
        raise _strange(file, f"member {min(both)[:200]!r} is a file and a folder")
    total = sum(member.file_size for member in members)
    if total > min(LARGEST, file.stat().st_size):
        raise _strange(file, f"claims {total} bytes in a file of {file.stat().st_size}")


def _problem(member: zipfile.ZipInfo, seen: set[str]) -> str:
    """Why a member is none of a bundle; empty when it may be one."""
    kind = stat.S_IFMT(member.external_attr >> 16)
    if member.orig_filename != member.filename or not _MEMBER.fullmatch(member.filename):
        return "has a name that no file of a bundle has"
    if member.filename.casefold() in seen:
        return "stands there twice"
    if kind not in (0, stat.S_IFREG):
        return "is no plain file"
    if member.flag_bits & 1:
        return "is encrypted"
    if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
        return "is compressed, and nothing in a bundle is"
    return ""


def _strange(file: Path, problem: str) -> EvidenceError:
    remedy = "Ask whoever sent it for a bundle as `plimsoll export` writes it, and compare its SHA-256 with theirs."
    return EvidenceError(f"{file}: {problem}", remedy=remedy)


def _readme(occasion: str, records: list[Record], reported: Record) -> str:
    head = head_of(records)
    withdrawals = sum(record.kind is Kind.WITHDRAWN for record in records)
    return f"""\
# Evidence of phase {occasion}

The report is `reports/{occasion}/report.html`; it opens from disk. Every figure in it names the evidence that it rests
on by SHA-256, and leads to it in `lineage.html` beside it; that evidence is in this bundle. The report is record
{reported.sequence}, {reported.time}, by {reported.actor.name} (key {reported.actor.fingerprint[:16] or "none"}).
The head of its ledger, which is the number of records and the root of the Merkle tree (RFC 6962) over them, is

    {head}

Keep that line elsewhere. Whoever gets a later bundle can then see whether history was rewritten: `--head` below.
Evidence that the ledger says was withdrawn: {withdrawals} withdrawals.

## To check it

With Plimsoll, offline, and without believing anything that is written here:

    plimsoll verify BUNDLE.zip --head {head}
    plimsoll reperform BUNDLE.zip
    plimsoll lineage FIGURE --home BUNDLE.zip

`verify` hashes every object, follows the chain, checks signatures, and that each figure leads to something executed.
`reperform` computes everything that was computed again, and compares it byte for byte.

Without Plimsoll, by Python 3.11 and its library `cryptography` alone:

    python3 verify.py BUNDLE.zip --head {head} --key KEY

KEY is the public key that the owner of the evidence gave you, not one that is written here. `verify.py` checks what
`verify` does, but for time anchors, `lineage.json` and this page. Whoever could change this bundle could change it:
compare its SHA-256 with the one in Plimsoll's documentation (`docs/auditing.md`), or take it from there.

By hand: the file `objects/ab/cdef…` must have the SHA-256 `abcdef…`; each line of `ledger/` must have, as its member
`digest`, the SHA-256 of itself without that member, and, as its member `previous`, the digest of the line before it (64
zeros for the first). A `signed` record holds an Ed25519 signature over its `statement` as canonical JSON (RFC 8785).

## What is here

- `reports/` the newest report, as a page and as data; and `lineage.html`, where every figure can be followed to what it
  rests on and back
- `ledger/` every record of the workspace, oldest first, one canonical JSON document a line
- `objects/` every artefact that the phase's records reach: declarations, plans, volumes, arrivals, results,
  infrastructure metrics, measurements, observations, reports, and the documents that stages are keyed on
- `catalogue/` the declarations as they were read for this report
- `lineage.json` what rests on what, and the evidence of each figure
- `verify.py` the second verifier

Artefacts that only other phases rest on are not here; `verify` says how many the ledger names.
"""
