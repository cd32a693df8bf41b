"""Figures: every number of a report, each with a stable id and the digests of the evidence that it rests on."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from expectations.verdicts import LATER

Figure = dict[str, Any]
Parts = list[str | Figure]
"""A sentence whose numbers are figures: text and figures in reading order."""

_SIGNIFICANT = 4
_TIMES = ((3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s"), (1_000, "ms"))
_SIZES = ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"))
_WORDS = {"count": "", "ppm": " ppm", "us": " µs", "bytes": " B"}


class Figures:
    """Makes figures and keeps their ids apart: one id stands for one figure, wherever it is shown."""

    def __init__(self) -> None:
        self._known: dict[str, Figure] = {}

    def figure(
        self, name: str, value: int | str, unit: str, evidence: Iterable[str], *, text: str = "", **more: Any
    ) -> Figure:
        """A figure. `value`: an integer, or a decimal string; `text`: how a reader sees it (made when not given).

        Raises ValueError when it rests on nothing, or when its id already stands for another figure.
        """
        digests = list(dict.fromkeys(digest for digest in evidence if digest))
        if not digests:
            raise ValueError(f"the figure {name} rests on no evidence")
        made = {"figure": name, "value": value, "unit": unit, "text": text or show(value, unit), "evidence": digests}
        made |= {key: each for key, each in more.items() if each is not None}
        if self._known.setdefault(name, made) != made:
            raise ValueError(f"two different figures are named {name}")
        return made

    def evidence(self) -> set[str]:
        """Every digest that some figure rests on."""
        return {digest for figure in self._known.values() for digest in figure["evidence"]}


def show(value: int | str | Decimal, unit: str) -> str:
    """A value as a reader sees it: four significant digits, in the unit that suits its size."""
    if value == LATER:
        return "unbounded"
    number = Decimal(value)
    match unit:
        case "us":
            return _scaled(number, _TIMES, unit)
        case "bytes":
            return _scaled(number, _SIZES, unit)
        case "ppm":
            return f"{plain(number / 10_000, 7)} %"
        case "times":
            return f"{plain(number)} times"
        case "count":
            return f"{number:,f}"
        case _:
            return f"{plain(number, 24)} {unit}"


def plain(number: Decimal, digits: int = _SIGNIFICANT) -> str:
    """A decimal to that many significant digits, thousands grouped, without an exponent or trailing zeros."""
    if not number:
        return "0"
    place = min(number.adjusted() - digits + 1, 0)
    text = f"{number.quantize(Decimal(1).scaleb(place)):,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def decimal_text(number: Decimal) -> str:
    """A decimal as recorded: without an exponent or trailing zeros."""
    return f"{number.normalize():f}"


def _scaled(number: Decimal, scale: tuple[tuple[int, str], ...], unit: str) -> str:
    for size, name in scale:
        if abs(number) >= size:
            return f"{plain(number / size)} {name}"
    return f"{plain(number)}{_WORDS[unit]}"
