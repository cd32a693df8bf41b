"""The report's charts: a panel of data in, static SVG out; the same bytes each time.

What a chart shows is in its figure's `columns` and `rows`, which the page lists beneath it. Nothing rests on colour
alone: lines differ in dashes, points in shape, verdicts in their sign and word.
"""

from collections.abc import Mapping, Sequence
from math import log10
from typing import Any

from tasks.report.svg import LINES, Canvas, Scale, legend

_LEFT, _WIDTH, _RIGHT = 58, 440, 12
_TIMES = ((7_200_000_000, 3_600_000_000, "h"), (300_000_000, 60_000_000, "min"), (0, 1_000_000, "s"))
_SIZES = ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"), (1, "B"))

Rows = list[dict[str, Any]]
Panel = Mapping[str, Any]


def draw_panels(panels: Sequence[Panel]) -> list[str]:
    """One SVG per behaviour panel of a report; latencies share one scale, so that panels can be compared."""
    ends = latency_ends(panels)
    return [_DRAWN[panel["panel"]](panel, ends) for panel in panels]


def draw_heat_map(figure: Mapping[str, Any]) -> str:
    """Components by type of test: the worst verdict, and how many observations are proved of how many."""
    rows = _rows(figure)
    components = list(dict.fromkeys(row["component"] for row in rows))
    types = list(dict.fromkeys(row["type"] for row in rows))
    left, width, height = 8 + 6.4 * max(map(len, components), default=1), 96, 34
    canvas = Canvas(left + width * len(types))
    for column, kind in enumerate(types):
        canvas.text(left + width * (column + 0.5), 14, kind, "n", "middle")
    for row, name in enumerate(components):
        canvas.text(left - 8, 22 + height * (row + 0.5) + 4, _cut(name, 40), "n", "end")
    for each in rows:
        x, y = left + width * types.index(each["type"]), 22 + height * components.index(each["component"])
        ground, sign, text = _VERDICTS.get(each["verdict"], ("hn", "", "t"))
        canvas.rect(x + 1.5, y + 1.5, width - 3, height - 3, ground)
        if sign:
            canvas.mark(x + 17, y + height / 2, each["verdict"], sign)
            canvas.text(x + 30, y + height / 2 + 4, f"{each['proved']} of {each['observations']}", text)
        else:
            told = each["ended"] or "not planned"
            canvas.text(x + width / 2, y + height / 2 + 4, told, text, "middle")
    return canvas.svg(22 + height * len(components))


_VERDICTS = {
    "proved": ("hg", "ig", "tg"),
    "not proved": ("hb", "ib", "tb"),
    "inconclusive": ("ho", "io", "to"),
}


def latency_ends(panels: Sequence[Panel]) -> tuple[float, float]:
    """Smallest and largest latency of all panels in µs, limits included, with room around them."""
    known: list[int] = []
    for panel in panels:
        columns = [name for name in panel["series"]["columns"] if name in ("p50", "p95")]
        places = [panel["series"]["columns"].index(name) for name in columns]
        known += [row[place] for row in panel["series"]["rows"] for place in places if row[place]]
        if panel["panel"] == "curve":
            known += [value for row in panel["series"]["rows"] for value in row[1:] if value]
        known += [limit["value"] for name in ("latency", "median") if (limit := panel["limits"].get(name))]
    return (min(known) / 1.6, max(known) * 1.6) if known else (1_000.0, 1_000_000.0)


# --- a run over time --------------------------------------------------------------------------------------------------


