"""Testing issues: raised from observations once, raised and changed by hand, and refused where there is nothing to."""

import pytest

from catalog.errors import UsageError
from catalog.ledger import Kind
from catalog.verification import verify
from tasks.issues import Raised, all_issues, change_issue, raise_from_observations, raise_issue
from tasks.sign import Asked
from tasks.stage import document

TEST = "pilot.orders.load"


def asked(role="test-assurance", by="Ann", reason="", **_):
    return Asked(what="issue", role=role, by=by, reason=reason)


def by_hand(deciders, raised, **how):
    return raise_issue(raised, asked(**how), deciders.at("Ann"))


def change(deciders, name, decision, **how):
    more = {key: how.pop(key) for key in ("severity", "title") if key in how}
    return change_issue(name, decision, asked(**how), deciders.at("Ann"), **more)


def test_an_issue_lives_from_hand_to_hand(deciders):
    raised = by_hand(deciders, Raised(phase="pilot", title=" Orders are slow ", test=TEST, severity=3))
    assert (raised.id, raised.title, raised.severity, raised.by_machine) == (
        "pilot-issue-1",
        "Orders are slow",
        3,
        False,
    )
    assert change(deciders, raised.id, "changed", severity=2, title="Orders wait").title == "Orders wait"
    closed = change(deciders, raised.id, "closed", reason="index added")
    assert (closed.is_open, closed.resolution, closed.severity) == (False, "index added", 2)
    assert change(deciders, raised.id, "reopened", reason="back again").is_open
    assert by_hand(deciders, Raised(phase="launch", title="x")).id == "launch-issue-1"
    kinds = [record.kind for record in deciders.workspace.ledger.records()]
    assert kinds.count(Kind.ISSUE) == 5
    assert verify(deciders.workspace.home).ok


@pytest.mark.parametrize(
    ("raised", "how", "told"),
    [
        ({"phase": "pilots", "title": "x"}, {}, "no phase 'pilots'"),
        ({"phase": "pilot", "title": " "}, {}, "needs a title"),
        ({"phase": "pilot", "title": "x", "severity": 6}, {}, "no severity 6"),
        ({"phase": "pilot", "title": "x", "test": "pilot.orders.lod"}, {}, "plans no test"),
        ({"phase": "pilot", "title": "x"}, {"role": "board"}, "'board' may not decide raised"),
        ({"phase": "pilot", "title": "x"}, {"by": ""}, "needs the name"),
    ],
)
def test_what_cannot_be_raised_is_refused(deciders, raised, how, told):
    with pytest.raises(UsageError, match=told):
        by_hand(deciders, Raised(**raised), **how)
    assert deciders.workspace.ledger.records() == []


@pytest.mark.parametrize(
    ("name", "decision", "how", "told"),
    [
        ("pilot-issue-2", "closed", {"reason": "x"}, "no testing issue"),
        ("pilot-issue-1", "closed", {}, "only for a reason"),
        ("pilot-issue-1", "reopened", {"reason": "x"}, "is open"),
        ("pilot-issue-1", "changed", {}, "nothing is changed"),
        ("pilot-issue-1", "changed", {"severity": -1}, "no severity"),
        ("pilot-issue-1", "closed", {"reason": "x", "role": "board"}, "may not decide closed"),
    ],
)
def test_what_cannot_be_changed_is_refused(deciders, name, decision, how, told):
    by_hand(deciders, Raised(phase="pilot", title="x"))
    with pytest.raises(UsageError, match=told):
        change(deciders, name, decision, **how)
    assert [issue.is_open for issue in all_issues(deciders.workspace)] == [True]


def test_nothing_is_closed_twice(deciders):
    by_hand(deciders, Raised(phase="pilot", title="x"))
    change(deciders, "pilot-issue-1", "closed", reason="fixed")
    with pytest.raises(UsageError, match="closed already: fixed"):
        change(deciders, "pilot-issue-1", "closed", reason="fixed")


# --- from observations ---


@pytest.fixture
def observed(runbook):
    return runbook.recorder.record(Kind.OBSERVED, "observe", outputs={"observations": document([])})


def row(run, requirement="memory", verdict="not proved", scope="all"):
    return {"run": run.run, "test": run.test, "requirement": requirement, "verdict": verdict, "scope": scope}


def from_observations(deciders, runbook, observed, *rows):
    runs = {run.run: run for run in runbook.runs()}
    return raise_from_observations(runbook.recorder, deciders.programme, observed, rows, runs)


def test_what_is_not_proved_raises_one_issue_for_test_and_requirement(deciders, runbook, observed):
    volumes = runbook.recorder.record(Kind.DERIVED, "volumes", outputs={"volumes": document([])})
    runbook.recorder.record(Kind.DERIVED, "plan", outputs={"plan": document([TEST])})
    run = runbook.run(TEST, inputs={"volumes": volumes.output("volumes") or ""})
    scopes = [row(run, "latency-p95", scope=f"group:{name}") for name in "abcd"]
    rows = [*scopes, row(run), row(run, "cpu", "proved"), row(run, "x", "inconclusive"), row(run, "target-volume")]
    assert len(from_observations(deciders, runbook, observed, *rows)) == 3
    first, second, third = all_issues(runbook.workspace)
    assert first.title.endswith("not proved (group:a, group:b, group:c, …)")
    assert (first.severity, first.is_open, first.by_machine, first.run) == (0, True, True, run.run)
    assert (second.requirement, third.title) == ("memory", "Target volume, offered in time: not proved")
    assert from_observations(deciders, runbook, observed, *rows) == []
    assert verify(runbook.workspace.home).ok


def test_a_closed_issue_is_raised_again_only_by_another_run(deciders, runbook, observed):
    from_observations(deciders, runbook, observed, row(runbook.run(TEST)))
    change(deciders, "pilot-issue-1", "closed", reason="accepted")
    assert from_observations(deciders, runbook, observed, row(runbook.runs()[0])) == []
    assert len(from_observations(deciders, runbook, observed, row(runbook.run(TEST)))) == 1
    assert [(each.id, each.is_open) for each in all_issues(runbook.workspace)] == [
        ("pilot-issue-1", False),
        ("pilot-issue-2", True),
    ]


def test_what_rests_on_runs_of_another_phase_raises_nothing(deciders, runbook, observed):
    run = runbook.run(TEST, occasion="launch")
    found = raise_from_observations(runbook.recorder, deciders.programme, observed, [row(run)], {})
    assert found == []
