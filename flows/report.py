"""What `plimsoll report` puts out beside the recorded page: its JSON twin, copies as PDF and DOCX, and comparisons.

Copies are made of the recorded document, so the same record gives the same bytes; they are in no ledger.
"""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from catalog.errors import UsageError
from catalog.hints import did_you_mean
from catalog.ledger import Record
from catalog.store import write_durably
from catalog.workspace import Workspace, newest_reported, occasion_of

FORMATS = ("html", "json", "pdf", "docx")


def write_copy(workspace: Workspace, reported: Record, kind: str, out: Path | None) -> Path:
    """Writes a recorded report as that format, to `out` or beside the published page; returns the file."""
    file = out or workspace.reports / str(occasion_of(reported)) / f"report.{kind}"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_durably(file, _copy(workspace, reported, kind))
    return file


def _copy(workspace: Workspace, reported: Record, kind: str) -> bytes:
    if kind in ("html", "json"):
        return workspace.store.get(reported.output(f"report.{kind}") or "")
    page = workspace.store.get(reported.output("report.html") or "").decode("utf-8")
    document = workspace.store.document(reported.output("report.json") or "")
    if kind == "docx":
        from tasks.report.docx import docx_of

        return docx_of(page, document)
    from tasks.report.pdf import pdf_of

    return pdf_of(page, document)


def compare_reports(options: Namespace) -> dict[str, Any]:
    """The comparison of two phases or two runs of one workspace, as a document. UsageError for what is neither."""
    from tasks.report.compare import Side, compare

    workspace = Workspace.open(options.home)
    reports = newest_reported(workspace.ledger.records())
    facts = {name: workspace.store.document(record.output("facts") or "") for name, record in reports.items()}
    sides = [_side(name, facts) for name in options.compare]
    return compare(*(Side(name=name, facts=found, run=run) for name, found, run in sides))


def _side(name: str, facts: Mapping[str, Mapping[str, Any]]) -> tuple[str, Mapping[str, Any], str]:
    """The name, the facts that it stands in and the run that it is, if it is one."""
    if name in facts:
        return name, facts[name], ""
    for found in facts.values():
        if any(row["run"] == name for row in found["observations"]["rows"]):
            return name, found, name
    runs = sorted({row["run"] for found in facts.values() for row in found["observations"]["rows"]})
    known = ", ".join(facts) or "nothing yet"
    there = f"There are reports of: {known}; a run is named as {(runs or ['pilot/pilot.orders.load/1'])[0]}."
    remedy = did_you_mean(name, [*facts, *runs]) or there
    raise UsageError(f"{name!r} is neither a phase nor a run that is reported in this workspace", remedy=remedy)
