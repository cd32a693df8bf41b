"""What `plimsoll report` puts out beside the recorded page: its JSON twin, copies as PDF and DOCX, and comparisons.

Copies are made of the recorded document, so the same record gives the same bytes; they are in no ledger.
"""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from catalog.errors import UsageError
from catalog.hints import did_you_mean
from catalog.ledger import Kind, Record
from catalog.runs import test_runs
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

    reports = _Reports(Workspace.open(options.home))
    sides = [reports.side(name) for name in options.compare]
    return compare(*(Side(name=name, facts=facts, run=run) for name, facts, run in sides))


class _Reports:
    """What the reports of a workspace were assembled from: read when it is asked for, and once."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._reported = [record for record in workspace.ledger.records() if record.kind is Kind.REPORTED]
        self._newest = newest_reported(self._reported)
        self._known: dict[str, Mapping[str, Any]] = {}

    def side(self, name: str) -> tuple[str, Mapping[str, Any], str]:
        """The name, the facts that it stands in and the run that it is, if it is one.

        A run that stands no more is in an earlier report: that of when it did. Raises UsageError for what is neither.
        """
        if name in self._newest:
            return name, self._facts(self._newest[name]), ""
        for record in [*self._newest.values(), *reversed(self._reported)]:
            if name in _runs(found := self._facts(record)):
                return name, found, name
        raise self._unknown(name)

    def _facts(self, record: Record) -> Mapping[str, Any]:
        if record.digest not in self._known:
            self._known[record.digest] = self._workspace.store.document(record.output("facts") or "")
        return self._known[record.digest]

    def _unknown(self, name: str) -> UsageError:
        if name in {run.run for run in test_runs(self._workspace.ledger.records())}:
            remedy = "It ended before anything was observed of it, or was repeated before a report: name another."
            return UsageError(f"no report holds anything observed of run {name!r}", remedy=remedy)
        runs = sorted({run for record in self._newest.values() for run in _runs(self._facts(record))})
        known = ", ".join(self._newest) or "nothing yet"
        there = f"There are reports of: {known}; a run is named as {(runs or ['launch/launch.orders.load/1'])[0]}."
        remedy = did_you_mean(name, [*self._newest, *runs]) or there
        return UsageError(f"{name!r} is neither a phase nor a run that is reported in this workspace", remedy=remedy)


def _runs(facts: Mapping[str, Any]) -> set[str]:
    return {row["run"] for row in facts["observations"]["rows"]}
