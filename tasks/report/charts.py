"""The report's charts: a panel of data in, static SVG out; the same bytes each time.

Drawn without a browser and without the network, in a font that is shipped, so that no machine's fonts move a label.
What a chart shows is in its figure's `columns` and `rows`, which the page lists beneath it. Importing this takes a
second: import it only where charts are drawn.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, assert_never, cast

import altair as alt
import vl_convert

FONT = "Plimsoll Sans"
FONTS = Path(__file__).with_name("fonts")

_INK, _MUTED, _GRID = "#1b2733", "#4a5866", "#dfe5ea"
_STRONG, _WEAK, _OTHER, _LIMIT = "#0b5c8f", "#4f93bd", "#c77700", "#b3261e"
_KINDS = {"request": "#0b5c8f", "response": "#4f93bd", "acknowledgement": "#8a97a3", "alert": "#c77700"}
_PANEL = {"width": 300, "height": 130}
_TIMES = ((7_200_000_000, 3_600_000_000, "h"), (300_000_000, 60_000_000, "min"), (0, 1_000_000, "s"))
_LOG_LABEL = "datum.value >= 1000 ? datum.value / 1000 + ' s' : datum.value + ' ms'"

Rows = list[dict[str, Any]]


def draw_panels(panels: Sequence[Mapping[str, Any]]) -> list[str]:
    """One SVG per behaviour panel of a report; latencies share one scale, so that panels can be compared."""
    top, bottom = _latency_ends(panels)
    return [_draw(panel, (bottom, top)) for panel in panels]


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


def _draw(panel: Mapping[str, Any], latency: tuple[float, float]) -> str:
    match panel["panel"]:
        case "latency":
            return _latency(panel, latency)
        case "steps":
            return _steps(panel, latency)
        case "turns":
            return _turns(panel)
        case "standing":
            return _counted(panel, "standing", "messages due, not answered")
        case "answered":
            return _counted(panel, "answered", "messages answered a stretch")
        case "outcomes":
            return _outcomes(panel)
        case "memory":
            return _resource(panel, "memory_bytes", lambda value: value / 1024**2, "resident memory (MiB)")
        case "cpu":
            return _resource(panel, "cpu_permille", lambda value: value / 10, "CPU (% of one core)")
        case other:
            assert_never(cast("Any", other))


def _latency(panel: Mapping[str, Any], ends: tuple[float, float]) -> str:
    rows, x = _timed(panel)
    lines = [
        {"t": row["t"], "ms": row[column] / 1000, "line": name}
        for column, name in (("p50", "median"), ("p95", "95th percentile"))
        for row in rows
        if row[column] is not None
    ]
    failed = [{"t": row["t"], "ms": ends[1]} for row in rows if row["failed"]]
    names = ("median", "95th percentile")
    base = alt.Chart(data(lines)).encode(
        x=x, y=_log("latency from intended time", ends), color=_colour("line", names), strokeDash=_dash("line", names)
    )
    layers = [
        base.mark_line(strokeWidth=1.6),
        *_limit_line(panel, 1 / 1000),
        alt.Chart(data(failed))
        .mark_point(shape="triangle-down", color=_LIMIT, filled=True, size=36)
        .encode(x=x, y="ms:Q"),
    ]
    return svg(alt.layer(*layers), **_PANEL)


def _steps(panel: Mapping[str, Any], ends: tuple[float, float]) -> str:
    rows = [
        {
            "multiple": row["multiple_ppm"] / 1_000_000,
            "ms": ends[1] if row["p95"] is None else row["p95"] / 1000,
            "carried": row["carried"],
        }
        for row in _rows(panel["series"])
    ]
    states = ["carried", "not carried", "not told"]
    x = alt.X("multiple:O", title="load offered, as a multiple of the target", axis=alt.Axis(labelAngle=0))
    y = _log("95th percentile of latency", ends)
    base = alt.Chart(data(rows)).encode(x=x, y=y)
    points = base.mark_point(size=90, strokeWidth=2, filled=False).encode(
        shape=alt.Shape(
            "carried:N", scale=alt.Scale(domain=states, range=["circle", "cross", "square"]), legend=_legend()
        ),
        color=alt.Color("carried:N", scale=alt.Scale(domain=states, range=[_STRONG, _LIMIT, _MUTED]), legend=_legend()),
    )
    return svg(alt.layer(base.mark_line(color=_WEAK), *_limit_line(panel, 1 / 1000), points), **_PANEL)


def _turns(panel: Mapping[str, Any]) -> str:
    """Each run's median and 95th percentile, side by side in the order in which they were taken."""
    names = ("baseline", "today")
    rows = [
        {"run": number, "ms": (row["p50"] or 0) / 1000, "side": names[row["part"] == "candidate"]}
        for number, row in enumerate(_rows(panel["series"]), 1)
        if row["p50"] is not None
    ]
    middles = [row["p50"] / 1000 for row in _rows(panel["series"]) if row["p50"] is not None] or [1.0]
    lowest, highest = min(middles), max(middles)
    y = alt.Y("ms:Q", title="median latency (ms)", scale=alt.Scale(domain=[lowest * 0.9, highest * 1.1], nice=True))
    shape = alt.Shape("side:N", scale=alt.Scale(domain=list(names), range=["circle", "square"]), legend=_legend())
    points = (
        alt.Chart(data(rows))
        .mark_point(size=70, strokeWidth=2, filled=False)
        .encode(
            x=alt.X("run:O", title="run, in the order taken", axis=alt.Axis(labelAngle=0)),
            y=y,
            shape=shape,
            color=_colour("side", names),
        )
    )
    return svg(points, **_PANEL)


