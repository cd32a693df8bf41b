"""What a national programme needs: `python -m benchmarks.sizing`, with `--write` into docs/sizing.md.

From figures that were measured of this code (`FIGURES`, each with its source), and from a simulation of an injection
host under open-loop load: how busy its core may be before messages are taken up later than a test allows. No prices:
what costs is told in core-hours, gigabytes and gigabyte-months. The same on every machine; takes some seconds.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tasks.room import HELD

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "sizing.md"
HOURS, RATES = 8, (3_000, 10_000)
METERS, PER_METER_DAY = 53_000_000, Fraction(154, 100)
TOTAL_GB = 100
BOUND_US = 100_000
"""The lateness that every profile of the shipped programme declares: 100 ms at the 99th percentile."""
AIM_US = BOUND_US // 10
"""What hosts are sized for, a tenth of it: the simulation knows fewer disturbances than the world does."""
SEED, SECONDS = 20_260_105, 20
HOST_GB = 12
"""What injectors may hold of a host's memory, `proposed`: three quarters of 16 GB."""
_GB, _MILLION = 1_000_000_000, 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure that was measured: what it is of, its value, the unit, and where it comes from."""

    name: str
    value: Fraction
    unit: str
    source: str


def _figure(name: str, value: str, unit: str, source: str) -> Figure:
    return Figure(name=name, value=Fraction(value), unit=unit, source=source)


FIGURES: Mapping[str, Figure] = {
    "cpu": _figure("CPU for a request: injector, and telling its row", "69", "µs",
                   "`python -m benchmarks.shards`, one shard, 1,000 requests a second"),
    "row": _figure("a row while a test runs", "64", "bytes", "`tasks.inject.files.ROW`: eight integers"),
    "result": _figure("a row of results, kept", "17.2", "bytes", "a million rows by `tasks.parquet`, 24 SRVs, zstd"),
    "arrival": _figure("a row of arrivals, kept", "8.6", "bytes", "the same million"),
    "memory": _figure("memory of an injector's process for a message", "253", "bytes",
                      "resident when ready, 500,000 less 100,000 messages"),
    "held": _figure("memory of the coordinator for a message, at most", str(HELD), "bytes",
                    "`python -m benchmarks.room`, rounded up; half as much again where responses come later"),
    "drawing": _figure("CPU to draw a million arrivals", "0.07", "s",
                       "`python benchmarks/arrivals.py`: 288 million in 20 s and 105 MB"),
    "measure": _figure("CPU to hold a million rows to their contract and measure them", "0.70", "s",
                       "`python benchmarks/measuring.py 2`"),
    "intake csv": _figure("intake of JMeter's CSV", "22", "MB a CPU-second", "`python benchmarks/intake.py`, 58 MB"),
    "intake json": _figure("intake of k6's JSON", "46", "MB a CPU-second", "`python benchmarks/intake.py`, 142 MB"),
    "hash": _figure("SHA-256, which verifying is", "0.80", "GB a CPU-second", "500 MB by `hashlib`"),
    "request": _figure("a request and its answer on the wire", "2.5", "kB",
                       "`benchmarks/injector.py`: 1.5 kB and 1 kB; headers not counted"),
}  # fmt: skip
"""Measured in November 2026 on two shared virtual cores, with other work beside: CPU, and no times by the clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """How a host's core is disturbed. `spread`: of the CPU time of a piece of work, its standard deviation by its mean.

    Stalls, in which it does nothing for us, come at random, `stalls` a second, for `stall_us` on average.
    """

    name: str
    spread: float
    stalls: float
    stall_us: float


MACHINES = (
    Machine(name="quiet", spread=0.5, stalls=0.0, stall_us=0.0),
    Machine(name="shared", spread=1.0, stalls=2.0, stall_us=5_000.0),
    Machine(name="crowded", spread=1.0, stalls=5.0, stall_us=20_000.0),
)
"""`unverified`: nobody has measured a programme's hosts yet. A quiet one is a machine of one's own."""
BUSY = (Fraction(2, 10), Fraction(4, 10), Fraction(5, 10), Fraction(6, 10), Fraction(7, 10), Fraction(8, 10),
        Fraction(9, 10))  # fmt: skip
ANSWER_US = 200_000.0
"""The mean time to an answer, `unverified`; it moves nothing but when the second piece of work comes."""

Microseconds = NDArray[np.float64]


def finished(come_us: Microseconds, take_us: Microseconds) -> Microseconds:
    """When a core that does one piece of work after the other, in order of coming, is done with each.

    Lindley's recursion: each begins when it has come and the one before is done. `come_us` must not decrease.
    """
    spent = np.cumsum(take_us)
    began = np.maximum.accumulate(come_us - (spent - take_us))
    return began + spent


