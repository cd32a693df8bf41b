"""Locust as a process: `python -m tasks.inject.locust_process SPEC.json`. Locust brings gevent, which changes Python.

Prints what `tasks.inject` prints. What the script prints goes to standard error. Requests are taken from Locust's own
event, and written away about once a second; whatever else the script does is the script's.
"""

import argparse
import json
import os
import signal
import sys
import time
import traceback
from array import array
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

from tasks.inject.files import NEVER, Outcome
from tasks.inject.segments import LABELS_SUFFIX, SUFFIX, write_segment
from tasks.inject.telling import PROGRESS_S, CpuWatch, open_descriptors, say, write_summary
from tasks.wire.process import call_when_parent_ends

_HEARTBEAT_S = 0.01
_MOST_TOLD = 20  # names of requests, of hosts and of errors that the summary holds, the most frequent ones
_NAME_KEPT = 200  # characters of such a name

Spec = Mapping[str, Any]


class ScriptError(Exception):
    """The script cannot be run; the message says why."""


class Requests:
    """Every request that Locust tells of: rows of those that are mapped, counts of the others."""

    def __init__(self, spec: Spec) -> None:
        self.start_us = self.end_us = 0
        self.rows, self.labels = array("q"), array("q")
        self.count = self.written = self.bytes_received = 0
        self.outcomes: Counter[int] = Counter()
        self.codes: Counter[str] = Counter()
        self.unmapped: Counter[str] = Counter()
        self.elsewhere: Counter[str] = Counter()
        self.after_the_end = 0
        self.first_sent_us = self.last_sent_us = self.last_done_us = NEVER
        self.error = ""
        self._codes = spec["codes"]
        self._timeout_us = spec["timeout_us"]
        self._host = urlsplit(spec["host"]).netloc

    def note(self, **request: Any) -> None:
        """A listener of `events.request`. Locust swallows what a listener raises: it is kept, and ends the run."""
        try:
            self._note(**request)
        except Exception:  # noqa: BLE001 - whatever it is, it must not pass unseen
            self.error = self.error or traceback.format_exc()

    def _note(
        self,
        *,
        request_type: str,
        name: str,
        response_time: float,
        response_length: int | None = 0,
        response: Any = None,
        exception: BaseException | None = None,
        start_time: float | None = None,
        url: str | None = None,
        **_: Any,
    ) -> None:
        took_us = int(response_time * 1000)
        sent_us = time.time_ns() // 1000 - took_us if start_time is None else int(start_time * 1_000_000)
        code = self._codes.get(f"{request_type} {name}", self._codes.get(name))
        host = urlsplit(url).netloc if url else self._host
        if host != self._host:
            self.elsewhere[host[:_NAME_KEPT]] += 1
        elif code is None:
            self.unmapped[f"{request_type} {name}"[:_NAME_KEPT]] += 1
        elif self.end_us and sent_us >= self.end_us:
            self.after_the_end += 1
        else:
            status = int(getattr(response, "status_code", 0) or 0)
            outcome = Outcome.TIMEOUT if took_us > self._timeout_us else outcome_of(exception, status)
            self._keep(code, sent_us, sent_us + took_us, status, outcome, int(response_length or 0))
            self.codes[str(status) if status else type(exception).__name__ if exception else "0"] += 1

    def _keep(self, code: int, sent_us: int, done_us: int, status: int, outcome: Outcome, size: int) -> None:
        self.rows.extend((self.count, NEVER, sent_us, sent_us, done_us, status, outcome, size))
        self.labels.append(code)
        self.count += 1
        self.outcomes[outcome] += 1
        self.bytes_received += size
        self.first_sent_us = sent_us if self.first_sent_us == NEVER else min(self.first_sent_us, sent_us)
        self.last_sent_us, self.last_done_us = max(self.last_sent_us, sent_us), max(self.last_done_us, done_us)

    def taken(self) -> tuple[int, "array[int]", "array[int]"]:
        """What has come since the last time: the number of the first row, labels and rows."""
        taken = self.written, self.labels, self.rows
        self.rows, self.labels, self.written = array("q"), array("q"), self.count
        return taken


