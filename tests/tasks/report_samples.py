"""Reports that several tests look at: of the template's programme, with verdicts of every kind, and a hostile one."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from report_facts import phase_facts, spoil

from catalog.declarations import Programme
from catalog.reading import read_catalogue
from tasks.report.assemble import assemble_report
from tasks.report.blocks import read_blocks
from tasks.report.render import render_report
from tests.shops import write_shop

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


WORDS = Path(__file__).with_name("report_words.txt")
_GOLDEN = ("outcome", "components", "exit-criteria", "plans", "tests", "deviations", "observations", "traceability",
           "reliance", "glossary")  # fmt: skip


def words_of(page: str) -> str:
    """The words and numbers of the sections that people decide by, a line for each heading, paragraph and row."""
    lines: list[str] = []
    is_wanted = False
    for block in read_blocks(page):
        if block["kind"] == "heading" and block["level"] == 2:
            is_wanted = block["id"] in _GOLDEN
        if is_wanted:
            lines += _lines(block)
    return "\n".join(lines) + "\n"


def _lines(block: dict[str, Any]) -> list[str]:
    match block["kind"]:
        case "heading":
            return [f"{'#' * block['level']} {_told(block['runs'])}"]
        case "table":
            return [" | ".join(_told(cell["runs"]) for cell in row) for row in [block["head"], *block["rows"]]]
        case "pairs":
            return [f"{_told(name)}: {_told(value)}" for name, value in block["rows"]]
        case "list":
            return [f"- {_told(item)}" for item in block["items"]]
        case "chart":
            return [f"[{block['alt']}]"]
        case "box":
            return [line for each in block["blocks"] for line in _lines(each)]
        case _:
            return [_told(block["runs"])]


def _told(runs: list[dict[str, Any]]) -> str:
    return " ".join("".join(run["text"] for run in runs).split())


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


if __name__ == "__main__":  # writes the golden words anew: PYTHONPATH=. python tests/tasks/report_samples.py
    with TemporaryDirectory() as made:
        write_shop(Path(made) / "shop")
        shop = read_catalogue(Path(made) / "shop").programme
    WORDS.write_text(words_of(render_report(usual_report(shop))), encoding="utf-8")
