"""End-to-end latency along a message path, composed from what its components showed when each was tested apart.

Pure. A path's latency is the sum of its components' latencies, but how those depend on each other was not measured:
a busy hour may slow them all. Two answers are therefore given together:

- bounds that no dependence can break. For two components they are sharp: some dependence attains them (Makarov, Theory
  of Probability and its Applications 26, 1981; Rüschendorf, Advances in Applied Probability 14, 1982; Frank, Nelsen and
  Schweizer, Probability Theory and Related Fields 74, 1987). For more they hold and need not be sharp (the standard
  bounds of Denuit, Genest and Marceau, Insurance: Mathematics and Economics 25, 1999). The upper bound decides.
- the percentile if the components were independent, by convolution on a declared grid, between two values that the
  grid cannot move it out of.

Percentiles are by nearest rank, of the latencies as they were given: what sampling left unknown is not in here.
Messages that were not answered (`LATER`) rank last in a component, and a path that meets one is not answered either.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expectations.statistics import Estimate
from expectations.verdicts import LATER

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]

SHARES = 1_000
"""Parts into which the probability beyond (or up to) a percentile is cut, to be shared between components."""

_MOST_CELLS = 2**23
"""Cells of a grid whose convolution takes a second or two."""

_MOST_PAIRS = 2**52  # pairs of messages whose shares of a thousandth still are 64-bit integers
_NOISE = 1e-11  # in probability: more than a convolution by Fourier transform is off; what differs by less is equal


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Latencies:
    """One component's latencies: `values`, and how often each came; two int64 columns of equal length (`counted`).

    Values are µs, at least 0, and rise; the last may be `LATER`.
    """

    values: "Integers"
    counts: "Integers"

    def __post_init__(self) -> None:
        if not len(self.values) or len(self.values) != len(self.counts):
            raise ValueError("latencies are values and as many counts, at least one")
        if self.values[0] < 0 or (self.values[1:] <= self.values[:-1]).any() or (self.counts <= 0).any():
            raise ValueError("latencies are values of at least 0 in rising order, each seen at least once")


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A percentile of a path's latency, in µs; `LATER` where it falls among messages without an answer.

    `lower_us` and `upper_us` hold whatever the dependence. `independent`: its value on the grid, and the two values
    that it lies between whatever was rounded to the grid.
    """

    permille: int
    components: int
    lower_us: int
    upper_us: int
    independent: Estimate
    grid_us: int


def counted(values: "Sequence[int] | Integers") -> Latencies:
    """The latencies of `values`: µs each, in any order. Raises ValueError for none, or for one below 0."""
    import numpy as np

    found, counts = np.unique(np.asarray(values, dtype=np.int64), return_counts=True)
    return Latencies(values=found, counts=counts.astype(np.int64))


def compose(components: Sequence[Latencies], permille: int, *, grid_us: int) -> Composed:
    """The percentile of the sum of the components' latencies: bounds for any dependence, and under independence.

    Raises ValueError for no component, a percentile outside 1 to 1000 permille, or a grid too fine for the latencies
    (more than 2**23 cells).
    """
    lower, upper = bounds(components, permille)
    return Composed(
        permille=permille,
        components=len(components),
        lower_us=lower,
        upper_us=upper,
        independent=independent(components, permille, grid_us=grid_us),
        grid_us=grid_us,
    )


def bounds(components: Sequence[Latencies], permille: int) -> tuple[int, int]:
    """The least and the greatest percentile (µs) that any dependence allows the sum; sharp for two components.

    Of sums x1 + ... + xn of the components' own quantiles: with the probabilities beyond them together no more than
    1 - p, the percentile is at most the sum; with those below together less than p, at least. Each bound is the best
    of these: over every value of both, for two; over every split into `SHARES` parts, for more.
    Raises ValueError for no component, or a percentile outside 1 to 1000 permille.
    """
    _check(components, permille)
    one, other = components[0], components[-1]
    if len(components) == 2 and int(one.counts.sum()) * int(other.counts.sum()) < _MOST_PAIRS:
        found = _lower_of_two(one, other, permille), _upper_of_two(one, other, permille)
    elif len(components) == 1:
        found = (int(_at(components[0], permille, 1000)[0]),) * 2
    else:
        found = _lower(components, permille), _upper(components, permille)
    return min(LATER, found[0]), min(LATER, found[1])