def _course(panel: Panel, ends: tuple[float, float]) -> str:
    """Latency, load and infrastructure of one run, one above the other on one axis of time."""
    rows = _rows(panel["series"])
    size, unit = _time_unit(rows[-1]["at_us"])
    step = rows[1]["at_us"] - rows[0]["at_us"] if len(rows) > 1 else max(1, rows[0]["at_us"])
    has_cpu = any(row["cpu_permille"] is not None for row in rows)
    has_memory = any(row["memory_bytes"] is not None for row in rows)
    canvas = Canvas(_WIDTH)
    x = Scale(low=0, high=(rows[-1]["at_us"] + step) / size, start=_LEFT, end=_WIDTH - _RIGHT)
    top = _latency_strip(canvas, panel, rows, x, size, ends)
    top = _load_strip(canvas, panel, rows, x, size, step, top)
    if has_cpu:
        top = _resource_strip(canvas, panel, rows, x, size, top, "cpu")
    if has_memory:
        top = _resource_strip(canvas, panel, rows, x, size, top, "memory")
    _value_axis(canvas, x, top - 13, f"time from the start of the run ({unit})")
    return canvas.svg(top + 20)


def _latency_strip(canvas: Canvas, panel: Panel, rows: Rows, x: Scale, size: int, ends: tuple[float, float]) -> float:
    y = Scale(low=ends[0], high=ends[1], start=128, end=22, log=True)
    canvas.text(0, 12, "latency", "n")
    legend(canvas, {"median": "a", "95th percentile": "b"}, _LEFT, 12, width=_WIDTH)
    _log_grid(canvas, y, x)
    limits = panel["limits"]
    share = f"{limits['share']['text']} within" if limits.get("share") else "limit"
    _limit(canvas, limits.get("latency"), y, x, share)
    _limit(canvas, limits.get("median"), y, x, "median at most", is_right=True)
    for column, look in (("p50", "a"), ("p95", "b")):
        for part in _unbroken(rows, column):
            canvas.line([(x(row["at_us"] / size), y(row[column])) for row in part], look)
    for row in rows:
        if row["failed"]:
            canvas.mark(x(row["at_us"] / size), 24, "triangle", "fx")
    return 142


def _load_strip(canvas: Canvas, panel: Panel, rows: Rows, x: Scale, size: int, step: int, top: float) -> float:
    """Messages due and answered a second, beside the target's average."""
    a_second = 1_000_000 / step
    target = panel["limits"].get("target")
    most = max([*(row["due"] for row in rows), *(row["answered"] for row in rows), 1]) * a_second
    level = target["value"] / (panel["window"]["value"] / 1_000_000) if target and panel["window"] else 0
    y = Scale(low=0, high=1.12 * max(most, level), start=top + 78, end=top + 20)
    canvas.text(0, top + 12, "a second", "n")
    legend(canvas, {"due": "a", "answered": "b", "target": "l"}, _LEFT, top + 12, width=_WIDTH)
    _grid(canvas, y, x, 3)
    due = [(row["at_us"] / size, row["due"] * a_second) for row in rows]
    places = _steps([(x(at), y(value)) for at, value in due], x((rows[-1]["at_us"] + step) / size))
    canvas.area(places, y(0), "s")
    answered = [(x((row["at_us"] + step / 2) / size), y(row["answered"] * a_second)) for row in rows]
    canvas.line(answered, "b")
    if level:
        canvas.rule((x.start, y(level)), (x.end, y(level)), "l")
    return top + 94


def _resource_strip(canvas: Canvas, panel: Panel, rows: Rows, x: Scale, size: int, top: float, what: str) -> float:
    """CPU or memory beneath the latency that it goes with; a limit far above what was used is only told."""
    column, factor, unit = _resource_unit(what, rows)
    known = [(row["at_us"] / size, row[column] / factor) for row in rows if row[column] is not None]
    limit = panel["limits"].get(what)
    level = limit["value"] / (10_000 if what == "cpu" else factor) if limit else None
    largest = max(value for _, value in known)
    is_near = level is not None and level <= 2.5 * largest
    y = Scale(low=0, high=1.15 * max(largest, level if is_near and level else 0) or 1, start=top + 48, end=top + 18)
    canvas.text(0, top + 12, "CPU" if what == "cpu" else "memory", "n")
    canvas.text(_LEFT, top + 12, unit + ("" if is_near or not limit else f", limit {limit['text']}"))
    _grid(canvas, y, x, 2)
    places = [(x(at), y(value)) for at, value in known]
    canvas.area(places, y(0), "s")
    if is_near and level is not None and limit:
        canvas.rule((x.start, y(level)), (x.end, y(level)), "l")
        canvas.text(x.end, y(level) - 3, f"limit {limit['text']}", "x", "end")
    return top + 61


