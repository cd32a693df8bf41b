"""Gathering: the facts of a phase are whole numbers, text and digests, each beside what it rests on."""

from dataclasses import fields

import pytest
from evidence import infrastructure, results, run_document

from catalog.canonical import canonical
from catalog.ledger import Kind
from catalog.runs import TestEnd
from expectations.reliance import Compared
from tasks.declare import declare
from tasks.gather import Ended, Evidence, gather_facts
from tasks.measure import measure
from tasks.measuring import settings
from tasks.parquet import frame, read_table, table_bytes
from tasks.plan import Decided, Decision, History, decide, plan_tests
from tasks.stage import Artefact, document
from tasks.volumes.model import Volume, model_volumes


class Phase:
    """The launch of the template, as its stages would have recorded it; tests end as the test at hand says."""

    def __init__(self, runbook, catalogue, folder):
        self.runbook, self.programme = runbook, catalogue.programme
        self.recorder, self.store = runbook.recorder, runbook.workspace.store
        self.declared = declare(self.recorder, catalogue, folder)
        self.rows = model_volumes(self.programme, "launch")
        columns = {field.name: [getattr(row, field.name) for row in self.rows] for field in fields(Volume)}
        table = Artefact(data=table_bytes("volumes", frame("volumes", columns)))
        self.volumes = self.recorder.record(Kind.DERIVED, "volumes", outputs={"volumes": table})
        model = document({"window": {"seconds": 14_400}})
        self.composed = self.recorder.record(Kind.DERIVED, "compose", outputs={"end to end": document([])})
        self.tabulated = self.recorder.record(Kind.DERIVED, "volume-model", outputs={"volume model": model})
        self.environment = self.programme.environment("rehearsal")
        self.planned = {
            each.test: each
            for each in plan_tests(self.programme, "launch", self.environment, {"launch": self.rows}, occasion="launch")
        }
        self.ended, self.measured, self.measurements, self.observations, self.verdicts = [], {}, [], [], {}

    def execute(self, test, *, occasion="launch", **facts):
        """Records a finished run with its tables."""
        planned = self.planned[test.replace(occasion, "launch")]
        number = sum((run.test, run.occasion) == (test, occasion) for run in self.runbook.runs()) + 1
        run = f"{occasion}/{test}/{number}"
        component = planned.component.id
        stated = {"run": run, "test": test, "phase": occasion, "component": component, "role": planned.component.role}
        outputs = {
            "run": document(run_document(**stated, **facts)),
            "results": Artefact(data=table_bytes("results", results(run=run, component=[component] * 1500))),
            "infrastructure": Artefact(
                data=table_bytes("infrastructure", infrastructure(run=run, component=component))
            ),
        }
        return self.runbook.run(test, key=planned.key, occasion=occasion, outputs=outputs)

    def measure(self, run):
        """Records its measurements, and observes two of them."""
        wanted = settings(self.programme)
        tables = (self.store.path(run.record.output(role)) for role in ("results", "infrastructure"))
        found = measure(
            self.store.document(run.record.output("run")), *tables, withins=wanted.withins, groups=wanted.groups
        )
        artefact = Artefact(data=table_bytes("measurements", found))
        record = self.recorder.record(Kind.DERIVED, "measure", outputs={"measurements": artefact})
        self.measured[run.run] = record
        read = read_table("measurements", artefact.data)
        rows = read.astype(object).where(read.notna(), None).to_dict("records")
        self.measurements += [{**row, "digest": record.output("measurements")} for row in rows]

    def observe(self, run, *verdicts):
        """Adds an observation of the run for each verdict."""
        self.observations += [
            {
                "run": run.run,
                "test": run.test,
                "requirement": f"r{place}",
                "verdict": verdict,
                "reason": f"because {place}",
            }
            for place, verdict in enumerate(verdicts)
        ]

    def end(self, test, end, *, stands=None, runs=(), decision=Decision.EXECUTE, reasons=(), answer=None):
        """Says how a planned test ended."""
        decided = Decided(
            planned=self.planned[test],
            decision=decision,
            why="as planned",
            reasons=reasons,
            stands=stands,
            answer=answer,
        )
        self.ended.append(Ended(decided=decided, end=end, why="as it came", stands=stands, runs=tuple(runs)))

    def facts(self):
        observed = self.recorder.record(
            Kind.OBSERVED,
            "observe",
            outputs={name: document([name]) for name in ("observations", "suites", "validation results")},
        )
        plan = self.recorder.record(Kind.DERIVED, "plan", outputs={"plan": document(["plan"])})
        evidence = Evidence(
            declared=self.declared, volumes={"launch": (self.volumes, self.rows)}, tabulated=self.tabulated,
            composed=self.composed,
            plan=plan, ended=self.ended,
            measured=self.measured, measurements=self.measurements, observed=observed, observations=self.observations,
            verdicts=self.verdicts,
        )  # fmt: skip
        return gather_facts(
            evidence, store=self.store, phase="launch", occasion="launch", environment=self.environment,
            head=self.runbook.workspace.ledger.head(), decided={"people": {"at": "", "decisions": []}, "incidents": []},
        )  # fmt: skip


@pytest.fixture
def phase(runbook, template, template_folder):
    return Phase(runbook, template, template_folder)


