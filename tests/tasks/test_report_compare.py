"""Two phases or runs side by side: what changed is told from what cannot be told."""

from typing import Any

import pytest
from report_facts import phase_facts, spoil

from catalog.declarations import Programme
from catalog.reading import Catalogue
from tasks.report.blocks import read_blocks
from tasks.report.compare import Side, compare
from tasks.report.render import render_comparison


@pytest.fixture
def programme(template: Catalogue) -> Programme:
    return template.programme


def counts(found: dict[str, Any]) -> dict[str, int]:
    figures = [part for part in found["outcome"] if not isinstance(part, str)]
    return {figure["figure"].removeprefix("compare/"): figure["value"] for figure in figures}


def changed(found: dict[str, Any]) -> list[list[Any]]:
    return list(found["sections"][0]["tables"][0]["rows"])


def test_a_phase_beside_itself_has_not_changed(programme: Programme) -> None:
    facts = phase_facts(programme, "launch")
    found = compare(Side(name="launch", facts=facts), Side(name="launch", facts=facts))
    told = counts(found)
    assert told["none"] == told["all"] == len(facts["observations"]["rows"])
    assert found["sections"][1]["tables"][0]["rows"] == []
    assert found["sections"][2]["tables"][0]["rows"] == []


def test_changes_are_ranked_by_whether_they_matter(programme: Programme) -> None:
    before, after = phase_facts(programme, "launch"), phase_facts(programme, "launch")
    latency = [row for row in after["observations"]["rows"] if row["requirement"] == "median-latency"]
    worse, spoilt = latency[0], after["observations"]["rows"][1]
    for end in ("value", "lower", "upper"):
        worse[end] = worse[end] * 12 // 10
    spoil(after, spoilt["observation"], "not proved", "the whole interval lies beyond the limit")
    found = compare(Side(name="before", facts=before), Side(name="after", facts=after))
    assert (counts(found)["verdict"], counts(found)["worse"], counts(found)["better"]) == (1, 1, 0)
    rows = changed(found)
    assert rows[0][8] == "the verdict changed from proved to not proved"
    assert rows[0][7] == {"badge": "not proved"}
    assert rows[1][8] == "worse, beyond both intervals; still proved"
    assert rows[1][6]["text"] == "+20 %"
    turned = compare(Side(name="after", facts=after), Side(name="before", facts=before))
    assert (counts(turned)["worse"], counts(turned)["better"]) == (0, 1)


def test_intervals_that_touch_tell_nothing(programme: Programme) -> None:
    before, after = phase_facts(programme, "launch"), phase_facts(programme, "launch")
    row = next(row for row in after["observations"]["rows"] if row["requirement"] == "median-latency")
    shift = row["upper"] - row["lower"]
    for end in ("value", "lower", "upper"):
        row[end] += shift
    found = compare(Side(name="before", facts=before), Side(name="after", facts=after))
    assert counts(found)["worse"] == 0
    row["lower"] += 1
    assert counts(compare(Side(name="before", facts=before), Side(name="after", facts=after)))["worse"] == 1


def test_two_phases_are_matched_by_role_and_say_what_differs(programme: Programme) -> None:
    pilot, launch = phase_facts(programme, "pilot"), phase_facts(programme, "launch")
    launch["programme"]["system"]["components"][0]["version"] = "9.9"
    found = compare(Side(name="pilot", facts=pilot), Side(name="launch", facts=launch))
    assert counts(found)["all"] > 0
    inputs = {row[0]: row[1:] for row in found["sections"][1]["tables"][0]["rows"]}
    assert any(name.endswith(".version") and row[1] == "9.9" for name, row in inputs.items())
    assert found["stamp"].startswith("pilot and launch: not evidence")
    assert found["chart"]["rows"]


def test_two_runs_are_held_beside_each_other_requirement_by_requirement(programme: Programme) -> None:
    facts = phase_facts(programme, "launch")
    sides = [Side(name=run, facts=facts, run=run) for run in
             ("launch/launch.orders.load/1", "launch/launch.orders.soak/1")]  # fmt: skip
    found = compare(*sides)
    assert counts(found)["all"] >= 3
    assert {row[1] for row in changed(found)} == {""}
    inputs = {row[0] for row in found["sections"][1]["tables"][0]["rows"]}
    assert "type" in inputs


def test_the_page_of_a_comparison_is_whole(programme: Programme) -> None:
    facts = phase_facts(programme, "launch")
    found = compare(Side(name="<b>a</b>", facts=facts), Side(name="b", facts=facts))
    page = render_comparison(found)
    assert "<b>a</b>" not in page
    assert "<title>REHEARSAL" in page
    headings = [block["runs"][0]["text"] for block in read_blocks(page) if block["kind"] == "heading"]
    assert headings[1:] == ["Outcome", "What changed", "What the two sides rest on", "On one side only", "Evidence"]
    assert render_comparison(found) == page