def delays(machine: Machine, busy: Fraction, *, cpu_us: float, seconds: int, seed: int) -> Microseconds:
    """How long after it was due each message was taken up, on a core that messages keep busy for that share of time.

    Messages come at random (Poisson). Each is two pieces of work of half its CPU: sending, and reading its answer, an
    exponential time later. A piece takes a log-normal time; what is being done is finished before the next begins.
    """
    chance, disturbed = (np.random.Generator(np.random.PCG64([seed, part])) for part in (1, 2))
    count = int(float(busy) * seconds * 1e6 / cpu_us)
    due = np.sort(chance.random(count)) * seconds * 1e6
    answered = due + chance.exponential(ANSWER_US, count)
    stalls = np.sort(disturbed.random(int(machine.stalls * seconds))) * seconds * 1e6
    sigma = float(np.sqrt(np.log1p(machine.spread**2)))
    work = chance.lognormal(-(sigma**2) / 2, sigma, 2 * count) * cpu_us / 2
    come = np.concatenate([due, answered, stalls])
    take = np.concatenate([work, disturbed.exponential(machine.stall_us, len(stalls))])
    order = np.argsort(come, kind="stable")
    done = np.empty_like(come)
    done[order] = finished(come[order], take[order])
    taken_up: Microseconds = (done - take - come)[:count]
    return taken_up


