"""Where messages wait and are served: workers, first come first served, on an absolute clock.

A message starts at the later of its arrival and the moment a worker is free, and is done a service time later. These
instants are computed, not slept through, so that a late wake-up delays one answer and never the worker's next message:
`workers / service time` is the real capacity.
"""

import asyncio
import random
import time
from collections.abc import Callable
from heapq import heappop, heappush, heapreplace
from typing import Generic, TypeVar

from tasks.emulate.spec import ComponentSpec, ServiceDistribution
from tasks.wire.alarm import alarm

T = TypeVar("T")


class Station(Generic[T]):
    """The workers of a component; `served` is called with each message when its service is done."""

    def __init__(self, loop: asyncio.AbstractEventLoop, spec: ComponentSpec, served: Callable[[T], None]) -> None:
        self._workers = spec.workers
        self._served = served
        self._service = _service_times(spec)
        self._free_at = [0] * spec.workers
        self._due: list[tuple[int, int, T]] = []
        self._entered = 0
        self._alarm = alarm(loop, self._ring)

    @property
    def busy(self) -> int:
        """Workers that are serving; with unlimited workers, messages being served."""
        return min(len(self._due), self._workers) if self._workers else len(self._due)

    @property
    def waiting(self) -> int:
        """Messages that wait for a worker."""
        return len(self._due) - self.busy

    def enter(self, message: T) -> None:
        """A message arrives now."""
        now = time.monotonic_ns()
        start = max(now, self._free_at[0]) if self._workers else now
        done = start + self._service()
        if self._workers:
            heapreplace(self._free_at, done)
        if done <= now:
            self._served(message)
            return
        self._entered += 1  # breaks ties in order of arrival
        heappush(self._due, (done, self._entered, message))
        if self._due[0][1] == self._entered:
            self._alarm.set(done)

    def close(self) -> None:
        """Serve no more."""
        self._alarm.close()

    def _ring(self) -> None:
        now = time.monotonic_ns()
        while self._due and self._due[0][0] <= now:
            self._served(heappop(self._due)[2])
        if self._due:
            self._alarm.set(self._due[0][0])


def _service_times(spec: ComponentSpec) -> Callable[[], int]:
    """Draws the next service time, in nanoseconds: the same sequence for the same seed."""
    mean_ns = spec.service_us * 1000
    if spec.service_distribution is ServiceDistribution.CONSTANT or not mean_ns:
        return lambda: mean_ns
    draw = random.Random(f"{spec.seed}:service")  # noqa: S311 - a simulation, not a secret
    return lambda: int(draw.expovariate(1 / mean_ns))
