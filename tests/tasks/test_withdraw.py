"""Withdrawing: by a run's id or a record, for a reason, once; what does not exist is refused with what does."""

import pytest

from catalog.errors import UsageError
from catalog.ledger import Actor, Kind
from catalog.signing import Signer
from tasks.history import history
from tasks.stage import document
from tasks.withdraw import withdraw

ACTOR = Actor(name="auditor")


def withdrawn(runbook, name, reason="a wrong clock"):
    return withdraw(runbook.workspace, name, reason, actor=ACTOR, code="1")


@pytest.fixture
def run(runbook):
    return runbook.run("pilot.orders.load")


@pytest.mark.parametrize("naming", ["run", "start", "end", "digest", "beginning"])
def test_a_run_is_withdrawn_by_any_of_its_names(runbook, run, naming):
    digest = run.record.digest
    names = {"run": run.run, "start": "1", "end": "2", "digest": digest, "beginning": digest[:8]}
    done = withdrawn(runbook, names[naming], reason="  a wrong clock ")
    assert done.of == run.record
    assert (done.record.kind, done.record.actor, done.record.parameters["reason"]) == (
        Kind.WITHDRAWN,
        ACTOR,
        "a wrong clock",
    )
    assert run.record.digest in runbook.workspace.withdrawn()
    assert done.as_json()["withdrawn"] == {"name": names[naming], "record": 2, "digest": digest}


def test_an_interrupted_run_is_withdrawn_by_its_start(runbook):
    run = runbook.run("pilot.orders.load", state="")
    assert withdrawn(runbook, run.run).of == run.record


def test_what_rests_on_it_is_told_and_nothing_else(runbook, run):
    recorder = runbook.recorder
    results = {"run": run.record.output("run") or ""}
    measured = recorder.record(Kind.DERIVED, "measure", inputs=results, outputs={"measurements": document([41])})
    recorder.record(Kind.DERIVED, "volumes", outputs={"volumes": document([1])})
    relied = recorder.record(Kind.RELIED, "rely", inputs={"executed": run.record.digest})
    done = withdrawn(runbook, run.run)
    assert done.affected == (measured, relied)
    assert [each["record"] for each in done.as_json()["affected"]] == [3, 5]
    assert withdrawn(runbook, "3").affected == ()  # it was affected before


def test_nothing_is_withdrawn_twice(runbook, run):
    withdrawn(runbook, run.run)
    for name in (run.run, "1", "2", run.record.digest):
        with pytest.raises(UsageError, match=r"was withdrawn by auditor on .*: a wrong clock"):
            withdrawn(runbook, name)
    assert len(runbook.workspace.ledger.records()) == 3


@pytest.mark.parametrize(
    ("name", "told", "help_"),
    [
        ("pilot/pilot.orders.laod/1", "no run and no record", "Did you mean 'pilot/pilot.orders.load/1'?"),
        ("3", "there is no record 3: the ledger has 2", ""),
        ("0", "there is no record 0", ""),
        ("abc", "no run and no record", "8 characters or more"),
        ("f" * 64, "no run and no record", "8 characters or more"),
        ("", "no run and no record", "8 characters or more"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(runbook, run, name, told, help_):
    with pytest.raises(UsageError, match=told) as refused:
        withdrawn(runbook, name)
    assert help_ in refused.value.help()
    assert len(runbook.workspace.ledger.records()) == 2


def test_an_artefact_is_refused_with_the_record_that_put_it_out(runbook, run):
    with pytest.raises(UsageError) as refused:
        withdrawn(runbook, run.record.outputs[0].digest)
    assert "withdraw that record, 2" in refused.value.help()


def test_what_is_no_evidence_cannot_be_withdrawn(runbook, run, tmp_path):
    done = withdrawn(runbook, run.run)
    runbook.workspace.sign(
        Signer.open(tmp_path / "key.pem", outside=runbook.workspace.home), phase="x", name="t", code="1"
    )
    for number in (done.record.sequence, done.record.sequence + 1, done.record.sequence + 2):
        with pytest.raises(UsageError, match="cannot be withdrawn"):
            withdrawn(runbook, str(number))


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_it_is_done_for_a_reason_only(runbook, run, reason):
    with pytest.raises(UsageError, match="only for a reason"):
        withdrawn(runbook, run.run, reason=reason)


def test_history_says_who_withdrew_a_run_and_why(runbook, run, template):
    other = runbook.run("pilot.orders.load")
    withdrawn(runbook, run.run)
    known = history(runbook.workspace, template.programme)
    assert known.withdrawal_of(run).endswith(": a wrong clock")
    assert known.withdrawal_of(run).startswith("withdrawn by auditor on ")
    assert known.withdrawal_of(other) == ""
    assert known.verdict(run) == ("inconclusive", "evidence withdrawn")


def test_a_run_that_rests_on_what_was_withdrawn_says_so(runbook, template):
    volumes = runbook.recorder.record(Kind.DERIVED, "volumes", outputs={"volumes": document([1])})
    given = {"volumes": volumes.output("volumes") or ""}
    parameters = {"run": "pilot/t/1", "test": "t", "why": "first"}
    runbook.recorder.record(Kind.STARTED, "execute", inputs=given, parameters=parameters)
    ended = {**parameters, "state": "finished"}
    runbook.recorder.record(Kind.EXECUTED, "execute", inputs=given, parameters=ended, outputs={"run": document({})})
    withdrawn(runbook, "1")
    (run,) = runbook.runs()
    assert (
        history(runbook.workspace, template.programme).withdrawal_of(run).startswith("it rests on what was withdrawn")
    )
