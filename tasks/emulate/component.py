"""A component at work: takes messages in, has them served, sends them on along their paths, and answers."""

import asyncio
import random
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

from tasks.codecs import Message, MessageError, Reply, codec_named
from tasks.emulate.hop import Forwarded, Hop
from tasks.emulate.server import Respond
from tasks.emulate.spec import ComponentSpec
from tasks.emulate.station import Station

_TEXT = "text/plain; charset=utf-8"
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"  # Prometheus text exposition format
_PATHS = b"/paths/"


class _Job:
    """A message that this component has not yet answered."""

    __slots__ = ("message", "path", "respond")

    def __init__(self, message: Message, path: str, respond: Respond) -> None:
        self.message = message
        self.path = path
        self.respond = respond


class Component:
    """The behaviour that a `ComponentSpec` declares, with routes that are base URLs."""

    def __init__(self, loop: asyncio.AbstractEventLoop, spec: ComponentSpec) -> None:
        self._spec = spec
        self._codec = codec_named(spec.codec)
        self._next_codec = {path: codec_named(spec.next_codec.get(path, "plain")) for path in spec.routes}
        self._station: Station[_Job] = Station(loop, spec, self._served)
        urls = {url for url in spec.routes.values() if url is not None}
        self._hops = {url: Hop(loop, url, limit=spec.hop_connections) for url in urls}
        self._fails = _failures(spec)
        self._leaked: list[bytes] = []
        self._received = self._answered = self._failed = 0

    def handle(self, method: bytes, target: bytes, body: bytes, respond: Respond) -> None:
        """Serve one HTTP request: a message at `/paths/<path id>`, `/metrics` or `/health`."""
        route = target.partition(b"?")[0]
        if route.startswith(_PATHS):
            self._receive(method, route.removeprefix(_PATHS), body, respond)
        elif route not in (b"/metrics", b"/health"):
            respond(HTTPStatus.NOT_FOUND, _TEXT, b"no such resource\n")
        elif method != b"GET":
            respond(HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, b"GET only\n")
        elif route == b"/metrics":
            respond(HTTPStatus.OK, _EXPOSITION, self.metrics().encode())
        else:
            respond(HTTPStatus.OK, _TEXT, b"ok\n")

    def metrics(self) -> str:
        """Its counters and gauges, in Prometheus' text format. Received is answered, failed and in flight together."""
        in_flight = self._received - self._answered - self._failed
        leaked = len(self._leaked) * self._spec.leak_bytes_per_message
        rows = (
            ("messages_received_total", "counter", self._received),
            ("messages_answered_total", "counter", self._answered),
            ("messages_failed_total", "counter", self._failed),
            ("in_flight", "gauge", in_flight),
            ("queue_length", "gauge", self._station.waiting),
            ("busy_workers", "gauge", self._station.busy),
            ("leaked_bytes", "gauge", leaked),
        )
        name = self._spec.component.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        return "".join(
            f'# TYPE plimsoll_{metric} {kind}\nplimsoll_{metric}{{component="{name}"}} {value}\n'
            for metric, kind, value in rows
        )

    def close(self) -> None:
        """Do no more."""
        self._station.close()
        for hop in self._hops.values():
            hop.close()

    def _receive(self, method: bytes, quoted: bytes, body: bytes, respond: Respond) -> None:
        path = unquote_to_bytes(quoted).decode(errors="replace")
        if path not in self._spec.routes:
            respond(HTTPStatus.NOT_FOUND, _TEXT, f"{self._spec.component} is not on that message path\n".encode())
            return
        if method != b"POST":
            respond(HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, b"POST only\n")
            return
        self._received += 1
        try:
            message = self._codec.read_message(body)
        except MessageError as error:
            self._failed += 1
            respond(HTTPStatus.BAD_REQUEST, _TEXT, f"{error}\n".encode())
            return
        if self._spec.leak_bytes_per_message:
            self._leaked.append(b"\xa5" * self._spec.leak_bytes_per_message)  # written, so that it is really resident
        self._station.enter(_Job(message, path, respond))

    def _served(self, job: _Job) -> None:
        url = self._spec.routes[job.path]
        if self._fails():
            self._answer(job, Reply.FAILED)
        elif url is None:
            self._answer(job, Reply.DONE)
        else:
            reply = partial(self._answer, job)
            codec = self._next_codec[job.path]
            self._hops[url].forward(Forwarded(message=job.message, path=job.path, codec=codec, reply=reply))

    def _answer(self, job: _Job, reply: Reply) -> None:
        if reply is Reply.DONE:
            self._answered += 1
        else:
            self._failed += 1
        status, body = self._codec.answer(job.message, reply)
        job.respond(status, self._codec.content_type, body)


def _failures(spec: ComponentSpec) -> Callable[[], bool]:
    """Draws whether the next message fails: the same sequence for the same seed, whatever the service times."""
    if not spec.error_permille:
        return lambda: False
    draw = random.Random(f"{spec.seed}:errors")  # noqa: S311 - a simulation, not a secret
    return lambda: draw.randrange(1000) < spec.error_permille
