"""Changes of level in a history: the days since which a figure has been another, however slowly they came.

Pure. A pair of runs, today's and the baseline's, shows a step that is larger than what a day varies by; a change of a
few per cent is lost in it, day after day. A history shows it: some days on end have another level than the others.

The statistic is (mean within - mean without)^2 * within * without / all, of log(1 + value), so that a change is a
ratio. Its greatest value is sought first over all splits into days before and days after (Sen and Srivastava, Annals of
Statistics 3, 1975), which shows a change soonest; then, where that shows none, over all stretches of days on end
(circular binary segmentation: Olshen and Venkatraman, Biostatistics 5, 2004), which shows a level that was left and
came back. What it would be without a change is learnt from the history itself: from `PERMUTATIONS` random orders of the
same days, all as likely as the real one if the days have one level and do not depend on each other. Where the real
order is beyond what `LEVEL` allows, the history is split there, and every part is searched again. Of the two ends of a
stretch one may be no change, only where its days happen to end: it is left out unless it is one by itself.

No part is shorter than `FEWEST_DAYS`: one bad day is not a change of level, and is for the comparison of its own day to
find. Days that depend on each other are searched all the same, and changes are then seen too often.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from expectations.rounding import settled, whole, whole_up
from expectations.statistics import MILLION
from expectations.verdicts import LATER

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

FEWEST_DAYS = 3
"""Days on either side of a change."""

LEVEL = 0.001
"""How often each search may call a history changed that is not; there are tens of figures, and a look every day."""

PERMUTATIONS = 4_999
"""Random orders of the days: the least probability that can be told is one in 5,000."""

_FINE = 1_000_000  # logarithms are compared as whole millionths


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of level. `at`: the place of the first value of the new level. `p_ppm`: of so great a change, or of the
    stretch that it is an end of, without one; rounded up.

    `before`, `after`: the median of either part. `ratio_ppm`: the new over the old (1,000,000: the same; None for an
    old one of 0; `LATER` for one that is larger than can be recorded, as to an answer that never came).
    """

    at: int
    before: int
    after: int
    ratio_ppm: int | None
    p_ppm: int


def changes(values: Sequence[int]) -> tuple[Change, ...]:
    """Every change of level in a history of figures, none below 0, one a day, oldest first.

    The same values always give the same answer: the random orders are drawn from a fixed seed.
    Raises ValueError for a figure below 0.
    """
    import numpy as np

    if any(value < 0 for value in values):
        raise ValueError("figures of a history are not below 0")
    logs = np.array([whole(math.log1p(value) * _FINE) for value in values], dtype=np.int64)
    if not values:
        return ()
    splits = sorted(_splits(logs, 0, len(logs)))
    levels = [_median(values[start:end]) for start, end in pairwise([0, *(at for at, _ in splits), len(values)])]
    return tuple(
        Change(at=at, before=before, after=after, ratio_ppm=_ratio(before, after), p_ppm=p_ppm)
        for (at, p_ppm), (before, after) in zip(splits, pairwise(levels), strict=True)
    )


