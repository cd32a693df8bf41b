"""Messages that follow others: which of a path's messages is followed by one, and of which label.

Those that follow are not drawn: they come out of the counts, and are dealt to the messages that go first, each to one,
by golden steps, so that each label falls evenly among them and every total is kept. Where one side has more messages
than the other, what is left over is drawn by itself, and waits for nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from catalog.apportion import apportion
from tasks.draw.due import steps_of
from tasks.draw.rotation import golden_step
from tasks.draw.words import SPAN, Column, below, source

_PLACE = 3
"""What words are drawn for, as the first number of their place (0 to 2 are taken in `due` and `devices`)."""

NOBODY = -1


def paired(messages: Mapping[str, int], follows: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """By the label that goes first, how many messages of each label follow one of its: as many as can.

    `follows`: label to the label that it follows. Where there are too few to be followed, labels share them by largest
    remainder.
    """
    by_first: dict[str, list[str]] = {}
    for follower, first in follows.items():
        by_first.setdefault(first, []).append(follower)
    return {
        first: dict(zip(labels, _shared(messages[first], [messages[each] for each in labels]), strict=True))
        for first, labels in by_first.items()
    }


def alone(messages: Mapping[str, int], follows: Mapping[str, str]) -> dict[str, int]:
    """Messages by label without those that follow another."""
    following = {label: n for labels in paired(messages, follows).values() for label, n in labels.items()}
    return {label: count - following.get(label, 0) for label, count in messages.items()}


def _shared(firsts: int, followers: list[int]) -> list[int]:
    total = sum(followers)
    return apportion(min(firsts, total), followers) if total else followers


@dataclass(slots=True, kw_only=True)
class _Deal:
    """The labels that follow one label's messages, in golden steps; `dealt` messages have had theirs."""

    stops: Column
    labels: Column
    step: int
    start: int
    dealt: int = 0

    def next(self, count: int) -> Column:
        size = int(self.stops[-1])
        at = np.arange(count, dtype=np.int64)
        places = steps_of(at, self.step, self.start + self.dealt * self.step, size)
        self.dealt += count
        return self.labels[np.searchsorted(self.stops, places, side="right")]


class Followers:
    """Tells of messages, in the order in which they are due, which label follows each. It remembers counts alone."""

    def __init__(self, messages: Mapping[str, int], follows: Mapping[str, str], seed: int) -> None:
        order = list(messages)
        self._deals: dict[int, _Deal] = {}
        for first, labels in paired(messages, follows).items():
            size, place = messages[first], order.index(first)
            if not sum(labels.values()):
                continue
            start = int(below(source(seed, _PLACE, place).random_raw(1), min(size, SPAN))[0])
            counts = [*labels.values(), size - sum(labels.values())]
            self._deals[place] = _Deal(
                stops=np.cumsum(counts),
                labels=np.array([*(order.index(each) for each in labels), NOBODY], dtype=np.int64),
                step=golden_step(size),
                start=start,
            )

    def of(self, labels: Column) -> Column:
        """The label that follows each of the next messages; -1 where nothing does."""
        found = np.full(len(labels), NOBODY, dtype=np.int64)
        for first, deal in self._deals.items():
            here = np.flatnonzero(labels == first)
            found[here] = deal.next(len(here))
        return found
