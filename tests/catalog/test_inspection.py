"""The page of lineage: the same bytes from the same evidence, and in a real browser what an auditor does with it."""

import json
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Tab, chromium
from ledgers import Chain, name, phases

from catalog.inspection.document import FIGURE, lineage_page, subjects
from catalog.inspection.page import PAGE, page_fault, page_of, publish_page, render_page, shell_digest
from catalog.ledger import Kind, Record
from catalog.lineage import Figure, Lineage
from catalog.verification import verify
from catalog.workspace import Workspace

AXE = Path(__file__).parents[1] / "vendor" / "axe.min.js"
HOSTILE = (
    "\"'></script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
    "&lt;\u2028`$(id)`"
)
needs_chromium = pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")


def page(records: list[Record], reports: Any, phase: str = "ioc", **more: Any) -> bytes:
    return render_page(lineage_page(records, reports, phase, **{"bundle": False, **more}))


def document_in(data: bytes) -> dict[str, Any]:
    (found,) = re.findall(rb'<script type="application/json" id="document">([^<]*)</script>', data)
    return dict(json.loads(found))


@pytest.fixture(scope="module")
def small() -> tuple[list[Record], dict[str, tuple[Record, Any]]]:
    return phases(["ioc", "moc"], 9)


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with chromium(tmp_path_factory.mktemp("browser")) as found:
        found.size(1400, 900)
        yield found