def _splits(logs: "Integers", start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the part from `start` to `end` is split, with the probability of so much by chance in ppm."""
    part = logs[start:end]
    if len(part) < 2 * FEWEST_DAYS:
        return
    orders = _orders(part)
    for search in (_of_splits, _of_stretches):
        (found,), (begin,), (until,) = search(part[None, :])
        p_ppm = _by_chance(search(orders)[0], found)
        if p_ppm <= LEVEL * MILLION:
            break
    else:
        return
    inner = _ends(part, [int(at) for at in (begin, until) if 0 < at < len(part)])
    yield from ((start + at, p_ppm) for at in inner)
    for before, after in pairwise([start, *(start + at for at in inner), end]):
        yield from _splits(logs, before, after)


def _ends(part: "Integers", inner: list[int]) -> list[int]:
    """The ends of a stretch that are changes by themselves, or all of them where none is or there is only one."""
    if len(inner) == 1:
        return inner
    around = [0, *inner, len(part)]
    return [
        at for before, at, after in zip(around, inner, around[2:], strict=False) if _is_change(part, before, at, after)
    ] or inner


def _of_splits(rows: "Integers") -> tuple["Floats", "Integers", "Integers"]:
    """The greatest statistic of each row over all splits, and the days after it as a stretch."""
    import numpy as np

    count, days = rows.shape
    before = np.arange(FEWEST_DAYS, days - FEWEST_DAYS + 1, dtype=np.int64)
    sums = rows.cumsum(axis=1)
    shifts = _shifts(sums[:, before - 1], sums[:, -1:], before, days)
    at = shifts.argmax(axis=1)
    return shifts[np.arange(count), at], before[at], np.full(count, days)


def _of_stretches(rows: "Integers") -> tuple["Floats", "Integers", "Integers"]:
    """The greatest statistic of each row, and where the stretch that has it begins and ends; the first of equals."""
    import numpy as np

    count, days = rows.shape
    sums = np.concatenate([np.zeros((count, 1), dtype=np.int64), rows.cumsum(axis=1)], axis=1)
    best, begin, length = np.full(count, -1.0), np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    for within in range(FEWEST_DAYS, days - FEWEST_DAYS + 1):
        starts = np.array([at for at in range(days - within + 1) if _leaves_whole_parts(at, days - within - at)])
        shifts = _shifts(sums[:, starts + within] - sums[:, starts], sums[:, -1:], within, days)
        at = shifts.argmax(axis=1)
        greatest = shifts[np.arange(count), at]
        better = greatest > best
        best[better], begin[better], length[better] = greatest[better], starts[at][better], within
    return best, begin, begin + length


def _shifts(sums: "Integers", all_sums: "Integers", within: "Integers | int", days: int) -> "Floats":
    """The statistic, by the sum of `within` days of `days` and the sum of all.

    With S and T these sums, (mean within - mean without)^2 * w * (n - w) / n is (n * S - w * T)^2 / (n * w * (n - w)).
    The square's root is in integers, so equal orders give equal numbers.
    """
    import numpy as np

    apart = days * sums - within * all_sums
    found: Floats = apart.astype(np.float64) ** 2 / (days * within * (days - within))
    return found


def _leaves_whole_parts(before: int, after: int) -> bool:
    """Whether what is left on either side of a stretch is nothing, or long enough to be a part."""
    return all(left == 0 or left >= FEWEST_DAYS for left in (before, after))


def _is_change(part: "Integers", before: int, at: int, after: int) -> bool:
    """Whether the days from `before` to `at` and those from there to `after` have different levels."""
    days, within = part[before:after], at - before

    def apart(rows: "Integers") -> "Integers":
        found: Integers = abs(len(days) * rows[:, :within].sum(axis=1) - within * rows.sum(axis=1))
        return found

    return _by_chance(apart(_orders(days)), int(apart(days[None, :])[0])) <= LEVEL * MILLION


def _by_chance(without: "Floats | Integers", found: float) -> int:
    """How probable it is to find as much without a change, in ppm, rounded up; never below one in all orders."""
    return whole_up((int((without >= found).sum()) + 1) / (PERMUTATIONS + 1) * MILLION)


def _orders(part: "Integers") -> "Integers":
    """Random orders of a part: its values by the ranks of random words, the same for every part of that length."""
    import numpy as np

    words = np.random.PCG64(0).random_raw(PERMUTATIONS * len(part)).reshape(PERMUTATIONS, len(part))
    found: Integers = part[np.argsort(words, axis=1, kind="stable")]
    return found


def _ratio(before: int, after: int) -> int | None:
    return min(LATER, whole(settled(after / before) * MILLION)) if before else None


def _median(values: Sequence[int]) -> int:
    """The nearest rank."""
    return sorted(values)[(len(values) - 1) // 2]
