"""Reports that several tests look at: of the template's programme, with verdicts of every kind, and a hostile one."""

from typing import Any

from report_facts import phase_facts, spoil

from catalog.declarations import Programme
from tasks.report.assemble import assemble_report

HOSTILE = (
    '"><script>alert(1)</script><img src=x onerror=alert(2)>',
    "=HYPERLINK(\"http://example.invalid\";\"open\")",
    "+1+cmd|' /C calc'!A0",
    "price \u202e001 evil\u202c end",
    "null \x00 bell \x07 escape \x1b[31m",
    "#eval(\"1+1\") $x$ @ref <label> *bold*",
    "{{ 7*7 }} {% include 'x' %}",
    "漢字 😀 مرحبا",
    "w" * 100_000,
)  # fmt: skip
"""Texts that somebody might declare: markup, formulae, turned order, control characters, code, a wall of text."""


def usual_report(programme: Programme) -> dict[str, Any]:
    """A report with proved, not proved and inconclusive observations."""
    facts = phase_facts(programme, "launch", relied={"launch.orders.stress": "pilot"})
    rows = facts["observations"]["rows"]
    spoil(facts, rows[1]["observation"], "not proved", "the whole interval lies beyond the limit")
    spoil(facts, rows[2]["observation"], "inconclusive", "load not offered: some messages were not taken up")
    return assemble_report(facts)


def hostile_report(programme: Programme) -> dict[str, Any]:
    """A report with a hostile text wherever texts are declared or told."""
    facts = phase_facts(programme, "launch")
    declared, rows = facts["programme"], facts["observations"]["rows"]
    for text, place in zip(HOSTILE, _places(declared), strict=False):
        target, name = place
        target[name] = text
    for text, row in zip(HOSTILE, rows, strict=False):
        spoil(facts, row["observation"], "inconclusive", text)
    for text, test in zip(HOSTILE, facts["tests"], strict=False):
        test["why"] = text
    return assemble_report(facts)


def _places(declared: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    return [
        (declared["programme"], "title"),
        (declared["programme"], "operator"),
        (declared["programme"], "summary"),
        (declared["scope"]["exclusions"][0], "title"),
        (declared["scope"]["exclusions"][0], "residual_risk"),
        (declared["assumptions"][0], "title"),
        (declared["assumptions"][0], "source"),
        (declared["requirements"][0], "title"),
        (declared["assumptions"][0], "unit"),
    ]
