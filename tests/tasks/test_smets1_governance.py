"""The shipped programme's governance, from test plans to the submission: what each body decides, and what follows."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deciders import Deciders
from report_facts import phase_facts

from catalog.decisions import decision_faults
from catalog.declarations import EnvironmentKind, Programme, SeverityThreshold, TestPlan
from catalog.errors import UsageError
from catalog.ledger import Kind
from catalog.reading import Catalogue
from catalog.vouching import Vouching
from expectations.exit_criteria import plans_in_force
from tasks.declare import programme_document
from tasks.history import history
from tasks.issues import Raised, change_issue, raise_issue
from tasks.people import people_facts
from tasks.plan import Decision, PlannedTest, decide, plan_tests
from tasks.report.assemble import assemble_report
from tasks.sign import Asked
from tasks.stage import Artefact, document
from tasks.submission import write_submission
from tasks.volumes.model import model_volumes

DCC, TAB, AUDITOR = "dcc-test-assurance", "tab", "auditor"


SMETS1 = Path(__file__).parents[2] / "catalog" / "smets1"


class Programmes(Deciders):
    """The bodies of the SMETS1 programme, each person with a key of their own, and its reports."""

    def __init__(self, runbook: Any, smets1: Catalogue, keys: Path) -> None:
        super().__init__(runbook.workspace, runbook.recorder, smets1, SMETS1, keys)
        self.runbook = runbook
        self.facts: dict[str, Any] = {}

    def plan(self, plan: TestPlan) -> None:
        """Has a service provider's plan submitted, reviewed and signed off."""
        (lead,) = (role.id for role in self.programme.governance.roles if role.provider == plan.provider)
        self.sign(f"plan:{plan.id}", lead, f"Lead of {plan.provider}", "submitted")
        for decision in ("reviewed", "signed-off"):
            self.sign(f"plan:{plan.id}", DCC, "Dee", decision)

    def report(self, phase: str, *, run: str = "") -> dict[str, Any]:
        """Reports a phase in which everything is proved, with what was decided so far; the report."""
        if phase not in self.facts:
            self.facts[phase] = phase_facts(self.programme, phase)
        changed = {
            "programme": self.programme.model_dump(mode="json", by_alias=True),
            "people": people_facts(self.workspace, phase),
        }
        facts = {**self.facts[phase], **changed, "incidents": []}
        if run:
            facts["tests"][0]["runs"][0]["run"] = run
        declared = self.runbook.recorder.record(
            Kind.DECLARED, "declare", outputs={"programme": document(programme_document(self.programme))}
        )
        found = assemble_report(facts)
        page = {"report.html": Artefact(data=b"<p>Pages are looked at elsewhere.</p>")}
        self.runbook.recorder.record(
            Kind.REPORTED,
            "report",
            inputs={"programme": declared.output("programme") or ""},
            outputs={"facts": document(facts), "report.json": document(found), **page},
            parameters={"phase": phase, "occasion": phase},
        )
        return found


@pytest.fixture
def bodies(runbook: Any, smets1: Catalogue, tmp_path: Path) -> Programmes:
    return Programmes(runbook, smets1, tmp_path / "keys")


@pytest.fixture(scope="module")
def planned(smets1: Catalogue) -> list[PlannedTest]:
    """The planned tests of IOC in a real environment."""
    programme = smets1.programme
    environment = programme.environment(programme.programme.default_environment)
    real = environment.model_copy(update={"kind": EnvironmentKind.REAL})
    needed = {plan.volumes_of for plan in plans_in_force(programme, "ioc")} | {"ioc"}
    volumes = {phase: model_volumes(programme, phase) for phase in needed}
    return plan_tests(programme, "ioc", real, volumes, occasion="ioc")


def states(report: dict[str, Any]) -> dict[str, str]:
    return {each["id"]: each["state"] for each in report["exit_criteria"]}


def rows(report: dict[str, Any], title: str) -> dict[str, list[str]]:
    """The rows of a table of people's decisions, by their first cell."""
    tables = {each["title"]: each for section in report["recorded"].values() for each in section["tables"]}
    found = tables[title]["rows"] if title in tables else []
    return {_text(row[0]): [_text(cell) for cell in row[1:]] for row in found}


def _text(cell: Any) -> str:
    if isinstance(cell, list):
        return "".join(map(_text, cell))
    return cell if isinstance(cell, str) else str(cell["text"])


def thresholds(programme: Programme) -> Iterator[SeverityThreshold]:
    for severity in range(1, 6):
        source = {"standing": "agreed", "source": "This test: the SVTAD's are not public"}
        yield SeverityThreshold.model_validate({"severity": severity, "most_open": severity - 1, **source})


def test_an_unsigned_plan_blocks_the_shipped_tests_and_each_providers_sign_off_frees_its_own(
    bodies: Programmes, planned: list[PlannedTest]
) -> None:
    programme = bodies.programme

    def blocked() -> set[str]:
        known = history(bodies.workspace, programme)
        found = {each.plan.id: decide(programme, each, known).decision for each in planned}
        assert set(found.values()) <= {Decision.BLOCKED, Decision.EXECUTE}
        return {plan for plan, decision in found.items() if decision is Decision.BLOCKED}

    plans = plans_in_force(programme, "ioc")
    assert blocked() == {plan.id for plan in plans}
    with pytest.raises(UsageError, match="the role 'dco-test-lead' may not"):
        bodies.sign("plan:plan-dsp", "dco-test-lead", "Lee", "submitted")
    for number, plan in enumerate(plans, 1):
        bodies.plan(plan)
        assert blocked() == {each.id for each in plans[number:]}


