"""The numbers behind a chart as a reader sees them: each column in one unit, which its heading names.

Latencies are exact; memory, and when a stretch begins, to a hundredth of the unit. The JSON twin has the integers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from catalog.shown import plain

_SIDES = ("a", "a_low", "a_high", "b", "b_low", "b_high")
_LATENCIES = ("p50", "p95", *_SIDES)
_TIMES = ((3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s"))
_SIZES = ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"))
_PPM = {"rank_ppm": (10_000, "%"), "multiple_ppm": (1_000_000, "times")}
_DIGITS = 18
_PLACES = {"memory_bytes": 2, "at_us": 2}
_FEW = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its name, its unit (empty where the numbers are counts or no numbers) and each value's text."""

    name: str
    unit: str
    texts: tuple[str, ...]

    @property
    def is_constant(self) -> bool:
        """Whether many rows say the same: it is told once then."""
        return len(self.texts) > _FEW and len(set(self.texts)) == 1


def columns_of(figure: Mapping[str, Any]) -> list[Column]:
    """The columns of a figure that is drawn as a chart, in their order."""
    values = zip(*figure["rows"], strict=True) if figure["rows"] else ((),) * len(figure["columns"])
    return [_column(name, list(each)) for name, each in zip(figure["columns"], values, strict=True)]


def _column(name: str, values: list[Any]) -> Column:
    size, unit = _unit(name, max((each for each in values if isinstance(each, int)), default=0))
    return Column(name=name, unit=unit, texts=tuple(_texts(values, size, _PLACES.get(name))))


def _unit(name: str, most: int) -> tuple[int, str]:
    """How many of the recorded unit make one of what is shown, and its name."""
    if name in _LATENCIES or name.startswith("test:"):
        return 1_000, "ms"
    if name == "at_us":
        return next(((size, unit) for size, unit in _TIMES if most >= 10 * size), _TIMES[-1])
    if name == "memory_bytes":
        return next(((size, unit) for size, unit in _SIZES if most >= size), (1, "B"))
    return _PPM.get(name, (1, ""))


def _texts(values: list[Any], size: int, places: int | None) -> Iterator[str]:
    for value in values:
        if value is None:
            yield "none"
        elif not isinstance(value, int):
            yield str(value)
        elif size == 1:
            yield f"{value:,}"
        elif places is not None:
            yield f"{Decimal(value) / size:,.{places}f}"
        else:
            yield plain(Decimal(value) / size, _DIGITS)
