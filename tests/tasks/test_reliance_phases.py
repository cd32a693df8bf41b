"""Reliance over several phases: withdrawing evidence reaches whatever rested on it, a change whatever depends on it."""

from dataclasses import replace
from typing import Any

import pytest
from approving import approve

from catalog.canonical import document_digest
from catalog.ledger import Actor, Kind
from catalog.runs import TestEnd
from catalog.workspace import Workspace
from tasks.conclude import comparison, endings, observed_runs
from tasks.declare import programme_document, volume_inputs
from tasks.history import decided_then, history
from tasks.measuring import settings
from tasks.plan import Decision, decide, phases_needed, plan_tests
from tasks.stage import Recorder, document
from tasks.volumes.model import model_volumes
from tasks.withdraw import withdraw

AUDITOR = Actor(name="auditor", fingerprint="a" * 64)
LATER = {"id": "later", "title": "Later", "components": ["storefront", "orders"]}


@pytest.fixture
def programme(template: Any, edited: Any) -> Any:
    """The template's programme with a third phase, which tests what the launch does."""
    written = programme_document(template.programme)
    more = [{**row, "phase": "later"} for row in written["forecasts"] if row["phase"] == "launch"]
    phases = ["pilot", "launch", "later"]
    return edited(
        template.programme,
        ("programme.phases", [*written["programme"]["phases"], LATER]),
        ("forecasts", [*written["forecasts"], *more]),
        ("tests.plans.storefront-plan.phases", phases),
        ("tests.plans.orders-plan.phases", phases),
    )


class Phases:
    """A ledger over several phases, in which tests are executed, relied on and reported without being measured."""

    def __init__(self, runbook: Any, programme: Any) -> None:
        self.runbook, self.programme = runbook, programme
        self.workspace: Workspace = runbook.workspace
        self.volumes = {
            phase: runbook.recorder.record(
                Kind.DERIVED, "volumes", outputs={"volumes": document([phase])}
            ) for phase in ("pilot", "launch", "later")
        }  # fmt: skip

    def known(self) -> Any:
        day = self.workspace.ledger.records()[-1].time[:10]
        made = history(self.workspace, self.programme, day=day)
        return replace(made, verdict=lambda _: ("proved", ""), deciding=lambda _: ())

    def decided(self, phase: str) -> list[Any]:
        environment = self.programme.environment("rehearsal")
        volumes = {each: model_volumes(self.programme, each) for each in phases_needed(self.programme, phase)}
        planned = plan_tests(self.programme, phase, environment, volumes, occasion=phase)
        return [decide(self.programme, each, self.known()) for each in planned]

    def run(self, phase: str) -> None:
        """What a run of the phase does: executes what must be, and records what is relied on."""
        recorder = Recorder(workspace=self.workspace, occasion=phase, actor=Actor(name="tester"), code="1")
        entries = [{**each.as_json(), "key": each.planned.key_digest} for each in self.decided(phase)]
        recorder.record(Kind.DERIVED, "plan", outputs={"plan": document(entries)})
        for each in self.decided(phase):
            if each.decision is Decision.RELY:
                approved = {"approved": each.approval.record} if each.approval else {}
                recorder.record(
                    Kind.RELIED, "rely", inputs={"executed": each.stands.record.digest, **approved},
                    outputs={"comparison": document(comparison(each))},
                    parameters={"test": each.planned.test, "run": each.stands.run},
                )  # fmt: skip
            elif each.decision is Decision.EXECUTE:
                self._execute(recorder, each)

    def _execute(self, recorder: Recorder, decided: Any) -> None:
        planned = decided.planned
        named = {name: planned.key["inputs"]["test"][name] for name in ("role", "type", "name")}
        number = 1 + sum(run.test == planned.test for run in self.runbook.runs())
        parameters = {"run": f"{planned.occasion}/{planned.test}/{number}", "test": planned.test, "why": "w", **named}
        given = {"volumes": self.volumes[planned.plan.volumes_of].output("volumes") or ""}
        common: dict[str, Any] = {"key": planned.key, "inputs": given}
        recorder.record(Kind.STARTED, "execute", parameters=parameters, **common)
        recorder.record(
            Kind.EXECUTED, "execute", parameters={**parameters, "state": "finished"},
            outputs={"run": document(parameters)}, **common,
        )  # fmt: skip

    def ended(self, phase: str) -> dict[str, Any]:
        """How each test ended, as the phase's report has it when nothing is executed."""
        return {each.decided.planned.test: each for each in endings(self.decided(phase), self.known(), phase, set())}

    def withdraw(self, name: str, reason: str = "a wrong clock") -> None:
        withdraw(self.workspace, name, reason, actor=AUDITOR, code="1")

    def relied(self, test: str) -> Any:
        return [
            each for each in self.workspace.ledger.records()
            if each.kind is Kind.RELIED and each.parameters["test"] == test
        ][-1]  # fmt: skip


