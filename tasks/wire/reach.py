"""Finds out whether a system under test can be reached, before hours of load are prepared for it."""

import socket
import ssl
from contextlib import suppress

from catalog.errors import WorldError
from tasks.wire.client import CONNECT_TIMEOUT_S, address, is_tls
from tasks.wire.tls import Names, client_context, reason

_OBJECTION_S = 0.25
_PING = b"OPTIONS * HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n"
"""RFC 9110, 9.3.7: "a 'ping' or 'no-op' type of method". Any answer to it will do."""


def reach(url: str, tls: Names | None = None) -> None:
    """Raises WorldError, with the reason, where nothing listens at `url`, or where TLS fails on either side.

    Under TLS 1.3 a client learns only after its handshake that the server objects to its certificate. So it listens for
    an objection, and if none comes, makes sure with a request.
    """
    try:
        host, port = address(url)
    except ValueError as error:
        raise WorldError(f"{url}: {error}", remedy="Declare an http:// or https:// entry.") from None
    context = client_context(tls or {}) if is_tls(url) else None
    try:
        with socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S) as plain:
            if context is not None:
                with context.wrap_socket(plain, server_hostname=host) as secured:
                    _ping(secured, host)
    except OSError as error:
        told = reason(error)
        if isinstance(error, ConnectionResetError | BrokenPipeError | ssl.SSLEOFError) and context is not None:
            told += " (some servers do so when they want a client certificate, or another one)"
        raise WorldError(
            f"{url} cannot be reached: {told}",
            remedy="Check that the system under test is up and listens there"
            + (", and the certificates that 'tls' of the environment names." if context is not None else "."),
        ) from error


def listens(name: str, host: str, port: int) -> None:
    """Raises WorldError, with the reason, where no connection can be opened to `name`."""
    try:
        socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise WorldError(
            f"{name} cannot be reached: {reason(error)}", remedy="Check that it is up and listens there."
        ) from error


def _ping(secured: socket.socket, host: str) -> None:
    try:
        secured.settimeout(_OBJECTION_S)
        if not secured.recv(1):
            raise ConnectionResetError("it closed the connection after the TLS handshake")
    except TimeoutError:
        secured.settimeout(CONNECT_TIMEOUT_S)
        secured.sendall(_PING % host.encode("idna"))
        with suppress(TimeoutError):  # it took the request, and has no word to spare
            secured.recv(1)
