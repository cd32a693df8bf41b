"""Impact analysis: root causes apart from what they propagate, what is touched and what is not, and the conclusion."""

from collections.abc import Callable
from typing import Any

import pytest

from catalog.declarations import Programme
from catalog.ledger import Kind
from catalog.workspace import Workspace
from tasks import impact as impacts
from tasks.declare import programme_document
from tasks.impact import Tracer, impact
from tasks.plan import Decided, History, decide, phases_needed, plan_tests
from tasks.stage import document
from tasks.volumes.model import model_volumes

Change = tuple[str, Any]


@pytest.fixture
def explained(runbook: Any, template: Any, edited: Any) -> Callable[..., dict[str, Any]]:
    """The impact analysis of a test of the launch, after a pilot by the template and then these changes."""

    def make(test: str, *changes: Change, declared: bool = True, verdict: str = "proved") -> dict[str, Any]:
        before = template.programme
        if declared:
            runbook.recorder.record(
                Kind.DECLARED, "declare", outputs={"programme": document(programme_document(before))}
            )
        for each in planned(before, "pilot"):
            runbook.run(each.test, key=each.key)
        after = edited(before, *changes)
        known = History(
            runs=tuple(runbook.runs()), withdrawn=frozenset(), store=runbook.workspace.store,
            verdict=lambda _: (verdict, ""),
        )  # fmt: skip
        decided = [decide(after, each, known) for each in planned(after, "launch")]
        found = next(each for each in decided if each.planned.test == test)
        return impact(found, after, decided, tracer(after, runbook.workspace, decided))

    return make


def planned(programme: Programme, phase: str) -> list[Any]:
    return plan_tests(programme, phase, programme.environment("rehearsal"), volumes(programme, phase), occasion=phase)


def volumes(programme: Programme, phase: str) -> dict[str, Any]:
    return {each: model_volumes(programme, each) for each in phases_needed(programme, phase)}


def tracer(programme: Programme, workspace: Workspace, decided: list[Decided]) -> Tracer:
    return Tracer(
        workspace=workspace, programme=programme, environment="rehearsal",
        planned=[each.planned for each in decided], volumes=volumes(programme, "launch"),
    )  # fmt: skip


def roots(found: dict[str, Any]) -> dict[str, list[str]]:
    return {each["declared"]: each["propagates"] for each in found["roots"]}


CELLS = ["volumes.purchase|order-status|request", "volumes.purchase|place-order|request"]
MORE: Change = ("assumptions.ordering-share.value", "0.05")
VERSION: Change = ("system.components.orders.version", "2.0")


def test_a_changed_assumption_is_the_root_of_every_volume_that_it_moves(explained):
    found = explained("launch.orders.load", MORE)
    assert roots(found) == {"assumptions[ordering-share]": CELLS}
    (root,) = found["roots"]
    assert root["differences"] == [{"input": "assumptions[ordering-share].value", "old": "0.04", "new": "0.05"}]
    assert root["old_digest"] != root["new_digest"]
    assert (found["by_themselves"], found["apart"], found["untraced"], found["traced"]) == ([], [], [], True)
    assert "2 of " in found["conclusion"]
    assert "are in the way of resting on run pilot/pilot.orders.load/1" in found["conclusion"]


def test_changes_together_are_told_apart_and_what_touches_nothing_too(explained):
    found = explained(
        "launch.orders.load", MORE, VERSION,
        ("system.components.storefront.version", "2.0"), ("programme.approach_document.version", "0.2"),
        ("requirements.latency.title", "Another"),
    )  # fmt: skip
    assert roots(found) == {
        "assumptions[ordering-share]": CELLS,
        "system.components[orders]": ["components.orders.version"],
    }
    assert found["apart"] == [
        "programme.approach_document",
        "requirements[latency]",
        "system.components[storefront]",
    ]
    storefront = {f"launch.storefront.{name}" for name in ("load", "stress", "soak")}
    assert set(found["affected"]["tests"]) == storefront | {"launch.orders.stress", "launch.orders.soak"}


def test_a_change_of_one_component_affects_its_own_tests_only(explained):
    found = explained("launch.orders.load", VERSION)
    assert found["affected"]["tests"] == ["launch.orders.stress", "launch.orders.soak"]
    assert found["affected"]["component"] == "orders"
    assert found["affected"]["paths"] == ["purchase"]
    assert "latency" in found["affected"]["requirements"]
    assert "headroom" not in found["affected"]["requirements"]
    told = {each["input"]: each for each in found["compared"]}
    assert told["components.orders.version"]["old_digest"] != told["components.orders.version"]["new_digest"]
    assert told["test"]["old_digest"] == told["test"]["new_digest"]


def test_forecasts_are_one_part_with_every_row_that_differs(explained, template):
    rows = programme_document(template.programme)["forecasts"]
    more = [{**row, "meters": row["meters"] * 2} if row["phase"] == "launch" else row for row in rows]
    found = explained("launch.orders.load", ("forecasts", more))
    assert roots(found) == {"forecasts": CELLS}
    assert len(found["roots"][0]["differences"]) == sum(row["phase"] == "launch" for row in rows)


def test_a_requirement_is_the_root_of_a_verdict_only(explained):
    limit = ("requirements.latency.limit", {"value": 999_000, "unit": "ppm"})
    assert roots(explained("launch.orders.load", limit, verdict="not proved")) == {
        "requirements[latency]": ["verdict under the requirements now in force (needed, found)"]
    }


def test_what_rests_on_evidence_unchanged_has_no_roots(explained):
    found = explained("launch.orders.load")
    assert (found["decision"], found["roots"], found["by_themselves"], found["apart"]) == ("rely", [], [], [])
    assert found["evidence"]["run"] == "pilot/pilot.orders.load/1"
    assert found["conclusion"].startswith("relied on: rests on run pilot/pilot.orders.load/1")
    assert {each["what"] for each in found["not_compared"]} >= {"other components", "requirements"}


def test_without_what_was_declared_then_nothing_is_traced_and_that_is_said(explained):
    found = explained("launch.orders.load", VERSION, declared=False)
    assert (found["traced"], found["roots"]) == (False, [])
    assert found["by_themselves"] == ["components.orders.version"]


def test_a_part_without_which_nothing_can_be_planned_is_said_not_to_be_traced(explained):
    renamed = [("assumptions.ordering-share.id", "ordering-part"), ("volumes.groups.ordering.share", "ordering-part")]
    found = explained("launch.orders.load", *renamed)
    assert found["decision"] == "rely"
    assert "assumptions[ordering-part]" in found["untraced"]
    assert "assumptions[ordering-part]" not in found["apart"]


def test_many_parts_are_traced_by_whole_lists(explained, monkeypatch):
    monkeypatch.setattr(impacts, "MOST_PARTS", 1)
    found = explained("launch.orders.load", MORE, VERSION)
    assert roots(found) == {"assumptions": CELLS, "system.components": ["components.orders.version"]}


def test_an_entry_that_is_new_is_undone_by_taking_it_away(explained, template):
    written = programme_document(template.programme)["system"]["components"]
    other = {**written[-1], "id": "ledger", "role": "ledger"}
    found = explained("launch.orders.load", ("system.components", [*written, other]))
    assert (found["decision"], found["apart"]) == ("rely", ["system.components[ledger]"])
