"""Whole phases of the template's programme, on the emulated system, as people run them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from phases import Bench

from catalog.ledger import Kind
from catalog.lineage import figures
from catalog.verification import verify
from catalog.workspace import Workspace
from tasks.report.model import Report

pytestmark = pytest.mark.end_to_end


def copied(bench: Bench, folder: Path) -> Bench:
    """The same programme and workspace, to be changed."""
    shutil.copytree(bench.catalog, folder / "shop")
    shutil.copytree(bench.home, folder / "home")
    return replace(bench, catalog=folder / "shop", home=folder / "home")


def test_a_phase_is_proved_and_its_evidence_holds(pilot: Bench) -> None:
    outcome = verify(pilot.home)
    assert outcome.ok, outcome.faults
    rows = pilot.observations("pilot")
    assert {row["verdict"] for row in rows} == {"proved"}
    assert {row["test"] for row in rows} == {
        f"pilot.{component}.{type_}" for component in ("storefront", "orders") for type_ in ("load", "stress", "soak")
    }
    assert (pilot.home / "reports" / "pilot" / "report.html").stat().st_size > 10_000


def test_every_figure_of_the_report_leads_to_evidence(pilot: Bench) -> None:
    report = json.loads((pilot.home / "reports" / "pilot" / "report.json").read_text())
    found = list(figures(report))
    assert len(found) > 100
    assert all(figure["evidence"] for figure in found)
    some = found[len(found) // 2]["figure"]
    walked = pilot.ask("lineage", some)
    assert walked.status == 0, walked.stderr
    assert "declared" in walked.stdout


def test_running_again_executes_nothing_and_does_not_start_prefect(pilot: Bench) -> None:
    unreachable = {"PREFECT_HOME": "/nonexistent/prefect", "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    again = replace(pilot, environ={**pilot.environ, **unreachable}).run("run", "pilot", "--json")
    assert again.status == 0, again.stderr
    assert again.answer["executed"] == 0
    assert again.stderr == ""
    assert {test["decision"] for test in pilot.ask("plan", "pilot", "--json").answer["tests"]} == {"complete"}


def test_a_report_is_copied_in_every_format_always_the_same(pilot: Bench, tmp_path: Path) -> None:
    for kind, first in (("pdf", b"%PDF-"), ("docx", b"PK"), ("json", b"{"), ("html", b"<!doctype html>")):
        written = []
        for number, ask in ((1, pilot.ask), (2, pilot.run)):  # in another process, too, with hashes of its own
            out = tmp_path / f"{number}.{kind}"
            ended = ask("report", "pilot", "--format", kind, "--out", str(out), "--json")
            assert ended.status == 0, ended.stderr
            assert ended.answer["report"] == str(out)
            written.append(out.read_bytes())
        assert written[0] == written[1]
        assert written[0].startswith(first)
    assert (tmp_path / "1.html").read_bytes() == (pilot.home / "reports" / "pilot" / "report.html").read_bytes()
    Report.model_validate_json((tmp_path / "1.json").read_bytes())


def test_two_runs_and_two_phases_are_compared(pilot: Bench, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    ended = pilot.ask("report", "--compare", "pilot", "pilot", "--out", str(out), "--json")
    assert ended.status == 0, ended.stderr
    told = {part["figure"]: part["value"] for part in ended.answer["outcome"] if not isinstance(part, str)}
    assert told["compare/none"] == told["compare/all"] > 0
    assert "REHEARSAL" in out.read_text()
    runs = sorted(
        {row["run"] for row in json.loads((pilot.home / "reports/pilot/report.json").read_text())["observations"]}
    )
    shown = pilot.ask("report", "--compare", *runs[:2], "--out", str(out))
    assert shown.status == 0, shown.stderr
    assert "observations that both sides have" in shown.stdout
    unknown = pilot.ask("report", "--compare", "pilot", "pilto")
    assert unknown.status == 2
    assert "did you mean 'pilot'?" in unknown.stderr
    assert pilot.ask("report").status == 2
    assert pilot.ask("report", "--compare", "pilot", "pilot", "--format", "pdf").status == 2


def test_the_next_phase_relies_on_what_was_proved(pilot: Bench, tmp_path: Path) -> None:
    bench = copied(pilot, tmp_path)
    assert {test["decision"] for test in bench.ask("plan", "launch", "--json").answer["tests"]} == {"rely"}
    ended = bench.run("run", "launch", "--json")
    assert ended.status == 0, ended.stderr
    assert (ended.answer["executed"], ended.answer["relied"]) == (0, 6)
    assert verify(bench.home).ok
    assert {row["reliance"] for row in bench.observations("launch")} == {"relied"}
    explained = bench.ask("explain", "launch.orders.load", "--json").answer
    assert all(each["allows"] for each in explained["compared"])
    assert "volumes" in " ".join(each["input"] for each in explained["compared"])


def test_a_sample_of_what_may_be_relied_on_is_drawn_before_it_is_executed(pilot: Bench, tmp_path: Path) -> None:
    bench = copied(pilot, tmp_path)
    asked = ("run", "launch", "--tests", "*.load", "--sample-reliance", "0.5:7", "--json")
    ended = bench.run(*asked)
    assert ended.status in (0, 1), ended.stderr  # what is executed on a busy machine may be inconclusive
    assert (ended.answer["executed"], ended.answer["relied"]) == (1, 1)
    told = ended.answer["sampled"]
    assert (told["relied"], told["drawn"], told["answered"] + told["no_answer"]) == (2, 1, 1)
    records = Workspace.open(bench.home).ledger.records()
    (draw,) = (record for record in records if record.kind is Kind.SAMPLED)
    (test,) = draw.parameters["tests"]
    assert draw.parameters["relied"] == ["launch.orders.load", "launch.storefront.load"]
    own = [record for record in records if record.parameters.get("test") == test and record.sequence > draw.sequence]
    kinds = [record.kind for record in own if record.stage in ("rely", "execute")]
    assert kinds == [Kind.RELIED, Kind.STARTED, Kind.EXECUTED]
    figure = bench.ask("lineage", "reliance/wrong")
    assert figure.status == 0, figure.stderr
    assert verify(bench.home).ok
    again = bench.ask("reperform", "--only", "plan", "--only", "rely", "--only", "report", "--json")
    assert again.answer["ok"], again.answer
    refused = bench.run("run", "launch", "--sample-reliance", "2")
    assert (refused.status, "no share of the relied tests" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("system.yaml", None, None, "components.orders.version"),
        ("forecasts.csv", None, None, "volumes."),
    ],
)
def test_what_changed_is_executed_again_and_named(
    pilot: Bench, tmp_path: Path, file: str, old: str | None, new: str | None, changed: str
) -> None:
    bench = copied(pilot, tmp_path)
    text = (bench.catalog / file).read_text()
    if file == "system.yaml":
        block = text[text.index("id: orders") :]
        version = block[block.index("version:") :].splitlines()[0]
        (bench.catalog / file).write_text(text.replace(block, block.replace(version, 'version: "raised"', 1)))
    else:
        (bench.catalog / file).write_text(text.replace("200000", "300000"))
    plan = {test["test"]: test for test in bench.ask("plan", "launch", "--json").answer["tests"]}
    executed = [test for test in plan.values() if test["decision"] == "execute"]
    assert {test["component"] for test in executed} == (
        {"orders"} if file == "system.yaml" else {"orders", "storefront"}
    )
    assert all(any(changed in reason["input"] for reason in test["reasons"]) for test in executed)
    assert all(reason["old"] != reason["new"] for test in executed for reason in test["reasons"])


def test_one_changed_byte_anywhere_is_found(pilot: Bench, tmp_path: Path) -> None:
    """A few bytes of every file; that each single byte counts is shown on small workspaces (tests/catalog)."""
    bench = copied(pilot, tmp_path)
    files = [path for folder in ("objects", "ledger") for path in (bench.home / folder).rglob("*") if path.is_file()]
    evidence = [path for path in files if path.name != "lock" and path.stat().st_size]
    for path in evidence[:: max(1, len(evidence) // 25)]:
        data = path.read_bytes()
        place = len(data) // 2
        path.chmod(0o644)
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        outcome = verify(bench.home)
        assert not outcome.ok
        assert any(path.name[:16] in fault.where or path.name in fault.what for fault in outcome.faults)
        path.write_bytes(data)
    assert verify(bench.home).ok
