"""How the messages of a day fall over its minutes: shares as whole weights, so that nothing is rounded on the way."""

from fractions import Fraction
from functools import lru_cache
from math import lcm

from catalog.declarations import MINUTES_A_DAY, Period, Programme, Window, minute_of

Weights = tuple[int, ...]
"""A weight for each of the 1,440 minutes of a day."""


def whole(weights: list[Fraction]) -> list[int]:
    """The same proportions as whole numbers."""
    common = lcm(*(weight.denominator for weight in weights))
    return [weight.numerator * (common // weight.denominator) for weight in weights]


def minute_weights(programme: Programme, inside: Fraction, profile: str | None) -> Weights:
    """The weights of a traffic of which the share `inside` falls into the peak window.

    Within the window, and outside it, messages follow the profile: a minute's share of the window's messages is its
    rate by the sum of the rates there.
    """
    points = next((each.points for each in programme.volumes.profiles if each.id == profile), ())
    stretches = tuple((minute_of(point.begins), Fraction(point.rate)) for point in points)
    window = programme.volumes.peak_window
    return _weights(minute_of(window.begins), minute_of(window.ends), inside, stretches)


@lru_cache(maxsize=256)
def _weights(begins: int, ends: int, inside: Fraction, points: tuple[tuple[int, Fraction], ...]) -> Weights:
    rates = _rates(points)
    within = sum(rates[begins:ends])
    outside = sum(rates) - within
    if not outside or not within:  # all of the day's messages fall to one side, which is then the whole of them
        return tuple(rates)
    share = inside.numerator * outside, (inside.denominator - inside.numerator) * within
    return tuple(rate * share[not begins <= minute < ends] for minute, rate in enumerate(rates))


def _rates(points: tuple[tuple[int, Fraction], ...]) -> list[int]:
    """The rate of each minute as a whole number; before the first point the last one holds, from the day before."""
    if not points:
        return [1] * MINUTES_A_DAY
    rates = [Fraction(0)] * MINUTES_A_DAY
    for (start, rate), (stop, _) in zip(points, [*points[1:], (MINUTES_A_DAY, Fraction(0))], strict=True):
        rates[start:stop] = [rate] * (stop - start)
    rates[: points[0][0]] = [points[-1][1]] * points[0][0]
    return whole(rates)


def period_weights(periods: tuple[Period, ...], weights: Weights) -> list[int]:
    """The weight of each period: that of its minutes together."""
    return [sum(weights[minute_of(period.begins) : minute_of(period.ends)]) for period in periods]


def in_window(window: Window, period: Period) -> bool:
    """Whether a period lies in the peak window."""
    return minute_of(window.begins) <= minute_of(period.begins) and minute_of(period.ends) <= minute_of(window.ends)