@pytest.fixture
def phases(runbook: Any, programme: Any) -> Phases:
    made = Phases(runbook, programme)
    for phase in ("pilot", "launch", "later"):
        made.run(phase)
    return made


LOADS = ("pilot.orders.load", "launch.orders.load", "later.orders.load")
RUN = "pilot/pilot.orders.load/1"


def withdrawn(phases: Phases) -> set[str]:
    return {test for phase in phases.volumes for test, each in phases.ended(phase).items() if each.withdrawn}


def test_every_phase_points_at_the_run_that_executed(phases: Phases) -> None:
    for phase, end in (("pilot", TestEnd.EXECUTED), ("launch", TestEnd.RELIED), ("later", TestEnd.RELIED)):
        assert {each.end for each in phases.ended(phase).values()} == {end}
    assert {phases.ended(test.split(".")[0])[test].stands.run for test in LOADS} == {RUN}
    assert withdrawn(phases) == set()


def test_withdrawing_a_run_reaches_every_later_phase_that_rested_on_it_and_nothing_else(phases: Phases) -> None:
    phases.withdraw(RUN)
    assert withdrawn(phases) == set(LOADS)
    for test, end in zip(LOADS, (TestEnd.EXECUTED, TestEnd.RELIED, TestEnd.RELIED), strict=True):
        ended = phases.ended(test.split(".")[0])[test]
        assert ended.end is end
        _, (subject,) = observed_runs([ended], {})
        assert subject["test"] == test
        assert "withdrawn by auditor on " in subject["withdrawn"]  # observed: inconclusive, evidence withdrawn
    assert {each.decision for each in phases.decided("later") if each.planned.test == LOADS[2]} == {Decision.EXECUTE}


def test_withdrawing_what_a_run_rested_on_reaches_them_too(phases: Phases) -> None:
    phases.withdraw(str(phases.volumes["launch"].sequence))
    names = {test for phase in phases.volumes for test in phases.ended(phase)}
    assert withdrawn(phases) == names  # all are planned at those volumes
    assert len(names) == 18
    assert "it rests on what was withdrawn by auditor" in phases.ended("later")[LOADS[2]].withdrawn


def test_after_the_withdrawal_a_new_run_stands_and_later_phases_may_rest_on_it(phases: Phases) -> None:
    phases.withdraw(RUN)
    phases.run("launch")
    ended = phases.ended("launch")[LOADS[1]]
    assert (ended.end, ended.withdrawn, ended.stands.run) == (TestEnd.EXECUTED, "", "launch/launch.orders.load/1")
    phases.run("later")
    assert phases.ended("later")[LOADS[2]].stands.run == "launch/launch.orders.load/1"


def test_withdrawing_the_decision_to_rely_reaches_that_phase_only(phases: Phases) -> None:
    phases.withdraw(str(phases.relied(LOADS[1]).sequence), "the providers differ")
    assert withdrawn(phases) == {LOADS[1]}
    ended = phases.ended("launch")[LOADS[1]]
    assert ended.end is TestEnd.RELIED
    assert ended.withdrawn.endswith(": the providers differ")
    phases.run("launch")
    assert phases.ended("launch")[LOADS[1]].end is TestEnd.EXECUTED