def _resource_unit(what: str, rows: Rows) -> tuple[str, float, str]:
    if what == "cpu":
        return "cpu_permille", 10, "% of one core"
    most = max(row["memory_bytes"] or 0 for row in rows)
    size, name = next(((size, name) for size, name in _SIZES if most >= size), _SIZES[-1])
    return "memory_bytes", size, name


# --- other panels -----------------------------------------------------------------------------------------------------


def _steps_panel(panel: Panel, ends: tuple[float, float]) -> str:
    """A stress ramp: each step's 95th percentile at its load, the knee and its interval."""
    rows = _rows(panel["series"])
    canvas = Canvas(_WIDTH)
    y = Scale(low=ends[0], high=ends[1], start=186, end=36, log=True)
    most = max(row["multiple_ppm"] for row in rows) / 1_000_000
    x = Scale(low=0, high=most * 1.08, start=_LEFT, end=_WIDTH - _RIGHT)
    canvas.text(0, 12, "95th percentile of latency", "n")
    _marks(canvas, (("carried", "circle", "ps"), ("not carried", "cross", "px"), ("not told", "square", "po")), 200, 12)
    _log_grid(canvas, y, x)
    knee = panel.get("headroom")
    if knee and knee["value"] is not None and knee["samples"]:
        low, high = (knee[end] if knee[end] is not None else knee["value"] for end in ("lower", "upper"))
        left, right = x(low / 1_000_000), x(high / 1_000_000)
        canvas.rect(left, y.end, max(1.5, right - left), y.start - y.end, "w")
        place = x(knee["value"] / 1_000_000)
        canvas.rule((place, y.start), (place, y.end), "l")
        anchor = "end" if place > (x.start + x.end) / 2 else ""
        canvas.text(place - 4 if anchor else place + 4, 31, f"knee {knee['text']} ({knee['interval']})", "x", anchor)
    _limit(canvas, panel["limits"].get("latency"), y, x)
    ordered = sorted((row["multiple_ppm"] / 1_000_000, row["p95"] or ends[1], row["carried"]) for row in rows)
    canvas.line([(x(at), y(value)) for at, value, _ in ordered], "a")
    for at, value, carried in ordered:
        shape, look = {"carried": ("circle", "ps"), "not carried": ("cross", "px")}.get(carried, ("square", "po"))
        canvas.mark(x(at), y(value), shape, look)
    _value_axis(canvas, x, y.start, "load offered, as a multiple of the target")
    return canvas.svg(232)


def _turns(panel: Panel, _: tuple[float, float]) -> str:
    """Each run's median, side by side in the order in which they were taken."""
    rows = [(number, row) for number, row in enumerate(_rows(panel["series"]), 1) if row["p50"] is not None]
    canvas = Canvas(_WIDTH)
    middles = [row["p50"] / 1000 for _, row in rows] or [1.0]
    y = Scale(low=min(middles) * 0.9, high=max(middles) * 1.1, start=154, end=22)
    x = Scale(low=0.5, high=max([number for number, _ in rows], default=1) + 0.5, start=_LEFT, end=_WIDTH - _RIGHT)
    canvas.text(0, 12, "median latency (ms)", "n")
    _marks(canvas, (("baseline", "circle", "ps"), ("today", "square", "po")), 200, 12)
    _grid(canvas, y, x, 4)
    for number, row in rows:
        shape, look = ("square", "po") if row["part"] == "candidate" else ("circle", "ps")
        canvas.mark(x(number), y(row["p50"] / 1000), shape, look)
    _value_axis(canvas, x, y.start, "run, in the order taken")
    return canvas.svg(200)


