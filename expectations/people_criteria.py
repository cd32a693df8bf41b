"""Exit criteria that are told by signed records: each met, not met, or not to be told where nothing is recorded."""

from collections.abc import Sequence
from typing import assert_never

from catalog.decisions import Decision
from catalog.declarations import AuditDue, CriterionKind, ExitCriterion, Matter, Programme, TestPlan
from catalog.issues import SEVERITIES
from expectations.governance import (
    People,
    approach_document,
    assurances_in_force,
    audit_of,
    audit_report,
    decided_on,
    declared_document,
    discharge_document,
    plan_state,
    providers_planned,
    requirements_document,
    thresholds_in_force,
)
from expectations.held import Held, State

_STATES = {"met": State.MET, "complete": State.MET, "not-met": State.NOT_MET, "not-complete": State.NOT_MET}


def hold_people_criterion(
    criterion: ExitCriterion, programme: Programme, plans: Sequence[TestPlan], phase: str, people: People
) -> Held:
    """A criterion that people tell, held against what they signed. `plans`: those in force in the phase."""
    match criterion.kind:
        case CriterionKind.ISSUES_WITHIN_THRESHOLDS:
            return _issues(criterion, programme, phase, people)
        case CriterionKind.PLANS_SIGNED_OFF:
            return _plans(criterion, programme, plans, people)
        case CriterionKind.PLANS_DISCHARGED:
            found = [
                people.of(Matter.DISCHARGE, fact.test, discharge_document(programme, fact)) for fact in people.tests
            ]
            return _counted(criterion, "planned tests", "discharged", found)
        case CriterionKind.REQUIREMENTS_SUITABLE:
            found = [
                people.of(Matter.REQUIREMENTS, name, requirements_document(programme, name))
                for name in providers_planned(plans)
            ]
            return _counted(criterion, "service providers' requirements", "found suitable", found)
        case CriterionKind.TESTS_WITNESSED:
            return _witnessed(criterion, people)
        case CriterionKind.ASSURANCES_GIVEN:
            needed = assurances_in_force(programme, phase)
            found = [people.of(Matter.ASSURANCE, each.id, declared_document(each)) for each in needed]
            return _counted(criterion, "assurances needed", "given", found)
        case CriterionKind.AUDIT_REPORTED:
            return _audit(criterion, programme, phase, people)
        case CriterionKind.APPROACH_APPROVED:
            return _approach(criterion, programme, people)
        case CriterionKind.BOARD_DECIDED:
            return _board(criterion, people.about(Matter.PHASE, phase))
        case CriterionKind.PEOPLE:
            return _board(criterion, people.about(Matter.CRITERION, f"{phase}/{criterion.id}"))
        case (
            CriterionKind.OBSERVATIONS_PROVED
            | CriterionKind.TESTS_ENDED
            | CriterionKind.EXCLUSIONS_STATED
            | CriterionKind.NUMBERS_AGREED
        ):
            raise ValueError(f"{criterion.kind} is not told by people")
        case _:
            assert_never(criterion.kind)


def _counted(criterion: ExitCriterion, what: str, done: str, found: Sequence[Decision | None]) -> Held:
    """Met when there is a decision on each and all say yes; not to be told while there is none at all."""
    yes = sum(each is not None and each.is_positive for each in found)
    no = sum(each is not None and not each.is_positive for each in found)
    if not found:
        return Held(criterion=criterion, state=State.CANNOT_BE_TOLD, reason=f"There are no {what}.")
    state = State.MET if yes == len(found) else State.NOT_MET if yes or no else State.CANNOT_BE_TOLD
    return Held(
        criterion=criterion,
        state=state,
        reason=f"Of {{all}} {what}: {{yes}} recorded as {done}, {{no}} as not, {{open}} without a record in force.",
        counts={"all": len(found), "yes": yes, "no": no, "open": len(found) - yes - no},
    )


def _plans(criterion: ExitCriterion, programme: Programme, plans: Sequence[TestPlan], people: People) -> Held:
    states = [plan_state(programme, plan, people) for plan in plans]
    held = _counted(criterion, "test plans", "signed off", [state.ended for state in states])
    late = sum(bool(state.late) for state in states)
    if not late:
        return held
    return Held(
        criterion=criterion,
        state=State.NOT_MET,
        reason=f"{held.reason} Plans of which a test began before that: {{late}}.",
        counts={**held.counts, "late": late},
    )


