"""A canvas that charts are drawn on: shapes and texts in, static SVG out; the same bytes each time.

Looks are classes, whose colours a page gives as variables (so that they follow its light and dark mode) and a file as
constants. Places are rounded to a tenth of a pixel; nothing of what is recorded is computed here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from markupsafe import escape

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
}
"""Every colour of a chart, on a light and on a dark ground; each text on its ground has a contrast of 4.5 or more."""

_TEXT = "font-family:'Plimsoll Sans',sans-serif;font-size:11px;"
_LINE = "fill:none;stroke-linejoin:round;stroke-width:"
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
}
LINES = ("a", "b", "c", "d", "e", "f", "h")
"""Classes of lines that tell several apart, each by colour and by dashes."""

Point = tuple[float, float]
Places = Sequence[Point]


def style(scope: str, colour: Callable[[str], str]) -> str:
    """The rules of all classes below the selector `scope`, with colours as `colour` names them."""
    named = {name: colour(name) for name in COLOURS}
    return "".join(f"{scope} .{name}{{{rule.format(**named)}}}" for name, rule in _RULES.items())


def in_itself(svg: str) -> str:
    """An SVG with its own rules, for where no page gives them: a printed document's."""
    head, rest = svg.split(">", 1)
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
    """Collects shapes; `svg` puts them together."""

    def __init__(self, width: float) -> None:
        self._width = width
        self._parts: list[str] = []

    def line(self, places: Places, look: str) -> None:
        """A line through places."""
        if places:
            self._parts.append(f'<path class="{look}" d="{_path(places)}"/>')

    def area(self, places: Places, base: float, look: str) -> None:
        """What lies between a line and a level."""
        if places:
            closed = [(places[0][0], base), *places, (places[-1][0], base)]
            self._parts.append(f'<path class="{look}" d="{_path(closed)}Z"/>')

    def rule(self, start: Point, end: Point, look: str) -> None:
        """A straight line."""
        self.line([start, end], look)

    def rect(self, x: float, y: float, width: float, height: float, look: str) -> None:
        """A rectangle."""
        size = f'width="{_n(max(0, width))}" height="{_n(height)}"'
        self._parts.append(f'<rect class="{look}" x="{_n(x)}" y="{_n(y)}" {size}/>')

    def text(self, x: float, y: float, text: str, look: str = "t", anchor: str = "") -> None:
        """A text from, around ('middle') or up to ('end') a place."""
        at = f' text-anchor="{anchor}"' if anchor else ""
        self._parts.append(f'<text class="{look}" x="{_n(x)}" y="{_n(y)}"{at}>{escape(text)}</text>')

    def mark(self, x: float, y: float, shape: str, look: str) -> None:
        """A sign at a place: a circle, a cross, a square, a triangle, or one of the three verdicts'."""
        drawn = _MARKS[shape]
        self._parts.append(f'<path class="{look}" transform="translate({_n(x)} {_n(y)})" d="{drawn}"/>')

    def svg(self, height: float) -> str:
        """The whole, of that height."""
        wide, high = _n(self._width), _n(height)
        head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}"'
        return f'{head} viewBox="0 0 {wide} {high}">{"".join(self._parts)}</svg>'


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


def _path(places: Iterable[Point]) -> str:
    """A path through places, each told from the one before: rounded ends are followed, so nothing adds up."""
    tenths = [(round(x * 10), round(y * 10)) for x, y in places]
    (x, y), drawn = tenths[0], [f"M{_tenth(tenths[0][0])} {_tenth(tenths[0][1])}"]
    for to_x, to_y in tenths[1:]:
        if (to_x, to_y) == (x, y):
            continue
        if to_y == y:
            drawn.append(f"h{_tenth(to_x - x)}")
        elif to_x == x:
            drawn.append(f"v{_tenth(to_y - y)}")
        else:
            down = _tenth(to_y - y)
            drawn.append(f"l{_tenth(to_x - x)}{'' if down.startswith('-') else ' '}{down}")
        x, y = to_x, to_y
    return "".join(drawn)


def _tenth(value: int) -> str:
    return _n(value / 10)


def _n(value: float) -> str:
    """A place to a tenth, without needless digits."""
    text = f"{value:.1f}"
    text = text.removesuffix(".0")
    return "0" if text == "-0" else text
