"""The report's sections of what people decided, in the plain form of every product (`tasks.report.sections`)."""

from collections.abc import Sequence
from typing import Any

from tasks.report.approvals import approvals
from tasks.report.audit import audit
from tasks.report.context import Context
from tasks.report.issues import testing_issues
from tasks.report.sections import Section, section
from tasks.report.sheets import Sheet

_SHORT = 12


def recorded(context: Context) -> dict[str, Section]:
    """Testing issues and incidents, audit and conformance, and approvals, by the section's id; none without a table."""
    found = {
        "testing-issues": ("Testing issues and incidents", testing_issues(context)),
        "audit": ("Audit and conformance", audit(context)),
        "approvals": ("Plans, approvals and decisions", approvals(context)),
    }
    return {
        name: section(name, title, *_tables(sheets), standard="approvals" if name == "approvals" else "")
        for name, (title, sheets) in found.items()
        if sheets
    }


def _tables(sheets: Sequence[Sheet]) -> list[dict[str, Any]]:
    return [
        {
            **{name: sheet[name] for name in ("title", "note", "columns")},
            "rows": [[_cell(cell) for cell in row] for row in sheet["rows"]],
        }
        for sheet in sheets
    ]


def _cell(cell: Any) -> Any:
    """A reference leads to its place in the index of evidence."""
    if isinstance(cell, dict) and "digest" in cell:
        return {"link": f"e-{cell['digest'][:_SHORT]}", "text": cell["text"]}
    return cell
