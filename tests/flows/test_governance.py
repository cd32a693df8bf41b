"""What people do at the command line: sign, raise and close issues, write the pack; and what reports make of it."""

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from phases import Bench, make_shop

from catalog.decisions import Statement, decisions, draft
from catalog.ledger import Kind
from catalog.verification import verify
from catalog.workspace import Workspace
from flows.cli import main
from flows.desk import asked
from flows.run import finished

pytestmark = pytest.mark.end_to_end

Answer = Callable[..., tuple[int, str, str]]


@pytest.fixture
def answer(tmp_path: Path, surroundings: dict[str, str], capsys: pytest.CaptureFixture[str],
           monkeypatch: pytest.MonkeyPatch) -> Answer:  # fmt: skip
    """Runs a command in this process on a copy of the template, with a key for each name: status, stdout, stderr."""
    bench = make_shop(tmp_path, surroundings)
    monkeypatch.setenv("XDG_CONFIG_HOME", surroundings["XDG_CONFIG_HOME"])

    def run(*words: str, by: str = "", home: Path = bench.home, declared: bool = True) -> tuple[int, str, str]:
        signing = ["--by", by, "--key", str(tmp_path / f"{by}.pem")] if by else []
        where = ["--home", str(home), *(["--catalog", str(bench.catalog)] if declared else [])]
        status = main([*words, *signing, *where])
        told = capsys.readouterr()
        return status, told.out, told.err

    return run


def test_a_plan_is_signed_off_by_two_people_and_told(answer: Answer, tmp_path: Path) -> None:
    lead, assurance = ("--as", "orders-lead"), ("--as", "test-assurance")
    status, out, _ = answer("sign", "plan:orders-plan", *lead, "--decision", "submitted", by="Lee")
    assert (status, "plan orders-plan: submitted" in out, "by       Lee as orders-lead" in out) == (0, True, True)
    status, _, told = answer("sign", "plan:orders-plan", *assurance, "--decision", "reviewed", by="Lee")
    assert (status, "this is the same name" in told) == (2, True)
    for decision in ("reviewed", "signed-off"):
        status, out, _ = answer("sign", "plan:orders-plan", *assurance, "--decision", decision, "--json", by="Ann")
        assert (status, json.loads(out)["decision"], len(json.loads(out)["key"])) == (0, decision, 64)
    assert verify(tmp_path / "home").ok


def test_what_cannot_be_signed_ends_with_status_2_and_makes_no_workspace(answer: Answer, tmp_path: Path) -> None:
    status, _, told = answer("sign", "plan:orders-plam", "--as", "orders-lead", "--decision", "submitted", by="Lee")
    assert (status, "did you mean 'orders-plan'" in told.lower()) == (2, True)
    assert not (tmp_path / "home").exists()
    status, _, told = answer("issue", "raise", "pilot", "--title", "x", "--as", "test-assurance", by="Ann")
    assert (status, "there is no workspace" in told) == (2, True)
    assert answer("submission", "--out", str(tmp_path / "pack"), declared=False)[0] == 2


def test_an_issue_from_raised_to_closed(answer: Answer, tmp_path: Path) -> None:
    answer("sign", "approach:document", "--as", "test-assurance", "--decision", "approved", by="Ann")
    told = ("--as", "test-assurance")
    status, out, _ = answer("issue", "raise", "pilot", "--title", "Slow [b]", "--severity", "3", *told, by="Ann")
    assert (status, "pilot-issue-1  severity 3, open: Slow [b]" in out) == (0, True)
    assert answer("issue", "change", "pilot-issue-1", "--severity", "2", *told, by="Ann")[0] == 0
    assert answer("issue", "close", "pilot-issue-1", *told, by="Ann")[0] == 2  # without a reason
    assert answer("issue", "close", "pilot-issue-1", "--reason", "fixed", *told, by="Ann")[0] == 0
    assert answer("issue", "reopen", "pilot-issue-1", "--reason", "back", "--json", *told, by="Ann")[0] == 0
    status, out, _ = answer("issue", "list", "--json", declared=False)
    (issue,) = json.loads(out)["issues"]
    assert (status, issue["state"], issue["severity"], len(issue["events"])) == (0, "open", 2, 4)
    assert "Slow [b]" in answer("issue", "list", "pilot", "--open", declared=False)[1]
    assert "0 testing issues" in answer("issue", "list", "launch", declared=False)[1]


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory, surroundings: dict[str, str]) -> Bench:
    """The pilot's load tests, of which those of the order service are not proved; tests may read it."""
    bench = make_shop(tmp_path_factory.mktemp("failing"), surroundings)
    bench.edit("requirements.yaml", "  - id: memory-growth\n", f"{CAP}  - id: memory-growth\n")
    ended = bench.run("run", "pilot", "--types", "load", "--environment", "rehearsal-failing-orders", "--json")
    assert ended.status == 1, ended.stderr
    assert "incident      pilot/pilot.orders.load/1  memory-cap: memory-max" in ended.stderr
    return bench


CAP = """  - id: memory-cap
    title: Memory at its peak
    metric: memory-max
    limit: 1 MiB
    scope: {roles: [orders], types: [load]}
    standing: proposed
    source: This test
    owner: The shop
"""
"""A requirement that any process breaches."""


