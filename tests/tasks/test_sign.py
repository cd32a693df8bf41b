"""Signing: what is meant is found, who may not decide is refused with who may, and an unsigned plan blocks."""

import pytest
from test_plan import BOARD, execute, planned, with_approvals

from catalog.decisions import draft
from catalog.declarations import EnvironmentKind, Holder
from catalog.errors import UsageError, WorldError
from catalog.ledger import Kind
from catalog.tree import head_of
from catalog.verification import verify
from tasks import subjects
from tasks.history import history
from tasks.people import people_of
from tasks.plan import Decision, History, decide
from tasks.sign import Asked, prepare
from tasks.stage import document

PLAN = "plan:orders-plan"


def test_a_plan_is_submitted_reviewed_and_signed_off(deciders):
    for role, by, decision in (
        ("orders-lead", "Lee", "submitted"),
        ("test-assurance", "Ann", "reviewed"),
        ("test-assurance", "Ann", "signed-off"),
    ):
        signed = deciders.sign(PLAN, role, by, decision)
        assert (signed.record.kind, signed.record.actor.name) == (Kind.APPROVED, by)
        assert signed.as_json()["decision"] == decision
    assert verify(deciders.workspace.home).ok


@pytest.mark.parametrize(
    ("role", "by", "decision", "told"),
    [
        ("orders-lead", "Lee", "", "no decision is given"),
        ("orders-lead", "Lee", "agreed", "'agreed' is no decision on a plan"),
        ("orders-lead", " ", "submitted", "needs the name"),
        ("orders-lead", "Lee", "reviewed", "the role 'orders-lead' may not decide reviewed"),
        ("storefront-lead", "Lee", "submitted", "the role 'storefront-lead' may not"),
        ("nobody", "Lee", "submitted", "there is no role 'nobody'"),
        ("test-assurance", "Ann", "reviewed", "orders-plan is not submitted"),
        ("test-assurance", "Ann", "rejected", "'rejected' needs a reason"),
    ],
)
def test_whoever_may_not_decide_is_refused_and_nothing_is_recorded(deciders, role, by, decision, told):
    with pytest.raises(UsageError, match=told) as refused:
        deciders.sign(PLAN, role, by, decision, key="Lee")
    assert refused.value.help()
    assert deciders.workspace.ledger.records() == []


def test_nobody_signs_off_what_they_submitted_by_name_or_by_key(deciders):
    deciders.sign(PLAN, "orders-lead", "Lee", "submitted")
    with pytest.raises(UsageError, match="this is the same name"):
        deciders.sign(PLAN, "test-assurance", "Lee", "reviewed", key="Ann")
    with pytest.raises(UsageError, match="this is the same key"):
        deciders.sign(PLAN, "test-assurance", "Ann", "reviewed", key="Lee")


def test_a_role_with_holders_is_theirs_with_their_key(deciders):
    key = deciders.signer("Ann").fingerprint
    governance = deciders.programme.governance
    roles = [
        each.model_copy(update={"holders": (Holder(name="Ann", key=key), Holder(name="Bob"))})
        if each.id == "test-assurance"
        else each
        for each in governance.roles
    ]
    deciders.programme = deciders.programme.model_copy(
        update={"governance": governance.model_copy(update={"roles": tuple(roles)})}
    )
    with pytest.raises(UsageError, match="Eve does not hold the role"):
        deciders.sign("requirements:order-house", "test-assurance", "Eve", "suitable")
    with pytest.raises(UsageError, match="Ann signs with another key"):
        deciders.sign("requirements:order-house", "test-assurance", "Ann", "suitable", key="Eve")
    deciders.sign("requirements:order-house", "test-assurance", "Ann", "suitable")
    deciders.sign("requirements:order-house", "test-assurance", "Bob", "suitable")


