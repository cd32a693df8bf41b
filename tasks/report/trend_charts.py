"""Draws a figure's history: a point a day with its interval, the levels found, the limit. The same bytes each time."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from catalog.shown import shown
from expectations.verdicts import LATER
from tasks.report.svg import Canvas, Scale

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 420.0, 190.0, 62.0, 26.0, 158.0
_LABELS = 5
_SCALES = {"us": (1_000, "ms"), "ppm": (10_000, "%"), "bytes": (1024**2, "MiB")}


def draw_series(series: Mapping[str, Any]) -> str:
    """One series of `tasks.trend.trend`. An interval's end that nothing bounds is drawn at the point."""
    scale, unit = _SCALES.get(series["unit"], (1, series["unit"]))
    points, canvas = series["points"], Canvas(_WIDTH)
    x = Scale(low=0, high=max(1, len(points) - 1), start=_LEFT + 8, end=_WIDTH - 14)
    y, limit = _scale_of(series, scale), series["limit"] / scale
    canvas.text(0, 12, f"{series['metric']} ({unit})", "n")
    for tick in y.ticks(5):
        canvas.rule((_LEFT, y(tick)), (_WIDTH - 6, y(tick)), "g")
        canvas.text(_LEFT - 5, y(tick) + 4, f"{tick:,.10g}", "t", "end")
    for place, point in enumerate(points):
        lower, upper = (y(end / scale) for end in _ends(point))
        canvas.rule((x(place), lower), (x(place), upper), "a")
        canvas.mark(x(place), y(point["value"] / scale), "circle", "fs")
    for start, end, level in _levels(series):
        canvas.rule((x(start), y(level / scale)), (x(end), y(level / scale)), "b")
    if y.low <= limit <= y.high:
        canvas.rule((_LEFT, y(limit)), (_WIDTH - 6, y(limit)), "l")
        canvas.text(_LEFT + 4, y(limit) - 4, f"limit {shown(series['limit'], series['unit'])}", "x")
    canvas.rule((_LEFT, _BOTTOM), (_WIDTH - 6, _BOTTOM), "ax")
    for place in _labelled(len(points)):
        anchor = "middle" if place < len(points) - 1 else "end"
        at = x(place) if place < len(points) - 1 else _WIDTH - 6
        canvas.text(at, _BOTTOM + 15, points[place]["occasion"].removeprefix("regression-"), "t", anchor)
    return canvas.svg(_HEIGHT)


def _ends(point: Mapping[str, Any]) -> tuple[int, int]:
    lower, upper = point["lower"], point["upper"]
    return (
        point["value"] if lower is None else lower,
        point["value"] if upper is None or upper >= LATER else upper,
    )


def _scale_of(series: Mapping[str, Any], scale: int) -> Scale:
    """Around the figures; as far as the limit too, where that does not flatten them."""
    values = [end / scale for point in series["points"] for end in (point["value"], *_ends(point))]
    low, high, limit = min(values), max(values), series["limit"] / scale
    reach = max(high - low, abs(high) / 20)
    if low - 3 * reach <= limit <= high + 3 * reach:
        low, high = min(low, limit), max(high, limit)
    room = max(high - low, abs(high) / 20) * 0.12 or 1.0
    return Scale(low=low - room, high=high + room, start=_BOTTOM, end=_TOP)


def _levels(series: Mapping[str, Any]) -> list[tuple[int, int, int]]:
    """The level of every part between two changes, with the places it reaches from and to; none without a change."""
    if not series["changes"]:
        return []
    ends = [0, *(change["at"] for change in series["changes"]), len(series["points"])]
    values = [series["changes"][0]["before"], *(change["after"] for change in series["changes"])]
    return [(start, end - 1, value) for (start, end), value in zip(pairwise(ends), values, strict=True)]


def _labelled(days: int) -> list[int]:
    """The days whose names there is room for, evenly spaced, the newest among them."""
    every = -(-days // _LABELS)
    return sorted(range(days - 1, -1, -every))
