"""The injector offers what it is given, when it is due, and accounts for every message, whatever the system does."""

import os
import resource
import signal
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest

from catalog.errors import WorldError
from tasks.emulate.spec import ComponentSpec
from tasks.emulate.system import start_component
from tasks.inject.files import NEVER, RESULTS, Outcome
from tasks.inject.injector import Column, Injection, Load, OwnInjector, Target


def _load(offset_us: Column | list[int], *, kind: str = "request") -> Load:
    count = len(offset_us)
    return Load.of(
        offset_us=offset_us, path=["p"] * count, srv=["4.1.1"] * count, kind=[kind] * count, device=["d"] * count
    )


def _steady(count: int, per_second: int) -> Load:
    return _load(np.arange(count) * 1_000_000 // per_second)


def _assert_conserved(load: Load, injection: Injection) -> None:
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


class _Raw(socketserver.ThreadingTCPServer):
    """A server that answers every request with the same bytes, and then keeps the connection or closes it."""

    allow_reuse_address = True
    daemon_threads = True


class _RawHandler(socketserver.BaseRequestHandler):
    def __init__(self, request: socket.socket, client: object, server: _Raw, *, answer: bytes, close: bool) -> None:
        self.answer, self.close = answer, close
        super().__init__(request, client, server)

    def handle(self) -> None:
        while self._read_request():
            self.request.sendall(self.answer)
            if self.close:
                return

    def _read_request(self) -> bool:
        received = b""
        while b"\r\n\r\n" not in received:
            more = self.request.recv(65_536)
            if not more:
                return False
            received += more
        head, _, body = received.partition(b"\r\n\r\n")
        length = int(head.rsplit(b"Content-Length: ", 1)[1])
        while len(body) < length:
            body += self.request.recv(65_536)
        return True


@contextmanager
def _raw_server(answer: bytes, *, close: bool = False, handler: type[_RawHandler] = _RawHandler) -> Iterator[str]:
    with _Raw(("127.0.0.1", 0), partial(handler, answer=answer, close=close)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def test_every_message_is_offered_once_on_its_path_and_answered() -> None:
    count = 600
    load = Load.of(
        sequence=np.arange(count) * 3 + 5,
        offset_us=np.sort(np.random.default_rng(1).integers(0, 600_000, count)),
        path=["p" if number % 3 else "q q" for number in range(count)],
        srv=["4.1.1" if number % 2 else "1.2.1" for number in range(count)],
        kind=["alert" if number % 3 == 0 else "request" for number in range(count)],
        device=[f"meter-{number % 7}" for number in range(count)],
    )
    pids: list[int] = []
    progress: list[tuple[int, int, int]] = []
    with start_component(ComponentSpec(component="c", codec="duis", routes={"p": None, "q q": None})) as component:
        target = Target(urls={"p": component.url, "q q": component.url}, codec="duis", connections=8)
        injection = OwnInjector(on_start=pids.append).run(load, target, progress=lambda *at: progress.append(at))
    _assert_conserved(load, injection)
    columns, summary = injection.columns, injection.summary
    assert np.all(columns["outcome"] == Outcome.OK)
    assert np.array_equal(columns["status"] == 204, np.arange(count) % 3 == 0)  # delivered alerts
    assert np.all(columns["bytes"] > 0)
    assert summary["codes"] == {"I0": 400, "delivered": 200}
    assert pids == [summary["pid"]]
    assert progress[-1] == (count, count, count)
    assert summary["connections_opened"] >= 8
    assert summary["bytes_received"] == columns["bytes"].sum()
    assert 0 <= summary["lateness_p50_us"] <= summary["lateness_p99_us"] <= summary["lateness_max_us"]
    assert summary["lateness_max_us"] == (columns["ready_us"] - columns["intended_us"]).max()


def test_a_frozen_system_shows_in_latencies_from_the_intended_instant() -> None:
    """A pool of 4 connections cannot hide that the system stood still for half a second."""
    load = _steady(1000, 400)
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:

        def freeze_once(_done: int, _offered: int, _total: int, frozen: list[bool] = []) -> None:  # noqa: B006 - a memory
            if not frozen:
                frozen.append(True)
                os.kill(component.pid, signal.SIGSTOP)
                threading.Event().wait(0.5)
                os.kill(component.pid, signal.SIGCONT)

        target = Target(urls={"p": component.url}, codec="plain", connections=4, max_connections=4)
        injection = OwnInjector().run(load, target, progress=freeze_once)
    _assert_conserved(load, injection)
    columns = injection.columns
    from_intended, from_sent = (columns["done_us"] - columns[name] for name in ("intended_us", "sent_us"))
    assert from_intended.max() >= 450_000
    assert np.count_nonzero(from_intended > 100_000) >= 120  # those due in the first 0.4 s of it were 160
    assert np.count_nonzero(from_sent > 400_000) <= 4  # what a tool that waits for its connections would have seen
    assert injection.summary["queue_peak"] >= 120
    assert np.all(columns["outcome"] == Outcome.OK)


def test_messages_without_an_answer_time_out_from_the_intended_instant() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        load = _load([0] * 6 + [1000] * 6)
        target = Target(urls={"p": url}, codec="plain", connections=2, max_connections=2, timeout_us=200_000)
        injection = OwnInjector().run(load, target)
    _assert_conserved(load, injection)
    columns = injection.columns
    assert np.all(columns["outcome"] == Outcome.TIMEOUT)
    assert np.all(columns["done_us"] - columns["intended_us"] >= 200_000)
    assert np.all(columns["status"] == 0)
    assert injection.summary["never_sent"] >= 4


def test_a_system_that_dies_refuses_what_is_left() -> None:
    load = _steady(800, 400)
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:

        def kill(_done: int, _offered: int, _total: int) -> None:
            component.process.stop()

        injection = OwnInjector().run(load, Target(urls={"p": component.url}, codec="plain"), progress=kill)
    _assert_conserved(load, injection)
    outcome = injection.columns["outcome"]
    assert set(np.unique(outcome)) == {Outcome.OK, Outcome.REFUSED}
    assert outcome[0] == Outcome.OK
    assert outcome[-1] == Outcome.REFUSED


def test_a_system_that_is_not_there_is_an_error_before_anything_is_offered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(WorldError, match=f"^{url} cannot be reached: connection refused$") as caught:
        OwnInjector().run(_steady(10, 100), Target(urls={"p": url}, codec="plain"))
    assert caught.value.help()


def test_an_injector_that_is_killed_is_an_error() -> None:
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:
        injector = OwnInjector(on_start=lambda pid: os.kill(pid, signal.SIGKILL))
        with pytest.raises(WorldError, match="the injector ended unexpectedly with exit status -9"):
            injector.run(_steady(10, 100), Target(urls={"p": component.url}, codec="plain"))


def test_a_burst_opens_connections_within_bounds() -> None:
    load = _load([0] * 300)
    with start_component(ComponentSpec(component="c", service_us=50_000, routes={"p": None})) as component:
        target = Target(urls={"p": component.url}, codec="plain", connections=4, max_connections=32)
        injection = OwnInjector().run(load, target)
    _assert_conserved(load, injection)
    summary = injection.summary
    assert summary["ok"] == 300
    assert summary["handshakes_peak"] <= 4
    assert 4 < summary["connections_peak"] <= 32
    assert summary["in_flight_peak"] <= 32


_I0 = b"<R><ResponseCode>I0</ResponseCode></R>"
_OK = b"HTTP/1.1 200 OK\r\n"


class _InPieces(_RawHandler):
    """Answers byte by byte."""

    def handle(self) -> None:
        while self._read_request():
            for place in range(len(self.answer)):
                self.request.sendall(self.answer[place : place + 1])


@pytest.mark.parametrize("chunked", [False, True])
def test_an_answer_may_come_byte_by_byte_on_a_connection_that_is_kept(chunked: bool) -> None:
    halves = _I0[:11], _I0[11:]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(half), half) for half in halves)
    framed = b"Transfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % chunks
    answer = _OK + (framed if chunked else b"Content-Length: %d\r\n\r\n" % len(_I0) + _I0)
    with _raw_server(answer, handler=_InPieces) as url:
        target = Target(urls={"p": url}, codec="duis", connections=2, max_connections=2)
        injection = OwnInjector().run(_steady(12, 1000), target)
    assert set(injection.columns["outcome"]) == {Outcome.OK}
    assert set(injection.columns["bytes"]) == {len(answer)}
    assert injection.summary["connections_opened"] == 2


