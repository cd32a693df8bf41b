"""An HTTP/1.1 client for messages: a bounded pool of keep-alive connections, one message at a time on each.

Messages that find no free connection wait in order. The pool grows on demand up to its limit, with at most
`MAX_HANDSHAKES` connections being opened at a time: a pool that opens connections as fast as messages come turns a
short stall into a storm of handshakes that outlasts it.
"""

import asyncio
import contextlib
import errno
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, cast
from urllib.parse import quote, urlsplit

import httptools

MAX_HANDSHAKES = 4
OWN_LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})
"""Why a connection cannot be opened that lie on this side of it."""

CONNECT_TIMEOUT_S = 5
_PORTS = {"http": 80, "https": 443}
_BODY_KEPT = 65_536  # bytes of an answer that are kept to be read; the rest is counted only

_HEADS_KEPT = 1024

# One loop reads one socket at a time and each read is parsed before the next, so that all connections share a buffer.
_BYTES = bytearray(262_144)
_BUFFER = memoryview(_BYTES)

T = TypeVar("T")
M = TypeVar("M", contravariant=True)


class Exchanges(Protocol[M]):
    """Whose messages a pool carries; `M` is what names one of them."""

    def request(self, message: M) -> bytes:
        """The whole HTTP request, asked for at the moment it is written."""

    def answered(self, message: M, status: int, body: bytes, size: int) -> None:
        """An answer came: HTTP status (0: it was not HTTP), body (its front), bytes received in all."""

    def refused(self, message: M) -> None:
        """No connection could be made for it, or the connection ended without an answer."""

    def thwarted(self, message: M) -> None:
        """This machine has no descriptor, port or memory left for a connection: the other side is not to blame."""


