"""Renders the completion report as one self-contained page: it opens from disk, fetches nothing, needs no script."""

import base64
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tasks.report.figures import show

_HERE = Path(__file__).parent
_SHORT = 12


def render_report(report: Mapping[str, Any]) -> str:
    """The page of an assembled report (`tasks.report.assemble`), as HTML. The same report gives the same bytes."""
    from tasks.report.charts import FONTS, draw_panels, draw_volumes
    from tasks.report.volume_charts import draw_figure

    drawn = {
        panel["series"]["figure"]: svg
        for panel, svg in zip(report["behaviour"], draw_panels(report["behaviour"]), strict=True)
    }
    drawn |= {phase["kinds"]["figure"]: draw_volumes(phase["kinds"]) for phase in report["volumes"]["phases"]}
    drawn |= {
        each["chart"]["figure"]: draw_figure(each["name"], each["chart"]["columns"], each["chart"]["rows"])
        for each in report["volumes"]["model"]["figures"]
    }
    return (
        _templates()
        .get_template("report.html.j2")
        .render(
            report=report,
            css=Markup((_HERE / "templates" / "report.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
            fonts={
                weight: _encoded(FONTS / f"PlimsollSans-{name}.ttf")
                for weight, name in ((400, "Regular"), (700, "Bold"))
            },
            charts={name: Markup(svg) for name, svg in drawn.items()},  # noqa: S704 - drawn here, its texts escaped by Vega
        )
    )


def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"short": lambda digest: digest[:_SHORT], "cell": _cell}
    return environment


def _cell(value: Any, column: str) -> str:
    """A value of a chart's table as a reader sees it."""
    if value is None:
        return "none"
    if column in ("at_us", "p50", "p95"):
        return show(value, "us")
    if column == "memory_bytes":
        return show(value, "bytes")
    if column == "multiple_ppm":
        return show(Decimal(value) / 1_000_000, "times")
    return f"{value:,}" if isinstance(value, int) else str(value)


def _encoded(font: Path) -> str:
    return base64.b64encode(font.read_bytes()).decode("ascii")
