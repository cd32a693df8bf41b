"""Golden steps: walks around a circle of whole numbers that visit each once, and every stretch of it evenly."""

from functools import lru_cache
from math import gcd, isqrt

_NEAR = 64
"""How far from the golden section a step is looked for, on either side: of 100 numbers in a row one is coprime to any
number below 2^53, which has at most 15 prime factors (Jacobsthal's function)."""


@lru_cache(maxsize=4096)
def golden_step(size: int) -> int:
    """A step coprime to `size`, next to size / φ, so that `size` steps visit every number below it once.

    Of the numbers that near, the one whose continued fraction over `size` has the smallest sum: the more evenly do
    any consecutive steps spread (Kuipers and Niederreiter, Uniform Distribution of Sequences, section 2.3).
    """
    centre = (isqrt(5 * size * size) - size) // 2
    near = range(max(0, centre - _NEAR), min(size, centre + _NEAR + 1))
    coprime = (each for each in near if gcd(each, size) == 1)
    return min(coprime, key=lambda each: (_quotients(each, size), abs(each - centre)))


def discrepancy(size: int) -> int:
    """By how many of any consecutive steps the share of a stretch can miss its length, at most.

    Twice the sum of the partial quotients bounds it for a stretch that starts anywhere (the same section).
    """
    return 2 * _quotients(golden_step(size), size) + 3


def _quotients(step: int, size: int) -> int:
    """The sum of the partial quotients of the continued fraction of step / size: Euclid's algorithm."""
    total = 0
    while step:
        whole, rest = divmod(size, step)
        total, size, step = total + whole, step, rest
    return total
