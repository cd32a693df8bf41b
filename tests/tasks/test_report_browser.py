"""The report as people use it: in a real browser without a network, by keyboard, on a phone, printed, in the dark."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright
from pypdfium2 import PdfDocument
from report_samples import usual_report

from catalog.reading import Catalogue
from tasks.report.render import render_report

CHROMIUM = shutil.which("chromium")
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-quic"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def file(template: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render_report(usual_report(template.programme)), encoding="utf-8")
    return path


def opened(browser: Browser, file: Path, **options: Any) -> tuple[Page, list[str]]:
    """The report in a window without a network; what the browser complains of, and what it would fetch."""
    page = browser.new_context(offline=True, **options).new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on(
        "request",
        lambda request: complaints.append(request.url) if not request.url.startswith(("file:", "data:")) else None,
    )
    page.goto(file.as_uri())
    page.evaluate(
        "for (const each of document.querySelectorAll('main > section')) each.style.contentVisibility = 'visible'"
    )
    return page, complaints  # with everything laid out, as for whoever has been everywhere


@pytest.mark.parametrize(
    ("scheme", "held"),
    [("light", {"type": "tag", "values": WCAG}), ("dark", {"type": "rule", "values": ["color-contrast"]})],
)
def test_nothing_keeps_anybody_out(browser: Browser, file: Path, scheme: str, held: dict[str, Any]) -> None:
    page, complaints = opened(browser, file, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details:not(.data)').forEach(each => each.open = true)")
    found = Axe().run(page, options={"runOnly": held, "resultTypes": ["violations"]}).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"][:120]) for each in found] == []
    assert complaints == []


def test_the_dark_page_is_dark_and_its_charts_are_readable(browser: Browser, file: Path) -> None:
    def looks(scheme: str) -> list[str]:
        page, _ = opened(browser, file, color_scheme=scheme)
        return [
            page.evaluate("getComputedStyle(document.body).backgroundColor"),
            page.evaluate("getComputedStyle(document.querySelector('.chart text')).fill"),
        ]

    (light_ground, light_text), (dark_ground, dark_text) = looks("light"), looks("dark")
    assert light_ground == "rgb(255, 255, 255)"
    assert sum(int(each) for each in dark_ground[4:-1].split(", ")) < 120
    assert light_text != dark_text


def test_from_verdict_to_evidence_by_keyboard(browser: Browser, file: Path) -> None:
    page, _ = opened(browser, file)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the outcome"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#outcome"
    for _ in range(5):
        page.keyboard.press("Tab")
        target = page.evaluate("document.activeElement.getAttribute('href')")
        if target == "lineage.html#outcome/proved":
            break
    shown = page.evaluate("getComputedStyle(document.activeElement, '::after').content")
    assert target == "lineage.html#outcome/proved"
    assert target in shown
    digest = re.findall(r"[0-9a-f]{12}", shown)[-1]
    assert "the observations" in page.evaluate(f"document.getElementById('e-{digest}').textContent")
    page.focus(f'a.ref[href="#e-{page.evaluate("document.querySelector(`.ref`).hash.slice(3)")}"]')
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector(':target').closest('.evidence') !== null")


def test_a_phone_needs_no_sideways_scrolling_of_the_page(browser: Browser, file: Path) -> None:
    page, _ = opened(browser, file, viewport={"width": 360, "height": 740})
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.evaluate("location.hash = 'observations'")
    top = page.evaluate("document.getElementById('observations').getBoundingClientRect().top")
    covered = page.evaluate("document.querySelector('.stamp').getBoundingClientRect().bottom")
    assert 0 < covered <= top  # the stamp, which stays in sight, hides no heading that was asked for


def test_every_printed_sheet_is_stamped_and_light(browser: Browser, file: Path) -> None:
    page, _ = opened(browser, file, color_scheme="dark")
    printed = PdfDocument(page.pdf(prefer_css_page_size=True))
    sheets = [printed[number].get_textpage().get_text_range() for number in range(len(printed))]
    assert len(sheets) > 5
    assert all("REHEARSAL" in sheet.upper() for sheet in sheets)
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"


def test_what_the_policy_forbids_does_not_happen(browser: Browser, file: Path, tmp_path: Path) -> None:
    text = file.read_text(encoding="utf-8")
    spoilt = tmp_path / "spoilt.html"
    extra = "<script>document.title = 'ran'</script><style>body { color: red }</style><img src='http://example.invalid/x.png'>"
    spoilt.write_text(text.replace("</main>", f"{extra}</main>"), encoding="utf-8")
    page, complaints = opened(browser, spoilt)
    assert page.title() != "ran"
    assert page.evaluate("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
    assert sum("Content Security Policy" in each for each in complaints) >= 3
