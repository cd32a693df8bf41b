"""Drift in a soak test: the robust trend of a series of blocks, whether it is one, and when it would cross a limit.

Pure. The slope is Theil and Sen's, the test Mann and Kendall's. Both assume independent values; blocks of a soak depend
on each other, and a slow wave looks like a trend. The variance of Kendall's statistic is therefore multiplied by the
greater of two corrections, never less than 1, and the interval of the slope is widened by the same:

- Yue and Wang's for first-order autoregression (Water Resources Management 18, 2004, in its limit (1 + r) / (1 - r)),
  where r comes from the ranks of the detrended values, by way of normal scores (r = 2 sin(pi/6 rank r), Pearson 1907),
  and is corrected for the bias that removing a line brings into short series: its mean is r - (2 + 4r)/n (Shaman and
  Stine, JASA 83, 1988);
- Hamed and Rao's from every significant lag (Journal of Hydrology 204, 1998), for dependence of another shape.

The normal quantile is replaced by Student's t with n/factor - 2 degrees of freedom, since a corrected series is worth
that many values. In simulations of first-order autoregression up to 0.6, with 30 blocks and more, a drift that was not
there was seen in 3 to 5 % of series (nominal 5 %); without correction, at 0.6, in 28 to 32 %.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from catalog.declarations import Direction
from expectations.rounding import rounded, rounded_down, rounded_up, settled, whole_down, whole_up
from expectations.statistics import FEWEST_BLOCKS, MILLION

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

_STRONGEST = 0.95  # autocorrelation taken for stronger would leave no information at all
_LEAST_FREEDOM = 3.0  # degrees of freedom: below them the quantile of Student's t is all noise


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A trend over blocks; strings are decimals of six significant digits, an interval's ends rounded outward.

    `slope`, `lower`, `upper`: units of the value for each unit of progress; the interval is None below `FEWEST_BLOCKS`
    blocks. `kendall`: Mann and Kendall's S, so many pairs rise more than fall. `factor`: what the variance was
    multiplied by. `p_ppm`: two-sided probability of so large an S without a drift, in parts per million, rounded up;
    None without an interval.
    """

    blocks: int
    slope: str
    kendall: int
    factor: str
    lower: str | None = None
    upper: str | None = None
    p_ppm: int | None = None

    @property
    def drifts(self) -> bool:
        """Whether the interval excludes that nothing drifts."""
        return self.lower is not None and self.upper is not None and (float(self.lower) > 0 or float(self.upper) < 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """How much further progress, from the last block on, brings the trend to its limit; in units of progress.

    `earliest` and `latest` by the ends of the slope's interval. 0 when the limit has been passed already.
    """

    expected: int
    earliest: int
    latest: int


def drift(progress: Sequence[int], values: Sequence[int], *, level: float = 0.95) -> Drift:
    """The trend of `values` over `progress`, one each a block, in order of progress, and whether it is a drift.

    Sen's median of pairwise slopes with his interval (JASA 63, 1968); Mann, Econometrica 13, 1945, and Kendall, Rank
    Correlation Methods, 1975, with its variance for ties; corrected as the module says.
    Raises ValueError when no two blocks differ in progress, or progress goes back.
    """
    import numpy as np

    x, y = np.asarray(progress, dtype=np.int64), np.asarray(values, dtype=np.int64)
    if (np.diff(x) < 0).any():
        raise ValueError("blocks of a trend stand in order of progress")
    first, second = np.triu_indices(len(x), k=1)
    moved = x[second] != x[first]
    if not moved.any():
        raise ValueError("a trend needs at least two blocks that differ in progress")
    first, second = first[moved], second[moved]
    slopes = np.sort((y[second] - y[first]) / (x[second] - x[first]))
    slope = settled(float(np.median(slopes)))
    kendall = int(np.sign(y[second] - y[first]).sum())
    factor = _factor(x, y, slope)
    found = Drift(blocks=len(x), slope=rounded(slope), kendall=kendall, factor=rounded(factor))
    if len(x) < FEWEST_BLOCKS:
        return found
    freedom = max(_LEAST_FREEDOM, len(x) / factor - 2)
    deviation = math.sqrt(_variance(y) * factor)
    reach = settled(_quantile(freedom, level) * deviation)
    low = max(0, math.floor((len(slopes) - reach) / 2) - 1)
    high = min(len(slopes) - 1, math.ceil((len(slopes) + reach) / 2))
    return replace(
        found,
        lower=rounded_down(float(slopes[low])),
        upper=rounded_up(float(slopes[high])),
        p_ppm=_probability(kendall, deviation, freedom),
    )


def crossing(
    progress: Sequence[int], values: Sequence[int], found: Drift, *, limit: int, direction: Direction
) -> Crossing | None:
    """When the trend of `found`, fitted to the same blocks, would break `limit`, in units of progress after the last.

    The line goes through the medians of progress and values (Conover, Practical Nonparametric Statistics, 1999, ch. 5).
    None when nothing drifts, or it drifts away from the limit. The level now is taken as known: over a horizon much
    longer than the test it is the slope's own interval that counts.
    """
    import numpy as np

    if not found.drifts or found.lower is None or found.upper is None:
        return None
    slope = float(found.slope)
    if (slope > 0) is not (direction is Direction.AT_MOST):
        return None
    last = progress[-1] - float(np.median(np.asarray(progress, dtype=np.int64)))
    now = settled(float(np.median(np.asarray(values, dtype=np.int64))) + slope * last)
    left = limit - now
    if (left > 0) is not (slope > 0):
        return Crossing(expected=0, earliest=0, latest=0)
    slowest, fastest = sorted((float(found.lower), float(found.upper)), key=abs)
    return Crossing(
        expected=whole_down(left / slope), earliest=whole_down(left / fastest), latest=whole_up(left / slowest)
    )


def _variance(values: "Integers") -> float:
    """Of Kendall's S among independent values, corrected for ties."""
    import numpy as np

    count = len(values)
    _, counts = np.unique(values, return_counts=True)
    tied = sum(each * (each - 1) * (2 * each + 5) for each in counts.tolist())
    return float(count * (count - 1) * (2 * count + 5) - tied) / 18


def _factor(x: "Integers", y: "Integers", slope: float) -> float:
    """The greater of the two corrections of the module's docstring, at least 1; what is left is worth 3 values."""
    import numpy as np

    count = len(x)
    if count < 4:
        return 1.0
    detrended = [settled(float(value) - slope * float(at)) for at, value in zip(x - x[0], y, strict=True)]
    _, place, tied = np.unique(detrended, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(tied) - (tied - 1) / 2)[place] - (count + 1) / 2  # equal values share their ranks' mean
    whole = math.fsum((ranks * ranks).tolist())
    if whole == 0:
        return 1.0
    lags = [math.fsum((ranks[:-lag] * ranks[lag:]).tolist()) / whole for lag in range(1, count - 2)]
    score = 2 * math.sin(math.pi / 6 * lags[0])
    first = min(_STRONGEST, (score + 2 / count) / (1 - 4 / count)) if count > 4 else 0.0
    significant = np.abs(lags) > 1.959964 / math.sqrt(count)
    weighted = math.fsum(
        (count - lag) * (count - lag - 1) * (count - lag - 2) * each
        for lag, (each, counts) in enumerate(zip(lags, significant.tolist(), strict=True), start=1)
        if counts
    )
    by_lags = 1 + 2 * weighted / (count * (count - 1) * (count - 2))
    return settled(max(1.0, (1 + first) / (1 - first), by_lags))


def _quantile(freedom: float, level: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + level / 2))


def _probability(kendall: int, deviation: float, freedom: float) -> int:
    """Two-sided, with Kendall's correction for continuity; parts per million, rounded up."""
    from scipy.special import stdtr

    if not deviation:
        return MILLION
    return whole_up(2 * float(stdtr(freedom, -max(0, abs(kendall) - 1) / deviation)) * MILLION)
