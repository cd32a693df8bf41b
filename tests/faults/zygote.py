"""Commands without their start: a process that has loaded what a run needs, and is forked for each.

Loading Prefect and the rest takes most of a short run, and a campaign has hundreds of them. What a command does then
is as ever. `python -m tests.faults.zygote` reads one JSON object a line (`words`, `environ`, `out`, `err`), forks, says
the process id, and then how each ended: `{"pid", "status"}`.
"""

import json
import os
import select
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any, Self

_LOADED = ("fastparquet", "scipy.stats", "flows.capability_phase", "flows.run", "tasks.index", "tasks.report.render")


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


def main() -> None:
    """The process."""
    for name in _LOADED:
        import_module(name)
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

    sys.exit(command())


if __name__ == "__main__":
    main()
