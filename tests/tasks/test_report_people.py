"""What the report shows of people's decisions: every table whole, every digest indexed, hostile words harmless."""

from typing import Any

import pytest
from report_facts import named, phase_facts

from catalog.canonical import document_digest
from catalog.decisions import Decision
from catalog.declarations import Matter, Programme
from catalog.reading import Catalogue
from expectations.governance import approach_document, declared_document, discharge_document, plan_document
from tasks.people import test_facts as facts_of_tests
from tasks.report.assemble import assemble_report
from tasks.report.render import render_report

HOSTILE = "<script>alert(1)</script> =cmd|' /C calc'!A0"


def decision(number: int, matter: Matter, subject: str, word: str, of: str, **more: Any) -> dict[str, Any]:
    given = {
        "matter": matter, "subject": subject, "decision": word, "of": of, "role": "tab", "by": "Ann",
        "time": "2027-02-01T00:00:00Z", "key": "k" * 64, "record": named(f"decision {number}"), "sequence": number,
    }  # fmt: skip
    return Decision(**{**given, **more}).as_fact()


@pytest.fixture(scope="module")
def programme(smets1: Catalogue) -> Programme:
    return smets1.programme


@pytest.fixture(scope="module")
def facts(programme: Programme) -> dict[str, Any]:
    """IOC, proved, with a decision on every matter, issues and an incident."""
    found = phase_facts(programme, "ioc")
    plan = next(each for each in programme.tests.plans if each.id == "plan-dsp")
    (load, *_) = facts_of_tests(found["tests"])
    (assurance,) = programme.governance.assurances
    exclusion = programme.scope.exclusions[0]
    stated = [
        (Matter.PLAN, plan.id, "signed-off", document_digest(plan_document(programme, plan)), {}),
        (Matter.DISCHARGE, load.test, "discharged", document_digest(discharge_document(programme, load)), {}),
        (Matter.WITNESS, load.runs[0], "witnessed", load.stands, {"reason": HOSTILE}),
        (Matter.APPROACH, "document", "approved", document_digest(approach_document(programme)),
         {"details": {"dated": "2027-03-01"}}),
        (Matter.ASSURANCE, assurance.id, "given", document_digest(declared_document(assurance)),
         {"file": named("letter"), "file_name": "letter.pdf"}),
        (Matter.EXCLUSION, exclusion.id, "risk-accepted", document_digest(declared_document(exclusion)), {}),
        (Matter.AUDIT, "ioc", "appointed", named("audit"), {"details": {"flow run": "a run of Prefect"}}),
        (Matter.CLAUSE, "ioc/3.3.2", "conforms", named("report"), {"reason": "Nothing was relied on"}),
        (Matter.CRITERION, "ioc/capacity-proved", "met", named("report"), {}),
        (Matter.PHASE, "ioc", "complete", named("report"), {"withdrawn": "withdrawn by Ann on 2027-02-02: too soon"}),
        (Matter.ISSUE, "ioc-issue-1", "raised", named("issue"),
         {"details": {"title": HOSTILE, "severity": "2", "test": load.test}}),
        (Matter.ISSUE, "ioc-issue-1", "closed", named("issue"), {"reason": "fixed"}),
        (Matter.ISSUE, "ioc-issue-2", "raised", named("issue 2"), {"details": {"title": "Slow"}, "key": ""}),
    ]  # fmt: skip
    found["people"] = {
        "at": "2027-02-02T00:00:00.000000Z",
        "decisions": [decision(number, *each, **more) for number, (*each, more) in enumerate(stated, 1)],
    }
    breach = {
        "run": load.runs[0], "test": load.test, "component": "dsp", "requirement": "memory", "metric": "memory-max",
        "value": 3 * 2**20, "limit": 2**20, "unit": "bytes", "samples": 40, "beyond": 7, "peak": 3 * 2**20,
        "first_us": 1_800_000_000_000_000, "last_us": 1_800_000_060_000_000,
    }  # fmt: skip
    found["incidents"] = [{"digest": named("incident"), "record": named("incident record"), "document": breach}]
    return found


@pytest.fixture(scope="module")
def report(facts: dict[str, Any]) -> dict[str, Any]:
    return assemble_report(facts)


def text(cell: Any) -> str:
    if isinstance(cell, list):
        return "".join(text(part) for part in cell)
    return cell if isinstance(cell, str) else str(cell["text"])


def rows(report: dict[str, Any], section: str, name: str) -> dict[str, list[str]]:
    """The rows of a table as texts, by the first of each."""
    (sheet,) = [each for each in report["recorded"][section]["tables"] if each["title"] == name]
    assert all(len(row) == len(sheet["columns"]) for row in sheet["rows"])
    return {text(row[0]): [text(cell) for cell in row[1:]] for row in sheet["rows"]}


