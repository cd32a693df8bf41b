"""The injector offers what it is given, when it is due, and accounts for every message, whatever the system does."""

import os
import resource
import signal
import socket
import threading

import numpy as np
import pytest
from loads import I0, OK, InPieces, RawHandler, assert_conserved, load_of, raw_server, steady

from catalog.errors import WorldError
from tasks.emulate.spec import ComponentSpec
from tasks.emulate.system import start_component
from tasks.inject.files import NEVER, Outcome
from tasks.inject.injector import Load, OwnInjector, Target


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
    assert_conserved(load, injection)
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
    load = steady(1000, 400)
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:

        def freeze_once(_done: int, _offered: int, _total: int, frozen: list[bool] = []) -> None:  # noqa: B006 - a memory
            if not frozen:
                frozen.append(True)
                os.kill(component.pid, signal.SIGSTOP)
                threading.Event().wait(0.5)
                os.kill(component.pid, signal.SIGCONT)

        target = Target(urls={"p": component.url}, codec="plain", connections=4, max_connections=4)
        injection = OwnInjector().run(load, target, progress=freeze_once)
    assert_conserved(load, injection)
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
        load = load_of([0] * 6 + [150_000] * 6)  # of the first and of the last, some find no connection
        target = Target(urls={"p": url}, codec="plain", connections=2, max_connections=2, timeout_us=200_000)
        injection = OwnInjector().run(load, target)
    assert_conserved(load, injection)
    columns = injection.columns
    assert np.all(columns["outcome"] == Outcome.TIMEOUT)
    assert np.all(columns["done_us"] - columns["intended_us"] >= 200_000)
    assert np.all(columns["status"] == 0)
    assert injection.summary["never_sent"] >= 4


def test_a_system_that_dies_refuses_what_is_left() -> None:
    load = steady(800, 400)
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:

        def kill(_done: int, _offered: int, _total: int) -> None:
            component.process.stop()

        injection = OwnInjector().run(load, Target(urls={"p": component.url}, codec="plain"), progress=kill)
    assert_conserved(load, injection)
    outcome = injection.columns["outcome"]
    assert set(np.unique(outcome)) == {Outcome.OK, Outcome.REFUSED}
    assert outcome[0] == Outcome.OK
    assert outcome[-1] == Outcome.REFUSED


def test_a_system_that_is_not_there_is_an_error_before_anything_is_offered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(WorldError, match=f"^{url} cannot be reached: connection refused$") as caught:
        OwnInjector().run(steady(10, 100), Target(urls={"p": url}, codec="plain"))
    assert caught.value.help()


def test_an_injector_that_is_killed_is_an_error() -> None:
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:
        injector = OwnInjector(on_start=lambda pid: os.kill(pid, signal.SIGKILL))
        with pytest.raises(WorldError, match="the injector ended unexpectedly with exit status -9"):
            injector.run(steady(10, 100), Target(urls={"p": component.url}, codec="plain"))


def test_a_burst_opens_connections_within_bounds() -> None:
    load = load_of([0] * 300)
    with start_component(ComponentSpec(component="c", service_us=50_000, routes={"p": None})) as component:
        target = Target(urls={"p": component.url}, codec="plain", connections=4, max_connections=32)
        injection = OwnInjector().run(load, target)
    assert_conserved(load, injection)
    summary = injection.summary
    assert summary["ok"] == 300
    assert summary["handshakes_peak"] <= 4
    assert 4 < summary["connections_peak"] <= 32
    assert summary["in_flight_peak"] <= 32


@pytest.mark.parametrize("chunked", [False, True])
def test_an_answer_may_come_byte_by_byte_on_a_connection_that_is_kept(chunked: bool) -> None:
    halves = I0[:11], I0[11:]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(half), half) for half in halves)
    framed = b"Transfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % chunks
    answer = OK + (framed if chunked else b"Content-Length: %d\r\n\r\n" % len(I0) + I0)
    with raw_server(answer, handler=InPieces) as url:
        target = Target(urls={"p": url}, codec="duis", connections=2, max_connections=2)
        injection = OwnInjector().run(steady(12, 1000), target)
    assert set(injection.columns["outcome"]) == {Outcome.OK}
    assert set(injection.columns["bytes"]) == {len(answer)}
    assert injection.summary["connections_opened"] == 2