def test_a_head_that_was_seen_before_is_believed_only_of_an_answer_as_long() -> None:
    """Answers of one head: whole, then cut short, as on a connection that breaks."""
    whole = _OK + b"Content-Length: %d\r\n\r\n" % len(_I0) + _I0

    class Breaking(_RawHandler):
        def handle(self) -> None:
            for answer in (whole, whole, whole[:-5]):
                if not self._read_request():
                    return
                self.request.sendall(answer)

    with _raw_server(whole, handler=Breaking) as url:
        target = Target(urls={"p": url}, codec="duis", connections=1, max_connections=1)
        injection = OwnInjector().run(_steady(9, 1000), target)
    assert injection.columns["outcome"].tolist() == [Outcome.OK, Outcome.OK, Outcome.REFUSED] * 3
    assert injection.summary["connections_opened"] >= 3


@pytest.mark.parametrize(
    ("answer", "close", "outcome", "status"),
    [
        (_OK + b"Content-Length: %d\r\n\r\n" % len(_I0) + _I0, False, Outcome.OK, 200),
        (_OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(_I0), _I0), False, Outcome.OK, 200),
        (_OK + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(_I0) + _I0, True, Outcome.OK, 200),
        (_OK + b"\r\n" + _I0, True, Outcome.OK, 200),
        (
            b"HTTP/1.1 100 Continue\r\n\r\n" + _OK + b"Content-Length: %d\r\n\r\n" % len(_I0) + _I0,
            False,
            Outcome.OK,
            200,
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", False, Outcome.OK, 204),
        (_OK + b"Content-Length: 2\r\n\r\nI0", False, Outcome.ERROR, 200),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", False, Outcome.ERROR, 503),
        (b"SSH-2.0-OpenSSH_9.2\r\n", True, Outcome.ERROR, 0),
        (b"", True, Outcome.REFUSED, 0),
        (_OK + b"Content-Length: 50\r\n\r\nhalf", True, Outcome.REFUSED, 0),
    ],
)
def test_answers_of_every_shape_are_told_apart(answer: bytes, close: bool, outcome: Outcome, status: int) -> None:
    load = _steady(20, 1000)
    with _raw_server(answer, close=close) as url:
        injection = OwnInjector().run(load, Target(urls={"p": url}, codec="duis", connections=4, timeout_us=5_000_000))
    _assert_conserved(load, injection)
    assert set(injection.columns["outcome"]) == {outcome}
    assert set(injection.columns["status"]) == {status}


