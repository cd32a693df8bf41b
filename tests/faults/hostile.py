"""A proxy on loopback that forwards to a server until it is told otherwise, and then is as hostile as networks are."""

import os
import random
import socket
import struct
import threading
import time
from contextlib import suppress
from enum import StrEnum
from typing import Self

_PIECE = 65_536
_LINGER_AND_RESET = struct.pack("ii", 1, 0)
_STATUS = b"HTTP/1.1 %d Broken\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nbroken"


class Mood(StrEnum):
    """What the proxy does with connections, those that are open too."""

    FORWARD = "forwards"
    REFUSE = "refuses connections"
    HANG = "accepts, and never answers"
    RESET = "resets connections"
    CLOSE = "closes connections without a word"
    GARBAGE = "answers with random bytes"
    NOT_HTTP = "answers with another protocol"
    ERRORS = "answers every request with status 500"
    BUSY = "answers every request with status 503"
    EMPTY = "answers 200 with nothing in it"
    FOREIGN = "answers 200 with what is no message"
    CUT = "cuts answers off in the middle"
    ENDLESS = "answers without an end"
    SLOW = "forwards an answer late"


OWN = {
    Mood.NOT_HTTP: b"SSH-2.0-OpenSSH_9.2\r\n",
    Mood.ERRORS: _STATUS % 500,
    Mood.BUSY: _STATUS % 503,
    Mood.EMPTY: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    Mood.FOREIGN: b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n<html>no</html>",
}
"""What is answered to whatever comes."""


class HostileProxy:
    """Listens on a port of its own until it is closed. A context manager.

    `late_s`: how long a SLOW one keeps an answer back. What is random follows from `seed`. `seen` counts what came;
    with `later`, (N, mood), it turns to that mood by itself when the N-th has come.
    """

    def __init__(self, upstream: tuple[str, int], *, seed: int = 1, late_s: float = 0.5) -> None:
        self.upstream, self.late_s = upstream, late_s
        self.seen = 0
        self.later: tuple[int, Mood] | None = None
        self._chance = random.Random(seed)  # noqa: S311 - makes garbage, not secrets
        self._mood = Mood.FORWARD
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self.port = 0
        self._listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def mood(self) -> Mood:
        """What it does at present."""
        return self._mood

    def turn(self, mood: Mood) -> None:
        """From now on it is so, with connections that are open too."""
        self._mood = mood
        if mood is Mood.REFUSE:
            self._deafen()
            self._drop(reset=True)
        elif self._listener is None:
            self._listen()
        if mood in (Mood.RESET, Mood.CLOSE):
            self._drop(reset=mood is Mood.RESET)

    def close(self) -> None:
        """Ends it and every connection."""
        self._mood = Mood.REFUSE
        self._deafen()
        self._drop(reset=True)

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(512)
        self.port, self._listener = listener.getsockname()[1], listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _deafen(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # which wakes whoever waits in accept
            listener.close()

    def _drop(self, *, reset: bool) -> None:
        with self._lock:
            dropped = list(self._open)
        for each in dropped:
            self._end(each, reset=reset)

    def _end(self, connection: socket.socket, *, reset: bool) -> None:
        with suppress(OSError):
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_AND_RESET)
            else:
                connection.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open.discard(connection)
        connection.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """Requests of one connection, a piece at a time, each as the mood of its moment has it."""
        server: socket.socket | None = None
        try:
            while piece := client.recv(_PIECE):
                self.seen += 1
                if self.later and self.seen >= self.later[0]:
                    mood, self.later = self.later[1], None
                    self.turn(mood)
                mood = self._mood
                if mood in (Mood.FORWARD, Mood.SLOW, Mood.CUT):
                    if server is None:
                        server = socket.create_connection(self.upstream)
                        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        with self._lock:
                            self._open.add(server)
                        threading.Thread(target=self._return, args=(server, client), daemon=True).start()
                    server.sendall(piece)
                elif not self._misbehave(client, mood):
                    return
        except OSError:
            return
        finally:
            for each in (client, server):
                if each is not None:
                    self._end(each, reset=self._mood is Mood.RESET)

    def _misbehave(self, client: socket.socket, mood: Mood) -> bool:
        """Answers as it should not; whether the connection goes on."""
        if mood in OWN:
            client.sendall(OWN[mood])
            return True
        if mood is Mood.GARBAGE:
            client.sendall(self._chance.randbytes(self._chance.randint(1, 3000)))
            return True
        if mood is Mood.ENDLESS:
            client.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while self._mood is Mood.ENDLESS:
                client.sendall(b"ffff\r\n" + os.urandom(0xFFFF) + b"\r\n")
            return False
        return mood is Mood.HANG

    def _return(self, server: socket.socket, client: socket.socket) -> None:
        try:
            while piece := server.recv(_PIECE):
                mood = self._mood
                if mood is Mood.SLOW:
                    time.sleep(self.late_s)  # lateness is what is tried
                if mood is Mood.CUT:
                    client.sendall(piece[: len(piece) // 2])
                    return
                client.sendall(piece)
        except OSError:
            return
        finally:
            self._end(server, reset=False)
            self._end(client, reset=False)
