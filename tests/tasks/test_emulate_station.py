"""What is declared to happen in time does so at computed instants, to the microsecond of a clock that tests set."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.emulate.service import service_times
from tasks.emulate.spec import (
    ComponentSpec,
    Outage,
    OutageQueue,
    Overload,
    Pause,
    Scaling,
    ServiceDistribution,
    SlowStart,
)
from tasks.emulate.station import Station
from tasks.emulate.timetable import Stoppage, Timetable

_BEGUN = 5_000_000_000  # nanoseconds: a clock that is not at its beginning
_MS = 1000


def _spec(**given: object) -> ComponentSpec:
    return ComponentSpec(**{"component": "c", "routes": {"p": None}, "workers": 1, "service_us": 10 * _MS, **given})


class _Simulated:
    """A station on a clock of its own, whose messages are numbers; instants are microseconds from its first message."""

    def __init__(self, loop: asyncio.AbstractEventLoop, spec: ComponentSpec) -> None:
        self.now = _BEGUN
        self.done: dict[int, int] = {}
        self.lost: list[tuple[int, list[int]]] = []
        self._count = 0
        self.station: Station[int] = Station(loop, spec, self._served, self._lost, clock=lambda: self.now)
        self.station.arrive()

    def offer(self, count: int, at_us: int = 0) -> list[bool]:
        """So many messages arrive at that instant; whether each was let in."""
        self.run(at_us)
        first, self._count = self._count, self._count + count
        return [self.station.enter(number, self.station.arrive()) for number in range(first, first + count)]

    def run(self, until_us: int = 10**9) -> list[int]:
        """Time passes; when each message is done, in order of arrival."""
        until = _BEGUN + until_us * 1000
        while (instant := self.station._armed) is not None and instant <= until:
            self.now = max(self.now, instant)
            self.station._ring()
        self.now = until
        return [self.done[number] for number in sorted(self.done)]

    def _served(self, message: int) -> None:
        self.done[message] = (self.now - _BEGUN) // 1000

    def _lost(self, outage: Stoppage, messages: list[int]) -> None:
        assert outage.begins <= self.now
        self.lost.append(((self.now - _BEGUN) // 1000, messages))


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def test_workers_by_service_is_the_capacity_to_the_microsecond(loop: asyncio.AbstractEventLoop) -> None:
    simulated = _Simulated(loop, _spec(workers=4))
    simulated.offer(40)
    assert (simulated.station.busy, simulated.station.waiting) == (4, 36)
    assert simulated.run() == [turn * 10 * _MS for turn in range(1, 11) for _ in range(4)]


def test_nothing_is_done_in_a_pause_and_work_goes_on_where_it_was(loop: asyncio.AbstractEventLoop) -> None:
    simulated = _Simulated(loop, _spec(service_us=30 * _MS, pause=Pause(every_us=100 * _MS, length_us=20 * _MS)))
    simulated.offer(6)
    assert simulated.run() == [each * _MS for each in (30, 60, 90, 140, 170, 200)]
    simulated.offer(1, at_us=205 * _MS)
    assert simulated.run(10**8)[-1] == 250 * _MS


def test_pauses_take_their_share_of_the_capacity(loop: asyncio.AbstractEventLoop) -> None:
    simulated = _Simulated(loop, _spec(workers=3, pause=Pause(every_us=100 * _MS, length_us=25 * _MS)))
    simulated.offer(3000)
    done = simulated.run()
    # one whole stretch of 100 ms, then 75 ms of work in every 100
    assert sum(at <= 4_100 * _MS for at in done) == 3 * (100 + 40 * 75) // 10


def test_a_slow_start_slows_service_by_a_factor_that_falls_to_one(loop: asyncio.AbstractEventLoop) -> None:
    slow = SlowStart(length_us=100 * _MS, factor_ppm=3_000_000)
    simulated = _Simulated(loop, _spec(slow_start=slow))
    simulated.offer(8)
    simulated.offer(1, at_us=500 * _MS)
    done = simulated.run()
    assert done[:3] == [30 * _MS, 54 * _MS, 54 * _MS + 19_200]  # times 3, 2.4, 1.92
    assert [later - sooner for sooner, later in pairwise(done[:8])] == sorted(
        (later - sooner for sooner, later in pairwise(done[:8])), reverse=True
    )
    assert done[8] == 510 * _MS


def test_an_overload_that_rejects_lets_so_many_wait(loop: asyncio.AbstractEventLoop) -> None:
    simulated = _Simulated(loop, _spec(overload=Overload.REJECT, queue_limit=2))
    assert simulated.offer(5) == [True, True, True, False, False]
    assert simulated.offer(2, at_us=10 * _MS) == [True, False]
    assert simulated.run() == [10 * _MS, 20 * _MS, 30 * _MS, 40 * _MS]


def test_an_overload_that_collapses_takes_longer_the_more_wait(loop: asyncio.AbstractEventLoop) -> None:
    simulated = _Simulated(loop, _spec(overload=Overload.COLLAPSE, queue_limit=2))
    assert all(simulated.offer(5))
    assert simulated.run() == [each * _MS for each in (10, 20, 30, 50, 75)]  # two took 1 + 2/2 and 1 + 3/2 times


def test_an_overload_that_queues_lets_any_number_wait(loop: asyncio.AbstractEventLoop) -> None:
    simulated = _Simulated(loop, _spec())
    assert all(simulated.offer(1000))
    assert simulated.run()[-1] == 1000 * 10 * _MS


def test_an_outage_that_keeps_the_queue_delays_it(loop: asyncio.AbstractEventLoop) -> None:
    outages = (Outage(begins_us=25 * _MS, length_us=100 * _MS), Outage(begins_us=125 * _MS, length_us=50 * _MS))
    simulated = _Simulated(loop, _spec(outages=outages))
    simulated.offer(4)
    assert simulated.run() == [each * _MS for each in (10, 20, 180, 190)]
    assert simulated.lost == []


def test_an_outage_that_loses_the_queue_leaves_all_workers_free(loop: asyncio.AbstractEventLoop) -> None:
    outage = Outage(begins_us=25 * _MS, length_us=100 * _MS, queue=OutageQueue.LOST)
    scaling = (Scaling(at_us=60 * _MS, workers=2), Scaling(at_us=130 * _MS, workers=3))
    simulated = _Simulated(loop, _spec(outages=(outage,), scaling=scaling))
    simulated.offer(40)  # some of them would be taken up only after the changes of workers
    simulated.offer(7, at_us=125 * _MS)
    assert simulated.lost == [(25 * _MS, list(range(2, 40)))]
    assert simulated.run()[2:] == [each * _MS for each in (135, 135, 140, 145, 145, 150, 155)]


def test_what_is_done_before_an_outage_is_not_lost_however_late_the_alarm(loop: asyncio.AbstractEventLoop) -> None:
    outage = Outage(begins_us=25 * _MS, length_us=100 * _MS, queue=OutageQueue.LOST)
    simulated = _Simulated(loop, _spec(outages=(outage,)))
    simulated.offer(4)
    simulated.now += 500 * _MS * 1000  # the loop was held up, past the whole outage
    simulated.station._ring()
    assert sorted(simulated.done) == [0, 1]
    assert [messages for _, messages in simulated.lost] == [[2, 3]]


def test_capacity_before_during_and_after_scaling_is_that_of_the_workers(loop: asyncio.AbstractEventLoop) -> None:
    scaling = (Scaling(at_us=100 * _MS, workers=5), Scaling(at_us=200 * _MS, workers=2))
    simulated = _Simulated(loop, _spec(workers=3, scaling=scaling))
    simulated.offer(200)
    done = simulated.run()
    by_stretch = [sum(begins < at <= begins + 100 * _MS for at in done) for begins in (0, 100 * _MS, 200 * _MS)]
    assert by_stretch == [3 * 10, 5 * 10, 2 * 10]


def test_removed_workers_finish_their_message_and_idle_ones_go_first(loop: asyncio.AbstractEventLoop) -> None:
    simulated = _Simulated(loop, _spec(workers=3, scaling=(Scaling(at_us=15 * _MS, workers=1),)))
    simulated.offer(1, at_us=8 * _MS)
    simulated.offer(1, at_us=12 * _MS)  # at 15 ms one worker is idle, the others are busy till 18 and 22
    simulated.offer(3, at_us=16 * _MS)
    assert simulated.run() == [each * _MS for each in (18, 22, 32, 42, 52)]


def test_without_workers_pauses_and_outages_hold_all_messages(loop: asyncio.AbstractEventLoop) -> None:
    outage = Outage(begins_us=5 * _MS, length_us=100 * _MS)
    simulated = _Simulated(loop, _spec(workers=0, outages=(outage,)))
    simulated.offer(50)
    assert simulated.run() == [110 * _MS] * 50


@given(
    pause=st.none() | st.builds(Pause, every_us=st.integers(5, 12), length_us=st.integers(1, 4)),
    gaps=st.lists(st.tuples(st.integers(0, 20), st.integers(1, 15)), max_size=4),
    start=st.integers(0, 60),
    work=st.integers(1, 60),
)
@settings(derandomize=True, deadline=None)
def test_instants_are_those_of_walking_through_every_microsecond(
    pause: Pause | None, gaps: list[tuple[int, int]], start: int, work: int
) -> None:
    outages, end = [], 0
    for gap, length in gaps:
        outages.append(Outage(begins_us=end + gap, length_us=length))
        end += gap + length
    timetable = Timetable(_spec(pause=pause, outages=tuple(outages)), _BEGUN)

    def is_stopped(at: int) -> bool:
        paused = pause is not None and at >= pause.every_us and at % pause.every_us < pause.length_us
        return paused or any(each.begins_us <= at < each.begins_us + each.length_us for each in outages)

    at = start
    while is_stopped(at):
        at += 1
    assert timetable.resumes(_BEGUN + start * 1000) == _BEGUN + at * 1000
    begun, left = at, work
    while left:
        left -= not is_stopped(at)
        at += 1
    assert timetable.after(_BEGUN + begun * 1000, work * 1000) == _BEGUN + at * 1000


_MEAN_NS = 40_000_000


def _drawn(distribution: ServiceDistribution, spread_us: int = 0, seed: int = 1) -> list[int]:
    spec = _spec(service_us=40_000, service_distribution=distribution, spread_us=spread_us, seed=seed)
    draw = service_times(spec)
    return [draw() for _ in range(20_000)]


@pytest.mark.parametrize(
    ("distribution", "spread_us", "deviation_ns"),
    [
        (ServiceDistribution.CONSTANT, 0, 0),
        (ServiceDistribution.EXPONENTIAL, 0, _MEAN_NS),
        (ServiceDistribution.LOGNORMAL, 20_000, 20_000_000),
        (ServiceDistribution.UNIFORM, 30_000, 30_000_000 / 3**0.5),
    ],
)
def test_service_times_have_the_declared_mean_and_spread_and_repeat_with_their_seed(
    distribution: ServiceDistribution, spread_us: int, deviation_ns: float
) -> None:
    times = _drawn(distribution, spread_us)
    mean = sum(times) / len(times)
    deviation = (sum((each - mean) ** 2 for each in times) / len(times)) ** 0.5
    assert mean == pytest.approx(_MEAN_NS, rel=0.025)
    assert deviation == pytest.approx(deviation_ns, rel=0.05)
    assert times == _drawn(distribution, spread_us)
    assert (times == _drawn(distribution, spread_us, seed=2)) is (distribution is ServiceDistribution.CONSTANT)


def test_uniform_service_times_keep_to_their_bounds() -> None:
    times = _drawn(ServiceDistribution.UNIFORM, 40_000)
    assert min(times) >= 0
    assert max(times) <= 2 * _MEAN_NS
