"""The completion report as a page: self-contained, escaped, traceable, and stamped when it is a rehearsal."""

import copy
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from report_facts import phase_facts, spoil

from catalog.declarations import Programme
from catalog.reading import read_programme
from tasks.report.assemble import assemble_report
from tasks.report.charts import draw_panels
from tasks.report.render import CONTENTS, render_pages, render_report
from tasks.report.volume_charts import draw_volumes
from tests.shops import write_shop

VOID = {"meta", "link", "br", "path", "rect", "line", "input", "img"}
CELLS = {"td", "th"}
CLOSED_BY = {"td": CELLS, "th": CELLS, "tr": {*CELLS, "tr"}, "tbody": {*CELLS, "tr", "thead"},
             "dt": {"dt", "dd"}, "dd": {"dt", "dd"}}  # fmt: skip
PLACED = ("stages", "observations", "findings")  # tables whose rows are of the figure at their beginning
NAMES = {"SHA-256", "p95", "p99", "95th"}  # of a function and of ranks: no figures
PUNCTUATION = ".,;:()"
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


def quoted(page: str) -> str:
    """A page with every attribute's value in quotes, of which it leaves out those that HTML needs not."""
    tags = re.compile(r"""<[a-z][a-z0-9]*(?: [a-z-]+(?:="[^"]*"|=[^\s"'=<>`]+)?)*>""")
    bare = re.compile(r"""( [a-z-]+)=([^\s"'=<>`]+)(?=[ >])""")
    return tags.sub(lambda tag: bare.sub(r'\1="\2"', tag[0]), page)


