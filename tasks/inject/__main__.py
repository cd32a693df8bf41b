"""The injector as a process: `python -m tasks.inject SPEC.json`.

Prints `{"done", "offered", "total"}` about once a second and, last, `{"summary": …}` or `{"error": …}`. Results are
written while the load runs, the summary after it. It ends at the end of its standard input. Where the load is gated it
prints `{"prepared": true}` when everything is ready, and begins at the `Start` that its standard input then has.
"""

import argparse
import asyncio
import json
import os
import queue
import signal
import socket
import sys
import threading
from array import array
from collections.abc import Mapping
from pathlib import Path

import uvloop

from catalog.errors import WorldError
from tasks.inject.engine import Engine
from tasks.inject.files import LIBCURL, WORK, InjectionSpec, Start, read_columns
from tasks.inject.segments import Segments
from tasks.inject.summary import summary
from tasks.inject.telling import PROGRESS_S, CpuWatch, open_descriptors, say, write_summary
from tasks.wire.process import call_when_parent_ends


class _Watch:
    """Says how far it is and notes the busiest second, in a thread of its own: a slow reader holds up nothing."""

    def __init__(self, engine: Engine) -> None:
        self.cpu = CpuWatch()
        self._engine = engine
        self._over = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        """Look a last time."""
        self._over.set()
        self.cpu.look()

    def _run(self) -> None:
        engine = self._engine
        while not self._over.wait(PROGRESS_S):
            self.cpu.look()
            say({"done": engine.finished, "offered": engine.offered, "total": engine.count})


def _engine(loop: asyncio.AbstractEventLoop, spec: InjectionSpec, work: Mapping[str, "array[int]"]) -> Engine:
    if spec.engine != LIBCURL:
        return Engine(loop, spec, work)
    from tasks.inject.curl import CurlEngine

    return CurlEngine(loop, spec, work)


class _Gate:
    """Gives the caller's word on when to start, which comes in another thread, to the event loop that waits for it."""

    def __init__(self) -> None:
        self._said: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def heard(self, line: bytes) -> None:
        """The caller has said this."""
        self._said.put(line)

    async def start(self) -> Start:
        """Says that everything is ready, and waits for when to start."""
        say({"prepared": True})
        return Start.from_json(json.loads(await asyncio.to_thread(self._said.get)))


async def _inject(spec: InjectionSpec, listener: socket.socket | None, gate: _Gate) -> tuple[Engine, _Watch, Segments]:
    """Run the load. When this returns, its last results are still to be written."""
    loop = asyncio.get_running_loop()
    engine = _engine(loop, spec, read_columns(Path(spec.work), WORK, spec.count))
    loop.set_exception_handler(lambda _, context: engine.fail(context.get("exception") or RuntimeError(str(context))))
    try:
        await engine.prepare(listener)
        watch = _Watch(engine)
        segments = Segments(Path(spec.segments), engine.log, lambda: engine.rows, engine.beside)
        try:
            await engine.run(gate.start() if spec.gated else None)
        finally:
            watch.stop()
    finally:
        engine.close()
    return engine, watch, segments


def _close(segments: Segments) -> None:
    try:
        segments.close()
    except OSError as error:
        raise WorldError(f"results cannot be written: {error.filename or 'the disk'}: {error.strerror}") from error


def main() -> int:
    """Run the injection; 3 when a target cannot be reached."""
    arguments = argparse.ArgumentParser(prog="python -m tasks.inject", description=__doc__)
    arguments.add_argument("spec", type=Path)
    arguments.add_argument("--fd", type=int, help="the listening socket of the receive service")
    given = arguments.parse_args()
    gate = _Gate()
    call_when_parent_ends(lambda: os.kill(os.getpid(), signal.SIGTERM), gate.heard)
    open_descriptors()
    spec = InjectionSpec.from_json(json.loads(given.spec.read_bytes()))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            listener = socket.socket(fileno=given.fd) if given.fd is not None else None
            engine, watch, segments = runner.run(_inject(spec, listener, gate))
        _close(segments)
    except WorldError as error:
        say({"error": str(error)})
        return 3
    document = summary(engine, cpu_us=watch.cpu.spent_us, cpu_peak_permille=watch.cpu.peak_permille)
    write_summary(Path(spec.summary), document)
    say({"summary": document})
    return 0


if __name__ == "__main__":
    sys.exit(main())
