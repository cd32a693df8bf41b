"""The injector as a process: `python -m tasks.inject SPEC.json`.

Prints `{"done", "offered", "total"}` about once a second and, last, `{"summary": …}` or `{"error": …}`. Results are
written while the load runs, the summary after it. It ends at the end of its standard input.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import uvloop

from catalog.errors import WorldError
from tasks.inject.engine import Engine
from tasks.inject.files import WORK, InjectionSpec, read_columns
from tasks.inject.segments import Segments
from tasks.inject.summary import summary
from tasks.wire.process import call_when_parent_ends

_PROGRESS_S = 1.0
_SHORTEST_MS = 200  # over less, CPU time says nothing


def _say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


class _Watch:
    """Says how far it is and notes the busiest second, in a thread of its own: a slow reader holds up nothing."""

    def __init__(self, engine: Engine) -> None:
        self.cpu_peak_permille = 0
        self._engine = engine
        self._over = threading.Event()
        self._at, self._cpu_us = time.monotonic(), cpu_us()
        self.began_us = self._cpu_us
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        """Look a last time."""
        self._over.set()
        self._look()

    def _run(self) -> None:
        engine = self._engine
        while not self._over.wait(_PROGRESS_S):
            self._look()
            _say({"done": engine.finished, "offered": engine.offered, "total": engine.count})

    def _look(self) -> None:
        now, spent_us = time.monotonic(), cpu_us()
        elapsed_ms = int((now - self._at) * 1000)
        if elapsed_ms >= _SHORTEST_MS:
            self.cpu_peak_permille = max(self.cpu_peak_permille, (spent_us - self._cpu_us) // elapsed_ms)
            self._at, self._cpu_us = now, spent_us


def cpu_us() -> int:
    """CPU time of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return int((usage.ru_utime + usage.ru_stime) * 1_000_000)


async def _inject(spec: InjectionSpec, listener: socket.socket | None) -> tuple[Engine, _Watch, Segments]:
    """Run the load. When this returns, its last results are still to be written."""
    loop = asyncio.get_running_loop()
    engine = Engine(loop, spec, read_columns(Path(spec.work), WORK, spec.count))
    loop.set_exception_handler(lambda _, context: engine.fail(context.get("exception") or RuntimeError(str(context))))
    try:
        await engine.prepare(listener)
        watch, segments = _Watch(engine), Segments(Path(spec.segments), engine.log, lambda: engine.rows)
        try:
            await engine.run()
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


def _write_summary(path: Path, document: dict[str, Any]) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(document))
    temporary.replace(path)


def main() -> int:
    """Run the injection; 3 when a target cannot be reached."""
    arguments = argparse.ArgumentParser(prog="python -m tasks.inject", description=__doc__)
    arguments.add_argument("spec", type=Path)
    arguments.add_argument("--fd", type=int, help="the listening socket of the receive service")
    given = arguments.parse_args()
    call_when_parent_ends(lambda: os.kill(os.getpid(), signal.SIGTERM))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # some systems refuse the hard limit itself
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    spec = InjectionSpec.from_json(json.loads(given.spec.read_bytes()))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            listener = socket.socket(fileno=given.fd) if given.fd is not None else None
            engine, watch, segments = runner.run(_inject(spec, listener))
        _close(segments)
    except WorldError as error:
        _say({"error": str(error)})
        return 3
    spent_us = cpu_us() - watch.began_us
    document = summary(engine, cpu_us=spent_us, cpu_peak_permille=watch.cpu_peak_permille)
    _write_summary(Path(spec.summary), document)
    _say({"summary": document})
    return 0


if __name__ == "__main__":
    sys.exit(main())
