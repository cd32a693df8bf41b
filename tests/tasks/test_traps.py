"""Five traps that load injectors fall into, a test for each: none of them shows in a tool's own figures.

Storms of connections, timers that count whole milliseconds, sends that starve reads, garbage pauses, and one instant
recorded for three. Here the engine runs in this process, so that it can be looked at while it works.
"""

import asyncio
import gc
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import uvloop

from tasks.emulate.spec import ComponentSpec
from tasks.emulate.system import start_component
from tasks.inject import engine as engine_module
from tasks.inject.engine import Engine
from tasks.inject.files import NEVER, WORK, Outcome, read_columns, write_columns
from tasks.inject.injector import Load, Target, _spec
from tasks.wire.alarm import TimerfdAlarm, alarm
from tasks.wire.client import MAX_HANDSHAKES, Connection


def steady(count: int, per_second: int) -> Load:
    """Messages of one kind, evenly spaced; all at once for a rate of 0."""
    offsets = np.arange(count) * 1_000_000 // per_second if per_second else np.zeros(count, dtype=np.int64)
    return Load.of(
        offset_us=offsets, path=["p"] * count, srv=["s"] * count, kind=["request"] * count, device=["d"] * count
    )


def offered(
    load: Load, target: Target, folder: Path, meanwhile: Callable[[asyncio.AbstractEventLoop, Engine], object]
) -> Engine:
    """The engine after the load; `meanwhile` is called when connections are open and nothing has been offered."""
    spec = _spec(load, target, folder)
    write_columns(Path(spec.work), (np.ascontiguousarray(getattr(load, name)).data.cast("B") for name in WORK))

    async def run() -> Engine:
        loop = asyncio.get_running_loop()
        engine = Engine(loop, spec, read_columns(Path(spec.work), WORK, spec.count))
        try:
            await engine.prepare()
            meanwhile(loop, engine)
            await engine.run()
        finally:
            engine.close()
        return engine

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def test_a_stall_opens_no_storm_of_connections(tmp_path: Path) -> None:
    """Connections that are still being opened count towards the limit, and only a few are opened at a time."""
    opening: list[int] = []
    with start_component(ComponentSpec(component="c", service_us=20_000, routes={"p": None})) as component:

        def watch(loop: asyncio.AbstractEventLoop, engine: Engine) -> None:
            pool = engine.pools[component.url]
            opening.append(len(pool._handshakes))
            loop.call_later(0.001, watch, loop, engine)

        target = Target(urls={"p": component.url}, codec="plain", connections=2, max_connections=24)
        engine = offered(steady(600, 0), target, tmp_path, watch)
    pool = engine.pools[component.url]
    assert pool.opened == pool.peak_open == 24
    assert max(opening) <= pool.peak_handshakes <= MAX_HANDSHAKES
    assert engine.finished == 600


def test_an_alarm_less_than_a_millisecond_away_neither_rings_early_nor_spins() -> None:
    """A loop timer that counts whole milliseconds rings at once, again and again, until the instant has come."""
    rung: list[int] = []

    async def ring() -> list[int]:
        over = asyncio.get_running_loop().create_future()
        due: list[int] = []

        def rang() -> None:
            rung.append(time.monotonic_ns() - due[-1])
            if len(due) == 200:
                over.set_result(None)
                return
            due.append(time.monotonic_ns() + 300_000)
            subject.set(due[-1])

        subject = alarm(asyncio.get_running_loop(), rang)
        assert isinstance(subject, TimerfdAlarm)
        due.append(time.monotonic_ns() + 300_000)
        subject.set(due[-1])
        await over
        subject.close()
        return due

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        due = runner.run(ring())
    assert len(rung) == len(due) == 200
    assert min(rung) >= 0


def test_catching_up_does_not_starve_answers(tmp_path: Path) -> None:
    """All are due at once; the first answers are read long before the last message is taken up."""
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:
        target = Target(urls={"p": component.url}, codec="plain", connections=32, max_connections=32)
        engine = offered(steady(20_000, 0), target, tmp_path, lambda *_: None)
    ready, done = (np.asarray(engine.columns[name]) for name in ("ready_us", "done_us"))
    assert np.count_nonzero(done < ready.max()) > 32  # more than one on each connection; starved, there would be none
    assert np.all(np.asarray(engine.columns["outcome"]) == Outcome.OK)


def test_no_garbage_is_collected_during_a_load_and_none_is_left(tmp_path: Path) -> None:
    enabled: list[bool] = []
    frozen = gc.get_freeze_count()

    def watch(loop: asyncio.AbstractEventLoop, _engine: Engine) -> None:
        loop.call_later(0.25, lambda: enabled.append(gc.isenabled()))

    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:
        offered(steady(200, 400), Target(urls={"p": component.url}, codec="plain"), tmp_path, watch)
    assert enabled == [False]
    assert gc.isenabled()
    assert gc.get_freeze_count() == frozen


def test_connections_that_end_are_gone_without_garbage_collection(tmp_path: Path) -> None:
    """A system that closes after every answer would fill memory, were a connection part of a cycle."""
    alive: list[int] = []

    async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    async def served() -> None:
        server = await asyncio.start_server(close, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        load, target = steady(400, 1000), Target(urls={"p": url}, codec="plain", connections=4, max_connections=4)
        spec = _spec(load, target, tmp_path)
        write_columns(Path(spec.work), (np.ascontiguousarray(getattr(load, name)).data.cast("B") for name in WORK))
        loop = asyncio.get_running_loop()
        engine = Engine(loop, spec, read_columns(Path(spec.work), WORK, spec.count))
        await engine.prepare()
        gc.collect()
        gc.disable()
        try:
            await engine.run()
            gc.disable()
            assert engine.pools[url].opened > 300
            alive.append(sum(isinstance(each, Connection) for each in gc.get_objects()))
        finally:
            gc.enable()
            engine.close()
            server.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(served())
    assert alive[0] <= 4 + MAX_HANDSHAKES


def test_due_taken_up_sent_and_done_are_four_instants_of_one_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wall clock is set back by an hour during the load; two messages wait for the only connection."""
    real = time.time_ns

    def set_back(loop: asyncio.AbstractEventLoop, _engine: Engine) -> None:
        loop.call_later(0.05, lambda: monkeypatch.setattr(engine_module, "time_ns", lambda: real() - 3_600_000_000_000))

    with start_component(ComponentSpec(component="c", service_us=50_000, routes={"p": None})) as component:
        target = Target(urls={"p": component.url}, codec="plain", connections=1, max_connections=1)
        engine = offered(steady(3, 0), target, tmp_path, set_back)
    intended, _, sent, done = (np.asarray(engine.columns[f"{name}_us"]) for name in INSTANTS)
    assert NEVER not in sent
    assert len(set(intended)) == 1
    assert sent[1] >= done[0] >= sent[0] + 50_000
    assert sent[2] >= done[1] >= sent[1] + 50_000
    assert abs(int(intended[0]) - real() // 1000) < 600_000_000


INSTANTS = ("intended", "ready", "sent", "done")