def _outcomes(panel: Panel, _: tuple[float, float]) -> str:
    """Bars of how messages of each traffic ended: a right message should be ok, an invalid one an error."""
    rows = _rows(panel["series"])
    order = list(dict.fromkeys(row["traffic"] for row in rows))
    left = 10 + 6.4 * min(24, max(map(len, order)))
    canvas = Canvas(_WIDTH)
    x = Scale(low=0, high=100, start=left, end=_WIDTH - 52)
    canvas.rect(left, 3, 10, 10, "fs")
    canvas.text(left + 15, 12, "as expected", "n")
    canvas.rect(left + 100, 3, 10, 10, "fx")
    canvas.text(left + 115, 12, "not as expected", "n")
    for place, traffic in enumerate(order):
        top = 24 + 24 * place
        own = [row for row in rows if row["traffic"] == traffic]
        whole = sum(row["count"] for row in own)
        right = sum(row["count"] for row in own if row["outcome"] == row["expect"])
        share = 100 * right / whole
        canvas.text(left - 6, top + 12, _cut(traffic, 24), "n", "end")
        canvas.rect(left, top, x(share) - left, 16, "fs")
        canvas.rect(x(share), top, x(100) - x(share), 16, "fx")
        canvas.text(x(100) + 5, top + 12, f"{whole:,}")
    _value_axis(canvas, x, 24 + 24 * len(order), "share of messages (%)")
    return canvas.svg(56 + 24 * len(order))


def _curve(panel: Panel, ends: tuple[float, float]) -> str:
    """Latency by rank, the axis stretched towards the slowest, as on an HDR plot; a line for each test."""
    columns, rows = panel["series"]["columns"], panel["series"]["rows"]
    names = columns[1:]
    canvas = Canvas(_WIDTH)
    looks = {_cut(name.removeprefix("test:"), 44): LINES[place % len(LINES)] for place, name in enumerate(names)}
    top = legend(canvas, looks, _LEFT, 12, width=_WIDTH - _LEFT) + 14
    y = Scale(low=ends[0], high=ends[1], start=top + 150, end=top, log=True)
    x = Scale(low=0, high=max(1.0, _nines(rows[-1][0])), start=_LEFT, end=_WIDTH - _RIGHT)
    _log_grid(canvas, y, x)
    _limit(canvas, panel["limits"].get("latency"), y, x)
    for place, look in enumerate(looks.values(), 1):
        known = [(x(_nines(row[0])), y(row[place])) for row in rows if row[place] is not None]
        canvas.line(known, look)
    for rank, label in ((0, "0"), (500_000, "50"), (900_000, "90"), (990_000, "99"), (999_000, "99.9"),
                        (999_900, "99.99"), (999_990, "99.999")):  # fmt: skip
        if _nines(rank) <= x.high:
            canvas.text(x(_nines(rank)), y.start + 15, label, "t", "middle")
    canvas.text((x.start + x.end) / 2, y.start + 32, "percentile of messages offered", "n", "middle")
    return canvas.svg(y.start + 38)


def _achieved(panel: Panel, _: tuple[float, float]) -> str:
    """Each test's target, and how much of it was taken up and answered."""
    rows = _rows(panel["series"])
    left = 10 + 6.2 * min(40, max(len(row["test"]) for row in rows))
    canvas = Canvas(_WIDTH)
    x = Scale(low=0, high=110, start=left, end=_WIDTH - _RIGHT)
    canvas.rect(left, 3, 10, 10, "s")
    canvas.text(left + 15, 12, "taken up", "n")
    canvas.rect(left + 82, 3, 10, 10, "fs")
    canvas.text(left + 97, 12, "answered as expected", "n")
    canvas.rule((left + 230, 3), (left + 230, 14), "l")
    canvas.text(left + 236, 12, "target", "n")
    for place, row in enumerate(rows):
        top = 22 + 26 * place
        canvas.text(left - 6, top + 13, _cut(row["test"], 40), "n", "end")
        for column, y, height, look in (("taken_up", top, 18, "s"), ("answered", top + 5, 8, "fs")):
            if row[column] is not None:
                canvas.rect(left, y, x(100 * row[column] / max(1, row["target"])) - left, height, look)
    bottom = 22 + 26 * len(rows)
    canvas.rule((x(100), 18), (x(100), bottom), "l")
    _value_axis(canvas, x, bottom, "% of the target's messages")
    return canvas.svg(62 + 26 * len(rows))


