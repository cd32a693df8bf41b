"""Where messages wait and are served: workers, first come first served, on an absolute clock.

A message starts at the later of its arrival and the moment a worker is free, and is done a service time later. These
instants are computed, not slept through, so that a late wake-up delays one answer and never the worker's next message:
`workers / service time` is the real capacity. What is declared to happen meanwhile is known from the first message on,
so it is computed with them: see `timetable` and `crew`.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Generic, TypeVar

from tasks.emulate.crew import Crew
from tasks.emulate.service import service_times
from tasks.emulate.spec import ComponentSpec, OutageQueue, Overload
from tasks.emulate.timetable import Stoppage, Timetable
from tasks.wire.alarm import alarm

T = TypeVar("T")


class Station(Generic[T]):
    """The workers of a component; `served` is called with each message when its service is done.

    `lost` is called when an outage begins that loses what is in hand, with the messages that were, oldest first.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        spec: ComponentSpec,
        served: Callable[[T], None],
        lost: Callable[[Stoppage, list[T]], None],
        *,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._spec = spec
        self._clock = clock
        self._served = served
        self._lost = lost
        self._service = service_times(spec)
        self._timetable: Timetable | None = None
        self._crew: Crew | None = None
        self._losses: deque[Stoppage] = deque()
        self._starts: deque[int] = deque()
        self._due: list[tuple[int, int, T]] = []
        self._entered = 0
        self._armed: int | None = None
        self._alarm = alarm(loop, self._ring)

    @property
    def busy(self) -> int:
        """Messages being served."""
        return len(self._due) - self.waiting

    @property
    def waiting(self) -> int:
        """Messages that have not been taken up."""
        return self._waiting(self._clock())

    @property
    def workers(self) -> int:
        """Workers that are declared for now; 0 where nothing limits them."""
        return self._timetable.workers(self._clock()) if self._timetable else self._spec.workers

    @property
    def outage(self) -> Stoppage | None:
        """The outage that is on."""
        return self.outage_at(self._clock())

    def outage_at(self, at: int) -> Stoppage | None:
        """The outage that is on at that instant."""
        return self._timetable.outage(at) if self._timetable else None

    def arrive(self) -> int:
        """A message arrives: the instant at which, from which on everything counts if it is the first."""
        now = self._clock()
        if self._timetable is None:
            self._begin(now)
        return now

    def enter(self, message: T, now: int) -> bool:
        """Serve a message that has arrived `now`; False when it is turned away because too many wait."""
        self._settle(now)
        waiting, limit = self._waiting(now), self._spec.queue_limit
        crowded = 0 < limit <= waiting
        if crowded and self._spec.overload is Overload.REJECT:
            return False
        start, done = self._place(now, waiting if crowded else 0)
        if done <= now:
            self._served(message)
            return True
        self._entered += 1  # breaks ties in order of arrival
        if start > now:
            self._starts.append(start)
        heappush(self._due, (done, self._entered, message))
        self._arm()
        return True

    def close(self) -> None:
        """Serve no more."""
        self._alarm.close()

    def _begin(self, now: int) -> None:
        self._timetable = Timetable(self._spec, now)
        self._crew = Crew(self._timetable) if self._spec.workers else None
        self._losses.extend(each for each in self._timetable.outages if each.queue is OutageQueue.LOST)
        self._arm()

    def _place(self, now: int, crowd: int) -> tuple[int, int]:
        """When a message that comes now is taken up, and when it is done; `crowd` wait, more than there should."""
        timetable, crew = self._begun()
        start = crew.starts(now) if crew else timetable.resumes(now)
        work = timetable.slowed(start, self._service())
        if crowd:
            work += work * crowd // self._spec.queue_limit
        done = timetable.after(start, work)
        if crew:
            crew.occupy(done)
        return start, done

    def _begun(self) -> tuple[Timetable, Crew | None]:
        if self._timetable is None:
            raise RuntimeError("the station has not begun")
        return self._timetable, self._crew

    def _waiting(self, now: int) -> int:
        while self._starts and self._starts[0] <= now:
            self._starts.popleft()
        return len(self._starts)

    def _settle(self, now: int) -> None:
        """Everything that is due by now: services done, and outages that lose the rest."""
        while self._losses and self._losses[0].begins <= now:
            outage = self._losses.popleft()
            self._release(outage.begins)
            lost = [message for _, _, message in sorted(self._due, key=lambda each: each[1])]
            self._due.clear()
            self._starts.clear()
            if self._crew:
                self._crew.muster(outage.begins)
            self._lost(outage, lost)
        self._release(now)

    def _release(self, until: int) -> None:
        while self._due and self._due[0][0] <= until:
            self._served(heappop(self._due)[2])

    def _arm(self) -> None:
        instants = [self._due[0][0]] if self._due else []
        if self._losses:
            instants.append(self._losses[0].begins)
        soonest = min(instants, default=None)
        if soonest is not None and soonest != self._armed:
            self._alarm.set(soonest)
        self._armed = soonest

    def _ring(self) -> None:
        self._armed = None
        self._settle(self._clock())
        self._arm()
