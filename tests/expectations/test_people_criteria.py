"""Exit criteria that people tell: met, not met, or not to be told, by what was signed on what is declared now."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.canonical import document_digest
from catalog.decisions import Decision
from catalog.declarations import (
    Audit,
    AuditDue,
    CriterionKind,
    ExitCriterion,
    Matter,
    Programme,
    SeverityThreshold,
    Standing,
)
from catalog.reading import Catalogue
from expectations.exit_criteria import plans_in_force
from expectations.governance import (
    People,
    TestFact,
    approach_document,
    declared_document,
    discharge_document,
    plan_document,
    requirements_document,
    signed_plans,
)
from expectations.held import Held, State
from expectations.people_criteria import hold_people_criterion

AT = "2026-03-01T12:00:00.000000Z"
LOAD = TestFact(test="pilot.orders.load", plan="orders-plan", end="executed", stands="a" * 64, runs=("r1",))
TOLD, MET, NOT_MET = State.CANNOT_BE_TOLD, State.MET, State.NOT_MET


@pytest.fixture(scope="module")
def programme(template: Catalogue) -> Programme:
    return template.programme


def decided(matter: Matter, subject: str, decision: str, document: Any = None, **more: Any) -> Decision:
    given_ = {"of": document_digest(document), "role": "board", "by": "Ann", "time": "2026-02-01T00:00:00Z", "key": "k"}
    return Decision(
        **{**given_, "matter": matter, "subject": subject, "decision": decision, "record": "", "sequence": 1, **more}
    )


def hold(programme: Programme, kind: CriterionKind, *decisions: Decision, tests: Any = (LOAD,)) -> Held:
    criterion = ExitCriterion(id="c", text="x", kind=kind, source="x")
    people = People(decisions=decisions, tests=tests, at=AT)
    held = hold_people_criterion(criterion, programme, plans_in_force(programme, "pilot"), "pilot", people)
    assert "{" not in held.told()
    return held


def plans(programme: Programme, decision: str, **more: Any) -> list[Decision]:
    return [
        decided(Matter.PLAN, plan.id, decision, plan_document(programme, plan), **more)
        for plan in programme.tests.plans
    ]


def test_plans_are_signed_off_all_before_their_tests(programme: Programme) -> None:
    kind = CriterionKind.PLANS_SIGNED_OFF
    first, second = plans(programme, "signed-off")
    assert hold(programme, kind).state is TOLD
    assert hold(programme, kind, first).state is NOT_MET
    assert hold(programme, kind, first, second).state is MET
    assert hold(programme, kind, first, *plans(programme, "rejected")).state is NOT_MET
    assert hold(programme, kind, *plans(programme, "signed-off", until="2026-02-28")).state is TOLD
    assert hold(programme, kind, *plans(programme, "signed-off", withdrawn="by Ann")).state is TOLD
    early = replace(LOAD, began="2026-01-31T23:59:59Z")
    held = hold(programme, kind, first, second, tests=(early,))
    assert (held.state, held.counts["late"]) == (NOT_MET, 1)
    dated = plans(programme, "signed-off", details={"dated": "2026-01-31"})
    assert hold(programme, kind, *dated, tests=(early,)).state is MET


def test_a_plan_of_an_earlier_form_is_unsigned(programme: Programme, edited: Any) -> None:
    signed = People(decisions=plans(programme, "signed-off"), at=AT)
    assert signed_plans(programme, signed) == {"storefront-plan", "orders-plan"}
    for change in (("tests.plans.orders-plan.success_criteria", "y"), ("tests.profiles.load.timeout", 1_000_000)):
        assert "orders-plan" not in signed_plans(edited(programme, change), signed)


def test_a_discharge_is_of_the_result_that_stands(programme: Programme) -> None:
    kind, document = CriterionKind.PLANS_DISCHARGED, discharge_document(programme, LOAD)
    yes = decided(Matter.DISCHARGE, LOAD.test, "discharged", document)
    assert hold(programme, kind).state is TOLD
    assert hold(programme, kind, yes).state is MET
    assert hold(programme, kind, yes, tests=(LOAD, replace(LOAD, test="other"))).state is NOT_MET
    assert hold(programme, kind, yes, tests=(replace(LOAD, stands="b" * 64),)).state is TOLD
    assert hold(programme, kind, decided(Matter.DISCHARGE, LOAD.test, "not-discharged", document)).state is NOT_MET
    assert hold(programme, kind, tests=()).state is TOLD


def test_requirements_assurances_and_approach_as_declared_now(programme: Programme, edited: Any) -> None:
    suitable = [
        decided(Matter.REQUIREMENTS, name, "suitable", requirements_document(programme, name))
        for name in ("shop-team", "order-house")
    ]
    assert hold(programme, CriterionKind.REQUIREMENTS_SUITABLE, *suitable).state is MET
    assert hold(programme, CriterionKind.REQUIREMENTS_SUITABLE, suitable[0]).state is NOT_MET
    changed = edited(programme, ("requirements.0.title", "Another"))
    assert hold(changed, CriterionKind.REQUIREMENTS_SUITABLE, *suitable).state is not MET
    (assurance,) = programme.governance.assurances
    given_ = decided(Matter.ASSURANCE, assurance.id, "given", declared_document(assurance))
    assert hold(programme, CriterionKind.ASSURANCES_GIVEN).state is TOLD
    assert hold(programme, CriterionKind.ASSURANCES_GIVEN, given_).state is MET
    approved = decided(Matter.APPROACH, "document", "approved", approach_document(programme))
    refused = decided(Matter.APPROACH, "document", "not-approved", approach_document(programme))
    assert hold(programme, CriterionKind.APPROACH_APPROVED).state is TOLD
    assert hold(programme, CriterionKind.APPROACH_APPROVED, approved).state is MET
    assert hold(programme, CriterionKind.APPROACH_APPROVED, approved, refused).state is NOT_MET
    declared = edited(programme, ("programme.approach_document.approved", "2026-02-01"))
    assert "no approval is signed" in hold(declared, CriterionKind.APPROACH_APPROVED).told()
    newer = edited(programme, ("programme.approach_document.version", "0.2"))
    assert hold(newer, CriterionKind.APPROACH_APPROVED, approved).state is TOLD


def test_witness_records_are_of_runs_of_the_phase(programme: Programme) -> None:
    kind = CriterionKind.TESTS_WITNESSED
    assert hold(programme, kind).state is TOLD
    assert hold(programme, kind, decided(Matter.WITNESS, "other", "witnessed")).state is TOLD
    found = hold(programme, kind, decided(Matter.WITNESS, "r1", "witnessed-with-findings", reason="late"))
    assert (found.state, found.counts["witnessed"], found.counts["findings"]) == (MET, 1, 1)


@pytest.mark.parametrize(("due", "open_"), [(AuditDue.TO_FOLLOW, TOLD), (AuditDue.IN_REPORT, NOT_MET)])
def test_an_audit_report_is_due_or_to_follow(programme: Programme, due: AuditDue, open_: State) -> None:
    kind = CriterionKind.AUDIT_REPORTED
    assert hold(programme, kind).told() == "No audit is declared for this phase."
    audit = Audit(phase="pilot", covers="x", leaves_out="x", report=due, standing=Standing.PROPOSED, source="x")
    audited = programme.model_copy(update={"governance": programme.governance.model_copy(update={"audits": (audit,)})})
    held = hold(audited, kind)
    assert (held.state, "to follow" in held.told()) == (open_, due is AuditDue.TO_FOLLOW)
    assert hold(audited, kind, decided(Matter.AUDIT, "pilot", "appointed")).state is open_
    reported = hold(audited, kind, decided(Matter.AUDIT, "pilot", "not-conducted-in-line", reason="No soak test"))
    assert (reported.state, "No soak test" in reported.told()) == (MET, True)


@pytest.mark.parametrize(
    ("kind", "matter", "subject", "decisions"),
    [
        (CriterionKind.BOARD_DECIDED, Matter.PHASE, "pilot", {"complete": MET, "not-complete": NOT_MET}),
        (CriterionKind.PEOPLE, Matter.CRITERION, "pilot/c",
         {"met": MET, "not-met": NOT_MET, "cannot-be-told": TOLD}),
    ],
)  # fmt: skip
def test_the_board_tells_what_is_its_own(
    programme: Programme, kind: CriterionKind, matter: Matter, subject: str, decisions: dict[str, State]
) -> None:
    assert hold(programme, kind).state is TOLD
    for decision, state in decisions.items():
        assert hold(programme, kind, decided(matter, subject, decision, reason="Minute 4")).state is state
        assert hold(programme, kind, decided(matter, "launch", decision)).state is TOLD


def test_what_a_computation_tells_is_not_told_by_people(programme: Programme) -> None:
    with pytest.raises(ValueError, match="not told by people"):
        hold(programme, CriterionKind.NUMBERS_AGREED)


# --- issues against thresholds ---


def with_thresholds(programme: Programme, most: dict[int, int]) -> Programme:
    thresholds = tuple(
        SeverityThreshold(severity=severity, most_open=each, standing=Standing.PROPOSED, source="x")
        for severity, each in most.items()
    )
    return programme.model_copy(
        update={"governance": programme.governance.model_copy(update={"thresholds": thresholds})}
    )


@given(
    st.dictionaries(st.integers(1, 5), st.integers(0, 3), max_size=5),
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=8),
)
def test_issues_are_within_thresholds_only_where_all_are_known(
    template: Catalogue, most: dict[int, int], raised: list[tuple[int, bool]]
) -> None:
    events = []
    for number, (severity, closed) in enumerate(raised):
        details = {"title": "x", "severity": str(severity or "")}
        events.append(decided(Matter.ISSUE, str(number), "raised", details=details))
        events += [decided(Matter.ISSUE, str(number), "closed", reason="x")] if closed else []
    open_ = [severity for severity, closed in raised if not closed]
    held = hold(with_thresholds(template.programme, most), CriterionKind.ISSUES_WITHIN_THRESHOLDS, *events)
    if any(open_.count(severity) > each for severity, each in most.items()):
        assert held.state is NOT_MET
    elif len(most) < 5 or 0 in open_:
        assert held.state is TOLD
    else:
        assert held.state is MET
    assert [held.counts[f"open {severity}"] for severity in range(1, 6)] == [open_.count(each) for each in range(1, 6)]
    assert {name: held.counts[name] for name in held.counts if name.startswith("most")} == {
        f"most {severity}": each for severity, each in most.items()
    }
