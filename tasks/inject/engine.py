"""The injector's engine: one event loop, one alarm, a log of rows that another thread writes away, nothing that waits.

All instants are microseconds since the epoch on one clock: the wall clock is read once, and the monotonic clock counts
from there. A message is *intended* when it is due, *ready* when the engine takes it up, *sent* when it is written to a
connection (it may have waited for one), *done* when its final answer, its time-out or its refusal is known.

A final answer is that to the request itself, or, where this only acknowledges, the response that comes to the receive
service later; whichever of the two comes first. A message that follows another is intended when that one is done.
"""

import asyncio
import gc
import socket
from array import array
from collections import defaultdict, deque
from collections.abc import Awaitable, Mapping, Sequence
from mmap import mmap
from time import monotonic_ns, time_ns
from typing import Any, Protocol

from catalog.errors import WorldError
from tasks.codecs import MessageError, MessageKind, PushedKind, Writer, codec_named
from tasks.inject.chains import Chains
from tasks.inject.correlate import ANSWERED, GIVEN_UP, Claim, Correlator
from tasks.inject.files import ACKNOWLEDGED, NEVER, RESULTS, ROW, InjectionSpec, Outcome, Start
from tasks.inject.receive import ReceiveService
from tasks.inject.segments import Beside
from tasks.wire.alarm import alarm
from tasks.wire.client import Pool, is_tls, post_head
from tasks.wire.reach import reach
from tasks.wire.tls import client_context, fingerprint, reason, server_context

_BATCH = 16  # due messages sent at a wake-up, before answers are read again: catching up must not starve them
_QUEUED = 256  # due messages taken up at a wake-up, sent or not: to queue one takes a tenth of the time
_LEAD_US = 100_000  # between the end of preparations and the first instant of the load
_HEARTBEAT_US = 10_000  # the alarm rings at least so often, so that it tells how late the loop is
_OK, _ERROR = int(Outcome.OK), int(Outcome.ERROR)


class Carrier(Protocol):
    """What carries messages to one address on connections of its own: `tasks.wire.client.Pool` is one."""

    url: str
    opened: int
    failed: int
    peak_open: int
    peak_handshakes: int

    async def warm(self, count: int) -> None:
        """Open so many connections, within the limit. OSError, the reason, when none can be opened."""

    def offer(self, message: int) -> None:
        """Send a message on a free connection, or as soon as there is one."""

    def withdraw(self, message: int) -> None:
        """Forget a message, with the connection it is on, if any."""

    def close(self) -> None:
        """Drop every connection and every waiting message."""


