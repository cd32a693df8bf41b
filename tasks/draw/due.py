"""When messages are due: Poisson, evenly spaced or in bursts, in order, and no more than a leaf of them in memory.

A window is halved until a part holds few enough messages; how many of each kind fall into its first half is drawn
exactly, from words that belong to that part alone. So any part can be drawn by itself, and leaves are part of what the
generator is: other sizes give other, equally likely arrivals.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import assert_never

import numpy as np

from catalog.declarations import ArrivalProcess, ArrivalsShape
from tasks.draw.rotation import golden_step
from tasks.draw.words import SPAN, Column, below, binomials, source

LEAF = 2**15
"""Messages drawn, put in order and handed on at once: their columns fit into a core's own cache."""

Due = tuple[Column, Column]
"""Offsets from the start in microseconds, not decreasing, and the label of each message."""

_PARTS, _PHASE = 0, 1
"""What words are drawn for, as the first number of their place."""


def due(shape: ArrivalsShape, counts: Sequence[int], *, window_us: int, seed: int) -> Iterator[Due]:
    """When each message is due in a window: `counts[label]` of each label, in batches of about `LEAF`."""
    messages = np.array(counts, dtype=np.int64)
    match shape.process:
        case ArrivalProcess.POISSON:
            return _poisson(seed, Part(number=1, start=0, stop=window_us, counts=messages))
        case ArrivalProcess.EVEN:
            return _even(messages, window_us, int(below(source(seed, _PHASE).random_raw(1), SPAN)[0]))
        case ArrivalProcess.BURSTY:
            return _bursty(seed, _Bursts.of(shape, messages, window_us))
        case _:
            assert_never(shape.process)


def released(counts: Sequence[int]) -> Iterator[Due]:
    """Messages that all are due at the start, `counts[label]` of each label, well mixed, in batches of about `LEAF`."""
    messages = np.array(counts, dtype=np.int64)
    if messages.any():
        for offsets, labels in _even(messages, max(1, int(messages.sum())), 0):
            yield np.zeros_like(offsets), labels


# --- parts ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Cells from `start` to before `stop`, and how many of each kind fall into them, each cell being as likely.

    `number`: 1 for the whole, 2n and 2n + 1 for the two that n is cut into.
    """

    number: int
    start: int
    stop: int
    counts: Column

    def words(self, seed: int) -> np.random.PCG64:
        """The words that are this part's own."""
        return source(seed, _PARTS, self.number)

    def halves(self, seed: int) -> tuple["Part", "Part"]:
        """Two parts; what falls into the first is binomial, with its share of the cells.

        The first is the largest power of two of cells, so that from there on halves are equal, and a coin decides.
        """
        middle = self.start + (1 << (self.stop - self.start - 1).bit_length() - 1)
        first = binomials(self.words(seed), self.counts, middle - self.start, self.stop - self.start)
        return (
            Part(number=2 * self.number, start=self.start, stop=middle, counts=first),
            Part(number=2 * self.number + 1, start=middle, stop=self.stop, counts=self.counts - first),
        )


def leaves(seed: int, whole: Part, is_leaf: Callable[[Part], bool]) -> Iterator[Part]:
    """The parts that are halved no further, in order, those with nothing in them left out."""
    waiting = [whole]
    while waiting:
        part = waiting.pop()
        if not part.counts.any():
            continue
        if part.stop - part.start == 1 or is_leaf(part):
            yield part
        else:
            waiting += reversed(part.halves(seed))


# --- Poisson ----------------------------------------------------------------------------------------------------------


def _poisson(seed: int, window: Part) -> Iterator[Due]:
    """Independent Poisson streams, one a label, each given its count: every message uniform over the window."""
    for part in leaves(seed, window, lambda each: each.stop - each.start <= SPAN and each.counts.sum() <= LEAF):
        labels = np.repeat(np.arange(len(part.counts)), part.counts)
        offsets = below(part.words(seed).random_raw(len(labels)), part.stop - part.start)
        yield _in_order(part.start, offsets, labels, len(part.counts))


def _in_order(start: int, offsets: Column, labels: Column, kinds: int) -> Due:
    """Messages by offset, those of one microsecond by label: one sort of both in one number. Uses `offsets` up."""
    bits = (kinds - 1).bit_length()
    offsets <<= bits
    offsets |= labels
    offsets.sort()
    labels = offsets & ((1 << bits) - 1)
    offsets >>= bits
    offsets += start
    return offsets, labels


# --- evenly spaced ----------------------------------------------------------------------------------------------------


