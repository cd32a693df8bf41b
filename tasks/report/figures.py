"""Figures: every number of a report, each with a stable id and the digests of the evidence that it rests on."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from catalog.shown import plain, shown
from expectations.verdicts import LATER

Figure = dict[str, Any]
Parts = list[str | Figure]
"""A sentence whose numbers are figures: text and figures in reading order."""


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
    """A value as a reader sees it; an end that nothing bounds is 'unbounded'."""
    return "unbounded" if value == LATER else shown(value, unit)


def signed(number: Decimal) -> str:
    """A change to three significant digits, with its sign."""
    return f"{'+' if number > 0 else ''}{plain(number, 3)}"
