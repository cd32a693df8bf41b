"""Draws the figures of a volume model: rows in (`tasks.volumes.figures`), static SVG out; the same bytes each time.

Every axis says what it shows and in which unit. Importing this takes a second: import it only where figures are drawn.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from tasks.report.charts import FONT, FONTS
from tasks.report.vega import Rows, data, svg
from tasks.volumes.figures import TORNADO, FigureTable

_INK, _MUTED = "#1b2733", "#4a5866"
_STRONG, _WEAK, _LIMIT = "#0b5c8f", "#c77700", "#b3261e"
_LINES = (
    "#0b5c8f", "#c77700", "#2f7d4f", "#7a4fa3", "#b3261e", "#4a5866",
    "#00808a", "#b0578d", "#8fb8d6", "#e2b36b", "#8fc3a3", "#bda6d6",
)  # fmt: skip
_SCOPES = {"tested": "#cfe3f1", "not tested": "#f3e3cb", "outside": "#eceff2"}


def draw_figure(name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """The figure of that name (see `tasks.volumes.figures`). Raises KeyError when there is none such."""
    shown = [dict(zip(columns, row, strict=True)) for row in rows]
    return _DRAWN[TORNADO if name.startswith(TORNADO) else name](shown)


def standalone(figure: FigureTable) -> str:
    """The figure as an SVG file of its own, with its title, its description and the font that it is set in."""
    drawn = draw_figure(figure.name, figure.columns, figure.rows)
    font = base64.b64encode((FONTS / "PlimsollSans-Regular.ttf").read_bytes()).decode("ascii")
    face = f"@font-face{{font-family:'{FONT}';src:url(data:font/ttf;base64,{font})}}"
    head, rest = drawn.split(">", 1)
    return f"{head}><title>{_text(figure.title)}</title><desc>{_text(figure.alt)}</desc><style>{face}</style>{rest}"


def _text(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _draw_migration(rows: Rows) -> str:
    """Installations begun a day over the phase, by cohort, under the number that can be migrated."""
    cohorts = sorted({row["cohort"] for row in rows})
    areas = (
        alt.Chart(data(rows))
        .mark_area(line={"strokeWidth": 1}, fillOpacity=0.75)
        .encode(
            x=alt.X("day:T", title="day", axis=alt.Axis(format="%b %Y", labelOverlap=True)),
            y=alt.Y("begun:Q", title="installations begun a day", stack="zero", axis=alt.Axis(format=",d")),
            color=_named("cohort", cohorts),
        )
    )
    cap = rows[0]["cap"]
    first, last = min(row["day"] for row in rows), max(row["day"] for row in rows)
    ends = [{"day": first, "cap": cap, "label": f"at most {cap:,} a day"}, {"day": last, "cap": cap, "label": ""}]
    limit = alt.Chart(data(ends)).encode(x="day:T", y="cap:Q")
    layers = [
        areas,
        limit.mark_line(color=_LIMIT, strokeDash=[5, 3], strokeWidth=1.4),
        limit.mark_text(align="left", baseline="top", dx=4, dy=5, color=_LIMIT, fontSize=11).encode(text="label:N"),
    ]
    return svg(alt.layer(*layers), width=600, height=180)


def _draw_hours(rows: Rows) -> str:
    """Messages a second in each hour of the day, a panel for each component, the window's average as a line."""
    panels = []
    for name in dict.fromkeys(row["component"] for row in rows):
        own = [
            {"hour": row["hour"], "until": row["hour"] + 1, "rate": float(row["per_second"]), "zero": 0}
            for row in rows
            if row["component"] == name
        ]
        known = next(row for row in rows if row["component"] == name)
        line = {
            "begins": float(known["window_begins"]),
            "ends": float(known["window_ends"]),
            "average": float(known["average"]),
        }
        panels.append(_hours_of(name, own, line))
    return svg(alt.concat(*panels, columns=3))


def _hours_of(name: str, rows: Rows, line: Mapping[str, float]) -> Any:
    hours = alt.Axis(values=[0, 4, 8, 12, 16, 20, 24])
    bars = (
        alt.Chart(data(rows))
        .mark_bar(color=_STRONG, stroke="white", strokeWidth=1)
        .encode(
            x=alt.X("hour:Q", title="hour of the day (UTC)", scale=alt.Scale(domain=[0, 24]), axis=hours),
            x2="until:Q",
            y=alt.Y("rate:Q", title="messages a second", axis=alt.Axis(format="~s", tickCount=4)),
            y2="zero:Q",
        )
    )
    mean = (
        alt.Chart(data([dict(line)]))
        .mark_rule(color=_LIMIT, strokeDash=[5, 3], strokeWidth=1.6)
        .encode(x="begins:Q", x2="ends:Q", y="average:Q")
    )
    return alt.layer(bars, mean).properties(width=185, height=90, title=alt.Title(name, fontSize=12, color=_INK))


