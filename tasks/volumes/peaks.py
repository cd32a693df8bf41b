"""What the window's average hides: the busiest hour, minute and second at each component, and demand after an outage.

Counted are the messages that a component is offered, requests and alerts. Days are taken to repeat, so that a stretch
may pass midnight.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from math import lcm

from catalog.declarations import MINUTES_A_DAY, CatchUp, Programme, minute_of
from tasks.volumes.model import MINUTE_US, VolumeModel, window_us
from tasks.volumes.spread import Weights

SECONDS = 60
QUIET_DAYS = Fraction(95, 100)
"""In this share of days no second of the busiest hour holds more messages than the busiest second stated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The busiest stretch of a length: when it begins (minute of the day), its messages, and by what they exceed.

    `ratio`: its rate by the rate of the window's average.
    """

    begins: int
    minutes: int
    messages: int
    ratio: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """The peaks of one component. `window`: messages of the peak window; `second`: see `busiest_second`."""

    component: str
    window: int
    average: Fraction
    hour: Stretch
    minute: Stretch
    second: int
    second_ratio: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Demand after an outage of one component, at the time of the day when it is worst.

    `queued`: messages kept from the outage; `rate`: messages a second to clear them in time while new ones come;
    `ratio`: that rate by the rate of the window's average.
    """

    component: str
    catch_up: str
    begins: int
    queued: int
    rate: Fraction
    ratio: Fraction


@dataclass(frozen=True, slots=True)
class Minutes:
    """Messages of each minute of the day, exact: `counts` in units of one part in `scale`."""

    counts: tuple[int, ...]
    scale: int

    @classmethod
    def of(cls, offered: Mapping[Weights, int]) -> "Minutes":
        """The minutes of messages a day, given apart by how they are spread."""
        sums = {weights: sum(weights) for weights in offered}
        scale = lcm(*sums.values())
        counts = [0] * MINUTES_A_DAY
        for weights, messages in offered.items():
            each = messages * (scale // sums[weights])
            counts = [count + each * weight for count, weight in zip(counts, weights, strict=True)]
        return cls(tuple(counts), scale)

    def stretches(self, minutes: int) -> list[int]:
        """The messages of the `minutes` from each minute of the day on, in units of one part in `scale`."""
        until = [0, *accumulate(self.counts * 2)]
        return [until[start + minutes] - until[start] for start in range(MINUTES_A_DAY)]

    def between(self, begins: int, ends: int) -> Fraction:
        """The messages from one minute of the day to another."""
        return Fraction(sum(self.counts[begins:ends]), self.scale)


def peaks(programme: Programme, model: VolumeModel) -> list[Peaks]:
    """The peaks of each component of the model that is offered anything."""
    return [_peaks(programme, name, Minutes.of(offered)) for name, offered in model.offered.items()]


def hourly(model: VolumeModel) -> dict[str, list[int]]:
    """Messages offered to each component in each hour of the day, each rounded half to even."""
    found = {name: Minutes.of(offered) for name, offered in model.offered.items()}
    return {
        name: [round(minutes.between(hour * 60, hour * 60 + 60)) for hour in range(24)]
        for name, minutes in found.items()
    }


def backlogs(programme: Programme, model: VolumeModel) -> list[Backlog]:
    """Demand after each declared outage at each component."""
    found = {name: Minutes.of(offered) for name, offered in model.offered.items()}
    return [
        _backlog(programme, each, name, minutes)
        for each in programme.volumes.catch_up
        for name, minutes in found.items()
    ]


def busiest_second(minute: Fraction, seconds: int = 3600) -> int:
    """The count that no second exceeds in 95 of 100 days, when each holds a Poisson number of messages.

    `minute`: messages of the busiest minute; every one of the `seconds` is taken to be as busy, which is on the safe
    side. The smallest count whose distribution function, to the power of `seconds`, is at least 0.95: seconds are
    independent (Ross, Introduction to Probability Models, section 5.3).
    """
    from scipy.special import pdtr

    mean = float(minute / SECONDS)
    wanted = float(QUIET_DAYS) ** (1 / seconds)
    highest = int(mean + 20 * mean**0.5 + 20)
    return bisect_left(range(highest), wanted, key=lambda count: float(pdtr(count, mean)))


def _average(programme: Programme, minutes: Minutes) -> tuple[Fraction, Fraction]:
    """Messages of the peak window, and per second of it."""
    window = programme.volumes.peak_window
    inside = minutes.between(minute_of(window.begins), minute_of(window.ends))
    return inside, inside / (window_us(programme) // 1_000_000)


def _peaks(programme: Programme, component: str, minutes: Minutes) -> Peaks:
    inside, average = _average(programme, minutes)
    hour, minute = (_busiest(minutes, length, average) for length in (60, 1))
    exact = Fraction(max(minutes.counts), minutes.scale)
    second = busiest_second(exact)
    return Peaks(
        component=component,
        window=round(inside),
        average=average,
        hour=hour,
        minute=minute,
        second=second,
        second_ratio=second / average if average else Fraction(0),
    )


def _busiest(minutes: Minutes, length: int, average: Fraction) -> Stretch:
    counts = minutes.stretches(length)
    most = max(counts)
    exact = Fraction(most, minutes.scale)
    return Stretch(
        begins=counts.index(most),
        minutes=length,
        messages=round(exact),
        ratio=exact / (length * SECONDS) / average if average else Fraction(0),
    )


def _backlog(programme: Programme, each: CatchUp, component: str, minutes: Minutes) -> Backlog:
    """The worst time for an outage to end: what it left, and what comes anew until it must be cleared, are most."""
    kept = Fraction(programme.assumption(each.kept).value)
    outage, clearing = each.outage // MINUTE_US, each.cleared_within // MINUTE_US
    left, new = minutes.stretches(outage), minutes.stretches(clearing)
    together = [kept * left[start] + new[(start + outage) % MINUTES_A_DAY] for start in range(MINUTES_A_DAY)]
    worst = max(range(MINUTES_A_DAY), key=lambda start: (together[start], -start))
    rate = together[worst] / (clearing * SECONDS) / minutes.scale
    _, average = _average(programme, minutes)
    return Backlog(
        component=component,
        catch_up=each.id,
        begins=worst,
        queued=round(kept * left[worst] / minutes.scale),
        rate=rate,
        ratio=rate / average if average else Fraction(0),
    )
