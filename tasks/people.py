"""What people decided, and what they decided on, gathered from the ledger and from the facts of a phase."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from catalog.decisions import Decision, decisions
from catalog.workspace import Workspace
from expectations.governance import People, TestFact


def people_of(workspace: Workspace) -> People:
    """Every decision in a workspace, as of its newest record."""
    head = workspace.ledger.head()
    found = decisions(workspace.ledger.records(), workspace.withdrawals())
    return People(decisions=found, at=head.time if head else "")


def people_facts(workspace: Workspace, phase: str) -> dict[str, Any]:
    """The decisions that bear on a phase, as facts: its own, and those of no phase."""
    people = people_of(workspace)
    return {"at": people.at, "decisions": [each.as_fact() for each in people.decisions if each.phase in ("", phase)]}


def people_from(facts: Mapping[str, Any]) -> People:
    """What `people_facts` gave for a phase, with the tests of that phase; none where it is absent."""
    found = facts.get("people", {"at": "", "decisions": []})
    return People(
        decisions=[Decision.from_fact(each) for each in found["decisions"]],
        tests=test_facts(facts["tests"]),
        at=found["at"],
    )


def test_facts(tests: Sequence[Mapping[str, Any]]) -> list[TestFact]:
    """What became of each planned test, from the facts of a phase."""
    return [_test_fact(test) for test in tests]


test_facts.__test__ = False  # type: ignore[attr-defined]  # imported into tests, it is not one


def _test_fact(test: Mapping[str, Any]) -> TestFact:
    relied = test["relied_on"]
    own = [run for run in test["runs"] if not relied or run["run"] != relied["run"]]
    starts = [start for run in own if (start := (run["document"] or {}).get("start_us"))]
    began = datetime.fromtimestamp(min(starts) // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if starts else ""
    return TestFact(
        test=test["test"],
        plan=test["plan"],
        end=test["end"],
        stands=relied["record"] if relied else next((run["record"] for run in test["runs"] if run["judged"]), ""),
        runs=tuple(run["run"] for run in own),
        began=began,
    )