def address(url: str) -> tuple[str, int]:
    """Host and port of an `http://` or `https://` URL; ValueError for any other."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"expected http://host:port or https://host:port, found {url!r}")
    return parts.hostname, parts.port or _PORTS[parts.scheme]


def is_tls(url: str) -> bool:
    """Whether connections to `url` are to be TLS."""
    return urlsplit(url).scheme == "https"


def post_head(url: str, path: str, content_type: str) -> bytes:
    """The head of a POST of a message of `path` below the base URL `url`, up to the value of Content-Length."""
    parts = urlsplit(url)
    target = f"{parts.path.rstrip('/')}/paths/{quote(path, safe='')}"
    lines = (
        f"POST {target} HTTP/1.1",
        f"Host: {parts.netloc}",
        f"Content-Type: {content_type}",
        "Content-Length: ",
    )
    return "\r\n".join(lines).encode()


def post(head: bytes, body: bytes) -> bytes:
    """The whole request."""
    return b"%b%d\r\n\r\n%b" % (head, len(body), body)


def _nowhere(_request: bytes) -> None:
    """Before there is a transport, and after."""


class Connection(asyncio.BufferedProtocol, Generic[T]):
    """One connection; `message` is what is on it now. Parser callbacks only note what came: see `buffer_updated`."""

    def __init__(self, pool: "Pool[T]") -> None:
        self.message: T | None = None
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self.write: Callable[[bytes], object] = _nowhere
        self._parser: Any = httptools.HttpResponseParser(self)
        self._reset()

    def _reset(self) -> None:
        self._body: list[bytes] = []
        self._kept = self._size = 0
        self._headed = self._framed = self._complete = self._keep = False
        self._length = -1

    @property
    def is_usable(self) -> bool:
        """Whether a message may be written to it."""
        return self._transport is not None and not self._transport.is_closing()

    def abandon(self) -> None:
        """Give up what is on it, and the connection with it: an answer that came later would belong to nothing."""
        self.message = None
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Report for work."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own classes do not derive from it
        self.write = self._transport.write
        self._pool.made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The end; also of an answer that is delimited by nothing else."""
        if exc is None and self._headed and not self._framed and self.message is not None:
            self._finish(self._parser.get_status_code())
        self._pool.lost(self)
        self.write = _nowhere
        self._parser = None  # parser and protocol hold each other, and a load runs without garbage collection

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """The shared buffer."""
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """Parse what came, then act on it, outside the parser, which would report our own errors as protocol errors.

        Most answers come whole, with a head that has been seen before: such a head was parsed once, and its body is as
        long as it was then.
        """
        fresh = not self._size
        end = _BYTES.find(b"\r\n\r\n", 0, nbytes) + 4 if fresh and self.message is not None else 3
        head = bytes(_BUFFER[:end]) if end > 3 else b""
        status = self._pool.heads.get((head, nbytes))
        if status is not None:
            message = self.message
            self.message = None
            self._pool.finished(self, message, status, bytes(_BUFFER[end:nbytes]), nbytes)  # type: ignore[arg-type]  # a message is in flight, or no answer would be expected
            return
        self._size += nbytes
        try:
            self._parser.feed_data(_BUFFER[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if self.message is not None:
                self._finish(0)
            self.abandon()
            return
        if self._complete:
            status = self._parser.get_status_code()
            if (
                head
                and self._keep
                and self._length == nbytes - end <= _BODY_KEPT
                and len(self._pool.heads) < _HEADS_KEPT
            ):
                self._pool.heads[head, nbytes] = status
            self._finish(status)

    def _finish(self, status: int) -> None:
        message, keep = self.message, self._keep
        body, size = b"".join(self._body), self._size
        self.message = None
        self._reset()
        if message is None or not keep:
            self.abandon()
        if message is not None:
            self._pool.finished(self, message, status, body, size)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note whether the body's end is marked."""
        lower = name.lower()
        if lower == b"content-length":
            self._framed, self._length = True, int(value)
        elif lower == b"transfer-encoding":
            self._framed = True

    def on_headers_complete(self) -> None:
        """Note that an answer has begun."""
        self._headed = True

    def on_body(self, data: bytes) -> None:
        """Keep the front of the body."""
        if self._kept < _BODY_KEPT:
            self._body.append(data)
            self._kept += len(data)

    def on_message_complete(self) -> None:
        """Note the end of an answer; 1xx are interim."""
        if self._parser.get_status_code() >= 200:
            self._complete = True
            self._keep = self._parser.should_keep_alive()
        else:
            self._headed = self._framed = False


class Pool(Generic[T]):
    """The connections to one address, and the messages that wait for one. Counts are read by whoever reports them."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        url: str,
        owner: Exchanges[T],
        *,
        limit: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.url = url
        self.waiting: deque[T] = deque()
        self.heads: dict[tuple[bytes, int], int] = {}
        self.opened = self.failed = self.own_limits = self.peak_open = self.peak_handshakes = 0
        self._loop = loop
        self._host, self._port = address(url)
        self._tls = tls
        self._owner = owner
        self._limit = limit
        self._open: set[Connection[T]] = set()
        self._idle: dict[Connection[T], None] = {}
        self._busy: dict[T, Connection[T]] = {}
        self._handshakes: set[asyncio.Task[bool]] = set()
        self._error: OSError | None = None

    async def warm(self, count: int) -> None:
        """Open `count` connections (the limit, if that is less). OSError, the reason, when none can be opened.

        No more than that are opened in all: a server may close again what it has accepted.
        """
        wanted, before = min(count, self._limit), self.opened
        while len(self._open) < wanted > self.opened - before:
            opened, missing = self.opened, wanted - len(self._open)
            for _ in range(min(missing, MAX_HANDSHAKES)):
                self._begin()
            await asyncio.wait(set(self._handshakes))
            if self.opened == opened:
                break
        if not self._open and self._error is not None:
            raise self._error

    def offer(self, message: T) -> None:
        """Send `message` on a free connection, or as soon as there is one."""
        while self._idle:
            connection, _ = self._idle.popitem()
            if connection.is_usable:
                self._serve(connection, message)
                return
        self.waiting.append(message)
        self._grow()

    def withdraw(self, message: T) -> None:
        """Forget `message`, with the connection it is on, if any."""
        connection = self._busy.pop(message, None)
        if connection is not None:
            connection.abandon()
            return
        with contextlib.suppress(ValueError):
            self.waiting.remove(message)  # those that gave up first are at the front, where this looks first

    def close(self) -> None:
        """Drop every connection and every waiting message."""
        self._limit = 0
        self.waiting.clear()
        for task in self._handshakes:
            task.cancel()
        for connection in list(self._open):
            connection.abandon()

    def made(self, connection: Connection[T]) -> None:
        """A connection is open (called by it)."""
        self._open.add(connection)
        self.opened += 1
        self.peak_open = max(self.peak_open, len(self._open))
        self._release(connection)

    def lost(self, connection: Connection[T]) -> None:
        """A connection has ended (called by it)."""
        self._open.discard(connection)
        self._idle.pop(connection, None)
        if connection.message is not None:
            self._busy.pop(connection.message, None)
            self._owner.refused(connection.message)
        self._grow()

    def finished(self, connection: Connection[T], message: T, status: int, body: bytes, size: int) -> None:
        """An answer is complete (called by its connection)."""
        self._busy.pop(message, None)
        self._owner.answered(message, status, body, size)
        if not connection.is_usable:
            return
        if self.waiting:
            self._serve(connection, self.waiting.popleft())
        else:
            self._idle[connection] = None

    def remember(self, head: bytes, size: int, status: int) -> None:
        """What a head said of its answer, for others with the same. A clock in it makes it a new one each second."""
        if len(self.heads) >= _HEADS_KEPT:
            self.heads.clear()
        self.heads[head, size] = status

    def _release(self, connection: Connection[T]) -> None:
        if self.waiting:
            self._serve(connection, self.waiting.popleft())
        else:
            self._idle[connection] = None

    def _serve(self, connection: Connection[T], message: T) -> None:
        connection.message = message
        self._busy[message] = connection
        connection.write(self._owner.request(message))

    def _grow(self) -> None:
        while (
            len(self.waiting) > len(self._handshakes) < MAX_HANDSHAKES
            and len(self._open) + len(self._handshakes) < self._limit
        ):
            self._begin()

    def _begin(self) -> None:
        task = self._loop.create_task(self._connect())
        self._handshakes.add(task)
        self.peak_handshakes = max(self.peak_handshakes, len(self._handshakes))
        task.add_done_callback(self._ended)

    async def _connect(self) -> bool:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._loop.create_connection(lambda: Connection(self), self._host, self._port, ssl=self._tls)
            return True
        except OSError as error:  # TimeoutError is one, and so is whatever TLS objects to
            self._error = error
            self.failed += 1
            if error.errno in OWN_LIMITS:
                self.own_limits += 1
                if self.waiting:
                    self._owner.thwarted(self.waiting.popleft())
            elif not self._open and self.waiting:
                self._owner.refused(self.waiting.popleft())
            return False

    def _ended(self, task: asyncio.Task[bool]) -> None:
        self._handshakes.discard(task)
        if task.cancelled():
            return
        # A refused connection is tried again at once only when no other can take what waits. An error that is none of
        # the network's is raised here, so that it does not pass unseen.
        if task.result() or not self._open:
            self._grow()