def test_revoking_an_approval_blocks_what_rested_on_it_until_there_is_another(
    runbook: Any, programme: Any, edited: Any
) -> None:
    asking = edited(programme, ("programme.reliance.approval", {"by": "the board", "roles": ["orders"], "types": []}))
    phases = Phases(runbook, asking)
    phases.run("pilot")
    phases.run("launch")
    ended = phases.ended("launch")
    assert {test for test, each in ended.items() if each.end is TestEnd.BLOCKED} == {
        f"launch.orders.{name}" for name in ("load", "stress", "soak")
    }
    given = [
        approve(phases.workspace, each.statement, by="auditor", expires="2999-01-01", reason="agreed")
        for each in phases.decided("launch")
        if each.statement
    ]
    phases.run("launch")
    assert {each.end for each in phases.ended("launch").values()} == {TestEnd.RELIED}
    relied = phases.relied(LOADS[1])
    assert [item.role for item in relied.inputs] == ["executed", "approved"]
    own = next(each for each in given if each.digest == relied.inputs[1].digest)
    phases.withdraw(str(own.sequence), "on second thoughts")
    blocked = phases.ended("launch")[LOADS[1]]
    assert blocked.end is TestEnd.BLOCKED
    assert "on second thoughts" in blocked.why
    assert phases.ended("launch")["launch.orders.soak"].end is TestEnd.RELIED


def test_why_a_test_was_executed_is_read_from_the_plan_before_its_run(phases: Phases) -> None:
    run = phases.runbook.runs()[0]
    then = decided_then(phases.workspace, run)
    assert then is not None
    assert (then["test"], then["decision"], then["why"]) == (run.test, "execute", "never executed in this phase")
    phases.runbook.lose(phases.workspace.ledger.records()[3].output("plan") or "")
    assert decided_then(phases.workspace, run) is None


# --- what a change touches --------------------------------------------------------------------------------------------


def stages(programme: Any) -> dict[str, str]:
    """The digests of what each stage depends on, and the key of each test."""
    written = programme_document(programme)
    environment = programme.environment("rehearsal")
    volumes = {each: model_volumes(programme, each) for each in phases_needed(programme, "launch")}
    planned = plan_tests(programme, "launch", environment, volumes, occasion="launch")
    return {
        "volume model": document_digest(volume_inputs(written)),
        "requirements": document_digest(written["requirements"]),
        "measuring": document_digest(settings(programme).as_json()),
        **{each.test: each.key_digest for each in planned},
    }


ORDERS = {f"launch.orders.{name}" for name in ("load", "stress", "soak")}
STOREFRONT = {f"launch.storefront.{name}" for name in ("load", "stress", "soak")}


@pytest.mark.parametrize(
    ("path", "value", "touched"),
    [
        ("programme.approach_document.version", "0.2", set()),
        ("programme.approach_document.standing", "agreed", set()),
        ("requirements.latency.limit", {"value": 990_000, "unit": "ppm"}, {"requirements"}),
        ("requirements.latency.title", "Other", {"requirements"}),
        ("requirements.latency.within", 400_000, {"requirements", "measuring"}),
        ("assumptions.ordering-share.value", "0.05", {"volume model"} | ORDERS | STOREFRONT),
        ("assumptions.browsing-share.value", "0.81", {"volume model"} | STOREFRONT),
        ("assumptions.ordering-share.note", "Another word", {"volume model"}),
        ("system.components.orders.version", "2.0", ORDERS),
        ("programme.reliance.reading", "Another", set()),
    ],
)
def test_a_change_touches_exactly_what_depends_on_it(
    programme: Any, edited: Any, path: str, value: Any, touched: set[str]
) -> None:
    before, after = stages(programme), stages(edited(programme, (path, value)))
    assert {name for name in before if before[name] != after[name]} == touched
