"""A component at work: takes messages in, has them served, sends them on along their paths, and answers."""

import asyncio
import random
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import assert_never
from urllib.parse import unquote_to_bytes

from tasks.codecs import Message, MessageError, MessageKind, Reply, codec_named
from tasks.emulate.delivery import Delivery
from tasks.emulate.hop import Forwarded, Hop
from tasks.emulate.meter import Ending, Meter, PathMeter
from tasks.emulate.spec import ComponentSpec, OutageAnswer
from tasks.emulate.station import Station
from tasks.emulate.timetable import Stoppage
from tasks.wire.server import NO_ANSWER, Respond

_TEXT = "text/plain; charset=utf-8"
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"  # Prometheus text exposition format
_PATHS = b"/paths/"


class _Job:
    """A message that this component has not yet answered, but for an acknowledgement."""

    __slots__ = ("came_ns", "is_acknowledged", "message", "meter", "path", "respond")

    def __init__(self, message: Message, path: str, respond: Respond, meter: PathMeter, came_ns: int) -> None:
        self.message = message
        self.path = path
        self.respond = respond
        self.meter = meter
        self.came_ns = came_ns
        self.is_acknowledged = False

    @property
    def age_us(self) -> int:
        """How long ago it came."""
        return (time.monotonic_ns() - self.came_ns) // 1000


class Component:
    """The behaviour that a `ComponentSpec` declares, with routes that are base URLs."""

    def __init__(self, loop: asyncio.AbstractEventLoop, spec: ComponentSpec) -> None:
        self._loop = loop
        self._spec = spec
        self._codec = codec_named(spec.codec)
        self._next_codec = {path: codec_named(spec.next_codec.get(path, "plain")) for path in spec.routes}
        self._station: Station[_Job] = Station(loop, spec, self._served, self._lost)
        urls = {url for url in spec.routes.values() if url is not None}
        self._hops = {url: Hop(loop, url, limit=spec.hop_connections) for url in urls}
        self._beyond: dict[_Job, None] = {}
        self._delivery = Delivery(loop, spec, self._codec)
        self._fails = _draws(spec, "errors", spec.error_permille)
        self._alerts = _draws(spec, "alerts", spec.alert_permille)
        self._alerts_raised = self._acknowledged = 0
        self._leaked: list[bytes] = []
        self._meter = Meter(spec.component, spec.routes)
        self._connections = self._turned_away = 0

    def admit(self) -> bool:
        """See `Handler`: not beyond the limit of connections, nor while an outage refuses them."""
        outage, limit = self._station.outage, self._spec.max_connections
        is_refused = outage is not None and outage.answers is OutageAnswer.REFUSED
        if is_refused or 0 < limit <= self._connections:
            self._turned_away += 1
            return False
        self._connections += 1
        return True

    def left(self) -> None:
        """See `Handler`."""
        self._connections -= 1

    def handle(self, method: bytes, target: bytes, body: bytes, respond: Respond) -> None:
        """Serve one HTTP request: a message at `/paths/<path id>`, `/metrics` or `/health`."""
        route = target.partition(b"?")[0]
        if route.startswith(_PATHS):
            self._receive(method, route.removeprefix(_PATHS), body, respond)
        else:
            self.inform(method, route, respond)

    def inform(self, method: bytes, route: bytes, respond: Respond) -> None:
        """Serve a request that is no message's."""
        if route not in (b"/metrics", b"/health"):
            respond(HTTPStatus.NOT_FOUND, _TEXT, b"no such resource\n")
        elif method != b"GET":
            respond(HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, b"GET only\n")
        elif route == b"/metrics":
            respond(HTTPStatus.OK, _EXPOSITION, self.metrics().encode())
        else:
            respond(HTTPStatus.OK, _TEXT, b"ok\n")

    def metrics(self) -> str:
        """Its counters and gauges, in Prometheus' text format.

        Received is answered, failed, invalid, rejected and in flight together. `outage` is 1 during one. By path:
        messages received, served here, sent on, answered by the next hop, and ended, and how; the time from arrival to
        service done here, and to the end, as sums in microseconds. What goes to receive services is counted in
        deliveries: those made, tries that were refused, those given up, and, as a gauge, those in hand.
        """
        return self._meter.exposition(
            {
                "workers": self._station.workers,
                "busy_workers": self._station.busy,
                "queue_length": self._station.waiting,
                "outage": int(self._station.outage is not None),
                "connections": self._connections,
                "connections_turned_away_total": self._turned_away,
                "leaked_bytes": len(self._leaked) * self._spec.leak_bytes_per_message,
                "messages_acknowledged_total": self._acknowledged,
                "alerts_raised_total": self._alerts_raised,
                "deliveries_total": self._delivery.delivered,
                "deliveries_refused_total": self._delivery.refusals,
                "deliveries_given_up_total": self._delivery.given_up,
                "deliveries_in_hand": self._delivery.waiting,
            }
        )

    def close(self) -> None:
        """Do no more."""
        self._station.close()
        self._delivery.close()
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
        now = self._station.arrive()
        meter = self._meter.paths[path]
        meter.received += 1
        if outage := self._station.outage_at(now):
            meter.end(Ending.REJECTED, 0)
            self._turn_away(outage, respond)
            return
        try:
            message = self._codec.read_message(body)
        except MessageError as error:
            meter.end(Ending.FAILED, 0)
            respond(HTTPStatus.BAD_REQUEST, _TEXT, f"{error}\n".encode())
            return
        if not self._station.enter(_Job(message, path, respond, meter, now), now):
            meter.end(Ending.REJECTED, 0)
            respond(HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, b"too many messages wait\n")
        elif self._spec.leak_bytes_per_message:
            self._leaked.append(b"\xa5" * self._spec.leak_bytes_per_message)  # written, so that it is really resident

    def _served(self, job: _Job) -> None:
        job.meter.served += 1
        job.meter.served_us += job.age_us
        flaw = job.message.flaw
        if self._alerts():
            self._raise_alert(job.message.originator)
        if flaw is not None and flaw in self._spec.refuses:
            self._answer(job, Reply.to(flaw))
        elif self._fails():
            self._answer(job, Reply.FAILED)
        else:
            if job.path in self._spec.acknowledges:
                self._acknowledge(job)
            self._pass_on(job)

    def _pass_on(self, job: _Job) -> None:
        url = self._spec.routes[job.path]
        if url is None:
            self._answer(job, Reply.DONE)
            return
        job.meter.forwarded += 1
        self._beyond[job] = None
        forwarded = Forwarded(
            message=job.message,
            path=job.path,
            codec=self._next_codec[job.path],
            reply=partial(self._returned, job),
            wrapping=self._spec.wrapping.get(job.path, ()),
        )
        self._hops[url].forward(forwarded)

    def _raise_alert(self, originator: str) -> None:
        """An alert of the component's own, to the receive service of whoever's message it is at."""
        if self._delivery.reaches(originator):
            self._alerts_raised += 1
            self._delivery.send(originator, self._codec.system_alert(originator, self._alerts_raised))

    def _acknowledge(self, job: _Job) -> None:
        """Say that the request is here, where its response can come later; else that will be the answer."""
        if job.message.kind is MessageKind.REQUEST and self._delivery.reaches(job.message.originator):
            self._acknowledged += 1
            job.is_acknowledged = True
            status, body = self._codec.acknowledge(job.message)
            job.respond(status, self._codec.content_type, body)

    def _returned(self, job: _Job, reply: Reply) -> None:
        """The next hop's answer, unless an outage has ended the matter."""
        job.meter.returned += reply is Reply.DONE
        if job in self._beyond:
            del self._beyond[job]
            self._answer(job, reply)

    def _answer(self, job: _Job, reply: Reply) -> None:
        job.meter.end(_ending(reply), job.age_us)
        wrapping = self._spec.wrapping.get(job.path, ())
        if job.is_acknowledged:
            self._delivery.send(job.message.originator, self._codec.response(job.message, reply, wrapping))
            return
        status, body = self._codec.answer(job.message, reply, wrapping)
        job.respond(status, self._codec.content_type, body)

    def _lost(self, outage: Stoppage, waiting: list[_Job]) -> None:
        """An outage begins, and with it everything ends that is in hand here or beyond; nobody answers it any more."""
        jobs = [*self._beyond, *waiting]
        self._beyond.clear()
        for job in jobs:
            job.meter.end(Ending.REJECTED, job.age_us)
            if not job.is_acknowledged:
                self._turn_away(outage, job.respond)

    def _turn_away(self, outage: Stoppage, respond: Respond) -> None:
        match outage.answers:
            case OutageAnswer.REFUSED:
                respond(NO_ANSWER, "", b"")
            case OutageAnswer.UNAVAILABLE:
                respond(HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, b"out of service\n")
            case OutageAnswer.SILENCE:
                self._keep_silent(outage.ends, respond)
            case _:
                assert_never(outage.answers)

    def _keep_silent(self, until: int, respond: Respond) -> None:
        """What comes back after the outage knows nothing of the message, and ends its connection."""
        left = until - time.monotonic_ns()
        if left > 0:  # asked again, for the loop's timers may ring a millisecond early
            self._loop.call_later(left / 1_000_000_000, self._keep_silent, until, respond)
        else:
            respond(NO_ANSWER, "", b"")


