"""The estate of devices cut into slices, one for each message path, so that no device is asked twice at once.

A device belongs to one path. Within its path it is asked again only when every other device of the slice was, so that
two messages of a device are as far apart as the slice is long. What a slice must hold is told here beforehand, from
volumes alone; `tasks.draw.devices.shortest_reuse_us` tells it of a stream that was drawn.
"""

from collections.abc import Mapping
from fractions import Fraction
from math import ceil, isqrt
from typing import assert_never

from catalog.apportion import apportion
from catalog.declarations import ArrivalProcess, ArrivalsShape
from tasks.draw.rotation import discrepancy

_RARE = 60
"""Odds of e^-60 to 1 that a random stream needs more devices than it is given: once in 10^26 stretches of time."""


def slices(messages: Mapping[str, int], needed: Mapping[str, int], estate: int) -> dict[str, range]:
    """The devices of each path: as many as it needs, and of those left over its share by messages.

    Where the estate is smaller than what is needed, it is cut in the proportion of the needs; no slice is empty.
    """
    if not messages:
        return {}
    paths, needs = list(messages), list(needed.values())
    spare = estate - sum(needs)
    if spare < 0:
        sizes = [1 + more for more in apportion(max(0, estate - len(paths)), needs)]
    else:
        sizes = [need + more for need, more in zip(needs, apportion(spare, _weights(messages)), strict=True)]
    found, start = {}, 0
    for path, size in zip(paths, sizes, strict=True):
        found[path] = range(start, start + size)
        start += size
    return found


def _weights(messages: Mapping[str, int]) -> list[int]:
    return list(messages.values()) if any(messages.values()) else [1] * len(messages)


def devices_needed(
    messages: Mapping[str, int], shape: ArrivalsShape, *, window_us: int, hold_us: int
) -> dict[str, int]:
    """How many devices each path needs so that none is asked again within `hold_us`: its most messages in that time."""
    total = sum(messages.values())
    return {
        path: max(1, min(count, _most_within(count, total, shape, window_us, hold_us))) if count else 1
        for path, count in messages.items()
    }


def _most_within(count: int, total: int, shape: ArrivalsShape, window_us: int, hold_us: int) -> int:
    """The most messages of a path, `count` of `total` in the window, that are due in any stretch of `hold_us`."""
    match shape.process:
        case ArrivalProcess.EVEN:
            together = ceil(Fraction(hold_us * total, window_us))
            missed = discrepancy(total) if count != total else 0
            return min(together, ceil(Fraction(together * count, total)) + missed)
        case ArrivalProcess.POISSON:
            return _at_most(Fraction(count * hold_us, window_us), Fraction(1), 1)
        case ArrivalProcess.BURSTY:
            touched = hold_us + 2 * (shape.burst or 0)  # bursts are whole slots, and a stretch touches one at each end
            dispersion = Fraction(shape.dispersion or 1)
            return _at_most(Fraction(count * touched, window_us), dispersion, int(dispersion) + 1)
        case _:
            assert_never(shape.process)


def _at_most(mean: Fraction, dispersion: Fraction, largest: int) -> int:
    """What a sum of independent bursts of up to `largest` with this mean exceeds with odds of e^-60 at most.

    Bernstein's inequality, P(X >= mean + t) <= exp(-t² / 2 (dispersion x mean + largest x t / 3)), solved for t
    (Boucheron, Lugosi and Massart, Concentration Inequalities, section 2.8). Given the window's count, the tail is
    lighter still.
    """
    edge = Fraction(_RARE * largest, 3)
    return ceil(mean + edge) + isqrt(ceil(edge * edge + 2 * _RARE * dispersion * mean)) + 1
