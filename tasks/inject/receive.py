"""The user's receive service, where a system delivers responses that it did not have at once, and raises alerts.

The caller opens the port, so that the system under test can be told of it before it starts, and hands it to the
injector's process, whose event loop serves it beside everything else. A body is answered before it is looked at.
"""

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from catalog.errors import WorldError
from tasks.wire.server import Respond, ServerConnection
from tasks.wire.tls import Names

LOOPBACK = "127.0.0.1:0"
"""Where it listens unless something else is declared: any free port that this machine alone reaches."""

_BACKLOG = 4096
_CONNECTIONS = 4096
"""How many a system may keep open; further ones are closed as soon as they are made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivePort:
    """A port that is open for a receive service. A context manager, or call `close`; nothing is served until then."""

    listener: socket.socket
    tls: Names = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where this machine reaches it."""
        host, port = self.listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self.tls else 'http'}://{shown}:{port}"

    def close(self) -> None:
        """Listen no more; may be repeated."""
        self.listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def open_port(listen: str = LOOPBACK, tls: Names | None = None) -> ReceivePort:
    """Listen at `host:port` (`[host]:port` for IPv6). WorldError, with the reason, where that cannot be."""
    try:
        parts = urlsplit(f"//{listen}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or port is None:
        raise WorldError(f"the receive service cannot listen on {listen!r}: expected host:port")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return ReceivePort(listener=socket.create_server((host, port), family=family, backlog=_BACKLOG), tls=tls or {})
    except OSError as error:
        raise WorldError(
            f"the receive service cannot listen on {listen}: {(error.strerror or str(error)).lower()}",
            remedy="Declare an address of this machine and a port that nothing else uses.",
        ) from error


class ReceiveService:
    """Answers every POST at once and hands its body on; `received` must not raise."""

    def __init__(self, received: Callable[[bytes], None], context: ssl.SSLContext | None = None) -> None:
        self.connections = self.connections_peak = 0
        self.context = context
        self._received = received

    def connection(self) -> ServerConnection:
        """The protocol of one client."""
        return ServerConnection(self)

    def admit(self) -> bool:
        """See `Handler`."""
        if self.connections >= _CONNECTIONS:
            return False
        self.connections += 1
        self.connections_peak = max(self.connections_peak, self.connections)
        return True

    def left(self) -> None:
        """See `Handler`."""
        self.connections -= 1

    def handle(self, method: bytes, target: bytes, body: bytes, respond: Respond) -> None:  # noqa: ARG002 - any path
        """See `Handler`."""
        if method != b"POST":
            respond(405, "text/plain", b"POST only\n")
            return
        respond(200, "text/plain", b"")
        self._received(body)
