"""HdrHistogram's own encoding of a histogram, versions 0 to 2, and quantiles by nearest rank over its buckets.

Source: the encoding in HdrHistogram's AbstractHistogram (Java), which the other implementations follow.
"""

import base64
import binascii
import math
import struct
import zlib
from collections import Counter
from dataclasses import dataclass, field

_V0, _V1, _V2 = 0x1C849308, 0x1C849301, 0x1C849303
_COMPRESSED = {0x1C849309: _V0, 0x1C849302: _V1, 0x1C849304: _V2}
_MOST_BYTES = 64 << 20
_MOST_BUCKETS = 4 << 20


@dataclass(slots=True)
class Histogram:
    """Counts by the highest value of each bucket that holds any."""

    counts: Counter[int] = field(default_factory=Counter)

    def add(self, other: "Histogram") -> None:
        """All of the other's counts too."""
        self.counts.update(other.counts)

    @property
    def total(self) -> int:
        """How many values it holds."""
        return sum(self.counts.values())

    def quantile(self, permyriad: int) -> int:
        """The nearest rank's value, as the highest that its bucket may stand for. Raises ValueError when empty."""
        if not self.counts:
            raise ValueError("an empty histogram has no quantiles")
        rank, seen = max(1, -(-self.total * permyriad // 10_000)), 0
        for value in sorted(self.counts):
            seen += self.counts[value]
            if seen >= rank:
                return value
        return max(self.counts)


def decoded(text: str) -> Histogram:
    """The histogram in Base64, compressed or not. Raises ValueError where it is none."""
    try:
        data = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not Base64") from error
    if len(data) < 8:
        raise ValueError("too short for a histogram")
    cookie = struct.unpack_from(">i", data)[0] & ~0xF0
    if cookie in _COMPRESSED:
        data = _inflated(data)
        if len(data) < 4 or struct.unpack_from(">i", data)[0] & ~0xF0 != _COMPRESSED[cookie]:
            raise ValueError("compressed as one version, written as another")
    return _read(data)


def _inflated(data: bytes) -> bytes:
    (length,) = struct.unpack_from(">i", data, 4)
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(data[8 : 8 + max(0, length)], _MOST_BYTES)
    except zlib.error as error:
        raise ValueError(f"not compressed as it says: {error}") from error
    if inflater.unconsumed_tail or not inflater.eof:
        raise ValueError("cut short, or larger than any histogram")
    return found


def _read(data: bytes) -> Histogram:
    try:
        (cookie,) = struct.unpack_from(">i", data)
        base, word = cookie & ~0xF0, ((cookie & 0xF0) >> 4) & 0xE
        if base == _V0:
            digits, lowest, highest, _total = struct.unpack_from(">iqqq", data, 4)
            body = data[32:]
        elif base in (_V1, _V2):
            length, offset, digits, lowest, highest, _ratio = struct.unpack_from(">iiiqqd", data, 4)
            body = data[40 : 40 + max(0, length)]
            if len(body) < length or offset:
                raise ValueError("cut short, or shifted")
        else:
            raise ValueError(f"the unknown version {cookie:#x}")
    except struct.error as error:
        raise ValueError("too short for a histogram") from error
    if not 0 <= digits <= 5 or lowest < 1 or highest < 2 * lowest:
        raise ValueError("a range that makes no sense")
    counts = _zigzag(body) if base == _V2 else _words(body, word)
    shape = _Shape(lowest, digits)
    found = Histogram()
    for index, count in counts:
        if count:
            found.counts[shape.highest_of(index)] += count
    return found


def _words(body: bytes, word: int) -> list[tuple[int, int]]:
    form = {2: ">h", 4: ">i", 8: ">q"}.get(word)
    if form is None:
        raise ValueError(f"counts of {word} bytes")
    values = struct.iter_unpack(form, body[: len(body) // word * word])
    found = [(index, value) for index, (value,) in enumerate(values) if value]
    if any(value < 0 for _, value in found):
        raise ValueError("a count below zero")
    return found


def _zigzag(body: bytes) -> list[tuple[int, int]]:
    """Counts in zigzag LEB128 of up to nine bytes; one below zero stands for so many buckets without any."""
    found: list[tuple[int, int]] = []
    index = at = 0
    while at < len(body):
        value = shift = 0
        for place in range(9):
            if at >= len(body):
                raise ValueError("cut short within a count")
            byte = body[at]
            at += 1
            value |= (byte if place == 8 else byte & 0x7F) << shift
            if place == 8 or byte < 0x80:
                break
            shift += 7
        count = (value >> 1) ^ -(value & 1)
        if count < 0:
            index += -count
        else:
            found.append((index, count))
            index += 1
        if index > _MOST_BUCKETS:
            raise ValueError("more buckets than any histogram has")
    return found


class _Shape:
    def __init__(self, lowest: int, digits: int) -> None:
        magnitude = math.ceil(math.log2(2 * 10**digits))
        self._half = max(magnitude, 1) - 1
        self._unit = lowest.bit_length() - 1

    def highest_of(self, index: int) -> int:
        """The highest value that falls into the bucket of this index."""
        bucket = (index >> self._half) - 1
        sub = (index & ((1 << self._half) - 1)) + (1 << self._half)
        if bucket < 0:
            sub -= 1 << self._half
            bucket = 0
        if bucket + self._unit > 60:
            raise ValueError("a value beyond 64 bits")
        return ((sub + 1) << (bucket + self._unit)) - 1
