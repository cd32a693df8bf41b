"""Which assumptions move the peak most, and how likely it is that more comes than was tested.

The peak is the number of messages offered to a component in the peak window. Each assumption with a declared range is
moved to its ends alone, all others held; then all are drawn together, independently, each from the triangular
distribution of its range with the declared value as its mode.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from catalog.declarations import Assumption, ComponentScope, Programme
from catalog.routes import assumptions_used
from tasks.volumes.days import Day
from tasks.volumes.streams import Number, Values, declared_values, passing, streams

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GENERATOR = "triangular by inverse distribution, numpy PCG64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Swing:
    """The peak of a component when one assumption is at an end of its range."""

    assumption: str
    at_low: int
    at_high: int

    @property
    def size(self) -> int:
        """By how much the peak moves from one end to the other."""
        return abs(self.at_high - self.at_low)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exceeded:
    """How often, in parts per million of the draws, the peak is above a level. `level`: messages in the window."""

    name: str
    level: int
    draws_above_ppm: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """One component: its peak as modelled, swings from the widest, quantiles of the draws, and levels exceeded."""

    component: str
    peak: int
    swings: tuple[Swing, ...]
    quantiles: Mapping[int, int]
    exceeded: tuple[Exceeded, ...]


def sensitivities(programme: Programme, day: Day, levels: Mapping[str, Mapping[str, int]]) -> list[Sensitivity]:
    """The sensitivity of the peak at each component that `levels` names, with the levels to compare (by their name)."""
    ranged = ranged_assumptions(programme)
    values = declared_values(programme)
    at_declared = window_messages(programme, day, values)
    swings: dict[str, list[Swing]] = {name: [] for name in levels}
    for assumption in ranged:
        low, high = (
            window_messages(programme, day, _moved(values, {assumption.id: Fraction(end)}))
            for end in (assumption.low or 0, assumption.high or 0)
        )
        for name, found in swings.items():
            at_low, at_high = round(low.get(name, 0)), round(high.get(name, 0))
            if at_low != at_high:
                found.append(Swing(assumption=assumption.id, at_low=at_low, at_high=at_high))
    drawn = _draw(programme, day, ranged)
    return [
        Sensitivity(
            component=name,
            peak=round(at_declared.get(name, 0)),
            swings=tuple(sorted(swings[name], key=lambda swing: (-swing.size, swing.assumption))),
            quantiles=_quantiles(drawn.get(name)),
            exceeded=tuple(_exceeded(drawn.get(name), label, level) for label, level in levels[name].items()),
        )
        for name in levels
    ]


def ranged_assumptions(programme: Programme) -> list[Assumption]:
    """The assumptions of the volume model that have a range, in the order declared."""
    used = assumptions_used(programme.volumes)
    return [each for each in programme.assumptions if each.low is not None and each.id in used]


def window_messages(programme: Programme, day: Day, values: Values) -> dict[str, Number]:
    """Messages offered to each component of the system in the peak window, exact."""
    found: dict[str, Number] = {}
    for stream in streams(programme, day, values):
        amount = stream.amount * values(stream.in_window)
        for component in passing(programme, stream):
            if component.scope is ComponentScope.OUTSIDE:
                continue
            found[component.id] = found.get(component.id, 0) + amount
    return found


def _moved(values: Values, to: Mapping[str, Number]) -> Values:
    return lambda name: to[name] if name in to else values(name)


def _draw(programme: Programme, day: Day, ranged: Sequence[Assumption]) -> "dict[str, NDArray[np.float64]]":
    """The peak of each component in every draw, in the order drawn."""
    import numpy as np

    declared = programme.volumes.sensitivity
    uniform = np.random.Generator(np.random.PCG64(declared.seed))
    drawn = {
        each.id: _triangular(uniform.random(declared.draws), *map(float, (each.low or 0, each.value, each.high or 0)))
        for each in ranged
    }
    exact = declared_values(programme)
    found = window_messages(programme, day, lambda name: drawn[name] if name in drawn else float(exact(name)))
    return {name: np.broadcast_to(np.asarray(peak, dtype=np.float64), declared.draws) for name, peak in found.items()}


def _triangular(uniform: "NDArray[np.float64]", low: float, mode: float, high: float) -> "NDArray[np.float64]":
    """Draws from a triangular distribution: its inverse distribution function at uniform draws (one formula a side)."""
    import numpy as np

    if low == high:
        return np.full_like(uniform, mode)
    split = (mode - low) / (high - low)
    below = low + np.sqrt(uniform * ((high - low) * (mode - low)))
    above = high - np.sqrt((1 - uniform) * ((high - low) * (high - mode)))
    return np.where(uniform < split, below, above)


def _quantiles(peaks: "NDArray[np.float64] | None") -> dict[int, int]:
    """Percentiles of the draws by nearest rank, in whole messages."""
    import numpy as np

    if peaks is None:
        return {}
    ordered = np.sort(peaks)
    return {percent: round(float(ordered[-(-percent * len(ordered) // 100) - 1])) for percent in (5, 50, 95, 99)}


def _exceeded(peaks: "NDArray[np.float64] | None", name: str, level: int) -> Exceeded:
    above = 0 if peaks is None else int((peaks > level).sum()) * 1_000_000 // len(peaks)
    return Exceeded(name=name, level=level, draws_above_ppm=above)