def _trend(panel: Panel, _: tuple[float, float]) -> str:
    """Memory of a soak at the target's own rate, what it grows by, and where that would cross the limit."""
    rows = [row for row in _rows(panel["series"]) if row["memory_bytes"] is not None]
    limit, crossing = panel["limits"]["memory"], panel["crossing"]
    length = max(row["at_us"] for row in rows) or 1
    shown_until = min(crossing["value"] * 1.15, 8 * length) if crossing else 2 * length
    size, unit = _time_unit(int(max(shown_until, length)))
    x = Scale(low=0, high=max(shown_until, length) / size, start=_LEFT, end=_WIDTH - _RIGHT)
    canvas = Canvas(_WIDTH)
    y = Scale(low=0, high=1.12 * limit["value"] / 1024**2, start=172, end=22)
    canvas.text(0, 12, "resident memory (MiB)", "n")
    legend(canvas, {"measured": "a", "projected": "b", f"limit {limit['text']}": "l"}, 150, 12, width=_WIDTH)
    _grid(canvas, y, x, 4)
    canvas.rule((x.start, y(limit["value"] / 1024**2)), (x.end, y(limit["value"] / 1024**2)), "l")
    level = rows[-1]["memory_bytes"] / 1024**2
    if crossing:
        slope = (limit["value"] - rows[-1]["memory_bytes"]) / 1024**2 / max(1, crossing["value"])
        until = max(shown_until, length)
        end = (x(until / size), y(level + slope * (until - length)))
        canvas.line([(x(length / size), y(level)), end], "b")
        canvas.text(x.end, 60, f"crosses the limit after {crossing['text']}", "x", "end")
        canvas.text(x.end, 74, f"({crossing['interval']})", "x", "end")
    else:
        canvas.text(x.end, 64, "growth cannot be told from none", "t", "end")
    canvas.line([(x(row["at_us"] / size), y(row["memory_bytes"] / 1024**2)) for row in rows], "a")
    _value_axis(canvas, x, y.start, f"time at the target's rate ({unit})")
    return canvas.svg(220)


def draw_pairs(figure: Mapping[str, Any], unit: str) -> str:
    """A value and its interval on two sides, a row for each thing compared: columns what, a, a_low, a_high, b, …"""
    rows = _rows(figure)
    left = 10 + 6.2 * min(44, max(len(str(row["what"])) for row in rows))
    canvas = Canvas(left + 420)
    known = [row[name] for row in rows for name in row if name != "what" and row[name]]
    low, high = min(known, default=1), max(known, default=10)
    is_wide = high > 8 * low
    around = (low / 1.3, high * 1.3) if is_wide else (low - 0.1 * (high - low), high + 0.1 * (high - low) + 1)
    x = Scale(low=around[0], high=around[1], start=left, end=left + 400, log=is_wide)
    _marks(canvas, ((figure["sides"][0], "circle", "ps"), (figure["sides"][1], "square", "po")), left, 12)
    for place, row in enumerate(rows):
        middle = 36 + 30 * place
        canvas.text(left - 8, middle + 4, _cut(str(row["what"]), 44), "n", "end")
        canvas.rule((left, middle), (left + 400, middle), "g")
        for side, offset, shape, look in (("a", -5, "circle", "ps"), ("b", 5, "square", "po")):
            if row[side]:
                ends = x(row[f"{side}_low"] or row[side]), x(row[f"{side}_high"] or row[side])
                canvas.rule((ends[0], middle + offset), (ends[1], middle + offset), "ax")
                canvas.mark(x(row[side]), middle + offset, shape, look)
    bottom = 26 + 30 * len(rows)
    for tick in x.ticks(5):
        canvas.text(x(tick), bottom + 16, _latency(tick) if unit == "us" else f"{tick:,g}", "t", "middle")
    return canvas.svg(62 + 30 * len(rows))