def test_each_decision_stands_where_it_belongs(report: dict[str, Any]) -> None:
    plans = rows(report, "approvals", "Test plans")
    assert plans["plan-dsp, version 0.1"][3] == "signed off, Ann as tab, 2027-02-01"
    assert plans["plan-dsp, version 0.1"][4].startswith("A run began before it was signed off: ioc.dsp.load")
    assert plans["plan-cp, version 0.1"][1:] == ["none recorded", "none recorded", "none recorded", ""]
    assert rows(report, "approvals", "Discharge of plans")["ioc.dsp.load"][2] == "discharged, Ann as tab, 2027-02-01"
    assert [each[1] for each in rows(report, "approvals", "Witness records").values()] == [HOSTILE]
    (assured,) = rows(report, "approvals", "Assurance statements").values()
    assert assured[-2:] == ["given, Ann as tab, 2027-02-01", "letter.pdf"]
    assert len(rows(report, "approvals", "Residual risks decided on")) == 1
    assert list(rows(report, "approvals", "Decisions of the board")) == [
        "Criterion capacity-proved"
    ]  # the other one was withdrawn
    signatures = rows(report, "approvals", "Signatures")
    assert signatures["phase:ioc"][-1] == "withdrawn by Ann on 2027-02-02: too soon"
    assert (signatures["audit:ioc"][1], signatures["phase:ioc"][1]) == ("Ann, in Prefect", "Ann")
    assert len(signatures) == 11  # an issue's two stand under one name, a machine's is not signed


def test_criteria_are_told_by_them_and_testing_before_approval_shows(report: dict[str, Any]) -> None:
    held = {each["id"]: each for each in report["exit_criteria"]}
    assert text(held["capacity-proved"]["reason"]).endswith("The board: met, by Ann as tab on 2027-02-01.")
    assert held["smets1-csp-assured"]["state"] == held["approach-document-approved"]["state"] == "met"
    assert held["board-decision"]["state"] == held["audit-report-to-follow"]["state"] == "cannot be told"
    assert "to follow" in text(held["audit-report-to-follow"]["reason"])
    assert held["test-plans-signed-off"]["state"] == "not met"
    order = report["identity"]["approach_document"]["order"]
    assert order == "Testing began on 2027-01-15, before the approval of 2027-03-01."


def test_issues_and_incidents(report: dict[str, Any]) -> None:
    severities = rows(report, "testing-issues", "Testing issues against thresholds")
    assert severities["Severity 2"][:3] == ["1", "0", "no threshold declared"]
    assert severities["No severity yet"][:2] == ["1", "1"]
    issues = rows(report, "testing-issues", "Testing issues")
    assert issues["ioc-issue-1"][:2] == ["severity 2", "closed"]
    assert issues["ioc-issue-1"][5] == "closed by Ann, 2027-02-01: fixed."
    assert issues["ioc-issue-2"][4] == "observation"
    (incident,) = rows(report, "testing-issues", "Incidents").values()
    assert incident[2:6] == ["1 MiB", "3 MiB", "7 of 40", "2027-01-15 08:00:00 to 2027-01-15 08:01:00"]


def test_the_conduct_is_held_against_every_clause(report: dict[str, Any], programme: Programme) -> None:
    audit = rows(report, "audit", "Independent audit")
    assert audit["Appointment of the auditor"][1].startswith("appointed, Ann")
    assert audit["Audit report"][1] == "to follow"
    clauses = rows(report, "audit", "Conduct against the approach document, clause by clause")
    assert [each.split()[0] for each in clauses] == ["3.3.2", "3.5(a)", "3.6", "3.8", "5", "6.3", "7.2", "Appendix-A"]
    relied = clauses["3.3.2 Reliance on evidence of earlier testing"]
    assert relied[1].startswith("0 of 20 planned tests rest on evidence of an earlier phase")
    assert relied[2:] == ["conforms, Ann as tab, 2027-02-01", "Nothing was relied on"]
    soak = clauses["3.6 Soak testing"]
    assert soak[1] == "4 of 4 planned soak tests ended with a result, of the components dsp, dco, cp, s1sp-ioc."
    assert soak[2] == "for the auditor to complete"
    assert "Assurance of the SMETS1 CSP on capacity: given, Ann" in clauses["3.8 Assurance from the SMETS1 CSP"][1]
    assert clauses["7.2 Infrastructure measures"][1].endswith("1 incidents recorded.")


def test_every_digest_that_is_named_is_indexed(report: dict[str, Any]) -> None:
    indexed = {each["digest"] for each in report["evidence"]}
    sheets = [sheet for section in report["recorded"].values() for sheet in section["tables"]]
    cells = [cell for sheet in sheets for row in sheet["rows"] for cell in row if isinstance(cell, dict)]
    linked = {cell["link"] for cell in cells if "link" in cell}
    assert len(linked) > 15
    assert linked <= {f"e-{digest[:12]}" for digest in indexed}


def test_hostile_words_stay_words_and_the_page_the_same(report: dict[str, Any], facts: dict[str, Any]) -> None:
    page = render_report(report)
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert render_report(assemble_report(facts)) == page


def test_a_phase_in_which_nobody_decided_says_so(programme: Programme) -> None:
    report = assemble_report(phase_facts(programme, "moc"))
    assert rows(report, "audit", "Independent audit")["Audit report"] == ["Due in this report.", "none recorded", ""]
    tables = report["recorded"]["approvals"]["tables"]
    assert [each["title"] for each in tables] == [
        "Test plans", "Discharge of plans", "Suitability of requirements", "Assurance statements"
    ]  # fmt: skip
    held = {each["id"]: each["state"] for each in report["exit_criteria"]}
    assert held["audit-report-included"] == "not met"
