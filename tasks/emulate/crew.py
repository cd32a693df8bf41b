"""The workers of a component: when each is free, and who comes or goes at the declared instants.

Pure, as its timetable is. Messages are taken up first come, first served, so the instants at which they are taken up
never decrease, and each can be told as soon as its message comes: later messages change nothing about it.
"""

from heapq import heapify, heappop, heappush, heapreplace

from tasks.emulate.timetable import Change, Timetable


class Crew:
    """As many workers as the timetable says. One that is to go finishes its message: idle ones go first."""

    def __init__(self, timetable: Timetable) -> None:
        self._timetable = timetable
        self.muster(timetable.begun)

    def muster(self, at: int) -> None:
        """Begin anew: everybody who is declared for that instant is free."""
        self._free_at = [at] * self._timetable.workers(at)
        self._changes = [change for change in reversed(self._timetable.changes) if change.at > at]

    def starts(self, now: int) -> int:
        """When a message that comes `now` is taken up; `occupy` must follow."""
        start = self._next(now)
        while self._changes and self._changes[-1].at <= start:
            self._change(self._changes.pop())
            start = self._next(now)
        return start

    def occupy(self, until: int) -> None:
        """The worker who took up that message is busy with it until then."""
        heapreplace(self._free_at, until)

    def _next(self, now: int) -> int:
        return self._timetable.resumes(max(now, self._free_at[0]))

    def _change(self, change: Change) -> None:
        heapify(self._free_at)
        for _ in range(change.workers - len(self._free_at)):
            heappush(self._free_at, change.at)
        while len(self._free_at) > change.workers:
            heappop(self._free_at)  # nobody is free sooner: whoever is, or will be the first, goes