def test_facts_of_a_phase_hold_nothing_that_a_machine_could_round(phase):
    run = phase.execute("launch.orders.load")
    phase.measure(run)
    phase.observe(run, "proved", "proved")
    phase.end("launch.orders.load", TestEnd.EXECUTED, stands=run, runs=[run])
    facts = phase.facts()
    canonical(facts)  # refuses floats, and every type that is no JSON
    assert facts["programme"] == phase.store.document(facts["programme_digest"])
    assert (facts["phase"], facts["occasion"], facts["code"]) == ("launch", "launch", "1")
    assert facts["environment"]["id"] == "rehearsal"
    assert facts["volumes"]["digests"] == {"launch": phase.volumes.output("volumes")}
    rows = facts["volumes"]["rows"]["launch"]
    assert sum(row["day"] for row in rows) == sum(row.messages for row in phase.rows)
    assert sum(row["window"] for row in rows) == sum(row.messages for row in phase.rows if row.period == "evening")
    assert facts["volumes"]["model"] == phase.store.document(facts["volumes"]["model_digest"])
    assert facts["ledger"] == {"head": phase.runbook.workspace.ledger.head().digest, "records": 9}
    assert facts["measurements"] == phase.measurements
    assert facts["observations"]["rows"] == phase.observations
    observed = phase.runbook.workspace.select(Kind.OBSERVED)[0]
    named = {"digest": "observations", "suites": "suites", "results": "validation results"}
    assert {name: facts["observations"][name] for name in named} == {
        name: observed.output(role) for name, role in named.items()
    }
    assert facts["observations"]["record"] == observed.digest


def test_a_run_that_stands_has_its_document_digests_verdict_and_series(phase):
    run = phase.execute("launch.orders.load")
    phase.measure(run)
    phase.observe(run, "proved", "inconclusive", "not proved", "proved")
    phase.end("launch.orders.load", TestEnd.EXECUTED, stands=run, runs=[run])
    facts = phase.facts()
    (test,) = facts["tests"]
    (told,) = test["runs"]
    assert (test["end"], test["why"], test["relied_on"], test["compared"]) == ("executed", "as it came", None, [])
    assert (told["run"], told["record"], told["state"], told["again"]) == (
        run.run,
        run.record.digest,
        "finished",
        "first",
    )
    assert (told["judged"], told["verdict"], told["reason"]) == (True, "not proved", "because 2")
    assert told["document"]["run"] == run.run
    own = {role: run.record.output(role) for role in ("run", "results", "infrastructure")}
    assert told["digests"] == own | {"measurements": phase.measured[run.run].output("measurements")}
    drawn = facts["series"][run.run]
    assert drawn["digest"] == [own["results"], own["infrastructure"]]
    assert sum(row["count"] for row in drawn["latency"]) == 1500


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [(["proved"], ("proved", "")), (["proved", "inconclusive"], ("inconclusive", "because 1")), ([], (None, ""))],
)
def test_the_worst_of_a_runs_observations_is_its_verdict(phase, verdicts, worst):
    run, other = phase.execute("launch.orders.load"), phase.execute("launch.orders.load")
    phase.observe(run, *verdicts)
    phase.observe(other, "not proved")
    phase.end("launch.orders.load", TestEnd.EXECUTED, stands=run, runs=[run])
    (told,) = phase.facts()["tests"][0]["runs"]
    assert (told["verdict"], told["reason"]) == worst


def test_every_run_is_told_and_one_is_judged(phase):
    first, second = phase.execute("launch.orders.load"), phase.execute("launch.orders.load")
    torn = phase.runbook.run(
        "launch.orders.load", key=phase.planned["launch.orders.load"].key, occasion="launch", state=""
    )
    phase.observe(second, "proved")
    phase.end("launch.orders.load", TestEnd.EXECUTED, stands=second, runs=[first, second, torn])
    told = phase.facts()["tests"][0]["runs"]
    assert [(run["run"], run["state"], run["judged"]) for run in told] == [
        (first.run, "finished", False), (second.run, "finished", True), (torn.run, "interrupted", False),
    ]  # fmt: skip
    assert told[2]["document"] is None
    assert told[2]["digests"] == {}


def test_a_test_that_was_relied_on_names_the_run_and_all_that_was_compared(phase):
    run = phase.execute("pilot.orders.load", occasion="pilot")
    history = History(
        runs=tuple(phase.runbook.runs()), withdrawn=frozenset(), store=phase.store, verdict=lambda _: ("proved", "")
    )
    decided = decide(phase.programme, phase.planned["launch.orders.load"], history)
    assert decided.decision is Decision.RELY
    phase.ended.append(Ended(decided=decided, end=TestEnd.RELIED, why=decided.why, stands=run, runs=(run,)))
    facts = phase.facts()
    canonical(facts)
    (test,) = facts["tests"]
    assert test["relied_on"] == {"run": run.run, "phase": "pilot", "record": run.record.digest}
    assert len(test["compared"]) == len(decided.answer.compared) > 10
    assert all(each["same"] for each in test["compared"])
    assert facts["plan"]["tests"][0]["decision"] == "rely"


def test_a_test_that_was_not_run_has_its_reason_and_nothing_else(phase):
    wanting = Compared(input="evidence of an earlier phase", old="none recorded", new="needed", allows=False)
    phase.end("launch.orders.soak", TestEnd.NOT_RUN, reasons=(wanting,))
    facts = phase.facts()
    (test,) = facts["tests"]
    assert (test["end"], test["runs"], test["relied_on"], facts["series"]) == ("not run", [], None, {})
    assert test["reasons"] == [{"input": wanting.input, "old": "none recorded", "new": "needed"}]


def test_a_record_without_the_output_that_is_needed_is_named(phase):
    phase.volumes = phase.recorder.record(Kind.DERIVED, "volumes")
    with pytest.raises(KeyError, match=r"record \d+ \(derived volumes\) has no output 'volumes'"):
        phase.facts()