_DRAWN = {
    "course": _course,
    "steps": _steps_panel,
    "turns": _turns,
    "outcomes": _outcomes,
    "curve": _curve,
    "achieved": _achieved,
    "trend": _trend,
}


# --- parts of charts --------------------------------------------------------------------------------------------------


def _time_unit(length: int) -> tuple[int, str]:
    return next((size, unit) for least, size, unit in _TIMES if length >= least)


def _unbroken(rows: Rows, column: str) -> list[Rows]:
    """Stretches in which the column has values: a line does not bridge where nothing is known."""
    found: list[Rows] = [[]]
    for row in rows:
        if row[column] is None:
            found.append([])
        else:
            found[-1].append(row)
    return [part for part in found if part]


def _steps(places: list[tuple[float, float]], end: float) -> list[tuple[float, float]]:
    """A line that keeps its level until the next place, as what is counted by stretches does."""
    found = []
    for here, after in zip(places, [*places[1:], (end, places[-1][1])], strict=True):
        found += [here, (after[0], here[1])]
    return found


def _grid(canvas: Canvas, y: Scale, x: Scale, most: int) -> None:
    ticks = y.ticks(most)
    for tick in ticks:
        canvas.rule((x.start, y(tick)), (x.end, y(tick)), "g")
    for tick in ticks:
        canvas.text(x.start - 6, y(tick) + 4, f"{tick:,.10g}", "t", "end")


def _log_grid(canvas: Canvas, y: Scale, x: Scale) -> None:
    ticks = y.ticks(6)
    for tick in ticks:
        canvas.rule((x.start, y(tick)), (x.end, y(tick)), "g")
    for tick in ticks:
        canvas.text(x.start - 6, y(tick) + 4, _latency(tick), "t", "end")


def _latency(us: float) -> str:
    for size, unit in ((1_000_000, "s"), (1_000, "ms")):
        if us >= size:
            return f"{us / size:.6g} {unit}"
    return f"{us:.6g} µs"


def _limit(
    canvas: Canvas, limit: Mapping[str, Any] | None, y: Scale, x: Scale, name: str = "limit", *, is_right: bool = False
) -> None:
    if limit:
        canvas.rule((x.start, y(limit["value"])), (x.end, y(limit["value"])), "l")
        place, anchor = (x.end - 4, "end") if is_right else (x.start + 4, "")
        canvas.text(place, y(limit["value"]) - 4, f"{name} {limit['text']}", "x", anchor)


def _marks(canvas: Canvas, named: Sequence[tuple[str, str, str]], x: float, y: float) -> None:
    for name, shape, look in named:
        canvas.mark(x + 5, y - 4, shape, look)
        canvas.text(x + 14, y, name, "n")
        x += 30 + 6.1 * len(name)


def _value_axis(canvas: Canvas, x: Scale, y: float, title: str) -> None:
    canvas.rule((x.start, y), (x.end, y), "ax")
    ticks = x.ticks(6)
    for tick in ticks:
        canvas.rule((x(tick), y), (x(tick), y + 4), "ax")
    for tick in ticks:
        canvas.text(x(tick), y + 15, f"{tick:,.10g}", "t", "middle")
    canvas.text((x.start + x.end) / 2, y + 31, title, "n", "middle")


def _nines(rank_ppm: int) -> float:
    """How far along the axis a rank stands: one step for each nine."""
    return -log10(max(1e-6, 1 - rank_ppm / 1_000_000))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _rows(figure: Mapping[str, Any]) -> Rows:
    return [dict(zip(figure["columns"], row, strict=True)) for row in figure["rows"]]
