"""Loads of one kind of message, what must hold for every injection, and servers that answer with given bytes."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from tasks.inject.files import NEVER, RESULTS, Outcome
from tasks.inject.injector import Column, Injection, Load

I0 = b"<R><ResponseCode>I0</ResponseCode></R>"
OK = b"HTTP/1.1 200 OK\r\n"


def load_of(offset_us: Column | list[int], *, kind: str = "request") -> Load:
    count = len(offset_us)
    return Load.of(
        offset_us=offset_us, path=["p"] * count, srv=["4.1.1"] * count, kind=[kind] * count, device=["d"] * count
    )


def steady(count: int, per_second: int) -> Load:
    return load_of(np.arange(count) * 1_000_000 // per_second)


def assert_conserved(load: Load, injection: Injection) -> None:
    """Every message has one row, one outcome, and instants in order."""
    columns, summary = injection.columns, injection.summary
    assert list(columns) == list(RESULTS)
    assert np.array_equal(columns["sequence"], load.sequence)
    assert np.array_equal(columns["intended_us"] - columns["intended_us"][0], load.offset_us - load.offset_us[0])
    assert np.all(columns["ready_us"] >= columns["intended_us"])
    sent = columns["sent_us"] != NEVER
    assert np.all(columns["sent_us"][sent] >= columns["ready_us"][sent])
    assert np.all(columns["done_us"][sent] >= columns["sent_us"][sent])
    assert set(np.unique(columns["outcome"])) <= set(Outcome)
    assert sum(summary[outcome.name.lower()] for outcome in Outcome) == summary["offered"] == len(load)
    assert summary["never_sent"] == np.count_nonzero(~sent)


class Raw(socketserver.ThreadingTCPServer):
    """A server that answers every request with the same bytes, and then keeps the connection or closes it."""

    allow_reuse_address = True
    daemon_threads = True


class RawHandler(socketserver.BaseRequestHandler):
    def __init__(self, request: socket.socket, client: object, server: Raw, *, answer: bytes, close: bool) -> None:
        self.answer, self.close = answer, close
        super().__init__(request, client, server)

    def handle(self) -> None:
        while self.read_request():
            self.request.sendall(self.answer)
            if self.close:
                return

    def read_request(self) -> bool:
        received = b""
        while b"\r\n\r\n" not in received:
            more = self.request.recv(65_536)
            if not more:
                return False
            received += more
        head, _, body = received.partition(b"\r\n\r\n")
        length = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0] or 0)
        while len(body) < length:
            body += self.request.recv(65_536)
        return True


@contextmanager
def raw_server(answer: bytes, *, close: bool = False, handler: type[RawHandler] = RawHandler) -> Iterator[str]:
    with Raw(("127.0.0.1", 0), partial(handler, answer=answer, close=close)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class InPieces(RawHandler):
    """Answers byte by byte."""

    def handle(self) -> None:
        while self.read_request():
            for place in range(len(self.answer)):
                self.request.sendall(self.answer[place : place + 1])
