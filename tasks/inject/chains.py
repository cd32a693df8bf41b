"""Messages that wait for others: each is due when the answer to the one before it came.

Pure: what is ready to go is told to the engine, which sends it.
"""

from array import array
from collections.abc import Mapping

from tasks.inject.files import NOBODY

Work = Mapping[str, "array[int]"]


class Chains:
    """A load's messages, those that wait for nobody first, and who waits for whom.

    `work`: the columns of the load, put in that order. `leads`: how many wait for nobody. `waiting`: those who wait, by
    the message that they wait for. Numbers are places in that order.
    """

    def __init__(self, work: Work) -> None:
        self.leads = work["after"].count(NOBODY)
        self.work = work
        self.waiting: dict[int, list[int]] = {}
        if self.leads < len(work["after"]):
            self._arrange()

    def _arrange(self) -> None:
        after = self.work["after"]
        followers = [row for row, predecessor in enumerate(after) if predecessor != NOBODY]
        order = [row for row, predecessor in enumerate(after) if predecessor == NOBODY] + followers
        place = array("q", bytes(8 * len(order)))
        for new, row in enumerate(order):
            place[row] = new
        for row in followers:
            self.waiting.setdefault(place[after[row]], []).append(place[row])
        self.work = {name: array("q", map(column.__getitem__, order)) for name, column in self.work.items()}
