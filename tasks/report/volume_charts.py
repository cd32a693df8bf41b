"""Draws the figures of a volume model: rows in (`tasks.volumes.figures`), static SVG out; the same bytes each time.

Every axis says what it shows and in which unit. What a stack is made of stands as a number on each part that has room
for it, and in the legend: colours alone tell nothing.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from markupsafe import escape

from tasks.report.svg import FONT, FONTS, GROUNDS, LINES, Canvas, Scale, in_itself, legend
from tasks.volumes.figures import TORNADO, FigureTable

Rows = list[dict[str, Any]]

_LETTER = 6.3  # a letter's width at 11 px, on the average


def draw_figure(name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """The figure of that name (see `tasks.volumes.figures`). Raises KeyError when there is none such."""
    shown = [dict(zip(columns, row, strict=True)) for row in rows]
    return _DRAWN[TORNADO if name.startswith(TORNADO) else name](shown)


def standalone(figure: FigureTable) -> str:
    """The figure as an SVG file of its own, with its title, its description and the font that it is set in."""
    drawn = in_itself(draw_figure(figure.name, figure.columns, figure.rows))
    font = base64.b64encode((FONTS / "PlimsollSans-Regular.ttf").read_bytes()).decode("ascii")
    face = f"@font-face{{font-family:'{FONT}';src:url(data:font/ttf;base64,{font})}}"
    head, rest = drawn.split(">", 1)
    return f"{head}><title>{escape(figure.title)}</title><desc>{escape(figure.alt)}</desc><style>{face}</style>{rest}"


def draw_volumes(figure: Mapping[str, Any]) -> str:
    """Messages in the peak window as bars, one per component, cut by kind of message."""
    rows = [dict(zip(figure["columns"], row, strict=True)) for row in figure["rows"]]
    order = [kind for kind in _KINDS if any(row["kind"] == kind for row in rows)]
    parts = [(row["component"], row["kind"], float(row["messages"])) for row in rows]
    return _stacks(parts, order, "messages in the peak window")


_KINDS = ("request", "response", "acknowledgement", "alert")


def _draw_components(rows: Rows) -> str:
    """What each component is offered in the window, by message path."""
    order = list(dict.fromkeys(row["path"] for row in rows))
    parts = [(row["component"], row["path"], float(row["per_second"])) for row in rows]
    return _stacks(parts, order, "requests and alerts a second, average of the window")


def _stacks(parts: Sequence[tuple[str, str, float]], order: Sequence[str], title: str) -> str:
    """Bars of parts, in `order`: each (bar, part, value) with its number where there is room, as the legend has it."""
    bars = list(dict.fromkeys(bar for bar, _, _ in parts))
    left = 14 + _LETTER * min(30, max(map(len, bars), default=1))
    canvas = Canvas(left + 500)
    number = {name: place for place, name in enumerate(order, 1)}
    top = _numbered(canvas, order, left, 480) + 14
    whole = {bar: sum(value for each, _, value in parts if each == bar) for bar in bars}
    x = Scale(low=0, high=max([*whole.values(), 1.0]), start=left, end=left + 430)
    for place, bar in enumerate(bars):
        y, at = top + 26 * place, 0.0
        canvas.text(left - 7, y + 14, _cut(bar, 30), "n", "end")
        known = {part: value for each, part, value in parts if each == bar}
        signs = []
        for part in (name for name in order if known.get(name)):
            start, end = x(at), x(at + known[part])
            canvas.rect(start, y, end - start, 20, GROUNDS[(number[part] - 1) % len(GROUNDS)])
            if end - start >= 7 + 6 * len(str(number[part])):
                signs.append(((start + end) / 2, str(number[part])))
            at += known[part]
        for middle, sign in signs:
            canvas.text(middle, y + 14, sign, "n", "middle")
        canvas.text(x(at) + 6, y + 14, _short(whole[bar]))
    _axis(canvas, x, top + 26 * len(bars), title)
    return canvas.svg(top + 26 * len(bars) + 38)


def _numbered(canvas: Canvas, names: Sequence[str], left: float, width: float) -> float:
    """The legend of a stack: a ground with its number for each name; where its last row stands."""
    at, y = left, 4.0
    for place, name in enumerate(names, 1):
        needed = 32 + _LETTER * len(name)
        if at > left and at + needed > left + width:
            at, y = left, y + 19
        canvas.rect(at, y, 17, 14, GROUNDS[(place - 1) % len(GROUNDS)])
        canvas.text(at + 8.5, y + 11, str(place), "n", "middle")
        canvas.text(at + 22, y + 11, name, "n")
        at += needed
    return y + 14


def _draw_migration(rows: Rows) -> str:
    """Installations begun a day over the phase, a line for each cohort, under the number that can be migrated."""
    cohorts = sorted({row["cohort"] for row in rows})
    days = sorted({date.fromisoformat(str(row["day"])[:10]) for row in rows})
    first, last, cap = days[0].toordinal(), days[-1].toordinal(), rows[0]["cap"]
    canvas = Canvas(640)
    looks = {name: LINES[place % len(LINES)] for place, name in enumerate(cohorts)}
    top = legend(canvas, {**looks, f"at most {cap:,} a day": "l"}, 62, 12, width=570) + 14
    y = Scale(low=0, high=1.1 * max(cap, *(row["begun"] for row in rows)) or 1, start=top + 150, end=top)
    x = Scale(low=first, high=max(last, first + 1), start=62, end=626)
    for tick in y.ticks(5):
        canvas.rule((x.start, y(tick)), (x.end, y(tick)), "g")
    for tick in y.ticks(5):
        canvas.text(56, y(tick) + 4, f"{tick:,.10g}", "t", "end")
    if cap:
        canvas.rule((x.start, y(cap)), (x.end, y(cap)), "l")
    for name, look in looks.items():
        own = [row for row in rows if row["cohort"] == name]
        canvas.line([(x(date.fromisoformat(str(row["day"])[:10]).toordinal()), y(row["begun"])) for row in own], look)
    canvas.rule((x.start, y.start), (x.end, y.start), "ax")
    for day in _months(days[0], days[-1]):
        canvas.text(x(day.toordinal()), y.start + 15, f"{day:%b %Y}", "t", "middle")
    canvas.text((x.start + x.end) / 2, y.start + 31, "installations begun a day, by day", "n", "middle")
    return canvas.svg(y.start + 38)


def _months(first: date, last: date) -> list[date]:
    """The first days of months from one day to another, at most about eight of them, evenly spaced."""
    count = (last.year - first.year) * 12 + last.month - first.month + 1
    found = [date(first.year + (first.month - 1 + each) // 12, (first.month - 1 + each) % 12 + 1, 1)
             for each in range(count)]  # fmt: skip
    return [day for day in found if day >= first][:: max(1, -(-count // 8))]


def _draw_hours(rows: Rows) -> str:
    """Messages a second in each hour of the day, a panel for each component, the window's average as a line."""
    names = list(dict.fromkeys(row["component"] for row in rows))
    canvas = Canvas(720)
    canvas.rect(44, 3, 10, 10, "fs")
    canvas.text(59, 12, "in the hour", "n")
    canvas.rule((150, 8), (170, 8), "l")
    canvas.text(175, 12, "average of the peak window", "n")
    for place, name in enumerate(names):
        own = [row for row in rows if row["component"] == name]
        _hours_of(canvas, _cut(name, 30), own, 240 * (place % 3), 22 + 150 * (place // 3))
    return canvas.svg(22 + 150 * -(-len(names) // 3))


def _hours_of(canvas: Canvas, name: str, rows: Rows, left: float, top: float) -> None:
    known, rates = rows[0], [float(row["per_second"]) for row in rows]
    average = float(known["average"])
    x = Scale(low=0, high=24, start=left + 44, end=left + 232)
    y = Scale(low=0, high=1.08 * max(*rates, average, 1e-9), start=top + 108, end=top + 22)
    canvas.text(x.start, top + 12, name, "n")
    ticks = y.ticks(3)
    for tick in ticks:
        canvas.rule((x.start, y(tick)), (x.end, y(tick)), "g")
    for tick in ticks:
        canvas.text(x.start - 5, y(tick) + 4, _short(tick), "t", "end")
    for row, rate in zip(rows, rates, strict=True):
        if rate:
            canvas.rect(x(row["hour"]) + 0.5, y(rate), x(1) - x(0) - 1, y.start - y(rate), "fs")
    canvas.rule((x(float(known["window_begins"])), y(average)), (x(float(known["window_ends"])), y(average)), "l")
    canvas.rule((x.start, y.start), (x.end, y.start), "ax")
    for hour in range(0, 25, 4):
        canvas.text(x(hour), y.start + 14, str(hour), "t", "middle")
    canvas.text((x.start + x.end) / 2, y.start + 28, "messages a second, by hour (UTC)", "t", "middle")


def _draw_tornado(rows: Rows) -> str:
    """The widest swings of one component's peak as bars around it."""
    left = 14 + _LETTER * min(38, max(len(row["assumption"]) for row in rows))
    canvas = Canvas(left + 400)
    ends = [row[end] for row in rows for end in ("at_low", "at_high", "peak")]
    room = 0.04 * (max(ends) - min(ends)) or 1
    x = Scale(low=max(0, min(ends) - room), high=max(ends) + room, start=left, end=left + 380)
    canvas.rect(left, 3, 10, 10, "s")
    canvas.text(left + 15, 12, "at the low end of its range", "n")
    canvas.rect(left + 190, 3, 10, 10, "fs")
    canvas.text(left + 205, 12, "at the high end", "n")
    middle = x(rows[0]["peak"])
    for place, row in enumerate(rows):
        top = 24 + 22 * place
        canvas.text(left - 7, top + 12, _cut(row["assumption"], 38), "n", "end")
        for end, look in (("at_low", "s"), ("at_high", "fs")):
            canvas.rect(min(middle, x(row[end])), top, abs(x(row[end]) - middle), 15, look)
    bottom = 26 + 22 * len(rows)
    canvas.rule((middle, 20), (middle, bottom), "ax")
    _axis(canvas, x, bottom, "messages offered in the peak window")
    return canvas.svg(bottom + 38)


def _draw_paths(rows: Rows) -> str:
    """The message paths: each a row of steps in the order that messages pass them, with what each is offered."""
    order = list(dict.fromkeys(row["path"] for row in rows))
    longest = max(row["place"] for row in rows)
    left = 14 + _LETTER * min(32, max(map(len, order)))
    wide = max(104.0, 16 + _LETTER * min(22, max(len(row["step"]) for row in rows)))
    canvas = Canvas(left + (wide + 22) * longest)
    at = left
    for name, look in _SCOPES.items():
        canvas.rect(at, 3, 14, 10, look)
        canvas.text(at + 19, 12, name, "n")
        at += 40 + _LETTER * len(name)
    for place, path in enumerate(order):
        top = 26 + 44 * place
        own = [row for row in rows if row["path"] == path]
        canvas.text(left - 10, top + 21, _cut(path, 32), "n", "end")
        for row in own:
            canvas.rect(_box(left, wide, row["place"]), top, wide, 34, _SCOPES[row["scope"]])
        for row in own:
            canvas.text(_box(left, wide, row["place"]) + wide / 2, top + 15, _cut(row["step"], 22), "n", "middle")
        for row in own:
            if row["per_second"]:
                told = f"{float(row['per_second']):,.1f} a second"
                canvas.text(_box(left, wide, row["place"]) + wide / 2, top + 28, told, "t", "middle")
        for row in own[1:]:
            canvas.text(_box(left, wide, row["place"]) - 11, top + 21, "→", "t", "middle")
    return canvas.svg(26 + 44 * len(order))


_SCOPES = {"tested": "ka", "not tested": "kx", "outside": "kn"}


def _box(left: float, wide: float, place: int) -> float:
    return left + (wide + 22) * (place - 1)


def _axis(canvas: Canvas, x: Scale, y: float, title: str) -> None:
    canvas.rule((x.start, y), (x.end, y), "ax")
    ticks = x.ticks(6)
    for tick in ticks:
        canvas.rule((x(tick), y), (x(tick), y + 4), "ax")
    for tick in ticks:
        canvas.text(x(tick), y + 16, _short(tick), "t", "middle")
    canvas.text((x.start + x.end) / 2, y + 32, title, "n", "middle")


def _short(value: float) -> str:
    """A value on an axis, to three digits: 1.5 k, 20 M."""
    for size, sign in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{sign}"
    return f"{value:.3g}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


_DRAWN = {
    "migration": _draw_migration,
    "hours": _draw_hours,
    "paths": _draw_paths,
    "components": _draw_components,
    TORNADO: _draw_tornado,
}
