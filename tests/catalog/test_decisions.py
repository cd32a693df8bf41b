"""Decisions: what is signed is read back, and nothing counts that its key did not sign or that was withdrawn."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.canonical import canonical, digest
from catalog.decisions import Decision, Statement, decisions, draft, newest
from catalog.declarations import DECISIONS, Matter
from catalog.issues import issues, next_issue_id
from catalog.ledger import Actor, Draft, Kind, Record, Reference
from catalog.reach import reach
from catalog.signing import Signer
from catalog.verification import verify
from catalog.workspace import Workspace

NOW = "2026-03-01T12:00:00Z"


def statement(of: str, **more: Any) -> Statement:
    given_ = {"matter": Matter.PLAN, "subject": "p", "decision": "signed-off", "role": "board", "by": "Ann"}
    return Statement(**{**given_, "of": of, "time": NOW, **more})


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "home", create=True)


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer.open(tmp_path / "key.pem", outside=tmp_path / "home")


def record(workspace: Workspace, signer: Signer, stated: Statement, **parameters: Any) -> Record:
    """Records a statement; `parameters` are put in place of those of an honest record."""
    workspace.announce(signer, name=stated.by, code="1")
    made = draft(stated, signer)
    made = replace(made, parameters={**made.parameters, **parameters})
    return workspace.record(made, actor=signer.actor(stated.by), code="1")[0]


def read(workspace: Workspace) -> list[Decision]:
    return decisions(workspace.ledger.records(), workspace.withdrawals())


text = st.text(st.characters(codec="utf-8"), max_size=20)


@given(
    st.builds(
        Statement,
        matter=st.sampled_from([each for each in Matter if each is not Matter.ISSUE]),
        subject=text, of=st.just("0" * 64), decision=text, role=text, by=text, time=text, phase=text, reason=text,
        until=text, details=st.dictionaries(text, text, max_size=3),
    )
)  # fmt: skip
def test_a_statement_survives_the_ledger_as_it_was_signed(stated: Statement) -> None:
    document = json.loads(canonical(stated.as_json()))
    found = Decision.from_fact(
        {**{name: each for name, each in document.items() if name != "purpose"}, "record": "", "sequence": 1, "key": ""}
    )
    assert found.as_json() == stated.as_json()
    assert Decision.from_fact(json.loads(canonical(found.as_fact()))) == found


def test_a_decision_is_read_back_with_its_key_and_place(workspace: Workspace, signer: Signer) -> None:
    of = workspace.store.put(b"a plan")
    made = record(workspace, signer, statement(of, phase="ioc"))
    (found,) = read(workspace)
    assert (found.of, found.key, found.record, found.sequence) == (of, signer.fingerprint, made.digest, 2)
    assert (made.kind, made.parameters["occasion"]) == (Kind.APPROVED, "ioc")
    assert (made.actor.name, found.withdrawn, found.is_positive) == ("Ann", "", True)
    assert verify(workspace.home).ok


@pytest.mark.parametrize(
    ("forged", "fault"),
    [
        ({"signature": "00" * 64}, "its signature is not the one of its key"),
        ({"public_key": "nonsense"}, "its signature is not the one of its key"),
        ({"statement": {}}, ""),
    ],
)
def test_what_its_key_did_not_sign_does_not_count_and_is_a_fault(
    workspace: Workspace, signer: Signer, forged: dict[str, Any], fault: str
) -> None:
    record(workspace, signer, statement(workspace.store.put(b"a plan")), **forged)
    assert all(each.withdrawn for each in read(workspace))
    found = [each.what for each in verify(workspace.home).faults]
    assert any(fault in each for each in found)


def test_words_put_into_a_signed_statement_are_found(workspace: Workspace, signer: Signer) -> None:
    of = workspace.store.put(b"a plan")
    altered = {**statement(of).as_json(), "decision": "rejected"}
    record(workspace, signer, statement(of), statement=altered)
    assert "not the one of its key over its statement" in read(workspace)[0].withdrawn
    assert not verify(workspace.home).ok


def test_a_record_in_another_name_or_of_another_thing_is_a_fault(workspace: Workspace, signer: Signer) -> None:
    of, other = workspace.store.put(b"a plan"), workspace.store.put(b"another")
    workspace.announce(signer, name="Ann", code="1")
    honest = draft(statement(of), signer)
    workspace.record(honest, actor=signer.actor("Bob"), code="1")
    workspace.record(replace(honest, inputs=(Reference(role="subject", digest=other),)),
                     actor=signer.actor("Ann"), code="1")  # fmt: skip
    workspace.record(honest, actor=Actor(name="Ann", fingerprint="0" * 64), code="1")
    faults = {each.what for each in verify(workspace.home).faults}
    assert faults == {
        "it was recorded by 'Bob', and its statement is by 'Ann'",
        "its statement is about something that its record does not name",
        "its actor has another key than the one that signed",
    }


def test_a_key_that_was_not_announced_is_a_fault(workspace: Workspace, signer: Signer) -> None:
    made = draft(statement(workspace.store.put(b"a plan")), signer)
    workspace.record(made, actor=signer.actor("Ann"), code="1")
    assert [each.what for each in verify(workspace.home).faults] == [
        f"its key '{signer.public_key}' was not announced by a record before it"
    ]


def test_a_withdrawn_decision_does_not_count_and_the_one_before_it_does(workspace: Workspace, signer: Signer) -> None:
    of = workspace.store.put(b"a plan")
    first = record(workspace, signer, statement(of))
    second = record(workspace, signer, statement(of, decision="rejected"))
    assert newest(read(workspace), Matter.PLAN, "p", of=of, at=NOW).record == second.digest  # type: ignore[union-attr]  # there is one
    gone = Draft(kind=Kind.WITHDRAWN, stage="withdraw", inputs=(Reference(role="withdrawn", digest=second.digest),),
                 parameters={"reason": "by mistake"})  # fmt: skip
    workspace.record(gone, actor=Actor(name="Ann"), code="1")
    assert newest(read(workspace), Matter.PLAN, "p", of=of, at=NOW).record == first.digest  # type: ignore[union-attr]  # as above
    assert "by mistake" in read(workspace)[1].withdrawn


@given(st.dates(), st.dates())
def test_a_decision_holds_to_its_last_day_on_what_it_was_on_only(until: Any, day: Any) -> None:
    found = Decision(**{**vars_of(statement("a" * 64)), "until": until.isoformat()}, record="", sequence=1, key="")
    at = f"{day.isoformat()}T23:59:59.000000Z"
    assert found.holds("a" * 64, at) is (day <= until)
    assert not found.holds("b" * 64, at)


def vars_of(stated: Statement) -> dict[str, Any]:
    return {name: getattr(stated, name) for name in stated.__dataclass_fields__}


def test_a_phase_reaches_what_was_decided_on_it_or_on_none_and_not_on_others(
    workspace: Workspace, signer: Signer
) -> None:
    of = {phase: workspace.store.put(f"of {phase}".encode()) for phase in ("ioc", "moc", "")}
    made = {phase: record(workspace, signer, statement(of[phase], phase=phase)).digest for phase in of}
    found = reach(workspace.ledger.records(), "ioc")
    assert {made["ioc"], made[""]} <= found.records
    assert made["moc"] not in found.records
    assert (of["ioc"] in found.objects, of["moc"] in found.objects) == (True, False)


def test_every_matter_has_a_decision_that_says_yes() -> None:
    assert set(DECISIONS) == set(Matter)
    assert all(any(known.values()) for known in DECISIONS.values())


# --- testing issues ---


def event(decision: str, subject: str = "ioc-issue-1", **more: Any) -> Decision:
    stated = statement(digest(b""), matter=Matter.ISSUE, decision=decision, subject=subject, phase="ioc", **more)
    return Decision(**vars_of(stated), record="", sequence=1, key="k")


def test_the_life_of_an_issue() -> None:
    raised = event("raised", details={"title": "Slow", "severity": "", "test": "ioc.dsp.load"})
    (issue,) = issues([raised])
    assert (issue.severity, issue.is_open, issue.test) == (0, True, "ioc.dsp.load")
    rated = event("changed", details={"severity": "2"})
    closed = event("closed", reason="fixed in 1.1")
    (issue,) = issues([raised, rated, closed])
    assert (issue.severity, issue.is_open, issue.resolution, issue.title) == (2, False, "fixed in 1.1", "Slow")
    (issue,) = issues([raised, rated, closed, event("reopened", reason="again")])
    assert (issue.severity, issue.is_open, issue.resolution) == (2, True, "")
    assert [each.decision for each in issue.events] == ["raised", "changed", "closed", "reopened"]


def test_withdrawn_events_and_those_of_nothing_count_for_nothing() -> None:
    raised = event("raised", details={"title": "Slow", "severity": "9"})
    gone = replace(event("closed"), withdrawn="by Ann")
    (issue,) = issues([raised, gone, event("closed", "ioc-issue-7")])
    assert (issue.is_open, issue.severity) == (True, 0)
    assert next_issue_id([raised, gone], "ioc") == "ioc-issue-2"
    assert next_issue_id([replace(raised, withdrawn="by Ann")], "ioc") == "ioc-issue-2"
    assert next_issue_id([raised], "moc") == "moc-issue-1"
