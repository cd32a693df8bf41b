"""Testing issues, put together from the decisions that raised, changed, closed and reopened them.

An issue is open from the moment it is raised until it is closed. It may be raised without a severity, which people then
give it; until they do it counts towards no threshold and keeps the criterion from being told.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from catalog.decisions import Decision
from catalog.declarations import Matter

SEVERITIES = (1, 2, 3, 4, 5)
"""From the gravest to the least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """A testing issue as it stands. `severity`: 0 while nobody has given it one.

    `test`, `requirement` and `run`: what it was observed in; empty where it is about none. `events`: oldest first.
    """

    id: str
    phase: str
    title: str
    severity: int
    is_open: bool
    test: str = ""
    requirement: str = ""
    run: str = ""
    resolution: str = ""
    events: tuple[Decision, ...] = field(default=())

    @property
    def by_machine(self) -> bool:
        """Whether it was raised from an observation, and not by hand."""
        return not self.events[0].key


def issues(found: Sequence[Decision]) -> list[Issue]:
    """Every issue, in the order in which they were raised. Events that were withdrawn count for nothing."""
    known: dict[str, Issue] = {}
    for event in found:
        if event.matter is Matter.ISSUE and not event.withdrawn:
            if event.decision == "raised":
                known.setdefault(event.subject, _raised(event))
            elif event.subject in known:
                known[event.subject] = _after(known[event.subject], event)
    return list(known.values())


def next_issue_id(found: Sequence[Decision], phase: str) -> str:
    """The id of the phase's next issue; those that were withdrawn keep theirs."""
    raised = {
        each.subject for each in found if (each.matter, each.decision, each.phase) == (Matter.ISSUE, "raised", phase)
    }
    return f"{phase}-issue-{len(raised) + 1}"


def _raised(event: Decision) -> Issue:
    details = event.details
    return Issue(
        id=event.subject,
        phase=event.phase,
        title=details.get("title", ""),
        severity=_severity(details.get("severity", "")),
        is_open=True,
        test=details.get("test", ""),
        requirement=details.get("requirement", ""),
        run=details.get("run", ""),
        events=(event,),
    )


def _after(issue: Issue, event: Decision) -> Issue:
    changed = replace(
        issue,
        title=event.details.get("title", issue.title),
        severity=_severity(event.details.get("severity", "")) or issue.severity,
        events=(*issue.events, event),
    )
    if event.decision == "closed":
        return replace(changed, is_open=False, resolution=event.reason)
    return replace(changed, is_open=True, resolution="") if event.decision == "reopened" else changed


def _severity(text: str) -> int:
    return int(text) if text in {str(each) for each in SEVERITIES} else 0