def _counted(panel: Mapping[str, Any], column: str, title: str) -> str:
    rows, x = _timed(panel)
    points = [{"t": row["t"], "value": row[column]} for row in rows]
    area = (
        alt.Chart(data(points))
        .mark_area(line={"color": _STRONG}, color=_WEAK, opacity=0.35, interpolate="step-after")
        .encode(x=x, y=alt.Y("value:Q", title=title))
    )
    return svg(area, **_PANEL)


def _outcomes(panel: Mapping[str, Any]) -> str:
    """Bars of how messages of each traffic ended, as shares: a right message should be ok, an invalid one an error."""
    rows = _rows(panel["series"])
    order = list(dict.fromkeys(row["traffic"] for row in rows))
    states = ["as expected", "not as expected"]
    bars = [
        {"traffic": row["traffic"], "count": row["count"], "ended": states[row["outcome"] != row["expect"]]}
        for row in rows
    ]
    chart = (
        alt.Chart(data(bars))
        .mark_bar(stroke="white", strokeWidth=1)
        .encode(
            y=alt.Y("traffic:N", sort=order, title=None),
            x=alt.X("sum(count):Q", stack="normalize", title="share of messages", axis=alt.Axis(format="%")),
            color=alt.Color(
                "ended:N", scale=alt.Scale(domain=states, range=[_STRONG, _LIMIT]), legend=_legend(), sort=states
            ),
        )
    )
    return svg(chart, width=_PANEL["width"] - 60, height=max(60, 22 * len(order)))


def _resource(panel: Mapping[str, Any], column: str, scaled: Callable[[float], float], title: str) -> str:
    rows, x = _timed(panel)
    points = [{"t": row["t"], "value": scaled(row[column])} for row in rows]
    largest = max(point["value"] for point in points)
    limit = panel["limit"] and scaled(panel["limit"]["value"] / (1 if column == "memory_bytes" else 1000))
    within = limit is not None and limit <= 2.5 * largest
    y = alt.Y("value:Q", title=title, scale=alt.Scale(domain=[0, 1.1 * max(largest, limit if within else 0)]))
    line = alt.Chart(data(points)).mark_area(line={"color": _STRONG}, color=_WEAK, opacity=0.35).encode(x=x, y=y)
    rule = _rule(limit, f"limit {panel['limit']['text']}") if within else []
    return svg(alt.layer(line, *rule), **_PANEL)


# --- parts of charts --------------------------------------------------------------------------------------------------


def _latency_ends(panels: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Largest and smallest latency of all panels, limits included, as milliseconds with room around them."""
    values = [
        row[column]
        for panel in panels
        if panel["panel"] in ("latency", "steps")
        for row in _rows(panel["series"])
        for column in ("p50", "p95")
        if row[column]
    ]
    limits = [panel["limit"]["value"] for panel in panels if panel["panel"] in ("latency", "steps") and panel["limit"]]
    known = [*values, *limits] or [1_000, 1_000_000]
    return max(known) / 1000 * 1.6, min(known) / 1000 / 1.6


def _timed(panel: Mapping[str, Any]) -> tuple[Rows, Any]:
    """The rows with `t` in the unit that suits their length, and the axis that says so."""
    rows = _rows(panel["series"])
    length = rows[-1]["at_us"]
    size, unit = next((size, unit) for least, size, unit in _TIMES if length >= least)
    timed = [{**row, "t": row["at_us"] / size} for row in rows]
    return timed, alt.X("t:Q", title=f"time from the start of the run ({unit})", axis=alt.Axis(tickCount=6))


def _log(title: str, ends: tuple[float, float]) -> Any:
    axis = alt.Axis(labelExpr=_LOG_LABEL, values=[1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000])
    return alt.Y("ms:Q", title=title, scale=alt.Scale(type="log", domain=list(ends), nice=False), axis=axis)


def _colour(field: str, names: tuple[str, str]) -> Any:
    return alt.Color(f"{field}:N", scale=alt.Scale(domain=list(names), range=[_STRONG, _OTHER]), legend=_legend())


def _dash(field: str, names: tuple[str, str]) -> Any:
    """The second line is dotted too, so that nothing rests on colour alone; dashes are the limit's."""
    scale = alt.Scale(domain=list(names), range=[[1, 0], [2, 2]])
    return alt.StrokeDash(f"{field}:N", scale=scale, legend=_legend())


def _legend() -> Any:
    return alt.Legend(orient="top", title=None, offset=4)


def _limit_line(panel: Mapping[str, Any], factor: float) -> list[Any]:
    limit = panel["limit"]
    return _rule(limit["value"] * factor, f"limit {limit['text']}", "ms") if limit else []


def _rule(value: float, label: str, field: str = "value") -> list[Any]:
    base = alt.Chart(data([{field: value, "label": label}])).encode(y=f"{field}:Q")
    text = base.mark_text(align="left", baseline="bottom", dx=3, dy=-3, color=_LIMIT, fontSize=11)
    return [
        base.mark_rule(color=_LIMIT, strokeDash=[5, 3], strokeWidth=1.4),
        text.encode(text="label:N", x=alt.value(0)),
    ]


def _rows(figure: Mapping[str, Any]) -> Rows:
    return [dict(zip(figure["columns"], row, strict=True)) for row in figure["rows"]]


def data(rows: Rows) -> Any:
    """Rows as a chart takes them."""
    return alt.Data(values=rows)  # type: ignore[no-untyped-call]  # untyped in the package


def svg(chart: Any, *, width: int = 0, height: int = 0) -> str:
    """The chart as SVG, of a size in pixels that its panels have themselves where none is given."""
    sized = chart.properties(width=width, height=height) if width else chart
    specification = sized.configure(**_config()).to_dict(validate=False)  # checking it would double the time
    return _converter()(specification, allowed_base_urls=[])


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