def test_ioc_from_its_plans_to_the_reissued_report_with_the_audit_and_the_submission(
    bodies: Programmes, tmp_path: Path
) -> None:
    programme = bodies.programme
    first = bodies.report("ioc")
    silent = states(first)
    people = {"test-plans-signed-off", "test-plans-discharged", "requirements-assured", "tests-witnessed",
              "smets1-csp-assured", "board-decision", "approach-document-approved"}  # fmt: skip
    assert {silent[each] for each in people} == {"cannot be told"}
    assert rows(first, "Independent audit")["Audit report"][1] == "to follow"

    # Service providers' plans, the requirements in them, the approach document, and what the CSP assures.
    plans = plans_in_force(programme, "ioc")
    for plan in plans:
        bodies.plan(plan)
        bodies.sign(f"requirements:{plan.provider}", DCC, "Dee", "suitable")
    bodies.sign("approach:document", "dcc-regulation", "Rae", "approved", dated="2019-12-01")
    letter = tmp_path / "csp.pdf"
    letter.write_bytes(b"%PDF the SMETS1 CSP's statement")
    bodies.sign("assurance:smets1-csp-capacity", "dcc-regulation", "Rae", "given", file=letter)
    for decision in ("appointed", "scope-agreed"):
        bodies.sign("audit:ioc", "dcc-regulation", "Rae", decision)

    # Tests are witnessed and discharged, and an issue is raised, rated and closed.
    run = bodies.runbook.run("ioc.dsp.load", occasion="ioc")
    bodies.report("ioc", run=run.run)
    bodies.sign(f"witness:{run.run}", DCC, "Dee", "witnessed")
    tests = [f"ioc.{plan.component}.{name}" for plan in plans for name in plan.tests]
    for test in tests[1:]:
        bodies.sign(f"discharge:{test}", DCC, "Dee", "discharged")
    asked = Asked(what="issue", role=DCC, by="Dee", reason="drained with version 1.1")
    raised = raise_issue(
        Raised(phase="ioc", title="Queue not drained", severity=1, test=tests[0]), asked, bodies.at("Dee")
    )
    second = states(bodies.report("ioc", run=run.run))
    assert second["test-plans-discharged"] == "not met"  # one is not discharged yet
    assert second["testing-issues-within-thresholds"] == "cannot be told"  # no number is built in
    bodies.sign(f"discharge:{tests[0]}", DCC, "Dee", "discharged")
    supplied = programme.governance.model_copy(update={"thresholds": tuple(thresholds(programme))})
    bodies.programme = programme.model_copy(update={"governance": supplied})
    assert states(bodies.report("ioc", run=run.run))["testing-issues-within-thresholds"] == "not met"
    change_issue(raised.id, "closed", asked, bodies.at("Dee"))

    # The board decides on a report; the auditor's comes after it.
    third = bodies.report("ioc", run=run.run)
    held = states(third)
    assert {held[each] for each in people - {"board-decision", "approach-document-approved"}} == {"met"}
    assert (held["testing-issues-within-thresholds"], held["board-decision"]) == ("met", "cannot be told")
    assert rows(third, "Testing issues")[raised.id][:2] == ["severity 1", "closed"]
    for criterion in ("capacity-proved", "test-plans-signed-off"):
        bodies.sign(f"criterion:ioc/{criterion}", TAB, "Tab", "met")
    bodies.sign("phase:ioc", TAB, "Tab", "complete")
    with pytest.raises(UsageError, match="needs the report itself"):
        bodies.sign("audit:ioc", AUDITOR, "Ada", "conducted-in-line")
    opinion = tmp_path / "audit.pdf"
    opinion.write_bytes(b"%PDF the auditor's report on IOC")
    bodies.sign("audit:ioc", AUDITOR, "Ada", "conducted-in-line", file=opinion)
    for clause in programme.governance.clauses:
        bodies.sign(f"clause:ioc/{clause.id}", AUDITOR, "Ada", "conforms")

    # The report is reissued, with the audit report and every clause concluded on.
    last = bodies.report("ioc", run=run.run)
    assert states(last)["board-decision"] == states(last)["audit-report-to-follow"] == "met"
    assert "conducted in line, Ada" in rows(last, "Independent audit")["Audit report"][1]
    conformance = rows(last, "Conduct against the approach document, clause by clause")
    assert len(conformance) == len(programme.governance.clauses) == 8
    assert all(row[2].startswith("conforms, Ada as auditor") for row in conformance.values())
    assert set(rows(last, "Decisions of the board")) == {
        "Criterion capacity-proved", "Criterion test-plans-signed-off", "Phase ioc"
    }  # fmt: skip
    order = last["identity"]["approach_document"]["order"]
    assert order == "Testing began on 2027-01-15, not before the approval of 2019-12-01."

    # MOC and FOC want the audit in their report; nothing that was decided for IOC alone counts there.
    for phase in ("moc", "foc"):
        later = bodies.report(phase)
        assert states(later)["audit-report-included"] == "not met"
        assert states(later)["board-decision"] == "cannot be told"
        assert states(later)["smets1-csp-assured"] == "met"  # it was given for the programme
    written = write_submission(bodies.workspace, tmp_path / "lsc.zip")
    assert [(part.phase, bool(part.record)) for part in written.phases] == [("ioc", True), ("moc", True), ("foc", True)]
    with zipfile.ZipFile(tmp_path / "lsc.zip") as pack:
        documents = {pack.read(name) for name in pack.namelist() if name.startswith("documents/")}
        assert b"BEIS, SEC Panel" in pack.read("README.md")
    assert documents == {letter.read_bytes(), opinion.read_bytes()}
    records = bodies.workspace.ledger.records()
    announced = {
        each.parameters["public_key"]: each.parameters["fingerprint"] for each in records if each.kind is Kind.KEY
    }
    assert Vouching(records).faults == []
    assert [fault for each in records for fault in decision_faults(each, announced)] == []