def write(folder: Path, first: int, labels: "array[int]", rows: "array[int]") -> None:
    """Write rows away, labels first. Called in a thread, so that Locust's loop does not wait for the disk."""
    if labels:
        for suffix, column in ((LABELS_SUFFIX, labels), (SUFFIX, rows)):
            write_segment(folder / f"{first:012d}{suffix}", memoryview(column).cast("B"))


def outcome_of(exception: BaseException | None, status: int) -> Outcome:
    """How a request ended by the script's word; without a status nothing was answered."""
    if exception is None:
        return Outcome.OK
    if any("Timeout" in each.__name__ for each in type(exception).__mro__):
        return Outcome.TIMEOUT
    if status:
        return Outcome.ERROR
    broken = isinstance(exception, OSError) or "Connection" in type(exception).__name__
    return Outcome.REFUSED if broken else Outcome.ERROR


class _Lags:
    """How late a pause of Locust's loop ends: so late, at most, comes whatever waits for it."""

    def __init__(self) -> None:
        self.counts = [0] * 64
        self.max_us = 0

    def watch(self, sleep: Any) -> None:
        """Never ends."""
        while True:
            before = time.monotonic_ns()
            sleep(_HEARTBEAT_S)
            lag = max(0, (time.monotonic_ns() - before) // 1000 - int(_HEARTBEAT_S * 1_000_000))
            self.counts[lag.bit_length()] += 1
            self.max_us = max(self.max_us, lag)


def _loaded(spec: Spec) -> list[Any]:
    """The script's user classes, once it is imported from its own folder."""
    from locust.util.load_locustfile import load_locustfile

    os.chdir(spec["folder"])
    try:
        users, shapes = load_locustfile(str(Path(spec["folder"]) / spec["script"]))
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        raise ScriptError(f"cannot be loaded: {_place(error, spec)}{type(error).__name__}: {error}") from error
    if shapes:
        raise ScriptError("has a LoadTestShape, which would start users itself: the environment declares how many")
    if not users:
        raise ScriptError("has no user class that is not abstract")
    return list(users.values())


def _place(error: BaseException, spec: Spec) -> str:
    """The innermost line of the script's own files that an error came through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(spec["folder"])]
    if isinstance(error, SyntaxError) and error.filename and error.filename.startswith(spec["folder"]):
        return f"{Path(error.filename).name}:{error.lineno}: "
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}: " if frames else ""


def _options(spec: Spec) -> Any:
    """What a script finds as `parsed_options`: Locust's defaults and its own, nothing from files or variables."""
    from locust.argument_parser import get_parser

    options = get_parser(default_config_files=[]).parse_args([], env_vars={})
    options.headless, options.host = True, spec["host"]
    options.num_users, options.spawn_rate = spec["users"], float(spec["spawn_rate"])
    options.run_time = spec["duration_us"] / 1_000_000
    return options


def run(spec: Spec, channel: TextIO) -> dict[str, Any]:
    """Runs the script for its time; the summary. ScriptError where it cannot be run, or sends nothing mapped."""
    import gevent
    import locust
    from locust.env import Environment

    requests, folder, lags = Requests(spec), Path(spec["segments"]), _Lags()
    try:
        environment = Environment(
            user_classes=_loaded(spec),
            events=locust.events,
            host=spec["host"],
            locustfile=Path(spec["script"]).name,
            parsed_options=_options(spec),
            stop_timeout=spec["timeout_us"] / 1_000_000,
        )
    except ValueError as error:
        raise ScriptError(f"cannot be run: {error}") from error
    errors: Counter[str] = Counter()
    locust.events.request.add_listener(requests.note)
    locust.events.user_error.add_listener(
        lambda exception, **_: errors.update([f"{type(exception).__name__}: {exception}"[:_NAME_KEPT]])
    )
    runner = environment.create_local_runner()
    locust.events.init.fire(environment=environment, runner=runner, web_ui=None)
    pool, cpu = gevent.get_hub().threadpool, CpuWatch()
    watching = gevent.spawn(lags.watch, gevent.sleep)
    began, users_peak = time.monotonic(), 0
    requests.start_us = time.time_ns() // 1000
    requests.end_us = requests.start_us + spec["duration_us"]
    runner.start(spec["users"], float(spec["spawn_rate"]))
    ends, quit_early = began + spec["duration_us"] / 1_000_000, False
    while (left := ends - time.monotonic()) > 0 and not requests.error:
        gevent.sleep(min(left, PROGRESS_S))
        users_peak = max(users_peak, runner.user_count)
        cpu.look()
        pool.apply(write, (folder, *requests.taken()))
        say({"done": requests.count, "offered": requests.count, "total": requests.count}, channel)
        if runner.state in ("stopped", "stopping", "cleanup"):
            quit_early = True
            break
    took_us = int((time.monotonic() - began) * 1_000_000)
    runner.quit()
    watching.kill()
    cpu.look()
    pool.apply(write, (folder, *requests.taken()))
    if requests.error:
        raise ScriptError(f"told of a request that makes no sense:\n{requests.error.strip()}")
    if not requests.count:
        raise ScriptError(f"sent no request that is mapped to a message path{_instead(requests, errors)}")
    return {
        **_summary(requests, lags, cpu),
        "locust": locust.__version__,
        "users_peak": users_peak,
        "took_us": took_us,
        "quit_early": int(quit_early),
        "script_errors": dict(errors.most_common(_MOST_TOLD)),
    }


def _instead(requests: Requests, errors: Counter[str]) -> str:
    """What it did, where it sent nothing that counts."""
    did = {"unmapped": requests.unmapped, "to other hosts": requests.elsewhere, "errors": errors}
    told = [
        f"{what}: " + ", ".join(f"{name} ({count})" for name, count in found.most_common(5))
        for what, found in did.items()
        if found
    ]
    return "; " + "; ".join(told) if told else ""


def _summary(requests: Requests, lags: _Lags, cpu: CpuWatch) -> dict[str, Any]:
    """As `tasks.inject.summary`, as far as a closed loop has such figures."""
    import resource

    from tasks.inject.summary import bucket

    return {
        "pid": os.getpid(),
        "messages": requests.count,
        "offered": requests.count,
        **{outcome.name.lower(): requests.outcomes[outcome] for outcome in Outcome},
        "codes": dict(sorted(requests.codes.items())),
        "start_us": requests.start_us,
        "first_sent_us": requests.first_sent_us,
        "last_sent_us": requests.last_sent_us,
        "last_done_us": requests.last_done_us,
        "loop_lag_p99_us": bucket(lags.counts, 990),
        "loop_lag_max_us": lags.max_us,
        "cpu_us": cpu.spent_us,
        "cpu_peak_permille": cpu.peak_permille,
        "descriptors_limit": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "bytes_received": requests.bytes_received,
        "unmapped": requests.unmapped.total(),
        "unmapped_requests": dict(requests.unmapped.most_common(_MOST_TOLD)),
        "elsewhere": requests.elsewhere.total(),
        "elsewhere_hosts": dict(requests.elsewhere.most_common(_MOST_TOLD)),
        "after_the_end": requests.after_the_end,
    }


def _make_way() -> None:
    """Lets gevent change Python, after our own thread has begun, and before Locust does it in the midst of its import:
    there the locks of imports that the thread has touched would never be let go.
    """
    from gevent import monkey

    monkey.patch_all()


def main() -> int:
    """Run the script; 3 when it cannot be."""
    arguments = argparse.ArgumentParser(prog="python -m tasks.inject.locust_process", description=__doc__)
    arguments.add_argument("spec", type=Path)
    given = arguments.parse_args()
    call_when_parent_ends(lambda: os.kill(os.getpid(), signal.SIGTERM))
    open_descriptors()
    _make_way()
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.argv = sys.argv[:1]  # a script may look at them
    spec: Spec = json.loads(given.spec.read_bytes())
    try:
        document = run(spec, channel)
    except ScriptError as error:
        remedy = f"Run it by itself: locust -f {spec['script']} --headless --host {spec['host']}"
        say({"error": f"the script {spec['script']} {error}", "remedy": remedy}, channel)
        return 3
    except OSError as error:
        say({"error": f"results cannot be written: {error.filename or 'the disk'}: {error.strerror}"}, channel)
        return 3
    write_summary(Path(spec["summary"]), document)
    say({"summary": document}, channel)
    channel.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
