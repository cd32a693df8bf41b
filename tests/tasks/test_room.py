"""Room for a test: what its messages take is told before it begins, and is no less than what they do take."""

from pathlib import Path

import pytest

from catalog.errors import WorldError
from tasks.room import HELD, OFFERED, WRITTEN, Room, free_room, refuse_without_room, room_for

NATIONAL = 10_000 * 3600 * 8


def test_a_test_that_fits_is_let_through_and_one_that_does_not_is_told_with_the_estimate() -> None:
    needed = room_for(NATIONAL, is_offered_here=False)
    refuse_without_room("foc.dsp.load", NATIONAL, needed, is_offered_here=False)
    for free in (Room(needed.memory - 1, needed.disk), Room(needed.memory, needed.disk - 1)):
        with pytest.raises(WorldError, match=r"288,000,000 messages, .* about 115\.2 GB of memory") as refused:
            refuse_without_room("foc.dsp.load", NATIONAL, free, is_offered_here=False)
        assert "--cluster" not in refused.value.help()


def test_what_a_cluster_offers_takes_less_here_and_the_help_says_so() -> None:
    alone, shared = room_for(1000, is_offered_here=True), room_for(1000, is_offered_here=False)
    assert (alone.memory - shared.memory, shared.memory, alone.disk) == (1000 * OFFERED, 1000 * HELD, 1000 * WRITTEN)
    with pytest.raises(WorldError) as refused:
        refuse_without_room("t", 1000, Room(0, 0), is_offered_here=True)
    assert "--cluster" in refused.value.help()


def test_what_is_free_is_what_the_machine_says(tmp_path: Path) -> None:
    free = free_room(tmp_path)
    assert free.memory > 0
    assert free.disk > 0
