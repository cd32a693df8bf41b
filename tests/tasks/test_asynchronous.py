"""Requests that are acknowledged now and answered later, on the receive service; and messages that wait for others."""

import asyncio
import gc
import os
import signal
import socket
import ssl
import threading
import urllib.error
import urllib.request
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st
from tls_parties import Authority

from catalog.errors import WorldError
from tasks.codecs import Codec, Identity, Message, MessageError, PushedKind, Reply, codec_named
from tasks.emulate.spec import ANYBODY, ComponentSpec, Outage, OutageQueue
from tasks.emulate.system import RunningComponent, start_component, start_system
from tasks.inject.correlate import ANSWERED, GIVEN_UP, OPEN, Claim, Correlator
from tasks.inject.engine import Engine
from tasks.inject.files import ACKNOWLEDGED, NEVER, WORK, Outcome
from tasks.inject.injector import Injection, LibcurlInjector, Load, OwnInjector, Target, _spec
from tasks.inject.receive import ReceiveService, open_port
from tasks.wire.server import ServerConnection

CODECS = ["duis", "plain"]


@pytest.fixture(params=[OwnInjector, LibcurlInjector])
def injector(request: pytest.FixtureRequest) -> type[OwnInjector]:
    """Both carriers of the one engine."""
    found: type[OwnInjector] = request.param
    return found


def steady(count: int, per_second: int, *, after: list[int] | None = None) -> Load:
    """Evenly spaced requests, each to a device of its own."""
    return Load.of(
        offset_us=np.arange(count) * 1_000_000 // per_second, path=["p"] * count, srv=["4.1.1"] * count,
        kind=["request"] * count, device=[f"d{number}" for number in range(count)], after=after,
    )  # fmt: skip


def assert_conserved(load: Load, injection: Injection) -> None:
    """A row for every message, at most one acknowledgement of each, and what is said of them agrees."""
    columns, first, summary = injection.columns, injection.acknowledgements, injection.summary
    assert np.array_equal(columns["sequence"], load.sequence)
    assert sum(summary[outcome.name.lower()] for outcome in Outcome) == summary["offered"] == len(load)
    assert summary["acknowledged"] == len(first["sequence"]) == len(np.unique(first["sequence"]))
    assert set(first["outcome"]) <= {ACKNOWLEDGED}
    own = np.searchsorted(columns["sequence"], first["sequence"])
    for name in ("sequence", "intended_us", "ready_us", "sent_us"):
        assert np.array_equal(columns[name][own], first[name])
    assert np.all(first["done_us"] >= first["sent_us"])


def acknowledging(codec: str = "duis", **more: object) -> ComponentSpec:
    spec = {"component": "c", "codec": codec, "routes": {"p": None}, "acknowledges": ("p",), **more}
    return ComponentSpec(**spec)  # type: ignore[arg-type]  # of any fields


def metrics(component: RunningComponent) -> dict[str, int]:
    with urllib.request.urlopen(component.metrics_url, timeout=10) as response:  # noqa: S310 - a process of this test
        lines = response.read().decode().splitlines()
    named = (line.removeprefix("plimsoll_").partition("{") for line in lines if line.startswith("plimsoll_"))
    return {name: int(rest.rpartition(" ")[2]) for name, _, rest in named if "path=" not in rest}


