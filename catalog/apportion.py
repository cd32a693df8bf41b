"""Whole messages out of exact shares: the largest remainder method, which conserves totals."""

from collections.abc import Sequence
from fractions import Fraction


def apportion(total: int, weights: Sequence[Fraction | int]) -> list[int]:
    """`total` split over `weights` into whole numbers that add up to it.

    Hamilton's largest remainder method: every part gets the whole part of its exact share, and the units left over go
    to the largest remainders (the earlier part first where remainders are equal). Raises ValueError when `total` is
    negative, a weight is negative, or there is something to split and no weight to split it by.
    """
    if total < 0 or any(weight < 0 for weight in weights):
        raise ValueError("only a total and weights of at least nothing can be apportioned")
    whole = sum(weights, start=Fraction(0))
    if whole == 0:
        if total:
            raise ValueError(f"{total} cannot be apportioned over weights that add up to nothing")
        return [0] * len(weights)
    exact = [Fraction(total) * weight / whole for weight in weights]
    parts = [int(share) for share in exact]
    left = total - sum(parts)
    by_remainder = sorted(range(len(parts)), key=lambda index: (parts[index] - exact[index], index))
    for index in by_remainder[:left]:
        parts[index] += 1
    return parts
