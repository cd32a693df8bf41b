"""Plain tables of the report, which every format shows alike, and the cells that lead to a decision's record.

A table is `{"name", "title", "note", "columns": [{"heading", "number"}], "rows": [[cell, …], …]}`. A cell is a text, a
figure, a sentence of both in turn, or a reference `{"text", "digest"}` to a record or artefact.
"""

from collections.abc import Collection, Sequence
from typing import Any

from catalog.decisions import Decision
from catalog.declarations import Matter
from expectations.governance import decided_on
from tasks.report.context import Context
from tasks.report.figures import Figure, Parts

Cell = str | Figure | Parts | dict[str, str]
Sheet = dict[str, Any]

NONE = "none recorded"
"""What stands where nobody decided anything."""


def newest_each(context: Context, matter: Matter) -> list[Decision]:
    """The newest decision on each subject of a matter that has any."""
    subjects = dict.fromkeys(each.subject for each in context.people.decisions if each.matter is matter)
    return [each for subject in subjects for each in context.people.about(matter, subject)[-1:]]


def newest_of(found: Sequence[Decision], wanted: Collection[str]) -> Decision | None:
    """The newest of these decisions; None when there is none."""
    return next((each for each in reversed(found) if each.decision in wanted), None)


def signed(decision: Decision | None) -> Cell:
    """A decision as a cell: what, who and when, leading to its record."""
    return reference(sentence(decision), decision.record) if decision else NONE


def sentence(decision: Decision) -> str:
    """A decision in a line: what, who, in which role, when."""
    return f"{words(decision.decision)}, {decision.by} as {decision.role}, {decided_on(decision)[:10]}"


def attached(decision: Decision | None) -> Cell:
    """The document attached to a decision, leading to it; nothing where there is none."""
    return reference(decision.file_name, decision.file) if decision and decision.file else ""


def reference(text: str, digest: str) -> dict[str, str]:
    """A cell that leads to a record or artefact."""
    return {"text": text, "digest": digest}


def words(decision: str) -> str:
    """A decision as a reader reads it."""
    return decision.replace("-", " ")


def sheet(
    name: str,
    title: str,
    note: str,
    headings: Sequence[str],
    rows: list[list[Cell]],
    *,
    numbers: Sequence[str] = (),
) -> Sheet:
    """A table. `numbers`: the headings of those columns that hold figures."""
    columns = [{"heading": heading, "number": heading in numbers} for heading in headings]
    return {"name": name, "title": title, "note": note, "columns": columns, "rows": rows}
