"""Renders the completion report as pages that open from disk, fetch nothing and need no script.

One page, unless there are so many tests that nobody would scroll through it: then a summary,
and parts that it links to.
"""

import base64
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from catalog.inspection.page import csp_hash
from tasks.report.columns import columns_of
from tasks.report.plain_text import harmless

PAGE = "report.html"
_HERE = Path(__file__).parent
_SHORT = 12
MOST_TESTS = 64
"""A report of more tests comes in parts,"""

LARGEST = 2_000_000
"""and so does one whose page would be of more bytes."""

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
    ("earlier", "Beside earlier phases"),
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
    charts = {name: Markup(svg) for name, svg in draw(report).items()}  # noqa: S704 - drawn here, texts escaped
    if len(report["tests"]) <= MOST_TESTS:
        rendered = _rendered_pages(_whole(report), charts)
        if len(rendered[PAGE].encode()) <= LARGEST:
            return rendered
    return _rendered_pages(_parts(report), charts)


def _rendered_pages(pages: Iterable["_Page"], charts: Mapping[str, Markup]) -> dict[str, str]:
    pages = list(pages)
    place = _places(pages)
    short = {f"o-{row['observation']}": f"o{n}" for n, row in enumerate(pages[0].report["observations"], 1)}
    return {
        page.file: _rendered(
            _templates(page.file, place, short), "report.html.j2", report=page.report, page=page, charts=charts
        )
        for page in pages
    }


def render_comparison(comparison: Mapping[str, Any]) -> str:
    """The page of a comparison (`tasks.report.compare`). The same comparison gives the same bytes."""
    from tasks.report.charts import draw_pairs

    shown_as = harmless(comparison)
    templates = _templates(PAGE, {}, {})
    templates.globals["figure_link"] = lambda figure: f"#e-{figure['evidence'][0][:_SHORT]}"
    figure = shown_as["chart"]
    sides = [side["name"] for side in shown_as["sides"]]
    drawn = Markup(draw_pairs({**figure, "sides": sides}, "us") if figure else "")  # noqa: S704 - drawn here, texts escaped
    return _rendered(templates, "compare.html.j2", comparison=shown_as, drawn=drawn)


def render_page(template: str, **shown: Any) -> str:
    """A page beside the reports, from its template and what it shows, in the style of all pages."""
    return _rendered(_templates(PAGE, {}, {}), template, **shown)


def _rendered(templates: Environment, name: str, **shown: Any) -> str:
    """A page, with its style sheet, which also says what its figures rest on: so many rest on the same."""
    lists: dict[str, str] = {}

    def resting_on(figure: Mapping[str, Any]) -> str:
        told = " ".join(digest[:_SHORT] for digest in figure["evidence"][:_MOST_DIGESTS])
        return lists.setdefault(told + (" …" if len(figure["evidence"]) > _MOST_DIGESTS else ""), f"f{len(lists)}")

    templates.globals["resting_on"] = resting_on
    page = templates.get_template(name).render(css=_CSS, css_hash=_CSS_HASH, **shown)
    css = _css() + "".join(f'.{each}{{--e:"{told}"}}' for told, each in lists.items()) + "\n"
    return _lean(page).replace(_CSS_HASH, f"sha256-{csp_hash(css)}").replace(_CSS, css)


_CSS, _CSS_HASH = "\x00css", "\x00hash"
"""Where a page's style sheet and its hash come to stand: no text holds such characters (`tasks.report.plain_text`)."""

_MOST_DIGESTS = 4
_SVG = re.compile(r"(<svg .*?</svg>)", re.DOTALL)
_QUOTED = re.compile(r"""(?<= [a-z])([a-z-]*)="([^\s"'=<>`]+)"(?=[ >])""")
_ONE = re.compile(r'<(table|dl)( class="[^"]*")?>.*?</\1>', re.DOTALL)
_RESTING = re.compile(r'<a class="(f\d+)" ')
_OPTIONAL = re.compile(r"</(?:td|th|tr|dd|dt)>\n*|\n+(?=<(?:tr|td|th|div|p|/tbody|/table|details|h[234])[ >])")


def _lean(page: str) -> str:
    """The page without what HTML leaves to the reader: end tags, lines between blocks, quotes; a fifth of its bytes.

    Texts are escaped, so none of them holds a tag or a quote. Drawings are left as they are: they stand alone too.
    """
    page = _ONE.sub(_said_once, _OPTIONAL.sub("", page))
    return "".join(each if each.startswith("<svg ") else _QUOTED.sub(r"\1=\2", each) for each in _SVG.split(page))


def _said_once(found: re.Match[str]) -> str:
    """A table, or a list of figures, that says itself what most of its figures rest on: they inherit it."""
    whole = found[0]
    ((most, times),) = Counter(_RESTING.findall(whole)).most_common(1) or [("", 0)]
    if times < _OFTEN:
        return whole
    head = f"<{found[1]}{found[2] or ''}>"
    looks = f'{found[2][:-1]} {most}"' if found[2] else f' class="{most}"'
    body = whole[len(head) :].replace(f'<a class="{most}" ', "<a ")
    return f"<{found[1]}{looks}>{body}"


_OFTEN = 3


