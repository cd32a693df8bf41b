"""Connections to one address by libcurl's multi interface, and the messages that wait for one.

Sockets are followed in the engine's loop (`socket_action`). No more transfers are started than connections can hold,
and few connections are opened at a time: see `tasks.wire.client`, whose pool does the same for the own engine.
"""

import asyncio
import contextlib
import os
from collections import deque
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from typing import Any, Protocol
from urllib.parse import urlsplit

import pycurl

from tasks.inject.curl_options import Options
from tasks.inject.files import H2, HTTP_1_1
from tasks.wire.client import CONNECT_TIMEOUT_S, MAX_HANDSHAKES, OWN_LIMITS, is_tls

_BODY_KEPT = 65_536  # bytes of an answer that are kept to be read; the rest is counted only
_STREAMS = 100  # on one HTTP/2 connection, which is what libcurl and most servers allow
_NOT_HTTP = frozenset({pycurl.E_UNSUPPORTED_PROTOCOL, pycurl.E_FTP_WEIRD_SERVER_REPLY})
_TIMES = (
    pycurl.NAMELOOKUP_TIME_T,
    pycurl.CONNECT_TIME_T,
    pycurl.APPCONNECT_TIME_T,
    pycurl.PRETRANSFER_TIME_T,
    pycurl.STARTTRANSFER_TIME_T,
    pycurl.TOTAL_TIME_T,
)
_VERSIONS = {
    pycurl.CURL_HTTP_VERSION_1_0: "http/1.0",
    pycurl.CURL_HTTP_VERSION_1_1: HTTP_1_1,
    pycurl.CURL_HTTP_VERSION_2_0: H2,
}
_GATEWAY_FAULTS = frozenset({407, 502, 503, 504})
"""HTTP statuses by which a proxy says that it did not reach the system, or does not want to."""


class Owner(Protocol):
    """Whose messages a pool carries."""

    def body(self, message: int) -> tuple[bytes, bytes]:
        """URL and body, asked for when its transfer begins."""

    def sent(self, message: int) -> None:
        """It is being written to a connection."""

    def timed(self, message: int, phases: tuple[int, ...], size: int) -> None:
        """What its transfer took, and how many bytes were sent for it; told before it is answered."""

    def answered(self, message: int, status: int, body: bytes, size: int) -> None:
        """See `tasks.wire.client.Exchanges`, and so for the next two."""

    def refused(self, message: int) -> None:
        """No connection could be made for it, or the connection ended without an answer."""

    def thwarted(self, message: int) -> None:
        """This machine has nothing left for a connection."""


class _Transfer:
    """One easy handle, used again and again, and what its present transfer has come to."""

    def __init__(self, pool: "CurlPool", options: Options) -> None:
        self.message: int | None = None
        self.over: asyncio.Future[OSError | None] | None = None
        self.chunks: list[bytes] = []
        self.size = 0
        self.url = b""
        self.starting = self.opens = self.sent = False
        self._pool = pool
        self.curl = pycurl.Curl()
        for option, value in options:
            self.curl.setopt(option, value)
        self.curl.setopt(pycurl.WRITEFUNCTION, self._keep)
        self.curl.setopt(pycurl.PREREQFUNCTION, self._connected)
        self.curl.setopt(pycurl.SOCKOPTFUNCTION, self._opening)

    def begin(self, message: int, url: bytes, body: bytes) -> None:
        """Everything for the next message but its start."""
        self.message = message
        self.chunks.clear()
        self.size = 0
        self.sent = False
        if url != self.url:
            self.curl.setopt(pycurl.URL, url)
            self.url = url
        self.curl.setopt(pycurl.POSTFIELDS, body)

    def times(self) -> tuple[int, ...]:
        """Until when each phase lasted."""
        return tuple(int(self.curl.getinfo(each)) for each in _TIMES)

    def _keep(self, data: bytes) -> None:
        if self.size < _BODY_KEPT:
            self.chunks.append(data)
        self.size += len(data)

    def _opening(self, descriptor: int, _purpose: int) -> int:
        """No open connection was free."""
        self.opens = True
        self._pool.opening(descriptor, missed=self.over is None)
        return int(pycurl.SOCKOPT_OK)

    def _connected(self, *_: object) -> int:
        """A connection is there, with its handshakes behind it, and the request comes next.

        Where the one that was used before has ended without a word, libcurl would send the request again, and nobody
        would know. What HTTP/2 sends again was not looked at before, by the server's own word.
        """
        again = self.sent
        self.sent = True
        self._pool.connected(self, again=again)
        return int(pycurl.PREREQFUNC_ABORT if again and not self._pool.multiplexed else pycurl.PREREQFUNC_OK)


