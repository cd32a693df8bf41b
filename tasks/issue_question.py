"""What somebody is asked on a testing issue, as text to be read before they answer: how it stands, what may be said.

`issue:PHASE` asks for a new issue of that phase, `issue:NAME` what becomes of one that there is. All of it are facts;
no answer is suggested.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from catalog.declarations import Matter, Programme
from catalog.errors import UsageError
from catalog.hints import listed, suggestion
from catalog.issues import SEVERITIES, Issue
from catalog.workspace import Workspace
from expectations.governance import thresholds_in_force
from tasks.issues import all_issues, planned_tests
from tasks.question import Question, criteria_of, holder_of, in_markdown, markdown_table
from tasks.subjects import Subject

ISSUE = f"{Matter.ISSUE}:"
"""What a question on a testing issue begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueQuestion(Question):
    """What the holder of a key is asked. `issue`: the one that it is about, None for one that is to be raised.

    `tests`: what may be named as the test that an issue was found in.
    """

    issue: Issue | None
    tests: tuple[str, ...]


def issue_question(what: str, fingerprint: str, programme: Programme, workspace: Workspace) -> IssueQuestion:
    """What the holder of the key with this fingerprint is asked on `issue:PHASE` or `issue:NAME`.

    Raises UsageError for neither, and for a key whose declared holder may not decide on it.
    """
    name, known = what.removeprefix(ISSUE), all_issues(workspace)
    phases = [each.id for each in programme.programme.phases]
    issue = next((each for each in known if each.id == name), None)
    if issue is None and name not in phases:
        raise UsageError(
            f"there is neither a phase nor a testing issue {name!r}",
            remedy=f"{suggestion(name, [*phases, *(each.id for each in known)])} issue:PHASE raises one.",
        )
    phase = issue.phase if issue else name
    subject = Subject(matter=Matter.ISSUE, name=name, phase=phase, digest=issue.events[-1].record if issue else "")
    by, roles = holder_of(programme, subject, fingerprint)
    able = {role: tuple(each for each in allowed if each in _open_to(issue)) for role, allowed in roles.items()}
    able = {role: allowed for role, allowed in able.items() if allowed}
    if not able:
        may = listed(sorted({each for allowed in roles.values() for each in allowed}))
        state = "to be raised" if issue is None else "open" if issue.is_open else "closed"
        remedy = "Ask for that, or by another key."
        raise UsageError(f"{name} is {state}, and {by} may only have issues {may}", remedy=remedy)
    title = f"issue {issue.id}: {issue.title}" if issue else f"a new testing issue of {phase}"
    told = [
        f"## {in_markdown(title)}",
        *(_stands(issue) if issue else ()),
        f"It is signed by **{in_markdown(by)}**, as {in_markdown(listed(list(able)))}, with the key `{fingerprint}`.",
        *_beside(phase, known, programme),
        *criteria_of(phase, workspace),
    ]
    answers = tuple(dict.fromkeys(each for allowed in able.values() for each in allowed))
    return IssueQuestion(
        subject=subject, by=by, roles=tuple(able), answers=answers, text="\n\n".join(told), issue=issue,
        tests=tuple(planned_tests(programme, phase)),
    )  # fmt: skip


def _open_to(issue: Issue | None) -> tuple[str, ...]:
    """What may be said of an issue as it stands."""
    if issue is None:
        return ("raised",)
    return ("changed", "closed") if issue.is_open else ("changed", "reopened")


def _stands(issue: Issue) -> Iterator[str]:
    severity = f"severity {issue.severity}" if issue.severity else "no severity yet"
    found = [
        f"{name} {in_markdown(value)}"
        for name, value in (("test", issue.test), ("requirement", issue.requirement), ("run", issue.run))
        if value
    ]
    yield "; ".join([f"It is {'open' if issue.is_open else 'closed'}, {severity}", *found]) + "."
    yield f"Decided on is the issue as its newest record leaves it, `{issue.events[-1].record}`."
    yield "What became of it:"
    rows = [(each.decision, each.by, each.role, each.time, each.reason) for each in issue.events]
    yield markdown_table(("event", "by", "as", "time", "reason"), rows)


def _beside(phase: str, known: list[Issue], programme: Programme) -> Iterator[str]:
    """How many issues of the phase are open, beside the thresholds that are declared: none is built in."""
    open_ = [each for each in known if each.phase == phase and each.is_open]
    thresholds = thresholds_in_force(programme, phase)
    rows = [
        (str(severity), str(sum(each.severity == severity for each in open_)),
         str(thresholds[severity].most_open) if severity in thresholds else "no threshold declared")
        for severity in SEVERITIES
    ]  # fmt: skip
    yield f"Open testing issues of {in_markdown(phase)}, {len(open_)} in all:"
    yield markdown_table(("severity", "open", "may be open"), [*rows, ("none yet", str(_unrated(open_)), "")])


def _unrated(open_: list[Issue]) -> int:
    return sum(not each.severity for each in open_)
