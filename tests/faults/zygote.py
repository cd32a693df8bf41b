"""Commands without their start: a process that has loaded what a run needs, and is forked for each.

Loading Prefect, Great Expectations and the rest takes most of a short run, and a campaign has hundreds of them. What a
command does then is as ever; its judge, injector and emulators are forked likewise, each with a session, descriptors
and a name of its own. `python -m tests.faults.zygote` reads one JSON object a line (`words`, `environ`, `out`, `err`),
forks, says the process id, and then how each ended: `{"pid", "status"}`.
"""

import atexit
import contextvars
import gc
import json
import os
import select
import signal
import subprocess
import sys
import threading
import traceback
import warnings
import weakref
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

_LOADED = (
    "fastparquet", "scipy.stats", "flows.capability_phase", "flows.run", "tasks.index", "tasks.report.render",
    "expectations.suites", "great_expectations.data_context.types.base", "tasks.wire.child",
    "tasks.inject.engine", "tasks.inject.segments", "tasks.inject.shards", "tasks.emulate.component",
)  # fmt: skip
_FORKED = ("tasks.judge", "tasks.inject", "tasks.emulate")
"""Modules whose processes are forked too; any other is started as ever."""


class Zygote:
    """The process, and the commands that were forked from it. A context manager."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environ,
            start_new_session=True,
        )
        self._news = threading.Condition()
        self._started: list[int] = []
        self._ended: dict[int, int] = {}
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def start(self, words: list[str], environ: dict[str, str], folder: Path) -> "Forked":
        """Starts `plimsoll` with these words; what it prints goes to files in `folder`."""
        with self._news:
            number = len(self._started)
            out, err = folder / f"out-{number}", folder / f"err-{number}"
            told = {"words": words, "environ": environ, "out": str(out), "err": str(err)}
            for file in (out, err):
                file.touch(mode=0o600)  # whoever follows them need not wait for the command
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(told) + "\n")
            self._process.stdin.flush()
            self._news.wait_for(lambda: len(self._started) > number, timeout=300)
            return Forked(self, self._started[number], out, err)

    def status(self, pid: int, timeout: float | None) -> int | None:
        """How a command ended; None where it has not within so many seconds."""
        with self._news:
            self._news.wait_for(lambda: pid in self._ended, timeout=timeout)
            return self._ended.get(pid)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            with self._news:
                if "status" in told:
                    self._ended[told["pid"]] = told["status"]
                else:
                    self._started.append(told["pid"])
                self._news.notify_all()


class Forked:
    """A command that was forked, as far as `subprocess.Popen` is needed of it."""

    def __init__(self, zygote: Zygote, pid: int, out: Path, err: Path) -> None:
        self.pid, self.out, self.err = pid, out, err
        self._zygote = zygote

    def poll(self) -> int | None:
        """How it ended; None where it has not."""
        return self._zygote.status(self.pid, 0)

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end. Raises TimeoutExpired."""
        status = self._zygote.status(self.pid, timeout)
        if status is None:
            raise subprocess.TimeoutExpired("plimsoll", timeout or 0)
        return status

    def kill(self) -> None:
        """Ends it where it has not ended."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


class _Child(subprocess.Popen[bytes]):
    """A process of a run: forked where its module is one of those, and a program of its own otherwise."""

    def _execute_child(self, args: Any, executable: Any, preexec_fn: Any, close_fds: Any, *rest: Any) -> None:
        """As `subprocess` has it, whose arguments these are."""
        if not isinstance(args, list) or args[1:3] != ["-m", "tasks.wire.child"] or args[3] not in _FORKED:
            super()._execute_child(args, executable, preexec_fn, close_fds, *rest)  # type: ignore[misc]  # private
            return
        pass_fds, cwd, env = rest[:3]
        p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite = rest[6:12]
        pid = os.fork()
        if not pid:
            _become(args[3:], (p2cread, c2pwrite, errwrite), pass_fds, cwd, env)
        self.pid, self._child_created = pid, True
        self._close_pipe_fds(p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite)  # type: ignore[attr-defined]  # private


def _become(words: list[str], streams: tuple[int, int, int], kept: tuple[int, ...], cwd: Any, env: Any) -> None:
    """In a process just forked: becomes one of a module, with nothing of its parent's but what it had loaded."""
    status = 1
    try:
        os.setsid()
        for number, handle in enumerate([os.dup(each) for each in streams]):
            os.dup2(handle, number)
        edges = sorted({2, *kept, os.sysconf("SC_OPEN_MAX")})
        for before, behind in pairwise(edges):
            os.closerange(before + 1, behind)
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(env)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
        atexit._clear()
        weakref.finalize._registry.clear()  # type: ignore[attr-defined]  # what the parent would tidy up
        Path("/proc/self/comm").write_text(words[0][:15])
        from tasks.scratch import _own
        from tasks.wire.child import main as child

        _own.cache_clear()
        sys.argv = ["child", *words]
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="runpy")  # it was loaded before it is run
        contextvars.Context().run(child)
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001  # as Python ends
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(status)


def main() -> None:
    """The process."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    for name in _LOADED:
        import_module(name)
    gc.freeze()
    print("ready", file=sys.stderr, flush=True)
    alive: set[int] = set()
    while True:
        ready, _, _ = select.select([0], [], [], 0.1)
        if ready:
            line = _line()
            if not line:
                return
            pid = _fork(json.loads(line))
            alive.add(pid)
            _say({"pid": pid})
        for pid in list(alive):
            gone, status = os.waitpid(pid, os.WNOHANG)
            if gone:
                alive.remove(pid)
                _say({"pid": pid, "status": os.waitstatus_to_exitcode(status)})


def _line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        more = os.read(0, 1)
        if not more:
            return b""
        line += more
    return line


def _say(document: dict[str, Any]) -> None:
    os.write(1, json.dumps(document).encode() + b"\n")


def _fork(told: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    os.environ.clear()
    os.environ.update(told["environ"])
    for number, name in ((1, told["out"]), (2, told["err"])):
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(handle, number)
        os.close(handle)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = ["plimsoll", *told["words"]]
    from flows.cli import main as command
    from tasks.wire import process

    process.subprocess.Popen = _Child  # type: ignore[misc,assignment]  # in this process alone

    sys.exit(command())


if __name__ == "__main__":
    main()
