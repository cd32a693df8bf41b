"""Test runs as the ledger tells them: states, attempts, ids; what has no end was interrupted."""

import pytest

from catalog.ledger import Actor, Draft, Kind
from catalog.runs import RunState, TestEnd, next_run_id, test_runs

ONE = {"stage": "execute", "rules": [1, 1], "inputs": {"test": {"role": "r", "type": "load", "name": "a"}}}
OTHER = {"stage": "execute", "rules": [1, 1], "inputs": {"test": {"role": "r", "type": "load", "name": "b"}}}


def test_an_empty_ledger_tells_of_no_runs():
    assert test_runs([]) == []
    assert next_run_id([], test="p.c.load", occasion="p") == "p/p.c.load/1"


def test_a_run_is_told_with_the_record_that_ended_it(runbook):
    run = runbook.run("pilot.orders.load", key=ONE)
    executed = runbook.workspace.ledger.records()[-1]
    assert (run.run, run.test, run.occasion) == ("pilot/pilot.orders.load/1", "pilot.orders.load", "pilot")
    assert (run.state, run.record, run.why, run.attempt) == (RunState.FINISHED, executed, "first", 1)
    assert run.key == runbook.workspace.store.put_document(ONE)
    assert run.parameter("type") == "load"
    assert run.parameter("unheard of") is None


def test_a_run_without_an_end_was_interrupted_and_is_told_with_its_start(runbook):
    run = runbook.run("pilot.orders.load", key=ONE, state="")
    started = runbook.workspace.ledger.records()[-1]
    assert (run.state, run.record, run.attempt) == (RunState.INTERRUPTED, started, 0)
    assert run.key == started.key


def test_attempts_count_finished_runs_of_the_same_test_key_and_occasion(runbook):
    runs = [
        runbook.run("pilot.orders.load", key=ONE),
        runbook.run("pilot.orders.load", key=ONE, state=""),
        runbook.run("pilot.orders.load", key=ONE, state="unreachable"),
        runbook.run("pilot.orders.load", key=OTHER),
        runbook.run("pilot.storefront.load", key=ONE),
        runbook.run("pilot.orders.load", key=ONE, occasion="2026-05-01"),
        runbook.run("pilot.orders.load", key=ONE),
    ]
    assert [run.attempt for run in runs] == [1, 1, 1, 1, 1, 1, 2]
    assert [run.attempt for run in runbook.runs()] == [1, 1, 1, 1, 1, 1, 2]


def test_a_withdrawn_run_still_counts_as_an_attempt(runbook):
    runbook.withdraw(runbook.run("pilot.orders.load", key=ONE).record.digest)
    assert runbook.run("pilot.orders.load", key=ONE).attempt == 2


def test_ids_count_every_start_so_none_comes_twice(runbook):
    for state in ("finished", "", "unreachable"):
        runbook.run("pilot.orders.load", key=ONE, state=state)
    runs = runbook.runs()
    assert len({run.run for run in runs}) == 3
    assert next_run_id(runs, test="pilot.orders.load", occasion="pilot") == "pilot/pilot.orders.load/4"
    assert next_run_id(runs, test="pilot.orders.load", occasion="launch") == "launch/pilot.orders.load/1"
    assert next_run_id(runs, test="pilot.orders.soak", occasion="pilot") == "pilot/pilot.orders.soak/1"


def test_received_results_are_a_finished_run_that_stands_for_the_key_planned(runbook):
    workspace = runbook.workspace
    planned, own = workspace.store.put_document(ONE), workspace.store.put_document({"stage": "intake"})
    runbook.run("pilot.orders.load", key=ONE)
    told = {"run": "pilot/pilot.orders.load/2", "test": "pilot.orders.load", "occasion": "pilot", "why": "received"}
    told |= {"state": "finished", "planned": planned}
    draft = Draft(kind=Kind.RECEIVED, stage="intake", key=own, parameters=told)
    workspace.record(draft, actor=Actor(name="a"), code="c")
    executed, received = runbook.runs()
    assert (executed.received, received.received) == (False, True)
    assert (received.state, received.attempt, received.key, received.stands_for) == (RunState.FINISHED, 2, own, planned)
    assert executed.stands_for == executed.key == planned


def test_a_state_that_this_version_does_not_know_is_never_taken_for_another(runbook):
    with pytest.raises(ValueError, match="improved"):
        runbook.run("pilot.orders.load", key=ONE, state="improved")


def test_a_planned_test_ends_in_one_of_seven_ways():
    assert [end.value for end in TestEnd] == [
        "executed", "relied", "received", "waived", "blocked", "failed", "not run",
    ]  # fmt: skip