@pytest.mark.parametrize("codec", CODECS)
def test_a_request_is_acknowledged_and_answered_later(injector: type[OwnInjector], codec: str) -> None:
    """The next hop takes 30 ms longer than the component itself, and only the response waits for it."""
    load = steady(300, 600)
    with open_port() as port:
        specs = [
            acknowledging(codec, routes={"p": "beyond"}, receivers={ANYBODY: port.url}),
            ComponentSpec(component="beyond", service_us=30_000, routes={"p": None}),
        ]
        with start_system(specs) as system:
            target = Target(urls={"p": system["c"].url}, codec=codec, connections=8, receive=port)
            injection = injector().run(load, target)
            counted = metrics(system["c"])
    assert_conserved(load, injection)
    columns, first, summary = injection.columns, injection.acknowledgements, injection.summary
    assert set(columns["outcome"]) == {Outcome.OK}
    assert len(first["sequence"]) == summary["responses_received"] == 300
    assert np.all(columns["done_us"] - columns["sent_us"] >= 30_000)
    assert np.all(columns["done_us"] >= first["done_us"])
    assert np.array_equal(columns["status"], first["status"])
    assert set(first["status"]) == {200 if codec == "duis" else 202}
    assert summary["codes"] == ({"I0": 300, "I99": 300} if codec == "duis" else {"200": 300, "202": 300})
    told = ("late", "duplicate", "unknown", "malformed")
    assert {name: summary[f"responses_{name}"] for name in told} == dict.fromkeys(told, 0)
    assert (counted["messages_acknowledged_total"], counted["deliveries_total"]) == (300, 300)
    assert counted["messages_answered_total"] == 300


def test_without_a_receive_service_the_same_component_answers_at_once() -> None:
    with start_component(acknowledging()) as component:
        injection = OwnInjector().run(steady(50, 500), Target(urls={"p": component.url}, codec="duis"))
    assert set(injection.columns["outcome"]) == {Outcome.OK}
    assert (injection.summary["acknowledged"], injection.summary["codes"]) == (0, {"I0": 50})


def test_errors_are_answered_at_once_or_later_as_they_are_found(injector: type[OwnInjector]) -> None:
    """The component's own error is an answer at once; that of the next hop comes with the response."""
    load = steady(200, 1000)
    with open_port() as port:
        for own, beyond in ((1000, 0), (0, 1000)):
            specs = [
                acknowledging(routes={"p": "b"}, receivers={ANYBODY: port.url}, error_permille=own),
                ComponentSpec(component="b", routes={"p": None}, error_permille=beyond),
            ]
            with start_system(specs) as system:
                injection = injector().run(load, Target(urls={"p": system["c"].url}, codec="duis", receive=port))
            assert_conserved(load, injection)
            assert set(injection.columns["outcome"]) == {Outcome.ERROR}
            assert injection.summary["acknowledged"] == (200 if beyond else 0)


def test_a_response_that_never_comes_is_a_timeout_with_its_acknowledgement(injector: type[OwnInjector]) -> None:
    """What is beyond when an outage begins is lost; it was acknowledged."""
    load = steady(40, 2000)
    with open_port() as port:
        specs = [
            acknowledging(
                routes={"p": "b"}, receivers={ANYBODY: port.url},
                outages=(Outage(begins_us=400_000, length_us=60_000_000, queue=OutageQueue.LOST),),
            ),
            ComponentSpec(component="b", service_us=2_000_000, routes={"p": None}),
        ]  # fmt: skip
        with start_system(specs) as system:
            target = Target(urls={"p": system["c"].url}, codec="duis", receive=port, timeout_us=700_000)
            injection = injector().run(load, target)
    assert_conserved(load, injection)
    columns, first = injection.columns, injection.acknowledgements
    assert set(columns["outcome"]) == {Outcome.TIMEOUT}
    assert np.all(columns["done_us"] - columns["intended_us"] >= 700_000)
    assert len(first["sequence"]) == 40
    assert np.all(first["done_us"] < columns["done_us"])
    assert set(columns["status"]) == {0}


def test_a_system_that_is_killed_answers_no_more_and_every_message_has_its_row(injector: type[OwnInjector]) -> None:
    load = steady(1600, 800)
    with open_port() as port:
        specs = [
            acknowledging(routes={"p": "b"}, receivers={ANYBODY: port.url}),
            ComponentSpec(component="b", service_us=150_000, routes={"p": None}),
        ]
        with start_system(specs) as system:

            def kill(*_: int) -> None:
                if system["c"].process.is_running:
                    os.kill(system["c"].pid, signal.SIGKILL)

            target = Target(urls={"p": system["c"].url}, codec="duis", receive=port, timeout_us=700_000)
            injection = injector().run(load, target, progress=kill)
    assert_conserved(load, injection)
    columns, first = injection.columns, injection.acknowledgements
    assert set(columns["outcome"]) == {Outcome.OK, Outcome.TIMEOUT, Outcome.REFUSED}
    is_acknowledged = np.isin(columns["sequence"], first["sequence"])
    assert np.all(is_acknowledged[columns["outcome"] == Outcome.OK])
    assert np.any(is_acknowledged & (columns["outcome"] == Outcome.TIMEOUT))  # those of the last 150 ms before the kill


