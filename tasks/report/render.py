"""Renders the completion report as pages that open from disk, fetch nothing and need no script.

One page, unless there are so many tests that nobody would scroll through it: then a summary,
and parts that it links to.
"""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from catalog.inspection.page import csp_hash
from tasks.report.figures import show
from tasks.report.plain_text import harmless

PAGE = "report.html"
_HERE = Path(__file__).parent
_SHORT = 12
MOST_TESTS = 36
"""A report of more tests comes in parts."""

_PART = 36
"""So many tests stand in each of them."""

CONTENTS = (
    ("outcome", "Outcome"),
    ("identity", "Identity and references"),
    ("components", "Components"),
    ("exit-criteria", "Exit criteria"),
    ("plans", "Planned tests and success criteria"),
    ("tests", "Tests performed"),
    ("deviations", "Deviations"),
    ("observations", "Observations"),
    ("volumes-tested", "Volumes tested"),
    ("traceability", "Traceability of requirements"),
    ("end-to-end", "End-to-end inference"),
    ("behaviour", "Behaviour over time"),
    ("infrastructure", "Infrastructure beside latency"),
    ("environment", "Environment and production size"),
    ("testing-issues", "Testing issues and incidents"),
    ("volumes", "Volume model"),
    ("assumptions", "Assumptions and forecasts"),
    ("requirements", "Requirements"),
    ("scope", "Scope and residual risks"),
    ("reliance", "Reliance"),
    ("audit", "Audit and conformance"),
    ("approvals", "Plans, approvals and decisions"),
    ("glossary", "Glossary"),
    ("checking", "How to check this"),
    ("evidence", "Evidence index"),
)
"""Sections by id, in the report's order; those of what people record only where something was."""

_OF_TESTS = ("tests", "observations", "behaviour", "reliance")
_APART = {
    "volumes-tested": "report-tested.html",
    "traceability": "report-traceability.html",
    "infrastructure": "report-infrastructure.html",
    "volumes": "report-volumes.html",
    "evidence": "report-evidence.html",
}
"""Sections that have a file of their own where a report comes in parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """A file: its sections, and what of the report it shows (`report`). `parts`: every file with its title."""

    file: str
    title: str
    sections: tuple[str, ...]
    contents: list[tuple[int, str, str]]
    report: Mapping[str, Any]
    parts: list[tuple[str, str]]


def render_report(report: Mapping[str, Any]) -> str:
    """The page of an assembled report (`tasks.report.assemble`) that people open first: see `render_pages`."""
    return render_pages(report)[PAGE]


def render_pages(report: Mapping[str, Any]) -> dict[str, str]:
    """Every page of an assembled report by file name, as HTML. The same report gives the same bytes."""
    report = harmless(report)
    css, css_hash = _css()
    charts = {name: Markup(svg) for name, svg in draw(report).items()}  # noqa: S704 - drawn here, texts escaped
    pages = list(_pages(report))
    place = _places(pages)
    return {
        page.file: _templates(page.file, place)
        .get_template("report.html.j2")
        .render(
            report=page.report,
            page=page,
            css=Markup(css),  # noqa: S704 - our own file
            css_hash=css_hash,
            charts=charts,
        )
        for page in pages
    }


def render_comparison(comparison: Mapping[str, Any]) -> str:
    """The page of a comparison (`tasks.report.compare`). The same comparison gives the same bytes."""
    from tasks.report.charts import draw_pairs

    shown_as = harmless(comparison)
    templates = _templates(PAGE, {})
    templates.globals["figure_link"] = lambda figure: f"#e-{figure['evidence'][0][:_SHORT]}"
    css, css_hash = _css()
    figure = shown_as["chart"]
    sides = [side["name"] for side in shown_as["sides"]]
    drawn = draw_pairs({**figure, "sides": sides}, "us") if figure else ""
    return templates.get_template("compare.html.j2").render(
        comparison=shown_as,
        css=Markup(css),  # noqa: S704 - our own file
        css_hash=css_hash,
        drawn=Markup(drawn),  # noqa: S704 - drawn here, texts escaped
    )


def render_page(template: str, **shown: Any) -> str:
    """A page beside the reports, from its template and what it shows, in the style of all pages."""
    css, css_hash = _css()
    parts = {"css": Markup(css), "css_hash": css_hash, **shown}  # noqa: S704 - our own file
    return _templates(PAGE, {}).get_template(template).render(**parts)


def draw(report: Mapping[str, Any]) -> dict[str, str]:
    """Every chart of a report as SVG, by its figure's id."""
    from tasks.report.charts import draw_heat_map, draw_panels
    from tasks.report.vega import draw_volumes
    from tasks.report.volume_charts import draw_figure

    panels = [*report["by_component"], *report["behaviour"]]
    drawn = {panel["series"]["figure"]: svg for panel, svg in zip(panels, draw_panels(panels), strict=True)}
    drawn[report["heat_map"]["figure"]] = draw_heat_map(report["heat_map"])
    drawn |= {phase["kinds"]["figure"]: draw_volumes(phase["kinds"]) for phase in report["volumes"]["phases"]}
    return drawn | {
        each["chart"]["figure"]: draw_figure(each["name"], each["chart"]["columns"], each["chart"]["rows"])
        for each in report["volumes"]["model"]["figures"]
    }


# --- pages ------------------------------------------------------------------------------------------------------------


