"""How figures of a volume model become static SVG: through Vega-Lite, without a browser; the same bytes each time.

Drawn without the network, in a font that is shipped, so that no machine's fonts move a label. Importing this takes a
second: import it only where such figures are drawn.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any, cast

import altair as alt
import vl_convert

from tasks.report.charts import FONT, FONTS

_INK, _MUTED, _GRID = "#1b2733", "#4a5866", "#dfe5ea"
_KINDS = {"request": "#0b5c8f", "response": "#4f93bd", "acknowledgement": "#8a97a3", "alert": "#c77700"}

Rows = list[dict[str, Any]]


def draw_volumes(figure: Mapping[str, Any]) -> str:
    """Messages in the peak window as bars, one per component, cut by kind of message."""
    rows = _rows(figure)
    order = list(dict.fromkeys(row["component"] for row in rows))
    kinds = [kind for kind in _KINDS if any(row["kind"] == kind for row in rows)]
    chart = (
        alt.Chart(data(rows))
        .mark_bar(stroke="white", strokeWidth=1)
        .encode(
            y=alt.Y("component:N", sort=order, title=None),
            x=alt.X(
                "messages:Q", title="messages in the peak window", axis=alt.Axis(labelExpr="format(datum.value, '~s')")
            ),
            color=alt.Color(
                "kind:N",
                sort=kinds,
                title=None,
                legend=alt.Legend(orient="top"),
                scale=alt.Scale(domain=kinds, range=[_KINDS[kind] for kind in kinds]),
            ),
            order=alt.Order("rank:Q"),
        )
        .transform_calculate(rank=f"indexof({kinds}, datum.kind)")
    )
    return svg(chart, width=560, height=26 * len(order))


def _rows(figure: Mapping[str, Any]) -> Rows:
    return [dict(zip(figure["columns"], row, strict=True)) for row in figure["rows"]]


def data(rows: Rows) -> Any:
    """Rows as a chart takes them."""
    return alt.Data(values=rows)  # type: ignore[no-untyped-call]  # untyped in the package


def svg(chart: Any, *, width: int = 0, height: int = 0) -> str:
    """The chart as SVG, of a size in pixels that its panels have themselves where none is given."""
    sized = chart.properties(width=width, height=height) if width else chart
    specification = sized.configure(**_config()).to_dict(validate=False)  # checking it would double the time
    return _drawn(json.dumps(specification))


@lru_cache(maxsize=32)
def _drawn(specification: str) -> str:
    return _lightened(_converter()(specification, allowed_base_urls=[]))


_UNREAD = re.compile(r' (?:class|role|aria-[a-z]+|pointer-events|stroke-miterlimit)="[^"]*"')
_LONG = re.compile(r"-?\d+\.\d{2,}")
_TAG = re.compile(r"<[^>]+>")


def _lightened(drawn: str) -> str:
    """The SVG without what no reader sees: half its size. A chart's name and numbers are the page's."""
    return _TAG.sub(lambda tag: _LONG.sub(lambda number: f"{float(number[0]):.1f}", _UNREAD.sub("", tag[0])), drawn)


def _config() -> dict[str, Any]:
    text = {"labelColor": _MUTED, "titleColor": _INK, "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": 400}
    return {
        "font": FONT,
        "aria": False,
        "background": "transparent",
        "axis": {**text, "gridColor": _GRID, "domainColor": _MUTED, "tickColor": _MUTED, "titlePadding": 6},
        "legend": {**text, "labelColor": _INK, "symbolStrokeWidth": 2},
        "view": {"stroke": None},
    }


@cache
def _converter() -> Callable[..., str]:
    vl_convert.register_font_directory(str(FONTS))
    return cast("Callable[..., str]", vl_convert.vegalite_to_svg)