def _draw_tornado(rows: Rows) -> str:
    """The widest swings of one component's peak as bars around it."""
    order = [row["assumption"] for row in rows]
    ends = [
        {"assumption": row["assumption"], "end": end, "value": row[key], "peak": row["peak"]}
        for row in rows
        for key, end in (("at_low", "at the low end"), ("at_high", "at the high end"))
    ]
    axis = alt.Axis(labelExpr="format(datum.value, '~s')", tickCount=6)
    bars = (
        alt.Chart(data(ends))
        .mark_bar(height=13)
        .encode(
            y=alt.Y("assumption:N", sort=order, title=None, axis=alt.Axis(labelLimit=240)),
            x=alt.X("value:Q", title="messages offered in the peak window", scale=alt.Scale(zero=False), axis=axis),
            x2="peak:Q",
            color=alt.Color(
                "end:N",
                title=None,
                legend=alt.Legend(orient="top", offset=4),
                scale=alt.Scale(domain=["at the low end", "at the high end"], range=[_WEAK, _STRONG]),
            ),
        )
    )
    middle = alt.Chart(data([{"peak": rows[0]["peak"]}])).mark_rule(color=_INK, strokeWidth=1.5).encode(x="peak:Q")
    return svg(alt.layer(bars, middle), width=380, height=20 * len(order))


def _draw_paths(rows: Rows) -> str:
    """The message paths: each a row of steps in the order that messages pass them, with what each is offered."""
    order = list(dict.fromkeys(row["path"] for row in rows))
    longest = max(row["place"] for row in rows)
    boxes = [
        {**row, "left": row["place"] - 0.41, "right": row["place"] + 0.41, "rate": _per_second(row["per_second"])}
        for row in rows
    ]
    arrows = [{"path": row["path"], "between": row["place"] - 0.5} for row in rows if row["place"] > 1]
    axis = alt.Axis(labelLimit=200, domain=False, ticks=False)
    y = alt.Y("path:N", sort=order, title=None, scale=alt.Scale(paddingInner=0.25, paddingOuter=0.1), axis=axis)
    base = alt.Chart(data(boxes)).encode(y=y)
    rectangles = base.mark_rect(stroke=_MUTED, strokeWidth=0.8, cornerRadius=3).encode(
        x=alt.X("left:Q", scale=alt.Scale(domain=[0.5, longest + 0.5]), axis=None),
        x2="right:Q",
        color=alt.Color(
            "scope:N",
            title=None,
            legend=alt.Legend(orient="top", offset=4),
            scale=alt.Scale(domain=list(_SCOPES), range=list(_SCOPES.values())),
        ),
    )
    names = base.mark_text(fontSize=11, dy=-6, color=_INK).encode(x="place:Q", text="step:N")
    rates = base.mark_text(fontSize=10, dy=7, color=_MUTED).encode(x="place:Q", text="rate:N")
    signs = alt.Chart(data(arrows)).mark_text(text="→", fontSize=13, color=_MUTED).encode(y=y, x="between:Q")
    return svg(alt.layer(rectangles, names, rates, signs), width=112 * longest, height=44 * len(order))


def _per_second(rate: str) -> str:
    return f"{float(rate):,.1f} a second" if rate else ""


def _draw_components(rows: Rows) -> str:
    """What each component is offered in the window, by message path."""
    order = list(dict.fromkeys(row["component"] for row in rows))
    paths = list(dict.fromkeys(row["path"] for row in rows))
    chart = (
        alt.Chart(data([{**row, "rate": float(row["per_second"])} for row in rows]))
        .mark_bar(stroke="white", strokeWidth=1)
        .encode(
            y=alt.Y("component:N", sort=order, title=None),
            x=alt.X(
                "rate:Q",
                title="requests and alerts a second, average of the window",
                axis=alt.Axis(labelExpr="format(datum.value, '~s')", tickCount=8),
            ),
            color=_named("path", paths),
        )
    )
    return svg(chart, width=520, height=26 * len(order))


def _named(field: str, names: list[str]) -> Any:
    """A colour for each name, in order."""
    colours = [_LINES[place % len(_LINES)] for place in range(len(names))]
    legend = alt.Legend(orient="top", title=None, offset=4, columns=4)
    return alt.Color(f"{field}:N", scale=alt.Scale(domain=names, range=colours), legend=legend)


_DRAWN = {
    "migration": _draw_migration,
    "hours": _draw_hours,
    "paths": _draw_paths,
    "components": _draw_components,
    TORNADO: _draw_tornado,
}