def _witnessed(criterion: ExitCriterion, people: People) -> Held:
    runs = {run for fact in people.tests for run in fact.runs}
    records = [each for run in sorted(runs) for each in people.about(Matter.WITNESS, run)]
    if not records:
        return Held(
            criterion=criterion, state=State.CANNOT_BE_TOLD,
            reason="No witness record is signed for any of {runs} test runs.", counts={"runs": len(runs)},
        )  # fmt: skip
    findings = sum(not each.is_positive for each in records)
    return Held(
        criterion=criterion,
        state=State.MET,
        reason="{witnessed} of {runs} test runs have a witness record; {findings} of {records} records note findings.",
        counts={
            "witnessed": len({each.subject for each in records}),
            "runs": len(runs),
            "findings": findings,
            "records": len(records),
        },
    )


def _audit(criterion: ExitCriterion, programme: Programme, phase: str, people: People) -> Held:
    declared, reported = audit_of(programme, phase), audit_report(people, phase)
    if reported is not None:
        reason = f"The auditor's report is recorded: {told(reported)}"
        return Held(criterion=criterion, state=State.MET, reason=reason)
    if declared is None:
        reason = "No audit is declared for this phase."
        return Held(criterion=criterion, state=State.CANNOT_BE_TOLD, reason=reason)
    if declared.report is AuditDue.TO_FOLLOW:
        reason = "The audit report is to follow; none is recorded. This report is reissued when it is."
        return Held(criterion=criterion, state=State.CANNOT_BE_TOLD, reason=reason)
    return Held(criterion=criterion, state=State.NOT_MET, reason="The audit report is due here, and none is recorded.")


def _approach(criterion: ExitCriterion, programme: Programme, people: People) -> Held:
    document = programme.programme.approach_document
    decided = people.of(Matter.APPROACH, "document", approach_document(programme))
    if decided is not None:
        state = State.MET if decided.is_positive else State.NOT_MET
        return Held(criterion=criterion, state=state, reason=f"Version {document.version}: {told(decided)}")
    if document.approved:
        reason = f"Version {document.version} is declared as approved on {document.approved}; no approval is signed."
        return Held(criterion=criterion, state=State.CANNOT_BE_TOLD, reason=reason)
    reason = f"No approval of version {document.version} is declared or signed."
    return Held(criterion=criterion, state=State.CANNOT_BE_TOLD, reason=reason)


def _board(criterion: ExitCriterion, found: Sequence[Decision]) -> Held:
    if not found:
        return Held(
            criterion=criterion,
            state=State.CANNOT_BE_TOLD,
            reason="Told by people in a signed record, never by a computation; no such record exists yet.",
        )
    return Held(
        criterion=criterion, state=_STATES.get(found[-1].decision, State.CANNOT_BE_TOLD), reason=told(found[-1])
    )


def _issues(criterion: ExitCriterion, programme: Programme, phase: str, people: People) -> Held:
    """Not met where a threshold is exceeded; else not to be told while one is missing, or an issue has no severity."""
    thresholds = thresholds_in_force(programme, phase)
    found = [issue for issue in people.issues() if issue.is_open]
    open_ = {severity: sum(issue.severity == severity for issue in found) for severity in SEVERITIES}
    unrated = sum(not issue.severity for issue in found)
    counts = {f"open {severity}": count for severity, count in open_.items()}
    counts |= {f"most {severity}": each.most_open for severity, each in sorted(thresholds.items())}
    told_each = [
        f"{{open {severity}}} of severity {severity}, {{most {severity}}} allowed"
        if severity in thresholds
        else f"{{open {severity}}} of severity {severity}, no threshold declared"
        for severity in SEVERITIES
    ]
    reason = f"Open: {'; '.join(told_each)}."
    if unrated:
        counts["unrated"] = unrated
        reason += " {unrated} open issues have no severity yet."
    over = any(open_[severity] > each.most_open for severity, each in thresholds.items())
    unknown = unrated or len(thresholds) < len(SEVERITIES)
    state = State.NOT_MET if over else State.CANNOT_BE_TOLD if unknown else State.MET
    return Held(criterion=criterion, state=state, reason=reason, counts=counts)


def told(decision: Decision) -> str:
    """A decision as one sentence: what, who, in which role, when, and why."""
    why = f" {decision.reason}" if decision.reason else ""
    day = decided_on(decision)[:10]
    return f"{decision.decision.replace('-', ' ')}, by {decision.by} as {decision.role} on {day}.{why}"
