"""The injector's engine: one event loop, one alarm, a log of rows that another thread writes away, nothing that waits.

All instants are microseconds since the epoch on one clock: the wall clock is read once, and the monotonic clock counts
from there. A message is *intended* when it is due, *ready* when the engine takes it up, *sent* when it is written to a
connection (it may have waited for one), *done* when its final answer, its time-out or its refusal is known.
"""

import asyncio
import gc
from array import array
from collections import defaultdict
from collections.abc import Mapping
from mmap import mmap
from time import monotonic_ns, time_ns

from catalog.errors import WorldError
from tasks.codecs import MessageKind, Writer, codec_named
from tasks.inject.files import NEVER, RESULTS, ROW, InjectionSpec, Outcome
from tasks.wire.alarm import alarm
from tasks.wire.client import Pool, is_tls, post_head
from tasks.wire.reach import reach
from tasks.wire.tls import client_context, fingerprint, reason

_BATCH = 16  # due messages sent at a wake-up, before answers are read again: catching up must not starve them
_QUEUED = 256  # due messages taken up at a wake-up, sent or not: to queue one takes a tenth of the time
_LEAD_US = 100_000  # between the end of preparations and the first instant of the load
_HEARTBEAT_US = 10_000  # the alarm rings at least so often, so that it tells how late the loop is
_OK, _ERROR = int(Outcome.OK), int(Outcome.ERROR)


