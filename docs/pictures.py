"""Takes the documentation's pictures of real reports, in a real Chromium: `python docs/pictures.py [OUT]`.

It makes a programme as the tutorial does, runs its load tests and some regressions in a temporary folder (minutes), and
writes a WebP of each page. PLIMSOLL_PICTURES_OF names a folder with such runs to take them of instead.
"""

import base64
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).parent / "pictures"
REGRESSIONS = 12
WIDTH, HEIGHT = 1200, 820
_QUALITY = 72


def make(folder: Path, regressions: int = REGRESSIONS) -> None:
    """A programme in `folder`, the load tests with what the terminal said, and so many days' regressions."""
    plimsoll = str(Path(sys.executable).with_name("plimsoll"))
    own = {"PLIMSOLL_CATALOG": "shop", "PLIMSOLL_ACTOR": "A. Tester", "PLIMSOLL_KEY": "key.pem", "HOME": str(folder)}
    environ = {**os.environ, **own, "FORCE_COLOR": "1", "COLUMNS": "110"}

    def run(*arguments: str) -> str:
        ended = subprocess.run(
            [plimsoll, *arguments],
            cwd=folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if ended.returncode > 1:
            raise SystemExit(ended.stdout)
        return ended.stdout

    run("init", "shop")
    (folder / "terminal.txt").write_text(run("run", "launch", "--types", "load"), encoding="utf-8")
    for day in range(1, regressions + 1):
        run("regression", "--occasion", f"regression-2026-01-{day:02}")


def take(folder: Path, out: Path) -> list[Path]:
    """The pictures of what `make` made there; the files written."""
    out.mkdir(parents=True, exist_ok=True)
    reports = folder / ".plimsoll" / "reports"
    newest = max(reports.glob("regression-*"))
    figure = "#figure=observation/launch/launch.orders.load/1/median-latency/all"
    pages = {"report": (reports / "launch" / "report.html").as_uri(), "terminal": terminal(folder).as_uri()}
    pages["lineage"] = (reports / "launch" / "lineage.html").as_uri() + figure
    pages["history"] = (newest / "history.html").as_uri()
    with window() as page:
        return [picture(page, address, out / f"{name}.webp") for name, address in pages.items()]


@contextmanager
def window() -> Iterator[Page]:
    """A window without a network."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        try:
            yield browser.new_context(offline=True, viewport={"width": WIDTH, "height": HEIGHT}).new_page()
        finally:
            browser.close()


def picture(page: Page, address: str, file: Path) -> Path:
    """What a window shows of a page, as a WebP."""
    page.goto(address)
    page.wait_for_load_state("networkidle")
    whole = page.evaluate("document.documentElement.getBoundingClientRect().height")
    clip = {"x": 0, "y": 0, "width": WIDTH, "height": min(HEIGHT, int(whole)), "scale": 1}
    asked = {"format": "webp", "quality": _QUALITY, "clip": clip}
    answer = page.context.new_cdp_session(page).send("Page.captureScreenshot", asked)
    file.write_bytes(base64.b64decode(answer["data"]))
    return file


def terminal(folder: Path) -> Path:
    """What the terminal said of the run, as a page."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=110, file=io.StringIO(), force_terminal=True)
    console.print("$ plimsoll run launch --types load")
    console.print(Text.from_ansi((folder / "terminal.txt").read_text(encoding="utf-8")))
    page = folder / "terminal.html"
    style = "body{margin:0;padding:1rem 1.5rem;background:#101418}pre{font-size:15px;line-height:1.35}"
    html = console.export_html(inline_styles=True).replace("</head>", f"<style>{style}</style></head>")
    page.write_text(html.replace("color: #000000", "color: #e6e6e6"), encoding="utf-8")
    return page


def main() -> None:
    """Makes the runs, unless they are there, and takes the pictures."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES
    with tempfile.TemporaryDirectory() as made:
        folder = Path(os.environ.get("PLIMSOLL_PICTURES_OF") or made)
        if not (folder / ".plimsoll").exists():
            make(folder)
        for file in take(folder.resolve(), out.resolve()):
            print(f"{file.stat().st_size / 1000:6.0f} kB  {file}")


if __name__ == "__main__":
    main()
