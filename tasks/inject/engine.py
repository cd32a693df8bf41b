"""The injector's engine: one event loop, one alarm, preallocated columns, nothing that waits.

All instants are microseconds since the epoch on one clock: the wall clock is read once, and the monotonic clock counts
from there. A message is *intended* when it is due, *ready* when the engine takes it up, *sent* when it is written to a
connection (it may have waited for one), *done* when its final answer, its time-out or its refusal is known.
"""

import asyncio
import gc
import time
from array import array
from collections import Counter
from collections.abc import Mapping

from catalog.errors import WorldError
from tasks.codecs import Message, MessageKind, codec_named
from tasks.inject.files import NEVER, RESULTS, InjectionSpec, Outcome
from tasks.wire.alarm import alarm
from tasks.wire.client import Pool, is_tls, post, post_head
from tasks.wire.reach import reach
from tasks.wire.tls import client_context, fingerprint, reason

_BATCH = 16  # due messages sent at a wake-up, before answers are read again: catching up must not starve them
_LEAD_US = 100_000  # between the end of preparations and the first instant of the load
_HEARTBEAT_US = 10_000  # the alarm rings at least so often, so that it tells how late the loop is
_UNFINISHED = -1


class Engine:
    """Offers the messages of one load; `offered` and `finished` may be read by another thread meanwhile."""

    def __init__(self, loop: asyncio.AbstractEventLoop, spec: InjectionSpec, work: Mapping[str, "array[int]"]) -> None:
        self.count = spec.count
        self.connections_limit = spec.max_connections
        self.offered = self.finished = 0
        self.codes: Counter[str] = Counter()
        self.thwarted_count = self.answers_peak = self.lag_max_us = 0
        self.lags = [0] * 64
        self.in_flight_peak = self.queue_peak = self.bytes_sent = 0
        self.fingerprint = ""
        self.pools: dict[str, Pool[int]] = {}
        self.columns = {name: array("q", [NEVER]) * spec.count for name in RESULTS}
        self.columns["sequence"] = work["sequence"]
        self._loop = loop
        self._spec = spec
        self._work = work
        self._codec = codec_named(spec.codec)
        self._kinds = [MessageKind(kind) for kind in spec.kinds]
        self._routes: list[tuple[Pool[int], bytes]] = []
        self._intended, self._ready, self._sent, self._done = (
            self.columns[f"{name}_us"] for name in ("intended", "ready", "sent", "done")
        )
        self._status, self._outcome, self._bytes = (self.columns[name] for name in ("status", "outcome", "bytes"))
        self._shift = self._origin = 0
        self._in_flight = self._oldest = self._finished_before = self._alarm_us = 0
        self._alarm = alarm(loop, self._wake)
        self._over = loop.create_future()

    async def prepare(self) -> None:
        """Open the connections. WorldError, naming URL and reason, when a target cannot be reached at all."""
        for path in self._spec.paths:
            url = self._spec.urls[path]
            if url not in self.pools:
                self.pools[url] = self._pool(url)
                await self._warm(self.pools[url])
            self._routes.append((self.pools[url], post_head(url, path, self._codec.content_type)))
        for (
            kind
        ) in self._kinds:  # fills the codec's templates, and finds a message that it cannot write before any is sent
            for srv in self._spec.srvs:
                self._codec.encode(Message(counter=0, srv=srv, device="", kind=kind))

    async def run(self) -> None:
        """Offer everything and wait until each message has ended. Needs `prepare`."""
        if not self.count:
            return
        gc.collect()
        gc.freeze()
        gc.disable()
        monotonic_us, wall_us = time.monotonic_ns() // 1000, time.time_ns() // 1000
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
        """See `Exchanges`. Written only now, from templates, in some µs: the requests of a long load would not fit."""
        work = self._work
        body = self._codec.encode(
            Message(
                counter=self._origin
                + message,  # grows within a load and from one to the next: it guards against replay
                srv=self._spec.srvs[work["srv"][message]],
                device=self._spec.devices[work["device"][message]],
                kind=self._kinds[work["kind"][message]],
            )
        )
        request = post(self._routes[work["path"][message]][1], body)
        self.bytes_sent += len(request)
        self._in_flight += 1
        self.in_flight_peak = max(self.in_flight_peak, self._in_flight)
        self._sent[message] = self._now()
        return request

    def answered(self, message: int, status: int, body: bytes, size: int) -> None:
        """See `Exchanges`. An acknowledgement is not the end: the response that it promises is."""
        answer = self._codec.read_answer(status, body)
        self.codes[answer.code] += 1
        self._status[message] = status
        self._bytes[message] = size
        if answer.final:
            self._finish(message, Outcome.OK if answer.ok else Outcome.ERROR)

    def refused(self, message: int) -> None:
        """See `Exchanges`."""
        self._finish(message, Outcome.REFUSED)

    def _pool(self, url: str) -> Pool[int]:
        """A pool for `url`. With TLS it is tried first, where a refused certificate has a reason and costs nothing."""
        limit, names = self._spec.max_connections, self._spec.tls
        if not is_tls(url):
            return Pool(self._loop, url, self, limit=limit)
        reach(url, names)
        self.fingerprint = fingerprint(names)
        return Pool(self._loop, url, self, limit=limit, tls=client_context(names))

    def thwarted(self, message: int) -> None:
        """See `Exchanges`. It counts as never taken up: the load was not offered, whatever the system could carry."""
        self.thwarted_count += 1
        self._ready[message] = NEVER
        self._finish(message, Outcome.REFUSED)

    async def _warm(self, pool: Pool[int]) -> None:
        try:
            await pool.warm(self._spec.connections)
        except OSError as error:
            raise WorldError(f"{pool.url} cannot be reached: {reason(error)}") from error

    def _now(self) -> int:
        return time.monotonic_ns() // 1000 + self._shift

    def _set(self, at_us: int) -> None:
        self._alarm_us = at_us
        self._alarm.set((at_us - self._shift) * 1000)

    def _wake(self) -> None:
        """Send what is due, give up what has taken too long, and set the alarm to whichever comes next."""
        self._note_lag()
        self._send_due()
        self._expire()
        if self._over.done():
            return
        deadline = self._intended[self._oldest] + self._spec.timeout_us
        due = self._intended[self.offered] if self.offered < self.count else deadline
        self._set(min(due, deadline, self._now() + _HEARTBEAT_US))

    def _note_lag(self) -> None:
        """How long the alarm waited for the loop: so long, at most, waited an answer that was there to be read."""
        lag = max(0, self._now() - self._alarm_us)
        self.lags[lag.bit_length()] += 1
        self.lag_max_us = max(self.lag_max_us, lag)
        self.answers_peak = max(self.answers_peak, self.finished - self._finished_before)
        self._finished_before = self.finished

    def _send_due(self) -> None:
        path = self._work["path"]
        for message in range(self.offered, min(self.offered + _BATCH, self.count)):
            now = self._now()
            if self._intended[message] > now:
                return
            self._ready[message] = now
            self.offered = message + 1
            self._routes[path[message]][0].offer(message)
            self.queue_peak = max(self.queue_peak, self.offered - self.finished - self._in_flight)

    def _expire(self) -> None:
        """Time-outs count from the intended instant, so messages reach theirs in order."""
        limit = self._now() - self._spec.timeout_us
        while self._oldest < self.offered:
            message = self._oldest
            if self._outcome[message] == _UNFINISHED:
                if self._intended[message] > limit:
                    return
                self._routes[self._work["path"][message]][0].withdraw(message)
                self._finish(message, Outcome.TIMEOUT)
            self._oldest += 1

    def _finish(self, message: int, outcome: Outcome) -> None:
        if self._outcome[message] != _UNFINISHED:
            return
        self._done[message] = self._now()
        self._outcome[message] = outcome
        self._status[message] = max(0, self._status[message])
        self._bytes[message] = max(0, self._bytes[message])
        if self._sent[message] != NEVER:
            self._in_flight -= 1
        self.finished += 1
        if self.finished == self.count and not self._over.done():
            self._over.set_result(None)