class Engine:
    """Offers the messages of one load; `offered`, `finished` and `rows` may be read by another thread meanwhile.

    The first `rows` rows of `log` are complete, in the order in which messages were acknowledged or ended.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, spec: InjectionSpec, work: Mapping[str, "array[int]"]) -> None:
        self.count = spec.count
        self.connections_limit = spec.max_connections
        self.finished = self.rows = self.acknowledged = self.mismatched = self.malformed = 0
        self.codes: defaultdict[str, int] = defaultdict(int)
        self.thwarted_count = self.answers_peak = self.lag_max_us = 0
        self.lags = [0] * 64
        self.in_flight_peak = self.queue_peak = self.bytes_sent = 0
        self.fingerprint = ""
        self.pools: dict[str, Carrier] = {}
        self.claims = dict.fromkeys(Claim, 0)
        self.alerts = dict.fromkeys(PushedKind, 0)
        self.receive: ReceiveService | None = None
        self.log = mmap(-1, 2 * spec.count * ROW.size) if spec.count else None
        self._rows = memoryview(self.log if self.log is not None else b"")
        self._loop = loop
        self._spec = spec
        chains = Chains(work)
        self._work = work = chains.work
        self._leads = chains.leads
        self._waiting = chains.waiting
        self._next = self._followed = 0
        self._codec = codec_named(spec.codec)
        self._read_answer = self._codec.read_answer
        self._route_of: list[tuple[Carrier, bytes, Writer]] = []
        self._device_of: list[bytes] = []
        self._sequence = work["sequence"]
        self._intended, self._ready, self._sent = (array("q", [NEVER]) * spec.count for _ in range(3))
        self._ended = bytearray(spec.count)
        self._correlator: Correlator | None = None
        self._server: asyncio.Server | None = None
        self._acknowledged: dict[int, int] = {}
        self._held: dict[int, tuple[int, int, int]] = {}
        self._released: deque[tuple[int, bool]] = deque()
        self._following: deque[int] = deque()
        self._shift = self._counter = 0
        self._in_flight = self._oldest = self._finished_before = self._alarm_us = 0
        self._alarm = alarm(loop, self._wake)
        self._over = loop.create_future()

    @property
    def offered(self) -> int:
        """How many messages were taken up."""
        return self._next + self._followed

    @property
    def columns(self) -> dict[str, "array[int]"]:
        """The results so far, by column; rows of acknowledgements are among them."""
        rows = array("q", self._rows[: self.rows * ROW.size].tobytes())
        return {name: rows[place :: len(RESULTS)] for place, name in enumerate(RESULTS)}

    @property
    def beside(self) -> Sequence[Beside]:
        """What is known of each message beyond its row."""
        return ()

    def told(self) -> dict[str, Any]:
        """What the summary holds beyond what every engine knows of itself."""
        return {}

    async def prepare(self, listener: socket.socket | None = None) -> None:
        """Open the connections, and make ready whatever requests are made of; with `listener`, the receive service.

        WorldError, naming URL and reason, when a target cannot be reached at all; MessageError, before any message is
        sent, when one cannot be written.
        """
        spec, work = self._spec, self._work
        if listener is not None:
            await self._listen(listener)
        heads = []
        for path in spec.paths:
            url = spec.urls[path]
            if url not in self.pools:
                self.pools[url] = self._pool(url)
                await self._warm(self.pools[url])
            heads.append((self.pools[url], self._head(url, path)))
        writers = {
            (srv, kind): self._codec.writer(MessageKind(spec.kinds[kind]), spec.srvs[srv], spec.originator)
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

    async def run(self, gate: Awaitable[Start] | None = None) -> None:
        """Offer everything and wait until each message has ended. Needs `prepare`.

        With `gate` the load begins at the instant that it gives, on the clock that it gives; a start that has passed
        when it comes makes every message late that was due meanwhile.
        """
        if not self.count:
            return
        gc.collect()
        gc.freeze()
        gc.disable()
        given = await gate if gate is not None else None
        monotonic_us, wall_us = monotonic_ns() // 1000, time_ns() // 1000
        if given is None:
            self._shift = wall_us - monotonic_us
            start = wall_us + _LEAD_US + self.count // 5  # the next line takes less than 0.2 µs a message
        else:
            self._shift = wall_us + given.correction_us - monotonic_us
            start = given.at_us
        self._intended[: self._leads] = array("q", [start + each for each in self._work["offset_us"][: self._leads]])
        self._counter = start
        if self._correlator is not None:
            self._correlator.first = start
        self._set(self._intended[0])
        try:
            await self._over
        finally:
            gc.enable()
            gc.unfreeze()

    def close(self) -> None:
        """Close alarm and connections."""
        self._alarm.close()
        if self._server is not None:
            self._server.close()
        for pool in self.pools.values():
            pool.close()

    def fail(self, error: BaseException) -> None:
        """End the run with an error of our own; without this it would wait for ever for what a broken callback lost."""
        if not self._over.done():
            self._over.set_exception(error)

    def request(self, message: int) -> bytes:
        """See `Exchanges`. Written only now, around device and counter: the requests of a long load would not fit.

        The counter rises from request to request and from one load to the next: it guards against replay.
        """
        _, head, write = self._route_of[message]
        counter = self._counter
        self._counter = counter + 1
        if self._correlator is not None:
            self._correlator.written(message)
        body = write(self._device_of[message], counter)
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
            self._acknowledge(message, status, body, size)

    def received(self, body: bytes) -> None:
        """The receive service was sent something. A response may overtake its acknowledgement: it is held for that."""
        try:
            pushed = self._codec.read_pushed(body)
        except MessageError:
            self.malformed += 1
            return
        if pushed.request is None or self._correlator is None:
            self.alerts[pushed.kind] += 1
            return
        answer = pushed.answer
        claim, message = self._correlator.claim(pushed.request) if answer.final else (Claim.UNKNOWN, -1)
        if message in self._held:
            claim = Claim.DUPLICATE
        self.claims[claim] += 1
        if claim is not Claim.RESPONSE:
            return
        self.codes[answer.code] += 1
        outcome = _OK if answer.ok else _ERROR
        if message in self._acknowledged:
            self._finish(message, outcome, self._acknowledged[message], len(body))
        else:
            self._held[message] = self._now(), outcome, len(body)

    def refused(self, message: int) -> None:
        """See `Exchanges`."""
        self._finish(message, Outcome.REFUSED)

    def thwarted(self, message: int) -> None:
        """See `Exchanges`. It counts as never taken up: the load was not offered, whatever the system could carry."""
        self.thwarted_count += 1
        self._ready[message] = NEVER
        self._finish(message, Outcome.REFUSED)

    async def _listen(self, listener: socket.socket) -> None:
        names = self._spec.receive
        context = server_context(names) if names else None
        self.receive = service = ReceiveService(self.received)
        codec, devices = self._codec, [self._codec.party_name(device) for device in self._spec.devices]
        self._correlator = Correlator(
            codec.party_name(self._spec.originator), [devices[each] for each in self._work["device"]], self._ended
        )
        self._server = await self._loop.create_server(service.connection, sock=listener, ssl=context)

    def _acknowledge(self, message: int, status: int, body: bytes, size: int) -> None:
        """The system has the request; one that names another request has confused the two."""
        if self._ended[message]:
            return
        correlator = self._correlator
        identity = self._codec.read_identity(body) if correlator is not None else None
        if identity is not None and correlator is not None and correlator.message(identity) != message:
            self.mismatched += 1
            self._finish(message, _ERROR, status, size)
            return
        self.acknowledged += 1
        self._write(message, self._now(), status, ACKNOWLEDGED, size)
        self._acknowledged[message] = status
        if message in self._held:
            self._finish(message, _OK)

    def _head(self, url: str, path: str) -> bytes:
        return post_head(url, path, self._codec.content_type)

    def _pool(self, url: str) -> Carrier:
        """A pool for `url`. With TLS it is tried first, where a refused certificate has a reason and costs nothing."""
        limit, names = self._spec.max_connections, self._spec.tls
        if not is_tls(url):
            return Pool(self._loop, url, self, limit=limit)
        reach(url, names)
        self.fingerprint = fingerprint(names)
        return Pool(self._loop, url, self, limit=limit, tls=client_context(names))

    async def _warm(self, pool: Carrier) -> None:
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
        next_us = now + _HEARTBEAT_US
        if self._oldest < self._leads:
            next_us = min(next_us, self._intended[self._oldest] + self._spec.timeout_us)
        if self._next < self._leads:
            next_us = min(next_us, self._intended[self._next])
        if self._following:
            next_us = min(next_us, self._intended[self._following[0]] + self._spec.timeout_us)
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
        message = self._next
        last = min(message + _QUEUED, self._leads)
        full = self._in_flight + _BATCH
        while message < last and self._in_flight < full:
            if intended[message] > now:
                now = monotonic_ns() // 1000 + self._shift
                if intended[message] > now:
                    return
            self._ready[message] = now
            self._next = message + 1
            self._route_of[message][0].offer(message)
            message += 1
            now = monotonic_ns() // 1000 + self._shift

    def _send_released(self) -> None:
        """Send those that waited for others which are answered now; what waited in vain ends here, and is not sent."""
        while self._released:
            message, may_go = self._released.popleft()
            self._followed += 1
            if may_go:
                self._ready[message] = self._now()
                self._following.append(message)
                self._route_of[message][0].offer(message)
            else:
                self._finish(message, Outcome.REFUSED)

    def _expire(self, now: int) -> None:
        """Time-outs count from the intended instant, so messages reach theirs in order: leads, and also followers."""
        limit, ended, oldest = now - self._spec.timeout_us, self._ended, self._oldest
        while oldest < self._next and (ended[oldest] or self._gives_up(oldest, limit)):
            oldest += 1
        self._oldest = oldest
        while self._following and (ended[self._following[0]] or self._gives_up(self._following[0], limit)):
            self._following.popleft()

    def _gives_up(self, message: int, limit: int) -> bool:
        """Give a message up if it was due by `limit`."""
        if self._intended[message] > limit:
            return False
        if message not in self._acknowledged:  # what is, waits for no connection and is on none
            self._route_of[message][0].withdraw(message)
        self._finish(message, Outcome.TIMEOUT)
        return True

    def _finish(self, message: int, outcome: int, status: int = 0, size: int = 0) -> None:
        if self._ended[message]:
            return
        done = monotonic_ns() // 1000 + self._shift
        self._ended[message] = ANSWERED if outcome <= _ERROR else GIVEN_UP
        if self._acknowledged or self._held:
            acknowledged = self._acknowledged.pop(message, status)
            if message in self._held:
                done, outcome, size = self._held.pop(message)
                status, self._ended[message] = acknowledged, ANSWERED
        if self._sent[message] != NEVER:
            self._in_flight -= 1
        self._write(message, done, status, outcome, size)
        self.finished += 1
        if self._waiting:
            self._release(message, done, is_answered=outcome == _OK)
        if self.finished == self.count and not self._over.done():
            self._over.set_result(None)

    def _write(self, message: int, done: int, status: int, outcome: int, size: int) -> None:
        """Write a row. It is there before it is counted: another thread may read it at once."""
        ROW.pack_into(
            self._rows,
            self.rows * ROW.size,
            self._sequence[message],
            self._intended[message],
            self._ready[message],
            self._sent[message],
            done,
            status,
            outcome,
            size,
        )
        self.rows += 1

    def _release(self, message: int, done: int, *, is_answered: bool) -> None:
        """Those that follow a message are due now that it is done, and go once what is being read is read."""
        is_thwarted = self._ready[message] == NEVER
        for follower in self._waiting.pop(message, ()):
            self._intended[follower] = done
            if is_thwarted:
                self.thwarted_count += 1
            elif not is_answered:
                self._ready[follower] = done
            if not self._released:
                self._loop.call_soon(self._send_released)
            self._released.append((follower, is_answered))