class CurlPool:
    """The connections to one address, and the messages that wait for one; a `Carrier`.

    Over HTTP/1.1 a connection has one message at a time; over HTTP/2 as many as the server allows, and libcurl opens
    the next one when they are full.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        url: str,
        owner: Owner,
        *,
        limit: int,
        options: Options,
        multiplexed: bool,
    ) -> None:
        self.url = url
        self.waiting: deque[int] = deque()
        self.opened = self.failed = self.own_limits = self.peak_open = self.peak_handshakes = 0
        self.spoken = ""
        self.proxied = self.forwarded = False
        self.patience_ms = CONNECT_TIMEOUT_S * 1000
        self._loop = loop
        self._owner = owner
        self._options = options
        self.multiplexed = multiplexed
        self._limit = limit
        self._most = limit * (_STREAMS if self.multiplexed else 1)
        self._live = self._starting = 0
        self._barred = False
        self._busy: dict[int, _Transfer] = {}
        self._running: dict[Any, _Transfer] = {}
        self._idle: list[_Transfer] = []
        self._retired: list[_Transfer] = []
        self._ours: set[int] = set()
        self._asked: set[int] = set()
        self._selector = DefaultSelector()
        loop.add_reader(self._selector.fileno(), self._ready)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = self._due = float("inf")
        self._multi = pycurl.CurlMulti()
        for option, value in (
            (pycurl.M_SOCKETFUNCTION, self._watch),
            (pycurl.M_TIMERFUNCTION, self._rearm),
            (pycurl.M_MAX_TOTAL_CONNECTIONS, limit),
            (pycurl.M_MAXCONNECTS, limit),
            (pycurl.M_MAX_CONCURRENT_STREAMS, _STREAMS),
            (pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX if self.multiplexed else pycurl.PIPE_NOTHING),
        ):
            self._multi.setopt(option, value)

    async def warm(self, count: int) -> None:
        """Open `count` connections with a request of no consequence on each; OSError when the first cannot be opened.

        libcurl keeps no connection that had no request. RFC 9110, 9.3.7, calls OPTIONS "a 'ping' or 'no-op' type of
        method". Over HTTP/2 one is opened, as libcurl would not spread messages over more.
        """
        wanted = min(count, 1 if self.multiplexed else self._limit)
        for failed in await self._ping(1):
            if failed is not None:
                raise failed
        while 0 < self._live < wanted > self.opened:
            opened = self.opened
            await self._ping(min(wanted - self._live, MAX_HANDSHAKES))
            if self.opened == opened:
                return

    def offer(self, message: int) -> None:
        """See `Carrier`."""
        if self.waiting or not self._may_start():
            self.waiting.append(message)
        else:
            self._start(message)
        self._pump()

    def withdraw(self, message: int) -> None:
        """See `Carrier`."""
        transfer = self._busy.pop(message, None)
        if transfer is not None:
            self._live -= not transfer.starting and not self.multiplexed
            self._release(transfer)
            self._barred = self._barred and bool(self._busy)
            self._pump()
            return
        with contextlib.suppress(ValueError):
            self.waiting.remove(message)  # those that gave up first are at the front, where this looks first

    def close(self) -> None:
        """See `Carrier`."""
        self.waiting.clear()
        self._most = 0
        for transfer in list(self._running.values()):
            self._release(transfer)
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._selector.fileno())
        self._multi.close()
        self._selector.close()
        for transfer in (*self._idle, *self._retired):
            transfer.curl.close()

    def connected(self, transfer: _Transfer, *, again: bool) -> None:
        """The connection of a transfer is ready (called by it, inside libcurl)."""
        if transfer.starting:
            transfer.starting = False
            self._starting -= 1
        if transfer.opens:
            transfer.opens = False
            self.opened += 1
            self._live = min(self._live + 1, self._limit)
            self.peak_open = max(self.peak_open, self._live)
        if transfer.message is not None and not again:
            self._owner.sent(transfer.message)

    def opening(self, descriptor: int, *, missed: bool) -> None:
        """A transfer opens a connection (called by it). If it `missed` one, those thought to be free are closed."""
        if descriptor in self._selector.get_map():
            self._selector.unregister(descriptor)
        self._ours.add(descriptor)
        if missed and not self.multiplexed:
            self._live = len(self._running) - self._starting

    # --- transfers ----------------------------------------------------------------------------------------------------

    def _may_start(self) -> bool:
        """A free connection takes it, or a new one, of which only so many are opened at a time."""
        started = len(self._running)
        if started >= self._most:
            return False
        if self.multiplexed or self._live > started - self._starting:
            return True
        return self._starting < MAX_HANDSHAKES and not self._barred

    def _start(self, message: int) -> None:
        transfer = self._idle.pop() if self._idle else _Transfer(self, self._options)
        transfer.begin(message, *self._owner.body(message))
        self._busy[message] = transfer
        self._run(transfer)

    def _run(self, transfer: _Transfer) -> None:
        transfer.starting = True
        self._starting += 1
        self._running[transfer.curl] = transfer
        self._multi.add_handle(transfer.curl)
        self._act(pycurl.SOCKET_TIMEOUT, 0)
        if transfer.starting and not self.multiplexed:
            self.peak_handshakes = max(self.peak_handshakes, self._starting)

    def _pump(self) -> None:
        """Let those that wait go, as far as there is room."""
        while self.waiting and self._may_start():
            self._start(self.waiting.popleft())

    def _release(self, transfer: _Transfer) -> None:
        """Take a transfer out of libcurl's hands, with its connection if its answer is not complete."""
        del self._running[transfer.curl]
        self._multi.remove_handle(transfer.curl)
        if transfer.starting:
            transfer.starting = False
            self._starting -= 1
        transfer.opens = False
        transfer.message = None
        (self._idle if transfer.over is None else self._retired).append(transfer)

    def _act(self, descriptor: int, events: int) -> None:
        _, running = self._multi.socket_action(descriptor, events)
        if running < len(self._running):
            self._collect()
        if self._due < self._timer_at:
            self._set_timer()

    def _collect(self) -> None:
        """End every transfer that is over."""
        ended: list[tuple[Any, int, str]] = []
        queued = 1
        while queued:
            queued, done, failed = self._multi.info_read()
            ended += [(curl, pycurl.E_OK, "") for curl in done]
            ended += failed
        for curl, code, reason in ended:
            self._end(self._running[curl], code, reason)

    def _end(self, transfer: _Transfer, code: int, reason: str) -> None:
        curl, message = transfer.curl, transfer.message
        status, errno = int(curl.getinfo(pycurl.RESPONSE_CODE)), int(curl.getinfo(pycurl.OS_ERRNO)) if code else 0
        size = int(curl.getinfo(pycurl.HEADER_SIZE)) + transfer.size
        sent = int(curl.getinfo(pycurl.REQUEST_SIZE))
        times, unsent, body = transfer.times(), transfer.starting, b"".join(transfer.chunks)
        own_limit = errno in OWN_LIMITS or (code == pycurl.E_COULDNT_CONNECT and not transfer.opens)
        if not unsent and not self.multiplexed and curl.getinfo(pycurl.ACTIVESOCKET) < 0:
            self._live -= 1
        failure = self._answered_ping(transfer, code, errno, reason) if transfer.over is not None else None
        self._release(transfer)
        if transfer.over is not None:
            transfer.over.set_result(failure)
        elif message is not None:
            del self._busy[message]
            if not code or code in _NOT_HTTP:
                self._barred = self._barred and bool(self.own_limits) and bool(self._busy)
                self._owner.timed(message, times, sent)
                self._owner.answered(message, 0 if code else status, body, size)
            else:
                self._failed(message, unsent=unsent, own_limit=own_limit)

    def _failed(self, message: int, *, unsent: bool, own_limit: bool) -> None:
        """As the own engine does: what found no connection waits for one that others have, and is refused otherwise."""
        self.failed += unsent
        if unsent and own_limit:
            self.own_limits += 1
            self._barred = bool(self._busy)
            self._owner.thwarted(message)
        elif unsent and self._busy:
            self._barred = True  # tried again when one of the others has ended
            self.waiting.appendleft(message)
        else:
            self._barred = False
            self._owner.refused(message)

    # --- opening connections before the load --------------------------------------------------------------------------

    async def _ping(self, count: int) -> list[OSError | None]:
        """So many OPTIONS requests at once, each on a connection of its own; what came of them."""
        parts = urlsplit(self.url)
        more: Options = [
            (pycurl.URL, f"{parts.scheme}://{parts.netloc}/"),
            (pycurl.HTTPGET, 1),
            (pycurl.CUSTOMREQUEST, "OPTIONS"),
            (pycurl.FRESH_CONNECT, 1),
            (pycurl.TIMEOUT_MS, self.patience_ms),
        ]
        if not self.forwarded:  # a proxy that is asked about `*` answers for itself
            more = [*more, (pycurl.REQUEST_TARGET, "*")]
        asked = []
        for _ in range(count):
            transfer = _Transfer(self, [*self._options, *more])
            transfer.over = self._loop.create_future()
            asked.append(transfer.over)
            self._run(transfer)
        return list(await asyncio.gather(*asked))

    def _answered_ping(self, transfer: _Transfer, code: int, errno: int, reason: str) -> OSError | None:
        """Why a connection is none that a load may have; None where it is, or has no word to spare for OPTIONS.

        Over TLS, or through a proxy, a connection that ends after it was opened has said no.
        """
        judges = self.proxied or is_tls(self.url)
        if code and not transfer.starting and (code == pycurl.E_OPERATION_TIMEDOUT or not judges):
            return None
        if code:
            self.failed += 1
            told = os.strerror(errno) if code == pycurl.E_COULDNT_CONNECT and errno else reason
            return OSError(errno, told)
        status, spoken = (int(transfer.curl.getinfo(each)) for each in (pycurl.RESPONSE_CODE, pycurl.INFO_HTTP_VERSION))
        if self.proxied and status in _GATEWAY_FAULTS:
            return OSError(0, f"the proxy, or the system behind it, answered with status {status}")
        self.spoken = _VERSIONS.get(spoken, str(spoken))
        if self.multiplexed and spoken != pycurl.CURL_HTTP_VERSION_2_0:
            return OSError(0, f"it speaks {self.spoken}, where 'http: {H2}' is declared")
        return None

    # --- sockets and timers -------------------------------------------------------------------------------------------

    def _watch(self, what: int, descriptor: int, _multi: object, _data: object) -> None:
        """What libcurl wants to know of a socket (called inside it).

        Between two messages it wants to know nothing for a moment. Our own sockets stay watched meanwhile, which saves
        two system calls a message: when such a one speaks up while nobody asks, the system has closed it. A socket that
        libcurl closes is gone from the selector with that, and the next one of its number comes with `opening`.
        """
        known = self._selector.get_map()
        if what == pycurl.POLL_REMOVE:
            self._asked.discard(descriptor)
            if descriptor not in self._ours and descriptor in known:
                self._selector.unregister(descriptor)
            return
        self._asked.add(descriptor)
        wanted = what & (EVENT_READ | EVENT_WRITE)  # libcurl has the same numbers for these
        if descriptor not in known:
            self._selector.register(descriptor, wanted)
        elif known[descriptor].events != wanted:
            self._selector.modify(descriptor, wanted)

    def _ready(self) -> None:
        for key, events in self._selector.select(0):
            if key.fd in self._asked:
                self._act(key.fd, events)
            elif key.fd in self._selector.get_map():
                self._selector.unregister(key.fd)
                self._live = max(self._live - 1, 0)
        self._pump()

    def _rearm(self, wait_ms: int) -> None:
        """When libcurl wants to be called at the latest (called inside it, several times for each message)."""
        self._due = float("inf") if wait_ms < 0 else self._loop.time() + wait_ms / 1000

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._due
        self._timer = self._loop.call_at(self._due, self._ring)

    def _ring(self) -> None:
        """Late settings are only noted: a timer that rings too early is set anew."""
        self._timer, self._timer_at = None, float("inf")
        if self._due <= self._loop.time():
            self._due = float("inf")
            self._act(pycurl.SOCKET_TIMEOUT, 0)
            self._pump()
        elif self._due < float("inf"):
            self._set_timer()