@pytest.mark.parametrize(
    ("what", "told", "help_"),
    [
        ("plan:orders-plam", "no test plan 'orders-plam'", "orders-plan"),
        ("plam:orders-plan", "nothing to be signed", "plan"),
        ("requirements:payment-firm", "no service provider with a test plan", "shop-team"),
        ("assurance:nothing", "no assurance", "payments-carry"),
        ("exclusion:nothing", "no exclusion", ""),
        ("phase:pilots", "no phase", "pilot"),
        ("phase:pilot", "pilot is not reported yet", "plimsoll run pilot"),
        ("criterion:pilot/board-decisions", "no exit criterion of pilot", "board-decision"),
        ("discharge:pilot.orders.load", "no phase is reported", "plimsoll run"),
        ("witness:pilot/pilot.orders.load/1", "no test run", ""),
        ("audit:pilot", "no audit is declared for pilot", "governance.yaml"),
        ("clause:pilot/1", "no clause", ""),
        ("reliance:pilots.orders.load", "no phase 'pilots'", "pilot"),
        ("reliance:pilot.orders.lod", "no planned test of pilot", "pilot.orders.load"),
        ("reliance:pilot.orders.load", "rests on nothing that needs an approval", "execute"),
        ("approach:other", "no approach document but", "document"),
        ("record:12345678", "no run and no record", ""),
    ],
)
def test_what_there_is_not_is_refused_with_what_there_is(deciders, what, told, help_):
    with pytest.raises(UsageError, match=told) as refused:
        prepare(Asked(what=what, role="board", by="Ann"), deciders.at("Ann"))
    assert help_ in refused.value.help()


def test_a_run_is_witnessed_and_a_record_approved_by_somebody_else(deciders, runbook):
    run = runbook.run("pilot.orders.load")
    witnessed = deciders.sign(f"witness:{run.run}", "test-assurance", "Ann", "witnessed")
    assert (witnessed.statement.of, witnessed.statement.phase) == (run.record.digest, "pilot")
    approved = deciders.sign(f"record:{run.record.digest[:8]}", "test-assurance", "Ann", "approved", until="2030-01-01")
    assert approved.statement.of == run.record.digest
    assert people_of(deciders.workspace).decisions[-1].until == "2030-01-01"
    with pytest.raises(UsageError, match="recorded by tester, and this is the same name"):
        deciders.sign(f"record:{run.record.digest}", "test-assurance", "tester", "approved")
    artefact = run.record.output("run")
    assert deciders.sign(f"record:{artefact}", "test-assurance", "Ann", "approved").statement.of == artefact


def test_a_document_is_attached_and_days_are_days(deciders, tmp_path):
    file = tmp_path / "letter.pdf"
    file.write_bytes(b"%PDF letter")
    given = deciders.sign("assurance:payments-carry", "test-assurance", "Ann", "given", file=file, dated="2026-02-01")
    assert deciders.workspace.store.get(given.record.output("file")) == b"%PDF letter"
    assert (given.statement.file_name, given.statement.details) == ("letter.pdf", {"dated": "2026-02-01"})
    for day in ({"until": "soon"}, {"dated": "2026-02-40"}, {"file": tmp_path / "none"}):
        with pytest.raises(UsageError):
            deciders.sign("assurance:payments-carry", "test-assurance", "Ann", "given", **day)
    assert verify(deciders.workspace.home).ok


def test_reliance_is_approved_by_somebody_else_until_a_day_and_may_be_refused_again(
    deciders, runbook, edited, monkeypatch
):
    deciders.programme = edited(deciders.programme, ("programme.reliance.approval", BOARD))
    execute(runbook, planned(deciders.programme))
    monkeypatch.setattr(subjects, "history", lambda *_, **__: with_approvals(runbook))
    what = ("reliance:launch.orders.load", "board")
    with pytest.raises(UsageError, match="has a last day"):
        deciders.sign(*what, "Ann", "approved")
    with pytest.raises(UsageError, match="recorded by tester, and this is the same name"):
        deciders.sign(*what, "tester", "approved", until="2999-01-01")
    launch = planned(deciders.programme, "launch")
    assert decide(deciders.programme, launch, with_approvals(runbook)).decision is Decision.BLOCKED
    signed = deciders.sign(*what, "Ann", "approved", until="2999-01-01")
    rests = decide(deciders.programme, launch, with_approvals(runbook))
    assert (rests.decision, rests.approval.record, rests.approval.by.name) == (
        Decision.RELY,
        signed.record.digest,
        "Ann",
    )
    deciders.sign(*what, "Ann", "refused", reason="the estate has grown")
    refused = decide(deciders.programme, launch, with_approvals(runbook))
    assert (refused.decision, "refused by Ann: the estate has grown" in refused.why) == (Decision.BLOCKED, True)


# --- what a key signed before and after it was revoked ---


def revoke(deciders, name, **since):
    head = head_of(deciders.workspace.ledger.records())
    other = deciders.signer("Bob")
    deciders.workspace.announce(other, name="Bob", code="1")
    draft = other.revoke(deciders.signer(name).public_key, head, reason="a stolen laptop", **since)
    deciders.workspace.record(draft, actor=other.actor("Bob"), code="1")


