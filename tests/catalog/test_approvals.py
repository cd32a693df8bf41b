"""Approvals: what is approved by its digest, by somebody with a key, until a day, and revoked by a withdrawal."""

import pytest

from catalog.approvals import approvals, approve, reliance_statement, statement_digest
from catalog.canonical import canonical
from catalog.errors import EvidenceError, UsageError
from catalog.ledger import Actor, Draft, Kind, Reference

CHAIR = Actor(name="chair", fingerprint="b" * 64)
STATEMENT = reliance_statement(test="launch.orders.load", occasion="launch", executed="e" * 64, key="c" * 64)


def given(runbook, of=STATEMENT, *, expires="2027-01-31", reason="the board agreed on 3 May", actor=CHAIR):
    return approve(runbook.workspace, of, expires=expires, reason=reason, actor=actor, code="1")


def known(runbook):
    return approvals(runbook.workspace.ledger.records())


def test_a_decision_is_approved_by_the_digest_of_its_statement(runbook):
    record = given(runbook, reason="  the board agreed ")
    (found,) = known(runbook)
    assert (found.record, found.of, found.by) == (record.digest, statement_digest(STATEMENT), CHAIR)
    assert (found.day, found.expires, found.revoked) == (record.time[:10], "2027-01-31", "")
    assert runbook.workspace.store.get(found.of) == canonical(STATEMENT)
    assert record.parameters["reason"] == "the board agreed"
    assert record.parameters["test"] == "launch.orders.load"


@pytest.mark.parametrize("part", STATEMENT)
def test_whatever_changes_in_a_statement_makes_it_another(part):
    assert statement_digest({**STATEMENT, part: "other"}) != statement_digest(STATEMENT)


def test_a_plan_is_approved_by_its_digest_if_it_is_there(runbook):
    plan = runbook.workspace.store.put(b"[]")
    given(runbook, plan)
    assert [each.of for each in known(runbook)] == [plan]
    with pytest.raises(EvidenceError, match="not in the evidence store"):
        given(runbook, "f" * 64)
    assert len(known(runbook)) == 1


def test_a_withdrawal_revokes_it_and_says_who_and_why(runbook):
    record = given(runbook)
    runbook.withdraw(record.digest)
    given(runbook)
    first, second = known(runbook)
    assert first.revoked.endswith(": wrong clock")
    assert (second.revoked, second.of) == ("", first.of)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"expires": ""}, "expected the last day"),
        ({"expires": "20270131"}, "expected the last day"),
        ({"expires": "2027-02-30"}, "expected the last day"),
        ({"reason": " "}, "for a reason"),
        ({"actor": Actor(name="chair")}, "with a key"),
    ],
)
def test_what_is_no_approval_is_refused_and_nothing_recorded(runbook, how, told):
    with pytest.raises(UsageError, match=told) as refused:
        given(runbook, **how)
    assert refused.value.help()
    assert runbook.workspace.ledger.records() == []


def test_one_record_may_approve_several_and_need_not_expire(runbook):
    names = [runbook.workspace.store.put(each) for each in (b"[1]", b"[2]")]
    inputs = tuple(Reference(role=f"approved:{name}", digest=name) for name in names)
    draft = Draft(kind=Kind.APPROVED, stage="sign", inputs=inputs)
    runbook.workspace.record(draft, actor=CHAIR, code="1")
    assert [(each.of, each.expires) for each in known(runbook)] == [(name, "") for name in names]
