"""A quantile's interval as it is defined, message by message: what counting must give as well."""

import numpy as np
from scipy.special import bdtr

from expectations import statistics
from expectations.statistics import Estimate
from expectations.verdicts import LATER


def _resample(stretches, draw):
    return np.sort(np.concatenate([np.repeat(each, times) for each, times in zip(stretches, draw, strict=True)]))


def quantile_interval(values, block, permille, *, seed, level=0.95, effective=True):
    """Draws whole stretches of messages, sorts each resample, and ranks: no counts, no bisection."""
    ordered = np.sort(values)
    value = statistics.quantile(ordered, permille)
    stretches = [values[block == each] for each in np.unique(block)]
    if len(stretches) < statistics.FEWEST_BLOCKS:
        return Estimate(value, None, None)
    found = sorted(
        statistics.quantile(
            np.sort(np.concatenate([np.repeat(a, n) for a, n in zip(stretches, draw, strict=True)])), permille
        )
        for draw in statistics._drawn_blocks(len(stretches), seed)
    )
    low, high = statistics._tail_ranks(len(stretches), level)
    within = [int((each <= value).sum()) for each in stretches]
    worth = len(ordered)
    if effective:
        worth = max(1, int(statistics._worth(within, [len(each) for each in stretches], level)))
    ranks = np.arange(worth + 1)
    below = bdtr(ranks, worth, permille / 1000)
    tail = (1 - level) / 2
    first = int(ranks[below > tail][0]) * len(ordered) // worth
    last = int(ranks[below >= 1 - tail][0]) + 1
    lower = int(ordered[first - 1]) if first else 0
    upper = int(ordered[-(-last * len(ordered) // worth) - 1]) if last <= worth else LATER
    return Estimate(value, min(value, found[low - 1], lower), max(value, found[high - 1], upper))