def test_answers_that_are_errors_disprove_exactly_what_they_affect(failing: Bench) -> None:
    rows = [row for row in failing.observations("pilot") if row["verdict"] != "proved"]
    affected = {("pilot.orders.load", name) for name in ("answered", "answered-in-time", "latency", "memory-cap")}
    assert {(row["test"], row["requirement"]) for row in rows} == affected
    assert affected == {(row["test"], row["requirement"]) for row in rows if row["verdict"] == "not proved"}
    assert verify(failing.home).ok


def test_an_incident_is_recorded_before_the_next_test_and_before_anything_is_observed(failing: Bench) -> None:
    records = Workspace.open(failing.home).ledger.records()
    (incident,) = (each for each in records if each.kind is Kind.INCIDENT)
    told = Workspace.open(failing.home).store.document(incident.output("incident") or "")
    assert (told["test"], told["requirement"], told["component"]) == ("pilot.orders.load", "memory-cap", "orders")
    assert told["beyond"] == told["samples"] > 0
    executed = next(each for each in records if each.output("run") and each.parameters.get("run") == told["run"])
    between = [each.kind for each in records[executed.sequence : incident.sequence - 1]]
    assert between == [Kind.DERIVED]  # its measurement
    assert [each["record"] for each in failing.facts("pilot")["incidents"]] == [incident.digest]


def test_issues_and_incidents_are_computed_again_and_one_of_nothing_is_found(failing: Bench, tmp_path: Path) -> None:
    only = ("--only", "issue", "--only", "incident", "--json")
    again = failing.run("reperform", *only)
    assert again.status == 0, again.stdout
    results = [(each["stage"], each["result"]) for each in again.answer["stages"]]
    assert results == [("incident", "the same"), *[("issue", "the same")] * (len(results) - 1)]
    assert len(results) == 5

    home = tmp_path / "home"
    shutil.copytree(failing.home, home)
    workspace = Workspace.open(home)
    (first, *_) = (each for each in workspace.ledger.records() if each.kind is Kind.ISSUE)
    said = decisions([first], {})[0]
    for invented in ({**said.details, "title": "Nothing much"}, {**said.details, "requirement": "memory"}):
        made = replace(Statement(**{name: getattr(said, name) for name in Statement.__dataclass_fields__}),
                       details=invented, subject="pilot-issue-9")  # fmt: skip
        workspace.record(draft(made, None), actor=first.actor, code="1")
    found = replace(failing, home=home).run("reperform", *only)
    assert found.status == 4
    told = [each["differs"][0]["what"][0] for each in found.answer["stages"] if each["result"] == "differs"]
    assert told == ["nothing is raised from these observations, or it was raised before"] * 2


def test_what_is_not_proved_raises_issues_that_people_rate_and_the_report_shows(failing: Bench, tmp_path: Path) -> None:
    shutil.copytree(failing.home, tmp_path / "home")
    shutil.copytree(failing.catalog, tmp_path / "shop")
    bench = replace(failing, home=tmp_path / "home", catalog=tmp_path / "shop")
    raised = json.loads(bench.ask("issue", "list", "--json").stdout)["issues"]
    assert raised
    assert {issue["test"] for issue in raised} == {"pilot.orders.load"}
    assert {issue["severity"] for issue in raised} == {0}
    rated = ("--as", "test-assurance", "--by", "Ann", "--severity", "2", "--json")
    assert bench.ask("issue", "change", raised[0]["id"], *rated).status == 0
    assert bench.sign("discharge:pilot.orders.load", "test-assurance", "Ann", "not-discharged",
                      "--reason", "answers are errors").status == 0  # fmt: skip
    assert bench.sign("phase:pilot", "board", "Bo", "not-complete", "--reason", "see the issues").status == 0
    wanted = asked("rehearsal-failing-orders", ["load"], [])
    assert finished(failing.home, failing.catalog, "pilot", wanted) is not None
    assert finished(bench.home, bench.catalog, "pilot", wanted) is None  # what was decided since is to be reported
    ended = bench.run("report", "pilot", "--environment", "rehearsal-failing-orders", "--json")
    assert ended.status == 1, ended.stderr
    report = json.loads((bench.home / "reports" / "pilot" / "report.json").read_text())
    shown = {each["title"]: each["rows"] for section in report["recorded"].values() for each in section["tables"]}
    assert [row[0] for row in shown["Testing issues"]] == [issue["id"] for issue in raised]
    (discharged,) = [row for row in shown["Discharge of plans"] if row[0] == "pilot.orders.load"]
    assert (discharged[3]["text"].split(",")[0], discharged[4]) == ("not discharged", "answers are errors")
    held = {each["id"]: each["state"] for each in report["exit_criteria"]}
    assert held["board-decision"] == "not met"
    assert verify(bench.home).ok
    again = bench.ask("reperform", "--only", "report", "--json")
    assert (again.status, [each["result"] for each in again.answer["stages"]]) == (0, ["the same", "the same"])
    assert_pack(bench, tmp_path / "pack.zip")


def assert_pack(bench: Bench, out: Path) -> None:
    written: Any = bench.ask("submission", "--out", str(out), "--json").answer
    with zipfile.ZipFile(out) as archive:
        assert len(archive.namelist()) == written["files"]
    issues = [each for each in Workspace.open(bench.home).ledger.records() if each.kind is Kind.ISSUE]
    assert written["phases"][0]["criteria"]["not met"] >= 2
    assert len(issues) >= 2
