"""Small real servers for tests: an HTTP proxy that forwards and tunnels, a SOCKS5 proxy, and a server of HTTP/2."""

import asyncio
import base64
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hypercorn.asyncio import serve
from hypercorn.config import Config


class Proxy(socketserver.ThreadingTCPServer):
    """Counts what it lets through; with `credentials` (user:password) it wants them."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, handler: type[socketserver.BaseRequestHandler], credentials: str = "") -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.credentials = credentials
        self.seen: list[str] = []

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.server_address[1]}"


class HttpProxy(socketserver.BaseRequestHandler):
    """CONNECT becomes a tunnel; a request with an absolute URL is sent on, its connection kept."""

    server: Proxy

    def handle(self) -> None:
        upstream: socket.socket | None = None
        while head := self._head():
            lines = head.decode().split("\r\n")
            method, target, _ = lines[0].split(" ")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
            wanted = "Basic " + base64.b64encode(self.server.credentials.encode()).decode()
            if self.server.credentials and headers.get("proxy-authorization") != wanted:
                self.request.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                continue
            self.server.seen.append(f"{method} {target}")
            if method == "CONNECT":
                host, port = target.split(":")
                tunnel(self.request, socket.create_connection((host, int(port))), b"HTTP/1.1 200 OK\r\n\r\n")
                return
            parts = urlsplit(target)
            try:
                upstream = upstream or socket.create_connection((parts.hostname, parts.port or 80))
            except OSError:
                self.request.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                continue
            kept = [line for line in lines[1:] if not line.lower().startswith("proxy-")]
            request = "\r\n".join([f"{method} {parts.path or '/'} HTTP/1.1", *kept]).encode() + b"\r\n\r\n"
            upstream.sendall(request + self._exactly(self.request, int(headers.get("content-length", 0))))
            self.request.sendall(self._answer(upstream))
        if upstream is not None:
            upstream.close()

    def _head(self, source: socket.socket | None = None) -> bytes:
        received = b""
        with suppress(ConnectionResetError):
            while not received.endswith(b"\r\n\r\n"):
                more = (source or self.request).recv(1)
                if not more:
                    break
                received += more
        return received.removesuffix(b"\r\n\r\n")

    def _exactly(self, source: socket.socket, size: int) -> bytes:
        received = b""
        while len(received) < size and (more := source.recv(size - len(received))):
            received += more
        return received

    def _answer(self, upstream: socket.socket) -> bytes:
        head = self._head(upstream)
        size = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
        return head + b"\r\n\r\n" + self._exactly(upstream, size)


class Socks5(socketserver.BaseRequestHandler):
    """RFC 1928 and 1929, as far as a client of IPv4 addresses needs them."""

    server: Proxy

    def handle(self) -> None:
        methods = self._exactly(self._exactly(2)[1])
        wanted = 2 if self.server.credentials else 0
        if wanted not in methods:
            self.request.sendall(b"\x05\xff")
            return
        self.request.sendall(bytes((5, wanted)))
        if wanted:
            user = self._exactly(self._exactly(2)[1])
            password = self._exactly(self._exactly(1)[0])
            accepted = f"{user.decode()}:{password.decode()}" == self.server.credentials
            self.request.sendall(b"\x01\x00" if accepted else b"\x01\x01")
            if not accepted:
                return
        kind = self._exactly(4)[3]
        host = socket.inet_ntoa(self._exactly(4)) if kind == 1 else self._exactly(self._exactly(1)[0]).decode()
        (port,) = struct.unpack(">H", self._exactly(2))
        self.server.seen.append(f"{host}:{port}")
        with suppress(OSError):
            upstream = socket.create_connection((host, port))
            tunnel(self.request, upstream, b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")

    def _exactly(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            received += self.request.recv(size - len(received))
        return received


def tunnel(client: socket.socket, upstream: socket.socket, opened: bytes) -> None:
    """Carries bytes both ways until either side ends."""
    client.sendall(opened)

    def carry(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    back = threading.Thread(target=carry, args=(upstream, client), daemon=True)
    back.start()
    carry(client, upstream)
    back.join()
    upstream.close()


@contextmanager
def proxy(handler: type[socketserver.BaseRequestHandler], credentials: str = "") -> Iterator[Proxy]:
    """A proxy that runs until the end of the block."""
    with Proxy(handler, credentials) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def h2_server(
    seen: list[dict[str, Any]], *, certificate: tuple[Path, Path] | None = None, clients: Path | None = None
) -> Iterator[str]:
    """The URL of a server that speaks HTTP/2 (and 1.1 to those who ask), and notes what was asked."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (event := await receive())["type"] != "lifespan.shutdown":
                await send({"type": f"{event['type']}.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        size = 0
        while (part := await receive())["type"] == "http.request":
            size += len(part["body"])
            if not part.get("more_body"):
                break
        seen.append({"version": scope["http_version"], "method": scope["method"], "path": scope["path"], "size": size})
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
        await send({"type": "http.response.body", "body": b"done 1"})

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port, descriptor = listening.getsockname()[1], listening.detach()  # which the server will close
    config = Config()
    config.bind = [f"fd://{descriptor}"]
    config.accesslog = config.errorlog = None
    if certificate is not None:
        config.certfile, config.keyfile = (str(each) for each in certificate)
    if clients is not None:
        config.ca_certs, config.verify_mode = str(clients), ssl.CERT_REQUIRED
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def run() -> None:
        await serve(app, config, shutdown_trigger=over.wait)  # type: ignore[arg-type] # hypercorn's own types of ASGI

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()
