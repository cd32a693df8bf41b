"""Samples what processes and their host use, and what components say of themselves, while a load runs.

Of disks, a process tells what it reads and writes; of the network nothing: the system counts that by interface, and so
for the host alone. The rows are those of the `infrastructure` table, without its `run` column. A process that has ended
has no more rows, and one that does not answer in time no rows of messages: gaps are evidence too, nothing is filled in.
"""

import http.client
import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import psutil

from tasks.metrics import HOST, Source

_SHORTEST_S = 0.05

_EXPOSED = {
    b"plimsoll_messages_received_total": ("messages_received", "count"),
    b"plimsoll_messages_answered_total": ("messages_answered", "count"),
    b"plimsoll_messages_failed_total": ("messages_failed", "count"),
    b"plimsoll_in_flight": ("messages_in_flight", "count"),
    b"plimsoll_queue_length": ("queue_length", "count"),
    b"plimsoll_busy_workers": ("busy_workers", "count"),
    b"plimsoll_leaked_bytes": ("leaked_bytes", "bytes"),
}
_LINE = re.compile(rb"^([a-z_]+)\{[^\n]*\} (\d+)$", re.MULTILINE)

_EXPOSED_BY_PATH = {
    ("received_total", ""): ("path_received", "count"),
    ("served_total", ""): ("path_served", "count"),
    ("served_us_total", ""): ("path_served_us", "us"),
    ("forwarded_total", ""): ("path_forwarded", "count"),
    ("returned_total", ""): ("path_returned", "count"),
    ("ended_us_total", ""): ("path_ended_us", "us"),
    ("ended_total", "answered"): ("path_answered", "count"),
    ("ended_total", "invalid"): ("path_invalid", "count"),
    ("ended_total", "failed"): ("path_failed", "count"),
    ("ended_total", "rejected"): ("path_rejected", "count"),
}
_LINE_OF_PATH = re.compile(
    r'^plimsoll_path_([a-z_]+)\{component="[^"]*",path="([^"]*)"(?:,ending="([a-z]+)")?\} (\d+)$', re.MULTILINE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One sample of one metric. `sub_component` is `process`, `messages`, a message path or, for the host, empty.

    `expectations.metrics.INFRASTRUCTURE` says what each metric is. Counts of an emulated component run from its start.
    """

    at_us: int
    component: str
    sub_component: str
    host: str
    metric: str
    value: int
    unit: str


SAMPLE = tuple(each.name for each in fields(Sample))
"""The columns of a sample."""


def _row(sample: Sample) -> list[Any]:
    return [getattr(sample, name) for name in SAMPLE]


class Sampler:
    """Samples at an interval, on an absolute clock, in a thread of its own, while it is entered.

    `paths_us`: how far apart message paths are sampled at least, as nothing but their growth matters; the first and the
    last sample have them. `sources`: what else is sampled, each in a thread of its own. `keep`: a file in which rows
    are written as they come, one JSON array each, for when this process does not live on; how much is free on its disk
    is sampled, else on that of the working directory. `look`: is shown each sample as it is taken, in the thread of
    whatever took it, one at a time.
    """

    def __init__(
        self,
        processes: Mapping[str, int],
        endpoints: Mapping[str, str],
        *,
        interval_us: int = 250_000,
        paths_us: int = 0,
        sources: Sequence[Source] = (),
        keep: Path | None = None,
        look: Callable[[Sample], None] | None = None,
    ) -> None:
        self._look = look
        self._paths_s = paths_us / 1_000_000
        self._paths_due = 0.0
        self._kept = keep.open("ab", buffering=0) if keep else None
        self._interval_us = interval_us
        self._host = socket.gethostname()
        self._over = threading.Event()
        self._executor = ThreadPoolExecutor(1 + len(sources), "sampler")
        self._running: list[Future[None]] = []
        self._sources = sources
        self._storing = threading.Lock()
        self._samples: list[Sample] = []
        self._machine = _Machine(keep.parent if keep else Path.cwd())
        self._processes: dict[str, _Process] = {}
        for component, pid in processes.items():
            self.watch(component, pid)
        timeout_s = interval_us / 1_000_000
        self._endpoints = {component: _Endpoint(url, timeout_s) for component, url in endpoints.items()}

    def watch(self, component: str, pid: int) -> None:
        """Sample a further process from now on; one that has ended already is simply absent."""
        try:
            self._processes[component] = _Process(pid)
        except psutil.NoSuchProcess:
            return

    @property
    def samples(self) -> list[Sample]:
        """The rows so far, in order of time."""
        return sorted(self._samples, key=lambda sample: sample.at_us)

    def rows(self) -> list[list[Any]]:
        """The rows so far, their values in the order of `SAMPLE`."""
        return [_row(sample) for sample in self.samples]

    def __enter__(self) -> Self:
        self._running = [self._executor.submit(self._run)]
        self._running += [self._executor.submit(self._follow, source) for source in self._sources]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._executor.shutdown()
        if self._kept:
            self._kept.close()
        for endpoint in self._endpoints.values():
            endpoint.close()
        for running in self._running if error is None else ():
            running.result()  # a sampler that broke must not look like one that found nothing

    def _run(self) -> None:
        due = time.monotonic()
        while True:
            self._sample()
            due = max(due + self._interval_us / 1_000_000, time.monotonic())
            if self._over.wait(due - time.monotonic()):
                self._paths_due = 0.0
                self._sample()  # the state that the load left behind
                return

    def _follow(self, source: Source) -> None:
        """Samples a source at the multiples of its interval since the epoch, so that all of a component's agree."""
        while True:
            now_us = time.time_ns() // 1000
            at_us = (now_us // source.every_us + 1) * source.every_us
            if self._over.wait((at_us - now_us) / 1_000_000):
                return
            self._store(
                self._at(at_us, source.component, source.sub_component, *reading, host=source.host)
                for reading in source.read()
            )

    def _sample(self) -> None:
        self._store(self._take())

    def _store(self, samples: Iterable[Sample]) -> None:
        taken = list(samples)
        with self._storing:
            self._samples += taken
            if self._kept:
                self._kept.write("".join(f"{json.dumps(_row(sample))}\n" for sample in taken).encode())
            if self._look:
                for sample in taken:
                    self._look(sample)

    def _take(self) -> Iterator[Sample]:
        for metric, value, unit in self._machine.read():
            yield self._now(HOST, "", metric, value, unit)
        for component, process in list(self._processes.items()):
            try:
                readings = list(process.read())
            except (psutil.Error, OSError):  # it has ended, or is ending
                continue
            for metric, value, unit in readings:
                yield self._now(component, "process", metric, value, unit)
        with_paths = time.monotonic() >= self._paths_due
        if with_paths:
            self._paths_due = time.monotonic() + self._paths_s
        for component, endpoint in self._endpoints.items():
            counted, at_us = endpoint.read(with_paths=with_paths), time.time_ns() // 1000
            for sub_component, metric, value, unit in counted:
                yield self._at(at_us, component, sub_component, metric, value, unit)

    def _now(self, component: str, sub_component: str, metric: str, value: int, unit: str) -> Sample:
        return self._at(time.time_ns() // 1000, component, sub_component, metric, value, unit)

    def _at(
        self, at_us: int, component: str, sub_component: str, metric: str, value: int, unit: str, *, host: str = ""
    ) -> Sample:
        return Sample(
            at_us=at_us,
            component=component,
            sub_component=sub_component,
            host=host or self._host,
            metric=metric,
            value=value,
            unit=unit,
        )


class _Share:
    """Turns a running total of CPU time into permille of the time since the sample before.

    The host's CPU time, and a process's where the system has no finer clock for it, comes in ticks of 10 ms, so samples
    less than `_SHORTEST_S` apart would say nothing, and are left out.
    """

    def __init__(self, cpu_s: float, cores: int = 1) -> None:
        self._cores = cores
        self._before = cpu_s, time.monotonic()

    def read(self, cpu_s: float) -> Iterator[tuple[str, int, str]]:
        now = time.monotonic()
        before, at = self._before
        if now - at >= _SHORTEST_S:
            self._before = cpu_s, now
            yield "cpu_permille", round((cpu_s - before) * 1000 / ((now - at) * self._cores)), "permille"


class _Rates:
    """Turns running totals of bytes into bytes a second since the sample before; one that fell was set back."""

    def __init__(self, totals: Mapping[str, int]) -> None:
        self._before = dict(totals), time.monotonic_ns()

    def read(self, totals: Mapping[str, int]) -> Iterator[tuple[str, int, str]]:
        now_ns = time.monotonic_ns()
        before, at_ns = self._before
        if now_ns - at_ns < _SHORTEST_S * 1_000_000_000:
            return
        self._before = dict(totals), now_ns
        for name, total in totals.items():
            if total >= before.get(name, total + 1):
                yield name, round(Fraction((total - before[name]) * 1_000_000_000, now_ns - at_ns)), "bytes/s"


def _moved() -> dict[str, int]:
    """Bytes that all disks and interfaces of this host have moved, where it says so."""
    disks, network = psutil.disk_io_counters(), psutil.net_io_counters()
    found = {"disk_read": disks.read_bytes, "disk_written": disks.write_bytes} if disks else {}
    found |= {"network_received": network.bytes_recv, "network_sent": network.bytes_sent} if network else {}
    return {f"{name}_bytes_per_second": total for name, total in found.items()}


class _Machine:
    """The host. `disk`: a path on the file system that must not run full."""

    def __init__(self, disk: Path) -> None:
        self._disk = disk
        self._share = _Share(self._busy_s(), psutil.cpu_count() or 1)
        self._rates = _Rates(_moved())

    @staticmethod
    def _busy_s() -> float:
        times = psutil.cpu_times()
        return float(
            sum(times) - times.idle - sum(getattr(times, name, 0) for name in ("iowait", "guest", "guest_nice"))
        )

    def read(self) -> Iterator[tuple[str, int, str]]:
        yield from self._share.read(self._busy_s())
        memory = psutil.virtual_memory()
        yield "memory_bytes", memory.total - memory.available, "bytes"
        yield "disk_free_bytes", psutil.disk_usage(str(self._disk)).free, "bytes"
        yield from self._rates.read(_moved())


class _Process:
    """One process."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._share = _Share(self._used_s())
        self._rates = _Rates(self._moved())

    def _moved(self) -> dict[str, int]:
        """Bytes that it has moved from and to disks, where the system counts that and lets us see it."""
        try:
            counters = self._process.io_counters()
        except (AttributeError, psutil.AccessDenied):
            return {}
        return {
            "disk_read_bytes_per_second": counters.read_bytes,
            "disk_written_bytes_per_second": counters.write_bytes,
        }

    def _used_s(self) -> float:
        if sys.platform == "linux":
            return time.clock_gettime(_cpu_clock(self._process.pid))
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def read(self) -> Iterator[tuple[str, int, str]]:
        """Its metrics; psutil.Error or OSError when it has ended."""
        if not self._process.is_running() or self._process.status() == psutil.STATUS_ZOMBIE:
            raise psutil.NoSuchProcess(self._process.pid)
        with self._process.oneshot():
            yield from self._share.read(self._used_s())
            yield "memory_bytes", self._process.memory_info().rss, "bytes"
            yield "threads_count", self._process.num_threads(), "count"
            yield from self._rates.read(self._moved())
        handles, sockets = _handles(self._process)
        yield "handles_count", handles, "count"
        yield "connections_count", sockets, "count"


def _cpu_clock(pid: int) -> int:
    """The clock of a process's CPU time, all its threads together, in nanoseconds; see clock_getcpuclockid(3)."""
    return ~pid << 3 | 2


def _handles(process: psutil.Process) -> tuple[int, int]:
    """Open file descriptors, and how many of them are sockets.

    On Linux from one listing: psutil's `net_connections` reads the host's whole socket tables, 20 ms at 600 sockets.
    """
    listing = Path(f"/proc/{process.pid}/fd")
    if not listing.exists():
        return process.num_fds(), len(process.net_connections())
    with os.scandir(listing) as entries:
        sockets = [_is_socket(entry.path) for entry in entries]
    return len(sockets), sum(sockets)


def _is_socket(handle: str) -> bool:
    try:
        return os.readlink(handle).startswith("socket:")  # noqa: PTH115 - a tenth of the time, thousands of times a second
    except OSError:  # closed meanwhile
        return False


class _Endpoint:
    """A component's `/metrics`, over a connection that is kept."""

    def __init__(self, url: str, timeout_s: float) -> None:
        parts = urlsplit(url)
        self._path = parts.path
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)

    def read(self, *, with_paths: bool) -> list[tuple[str, str, int, str]]:
        """Its metrics, each with the sub-component that it is of; none when it does not answer in time."""
        try:
            self._connection.request("GET", self._path)
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()  # the next request opens it again
            return []
        if response.status != http.client.OK:
            return []
        alone = [
            ("messages", _EXPOSED[name][0], int(value), _EXPOSED[name][1])
            for name, value in _LINE.findall(text)
            if name in _EXPOSED
        ]
        return alone + (list(_of_paths(text.decode())) if with_paths else [])

    def close(self) -> None:
        self._connection.close()


def _of_paths(text: str) -> Iterator[tuple[str, str, int, str]]:
    for name, path, ending, value in _LINE_OF_PATH.findall(text):
        if known := _EXPOSED_BY_PATH.get((name, ending)):
            metric, unit = known
            yield path, metric, int(value), unit