def independent(components: Sequence[Latencies], permille: int, *, grid_us: int) -> Estimate:
    """The percentile (µs) of the sum of independent latencies: its value on the grid, and two that it lies between.

    Each latency is rounded down, to the nearest, and up to whole cells of `grid_us`; the sum's distribution is the
    convolution, by fast Fourier transform; probabilities that differ by less than 1e-11 count as equal. The ends are
    at most a cell apart for each component. Raises ValueError as `compose` does.
    """
    _check(components, permille)
    if grid_us < 1:
        raise ValueError("a grid has cells of at least 1 µs")
    low, near, high = (
        _percentile([_cells(each, grid_us, added) for each in components], permille, grid_us)
        for added in (0, grid_us // 2, grid_us - 1)
    )
    return Estimate(near, low, high)


def _check(components: Sequence[Latencies], permille: int) -> None:
    if not components:
        raise ValueError("a path has at least one component")
    if not 1 <= permille <= 1000:
        raise ValueError(f"a percentile lies between 1 and 1000 permille, not at {permille}")


def _at(latencies: Latencies, numerator: "int | Integers", denominator: int) -> "Integers":
    """Quantiles at numerator/denominator by nearest rank; the least value at 0."""
    import numpy as np

    total = int(latencies.counts.sum())
    ranks = np.maximum(1, -(-np.atleast_1d(np.asarray(numerator, dtype=np.int64)) * total // denominator))
    found: Integers = latencies.values[np.searchsorted(np.cumsum(latencies.counts), ranks)]
    return found


def _upper_of_two(one: Latencies, other: Latencies, permille: int) -> int:
    """The least x + y with P(X > x) + P(Y > y) <= 1 - p; for each x the least such y, in whole counts."""
    import numpy as np

    size, others = int(one.counts.sum()), int(other.counts.sum())
    up_to = np.cumsum(one.counts)
    enough = up_to * 1000 >= permille * size
    # P(Y <= y) >= 1 + p - P(X <= x), times 1000 * size * others
    wanted = (1000 + permille) * size * others - 1000 * up_to[enough] * others
    ranks = np.maximum(1, -(-wanted // (1000 * size)))
    found = one.values[enough] + other.values[np.searchsorted(np.cumsum(other.counts), ranks)]
    return int(found.min())


def _lower_of_two(one: Latencies, other: Latencies, permille: int) -> int:
    """The greatest x + y with P(X < x) + P(Y < y) < p; for each x the greatest such y, in whole counts."""
    import numpy as np

    size, others = int(one.counts.sum()), int(other.counts.sum())
    below = np.cumsum(one.counts) - one.counts
    possible = below * 1000 < permille * size
    wanted = permille * size * others - 1000 * below[possible] * others
    ranks = -(-wanted // (1000 * size))
    found = one.values[possible] + other.values[np.searchsorted(np.cumsum(other.counts), ranks)]
    return int(found.max())


def _upper(components: Sequence[Latencies], permille: int) -> int:
    """The least sum of quantiles at 1 - t, over the ways to share 1 - p into tails t of whole parts."""
    import numpy as np

    parts = np.arange(SHARES + 1, dtype=np.int64)
    best = np.zeros(SHARES + 1, dtype=np.int64)
    for each in components:
        own = _at(each, 1000 * SHARES - parts * (1000 - permille), 1000 * SHARES)
        best = np.array([np.min(best[: part + 1] + own[part::-1]) for part in parts.tolist()])
        best = np.minimum(best, LATER)
    return int(best[-1])


def _lower(components: Sequence[Latencies], permille: int) -> int:
    """The greatest sum of quantiles at u, over the ways to share p into u of whole parts."""
    import numpy as np

    parts = np.arange(SHARES + 1, dtype=np.int64)
    best = np.zeros(SHARES + 1, dtype=np.int64)
    for each in components:
        own = _at(each, parts * permille, 1000 * SHARES)
        best = np.array([np.max(best[: part + 1] + own[part::-1]) for part in parts.tolist()])
        best = np.minimum(best, LATER)
    return int(best[-1])


def _cells(latencies: Latencies, grid_us: int, added_us: int) -> "Floats":
    """The probability of each cell of the grid, unanswered messages left out."""
    import numpy as np

    answered = latencies.values < LATER
    cells = (latencies.values[answered] + added_us) // grid_us
    if len(cells) and cells[-1] >= _MOST_CELLS:
        raise ValueError(f"a grid of {grid_us} µs is too fine for latencies of {latencies.values[answered][-1]} µs")
    counts = np.bincount(cells, weights=latencies.counts[answered].astype(np.float64), minlength=1)
    found: Floats = counts / float(latencies.counts.sum())
    return found


def _percentile(parts: "Sequence[Floats]", permille: int, grid_us: int) -> int:
    """The least value (µs) up to which the sum has its share of all probability; `LATER` where none has."""
    import numpy as np
    from scipy.signal import fftconvolve

    cells = sum(len(each) for each in parts)
    if cells > _MOST_CELLS:
        raise ValueError(f"a grid of {grid_us} µs is too fine: the path needs {cells} cells")
    share = permille / 1000 - _NOISE
    if share > math.prod(float(each.sum()) for each in parts):
        return LATER
    whole = parts[0]
    for each in parts[1:]:
        whole = np.maximum(0.0, fftconvolve(whole, each))
    return min(int(np.searchsorted(np.cumsum(whole), share)), len(whole) - 1) * grid_us