class Informer:
    """What listens apart from the messages, for whoever watches: no limit or outage of theirs shuts it."""

    def __init__(self, component: Component) -> None:
        self._component = component

    def admit(self) -> bool:
        """See `Handler`."""
        return True

    def left(self) -> None:
        """See `Handler`."""

    def handle(self, method: bytes, target: bytes, body: bytes, respond: Respond) -> None:  # noqa: ARG002 - see Handler
        """Serve `/metrics` and `/health`."""
        self._component.inform(method, target.partition(b"?")[0], respond)


def _ending(reply: Reply) -> Ending:
    match reply:
        case Reply.DONE:
            return Ending.ANSWERED
        case Reply.FAILED | Reply.UNAVAILABLE:
            return Ending.FAILED
        case Reply.UNKNOWN_SRV | Reply.UNAUTHORISED_DEVICE | Reply.UNREACHABLE_DEVICE:
            return Ending.INVALID
        case _:
            assert_never(reply)


def _draws(spec: ComponentSpec, what: str, permille: int) -> Callable[[], bool]:
    """Draws whether it happens to the next message: the same sequence for the same seed, whatever the service times."""
    if not permille:
        return lambda: False
    draw = random.Random(f"{spec.seed}:{what}")  # noqa: S311 - a simulation, not a secret
    return lambda: draw.randrange(1000) < permille
