"""The pack that a programme's results are submitted as: every phase's newest report, its tables, and what was attached.

README.md             what is submitted, to whom, and how each phase stands
submission.json       the same as data, with the SHA-256 of every file, and the ledger's head
PHASE/report.html     the newest report, and report.json
PHASE/*.csv           its exit criteria, approvals, issues, incidents, audit, conformance, exclusions, tests
documents/…           what is attached to decisions on it: audit reports, assurance statements

Facts only: the pack decides nothing. The same workspace gives the same bytes.
"""

import csv
import io
import os
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.canonical import canonical, digest
from catalog.decisions import decisions
from catalog.declarations import Phase, Programme
from catalog.errors import UsageError
from catalog.ledger import Kind, Record
from catalog.store import disk, make_directory, sync_directory, write_durably
from catalog.workspace import REPORT_FILES, Workspace, occasion_of

README, MANIFEST, DOCUMENTS = "README.md", "submission.json", "documents"
_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can tell
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST = 80
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasePart:
    """What the pack says of one phase. `record`: the sequence of its newest report, 0 where it has none."""

    phase: str
    title: str
    record: int
    digest: str
    rehearsal: bool
    criteria: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """As the manifest has it."""
        return {
            "phase": self.phase,
            "title": self.title,
            "reported": bool(self.record),
            "record": self.record,
            "report": self.digest,
            "rehearsal": self.rehearsal,
            "criteria": dict(self.criteria),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A pack that was written: where, of which phases, and how many files."""

    path: Path
    phases: tuple[PhasePart, ...]
    files: int

    def as_json(self) -> dict[str, Any]:
        """As `submission --json` gives it."""
        return {"path": str(self.path), "files": self.files, "phases": [each.as_json() for each in self.phases]}


def write_submission(workspace: Workspace, out: Path) -> Submitted:
    """Writes the pack of every phase to `out`: a zip file where its name ends so, else a new folder.

    Raises UsageError where nothing is reported yet, and for an `out` that is something else already; EvidenceError for
    what is damaged; WorldError when the disk refuses.
    """
    _refuse_in_the_way(out, workspace)
    phases, files = pack(workspace)
    if out.suffix == ".zip":
        _write_zip(out, files)
    else:
        _write_folder(out, files)
    return Submitted(path=out, phases=tuple(phases), files=len(files))


def pack(workspace: Workspace) -> tuple[list[PhasePart], dict[str, bytes]]:
    """The parts of the pack and its files by name, in order."""
    reports = {str(occasion_of(record)): record for record in workspace.select(Kind.REPORTED)}
    newest = max(reports.values(), key=lambda record: record.sequence, default=None)
    if newest is None:
        raise UsageError(
            "no phase is reported yet, so there is nothing to submit", remedy="`plimsoll run PHASE` first."
        )
    programme = _programme(workspace, newest)
    files: dict[str, bytes] = {}
    parts = []
    for phase in programme.programme.phases:
        record = reports.get(phase.id)
        report = workspace.store.document(record.output(REPORT_FILES[0]) or "") if record else None
        parts.append(_part(phase, record, report))
        if record is not None and report is not None:
            files |= {f"{phase.id}/{role}": workspace.store.get(record.output(role) or "") for role in REPORT_FILES}
            files |= {f"{phase.id}/{name}.csv": _csv(rows) for name, rows in tables(report).items()}
    files |= _documents(workspace, {part.phase for part in parts if part.record})
    head = workspace.ledger.records()[-1]
    said = _said(programme, parts, f"{head.sequence}:{head.digest}")
    files = {README: _readme(said).encode(), **dict(sorted(files.items()))}
    manifest = {**said, "files": {name: digest(data) for name, data in files.items()}}
    return parts, {**files, MANIFEST: canonical(manifest) + b"\n"}


def _programme(workspace: Workspace, record: Record) -> Programme:
    wanted = next(item.digest for item in record.inputs if item.role == "programme")
    return Programme.model_validate(workspace.store.document(wanted))


def _part(phase: Phase, record: Record | None, report: Mapping[str, Any] | None) -> PhasePart:
    states = [each["state"] for each in report["exit_criteria"]] if report else []
    return PhasePart(
        phase=phase.id,
        title=phase.title,
        record=record.sequence if record else 0,
        digest=(record.output(REPORT_FILES[0]) or "") if record else "",
        rehearsal=bool(report and report["stamp"]),
        criteria={state: states.count(state) for state in ("met", "not met", "cannot be told")},
    )


# --- tables ---


def tables(report: Mapping[str, Any]) -> dict[str, list[list[str]]]:
    """The tables of a report that a submission has as files, by name, each with its headings first."""
    found = {
        "exit-criteria": [
            ["criterion", "text", "state", "in a rehearsal", "reason", "source"],
            *(
                [
                    each["id"],
                    each["text"],
                    each["state"],
                    "yes" if each["rehearsal"] else "no",
                    text(each["reason"]),
                    each["source"],
                ]
                for each in report["exit_criteria"]
            ),
        ],
        "tests": [
            ["test", "plan", "ended", "verdict", "why", "success criteria"],
            *(
                [each["test"], each["plan"], each["end"], each["verdict"], each["why"], each["success_criteria"]]
                for each in report["tests"]
            ),
        ],
        "exclusions": [
            list(_EXCLUSION),
            *([each[name] for name in _EXCLUSION] for each in report["scope"]["exclusions"]),
        ],
    }
    for sheet in (sheet for section in report.get("recorded", {}).values() for sheet in section["tables"]):
        headings = [column["heading"] for column in sheet["columns"]]
        name = _UNSAFE.sub("-", sheet["title"].lower())
        found[name] = [headings, *([text(cell) for cell in row] for row in sheet["rows"])]
    return found


_EXCLUSION = (
    "id",
    "title",
    "kind",
    "rationale",
    "assured_elsewhere",
    "residual_risk",
    "monitoring",
    "owner",
    "standing",
)


def text(cell: Any) -> str:
    """A cell of a report's table as text."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, list):
        return "".join(text(part) for part in cell)
    return str(cell["text"])


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    """Rows as CSV (RFC 4180). A cell that a spreadsheet would take for a formula has an apostrophe before it."""
    out = io.StringIO()
    csv.writer(out).writerows([[f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in row] for row in rows])
    return out.getvalue().encode()


def _documents(workspace: Workspace, phases: set[str]) -> Iterator[tuple[str, bytes]]:
    """What is attached to decisions that stand, on these phases or on none in particular."""
    for each in decisions(workspace.ledger.records(), workspace.withdrawals()):
        if each.file and not each.withdrawn and each.phase in ("", *phases):
            name = _UNSAFE.sub("_", each.file_name).lstrip(".")[-_LONGEST:] or "document"
            yield f"{DOCUMENTS}/{each.file[:12]}-{name}", workspace.store.get(each.file)


# --- what it says ---


def _said(programme: Programme, parts: Sequence[PhasePart], head: str) -> dict[str, Any]:
    submission = programme.governance.submission
    return {
        "title": submission.title if submission else f"Results of {programme.programme.title}",
        "to": list(submission.to) if submission else [],
        "source": submission.source if submission else "",
        "programme": programme.programme.title,
        "operator": programme.programme.operator,
        "head": head,
        "phases": [part.as_json() for part in parts],
    }


def _readme(said: Mapping[str, Any]) -> str:
    lines = [f"# {_line(said['title'])}", "", f"{_line(said['programme'])}, by {_line(said['operator'])}."]
    if said["to"]:
        lines += ["", f"Submitted to: {_line(', '.join(said['to']))}. {_line(said['source'])}."]
    lines += ["", "| phase | report | met | not met | cannot be told | rehearsal |", "|---|---|---|---|---|---|"]
    for phase in said["phases"]:
        report = (
            f"[{phase['phase']}/report.html]({phase['phase']}/report.html)" if phase["reported"] else "not reported"
        )
        counts = [str(phase["criteria"][state]) if phase["reported"] else "" for state in phase["criteria"]]
        rehearsal = ("yes" if phase["rehearsal"] else "no") if phase["reported"] else ""
        lines.append(f"| {_line(phase['title'])} | {report} | {' | '.join(counts)} | {rehearsal} |")
    lines += [
        "",
        "The columns count exit criteria. This pack states facts; what they come to is for those it is submitted to.",
        "A rehearsal is no evidence of the real system's capacity.",
        "",
        f"The ledger ends with `{said['head']}`. `submission.json` has the SHA-256 of every file. Each report names",
        "its evidence, which `plimsoll export PHASE` gives whole.",
        "",
    ]
    return "\n".join(lines)


def _line(words: str) -> str:
    """Declared words on one line of Markdown, taken for nothing but words."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(words.split()).removesuffix("."))


# --- writing ---


def _refuse_in_the_way(out: Path, workspace: Workspace) -> None:
    if out.resolve().is_relative_to(workspace.home.resolve()):
        raise UsageError(f"{out} would be inside the workspace", remedy="Name another place with --out.")
    if out.suffix == ".zip":
        if out.exists() and not zipfile.is_zipfile(out):
            raise UsageError(f"{out} is there already, and no zip file", remedy="Name another file with --out.")
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        remedy = "Name a folder that is new or empty with --out, or a file that ends in .zip."
        raise UsageError(f"{out} is there already, and not empty", remedy=remedy)


def _write_folder(out: Path, files: Mapping[str, bytes]) -> None:
    with disk(out):
        for name, data in files.items():
            make_directory((out / name).parent)
            write_durably(out / name, data)


def _write_zip(out: Path, files: Mapping[str, bytes]) -> None:
    with disk(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "w+b") as stream:
                with zipfile.ZipFile(stream, "w", compression=zipfile.ZIP_DEFLATED) as archive:
                    for member, data in files.items():
                        entry = zipfile.ZipInfo(member, date_time=_TIME)
                        entry.create_system = 3  # Unix, wherever it is written
                        entry.external_attr = 0o100644 << 16
                        entry.compress_type = zipfile.ZIP_DEFLATED
                        archive.writestr(entry, data)
                stream.flush()
                os.fchmod(stream.fileno(), 0o644)
                os.fsync(stream.fileno())
            temporary.rename(out)
        finally:
            temporary.unlink(missing_ok=True)
        sync_directory(out.parent)
