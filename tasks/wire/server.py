"""A small HTTP/1.1 server, of emulated components and receive services: keep-alive, pipelining, bounded messages."""

import asyncio
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol, cast

import httptools

MAX_BODY = 1_048_576  # bytes
MAX_HEAD = 65_536
_MAX_PIPELINED = 64  # requests of one connection that may wait for their answers before it is read no further
_LINGER_S = 1.0

# See `tasks.wire.client`: reads of one loop do not overlap.
_BUFFER = memoryview(bytearray(262_144))

NO_ANSWER = 0
"""In place of a status: the connection ends without an answer."""

Respond = Callable[[int, str, bytes], None]
"""Status, content type, body. Called once for each request, now or later."""


class Handler(Protocol):
    """What serves the requests."""

    def admit(self) -> bool:
        """A client has connected: whether it may stay. `left` is called for each one that may."""

    def left(self) -> None:
        """A client that was admitted has gone."""

    def handle(self, method: bytes, target: bytes, body: bytes, respond: Respond) -> None:
        """Serve one request."""


class _Exchange:
    """A request and, when there is one, its answer."""

    __slots__ = ("answer", "keep")

    def __init__(self, *, keep: bool) -> None:
        self.answer: bytes | None = None
        self.keep = keep


class ServerConnection(asyncio.BufferedProtocol):
    """One client's connection. Parser callbacks only note what came; `buffer_updated` acts on it."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._transport: asyncio.Transport | None = None
        self._parser: Any = httptools.HttpRequestParser(self)
        self._exchanges: deque[_Exchange] = deque()
        self._ready: list[tuple[bytes, bytes, bytes, bool]] = []
        self._closing = False
        self._fault: HTTPStatus | None = None
        self._admitted = False
        self.on_message_begin()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected; one that is not admitted is cut off at once."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own classes do not derive from it
        self._admitted = self._handler.admit()
        if not self._admitted:
            self._closing = True
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The client has gone; answers still to come go nowhere."""
        self._transport = None
        self._parser = None  # parser and protocol hold each other, and a load runs without garbage collection
        self._exchanges.clear()
        if self._admitted:
            self._handler.left()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        """The shared buffer."""
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """Parse what came and hand on what is complete."""
        if self._closing:
            return  # what follows a refused request is read and thrown away, so that the refusal gets through
        try:
            self._parser.feed_data(_BUFFER[:nbytes])
        except httptools.HttpParserUpgrade:
            pass  # an offer to change protocols is passed over: the request is answered, and is the last
        except httptools.HttpParserError:
            self._fault = self._fault or HTTPStatus.BAD_REQUEST
        ready, self._ready = self._ready, []
        for method, target, body, keep in ready:
            self._begin(method, target, body, keep=keep)
        if self._fault is not None:
            self._refuse(self._fault)
        elif len(self._exchanges) > _MAX_PIPELINED and self._transport is not None:
            self._transport.pause_reading()

    def on_message_begin(self) -> None:
        """Start a request."""
        self._target = b""
        self._body: list[bytes] = []
        self._length = self._head = 0

    def on_url(self, url: bytes) -> None:
        """Collect the target."""
        self._target += url
        self._measure_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Bound the head, and refuse a body that is announced as too long."""
        self._measure_head(len(name) + len(value))
        if name.lower() == b"content-length" and value.isdigit() and int(value[:20]) > MAX_BODY:
            self._fault = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    def on_body(self, data: bytes) -> None:
        """Collect the body, up to its bound."""
        self._length += len(data)
        if self._length > MAX_BODY:
            self._fault = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        if self._fault is None:
            self._body.append(data)

    def on_message_complete(self) -> None:
        """Note a whole request."""
        if self._fault is None:
            keep = self._parser.should_keep_alive() and not self._parser.should_upgrade()
            self._ready.append((self._parser.get_method(), self._target, b"".join(self._body), keep))

    def _measure_head(self, size: int) -> None:
        self._head += size
        if self._head > MAX_HEAD:
            self._fault = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE

    def _begin(self, method: bytes, target: bytes, body: bytes, *, keep: bool) -> None:
        exchange = _Exchange(keep=keep)
        self._exchanges.append(exchange)

        def respond(status: int, content_type: str, content: bytes) -> None:
            exchange.answer = _response(status, content_type, content, keep=keep) if status != NO_ANSWER else b""
            self._flush()

        self._handler.handle(method, target, body, respond)

    def _refuse(self, status: HTTPStatus) -> None:
        exchange = _Exchange(keep=False)
        exchange.answer = _response(status, "text/plain", f"{status.phrase}\n".encode(), keep=False)
        self._exchanges.append(exchange)
        self._closing = True
        self._flush()

    def _flush(self) -> None:
        """Write the answers whose turn it is."""
        while self._transport is not None and self._exchanges:
            exchange = self._exchanges[0]
            if exchange.answer is None:
                return
            self._exchanges.popleft()
            if not exchange.answer:
                self._closing = True
                self._exchanges.clear()
                self._transport.abort()
                return
            self._transport.write(exchange.answer)
            if not exchange.keep:
                self._end(self._transport)
                return
        if self._transport is not None and not self._transport.is_reading() and not self._transport.is_closing():
            self._transport.resume_reading()

    def _end(self, transport: asyncio.Transport) -> None:
        """Close after a last answer; lingering, as closing at once would reset what the client has not yet read."""
        self._closing = True
        self._exchanges.clear()
        if transport.can_write_eof():
            transport.write_eof()
        asyncio.get_running_loop().call_later(_LINGER_S, transport.abort)


def _response(status: int, content_type: str, content: bytes, *, keep: bool) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    if status != HTTPStatus.NO_CONTENT:
        lines += [f"Content-Type: {content_type}", f"Content-Length: {len(content)}"]
    if not keep:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + content
