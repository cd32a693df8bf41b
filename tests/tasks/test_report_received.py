"""Results that a service provider submitted, as the completion report shows them: on the page and in its JSON twin."""

import gzip
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from playwright.sync_api import sync_playwright
from report_facts import phase_facts

from catalog.canonical import canonical
from catalog.reading import read_programme
from catalog.runs import test_runs as runs_of
from catalog.workspace import Workspace
from flows.cli import main
from tasks.gather import _run
from tasks.report.assemble import assemble_report
from tasks.report.blocks import read_blocks
from tasks.report.model import Report
from tasks.report.received import received
from tasks.report.render import render_report
from tests.shops import write_shop

SAMPLES = Path(__file__).parent / "intake/samples"
TEST = "pilot.orders.load"
MANIFEST = """
test: pilot.orders.load
submitted_by: {name: A. Tester, organisation: "Orders <Ltd>"}
submitted_at: "2026-11-24"
tool: {name: JMeter, version: "2.13", options: "-n -t orders.jmx"}
components: {orders: {version: "1.0"}}
clock: {synchronised: NTP}
assumptions: {timestamp: start}
"""


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Facts of a phase of which one test was received: what JMeter and sysstat really wrote, and a broken line."""
    folder = tmp_path_factory.mktemp("received")
    write_shop(folder / "shop")
    jtl, cpu, manifest = folder / "results.jtl", folder / "cpu.csv", folder / "manifest.yaml"
    jtl.write_bytes(gzip.decompress((SAMPLES / "jmeter-2.13.csv.gz").read_bytes()) + b"broken\n")
    cpu.write_bytes((SAMPLES / "sadf-12.6.1.csv").read_bytes())
    manifest.write_text(MANIFEST)
    where = ["--catalog", str(folder / "shop"), "--home", str(folder / "home")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        patch.setenv("PLIMSOLL_ACTOR", "tester")
        asked = ["intake", str(jtl), str(cpu), "--test", TEST, "--manifest", str(manifest), "--json", *where]
        assert main(asked) == 0
    workspace = Workspace.open(folder / "home")
    (run,) = runs_of(workspace.ledger.records())
    gathered = _run(run, SimpleNamespace(stands=run), SimpleNamespace(observations=[], measured={}, verdicts={},
                                                                      withdrawn={}), workspace.store)  # fmt: skip
    found = phase_facts(read_programme(folder / "shop"), "pilot")
    test = next(each for each in found["tests"] if each["test"] == TEST)
    test |= {"end": "received", "why": "received from Orders <Ltd>", "runs": [gathered]}
    return found


@pytest.fixture(scope="module")
def told(facts: dict[str, Any]) -> dict[str, Any]:
    report = assemble_report(facts)
    (test,) = (each for each in report["tests"] if each["test"] == TEST)
    (run,) = test["runs"]
    return run["received"]


def test_the_twin_names_submitter_tool_loop_findings_and_the_files_by_their_digests(
    told: dict[str, Any], facts: dict[str, Any]
) -> None:
    assert (told["by"], told["organisation"], told["at"]) == ("A. Tester", "Orders <Ltd>", "2026-11-24")
    assert (told["tool"], told["tool_stated"]) == (
        "jmeter, sysstat",
        "name JMeter; options -n -t orders.jmx; version 2.13",
    )
    assert (told["loop"], told["latency_from"], told["resolution"]["text"]) == ("closed loop", "sent", "1 ms")
    assert "nothing that is limited from when a message was due can be proved" in told["caution"]
    assert {each["code"] for each in told["findings"]} >= {"samples-missing", "labels", "load-below-plan"}
    digests = next(each for each in facts["tests"] if each["test"] == TEST)["runs"][0]["digests"]
    assert [(each["name"], each["digest"]) for each in told["files"]] == [
        ("results.jtl", digests["original 1"]),
        ("cpu.csv", digests["original 2"]),
    ]
    assert {each["what"]: each["value"] for each in told["stated"]} == {
        "component orders": "version 1.0",
        "environment": "not stated",
        "load": "not stated",
        "clock": "synchronised NTP",
        "window": "not stated",
        "assumptions": "timestamp start",
    }


def test_what_became_of_every_line_adds_up_and_says_where_the_skipped_ones_stand(told: dict[str, Any]) -> None:
    jtl, cpu = told["read"]
    assert (jtl["name"], jtl["format"], jtl["unit"]) == ("results.jtl", "jmeter-csv", "lines")
    for each in (jtl, cpu):
        assert sum(row["count"]["value"] for row in each["account"]) == each["total"]["value"]
    skipped = {row["what"]: (row["count"]["value"], row["where"]) for row in jtl["account"] if row["where"]}
    assert skipped == {
        "skipped: a transaction controller whose samples are not in the file": (8, "at 11, 16, 26, 33, 41 …"),
        "skipped: expected 16 columns": (1, "at 70"),
    }
    assert {"what": "timestamp", "value": "start"} in jtl["assumed"]


def test_every_figure_of_it_rests_on_the_account(told: dict[str, Any], facts: dict[str, Any]) -> None:
    run = next(each for each in facts["tests"] if each["test"] == TEST)["runs"][0]
    figures = [told["messages"], told["resolution"], *(each["size"] for each in told["files"])]
    figures += [row["count"] for each in told["read"] for row in each["account"]]
    assert all(each["evidence"] == [run["digests"]["account"], run["record"]] for each in figures)
    assert len({each["figure"] for each in figures}) == len(figures)


def test_a_summary_is_told_as_figures_and_our_own_runs_tell_nothing(facts: dict[str, Any]) -> None:
    test = next(each for each in facts["tests"] if each["test"] == TEST)
    run = json.loads(json.dumps(test["runs"][0]))
    run["document"]["received"]["capability"] |= {"gives": "summary", "loop": "open loop", "resolution_us": 0}
    run["account"]["findings"] = []
    from tasks.report.context import Context

    context = Context.of(facts)
    found = received(context, run) or {}
    assert found["gives"] == "the tool's own figures, and no message"
    assert (found["caution"], found["resolution"], found["findings"]) == ("", None, [])
    own = next(each for each in facts["tests"] if each["test"] != TEST)["runs"][0]
    assert received(context, own) is None


def test_the_page_shows_it_with_every_text_escaped(facts: dict[str, Any]) -> None:
    text = render_report(assemble_report(facts))
    assert text.count("<div class=received>") == 1
    assert "Received from Orders &lt;Ltd&gt;" in text
    assert "Orders <Ltd>" not in text
    assert "<span class=code>samples-missing</span> 8 transactions stand in the place of their samples" in text


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
@pytest.mark.parametrize("width", [1200, 480])
def test_a_browser_lays_it_out_within_the_page_wide_and_narrow(
    facts: dict[str, Any], tmp_path: Path, width: int
) -> None:
    """Measured by the browser itself: no part of what was received sticks out of its box, nor the box of the page."""
    file = tmp_path / "report.html"
    file.write_text(render_report(assemble_report(facts)), encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_context(offline=True, viewport={"width": width, "height": 2000}).new_page()
        page.goto(file.as_uri())
        found = page.evaluate("""() => {
          document.querySelectorAll("details").forEach(each => each.open = true);
          const box = document.querySelector(".received"), edge = box.getBoundingClientRect();
          const out = [...box.querySelectorAll("p, li, dd, dt, h4, .wide")].filter(each =>
            each.getBoundingClientRect().right > edge.right + 1 || each.getBoundingClientRect().left < edge.left - 1);
          return {out: out.length, parts: box.querySelectorAll("*").length,
            fits: edge.right <= document.documentElement.clientWidth + 1, height: edge.height};
        }""")
        browser.close()
    assert (found["out"], found["fits"]) == (0, True), found
    assert found["parts"] > 60
    assert found["height"] > 300


def test_the_twin_of_a_phase_with_results_received_is_held_to_its_schema(facts: dict[str, Any]) -> None:
    Report.model_validate_json(canonical(assemble_report(facts)))


def test_paper_knows_what_was_received(facts: dict[str, Any]) -> None:
    blocks = read_blocks(render_report(assemble_report(facts)))
    box = next(block for block in blocks if block.get("id") == f"t-{TEST}")
    assert '"text": "Received from Orders <Ltd>"' in json.dumps(box)