def test_what_a_key_signed_before_it_was_revoked_stands(deciders):
    deciders.sign_off("orders-plan", "orders-lead")
    revoke(deciders, "Ann")
    assert [each.withdrawn for each in people_of(deciders.workspace).decisions] == ["", "", ""]
    assert verify(deciders.workspace.home).ok


def test_what_a_key_signed_since_it_was_in_wrong_hands_counts_as_withdrawn(deciders, real):
    deciders.sign("requirements:order-house", "test-assurance", "Ann", "suitable")
    since = deciders.workspace.ledger.records()[-1].sequence + 1
    deciders.sign_off("orders-plan", "orders-lead")
    assert decided(deciders, real).decision is Decision.EXECUTE
    revoke(deciders, "Ann", since=since)
    found = people_of(deciders.workspace).decisions
    assert [bool(each.withdrawn) for each in found] == [False, False, True, True]
    key = deciders.signer("Ann").fingerprint[:16]
    assert f"its key {key} was revoked by record" in found[-1].withdrawn
    assert f"as compromised since record {since}: a stolen laptop" in found[-1].withdrawn
    assert decided(deciders, real).decision is Decision.BLOCKED
    held = verify(deciders.workspace.home)
    assert held.ok
    assert sum("decides nothing" in note for note in held.notes) == 2
    with pytest.raises(WorldError, match="was revoked by record"):
        deciders.sign(PLAN, "test-assurance", "Ann", "reviewed")


def test_what_a_key_signed_after_it_was_revoked_decides_nothing_whoever_recorded_it(deciders):
    signed = deciders.sign("requirements:order-house", "test-assurance", "Ann", "suitable")
    revoke(deciders, "Ann")
    again = draft(signed.statement, deciders.signer("Ann"))
    deciders.workspace.record(again, actor=deciders.signer("Ann").actor("Ann"), code="1")
    assert [bool(each.withdrawn) for each in people_of(deciders.workspace).decisions] == [False, True]
    assert not verify(deciders.workspace.home).ok


# --- an unsigned plan blocks execution, unless the environment is a rehearsal ---


@pytest.fixture
def real(deciders, edited):
    """The template's programme with its rehearsal made a real environment."""
    at = ("environments.rehearsal.kind", EnvironmentKind.REAL.value)
    return edited(deciders.programme, at, ("environments.rehearsal.components", {}))


def decided(deciders, programme, **asked):
    return decide(programme, planned(programme), history(deciders.workspace, programme), **asked)


def test_an_unsigned_plan_blocks_execution_and_a_signed_one_does_not(deciders, real):
    found = decided(deciders, real, again="to be sure")
    assert (found.decision, found.why) == (
        Decision.BLOCKED,
        "its test plan orders-plan is not signed off as it is declared now",
    )
    assert found.as_json()["reasons"] == [
        {"input": "test plan orders-plan", "old": "signed-off", "new": "not signed off"}
    ]
    deciders.sign_off("orders-plan", "orders-lead")
    assert decided(deciders, real).decision is Decision.EXECUTE
    rejected = deciders.sign(PLAN, "test-assurance", "Ann", "rejected", reason="too short")
    assert decided(deciders, real).decision is Decision.BLOCKED
    deciders.workspace.record(
        withdrawal_of(rejected.record.digest), actor=deciders.signer("Ann").actor("Ann"), code="1"
    )
    assert decided(deciders, real).decision is Decision.EXECUTE


def withdrawal_of(name):
    from catalog.ledger import Draft, Reference

    reference = Reference(role="withdrawn", digest=name)
    return Draft(kind=Kind.WITHDRAWN, stage="withdraw", inputs=(reference,), parameters={"reason": "by mistake"})


@pytest.mark.parametrize("changed", ["tests.plans.orders-plan.version", "tests.profiles.load.title"])
def test_a_plan_that_changed_since_is_not_signed_off(deciders, real, edited, changed):
    deciders.sign_off("orders-plan", "orders-lead")
    assert decided(deciders, edited(real, (changed, "2"))).decision is Decision.BLOCKED


def test_a_rehearsal_needs_no_plan_signed_off(deciders):
    assert decided(deciders, deciders.programme).decision is Decision.EXECUTE


def test_what_was_executed_stands_whatever_becomes_of_its_plan(deciders, real, runbook):
    test = planned(real)
    runbook.run(test.test, key=test.key, occasion="pilot", outputs={"run": document({})})
    runs, store = tuple(runbook.runs()), deciders.workspace.store
    known = History(runs=runs, withdrawn=frozenset(), store=store, verdict=lambda _: ("proved", ""))
    assert decide(real, test, known).decision is Decision.COMPLETE