def _pages(report: Mapping[str, Any]) -> Iterator[_Page]:
    recorded = ("testing-issues", "audit", "approvals")
    there = [(name, title) for name, title in CONTENTS if name not in recorded or name in report["recorded"]]
    contents = [(number, name, title) for number, (name, title) in enumerate(there, 1)]
    names = tuple(name for name, _ in there)
    if len(report["tests"]) <= MOST_TESTS:
        yield _Page(file=PAGE, title="", sections=names, contents=contents, report=report, parts=[])
        return
    chunks = [report["tests"][start : start + _PART] for start in range(0, len(report["tests"]), _PART)]
    files = [(f"report-tests-{number}.html", _chunk_title(chunk)) for number, chunk in enumerate(chunks, 1)]
    parts = [(PAGE, "Summary"), *((file, dict(CONTENTS)[name]) for name, file in _APART.items()), *files]
    common: dict[str, Any] = {"contents": contents, "parts": parts}
    summary = tuple(name for name in names if name not in (*_OF_TESTS, *_APART))
    yield _Page(file=PAGE, title="Summary", sections=summary, report=report, **common)
    for name, file in _APART.items():
        yield _Page(file=file, title=dict(CONTENTS)[name], sections=(name,), report=report, **common)
    for chunk, (file, title) in zip(chunks, files, strict=True):
        yield _Page(file=file, title=title, sections=_OF_TESTS, report=_only(report, chunk), **common)


def _chunk_title(chunk: Sequence[Mapping[str, Any]]) -> str:
    return f"Tests {chunk[0]['test']} to {chunk[-1]['test']}"


def _only(report: Mapping[str, Any], chunk: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The report with what is about these tests only."""
    ids = {test["test"] for test in chunk}
    components = {test["component"] for test in chunk}
    return {
        **report,
        "tests": chunk,
        "observations": [row for row in report["observations"] if row["test"] in ids],
        "behaviour": [panel for panel in report["behaviour"] if panel["test"] in ids],
        "by_component": [panel for panel in report["by_component"] if panel["component"] in components],
        "reliance": {
            **report["reliance"],
            "decisions": [each for each in report["reliance"]["decisions"] if each["test"] in ids],
        },
    }


def _places(pages: Sequence[_Page]) -> dict[str, str]:
    """The file that each anchor stands in: sections, tests, observations, reliance; `e` and `a` for their kinds."""
    found: dict[str, str] = {}
    for page in pages:
        for name in page.sections:
            found.setdefault(name, page.file)
        if "evidence" in page.sections:
            found["e"] = page.file
        if "assumptions" in page.sections:
            found["a"] = page.file
        if "tests" in page.sections:
            found |= {f"{kind}-{test['test']}": page.file for test in page.report["tests"] for kind in "tr"}
            found |= {f"o-{row['observation']}": page.file for row in page.report["observations"]}
    return found


# --- what templates call ----------------------------------------------------------------------------------------------


def _templates(file: str, place: Mapping[str, str]) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"short": lambda digest: digest[:_SHORT], "cell": _cell}
    at = _at(file, place)
    tables = count(1)
    environment.globals |= {
        "at": at,
        "next_table": lambda: next(tables),
        "evidence_link": lambda digest: at(f"e-{digest[:_SHORT]}"),
        "figure_link": figure_link,
    }
    return environment


def _at(file: str, place: Mapping[str, str]) -> Callable[[str], str]:
    """How a page links to an anchor: on itself, or on the part where that stands."""

    def at(anchor: str) -> str:
        there = place.get(anchor) or place.get(anchor[0], file)
        return f"#{anchor}" if there == file else f"{there}#{anchor}"

    return at


def figure_link(figure: Mapping[str, Any]) -> str:
    """Where a figure leads to: its lineage, on the page beside this one. The one place that knows."""
    return f"lineage.html#figure={quote(figure['figure'], safe='/')}"


def _css() -> tuple[str, str]:
    """The style sheet with its fonts and the looks of charts, whose colours are the page's variables; its hash."""
    from tasks.report.charts import FONT, FONTS
    from tasks.report.svg import COLOURS, style

    faces = "".join(
        f'@font-face{{font-family:"{FONT}";font-weight:{weight};src:url(data:font/ttf;base64,{_encoded(FONTS / file)})'
        'format("truetype")}\n'
        for weight, file in ((400, "PlimsollSans-Regular.ttf"), (700, "PlimsollSans-Bold.ttf"))
    )
    light, dark = ("".join(f"--c-{name}:{each[place]};" for name, each in COLOURS.items()) for place in (0, 1))
    variables = f":root{{{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
    looks = style(".chart", lambda name: f"var(--c-{name})")
    css = faces + (_HERE / "templates" / "report.css").read_text(encoding="utf-8") + variables + looks + "\n"
    return css, f"sha256-{csp_hash(css)}"


_SIDES = ("a", "a_low", "a_high", "b", "b_low", "b_high")


def _cell(value: Any, column: str) -> str:
    """A value of a chart's table as a reader sees it."""
    if value is None:
        return "none"
    if column in ("at_us", "p50", "p95", *_SIDES) or column.startswith("test:"):
        return show(value, "us")
    if column == "memory_bytes":
        return show(value, "bytes")
    if column == "rank_ppm":
        return show(value, "ppm")
    if column == "multiple_ppm":
        return show(Decimal(value) / 1_000_000, "times")
    return f"{value:,}" if isinstance(value, int) else str(value)


def _encoded(font: Path) -> str:
    return base64.b64encode(font.read_bytes()).decode("ascii")
