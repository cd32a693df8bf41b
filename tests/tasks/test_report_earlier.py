"""The report beside earlier phases: the same tests then and now, what can be told apart, and a chart of it."""

from typing import Any

import pytest
from report_facts import phase_facts

from catalog.declarations import Programme
from catalog.reading import Catalogue
from tasks.gather import _earlier
from tasks.report.assemble import assemble_report
from tasks.report.blocks import read_blocks
from tasks.report.model import Report
from tasks.report.render import render_report


def beside(programme: Programme, observations: list[dict[str, Any]]) -> dict[str, Any]:
    """Facts of the launch that stand beside these observations of the pilot."""
    facts = phase_facts(programme, "launch")
    rows = _earlier(programme, "launch", "pilot", observations, facts["observations"]["rows"])
    return {**facts, "earlier": [{"phase": "pilot", "digest": "a" * 64, "rows": rows}]}


@pytest.fixture(scope="module")
def pilot(template: Catalogue) -> list[dict[str, Any]]:
    """Observations of the pilot, one of which took half as long as that of the launch does."""
    rows = phase_facts(template.programme, "pilot")["observations"]["rows"]
    latency = next(row for row in rows if row["metric"] == "latency-p50" and row["scope"] == "all")
    latency |= {end: latency[end] // 2 for end in ("value", "lower", "upper")}
    return rows


def test_tests_of_both_phases_stand_beside_each_other(template: Catalogue, pilot: list[dict[str, Any]]) -> None:
    facts = beside(template.programme, pilot)
    report = assemble_report(facts)
    Report.model_validate(report)
    (found,) = report["earlier"]
    told = "".join(part if isinstance(part, str) else part["text"] for part in found["section"]["text"])
    both = len(facts["earlier"][0]["rows"])
    assert both > 5
    assert told.startswith(f"Of {both} observations of tests that were executed in both phases, 0 have another verdict")
    assert " 1 are worse" in told
    (table,) = found["section"]["tables"]
    (row,) = table["rows"]
    assert row[-1].startswith("worse, beyond both intervals")
    assert row[5]["text"] == "+100 %"


def test_the_page_draws_them_with_their_intervals(template: Catalogue, pilot: list[dict[str, Any]]) -> None:
    report = assemble_report(beside(template.programme, pilot))
    blocks = read_blocks(render_report(report))
    place = next(at for at, block in enumerate(blocks) if block["kind"] == "heading" and block["id"] == "earlier")
    chart = next(block for block in blocks[place:] if block["kind"] == "chart")
    assert chart["alt"].startswith("Latency, pilot and launch: ")
    assert ">pilot</text>" in chart["svg"]


def test_what_rests_on_the_earlier_run_is_not_compared_with_itself(
    template: Catalogue, pilot: list[dict[str, Any]]
) -> None:
    rows = phase_facts(template.programme, "launch")["observations"]["rows"]
    executed = _earlier(template.programme, "launch", "pilot", pilot, rows)
    run = {each["now"]: each["then"]["run"] for each in executed}
    relied = [{**row, "run": run.get(row["observation"], row["run"])} for row in rows]
    assert executed
    assert _earlier(template.programme, "launch", "pilot", pilot, relied) == []


def test_a_phase_without_an_earlier_one_has_no_such_section(template: Catalogue) -> None:
    report = assemble_report(phase_facts(template.programme, "launch"))
    assert report["earlier"] == []
    assert "id=earlier" not in render_report(report)
