"""What is drawn from random 64-bit words: whole numbers below a bound, fair coins, and exact binomials out of them.

numpy promises that the raw words of a bit generator never change, and promises no such thing of what `Generator` makes
of them. So words are all that is taken from it.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.int64]
Words = NDArray[np.uint64]

SPAN = 2**32
"""The largest bound that numbers are drawn below."""

_HALF, _LOW = np.uint64(32), np.uint64(2**32 - 1)
_WORD = 64
_AT_ONCE = 2**17
"""Words held at once while coins are tossed, a megabyte: tossing a billion coins takes no more memory than that."""


def source(seed: int, *place: int) -> np.random.PCG64:
    """The words that belong to one place of the stream with this seed, whatever was drawn at other places."""
    return np.random.PCG64(np.random.SeedSequence(seed, spawn_key=place))


def below(drawn: Words, bound: int | Column) -> Column:
    """word x bound / 2^64, rounded down: a number below `bound` (at most `SPAN`) for each word, which it uses up.

    A number is likelier than another by at most bound / 2^64 of itself.
    """
    factor = np.asarray(bound).astype(np.uint64)
    low = drawn & _LOW
    low *= factor
    low >>= _HALF
    drawn >>= _HALF
    drawn *= factor
    drawn += low
    drawn >>= _HALF
    return drawn.view(np.int64)


def binomials(words: np.random.PCG64, counts: Column, numerator: int, denominator: int) -> Column:
    """How many of each count happen, where one happens with probability numerator / denominator (below 1). Exact.

    Each is held against the probability's binary digits, a coin at a time, until they differ: two coins on average,
    and one where the probability is a half.
    """
    happened, open_ = np.zeros_like(counts), counts
    while numerator and open_.any():
        numerator *= 2
        ones = heads(words, open_)
        if numerator >= denominator:  # the digit is 1: whoever tossed 0 is below the probability
            numerator -= denominator
            happened, open_ = happened + (open_ - ones), ones
        else:  # the digit is 0: whoever tossed 1 is above it
            open_ = open_ - ones
    return happened


def heads(words: np.random.PCG64, counts: Column) -> Column:
    """How many of each count of fair coins show heads: the ones among as many random bits."""
    needed = -(-counts // _WORD)
    ends = np.cumsum(needed)
    found = np.zeros_like(counts)
    for first, drawn in _pieces(words, int(ends[-1])):
        _cut(drawn, ends - 1 - first, counts % _WORD)
        tally = np.concatenate(([0], np.cumsum(np.bitwise_count(drawn), dtype=np.int64)))
        last = np.clip(ends - first, 0, len(drawn))
        found += tally[last] - tally[np.clip(ends - needed - first, 0, len(drawn))]
    return found


def _pieces(words: np.random.PCG64, total: int) -> Iterator[tuple[int, Words]]:
    for first in range(0, total, _AT_ONCE):
        yield first, words.random_raw(min(_AT_ONCE, total - first))


def _cut(drawn: Words, last: Column, bits: Column) -> None:
    """Keeps only the lowest `bits` of the words at `last`, where they are among those drawn and not used whole."""
    here = np.flatnonzero((bits > 0) & (last >= 0) & (last < len(drawn)))
    drawn[last[here]] &= (np.uint64(1) << bits[here].astype(np.uint64)) - np.uint64(1)