def draw(report: Mapping[str, Any]) -> dict[str, str]:
    """Every chart of a report as SVG, by its figure's id."""
    from tasks.report.charts import draw_heat_map, draw_pairs, draw_panels
    from tasks.report.volume_charts import draw_figure, draw_volumes

    panels = [*report["by_component"], *report["behaviour"]]
    drawn = {panel["series"]["figure"]: svg for panel, svg in zip(panels, draw_panels(panels), strict=True)}
    drawn[report["heat_map"]["figure"]] = draw_heat_map(report["heat_map"])
    for each in report["earlier"]:
        if each["chart"]:
            drawn[each["chart"]["figure"]] = draw_pairs({**each["chart"], "sides": each["sides"]}, "us")
    drawn |= {phase["kinds"]["figure"]: draw_volumes(phase["kinds"]) for phase in report["volumes"]["phases"]}
    return drawn | {
        each["chart"]["figure"]: draw_figure(each["name"], each["chart"]["columns"], each["chart"]["rows"])
        for each in report["volumes"]["model"]["figures"]
    }


# --- pages ------------------------------------------------------------------------------------------------------------


def _contents(report: Mapping[str, Any]) -> list[tuple[int, str, str]]:
    """The number, id and title of each section that the report has."""
    has = {**{name: name in report["recorded"] for name in ("testing-issues", "audit", "approvals")},
           "earlier": bool(report["earlier"])}  # fmt: skip
    there = [(name, title) for name, title in CONTENTS if has.get(name, True)]
    return [(number, name, title) for number, (name, title) in enumerate(there, 1)]


def _whole(report: Mapping[str, Any]) -> list[_Page]:
    contents = _contents(report)
    names = tuple(name for _, name, _ in contents)
    return [_Page(file=PAGE, title="", sections=names, contents=contents, report=report, parts=[])]


def _parts(report: Mapping[str, Any]) -> Iterator[_Page]:
    contents = _contents(report)
    names = tuple(name for _, name, _ in contents)
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


def _templates(file: str, place: Mapping[str, str], short: Mapping[str, str]) -> Environment:
    """What renders a file. `place`: the file that an anchor stands in. `short`: what long anchors are called."""
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"short": lambda digest: digest[:_SHORT], "whole_ends": _whole_ends}
    at = _at(file, place, short)
    tables = count(1)
    environment.globals |= {
        "at": at,
        "anchor": lambda name: short.get(name, name),
        "next_table": lambda: next(tables),
        "evidence_link": lambda digest: at(f"e-{digest[:_SHORT]}"),
        "figure_link": figure_link,
        "resting": _resting,
        "methods_of": _methods,
        "columns_of": columns_of,
        "rows_of": lambda columns: zip(*(each.texts for each in columns), strict=True),
    }
    return environment


def _at(file: str, place: Mapping[str, str], short: Mapping[str, str]) -> Callable[[str], str]:
    """How a page links to an anchor: on itself, or on the part where that stands."""

    def at(anchor: str) -> str:
        there = place.get(anchor) or place.get(anchor[0], file)
        name = short.get(anchor, anchor)
        return f"#{name}" if there == file else f"{there}#{name}"

    return at


def figure_link(figure: Mapping[str, Any]) -> str:
    """Where a figure leads to: its lineage, on the page beside this one. The one place that knows."""
    return f"lineage.html#{quote(figure['figure'], safe='/:')}"


def _whole_ends(interval: str) -> str:
    """An interval that a line may end in at its "to" only."""
    return " to ".join(end.replace(" ", "\u00a0") for end in interval.split(" to "))


def _methods(observations: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """How a test's observations were measured, each way once, with a letter that stands for it."""
    found = dict.fromkeys(each["measured"]["method"] for each in observations if "method" in each["measured"])
    return {method: _letter(place) for place, method in enumerate(found)}


def _letter(place: int) -> str:
    first, last = divmod(place, 26)
    return ("" if not first else _letter(first - 1)) + chr(ord("A") + last)


def _resting(phase: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the volumes of a phase rest on: each path once, with the components whose numbers rest on the same."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for each in phase["components"]:
        for path in each["paths"]:
            shared = {name: path[name] for name in ("path", "assumptions", "basis")}
            key = (path["path"], *path["assumptions"], "", *path["basis"])
            found.setdefault(key, {**shared, "components": []})["components"].append(each["component"])
    return sorted(found.values(), key=lambda each: str(each["path"]))


@cache
def _css() -> str:
    """The style sheet with its fonts and the looks of charts, whose colours are the page's variables."""
    from tasks.report.svg import COLOURS, FONT, FONTS, style

    faces = "".join(
        f'@font-face{{font-family:"{FONT}";font-weight:{weight};'
        f'src:url(data:font/woff2;base64,{_encoded(FONTS / file)})format("woff2")}}\n'
        for weight, file in ((400, "PlimsollSans-Regular.woff2"), (700, "PlimsollSans-Bold.woff2"))
    )
    light, dark = ("".join(f"--c-{name}:{each[place]};" for name, each in COLOURS.items()) for place in (0, 1))
    variables = f":root{{{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
    looks = style(".chart", lambda name: f"var(--c-{name})")
    return faces + (_HERE / "templates" / "report.css").read_text(encoding="utf-8") + variables + looks + "\n"


def _encoded(font: Path) -> str:
    return base64.b64encode(font.read_bytes()).decode("ascii")
