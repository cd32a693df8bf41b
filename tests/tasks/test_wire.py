"""Alarms ring when they should, and children end when they should."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from catalog.errors import WorldError
from catalog.signing import KEY_PEM
from tasks.wire.alarm import Alarm, LoopAlarm, alarm
from tasks.wire.client import address, post, post_head
from tasks.wire.process import ChildProcess

_ALARMS: list[Callable[[asyncio.AbstractEventLoop, Callable[[], None]], Alarm]] = [alarm, LoopAlarm]


async def _rings(
    make: Callable[[asyncio.AbstractEventLoop, Callable[[], None]], Alarm], delays_ns: list[int]
) -> list[int]:
    """When an alarm rang that was set to each of `delays_ns` from now, one after the other's ring; relative to each."""
    rang = asyncio.Event()
    subject = make(asyncio.get_running_loop(), rang.set)
    late = []
    for delay in delays_ns:
        at = time.monotonic_ns() + delay
        subject.set(at + 3_600_000_000_000)
        subject.set(at)
        await asyncio.wait_for(rang.wait(), 5)
        late.append(time.monotonic_ns() - at)
        rang.clear()
    subject.close()
    return late


@pytest.mark.parametrize("make", _ALARMS)
def test_an_alarm_rings_at_the_instant_it_was_last_set_to(
    make: Callable[[asyncio.AbstractEventLoop, Callable[[], None]], Alarm],
) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        late = runner.run(_rings(make, [5_000_000, -1_000_000_000, 0, 2_000_000]))
    assert min(late) >= -1_000_000  # a loop timer counts whole milliseconds
    assert max(late) < 3_000_000_000


def test_a_child_that_fails_to_start_says_why() -> None:
    with ChildProcess("tasks.no_such_room", {}, name="the subject") as child, pytest.raises(WorldError) as caught:
        child.read(10)
    assert "the subject ended unexpectedly with exit status 1" in str(caught.value)
    assert "No module named" in str(caught.value)


def test_a_child_that_was_killed_is_stopped_without_an_error_whatever_it_was_told() -> None:
    child = ChildProcess("tasks.judge", {}, name="the subject")
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(WorldError, match="the subject ended unexpectedly with exit status -9"):
        child.tell({"asked": "too late"})  # what cannot be written stays in the stream, and is written as that closes
    child.stop()
    child.stop()


def test_a_child_does_not_get_the_key_that_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_PEM, "-----BEGIN PRIVATE KEY-----")
    monkeypatch.setenv("PLIMSOLL_ACTOR", "tester")
    with ChildProcess("tasks.judge", {}, name="the subject") as child:
        given = Path(f"/proc/{child.pid}/environ").read_bytes().split(b"\0")
    assert b"PLIMSOLL_ACTOR=tester" in given
    assert not [each for each in given if b"PRIVATE KEY" in each]


def test_requests_go_below_the_base_url_with_the_path_quoted() -> None:
    request = post(post_head("http://h:1/base/", "a b/c", "text/plain"), b"body")
    assert request.startswith(b"POST /base/paths/a%20b%2Fc HTTP/1.1\r\nHost: h:1\r\n")
    assert request.endswith(b"\r\nContent-Length: 4\r\n\r\nbody")


def test_other_urls_are_refused() -> None:
    assert address("http://localhost") == ("localhost", 80)
    assert address("https://localhost") == ("localhost", 443)
    assert address("https://localhost:8443/x") == ("localhost", 8443)
    with pytest.raises(ValueError, match="expected http://host:port or https://host:port, found 'ftp:"):
        address("ftp://localhost")