class Engine:
    """Offers the messages of one load; `offered` and `finished` may be read by another thread meanwhile.

    The first `finished` rows of `log` are complete, in the order in which messages ended.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, spec: InjectionSpec, work: Mapping[str, "array[int]"]) -> None:
        self.count = spec.count
        self.connections_limit = spec.max_connections
        self.offered = self.finished = 0
        self.codes: defaultdict[str, int] = defaultdict(int)
        self.thwarted_count = self.answers_peak = self.lag_max_us = 0
        self.lags = [0] * 64
        self.in_flight_peak = self.queue_peak = self.bytes_sent = 0
        self.fingerprint = ""
        self.pools: dict[str, Pool[int]] = {}
        self.log = mmap(-1, spec.count * ROW.size) if spec.count else None
        self._rows = memoryview(self.log if self.log is not None else b"")
        self._loop = loop
        self._spec = spec
        self._work = work
        self._codec = codec_named(spec.codec)
        self._read_answer = self._codec.read_answer
        self._route_of: list[tuple[Pool[int], bytes, Writer]] = []
        self._device_of: list[bytes] = []
        self._sequence = work["sequence"]
        self._intended, self._ready, self._sent = (array("q", [NEVER]) * spec.count for _ in range(3))
        self._ended = bytearray(spec.count)
        self._acknowledged: dict[int, tuple[int, int]] = {}
        self._shift = self._origin = 0
        self._in_flight = self._oldest = self._finished_before = self._alarm_us = 0
        self._alarm = alarm(loop, self._wake)
        self._over = loop.create_future()

    @property
    def columns(self) -> dict[str, "array[int]"]:
        """The results so far, by column."""
        rows = array("q", self._rows[: self.finished * ROW.size].tobytes())
        return {name: rows[place :: len(RESULTS)] for place, name in enumerate(RESULTS)}

    async def prepare(self) -> None:
        """Open the connections, and make ready whatever requests are made of.

        WorldError, naming URL and reason, when a target cannot be reached at all; MessageError, before any message is
        sent, when one cannot be written.
        """
        spec, work = self._spec, self._work
        heads = []
        for path in spec.paths:
            url = spec.urls[path]
            if url not in self.pools:
                self.pools[url] = self._pool(url)
                await self._warm(self.pools[url])
            heads.append((self.pools[url], post_head(url, path, self._codec.content_type)))
        writers = {
            (srv, kind): self._codec.writer(MessageKind(spec.kinds[kind]), spec.srvs[srv])
            for srv in range(len(spec.srvs))
            for kind in range(len(spec.kinds))
        }
        routes = {
            (path, srv, kind): (*heads[path], write)
            for path in range(len(heads))
            for (srv, kind), write in writers.items()
        }
        devices = [self._codec.device_name(device) for device in spec.devices]
        self._route_of = [routes[each] for each in zip(work["path"], work["srv"], work["kind"], strict=True)]
        self._device_of = [devices[device] for device in work["device"]]

    async def run(self) -> None:
        """Offer everything and wait until each message has ended. Needs `prepare`."""
        if not self.count:
            return
        gc.collect()
        gc.freeze()
        gc.disable()
        monotonic_us, wall_us = monotonic_ns() // 1000, time_ns() // 1000
        self._shift = wall_us - monotonic_us
        start = wall_us + _LEAD_US + self.count // 5  # the next line takes less than 0.2 µs a message
        self._intended[:] = array("q", [start + offset for offset in self._work["offset_us"]])
        self._origin = start
        self._set(self._intended[0])
        try:
            await self._over
        finally:
            gc.enable()
            gc.unfreeze()

    def close(self) -> None:
        """Close alarm and connections."""
        self._alarm.close()
        for pool in self.pools.values():
            pool.close()

    def fail(self, error: BaseException) -> None:
        """End the run with an error of our own; without this it would wait for ever for what a broken callback lost."""
        if not self._over.done():
            self._over.set_exception(error)

    def request(self, message: int) -> bytes:
        """See `Exchanges`. Written only now, around device and counter: the requests of a long load would not fit.

        The counter grows within a load and from one to the next: it guards against replay.
        """
        _, head, write = self._route_of[message]
        body = write(self._device_of[message], self._origin + message)
        request = b"%b%d\r\n\r\n%b" % (head, len(body), body)
        self.bytes_sent += len(request)
        self._in_flight += 1
        if self._in_flight > self.in_flight_peak:
            self.in_flight_peak = self._in_flight
        self._sent[message] = monotonic_ns() // 1000 + self._shift
        return request

    def answered(self, message: int, status: int, body: bytes, size: int) -> None:
        """See `Exchanges`. An acknowledgement is not the end: the response that it promises is."""
        answer = self._read_answer(status, body)
        self.codes[answer.code] += 1
        if answer.final:
            self._finish(message, _OK if answer.ok else _ERROR, status, size)
        else:
            self._acknowledged[message] = status, size

    def refused(self, message: int) -> None:
        """See `Exchanges`."""
        self._finish(message, Outcome.REFUSED)

    def thwarted(self, message: int) -> None:
        """See `Exchanges`. It counts as never taken up: the load was not offered, whatever the system could carry."""
        self.thwarted_count += 1
        self._ready[message] = NEVER
        self._finish(message, Outcome.REFUSED)

    def _pool(self, url: str) -> Pool[int]:
        """A pool for `url`. With TLS it is tried first, where a refused certificate has a reason and costs nothing."""
        limit, names = self._spec.max_connections, self._spec.tls
        if not is_tls(url):
            return Pool(self._loop, url, self, limit=limit)
        reach(url, names)
        self.fingerprint = fingerprint(names)
        return Pool(self._loop, url, self, limit=limit, tls=client_context(names))

    async def _warm(self, pool: Pool[int]) -> None:
        try:
            await pool.warm(self._spec.connections)
        except OSError as error:
            raise WorldError(f"{pool.url} cannot be reached: {reason(error)}") from error

    def _now(self) -> int:
        return monotonic_ns() // 1000 + self._shift

    def _set(self, at_us: int) -> None:
        self._alarm_us = at_us
        self._alarm.set((at_us - self._shift) * 1000)

    def _wake(self) -> None:
        """Send what is due, give up what has taken too long, and set the alarm to whichever comes next."""
        now = monotonic_ns() // 1000 + self._shift
        lag = now - self._alarm_us
        self._send_due(now)
        self._note_lag(lag)
        self._expire(now)
        if self._over.done():
            return
        next_us = min(self._intended[self._oldest] + self._spec.timeout_us, now + _HEARTBEAT_US)
        if self.offered < self.count:
            next_us = min(next_us, self._intended[self.offered])
        self._set(next_us)

    def _note_lag(self, lag: int) -> None:
        """How long the alarm waited for the loop: so long, at most, waited an answer that was there to be read."""
        self.lags[max(0, lag).bit_length()] += 1
        if lag > self.lag_max_us:
            self.lag_max_us = lag
        answers = self.finished - self._finished_before
        if answers > self.answers_peak:
            self.answers_peak = answers
        self._finished_before = self.finished
        queued = self.offered - self.finished - self._in_flight
        if queued > self.queue_peak:
            self.queue_peak = queued

    def _send_due(self, now: int) -> None:
        intended = self._intended
        message = self.offered
        last = min(message + _QUEUED, self.count)
        full = self._in_flight + _BATCH
        while message < last and self._in_flight < full:
            if intended[message] > now:
                now = monotonic_ns() // 1000 + self._shift
                if intended[message] > now:
                    return
            self._ready[message] = now
            self.offered = message + 1
            self._route_of[message][0].offer(message)
            message += 1
            now = monotonic_ns() // 1000 + self._shift

    def _expire(self, now: int) -> None:
        """Time-outs count from the intended instant, so messages reach theirs in order."""
        limit = now - self._spec.timeout_us
        while self._oldest < self.offered:
            message = self._oldest
            if not self._ended[message]:
                if self._intended[message] > limit:
                    return
                self._route_of[message][0].withdraw(message)
                self._finish(message, Outcome.TIMEOUT)
            self._oldest += 1

    def _finish(self, message: int, outcome: int, status: int = 0, size: int = 0) -> None:
        if self._ended[message]:
            return
        self._ended[message] = 1
        if message in self._acknowledged:
            acknowledged = self._acknowledged.pop(message)
            status, size = (status, size) if status else acknowledged
        sent = self._sent[message]
        if sent != NEVER:
            self._in_flight -= 1
        ROW.pack_into(
            self._rows,
            self.finished * ROW.size,
            self._sequence[message],
            self._intended[message],
            self._ready[message],
            sent,
            monotonic_ns() // 1000 + self._shift,
            status,
            outcome,
            size,
        )
        self.finished += 1
        if self.finished == self.count and not self._over.done():
            self._over.set_result(None)