def _even(counts: Column, window_us: int, phase: int) -> Iterator[Due]:
    """Message i of n is due at i x window / n, rounded down; labels are taken by golden steps, so each evenly too."""
    total = int(counts.sum())
    whole, rest = divmod(window_us, total) if total else (0, 0)
    stops, step = np.cumsum(counts), golden_step(total) if total else 0
    index = np.arange(min(LEAF, total), dtype=np.int64)
    for first in range(0, total, LEAF):
        at = index[: total - first]
        start, carried = divmod(first * window_us, total)
        offsets = at * rest
        offsets += carried
        offsets //= total
        offsets += at * whole
        offsets += start
        yield offsets, np.searchsorted(stops, steps_of(at, step, phase + first * step, total), side="right")


def steps_of(at: Column, step: int, start: int, size: int) -> Column:
    """(start + at x step) modulo size, where at x size is below 2^63; a division is cheaper here than a remainder."""
    walked = at * step
    walked += start % size
    walked -= walked // size * size
    return walked


# --- bursts -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bursts:
    """Bursts over a window of equal slots: `sizes[kind]` messages of `labels[kind]` fall into one slot together.

    Slots are `slot_us` long, the first `longer` of them a microsecond more, so that they fill the window.
    """

    window: Part
    sizes: Column
    labels: Column
    kinds: int
    slot_us: int
    longer: int

    @classmethod
    def of(cls, shape: ArrivalsShape, messages: Column, window_us: int) -> "_Bursts":
        parts = [burst_counts(int(count), Fraction(shape.dispersion or 1)) for count in messages]
        slots = -(-window_us // (shape.burst or window_us))
        return cls(
            window=Part(
                number=1, start=0, stop=slots, counts=np.array([n for each in parts for _, n in each], dtype=np.int64)
            ),
            sizes=np.array([size for each in parts for size, _ in each], dtype=np.int64),
            labels=np.repeat(np.arange(len(messages)), [len(each) for each in parts]),
            kinds=len(messages),
            slot_us=window_us // slots,
            longer=window_us % slots,
        )

    def start(self, slot: Column) -> Column:
        """When slots begin, in microseconds from the start."""
        return slot * self.slot_us + np.minimum(slot, self.longer)

    def is_leaf(self, part: Part) -> bool:
        """Whether a part is drawn at once: few messages, near each other."""
        span = (part.stop - part.start) * (self.slot_us + 1)
        return span <= SPAN and int(part.counts @ self.sizes) <= LEAF


def burst_counts(messages: int, dispersion: Fraction) -> list[tuple[int, int]]:
    """Bursts of a label, as (size, how many), that hold `messages` between them: two sizes, and one smaller remainder.

    The index of dispersion of bursts that come as a Poisson process is E[size²] / E[size] (compound Poisson: Ross,
    Introduction to Probability Models, section 5.4.2), which is the size of a message's own burst, on average over
    messages. So the share of messages in the larger bursts is what the dispersion has beyond the smaller size.
    """
    small = int(dispersion)
    larger = int(messages * (dispersion - small) / (small + 1))
    smaller, rest = divmod(messages - larger * (small + 1), small)
    return [(small + 1, larger), (small, smaller), (rest, 1 if rest else 0)]


def _bursty(seed: int, bursts: _Bursts) -> Iterator[Due]:
    """Bursts come as a Poisson process; the messages of each are spread evenly likely over the slot it falls into."""
    for part in leaves(seed, bursts.window, bursts.is_leaf):
        if bursts.is_leaf(part):
            yield _burst_leaf(seed, part, bursts)
        else:  # one slot that holds too much: messages in it are independent and uniform, which is Poisson
            yield from _poisson(seed, _slot(part, bursts))


def _burst_leaf(seed: int, part: Part, bursts: _Bursts) -> Due:
    words = part.words(seed)
    kinds = np.repeat(np.arange(len(part.counts)), part.counts)
    slots = part.start + below(words.random_raw(len(kinds)), part.stop - part.start)
    starts, lengths = bursts.start(slots), bursts.slot_us + (slots < bursts.longer)
    sizes = bursts.sizes[kinds]
    origin = int(bursts.start(np.array([part.start]))[0])
    offsets = below(words.random_raw(int(sizes.sum())), np.repeat(lengths, sizes)) + np.repeat(starts - origin, sizes)
    return _in_order(origin, offsets, np.repeat(bursts.labels[kinds], sizes), bursts.kinds)


def _slot(part: Part, bursts: _Bursts) -> Part:
    """A single slot as a stretch of microseconds, its bursts as the messages in them."""
    start, stop = bursts.start(np.array([part.start, part.stop])).tolist()
    messages = np.zeros(bursts.kinds, dtype=np.int64)
    np.add.at(messages, bursts.labels, part.counts * bursts.sizes)
    return Part(number=part.number, start=start, stop=stop, counts=messages)
