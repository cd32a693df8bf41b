"""The report's section on testing issues, held against their thresholds, and on incidents."""

from collections.abc import Sequence
from datetime import UTC, datetime

from catalog.decisions import Decision
from catalog.issues import SEVERITIES, Issue
from expectations.governance import thresholds_in_force
from tasks.report.context import Context, shown
from tasks.report.figures import Figure
from tasks.report.sheets import NONE, Cell, Sheet, reference, sheet, words


def testing_issues(context: Context) -> list[Sheet]:
    """Testing issues against their thresholds, each issue with what became of it, and incidents."""
    found = context.people.issues()
    return [_severities(context, found), _issues(found), _incidents(context)]


def _severities(context: Context, found: Sequence[Issue]) -> Sheet:
    thresholds = thresholds_in_force(context.programme, context.facts["phase"])
    rows: list[list[Cell]] = []
    for severity in (*SEVERITIES, 0):
        mine = [issue for issue in found if issue.severity == severity]
        if not severity and not mine:
            continue
        each = thresholds.get(severity)
        allowed: Cell = (
            context.declared(f"threshold/{severity}", each.most_open, "count", standing=str(each.standing))
            if each
            else "no threshold declared"
        )
        rows.append(
            [
                f"Severity {severity}" if severity else "No severity yet",
                context.planned(f"issues/{severity}/raised", len(mine)),
                context.planned(f"issues/{severity}/open", sum(issue.is_open for issue in mine)),
                allowed,
                f"{each.source} ({each.standing})" if each else "",
            ]
        )
    note = "Severity is the gravest at 1 and the least at 5. Thresholds are declared; none is built in."
    headings = ("Severity", "Raised", "Open", "May be open", "Source")
    return sheet("severities", "Testing issues against thresholds", note, headings, rows, numbers=("Raised", "Open"))


def _issues(found: Sequence[Issue]) -> Sheet:
    rows: list[list[Cell]] = [
        [
            issue.id,
            f"severity {issue.severity}" if issue.severity else "no severity yet",
            "open" if issue.is_open else "closed",
            issue.test or "none",
            issue.title,
            "observation" if issue.by_machine else f"{issue.events[0].by}, {issue.events[0].role}",
            _history(issue),
            reference(f"record {issue.events[-1].sequence}", issue.events[-1].record),
        ]
        for issue in found
    ]
    note = "Raised from observations that are not proved, and by hand; closed by people."
    headings = ("Issue", "Severity", "State", "Test", "What", "Raised from", "What became of it", "Newest record")
    return sheet("issues", "Testing issues", note, headings, rows)


def _history(issue: Issue) -> str:
    later = issue.events[1:]
    return " ".join(f"{words(each.decision)} by {each.by}, {each.time[:10]}: {_why(each)}." for each in later) or NONE


def _why(event: Decision) -> str:
    changes = [f"{name} {value}" for name, value in sorted(event.details.items())]
    return event.reason.rstrip(".") or ", ".join(changes) or "no reason given"


def _incidents(context: Context) -> Sheet:
    rows: list[list[Cell]] = []
    for incident in context.facts.get("incidents", []):
        told, digest = incident["document"], incident["digest"]
        name = f"incident/{told['run']}/{told['requirement']}"

        def figure(
            what: str, value: int, unit: str, name: str = name, digest: str = digest, metric: str = told["metric"]
        ) -> Figure:
            return context.figures.figure(
                f"{name}/{what}", value, unit, [digest], text=shown(value, unit, metric) if unit != "count" else ""
            )

        when = f"{_instant(told['first_us'])} to {_instant(told['last_us'])}" if told["first_us"] else NONE
        rows.append(
            [
                told["run"],
                told["component"],
                told["requirement"],
                figure("limit", told["limit"], told["unit"]),
                figure("value", told["value"], told["unit"]),
                [figure("beyond", told["beyond"], "count"), " of ", figure("samples", told["samples"], "count")],
                when,
                reference("incident", digest),
            ]
        )
    note = "Infrastructure requirements that a run breached, with the samples beyond the limit, and when."
    headings = ("Run", "Component", "Requirement", "Limit", "Measured", "Samples beyond", "From and to (UTC)", "Record")
    return sheet("incidents", "Incidents", note, headings, rows, numbers=("Limit", "Measured", "Samples beyond"))


def _instant(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
