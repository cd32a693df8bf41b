"""Raises testing issues from observations and by hand, and records what becomes of them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.canonical import canonical
from catalog.decisions import Decision, Statement, decisions, draft
from catalog.declarations import Matter, Programme
from catalog.errors import UsageError
from catalog.hints import suggestion
from catalog.issues import SEVERITIES, Issue, issues, next_issue_id
from catalog.ledger import Record, Reference
from catalog.runs import TestRun
from catalog.workspace import Workspace
from tasks.sign import Asked, Deciding, may_decide, now, record_statement
from tasks.stage import Recorder
from tasks.subjects import Subject, find_phase_id

_MOST_SCOPES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """An issue to be raised by hand. `test`, `run`: what it was found in, or empty. `severity`: 0 for none yet."""

    phase: str
    title: str
    severity: int = 0
    test: str = ""
    run: str = ""


def all_issues(workspace: Workspace) -> list[Issue]:
    """Every testing issue in a workspace, as it stands."""
    return issues(decisions(workspace.ledger.records(), workspace.withdrawals()))


# --- by hand ---


def raise_issue(raised: Raised, asked: Asked, deciding: Deciding) -> Issue:
    """Raises an issue. Raises UsageError without a title, for a phase, test or severity that there is not, or a role
    that may not raise one."""
    find_phase_id(raised.phase, deciding.programme)
    if not raised.title.strip():
        raise UsageError("an issue needs a title", remedy="Give it: --title 'what is wrong'.")
    _severity(raised.severity)
    planned = planned_tests(deciding.programme, raised.phase)
    if raised.test and raised.test not in planned:
        remedy = suggestion(raised.test, planned)
        raise UsageError(f"{raised.phase} plans no test {raised.test!r}", remedy=remedy)
    details = {
        "title": raised.title.strip(),
        "severity": str(raised.severity or ""),
        "test": raised.test,
        "requirement": "",
        "run": raised.run,
    }
    known = decisions(deciding.workspace.ledger.records(), deciding.workspace.withdrawals())
    name = next_issue_id(known, raised.phase)
    _permitted(name, "raised", asked, deciding)
    of = deciding.workspace.store.put(canonical({"issue": name, **details}))
    return _recorded(name, raised.phase, of, "raised", details, asked, deciding)


def change_issue(name: str, decision: str, asked: Asked, deciding: Deciding, *, severity: int = 0,
                 title: str = "") -> Issue:  # fmt: skip
    """Changes, closes or reopens an issue. Raises UsageError for one that there is not, or that is so already."""
    issue = _known(deciding.workspace, name)
    _severity(severity)
    if asked.of not in ("", issue.events[-1].record):
        raise UsageError(f"{name} is not what was shown: something became of it since", remedy="Look at it once more.")
    if decision == "changed" and not severity and not title.strip():
        raise UsageError("nothing is changed", remedy="Give --severity N or --title '…'.")
    if decision == "closed" and not issue.is_open:
        raise UsageError(f"{name} is closed already: {issue.resolution}", remedy=f"plimsoll issue reopen {name} …")
    if decision == "reopened" and issue.is_open:
        raise UsageError(f"{name} is open", remedy="")
    if decision in ("closed", "reopened") and not asked.reason.strip():
        raise UsageError(f"an issue is {decision} only for a reason", remedy="Give it: --reason '…'.")
    _permitted(name, decision, asked, deciding)
    details = {"severity": str(severity)} if severity else {}
    details |= {"title": title.strip()} if title.strip() else {}
    return _recorded(name, issue.phase, issue.events[0].record, decision, details, asked, deciding)


def _recorded(
    name: str, phase: str, of: str, decision: str, details: Mapping[str, str], asked: Asked, deciding: Deciding
) -> Issue:
    statement = Statement(
        matter=Matter.ISSUE,
        subject=name,
        of=of,
        decision=decision,
        role=asked.role,
        by=asked.by.strip(),
        time=now(),
        phase=phase,
        reason=asked.reason.strip(),
        details={**details, **asked.details},
    )
    record_statement(statement, deciding)
    return _known(deciding.workspace, name)


def _permitted(name: str, decision: str, asked: Asked, deciding: Deciding) -> None:
    subject = Subject(matter=Matter.ISSUE, name=name)
    wanted = Asked(what=asked.what, role=asked.role, by=asked.by, decision=decision)
    may_decide(deciding.programme, subject, wanted, deciding.signer)


def _known(workspace: Workspace, name: str) -> Issue:
    found = {issue.id: issue for issue in all_issues(workspace)}
    if name not in found:
        raise UsageError(f"there is no testing issue {name!r}", remedy=suggestion(name, list(found)))
    return found[name]


def _severity(severity: int) -> None:
    if severity not in (0, *SEVERITIES):
        raise UsageError(f"there is no severity {severity}", remedy="Give one from 1, the gravest, to 5.")


def planned_tests(programme: Programme, phase: str) -> list[str]:
    """The tests that the plans of a phase hold, by id."""
    plans = [plan for plan in programme.tests.plans if phase in plan.phases]
    return [f"{phase}.{plan.component}.{name}" for plan in plans for name in plan.tests]


# --- from observations ---


def raise_from_observations(
    recorder: Recorder,
    programme: Programme,
    observed: Record,
    observations: Sequence[Mapping[str, Any]],
    runs: Mapping[str, TestRun],
) -> list[Record]:
    """Raises an issue for each requirement that a test's run did not prove; none twice.

    None is raised where one is open for the test and requirement, or was closed for the very same run. It has no
    severity until people give it one. `runs`: those of this occasion, by id.
    """
    workspace, recorded = recorder.workspace, []
    for details in refuted(programme, observations, runs):
        known = decisions(workspace.ledger.records(), workspace.withdrawals())
        statement = raising(
            details, known, phase=recorder.occasion, of=observed.digest, by=recorder.actor.name, at=now()
        )
        if statement is None:
            continue
        run = Reference(role="executed", digest=runs[details["run"]].record.digest)
        made = draft(statement, None, inputs=(run,))
        recorded += workspace.record(made, actor=recorder.actor, code=recorder.code)
    return recorded


def raising(
    details: Mapping[str, str], known: Sequence[Decision], *, phase: str, of: str, by: str, at: str
) -> Statement | None:
    """What is stated of a requirement that was not proved; None where an issue of it is open, or was of the same run.

    `known`: what was decided before; `of`: the digest of the record that observed it.
    """
    same = [
        each
        for each in issues(known)
        if (each.phase, each.test, each.requirement) == (phase, details["test"], details["requirement"])
    ]
    if any(each.is_open or each.run == details["run"] for each in same):
        return None
    return Statement(
        matter=Matter.ISSUE,
        subject=next_issue_id(known, phase),
        of=of,
        decision="raised",
        role="",
        by=by,
        time=at,
        phase=phase,
        details=details,
    )


def refuted(
    programme: Programme, observations: Sequence[Mapping[str, Any]], runs: Mapping[str, TestRun]
) -> Iterator[dict[str, str]]:
    """For each requirement that a test's run did not prove, all of its scopes together, the details of its issue."""
    titles = {each.id: each.title for each in programme.requirements}
    scopes: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for row in observations:
        if row["verdict"] == "not proved" and row["run"] in runs:
            scopes[str(row["test"]), str(row["requirement"]), str(row["run"])].append(str(row["scope"]))
    for (test, requirement, run), found in scopes.items():
        where = ", ".join(found[:_MOST_SCOPES]) + (", …" if len(found) > _MOST_SCOPES else "")
        title = f"{titles.get(requirement, 'Target volume, offered in time')}: not proved"
        yield {
            "title": title if found == ["all"] else f"{title} ({where})",
            "severity": "",
            "test": test,
            "requirement": requirement,
            "run": run,
        }
