"""Devices dealt to a stream of messages: path by path, each path's own devices in turn."""

from collections.abc import Iterable, Sequence

import numpy as np

from tasks.draw.due import steps_of
from tasks.draw.rotation import golden_step
from tasks.draw.words import SPAN, Column, below, source

_DEVICES = 2
"""What words are drawn for, as the first number of their place (0 and 1 are taken in `tasks.draw.due`)."""


class Dealer:
    """Deals devices in the order in which messages are due. It remembers nothing but how many each path was dealt.

    The k-th message of a path gets the device after k golden steps around its slice, from a start drawn from the seed:
    `size` messages in a row go to `size` devices, each of them to one.
    """

    def __init__(self, path_of_label: Sequence[int], slices: Sequence[range], seed: int) -> None:
        self._path_of_label = np.array(path_of_label, dtype=np.uint16)
        self._slices = slices
        self._steps = [golden_step(len(each)) for each in slices]
        starts = below(source(seed, _DEVICES).random_raw(len(slices)), SPAN) if slices else np.zeros(0, dtype=np.int64)
        self._walked = [start * step for start, step in zip(starts.tolist(), self._steps, strict=True)]

    def deal(self, labels: Column) -> Column:
        """A device for each of the next messages."""
        if len(self._slices) == 1:
            return self._next(0, len(labels))
        paths = self._path_of_label[labels]
        dealt = [self._next(path, count) for path, count in enumerate(np.bincount(paths).tolist())]
        devices = np.empty(len(labels), dtype=np.int64)
        devices[np.argsort(paths, kind="stable")] = np.concatenate(dealt)
        return devices

    def _next(self, path: int, count: int) -> Column:
        own, step = self._slices[path], self._steps[path]
        devices = steps_of(np.arange(count, dtype=np.int64), step, self._walked[path], len(own))
        devices += own.start
        self._walked[path] += count * step
        return devices


def shortest_reuse_us(stream: Iterable[tuple[Column, Column]], estate: int) -> int | None:
    """The shortest time between two messages of one device; None when no device has two.

    `stream`: offsets in microseconds and devices, in the order in which they are due. Holds a number for each device.
    """
    never = -(2**62)
    seen = np.full(estate, never, dtype=np.int64)
    shortest = 2**62
    for offsets, devices in stream:
        order = np.argsort(devices, kind="stable")
        device, at = devices[order], offsets[order]
        again = device[1:] == device[:-1]
        first = np.concatenate(([True], ~again))
        within = np.diff(at)[again]
        across = at[first] - seen[device[first]]
        shortest = min(shortest, *(int(each.min()) for each in (within, across) if len(each)))
        seen[devices] = offsets  # of several to one device the last stands: numpy assigns in order
    return shortest if shortest < -never // 2 else None
