"""Approvals: what is approved by its digest, signed, until a day, and revoked by a withdrawal or a later refusal."""

from dataclasses import replace

import pytest
from approving import actor_of, approve, signer_of, statement_of_approval

from catalog.approvals import approvals, reliance_statement, statement_digest
from catalog.canonical import canonical
from catalog.decisions import draft
from catalog.errors import EvidenceError
from catalog.ledger import Draft, Kind, Reference

CHAIR = actor_of("chair")
STATEMENT = reliance_statement(test="launch.orders.load", occasion="launch", executed="e" * 64, key="c" * 64)


def given(runbook, of=STATEMENT, *, expires="2027-01-31", **how):
    return approve(runbook.workspace, of, expires=expires, **how)


def known(runbook):
    return approvals(runbook.workspace.ledger.records())


def test_a_decision_is_approved_by_the_digest_of_its_statement(runbook):
    record = given(runbook, reason="the board agreed")
    (found,) = known(runbook)
    assert (found.record, found.of, found.by) == (record.digest, statement_digest(STATEMENT), CHAIR)
    assert (found.day, found.expires, found.revoked) == ("2027-01-01", "2027-01-31", "")
    assert runbook.workspace.store.get(found.of) == canonical(STATEMENT)
    assert record.parameters["statement"]["reason"] == "the board agreed"
    assert record.parameters["statement"]["subject"] == "launch.orders.load"


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


def test_a_later_refusal_revokes_it(runbook):
    given(runbook)
    given(runbook, by="deputy", decision="refused", reason="not without a soak")
    given(runbook)
    first, second = known(runbook)
    assert (first.revoked, second.revoked) == ("refused by deputy: not without a soak", "")


def test_what_nobody_signed_approves_nothing(runbook):
    """Whoever can append to a ledger can name any person's key; only that person can sign."""
    digest = runbook.workspace.store.put(canonical(STATEMENT))
    named = (Reference(role="approved", digest=digest),)
    parameters = {"expires": "2999-12-31", "reason": "trust me", **STATEMENT}
    runbook.workspace.record(
        Draft(kind=Kind.APPROVED, stage="approve", inputs=named, parameters=parameters), actor=CHAIR, code="1"
    )
    assert known(runbook) == ()


def test_a_statement_with_anothers_signature_is_revoked(runbook):
    statement = statement_of_approval(runbook.workspace, STATEMENT)
    made = draft(statement, signer_of("chair"))
    longer = draft(replace(statement, until="2999-12-30"), signer_of("chair")).parameters["signature"]
    forged = replace(made, parameters={**made.parameters, "signature": longer})
    runbook.workspace.record(forged, actor=CHAIR, code="1")
    (found,) = known(runbook)
    assert found.revoked == "its signature is not the one of its key over its statement"