def percentile(values: Microseconds, permille: int) -> float:
    """By nearest rank, as lateness is measured."""
    ordered = np.sort(values)
    return float(ordered[max(0, -(-len(ordered) * permille // 1000) - 1)])


def late_us(machine: Machine, busy: Fraction) -> float:
    """The 99th percentile of how late messages are taken up."""
    return percentile(delays(machine, busy, cpu_us=float(FIGURES["cpu"].value), seconds=SECONDS, seed=SEED), 990)


def study() -> dict[str, dict[Fraction, float]]:
    """That percentile of each machine, by how busy its core is."""
    return {machine.name: {busy: late_us(machine, busy) for busy in BUSY} for machine in MACHINES}


def allowed(late: Mapping[Fraction, float], limit_us: int) -> Fraction | None:
    """How busy a core may be, at most, so that neither this nor less work makes messages later than that."""
    within: Fraction | None = None
    for busy in sorted(late):
        if late[busy] > limit_us:
            break
        within = busy
    return within


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What one test of some hours takes at a rate, where cores may be busy for a share of the time."""

    rate: int
    busy: Fraction

    @property
    def messages(self) -> int:
        """How many."""
        return self.rate * 3_600 * HOURS

    @property
    def cores(self) -> int:
        """Injectors that the CPU asks for: each has one core."""
        return ceil(self.rate * FIGURES["cpu"].value / _MILLION / self.busy)

    @property
    def shards(self) -> int:
        """As many, or as the hosts' memory asks for."""
        return max(self.cores, ceil(self.messages * self.held / _GB / HOST_GB))

    @property
    def held(self) -> Fraction:
        """Bytes that an injector holds of a message: before it is sent, and its rows, of which there may be two."""
        return FIGURES["memory"].value + 2 * FIGURES["row"].value

    @property
    def coordinator_gb(self) -> Fraction:
        """What the host holds that conducts the test."""
        return self.messages * FIGURES["held"].value / _GB

    @property
    def drawing_s(self) -> Fraction:
        """CPU to draw all arrivals once."""
        return self.messages * FIGURES["drawing"].value / _MILLION

    @property
    def workers(self) -> int:
        """One to spare, which takes over before the start."""
        return self.shards + 1

    @property
    def memory_gb(self) -> Fraction:
        """Of each injector."""
        return Fraction(self.messages, self.shards) * self.held / _GB

    @property
    def kept_gb(self) -> Fraction:
        """Results, a row a message, and arrivals."""
        return self.messages * (FIGURES["result"].value + FIGURES["arrival"].value) / _GB

    @property
    def running_gb(self) -> Fraction:
        """Rows that came so far, as the coordinator keeps them until the end."""
        return self.messages * FIGURES["row"].value / _GB

    @property
    def core_hours(self) -> Fraction:
        """Two cores a worker (proposed: the injector has one), and two for the coordinator."""
        return Fraction(2 * (self.workers + 1) * HOURS)

    @property
    def measuring_hours(self) -> Fraction:
        """Once; a change of rules asks for it again."""
        return self.messages * FIGURES["measure"].value / _MILLION / 3_600

    @property
    def megabits(self) -> Fraction:
        """A second, requests and answers."""
        return self.rate * FIGURES["request"].value * 8 / 1_000


def tables() -> dict[str, str]:
    """The tables of docs/sizing.md, by the names of their places there."""
    late = study()
    busy = allowed(late["shared"], AIM_US)
    if busy is None:
        raise ValueError("no core of the grid is idle enough")
    needs = [Need(rate=rate, busy=busy) for rate in RATES]
    return {
        "figures": _markdown(("figure", "value", "source"), [
            (each.name, f"{_shown(each.value)} {each.unit}", each.source) for each in FIGURES.values()
        ]),
        "machines": _markdown(("host", "spread of CPU times", "stalls a second", "mean stall"), [
            (each.name, f"{each.spread:.0%}", f"{each.stalls:.0f}", f"{each.stall_us / 1000:.0f} ms")
            for each in MACHINES
        ]),
        "simulation": _markdown(("core busy with messages", *late), _simulated(late)),
        "test": _markdown(("one test of 8 hours", *(f"{rate:,} a second" for rate in RATES)), list(_test(needs))),
        "programme": _markdown(("100 GB", "what", "how much"), list(_programme(needs))),
    }  # fmt: skip


def _simulated(late: Mapping[str, Mapping[Fraction, float]]) -> list[tuple[str, ...]]:
    rows = [(f"{float(busy):.0%}", *(_late(each[busy]) for each in late.values())) for busy in BUSY]
    limits = [(f"**most, for {limit // 1000} ms**", *(_most(allowed(each, limit)) for each in late.values()))
              for limit in (BOUND_US, AIM_US)]  # fmt: skip
    return rows + limits


def _late(late: float) -> str:
    return f"{late / 1000:.1f} ms" if late < 10_000 else f"{late / 1000:,.0f} ms"


def _most(busy: Fraction | None) -> str:
    return "none of these" if busy is None else f"{float(busy):.0%}"


def _test(needs: Sequence[Need]) -> Iterator[tuple[str, ...]]:
    told: Mapping[str, Callable[[Need], str]] = {
        "messages": lambda need: f"{need.messages:,}",
        "shards for the CPU, a core each": lambda need: str(need.cores),
        f"shards for the memory, {HOST_GB} GB each": lambda need: str(need.shards),
        "workers, one to spare": lambda need: str(need.workers),
        "memory of each injector": lambda need: f"{_shown(need.memory_gb)} GB",
        "memory of the coordinator": lambda need: f"{_shown(need.coordinator_gb)} GB",
        "CPU of each host to draw the arrivals": lambda need: f"{_shown(need.drawing_s)} s",
        "network, both ways": lambda need: f"{_shown(need.megabits)} Mbit/s",
        "rows on the coordinator's disk meanwhile": lambda need: f"{_shown(need.running_gb)} GB",
        "results and arrivals, kept": lambda need: f"{_shown(need.kept_gb)} GB",
        "core-hours of injection, two cores a host": lambda need: _shown(need.core_hours),
        "core-hours of measuring": lambda need: _shown(need.measuring_hours),
    }
    for name, show in told.items():
        yield (name, *map(show, needs))


def _programme(needs: Sequence[Need]) -> Iterator[tuple[str, ...]]:
    size = Fraction(TOTAL_GB)
    rows = size * _GB / FIGURES["result"].value
    of_own = "of our own runs, kept"
    for need in needs:
        yield of_own, f"tests of 8 hours at {need.rate:,} a second", f"{int(size / need.kept_gb)}"
    yield (
        of_own,
        "core-hours to measure all once, were it results alone",
        _shown(rows * FIGURES["measure"].value / _MILLION / 3_600),
    )
    for name, what in (("intake csv", "JMeter's CSV"), ("intake json", "k6's JSON")):
        yield (
            "submitted by providers",
            f"core-hours to take it in as {what}",
            _shown(size * 1_000 / FIGURES[name].value / 3_600),
        )
    yield "either", "core-hours to verify every byte once", _shown(size / FIGURES["hash"].value / 3_600)
    yield "either", "kept for a year", f"{_shown(size * 12)} GB-months a copy"


def _shown(value: Fraction) -> str:
    """Three significant digits, or whole."""
    if value >= 100:
        return f"{round(value):,}"
    digits = 2 - len(str(int(value))) + 1 if value >= 1 else 2
    text = f"{float(value):.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def written(text: str, found: Mapping[str, str]) -> str:
    """The document with these tables in their places. ValueError where one has none."""
    for name, table in found.items():
        place = re.compile(rf"(<!-- sizing: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, count = place.subn(lambda match, table=table: match[1] + table + match[2], text)
        if count != 1:
            raise ValueError(f"{DOCUMENT} has {count} places for the table {name!r}")
    return text


def main() -> None:
    """Prints the tables, or writes them."""
    if "--write" in sys.argv[1:]:
        DOCUMENT.write_text(written(DOCUMENT.read_text(), tables()))
        return
    for name, table in tables().items():
        print(f"{name}\n\n{table}")


if __name__ == "__main__":
    main()