def test_a_head_that_was_seen_before_is_believed_only_of_an_answer_as_long() -> None:
    """Answers of one head: whole, then cut short, as on a connection that breaks."""
    whole = OK + b"Content-Length: %d\r\n\r\n" % len(I0) + I0

    class Breaking(RawHandler):
        def handle(self) -> None:
            for answer in (whole, whole, whole[:-5]):
                if not self.read_request():
                    return
                self.request.sendall(answer)

    with raw_server(whole, handler=Breaking) as url:
        target = Target(urls={"p": url}, codec="duis", connections=1, max_connections=1)
        injection = OwnInjector().run(steady(9, 1000), target)
    assert injection.columns["outcome"].tolist() == [Outcome.OK, Outcome.OK, Outcome.REFUSED] * 3
    assert injection.summary["connections_opened"] >= 3


@pytest.mark.parametrize(
    ("answer", "close", "outcome", "status"),
    [
        (OK + b"Content-Length: %d\r\n\r\n" % len(I0) + I0, False, Outcome.OK, 200),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(I0), I0), False, Outcome.OK, 200),
        (OK + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(I0) + I0, True, Outcome.OK, 200),
        (OK + b"\r\n" + I0, True, Outcome.OK, 200),
        (
            b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: %d\r\n\r\n" % len(I0) + I0,
            False,
            Outcome.OK,
            200,
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", False, Outcome.OK, 204),
        (OK + b"Content-Length: 2\r\n\r\nI0", False, Outcome.ERROR, 200),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", False, Outcome.ERROR, 503),
        (b"SSH-2.0-OpenSSH_9.2\r\n", True, Outcome.ERROR, 0),
        (b"", True, Outcome.REFUSED, 0),
        (OK + b"Content-Length: 50\r\n\r\nhalf", True, Outcome.REFUSED, 0),
    ],
)
def test_answers_of_every_shape_are_told_apart(answer: bytes, close: bool, outcome: Outcome, status: int) -> None:
    load = steady(20, 1000)
    with raw_server(answer, close=close) as url:
        injection = OwnInjector().run(load, Target(urls={"p": url}, codec="duis", connections=4, timeout_us=5_000_000))
    assert_conserved(load, injection)
    assert set(injection.columns["outcome"]) == {outcome}
    assert set(injection.columns["status"]) == {status}


def test_an_acknowledgement_is_not_the_answer() -> None:
    body = b"<R><ResponseCode>I99</ResponseCode></R>"
    with raw_server(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body) as url:
        load = load_of([0] * 8)
        target = Target(urls={"p": url}, codec="duis", connections=2, max_connections=2, timeout_us=400_000)
        injection = OwnInjector().run(load, target)
    assert_conserved(load, injection)
    assert set(injection.columns["outcome"]) == {Outcome.TIMEOUT}
    assert injection.summary["codes"] == {"I99": 8}  # two connections carried all eight: an acknowledgement frees them


def test_a_load_without_messages_is_no_error() -> None:
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:
        injection = OwnInjector().run(load_of([]), Target(urls={"p": component.url}, codec="plain"))
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
        OwnInjector().run(steady(1, 1), Target(urls={}, codec="plain"))
    with pytest.raises(ValueError, match="unknown message codec"):
        OwnInjector().run(steady(1, 1), Target(urls={"p": "http://127.0.0.1:1"}, codec="soap"))
    with pytest.raises(ValueError, match="connections"):
        OwnInjector().run(steady(1, 1), Target(urls={"p": "http://127.0.0.1:1"}, codec="plain", max_connections=0))
    with pytest.raises(ValueError, match="'wish' is not a valid MessageKind"):
        OwnInjector().run(load_of([0], kind="wish"), Target(urls={"p": "http://127.0.0.1:1"}, codec="plain"))


def test_the_injector_watches_itself() -> None:
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:
        target = Target(urls={"p": component.url}, codec="plain", connections=8, max_connections=64)
        summary = OwnInjector().run(steady(1300, 1000), target).summary
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
        injection = OwnInjector(on_start=starve).run(load_of([0] * 300), target)
    columns, summary = injection.columns, injection.summary
    thwarted = columns["ready_us"] == NEVER
    assert summary["descriptors_limit"] == 40
    assert summary["connections_peak"] < 40
    assert np.count_nonzero(thwarted) == summary["thwarted"] > 0
    assert summary["offered"] == 300 - summary["thwarted"]
    assert set(columns["outcome"][thwarted]) == {Outcome.REFUSED}
    assert set(columns["outcome"][~thwarted]) == {Outcome.OK}
