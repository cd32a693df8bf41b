"""The site: whatever is broken fails its build; its pages ask for nothing and keep nobody out, in a real browser."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from catalog import rules
from flows.cli import parser

DOCS = Path(__file__).parents[2] / "docs"
CHROMIUM = shutil.which("chromium")
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
KINDS = (
    "index",
    "first-programme",
    "how-to/auditor",
    "explanations/verdicts",
    "reference/commands",
    "sql",
    "adr/README",
    "search",
)
"""A page of each kind."""

in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


def build(docs: Path, site: Path, builder: str = "html") -> "subprocess.CompletedProcess[str]":
    """The site as `docs/writing-docs.md` says that it is made."""
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", builder, "-c", str(DOCS)]
    return subprocess.run([*command, str(docs), str(site)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    ended = build(DOCS, folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-quic"])
        yield browser
        browser.close()


def test_what_is_broken_fails_the_build(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    pages = {
        "index": "# Index\n\n```{toctree}\nlinked\n```\n",
        "linked": "# Linked\n\n[no such page](nowhere.md), [no such heading](index.md#none), ![](none.png)\n",
        "stray": "# Stray\n",
    }
    for name, text in pages.items():
        (docs / f"{name}.md").write_text(text)
    ended = build(docs, tmp_path / "site", "dummy")
    assert ended.returncode == 1
    for fault in ("stray.md: WARNING: document isn't included in any toctree", "'nowhere.md'", "'none'", "none.png"):
        assert fault in ended.stderr


def test_every_page_of_the_source_is_a_page_of_the_site(site: Path) -> None:
    for page in DOCS.rglob("*.md"):
        assert (site / page.relative_to(DOCS).with_suffix(".html")).is_file()


def test_the_reference_has_every_command_code_and_rule(site: Path) -> None:
    def text(page: str) -> str:
        return (site / "reference" / f"{page}.html").read_text(encoding="utf-8")

    listed = re.findall(r"^    (\w+)\b", parser().format_help(), re.MULTILINE)
    assert len(listed) > 20
    assert not [name for name in listed if f'id="{name}"' not in text("commands")]
    assert not [name for name in rules.versions() if name.replace("_", "-") not in text("rules")]
    cases = (Path(__file__).parents[1] / "catalog" / "test_agreement.py").read_text(encoding="utf-8")
    faults = re.findall(r'^    \("([a-z-]+)", \[', cases, re.MULTILINE)
    assert len(faults) > 90
    assert not [
        code for code in faults if code not in text("codes") and not code.startswith(("unknown-", "duplicate-"))
    ]


def opened(browser: Browser, file: Path, scheme: str = "light") -> tuple[Page, list[str]]:
    """A page in a window without a network; what the browser complains of, and what it would fetch."""
    page = browser.new_context(offline=True, color_scheme=scheme).new_page()  # type: ignore[arg-type]  # a literal, passed on
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("request", lambda request: complaints.append(request.url) if outside(request.url) else None)
    page.goto(file.as_uri())
    return page, complaints


def outside(url: str) -> bool:
    return not url.startswith(("file:", "data:"))


@in_a_browser
@pytest.mark.parametrize("kind", KINDS)
def test_pages_ask_for_nothing_and_keep_nobody_out(site: Path, browser: Browser, kind: str) -> None:
    for scheme in ("light", "dark"):
        page, complaints = opened(browser, site / f"{kind}.html", scheme)
        assert complaints == []
        options = {"runOnly": {"type": "tag", "values": WCAG}, "resultTypes": ["violations"], "preload": False}
        found = Axe().run(page, options=options).response["violations"]
        assert [(scheme, each["id"], each["nodes"][0]["html"][:160]) for each in found] == []
        page.context.close()


def test_nothing_in_the_site_would_be_fetched_from_outside(site: Path) -> None:
    loaded = re.compile(r"""(?:<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=|url\(|@import\s)["']?(?:https?:)?//""")
    files = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert len(files) > 40
    assert not [file.name for file in files if loaded.search(file.read_text(encoding="utf-8"))]


@in_a_browser
def test_a_phone_needs_no_sideways_scrolling_and_the_search_finds(site: Path, browser: Browser) -> None:
    page, _ = opened(browser, site / "reference" / "commands.html")
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.goto((site / "search.html").as_uri() + "?q=countersign")
    page.wait_for_selector("#search-results li a")
    assert "auditing" in page.inner_html("#search-results").lower()


def pictures_shown() -> list[tuple[Path, str, Path]]:
    """Every picture in a page or the README: the page, what is said of it, and its file."""
    pages = [*DOCS.rglob("*.md"), DOCS.parent / "README.md"]
    found = re.compile(r"!\[(.*?)\]\((.*?)\)", re.DOTALL)
    return [
        (page, said, (page.parent / file).resolve())
        for page in pages
        for said, file in found.findall(page.read_text(encoding="utf-8"))
    ]


def test_every_picture_is_there_small_and_described() -> None:
    shown = pictures_shown()
    assert {file for _, _, file in shown} == {file.resolve() for file in (DOCS / "pictures").iterdir()}
    assert not [page.name for page, said, _ in shown if len(said) < 30]
    assert not [file.name for _, _, file in shown if file.stat().st_size > 150_000]


@in_a_browser
def test_pictures_are_taken_of_pages(
    site: Path, browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With PLIMSOLL_PICTURES the whole script: runs are made, and every picture is taken of them (minutes)."""
    monkeypatch.syspath_prepend(str(DOCS))
    import pictures

    if os.environ.get("PLIMSOLL_PICTURES"):
        subprocess.run([sys.executable, DOCS / "pictures.py", tmp_path / "pictures"], check=True)
        files = list((tmp_path / "pictures").iterdir())
        assert {file.name for file in files} == {file.name for _, _, file in pictures_shown()}
    else:
        (tmp_path / "terminal.txt").write_text("\x1b[32mproved\x1b[0m 13")
        page = browser.new_context(viewport={"width": pictures.WIDTH, "height": pictures.HEIGHT}).new_page()
        pages = {"site": site / "index.html", "terminal": pictures.terminal(tmp_path)}
        files = [pictures.picture(page, file.as_uri(), tmp_path / f"{name}.webp") for name, file in pages.items()]
    assert all(file.read_bytes()[8:12] == b"WEBP" and 1_000 < file.stat().st_size < 150_000 for file in files)