@pytest.fixture(scope="module")
def file(small: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / PAGE
    path.write_bytes(page(*small))
    return path


def heading(tab: Tab) -> str:
    return str(tab.run("document.querySelector('article h2').innerText"))


def violations(tab: Tab) -> list[str]:
    """What axe-core finds against WCAG and its best practices, none left out."""
    tab.run(f"{AXE.read_text(encoding='utf-8')}; 0")
    script = "axe.run(document).then(found => found.violations.map(each => each.id + ': ' + each.nodes[0].html))"
    return list(tab.run(script))


# --- without a browser ---


def test_the_same_evidence_gives_the_same_bytes_and_others_are_others(small: Any) -> None:
    records, reports = small
    assert page(records, reports) == page(list(records), dict(reversed(reports.items())))
    assert page(records, reports) != page(records[:-1], reports)


def test_the_page_forbids_every_request_and_runs_nothing_but_its_own_script(small: Any) -> None:
    text = page(*small).decode()
    policy = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', text)[0]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "connect-src" not in policy
    shell = text.replace(document_in(text.encode())["title"], "")
    assert not re.findall(r"https?://|@import|url\(|src=", shell)


def test_hostile_text_stays_in_the_document(tmp_path: Path) -> None:
    data = page(*phases(["ioc"], 3, HOSTILE))
    assert data.count(b"<script") == 2
    assert document_in(data)["title"] == HOSTILE


def test_the_oldest_records_are_left_out_of_a_ledger_that_is_too_long(small: Any) -> None:
    records, reports = small
    made = lineage_page(records, reports, "moc", bundle=False, most=10)
    assert (len(made["records"]), made["first"]) == (10, records[-10].sequence)
    assert made["head"] == f"{records[-1].sequence}:{records[-1].digest}"


def test_a_record_is_about_what_its_test_is_about(small: Any) -> None:
    records, _ = small
    measured = [about for record, about in zip(records, subjects(records), strict=True) if record.stage == "measure"]
    assert {(each.phase, each.component, each.test.split(".")[1]) for each in measured} == {
        (phase, f"c{n}", f"c{n}") for phase in ("ioc", "moc") for n in range(7)
    }


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with two reported phases, a page beside the second."""
    from test_bundle import phase

    workspace = Workspace.open(tmp_path / "home", create=True)
    phase(workspace, "ioc")
    publish_page(workspace, phase(workspace, "moc"))
    return workspace


def test_a_published_page_is_held_to_the_evidence(workspace: Workspace) -> None:
    file = workspace.reports / "moc" / PAGE
    assert verify(workspace.home).ok
    made = document_in(file.read_bytes())
    assert [report["phase"] for report in made["reports"]] == ["ioc", "moc"]
    assert made["reports"][0]["figures"][0][len(FIGURE)]
    from test_bundle import phase

    phase(workspace, "ioc")  # what came later is not in the page, and no fault of it
    assert verify(workspace.home).ok
    whole = file.read_bytes()
    for old, new in [
        (b"moc/t/1", b"moc/t/2"),
        (b"What it rests on", b"What it rested on"),
        (b'"format":1', b'"format"'),
    ]:
        assert old in whole
        file.write_bytes(whole.replace(old, new))
        (fault,) = verify(workspace.home).faults
        assert (fault.where, fault.what.partition(":")[0]) == (f"reports/moc/{PAGE}", "altered")
    file.write_bytes(whole.replace(b'"format":1', b'"format":2'))
    assert "is of format 2" in verify(workspace.home).faults[0].what
    file.write_bytes(b"nothing")
    assert "holds no document" in verify(workspace.home).faults[0].what
    head = document_in(whole)["head"].encode()
    file.write_bytes(whole.replace(head, b"4:" + b"0" * 64))
    assert "is no record of this ledger" in verify(workspace.home).faults[0].what


def test_a_page_of_another_version_is_accepted_where_a_report_states_what_surrounds_it(workspace: Workspace) -> None:
    records = workspace.ledger.records()
    whole = page_of(workspace, records, "moc", bundle=False)
    other = whole.replace(b"What it rests on", b"On what it rests")
    held = re.sub(rb'(?<=id="document">)[^<]*', b"", other)
    assert page_fault(other, workspace, records, "moc", bundle=False).startswith("altered: what stands around")
    chain = Chain()
    chain.records = list(records)
    stated = chain.add(Kind.REPORTED, "report", {}, {}, phase="foc", page=name("x"))
    assert stated.parameters["page"] != shell_digest()
    chain.records[-1] = chain.add(Kind.REPORTED, "report", {}, {}, phase="foc", page=name_of(held))
    assert page_fault(other, workspace, chain.records, "moc", bundle=False) == ""


def name_of(data: bytes) -> str:
    from catalog.canonical import digest

    return digest(data)


# --- in a browser ---


@needs_chromium
def test_the_browser_walks_the_graph_that_the_terminal_draws(tab: Tab, file: Path, small: Any) -> None:
    """Chosen at random: what the page shows under both headings is what `Lineage` gives one step away."""
    records, reports = small
    graph, chance = Lineage(records, reports), random.Random(11)  # noqa: S311 - picks places, not secrets
    figures = [figure for key in reports for figure in graph.figures("outcome/proved", key)]
    asked: list[tuple[str, Figure | str]] = [
        (f"#figure=outcome/proved&phase={figure.phase}", figure) for figure in figures
    ]
    asked += [(f"#record={record.sequence}", record.digest) for record in chance.sample(records, 12)]
    tab.open(file)
    for fragment, subject in asked:
        tab.run(f"location.hash = {json.dumps(fragment)}")
        tab.until("document.activeElement.tagName === 'H2'")
        for place, steps in enumerate((graph.up(subject), graph.down(subject))):
            wanted = [step for step in steps if step.depth == 1]
            shown = tab.run(
                f"[...document.querySelectorAll('.ways > section')[{place}].querySelectorAll('.tree > li > .node a')]"
                ".map(each => each.getAttribute('href'))"
            )
            assert sorted(map(place_of, shown)) == sorted(told(step) for step in wanted), fragment
        tab.run("document.activeElement.blur()")


def place_of(link: str) -> str:
    from urllib.parse import parse_qs

    found = parse_qs(link[1:])
    if "figure" in found:
        return f"figure {found['figure'][0]} {found.get('phase', ['ioc'])[0]}"
    return f"record {found['record'][0]}" if "record" in found else f"artefact {found['artefact'][0]}"


def told(step: Any) -> str:
    if step.figure:
        return f"figure {step.figure.name} {step.figure.phase}"
    return f"record {step.record.sequence}" if step.record else f"artefact {step.digest}"


@needs_chromium
def test_a_figure_is_walked_to_its_run_and_back_by_keyboard_alone(tab: Tab, file: Path) -> None:
    tab.open(file)
    tab.press("/")
    for letter in "c0.load0/1":
        tab.press(letter)
    tab.until("document.getElementById('count').textContent.startsWith('2 of')")
    tab.press("ArrowDown")
    tab.press("Enter")
    tab.until("document.activeElement.tagName === 'H2'")
    assert heading(tab) == "0 µs\nLatency"
    assert tab.run("document.title").startswith("observation/ioc/ioc.c0.load0/1/p95")
    tab.run("document.querySelector('.tree button[aria-expanded=false]').focus()")
    tab.press("Enter")
    tab.run("document.querySelectorAll('.ways .tree')[0].querySelectorAll('a')[1].focus()")
    tab.press("Enter")
    tab.until("document.querySelector('.trail')")
    assert "measure" in heading(tab)
    tab.run("history.back()")
    tab.until("document.querySelector('article h2').innerText.startsWith('0 µs')")
    assert tab.complaints == []


@needs_chromium
def test_search_and_every_filter_narrow_the_list(tab: Tab, file: Path) -> None:
    tab.open(file)
    choose = (
        "(name, value) => { const it = document.getElementById(name); it.value = value; "
        "it.dispatchEvent(new Event('change')); return document.getElementById('count').textContent; }"
    )
    assert tab.run("document.getElementById('count').textContent") == "24 figures"
    assert tab.run(f"({choose})('f-phase', 'moc')") == "12 of 24 figures"
    assert tab.run(f"({choose})('f-verdict', 'not proved')") == "3 of 24 figures"
    assert tab.run(f"({choose})('f-component', 'c1')") == "1 of 24 figures"
    assert tab.run(f"({choose})('f-reliance', 'executed')") == "1 of 24 figures"
    assert (
        tab.run("document.getElementById('clear').click() ?? document.getElementById('count').textContent")
        == "24 figures"
    )
    tab.run("document.querySelector('input[value=record]').click()")
    assert tab.run(f"({choose})('f-part', 'execute')") == "36 of 63 records"
    assert tab.run(f"({choose})('f-reliance', 'relied')").startswith("0 of") is False
    tab.run("document.getElementById('clear').click()")
    tab.run("document.querySelector('input[value=artefact]').click()")
    assert tab.run(f"({choose})('f-part', 'results')") == "18 of 47 artefacts"


@needs_chromium
def test_what_supports_a_figure_can_be_listed(tab: Tab, file: Path) -> None:
    tab.open(file, "#figure=outcome/proved")
    tab.run(
        "[...document.querySelectorAll('.strip button')].find(each => each.textContent.includes('measure')).click()"
    )
    assert tab.run("document.getElementById('count').textContent") == "9 of 63 records"
    assert "supports outcome/proved" in tab.run("document.getElementById('within').textContent")


@needs_chromium
def test_two_phases_beside_each_other(tab: Tab, file: Path) -> None:
    tab.open(file, "#compare=ioc&with=moc")
    assert heading(tab) == "Phase ioc and Phase moc"
    assert tab.run("[...document.querySelectorAll('#main select')].at(-1).innerText").split("\n") == [
        "another verdict (0)", "another value (0)", "only in ioc (0)", "only in moc (0)", "the same (12)", "all (12)",
    ]  # fmt: skip
    rows = tab.run("[...document.querySelectorAll('#main table')[1].rows].map(row => row.innerText)")
    assert any(row.startswith("programme") and row.endswith("changed") for row in rows)
    assert any(row.startswith("file:a.yaml") and row.endswith("the same") for row in rows)


@needs_chromium
@pytest.mark.parametrize("bundle", [False, True])
def test_the_command_that_is_copied_is_the_one_that_is_shown(
    bundle: bool, tab: Tab, small: Any, tmp_path: Path
) -> None:
    records, reports = small
    (tmp_path / PAGE).write_bytes(page(records, reports, bundle=bundle))
    where = "ioc.zip" if bundle else ".plimsoll"
    measured = next(record for record in records if record.stage == "measure")
    digest, head = measured.outputs[0].digest, f"{records[-1].sequence}:{records[-1].digest}"
    verified = f"plimsoll verify {where} --head {head}"
    hashed = f"objects/{digest[:2]}/{digest[2:]}"
    wanted = {
        "#figure=outcome/proved": [f"plimsoll lineage outcome/proved --phase ioc --home {where}", verified],
        f"#record={measured.sequence}": [
            f"plimsoll reperform {where} --record {measured.sequence}",
            f"plimsoll lineage {measured.digest} --home {where}",
            verified,
        ],
        f"#artefact={digest}": [
            f"unzip -p {where} {hashed} | sha256sum" if bundle else f"sha256sum {where}/{hashed}",
            f"plimsoll lineage {digest} --home {where}",
            verified,
        ],
    }
    copied = "new Promise(done => { navigator.clipboard.writeText = async (text) => done(text); B.click(); })"
    for fragment, commands in wanted.items():
        tab.open(tmp_path / PAGE, fragment)
        assert tab.run("[...document.querySelectorAll('.commands code')].map(each => each.textContent)") == commands
        assert tab.run(copied.replace("B", "document.querySelector('.commands button')")) == commands[0]
        tab.until("document.getElementById('said').textContent === 'Copied'")
    tab.run(
        "{ const it = document.querySelector('.where input'); it.value = \"it's here\"; "
        "it.dispatchEvent(new Event('input')); }"
    )
    assert tab.run("document.querySelectorAll('.commands code')[1].textContent").endswith("--home 'it'\\''s here'")


@needs_chromium
def test_withdrawn_evidence_is_marked_wherever_it_is_met(tab: Tab, tmp_path: Path) -> None:
    records, reports = phases(["ioc"], 3)
    chain = Chain()
    chain.records = list(records)
    executed = next(record for record in records if record.kind is Kind.EXECUTED)
    chain.add(Kind.WITHDRAWN, "withdraw", {"withdrawn": executed.digest}, {}, reason="a wrong clock")
    (tmp_path / PAGE).write_bytes(page(chain.records, reports))
    tab.open(tmp_path / PAGE)
    assert "rest on what was withdrawn" in tab.run("document.querySelector('#main .warn').innerText")
    tab.run("const it = document.getElementById('f-sound'); it.value = 'spoilt'; it.dispatchEvent(new Event('change'))")
    assert tab.run("document.getElementById('count').textContent") == "4 of 6 figures"
    tab.open(tmp_path / PAGE, f"#record={executed.sequence}")
    assert "a wrong clock" in tab.run("document.querySelector('#main .warn').innerText")


@needs_chromium
@pytest.mark.parametrize(("width", "dark"), [(1400, False), (1400, True), (360, False), (360, True)])
def test_no_view_has_an_accessibility_violation_or_is_wider_than_its_window(
    tab: Tab, file: Path, width: int, dark: bool
) -> None:
    tab.size(width, 800, dark=dark)
    try:
        for fragment in ("", "#figure=outcome/proved", "#record=3", "#compare=ioc&with=moc", "#record=99999"):
            tab.open(file, fragment)
            assert violations(tab) == [], fragment
            assert tab.run("document.documentElement.scrollWidth") <= width, fragment
        tab.run("document.querySelector('.back')?.click()")
        assert violations(tab) == []
    finally:
        tab.size(1400, 900)


@needs_chromium
def test_hostile_text_is_shown_and_nothing_else(tab: Tab, tmp_path: Path) -> None:
    (tmp_path / PAGE).write_bytes(page(*phases(["ioc"], 3, HOSTILE)))
    tab.complaints.clear()
    tab.open(tmp_path / PAGE, "#figure=observation/ioc/ioc.c0.load0/1/p95")
    assert tab.run("document.querySelector('article h2').textContent") == f"0 µs{HOSTILE}"
    assert tab.run("document.querySelectorAll('img').length") == 0
    assert "taken" not in tab.run("document.title")
    assert tab.complaints == []


@needs_chromium
def test_ten_thousand_records_open_and_scroll_with_few_of_them_drawn(tab: Tab, tmp_path: Path) -> None:
    records, reports = phases(["ioc", "moc", "foc"], 1_111)
    assert len(records) > 10_000
    (tmp_path / PAGE).write_bytes(page(records, reports))
    tab.open(tmp_path / PAGE)
    tab.run("document.querySelector('input[value=record]').click()")
    assert tab.run("document.getElementById('count').textContent") == f"{len(records):,} records"
    assert tab.run("document.querySelectorAll('.row').length") < 60
    tab.run("document.getElementById('list').focus()")
    tab.press("End")
    tab.until("document.querySelector('.row.active .sub')?.textContent.startsWith('record 1 ')")
    assert tab.run("document.querySelectorAll('*').length") < 400
    tab.run("location.hash = '#figure=outcome/proved'")
    tab.until("document.querySelector('.strip')")
    assert "1,111 measure" in tab.run("document.querySelector('.strip').innerText.replaceAll('\\n', ' ')")
    tab.run(f"location.hash = '#artefact={records[0].outputs[0].digest}'")
    tab.until("document.querySelectorAll('.ways .more').length > 0")
    assert tab.run("document.querySelectorAll('*').length") < 2_000


@needs_chromium
def test_nothing_was_asked_of_any_network(tab: Tab) -> None:
    """After all of the above, in one browser."""
    assert [each for each in tab.asked if not each.startswith(("file:", "about:", "data:"))] == []
