"""The injector as a process: `python -m tasks.inject SPEC.json`.

Prints `{"done", "offered", "total"}` about once a second and, last, `{"summary": …}` or `{"error": …}`. The results
file and the summary are written after the load. It ends at the end of its standard input.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import uvloop

from catalog.errors import WorldError
from tasks.inject.engine import Engine
from tasks.inject.files import RESULTS, WORK, InjectionSpec, read_columns, write_columns
from tasks.inject.summary import summary
from tasks.wire.process import call_when_parent_ends

_PROGRESS_S = 1.0


def _say(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def _report(engine: Engine, over: threading.Event) -> None:
    """Say how far it is, in a thread of its own so that a slow reader holds up nothing."""
    while not over.wait(_PROGRESS_S):
        _say({"done": engine.finished, "offered": engine.offered, "total": engine.count})


def _cpu_us() -> int:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return int((usage.ru_utime + usage.ru_stime) * 1_000_000)


async def _inject(spec: InjectionSpec) -> dict[str, Any]:
    """Run the load, write its results, and return the summary."""
    loop = asyncio.get_running_loop()
    engine = Engine(loop, spec, read_columns(Path(spec.work), WORK, spec.count))
    loop.set_exception_handler(lambda _, context: engine.fail(context.get("exception") or RuntimeError(str(context))))
    over = threading.Event()
    try:
        await engine.prepare()
        threading.Thread(target=_report, args=(engine, over), daemon=True).start()
        before = _cpu_us()
        await engine.run()
        cpu_us = _cpu_us() - before
    finally:
        over.set()
        engine.close()
    write_columns(Path(spec.results), (memoryview(engine.columns[name]).cast("B") for name in RESULTS))
    return summary(engine, cpu_us=cpu_us)


def _write_summary(path: Path, document: dict[str, Any]) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(document))
    temporary.replace(path)


def main() -> int:
    """Run the injection; 3 when a target cannot be reached."""
    arguments = argparse.ArgumentParser(prog="python -m tasks.inject", description=__doc__)
    arguments.add_argument("spec", type=Path)
    given = arguments.parse_args()
    call_when_parent_ends(lambda: os.kill(os.getpid(), signal.SIGTERM))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # some systems refuse the hard limit itself
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    spec = InjectionSpec.from_json(json.loads(given.spec.read_bytes()))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            document = runner.run(_inject(spec))
    except WorldError as error:
        _say({"error": str(error)})
        return 3
    _write_summary(Path(spec.summary), document)
    _say({"summary": document})
    return 0


if __name__ == "__main__":
    sys.exit(main())
