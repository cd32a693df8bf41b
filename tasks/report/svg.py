"""A canvas that charts are drawn on: shapes and texts in, static SVG out; the same bytes each time.

Looks are classes, whose colours a page gives as variables (so that they follow its light and dark mode) and a file as
constants. Places are rounded to half a pixel; nothing of what is recorded is computed here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil, floor, hypot, log10
from pathlib import Path

from markupsafe import escape

FONT = "Plimsoll Sans"
FONTS = Path(__file__).with_name("fonts")

COLOURS = {
    "ink": ("#1b2733", "#e8eef3"),
    "muted": ("#4a5866", "#aab7c3"),
    "grid": ("#dfe5ea", "#33414d"),
    "strong": ("#0b5c8f", "#6db9e8"),
    "other": ("#b35f00", "#f2a541"),
    "third": ("#2f7d4f", "#6fcf97"),
    "fourth": ("#7a4fa3", "#c9a6ee"),
    "limit": ("#b3261e", "#ff8a80"),
    "good": ("#1a6336", "#7fd49b"),
    "goodsoft": ("#d3eadb", "#17402a"),
    "bad": ("#9c1f18", "#ffa39a"),
    "badsoft": ("#f6c9c5", "#5e1a16"),
    "open": ("#6f4500", "#f3c470"),
    "opensoft": ("#fbe6b4", "#4d3608"),
    "nothing": ("#eef1f4", "#222d37"),
    "one": ("#cfe3f1", "#1d4560"),
    "two": ("#f9dcb8", "#5c3d12"),
    "three": ("#cfe8d8", "#1e4a31"),
    "four": ("#e2d4f0", "#46305e"),
    "five": ("#f6cfcb", "#5e1f1b"),
    "six": ("#dfe5ea", "#33414d"),
    "seven": ("#c9ecec", "#14484a"),
    "eight": ("#f2d3e4", "#5a2b46"),
}
"""Every colour of a chart, on a light and on a dark ground; each text on its ground has a contrast of 4.5 or more."""

_TEXT = f"font-family:'{FONT}',sans-serif;font-size:11px;"
_LINE = "fill:none;stroke-linejoin:round;stroke-width:"
_EDGE = ";stroke:{muted};stroke-width:.8"
_RULES = {
    "t": _TEXT + "fill:{muted}",
    "n": _TEXT + "fill:{ink}",
    "x": _TEXT + "fill:{limit}",
    "tg": _TEXT + "font-weight:700;fill:{good}",
    "tb": _TEXT + "font-weight:700;fill:{bad}",
    "to": _TEXT + "font-weight:700;fill:{open}",
    "g": "stroke:{grid};stroke-width:1",
    "ax": "stroke:{muted};stroke-width:1",
    "a": _LINE + "1.7;stroke:{strong}",
    "b": _LINE + "1.7;stroke:{other};stroke-dasharray:2 2",
    "c": _LINE + "1.7;stroke:{third};stroke-dasharray:7 2",
    "d": _LINE + "1.7;stroke:{fourth};stroke-dasharray:7 2 2 2",
    "e": _LINE + "1.7;stroke:{muted};stroke-dasharray:4 4",
    "f": _LINE + "1.7;stroke:{good};stroke-dasharray:1 3",
    "h": _LINE + "1.7;stroke:{limit};stroke-dasharray:10 4",
    "l": _LINE + "1.4;stroke:{limit};stroke-dasharray:5 3",
    "s": "fill:{strong};fill-opacity:.22;stroke:{strong};stroke-width:1.4;stroke-linejoin:round",
    "w": "fill:{limit};fill-opacity:.16;stroke:none",
    "fs": "fill:{strong}",
    "fo": "fill:{other}",
    "fx": "fill:{limit}",
    "ps": "fill:none;stroke-width:2;stroke:{strong}",
    "po": "fill:none;stroke-width:2;stroke:{other}",
    "px": "fill:none;stroke-width:2;stroke:{limit}",
    "ig": _LINE + "2.2;stroke-linecap:round;stroke:{good}",
    "ib": _LINE + "2.2;stroke-linecap:round;stroke:{bad}",
    "io": _LINE + "2.2;stroke-linecap:round;stroke:{open}",
    "hg": "fill:{goodsoft}",
    "hb": "fill:{badsoft}",
    "ho": "fill:{opensoft}",
    "hn": "fill:{nothing}",
    "ka": "fill:{one}" + _EDGE,
    "kb": "fill:{two}" + _EDGE,
    "kc": "fill:{three}" + _EDGE,
    "kd": "fill:{four}" + _EDGE,
    "ke": "fill:{five}" + _EDGE,
    "kf": "fill:{six}" + _EDGE,
    "kg": "fill:{seven}" + _EDGE,
    "kh": "fill:{eight}" + _EDGE,
    "kn": "fill:none" + _EDGE,
    "kx": "fill:none" + _EDGE + ";stroke-dasharray:4 3",
}
LINES = ("a", "b", "c", "d", "e", "f", "h")
"""Classes of lines that tell several apart, each by colour and by dashes."""
GROUNDS = ("ka", "kb", "kc", "kd", "ke", "kf", "kg", "kh")
"""Classes of grounds, on which a text stands: they tell several apart together with a sign on each."""

Point = tuple[float, float]
Places = Sequence[Point]


def style(scope: str, colour: Callable[[str], str]) -> str:
    """The rules of all classes below the selector `scope`, with colours as `colour` names them."""
    named = {name: colour(name) for name in COLOURS}
    return "".join(f"{scope} .{name}{{{rule.format(**named)}}}" for name, rule in _RULES.items())


def in_itself(svg: str) -> str:
    """An SVG with its own name space and rules, for where no page gives them: a printed document's."""
    head, rest = svg.split(">", 1)
    head = head.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return f"{head}><style>{style('', lambda name: COLOURS[name][0])}</style>{rest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Values from `low` to `high` as places from `start` to `end`; by their logarithm where `log`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value; one outside stands at the end that it lies beyond."""
        low, high = self._of(self.low), self._of(self.high)
        share = (self._of(max(value, 1e-9) if self.log else value) - low) / ((high - low) or 1)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def ticks(self, most: int) -> list[float]:
        """Round values within the scale, at most about `most` of them."""
        if self.log:
            found = [
                step * 10.0**power
                for power in range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
                for step in (1, 3)
            ]
            return [value for value in found if self.low <= value <= self.high][:: max(1, -(-len(found) // (most + 2)))]
        step = _round_step((self.high - self.low) / max(1, most))
        first = ceil(self.low / step - 1e-9)
        return [number * step for number in range(first, floor(self.high / step + 1e-9) + 1)]

    def _of(self, value: float) -> float:
        return log10(value) if self.log else value


def _round_step(least: float) -> float:
    power = 10.0 ** floor(log10(least)) if least > 0 else 1.0
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least * (1 - 1e-9)) if least > 0 else 1.0


class Canvas:
    """Collects shapes; `svg` puts them together. Neighbours of one look are drawn as one, in a part of the bytes."""

    def __init__(self, width: float) -> None:
        self._width = width
        self._parts: list[tuple[str, str, str]] = []
        """What is drawn: as which element, with which attributes that neighbours may share, and the rest of it."""

    def line(self, places: Places, look: str) -> None:
        """A line through places."""
        if places:
            self._alone(f'<path class="{look}" d="{_path(_plain(places))}"/>')

    def area(self, places: Places, base: float, look: str) -> None:
        """What lies between a line and a level."""
        if places:
            closed = [(places[0][0], base), *_plain(places), (places[-1][0], base)]
            self._alone(f'<path class="{look}" d="{_path(closed)}Z"/>')

    def rule(self, start: Point, end: Point, look: str) -> None:
        """A straight line."""
        self._parts.append(("path", f'class="{look}"', _path([start, end])))

    def rect(self, x: float, y: float, width: float, height: float, look: str) -> None:
        """A rectangle."""
        corners = [(x, y), (x + max(0, width), y), (x + max(0, width), y + height), (x, y + height)]
        self._parts.append(("path", f'class="{look}"', f"{_path(corners)}z"))

    def text(self, x: float, y: float, text: str, look: str = "t", anchor: str = "") -> None:
        """A text from, around ('middle') or up to ('end') a place."""
        at, left = f' text-anchor="{anchor}"' if anchor else "", f'x="{_n(x)}" ' if x else ""
        self._parts.append(("text", f'class="{look}"{at}', f'{left}y="{_n(y)}">{escape(text)}</text>'))

    def mark(self, x: float, y: float, shape: str, look: str) -> None:
        """A sign at a place: a circle, a cross, a square, a triangle, or one of the three verdicts'."""
        drawn = _MARKS[shape]
        self._alone(f'<path class="{look}" transform="translate({_n(x)} {_n(y)})" d="{drawn}"/>')

    def svg(self, height: float) -> str:
        """The whole, of that height: texts last, over what they stand on, and those of one look together."""
        wide, high = _n(self._width), _n(height)
        head = f'<svg width="{wide}" height="{high}"'
        texts = sorted((part for part in self._parts if part[0] == "text"), key=lambda part: part[1])
        alike = groupby([*(part for part in self._parts if part[0] != "text"), *texts], key=lambda part: part[:2])
        drawn = "".join(_together(element, shared, [part[2] for part in parts]) for (element, shared), parts in alike)
        return f'{head} viewBox="0 0 {wide} {high}">{drawn}</svg>'

    def _alone(self, drawn: str) -> None:
        self._parts.append(("", "", drawn))


def _together(element: str, shared: str, parts: Sequence[str]) -> str:
    match element:
        case "path":
            return f'<path {shared} d="{"".join(parts)}"/>'
        case "text" if len(parts) == 1:
            return f"<text {shared} {parts[0]}"
        case "text":
            return f"<g {shared}>{''.join(f'<text {part}' for part in parts)}</g>"
        case _:
            return "".join(parts)


_MARKS = {
    "circle": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z",
    "square": "M-4-4h8v8h-8Z",
    "cross": "M-4-4l8 8M4-4l-8 8",
    "triangle": "M0 4l-4-7h8Z",
    "diamond": "M0-5l5 5l-5 5l-5-5Z",
    "proved": "M-5 0.5l3.2 3.2L5-3.2",
    "not proved": "M-4-4l8 8M4-4l-8 8",
    "inconclusive": "M-2.8-2a2.8 2.8 0 1 1 4.2 2.4c-.9.5-1.4 1-1.4 1.9M0 4.6v.6",
}


def legend(canvas: Canvas, names: Mapping[str, str], x: float, y: float, *, width: float) -> float:
    """Samples of lines with their names, in as many rows as they need; where the last row stands."""
    left = x
    for name, look in names.items():
        needed = 26 + 6.1 * len(name) + 12
        if left > x and left + needed > x + width:
            left, y = x, y + 15
        canvas.rule((left, y - 4), (left + 20, y - 4), look)
        canvas.text(left + 25, y, name, "n")
        left += needed
    return y


def _plain(places: Places) -> list[Point]:
    """The line without places that lie less than half a pixel beside it: whatever can be seen stays.

    Its ends and every turn are kept (Douglas and Peucker, 1973: Algorithms for the reduction of the number of points
    required to represent a digitized line or its caricature).
    """
    kept, waiting = {0, len(places) - 1}, [(0, len(places) - 1)]
    while waiting:
        first, last = waiting.pop()
        far, at = max(((_beside(places, first, last, each), each) for each in range(first + 1, last)), default=(0.0, 0))
        if far > _UNSEEN:
            kept.add(at)
            waiting += [(first, at), (at, last)]
    return [places[each] for each in sorted(kept)]


_UNSEEN = 0.4


def _beside(places: Places, first: int, last: int, at: int) -> float:
    """How far a place lies from the straight line between two others."""
    (left, top), (right, bottom), (x, y) = places[first], places[last], places[at]
    wide, high = right - left, bottom - top
    length = hypot(wide, high)
    return abs(wide * (y - top) - high * (x - left)) / length if length else hypot(x - left, y - top)


def _path(places: Iterable[Point]) -> str:
    """A path through places, each told from the one before: rounded ends are followed, so nothing adds up."""
    halves = [(round(x * 2), round(y * 2)) for x, y in places]
    (x, y), drawn = halves[0], [f"M{_half(halves[0][0])} {_half(halves[0][1])}"]
    for to_x, to_y in halves[1:]:
        if (to_x, to_y) == (x, y):
            continue
        if to_y == y:
            drawn.append(f"h{_half(to_x - x)}")
        elif to_x == x:
            drawn.append(f"v{_half(to_y - y)}")
        else:
            down = _half(to_y - y)
            drawn.append(f"l{_half(to_x - x)}{'' if down.startswith('-') else ' '}{down}")
        x, y = to_x, to_y
    return "".join(drawn)


def _half(halves: int) -> str:
    """So many halves of a pixel, without needless digits."""
    sign, whole, rest = "-" if halves < 0 else "", abs(halves) // 2, ".5" if halves % 2 else ""
    return f"{sign}{whole or '' if rest else whole}{rest}"


def _n(value: float) -> str:
    """A place to half a pixel."""
    return _half(round(value * 2))
