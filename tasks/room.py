"""Whether this machine has room for a test: how much memory and disk its messages take while it is executed.

A test's messages are counted before it begins; what each takes was measured (docs/sizing.md). Nothing here is recorded
and no decision rests on it: another machine may well execute what this one cannot.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil

from catalog.errors import WorldError

HELD = 400
"""Bytes that the host which conducts a test holds for each of its messages, at most: arrivals, and at its end the rows.

Measured by `python -m benchmarks.room`, rounded up: 363. A test whose responses come later than their acknowledgements
has two rows a message, and takes up to half as much again.
"""

OFFERED = 381
"""Bytes that an injector's process holds for each message that it offers: 253 at first, and 64 for each row."""

WRITTEN = 64 + 64 + 26
"""Bytes of disk: rows as they come, of which there may be two a message, and then results and arrivals as Parquet."""

_GB = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes of memory and of disk: those that are free, or those that something takes."""

    memory: int
    disk: int

    def within(self, free: "Room") -> bool:
        """Whether this much is free."""
        return self.memory <= free.memory and self.disk <= free.disk


def room_for(messages: int, *, is_offered_here: bool) -> Room:
    """What a test of so many messages takes of the machine that conducts it; whether it offers them, too."""
    return Room(messages * (HELD + (OFFERED if is_offered_here else 0)), messages * WRITTEN)


def free_room(folder: Path) -> Room:
    """What is free here, and on the disk of `folder`."""
    return Room(psutil.virtual_memory().available, shutil.disk_usage(folder).free)


def refuse_without_room(test: str, messages: int, free: Room, *, is_offered_here: bool) -> None:
    """Raises WorldError, with the estimate, where a test takes more than is free: it would end halfway through."""
    needed = room_for(messages, is_offered_here=is_offered_here)
    if needed.within(free):
        return
    shards = "" if not is_offered_here else " offer it from a cluster's workers (--cluster),"
    raise WorldError(
        f"{test} would offer {messages:,} messages, for which this machine needs about {_gigabytes(needed.memory)} of "
        f"memory and {_gigabytes(needed.disk)} of disk: {_gigabytes(free.memory)} and {_gigabytes(free.disk)} are free",
        remedy=f"Execute it on a larger machine,{shards} or lower its duration or its component's rate in "
        "environments.yaml; --tests leaves it out.",
    )


def _gigabytes(count: int) -> str:
    return f"{count / _GB:,.1f} GB"