# --- a receive service and what may come to it ------------------------------------------------------------------------


class _System(ThreadingHTTPServer):
    """A system whose behaviour is a function from each request to what is pushed, in which order; I99 to all."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one write

    def __init__(self, *given: object, codec: Codec, seen: list[Message], hurry: object) -> None:
        self.codec, self.told, self.hurry = codec, seen, hurry
        super().__init__(*given)  # type: ignore[arg-type]  # of any arguments

    def do_POST(self) -> None:
        message = self.codec.read_message(self.rfile.read(int(self.headers["Content-Length"])))
        if callable(self.hurry):
            self.hurry(message)
        self.told.append(message)
        status, body = self.codec.acknowledge(message)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def system(codec: Codec, seen: list[Message], hurry: object = None) -> Iterator[str]:
    """A system that acknowledges everything; `hurry` is called with each request before it is acknowledged."""
    with _System(("127.0.0.1", 0), partial(_Handler, codec=codec, seen=seen, hurry=hurry)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def push(url: str, body: bytes, context: ssl.SSLContext | None = None) -> int:
    with urllib.request.urlopen(url, body, timeout=10, context=context) as response:  # noqa: S310 - a process of this test
        status: int = response.status
        return status


@pytest.mark.parametrize("codec", CODECS)
def test_whatever_comes_to_the_receive_service_is_counted_and_none_of_it_harms(codec: str) -> None:
    """A response that overtakes its acknowledgement, twice the same, one to nobody, and three sorts of nonsense."""
    spoken, seen = codec_named(codec), list[Message]()
    statuses: list[int] = []
    with open_port() as port:

        def hurry(message: Message) -> None:
            stranger = Message(counter=message.counter + 10_000, srv="4.1.1", device=message.device)
            other = Message(counter=message.counter, srv="4.1.1", device="somebody else")
            alert = Message(counter=1, srv="8F36", device="d", kind="alert")  # type: ignore[arg-type]  # a plain text stands for its kind
            bodies = [
                spoken.response(message, Reply.DONE), spoken.response(message, Reply.FAILED),
                spoken.response(stranger, Reply.DONE), spoken.response(other, Reply.DONE), b"", b"\xff<x>",
                spoken.encode(message), spoken.encode(alert), spoken.system_alert("service-user", 1),
            ]  # fmt: skip
            statuses.extend(push(port.url, body) for body in bodies)

        load = steady(10, 100)
        with system(spoken, seen, hurry) as url:
            injection = OwnInjector().run(load, Target(urls={"p": url}, codec=codec, connections=1, receive=port))
    assert_conserved(load, injection)
    columns, first, summary = injection.columns, injection.acknowledgements, injection.summary
    assert set(columns["outcome"]) == {Outcome.OK}  # the first response counts
    assert np.all(columns["done_us"] < first["done_us"])
    assert set(statuses) == {200}
    expected = {
        "responses_received": 10, "responses_duplicate": 10, "responses_unknown": 20, "responses_malformed": 30,
        "responses_late": 0, "device_alerts_received": 10, "system_alerts_received": 10, "acknowledged": 10,
    }  # fmt: skip
    assert {name: summary[name] for name in expected} == expected


def test_a_late_response_is_counted_and_changes_nothing(injector: type[OwnInjector]) -> None:
    """The first request is given up after 0.6 s; its response comes with the request of the last message."""
    spoken, seen = codec_named("duis"), list[Message]()
    with open_port() as port:

        def hurry(message: Message) -> None:
            if len(seen) == 3:
                push(port.url, spoken.response(seen[0], Reply.DONE))
                push(port.url, spoken.response(seen[0], Reply.DONE))
            if seen:
                push(port.url, spoken.response(message, Reply.DONE))

        load = steady(4, 4)
        with system(spoken, seen, hurry) as url:
            target = Target(urls={"p": url}, codec="duis", connections=1, receive=port, timeout_us=600_000)
            injection = injector().run(load, target)
    assert_conserved(load, injection)
    assert injection.columns["outcome"].tolist() == [Outcome.TIMEOUT, Outcome.OK, Outcome.OK, Outcome.OK]
    assert (injection.summary["responses_late"], injection.summary["responses_duplicate"]) == (1, 1)
    assert len(injection.acknowledgements["sequence"]) == 4


def test_an_acknowledgement_of_another_request_is_an_error(injector: type[OwnInjector]) -> None:
    spoken = codec_named("duis")

    class Confused(type(spoken)):  # type: ignore[misc]  # whichever class it is
        def acknowledge(self, message: Message) -> tuple[int, bytes]:
            return super().acknowledge(Message(counter=message.counter + 1, srv=message.srv, device=message.device))  # type: ignore[no-any-return]  # likewise

    with open_port() as port, system(Confused(), []) as url:
        injection = injector().run(steady(5, 100), Target(urls={"p": url}, codec="duis", receive=port))
    assert set(injection.columns["outcome"]) == {Outcome.ERROR}
    assert injection.summary["acknowledged_another"] == 5


def test_counters_rise_strictly_as_requests_are_written_also_where_messages_wait_for_others(
    injector: type[OwnInjector],
) -> None:
    """One connection shows the order in which they are written; from one load to the next they go on rising."""
    spoken, seen = codec_named("duis"), list[Message]()
    with open_port() as port:

        def hurry(message: Message) -> None:
            push(port.url, spoken.response(message, Reply.DONE))

        with system(spoken, seen, hurry) as url:
            target = Target(urls={"p": url}, codec="duis", connections=1, max_connections=1, receive=port)
            for _ in range(2):
                load = steady(40, 400, after=[-1, -1, 0, *[-1] * 36, 2])
                assert set(injector().run(load, target).columns["outcome"]) == {Outcome.OK}
    counters = [message.counter for message in seen]
    assert len(counters) == 80
    assert np.all(np.diff(counters) > 0)


def test_responses_in_any_order_with_losses_and_duplicates_each_end_their_own_request(
    injector: type[OwnInjector],
) -> None:
    """Once the last request is there all are answered: in any order, some twice, a fifth not at all, some badly."""
    spoken, seen, count = codec_named("duis"), list[Message](), 60
    draw = np.random.default_rng(7)
    lost, failed = set(draw.choice(count - 1, 12, replace=False).tolist()), set(range(0, count, 7))
    kept = [number for number in range(count) if number not in lost]
    order = draw.permutation([*kept, *draw.choice(kept, 15)]).tolist()
    with open_port() as port:

        def hurry(message: Message) -> None:
            if len(seen) == count - 1:
                asked = {int(each.device[-2:], 16): each for each in (*seen, message)}
                for number in order:
                    push(port.url, spoken.response(asked[number], Reply.FAILED if number in failed else Reply.DONE))

        load = Load.of(
            offset_us=np.arange(count) * 1000, path=["p"] * count, srv=["4.1.1"] * count, kind=["request"] * count,
            device=[f"02-00-00-00-00-00-00-{number:02X}" for number in range(count)],
        )  # fmt: skip
        with system(spoken, seen, hurry) as url:
            target = Target(urls={"p": url}, codec="duis", connections=1, receive=port, timeout_us=2_000_000)
            injection = injector().run(load, target)
    assert_conserved(load, injection)
    right = {number: Outcome.ERROR if number in failed else Outcome.OK for number in range(count)}
    right |= dict.fromkeys(lost, Outcome.TIMEOUT)
    assert injection.columns["outcome"].tolist() == [right[number] for number in range(count)]
    summary = injection.summary
    assert (summary["acknowledged"], summary["responses_received"], summary["responses_duplicate"]) == (60, 48, 15)


@given(st.data())
@settings(derandomize=True, deadline=None)
def test_a_response_is_found_in_any_order_once_and_never_for_another(data: st.DataObject) -> None:
    """Against the plain telling: what was written, what has ended and how, and what has come before."""
    count = data.draw(st.integers(1, 12))
    order = data.draw(st.permutations(range(count)))
    ended = bytearray(data.draw(st.lists(st.sampled_from([OPEN, ANSWERED, GIVEN_UP]), min_size=count, max_size=count)))
    before = list(ended)
    correlator = Correlator("me", [f"d{message}" for message in range(count)], ended)
    correlator.first = first = data.draw(st.integers(0, 2**63))
    written = order[: data.draw(st.integers(0, count))]
    for message in written:
        correlator.written(message)
    responses = data.draw(
        st.lists(
            st.tuples(
                st.integers(-2, count + 2), st.integers(0, count - 1), st.sampled_from(["me", "me", "me", "you"])
            ),
            max_size=40,
        )
    )
    late: Counter[int] = Counter()
    for place, target, originator in responses:
        claim, found = correlator.claim(Identity(originator=originator, target=f"d{target}", counter=first + place))
        known = originator == "me" and 0 <= place < len(written) and written[place] == target
        if not known:
            assert (claim, found) == (Claim.UNKNOWN, -1)
            continue
        assert found == target
        if before[target] == OPEN:
            assert claim is Claim.RESPONSE
        elif before[target] == GIVEN_UP and not late[target]:
            assert claim is Claim.LATE
            late[target] += 1
        else:
            assert claim is Claim.DUPLICATE


@given(st.binary(max_size=600), st.sampled_from(CODECS))
@settings(derandomize=True, deadline=None)
def test_any_bytes_that_are_pushed_are_read_or_refused(body: bytes, name: str) -> None:
    codec = codec_named(name)
    codec.read_identity(body)
    with suppress(MessageError):
        assert codec.read_pushed(body).kind in PushedKind


def test_a_receive_service_speaks_tls_to_those_whose_certificate_it_trusts(
    injector: type[OwnInjector], tmp_path: Path
) -> None:
    """A client that shows none cannot deliver, and what comes from one that shows the right one is answered."""
    spoken, refused = codec_named("duis"), list[bool]()
    users, systems = Authority(tmp_path, "users"), Authority(tmp_path, "systems")
    certificate, key = users.issue("user")
    names = {"certificate": str(certificate), "key": str(key), "ca": str(systems.ca)}
    known = ssl.create_default_context(cafile=str(users.ca))
    known.load_cert_chain(*systems.issue("system"))
    stranger = ssl.create_default_context(cafile=str(users.ca))
    with open_port(tls=names) as port:
        assert port.url.startswith("https://")

        def hurry(message: Message) -> None:
            body = spoken.response(message, Reply.DONE)
            try:
                push(port.url, body, stranger)
            except OSError:
                refused.append(True)
            push(port.url, body, known)

        with system(spoken, [], hurry) as url:
            injection = injector().run(steady(3, 20), Target(urls={"p": url}, codec="duis", receive=port))
    assert set(injection.columns["outcome"]) == {Outcome.OK}
    assert (injection.summary["responses_received"], injection.summary["responses_duplicate"]) == (3, 0)
    assert refused == [True] * 3


def test_a_receive_service_whose_certificate_cannot_be_read_is_an_error_before_anything_is_offered() -> None:
    names = {"certificate": "/nonexistent/user.pem", "key": "/nonexistent/user.key"}
    with open_port(tls=names) as port, start_component(acknowledging()) as component:
        target = Target(urls={"p": component.url}, codec="duis", receive=port)
        with pytest.raises(WorldError, match="the TLS certificate cannot be read"):
            OwnInjector().run(steady(3, 20), target)


def test_connections_that_end_leave_nothing_behind_without_garbage_collection() -> None:
    """A system that opens a connection for each response would fill memory, were one part of a cycle."""
    alive: list[int] = []
    received: list[bytes] = []

    async def deliver(url: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi")
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async def serve() -> None:
        with open_port() as port:
            service = ReceiveService(received.append)
            server = await asyncio.get_running_loop().create_server(service.connection, sock=port.listener)
            gc.collect()
            gc.disable()
            try:
                for _ in range(60):
                    await deliver(port.url)
                while service.connections:
                    await asyncio.sleep(0)
                alive.append(sum(isinstance(each, ServerConnection) for each in gc.get_objects()))
            finally:
                gc.enable()
                server.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
    assert received == [b"hi"] * 60
    assert alive == [0]


def test_other_requests_than_a_post_are_refused() -> None:
    spoken = codec_named("duis")
    found: list[int] = []
    with open_port() as port:

        def hurry(message: Message) -> None:
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(port.url, timeout=10)  # noqa: S310 - a process of this test
            found.append(caught.value.code)
            push(port.url, spoken.response(message, Reply.DONE))

        with system(spoken, [], hurry) as url:
            OwnInjector().run(steady(1, 20), Target(urls={"p": url}, codec="duis", receive=port))
    assert found == [405]


# --- delivery ---------------------------------------------------------------------------------------------------------


def ask(component: RunningComponent, count: int = 1) -> None:
    """Requests that are acknowledged."""
    spoken = codec_named("duis")
    for counter in range(count):
        request = spoken.encode(Message(counter=counter, srv="4.1.1", device="d"))
        with urllib.request.urlopen(f"{component.path_url('p')}", data=request, timeout=10) as response:  # noqa: S310 - a process of this test
            assert spoken.read_answer(response.status, response.read()).code == "I99"


def settled(component: RunningComponent) -> dict[str, int]:
    """Its metrics once nothing is in hand any more."""
    while True:
        counted = metrics(component)
        if not counted["deliveries_in_hand"]:
            return counted
        threading.Event().wait(0.02)


def test_a_receive_service_that_refuses_is_tried_as_often_as_declared_and_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with start_component(acknowledging(receivers={ANYBODY: nobody}, delivery_tries=2)) as component:
        ask(component, 3)
        counted = settled(component)
    assert {name: count for name, count in counted.items() if name.startswith("deliveries")} == {
        "deliveries_total": 0, "deliveries_refused_total": 6, "deliveries_given_up_total": 3, "deliveries_in_hand": 0,
    }  # fmt: skip


def test_a_receive_service_that_does_not_answer_is_given_up_in_time_and_no_more_than_declared_are_in_hand() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        spec = acknowledging(receivers={ANYBODY: url}, delivery_tries=1, delivery_us=200_000, deliveries=4)
        with start_component(spec) as component:
            ask(component, 6)
            assert metrics(component)["deliveries_given_up_total"] >= 2
            counted = settled(component)
    assert (counted["deliveries_total"], counted["deliveries_given_up_total"]) == (0, 6)
    assert counted["deliveries_refused_total"] == 4


def test_a_component_raises_alerts_of_its_own_and_passes_those_of_devices_on() -> None:
    load = Load.of(
        offset_us=np.arange(200) * 1000, path=["up"] * 200, srv=["8F36"] * 200, kind=["alert"] * 200,
        device=["d"] * 200,
    )  # fmt: skip
    with open_port() as port:
        spec = ComponentSpec(
            component="c", codec="duis", routes={"up": port.url}, next_codec={"up": "duis"},
            receivers={ANYBODY: port.url}, alert_permille=1000, wrapping={"up": ("Signed", "Inner")},
        )  # fmt: skip
        with start_component(spec) as component:
            injection = OwnInjector().run(load, Target(urls={"up": component.url}, codec="duis", receive=port))
            counted = metrics(component)
    assert set(injection.columns["outcome"]) == {Outcome.OK}
    assert injection.summary["device_alerts_received"] == 200
    assert counted["alerts_raised_total"] == 200
    assert injection.summary["system_alerts_received"] > 0  # the last may come after the last message has ended


# --- who receives -----------------------------------------------------------------------------------------------------


def test_two_injectors_offer_a_load_between_them_and_each_gets_what_is_its_own() -> None:
    """Chains of two, each whole in one part: between them the parts say of every message what one injector says."""
    count = 240
    chained = steady(count, 800, after=[-1 if row % 2 == 0 else row - 1 for row in range(count)])
    parts = [np.flatnonzero(np.arange(count) // 2 % 2 == part) for part in range(2)]

    def part(rows: np.ndarray) -> Load:
        names = {name: getattr(chained, name) for name in ("paths", "srvs", "kinds", "devices")}
        columns = {name: getattr(chained, name)[rows] for name in ("sequence", "offset_us", "path", "srv", "kind")}
        after = np.where(chained.after[rows] < 0, -1, np.searchsorted(rows, chained.after[rows]))
        return Load(**names, **columns, device=chained.device[rows], after=after)

    injections: dict[int, Injection] = {}
    with open_port() as one, open_port() as two:
        receivers = {"user-0": one.url, "user-1": two.url}
        with start_component(acknowledging(receivers=receivers, service_us=5000)) as component:

            def run(number: int) -> None:
                target = Target(
                    urls={"p": component.url}, codec="duis", connections=4, originator=f"user-{number}",
                    receive=(one, two)[number],
                )  # fmt: skip
                injections[number] = OwnInjector().run(part(parts[number]), target)

            threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    for number, injection in injections.items():
        assert_conserved(part(parts[number]), injection)
        assert (injection.summary["responses_received"], injection.summary["responses_unknown"]) == (count // 2, 0)
    sequences = np.concatenate([injection.columns["sequence"] for injection in injections.values()])
    assert np.array_equal(np.sort(sequences), chained.sequence)
    assert {int(each) for injection in injections.values() for each in injection.columns["outcome"]} == {Outcome.OK}


@pytest.mark.parametrize("listen", ["127.0.0.1", "127.0.0.1:x", ":80", "", "127.0.0.1:99999"])
def test_an_address_that_cannot_be_one_is_refused(listen: str) -> None:
    with pytest.raises(WorldError, match="cannot listen"):
        open_port(listen)


def test_a_port_that_is_taken_is_an_error_with_its_reason() -> None:
    with open_port() as taken:
        listen = taken.url.removeprefix("http://")
        with pytest.raises(WorldError, match="address already in use") as caught:
            open_port(listen)
    assert caught.value.help()


def test_a_receive_service_listens_on_this_machine_alone_unless_declared() -> None:
    with open_port() as port:
        assert port.listener.getsockname()[0] == "127.0.0.1"


# --- messages that wait for others ------------------------------------------------------------------------------------


def test_a_message_is_due_when_the_one_before_it_is_answered(injector: type[OwnInjector]) -> None:
    """Chains of three; each message takes 20 ms, so the third is done 60 ms after the first was due."""
    count = 120
    after = [-1 if row % 3 == 0 else row - 1 for row in range(count)]
    load = steady(count, 1200, after=after)
    with start_component(ComponentSpec(component="c", service_us=20_000, routes={"p": None})) as component:
        injection = injector().run(load, Target(urls={"p": component.url}, codec="plain", connections=32))
    assert_conserved(load, injection)
    columns = injection.columns
    assert set(columns["outcome"]) == {Outcome.OK}
    for place in (1, 2):
        assert np.array_equal(columns["intended_us"][place::3], columns["done_us"][place - 1 :: 3])
    assert np.all(columns["ready_us"] >= columns["intended_us"])
    assert np.all(columns["done_us"][2::3] - columns["intended_us"][::3] >= 60_000)
    assert np.array_equal(columns["intended_us"][::3] - columns["intended_us"][0], load.offset_us[::3])


def test_a_message_whose_predecessor_fails_is_never_sent_and_was_taken_up(injector: type[OwnInjector]) -> None:
    load = steady(30, 300, after=[-1 if row % 3 == 0 else row - 1 for row in range(30)])
    with start_component(ComponentSpec(component="c", routes={"p": None}, error_permille=1000)) as component:
        injection = injector().run(load, Target(urls={"p": component.url}, codec="plain"))
    assert_conserved(load, injection)
    columns = injection.columns
    outcome = columns["outcome"]
    assert set(outcome[::3]) == {Outcome.ERROR}
    for place in (1, 2):
        assert set(outcome[place::3]) == {Outcome.REFUSED}
        assert set(columns["sent_us"][place::3]) == {NEVER}
        assert set(columns["status"][place::3]) == {0}
        assert np.array_equal(columns["intended_us"][place::3], columns["done_us"][place - 1 :: 3])
        assert np.array_equal(columns["ready_us"][place::3], columns["intended_us"][place::3])
        assert np.all(columns["done_us"][place::3] >= columns["intended_us"][place::3])
    assert injection.summary["never_sent"] == 20


def test_followers_time_out_from_when_they_were_due_and_those_of_timed_out_messages_are_not_sent(
    injector: type[OwnInjector],
) -> None:
    """Two workers of 0.4 s and a time-out of 0.7 s: the first two are answered, their followers wait for 0.8 s more."""
    load = Load.of(
        offset_us=[0] * 12, path=["p"] * 12, srv=["s"] * 12, kind=["request"] * 12, device=["d"] * 12,
        after=[-1] * 6 + list(range(6)),
    )  # fmt: skip
    spec = ComponentSpec(component="c", workers=2, service_us=400_000, routes={"p": None})
    with start_component(spec) as component:
        target = Target(urls={"p": component.url}, codec="plain", connections=16, timeout_us=700_000)
        injection = injector().run(load, target)
    assert_conserved(load, injection)
    columns = injection.columns
    assert np.count_nonzero(columns["outcome"][:6] == Outcome.OK) == 2
    followers = columns["outcome"][6:]
    is_sent = columns["sent_us"][6:] != NEVER
    assert np.array_equal(is_sent, columns["outcome"][:6] == Outcome.OK)
    assert set(followers[is_sent]) == {Outcome.TIMEOUT}
    assert np.all((columns["done_us"] - columns["intended_us"])[6:][is_sent] >= 700_000)
    assert set(followers[~is_sent]) == {Outcome.REFUSED}


@pytest.mark.parametrize("after", [[0, -1], [-1, 1], [-2, -1], [1, -1]])
def test_a_message_waits_for_one_that_comes_before_it(after: list[int]) -> None:
    with pytest.raises(ValueError, match="waits for one that comes before it"):
        steady(2, 10, after=after)


def test_what_waits_for_a_message_that_was_never_taken_up_was_not_taken_up_either(tmp_path: Path) -> None:
    """This machine is to blame for the first of three, so none of them counts as offered; nobody is blamed for them."""
    load = steady(4, 1000, after=[-1, 0, 1, -1])
    spec = _spec(load, Target(urls={"p": "http://127.0.0.1:9"}, codec="plain"), tmp_path)
    work = {name: array("q", getattr(load, name).tolist()) for name in WORK}

    class Thwarting:
        """In place of a pool: it has no descriptor for the first message, and an answer to every other."""

        def __init__(self, engine: Engine) -> None:
            self.engine = engine
            self.url = "http://127.0.0.1:9"

        def offer(self, message: int) -> None:
            if message == 0:
                self.engine.thwarted(message)
            else:
                self.engine.request(message)
                self.engine.answered(message, 200, b"", 10)

        def close(self) -> None:
            """Nothing is open."""

    async def warm(_pool: object) -> None:
        """Nothing is to be opened."""

    async def run() -> Engine:
        engine = Engine(asyncio.get_running_loop(), spec, work)
        engine._pool = lambda _url: Thwarting(engine)  # type: ignore[method-assign,assignment,return-value]  # fakes in their place
        engine._warm = warm  # type: ignore[method-assign,assignment]  # likewise
        await engine.prepare()
        await engine.run()
        engine.close()
        return engine

    engine = asyncio.run(run())
    columns = engine.columns
    rows = dict(zip(columns["sequence"], zip(columns["outcome"], columns["ready_us"], strict=True), strict=True))
    assert {number: rows[number] for number in range(3)} == dict.fromkeys(range(3), (Outcome.REFUSED, NEVER))
    assert rows[3][0] == Outcome.OK
    assert (engine.offered, engine.thwarted_count, engine.finished) == (4, 3, 4)
