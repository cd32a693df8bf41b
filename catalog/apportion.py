"""Whole messages out of exact shares: the largest remainder method, which conserves totals."""

import heapq
from collections.abc import Sequence
from fractions import Fraction
from math import lcm


def apportion(total: int, weights: Sequence[Fraction | int]) -> list[int]:
    """`total` split over `weights` into whole numbers that add up to it.

    Hamilton's largest remainder method: every part gets the whole part of its exact share, and the units left over go
    to the largest remainders (the earlier part first where remainders are equal). Raises ValueError when `total` is
    negative, a weight is negative, or there is something to split and no weight to split it by.
    """
    if total < 0 or any(weight < 0 for weight in weights):
        raise ValueError("only a total and weights of at least nothing can be apportioned")
    if any(isinstance(weight, Fraction) for weight in weights):
        common = lcm(*(weight.denominator for weight in weights))
        weights = [weight.numerator * (common // weight.denominator) for weight in weights]
    whole = sum(weights)
    if whole == 0:
        if total:
            raise ValueError(f"{total} cannot be apportioned over weights that add up to nothing")
        return [0] * len(weights)
    parts, remainders = [], []
    for weight in weights:
        part, remainder = divmod(total * weight, whole)
        parts.append(int(part))
        remainders.append(remainder)
    left = total - sum(parts)
    for index in heapq.nsmallest(left, range(len(parts)), key=lambda index: (-remainders[index], index)):
        parts[index] += 1
    return parts