class Page(HTMLParser):
    """A page taken apart: its tags, ids, links, what it would fetch, and its text with the figure it stands in."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, bool]] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.loose: list[str] = []
        self.table = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            known = dict(attrs)
            while self.open and self.open[-1][0] in CLOSED_BY.get(tag, ()):
                self.open.pop()
            name = known.get("class") or ""
            is_figure = tag == "a" and (known.get("href") or "").startswith("lineage.html#")
            inside = "data-figure" in known or name in ("number", "ref", "data") or is_figure or tag in ("style", "svg")
            self.open.append((tag, inside))
            self.table = name.split(" ")[0] if tag == "table" else self.table
            rows = [place for place, each in enumerate(self.open) if each[0] == "tr"]
            if is_figure and rows and self.table in PLACED:
                self.open[rows[-1]] = ("tr", True)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            while self.open[-1][0] != tag and self.open[-1][0] in CLOSED_BY:
                self.open.pop()
            assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if not any(inside for _, inside in self.open):
            self.loose.append(data)

    def values(self, *names: str) -> list[str]:
        return [value for name, value in self.attributes if name in names]


@pytest.fixture(scope="module")
def programme(tmp_path_factory: pytest.TempPathFactory) -> Programme:
    folder = tmp_path_factory.mktemp("catalogue") / "shop"
    write_shop(folder)
    return read_programme(folder)


@pytest.fixture(scope="module")
def report(programme: Programme) -> dict[str, Any]:
    facts = phase_facts(programme, "launch", relied={"launch.orders.stress": "pilot"})
    rows = facts["observations"]["rows"]
    spoil(facts, rows[1]["observation"], "not proved", "the whole interval lies beyond the limit")
    spoil(facts, rows[2]["observation"], "inconclusive", "load not offered: some messages were not taken up")
    facts["tests"][0]["runs"].insert(0, copy.deepcopy(facts["tests"][0]["runs"][0]))
    facts["tests"][0]["runs"][0] |= {"run": "launch/launch.storefront.load/0", "state": "interrupted", "judged": False}
    return assemble_report(facts)


@pytest.fixture(scope="module")
def text(report: dict[str, Any]) -> str:
    return quoted(render_report(report))


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def strings(document: Any) -> list[str]:
    """Every text of a report that stands outside figures."""
    match document:
        case str():
            return [document]
        case {"figure": _}:
            return []
        case dict():
            return [text for each in document.values() for text in strings(each)]
        case list():
            return [text for each in document for text in strings(each)]
        case _:
            return []


def test_the_page_is_whole(page: Page) -> None:
    assert page.open == []
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.values("href") if link.startswith("#")} <= set(ids)


def test_nothing_is_fetched_and_nothing_is_run(text: str, page: Page) -> None:
    assert not {"script", "iframe", "object", "embed", "img", "base", "form"} & set(page.tags)
    assert page.values("src", "srcset", "action", "data", "poster") == []
    assert all(link.startswith(("#", "data:,", "lineage.html#")) for link in page.values("href", "xlink:href"))
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert set(re.findall(r"url\(['\"]?([^)]{5})", text)) == {"data:"}
    assert "@import" not in text


def test_each_section_is_there_under_its_heading(page: Page) -> None:
    wanted = [name for name, _ in CONTENTS if name not in ("testing-issues", "audit", "approvals", "earlier")]
    ids = page.values("id")
    assert [each for each in ids if each in wanted] == wanted


def test_every_number_is_a_figure_or_quoted_from_a_recorded_text(report: dict[str, Any], page: Page) -> None:
    quoted = {word.strip(PUNCTUATION) for text in strings(report) for word in text.split()}
    shown = [word.strip(PUNCTUATION) for data in page.loose for word in data.split() if re.search(r"\d", word)]
    assert [word for word in shown if word not in quoted | NAMES] == []
    assert sum(link.startswith("lineage.html#") for link in set(page.values("href"))) > 200


def test_every_figure_links_to_its_evidence_and_shows_its_digest(text: str, page: Page, report: dict[str, Any]) -> None:
    digest = report["outcome"]["verdicts"]["proved"]["evidence"][0]
    found = re.search(r'<a class="(f\d+)" href="lineage.html#outcome/proved">', text)
    assert found is not None
    assert f'.{found[1]}{{--e:"{digest[:12]}"}}' in text
    assert "content: attr(href)" in text
    assert f"e-{digest[:12]}" in page.values("id")
    assert digest in "".join(page.loose)


def test_a_rehearsal_says_so_in_title_banner_and_print(text: str, page: Page) -> None:
    assert "<title>REHEARSAL" in text
    assert '<body class="rehearsal">' in text
    assert "stamp" in page.values("class")
    printed = text[text.index("@media print") :]
    assert "display: table-header-group; break-inside: avoid" in printed


def test_a_real_environment_carries_no_stamp(report: dict[str, Any]) -> None:
    text = quoted(render_report({**report, "stamp": None, "behaviour": []}))
    assert "REHEARSAL" not in text
    assert 'class="stamp"' not in text


def test_a_criterion_met_in_a_rehearsal_is_never_plainly_met(report: dict[str, Any], text: str) -> None:
    criteria = text.partition('id="exit-criteria"')[2].partition('id="tests"')[0]
    assert "met in a rehearsal only" in criteria
    row = next(row for row in criteria.split("<tr>") if "all-proved" in row)
    assert 'class="badge good"' not in row
    real = [{**each, "rehearsal": False} for each in report["exit_criteria"]]
    assert "met in a rehearsal only" not in render_report({**report, "exit_criteria": real, "behaviour": []})


def test_the_code_is_named_once(text: str) -> None:
    assert "plimsoll plimsoll" not in text


def test_wide_tables_can_be_scrolled_by_keyboard_and_say_so(text: str) -> None:
    assert text.count('class="wide"') == text.count('class="wide" tabindex="0" role="region"') > 5
    assert "scroll sideways" in text


def test_median_and_95th_percentile_differ_in_colour_and_dash(report: dict[str, Any], text: str) -> None:
    panel = next(each for each in report["behaviour"] if each["panel"] == "course")
    (drawn,) = draw_panels([panel])
    assert drawn.count('class="a"') > 1
    assert drawn.count('class="b"') > 1
    looks = dict(re.findall(r"\.chart \.(\w+)\{([^}]*)\}", text))
    assert looks["a"] != looks["b"]
    assert "stroke-dasharray" in looks["b"]
    assert "stroke-dasharray" not in looks["a"]


def test_verdicts_ends_and_standing_are_words_not_colours_only(page: Page) -> None:
    loose = " ".join(page.loose)
    for word in ("not proved", "inconclusive", "interrupted", "does not stand", "relied", "unverified", "proposed"):
        assert word in loose, word


def test_declared_text_never_becomes_markup(programme: Programme) -> None:
    facts = phase_facts(programme, "launch")
    declared = facts["programme"]
    declared["programme"] |= {"title": HOSTILE, "operator": HOSTILE}
    declared["scope"]["exclusions"][0] |= {"title": HOSTILE, "residual_risk": HOSTILE}
    declared["assumptions"][0] |= {"title": HOSTILE, "unit": HOSTILE, "source": HOSTILE}
    declared["requirements"][0]["title"] = HOSTILE
    facts["tests"][0]["why"] = HOSTILE
    spoil(facts, facts["observations"]["rows"][0]["observation"], "inconclusive", HOSTILE)
    page = Page(render_report(assemble_report(facts)))
    assert not {"script", "img"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "".join(page.loose).count(HOSTILE) >= 8


def test_a_hostile_component_does_not_leave_its_chart(report: dict[str, Any]) -> None:
    figure = copy.deepcopy(report["volumes"]["phases"][0]["kinds"])
    for row in figure["rows"]:
        row[0] = HOSTILE
    page = Page(draw_volumes(figure))
    assert not {"script", "img"} & set(page.tags)


def test_each_chart_has_a_name_its_numbers_and_the_shipped_font(report: dict[str, Any], text: str) -> None:
    names = re.findall(r'role="img" tabindex="0" aria-label="([^"]+)"', text)
    drawn = 1 + len(report["behaviour"]) + len(report["by_component"])
    drawn += len(report["volumes"]["phases"]) + len(report["volumes"]["model"]["figures"])
    assert len(names) == text.count("<svg ") == text.count('<details class="data">') == drawn
    assert all(len(name) > 30 for name in names)
    assert set(re.findall(r"font-family:'([^']+)'", text)) == {"Plimsoll Sans"}
    assert "clip-path" not in text.split("</style>")[1]


def test_a_stretch_with_failures_is_marked(report: dict[str, Any]) -> None:
    panel = copy.deepcopy(next(panel for panel in report["behaviour"] if panel["panel"] == "course"))
    assert 'class="fx"' not in draw_panels([panel])[0]
    for row in panel["series"]["rows"][30:]:
        row[panel["series"]["columns"].index("failed")] = 7
    assert draw_panels([panel])[0].count('class="fx"') == 18


def test_many_tests_come_in_parts_whose_links_meet(report: dict[str, Any]) -> None:
    test = report["tests"][0]
    rows = [row for row in report["observations"] if row["test"] == test["test"]]
    many = [{**test, "test": f"launch.orders.load-{number}"} for number in range(80)]
    observed = [{**row, "test": each["test"], "observation": f"{each['test']}/{row['observation']}"}
                for each in many for row in rows]  # fmt: skip
    decisions = [{**report["reliance"]["decisions"][0], "test": each["test"]} for each in many]
    large = {**report, "tests": many, "observations": observed, "behaviour": []}
    large["reliance"] = {**report["reliance"], "decisions": decisions}
    large["outcome"], large["deviations"] = (
        {**report["outcome"], "look_at": []},
        {**report["deviations"], "conduct": []},
    )
    large["traceability"] = {**report["traceability"], "tables": []}
    large["volumes_tested"] = {**report["volumes_tested"], "tables": []}
    large["infrastructure"] = {**report["infrastructure"], "tables": []}
    pages = {name: Page(text) for name, text in render_pages(large).items()}
    assert next(iter(pages)) == "report.html"
    assert sum(name.startswith("report-tests-") for name in pages) == 3
    ids = {name: set(page.values("id")) for name, page in pages.items()}
    tests = [f"t-{each['test']}" for each in many]
    assert sorted(each for found in ids.values() for each in found if each.startswith("t-")) == sorted(tests)
    for name, page in pages.items():
        for link in page.values("href"):
            file, _, anchor = link.partition("#")
            is_here = not link.startswith(("data:", "lineage.html"))
            assert not is_here or not anchor or anchor in ids[file or name], (name, link)


def test_the_same_report_gives_the_same_bytes(report: dict[str, Any], text: str) -> None:
    assert quoted(render_report(json.loads(json.dumps(report)))) == text


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_browser_shows_the_page_without_complaint(text: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(text, encoding="utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += [
        f"--user-data-dir={tmp_path / 'profile'}",
        "--enable-logging=stderr",
        "--v=0",
        "--dump-dom",
        path.as_uri(),
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "CONSOLE" not in ended.stderr
    assert Page(ended.stdout).values("id") == Page(text).values("id")
