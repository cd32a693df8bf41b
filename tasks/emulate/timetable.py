"""What is declared to happen to a component in time, as instants: pauses, outages, a slow start, changes of workers.

Pure: instants come from the caller, in nanoseconds of one clock, and none lies before `begun`, that of the first
message. Work stands still during pauses and outages and then goes on where it was, so `after` is exact.
"""

from dataclasses import dataclass

from tasks.emulate.spec import ComponentSpec, OutageAnswer, OutageQueue, Pause

_NS = 1000
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stoppage:
    """An outage as instants: from `begins` up to, and not at, `ends`."""

    begins: int
    ends: int
    answers: OutageAnswer
    queue: OutageQueue


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """From `at` on there are `workers`."""

    at: int
    workers: int


class Timetable:
    """The declared events of one component whose first message came at `begun`."""

    def __init__(self, spec: ComponentSpec, begun: int) -> None:
        self.begun = begun
        self.outages = [
            Stoppage(
                begins=begun + each.begins_us * _NS,
                ends=begun + (each.begins_us + each.length_us) * _NS,
                answers=each.answers,
                queue=each.queue,
            )
            for each in spec.outages
        ]
        self.changes = [Change(at=begun + each.at_us * _NS, workers=each.workers) for each in spec.scaling]
        self._workers = spec.workers
        self._pauses = _Pauses(spec.pause, begun) if spec.pause else None
        self._slow = spec.slow_start

    def workers(self, at: int) -> int:
        """How many workers are declared for that instant."""
        return next((change.workers for change in reversed(self.changes) if change.at <= at), self._workers)

    def outage(self, at: int) -> Stoppage | None:
        """The outage in which `at` lies."""
        return next((each for each in self.outages if each.begins <= at < each.ends), None)

    def resumes(self, at: int) -> int:
        """The first instant from `at` on at which work goes on."""
        for outage in self.outages:
            if outage.begins <= self._awake(at) < outage.ends:
                at = outage.ends
        return self._awake(at)

    def after(self, start: int, work: int) -> int:
        """When `work` nanoseconds of work are done that begin at `start`, an instant at which work goes on."""
        for outage in self.outages:
            if start >= outage.ends:
                continue
            done = self._worked(start, work)
            if done <= outage.begins:
                return done
            work -= self._between(start, outage.begins)
            start = self.resumes(outage.ends)
        return self._worked(start, work)

    def slowed(self, start: int, work: int) -> int:
        """`work` as it is multiplied for a message whose service begins at `start`."""
        if self._slow is None:
            return work
        length = self._slow.length_us * _NS
        left = max(0, length - (start - self.begun))
        return work + work * (self._slow.factor_ppm - _MILLION) * left // (length * _MILLION)

    def _awake(self, at: int) -> int:
        return self._pauses.resumes(at) if self._pauses else at

    def _worked(self, start: int, work: int) -> int:
        return self._pauses.after(start, work) if self._pauses else start + work

    def _between(self, start: int, end: int) -> int:
        return self._pauses.worked(end) - self._pauses.worked(start) if self._pauses else end - start


class _Pauses:
    """Pauses that begin at each whole multiple of `every` from `begun` on, the first at one of them."""

    def __init__(self, pause: Pause, begun: int) -> None:
        self._begun = begun
        self._every = pause.every_us * _NS
        self._length = pause.length_us * _NS

    def resumes(self, at: int) -> int:
        """The end of the pause in which `at` lies; `at` itself if it lies in none."""
        turn, past = divmod(at - self._begun, self._every)
        return at + self._length - past if turn and past < self._length else at

    def worked(self, at: int) -> int:
        """How much of the time from `begun` to `at` lies in no pause."""
        turn, past = divmod(at - self._begun, self._every)
        paused = (turn - 1) * self._length + min(past, self._length) if turn else 0
        return at - self._begun - paused

    def after(self, start: int, work: int) -> int:
        """The first instant at which `work` is done; what ends as a pause begins is not held up by it."""
        if not work:
            return start
        total = self.worked(start) + work
        turns = max(0, (total - self._every - 1) // (self._every - self._length) + 1)
        return self._begun + total + turns * self._length