def test_an_acknowledgement_is_not_the_answer() -> None:
    body = b"<R><ResponseCode>I99</ResponseCode></R>"
    with _raw_server(_OK + b"Content-Length: %d\r\n\r\n" % len(body) + body) as url:
        load = _load([0] * 8)
        target = Target(urls={"p": url}, codec="duis", connections=2, max_connections=2, timeout_us=400_000)
        injection = OwnInjector().run(load, target)
    _assert_conserved(load, injection)
    assert set(injection.columns["outcome"]) == {Outcome.TIMEOUT}
    assert injection.summary["codes"] == {"I99": 8}  # two connections carried all eight: an acknowledgement frees them


def test_a_load_without_messages_is_no_error() -> None:
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:
        injection = OwnInjector().run(_load([]), Target(urls={"p": component.url}, codec="plain"))
    assert injection.summary["messages"] == 0
    assert all(not len(column) for column in injection.columns.values())


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"offset_us": [0, 2, 1]}, "in order of offset_us"),
        ({"offset_us": [-1, 0, 1]}, "in order of offset_us"),
        ({"sequence": [0, 0, 1]}, "a sequence of its own"),
        ({"srv": ["a"]}, "one length"),
    ],
)
def test_a_load_that_makes_no_sense_is_refused(fault: dict[str, list[int]], message: str) -> None:
    columns = {"offset_us": [0, 1, 2]} | {name: ["x"] * 3 for name in ("path", "srv", "kind", "device")}
    with pytest.raises(ValueError, match=message):
        Load.of(**(columns | fault))  # type: ignore[arg-type] # the table above has both kinds of column


def test_a_target_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(WorldError, match="no URL for the message paths p"):
        OwnInjector().run(_steady(1, 1), Target(urls={}, codec="plain"))
    with pytest.raises(ValueError, match="unknown message codec"):
        OwnInjector().run(_steady(1, 1), Target(urls={"p": "http://127.0.0.1:1"}, codec="soap"))
    with pytest.raises(ValueError, match="connections"):
        OwnInjector().run(_steady(1, 1), Target(urls={"p": "http://127.0.0.1:1"}, codec="plain", max_connections=0))
    with pytest.raises(ValueError, match="'wish' is not a valid MessageKind"):
        OwnInjector().run(_load([0], kind="wish"), Target(urls={"p": "http://127.0.0.1:1"}, codec="plain"))


def test_the_injector_watches_itself() -> None:
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:
        target = Target(urls={"p": component.url}, codec="plain", connections=8, max_connections=64)
        summary = OwnInjector().run(_steady(1300, 1000), target).summary
    assert 0 <= summary["loop_lag_p99_us"] < 2 * summary["loop_lag_max_us"] + 2
    assert summary["answers_in_a_round_peak"] >= 1
    assert summary["cpu_us"] > 0
    assert summary["cpu_peak_permille"] > 0
    assert summary["descriptors_limit"] >= 256
    assert summary["connections_limit"] == 64
    assert summary["thwarted"] == 0


def test_messages_that_find_no_descriptor_here_were_never_offered() -> None:
    """The system would have taken them: it is not refused by it that they are."""
    with start_component(ComponentSpec(component="c", service_us=100_000, routes={"p": None})) as component:

        def starve(pid: int) -> None:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (40, 40))

        target = Target(urls={"p": component.url}, codec="plain", connections=1, max_connections=200)
        injection = OwnInjector(on_start=starve).run(_load([0] * 300), target)
    columns, summary = injection.columns, injection.summary
    thwarted = columns["ready_us"] == NEVER
    assert summary["descriptors_limit"] == 40
    assert summary["connections_peak"] < 40
    assert np.count_nonzero(thwarted) == summary["thwarted"] > 0
    assert summary["offered"] == 300 - summary["thwarted"]
    assert set(columns["outcome"][thwarted]) == {Outcome.REFUSED}
    assert set(columns["outcome"][~thwarted]) == {Outcome.OK}
