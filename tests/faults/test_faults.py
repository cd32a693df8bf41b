"""The short form of the fault campaign: one kill, one disk that fills up, and a hostile system for every type of test.

The long form, with all faults: `python -m tests.faults`; what it found is in docs/faults.md.
"""

import json
from pathlib import Path

import pytest

from catalog.declarations import TestType
from catalog.reading import read_programme
from catalog.runs import RunState
from catalog.verification import verify
from tasks.execute import Conduct, Conducted
from tasks.plan import phases_needed, plan_tests
from tasks.volumes.model import model_volumes
from tests.faults.__main__ import MARKS, main, table
from tests.faults.faults import FAULTS, mounted, on_a_disk
from tests.faults.hostile import HostileProxy, Mood
from tests.faults.kills import killed_run
from tests.faults.lab import ONE, Lab, UnavailableError
from tests.faults.systems import CONNECTIONS, TYPES, WRONG, hostile_programme

ROOT = Path(__file__).parents[2]


@pytest.mark.end_to_end
def test_a_run_killed_at_a_random_moment_loses_nothing_that_it_recorded(lab: Lab) -> None:
    killed_run(lab, ONE, blows=1, only="coordinator")
    saved = lab.head
    ended = lab.complete()
    assert ended is not None
    assert ended.answer["ends"]["executed"] == 1
    assert verify(lab.home, head=saved or None).freshness == ("proven" if saved else "not proven")


@pytest.mark.end_to_end
def test_a_disk_that_fills_up_ends_a_run_clearly_and_it_goes_on_once_there_is_space(lab: Lab) -> None:
    disk = lab.folder / "disk"
    try:
        told = on_a_disk(lab, [mounted(disk, "size=120k")], [["mount", "-o", "remount,size=256m", str(disk)]])
    except UnavailableError as error:
        pytest.xfail(f"no file system may be mounted here: {error}; tests/catalog/test_crashes.py fills ones not real")
    assert told["faulty"].status == 3
    assert "No space left on device" in told["faulty"].stderr
    assert "Check free space" in told["faulty"].stderr
    assert told["again"].answer["ends"]["executed"] == 1
    assert told["end"].answer["records"] > told["left"].answer["records"]


MOODS = [
    (Mood.REFUSE, TestType.LOAD),
    (Mood.GARBAGE, TestType.STRESS),
    (Mood.RESET, TestType.SOAK),
    (Mood.HANG, TestType.CATCH_UP),
    (Mood.CUT, TestType.SCALING),
    (Mood.ENDLESS, TestType.NEGATIVE_PATH),
    (Mood.BUSY, TestType.NEGATIVE_PATH),
    (Mood.CLOSE, TestType.REGRESSION),
    (Mood.NOT_HTTP, TestType.LOAD),
    (Mood.ERRORS, TestType.LOAD),
]


QUICK = {kind: 1_500_000 if kind is TestType.SCALING else 500_000 for kind in TestType}
"""How long a test takes, or a step of it, in microseconds."""
FEW = 4
"""Requests that are forwarded before a system turns hostile."""


def conduct(lab: Lab, kind: TestType, mood: Mood) -> Conducted:
    """Executes a test of a type, during which the system under test turns hostile."""
    with hostile_programme(lab) as proxy:
        programme = read_programme(lab.bench.catalog)
        environment = programme.environment("hostile").model_copy(update={"durations": QUICK})
        volumes = {each: model_volumes(programme, each) for each in phases_needed(programme, "pilot")}
        planned = plan_tests(programme, "pilot", environment, volumes, occasion="pilot")
        test = next(each for each in planned if each.test == f"pilot.orders.{kind.value}")
        proxy.later = (FEW, mood)
        return Conduct(
            programme=programme,
            environment=environment,
            planned=test,
            run=f"pilot/{test.test}/1",
            attempt=1,
            progress=lambda *_: None,
        ).execute()


@pytest.mark.parametrize(("mood", "kind"), MOODS)
def test_a_hostile_system_is_no_error_and_has_no_right_answers(lab: Lab, mood: Mood, kind: TestType) -> None:
    done = conduct(lab, kind, mood)
    assert done.state is RunState.FINISHED, done.reason
    rows = done.tables["results"]
    assert len(rows) == done.document["target"]["messages"]
    for step in done.document["steps"]:
        if step["part"] == "baseline":  # which is reached without the proxy
            rows = rows[~rows.sequence.between(step["first"], step["last"])]
    assert (rows.outcome == "ok").sum() < FEW + CONNECTIONS < len(rows)


def test_every_type_of_test_meets_a_hostile_system_and_every_mood_is_met() -> None:
    assert {kind.value for _, kind in MOODS} == set(TYPES) == set(TestType)
    assert {mood for mood, _ in MOODS} == WRONG


def test_a_proxy_forwards_until_it_is_told_otherwise_and_again_afterwards() -> None:
    import socket
    import socketserver
    import threading

    class Echo(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while data := self.request.recv(100):
                self.request.sendall(data)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    def asked(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            return client.recv(100)

    with Server(("127.0.0.1", 0), Echo) as server, HostileProxy(server.server_address) as proxy:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert asked(proxy.port).startswith(b"GET")
        proxy.turn(Mood.ERRORS)
        assert asked(proxy.port).startswith(b"HTTP/1.1 500")
        proxy.turn(Mood.REFUSE)
        with pytest.raises(ConnectionRefusedError):
            asked(proxy.port)
        proxy.turn(Mood.FORWARD)
        assert asked(proxy.port).startswith(b"GET")
        server.shutdown()


def test_the_page_has_a_row_for_every_fault() -> None:
    page = (ROOT / "docs" / "faults.md").read_text()
    between = page.split(MARKS[0])[1].split(MARKS[1])[0]
    for fault in FAULTS:
        assert f"| `{fault.name}` | {fault.what} |" in between
    trial = {
        "fault": "kill",
        "seed": 1,
        "trial": 1,
        "told": "3 killed: judge / starting 3",
        "unavailable": "",
        "problems": [],
    }
    assert f"| `kill` | {FAULTS[0].what} | 1 | 3 | 1 |" in table([trial, {**trial, "fault": "offline"}])
    assert json.dumps(trial)


def test_an_unknown_fault_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["faults", "earthquake"])
    with pytest.raises(SystemExit):
        main()
    assert "no such fault: earthquake" in capsys.readouterr().err
