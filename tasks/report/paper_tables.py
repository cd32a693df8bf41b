"""How a table is laid out on paper: the size of its type, and the width of each column in points.

A column is as wide as its longest line where that fits; where it does not, no word of it is cut, and what remains is
shared out by how much each column has to say. Widths of texts are those of the shipped bold face, in thousandths of
its size.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

SIZES = (7.4, 7.0, 6.6, 6.2, 5.4)
"""Sizes of type, in points: the largest that a table can be read in. The last is for tables whose words are many."""

GAP = 6.0
"""Points between the texts of two columns."""

_ADVANCES = dict(
    zip(
        "ijl.,:;|'!I()[]{}/ rtf-1abcdeghknopqsuvxyz_+=<>~$#*\"?FEJLTYZSCABDGHKNOPQRUVXmwMW%@·–",
        (269, 308, 297, 225, 225, 306, 306, 284, 195, 243, 290, 306, 306, 375, 375, 401, 401, 508, 250, 409, 427, 429,
         419, 427, 580, 621, 580, 621, 591, 620, 601, 628, 601, 603, 621, 621, 553, 597, 584, 628, 570, 567, 560, 566,
         548, 548, 548, 523, 656, 552, 424, 376, 581, 600, 615, 617, 586, 584, 613, 577, 668, 724, 709, 695, 708, 726,
         719, 672, 748, 763, 664, 757, 689, 699, 709, 660, 892, 839, 902, 991, 818, 944, 225, 594),
        strict=True,
    )
)  # fmt: skip
_OTHER = 680
_BADGE = 1_600
"""Of a sign and the space around a badge's text."""

_BADGES = frozenset({"good", "bad", "open", "standing"})
SMALL = frozenset({"small", "none", "agreed"})
"""Looks of a text that is said smaller than what stands beside it."""
_BREAK = re.compile(r"(?<=[ -])")
"""Where a line may end: after a space or a hyphen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The size of a table's type and the widths of its columns, both in points; the widths fill what was given."""

    size: float
    widths: tuple[float, ...]


def laid_out(table: dict[str, Any], width: float, sizes: Sequence[float] = SIZES) -> Layout:
    """How a table's block (`tasks.report.blocks`) is set in so many points; words are cut at the smallest size only."""
    columns = [_Needed.of(table, place) for place in range(len(table["head"]))]
    left = width - GAP * len(columns)
    size = _largest(sizes[:-1], left, sum(each.least for each in columns))
    size = size or _largest(sizes, left, sum(each.word for each in columns)) or sizes[-1]
    return Layout(size=size, widths=_shared(columns, left * 1_000 / size, size / 1_000))


def _largest(sizes: Sequence[float], width: float, needed: float) -> float | None:
    return next((size for size in sizes if needed * size / 1_000 <= width), None)


def _shared(columns: "Sequence[_Needed]", room: float, scale: float) -> tuple[float, ...]:
    """The widths in points; `room` in thousandths of the size, `scale` points to one of them."""
    words, least, lines = (sum(getattr(each, name) for each in columns) for name in ("word", "least", "line"))
    if lines <= room:
        widths = [each.line * room / lines for each in columns]
    elif least <= room:
        more = (room - least) / (lines - least)
        widths = [each.least + (each.line - each.least) * more for each in columns]
    elif words <= room:
        more = (room - words) / (least - words)
        widths = [each.word + (each.least - each.word) * more for each in columns]
    else:
        widths = [each.word * room / words for each in columns]
    return tuple(round(each * scale + GAP, 1) for each in widths)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Needed:
    """What a column needs, in thousandths of the size: for its longest word, to be readable, and for its lines."""

    word: float
    least: float
    line: float

    @classmethod
    def of(cls, table: dict[str, Any], place: int) -> "_Needed":
        head = table["head"][place]
        rows = [row[place] for row in table["rows"]]
        heads = [_width(word) for line in _lines(head) for word in _words(line)]
        head_line = max(map(_line, _lines(head)), default=0.0)
        lines = [max(map(_line, _lines(cell)), default=0.0) for cell in rows] or [0.0]
        words = [_word(line, whole=head["number"]) for cell in rows for line in _lines(cell)]
        word = max([*heads, *words, _NARROWEST])
        mean = sum(lines) / len(lines)
        least = max(word, head_line * _HEAD, min(mean, _SENTENCES if mean > 3 * _WORDS else _WORDS))
        return cls(word=word, least=least, line=max(*lines, least))


_NARROWEST, _WORDS, _SENTENCES = 300.0, 12_000.0, 20_000.0
"""Of a column of nothing, of one of a few words, and of one of sentences: some forty letters."""

_HEAD = 0.55
"""The share of its line that a head is given: it may take two."""

_Line = list[tuple[str, float, float]]
"""Of each run of a line: its text, the share of the size that it is set in, and what its badge adds."""


def _lines(cell: dict[str, Any]) -> Iterator[_Line]:
    line: _Line = []
    for run in cell["runs"]:
        if run["text"] == "\n":
            yield line
            line = []
        else:
            looks = set(run["looks"])
            line.append((run["text"], 0.86 if looks & SMALL else 1.0, _BADGE if looks & _BADGES else 0))
    yield line


def _line(line: _Line) -> float:
    return sum(_width(text) * share + badge for text, share, badge in line)


def _word(line: _Line, *, whole: bool) -> float:
    """The widest part of a line that is not cut in two: a badge, a number with its unit, a word."""
    if whole and len(line) <= 2:
        return _line(line)
    return max(
        (
            _width(text) * share + badge if badge else max(map(_width, _parts(text))) * share
            for text, share, badge in line
        ),
        default=0.0,
    )


def _words(line: _Line) -> Iterator[str]:
    for text, _, _ in line:
        yield from _parts(text)


def _parts(text: str) -> list[str]:
    """What of a text stays in one line."""
    return [part.rstrip(" ") for part in _BREAK.split(text)]


def _width(text: str) -> float:
    return sum(_ADVANCES.get(each, _OTHER) for each in text)
