"""Processes of our own: started from a JSON document, tied to their parent, ended without leaving anything behind.

Parent and child are tied by the child's standard input: the child ends when it reads its end, and that comes whether
the parent closes it, ends, or is killed. A child has a session of its own, so that a terminal's Ctrl-C reaches the
parent only, which then ends its children in its own order.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from types import TracebackType
from typing import Any, Self

from catalog.errors import WorldError
from tasks.scratch import scratch
from tasks.wire.watch import take_over

_ROOT = Path(__file__).resolve().parents[2]
_PRIVATE_KEY = "PLIMSOLL_KEY_PEM"  # what signs the ledger stays with who signs it: children run others' scripts
_STOP_S = 2
_TAIL_BYTES = 2_000


def call_when_parent_ends(callback: Callable[[], object], heard: Callable[[bytes], object] | None = None) -> None:
    """In a child: run `callback`, in a thread of its own, when standard input ends; until now its end ended the child.

    `heard` is given every whole line that the parent says meanwhile (`ChildProcess.tell`), in the same thread. A
    thread, because an event loop cannot watch a standard input that is a regular file or `/dev/null`.
    """

    def wait() -> None:
        unread = b""
        while said := os.read(0, 4096):
            *lines, unread = (unread + said).split(b"\n")
            if heard is not None:
                for line in lines:
                    heard(line)
        callback()

    take_over()
    threading.Thread(target=wait, name="parent", daemon=True).start()


class ChildProcess:
    """`python -m MODULE DOCUMENT` and its output, one JSON object a line. A context manager, or call `stop`."""

    def __init__(
        self,
        module: str,
        document: Mapping[str, Any],
        *,
        name: str,
        pass_fds: Sequence[int] = (),
        stop_s: float = _STOP_S,
        nice: int = 0,
    ) -> None:
        self.name = name
        self._stop_s = stop_s
        self._folder = scratch()
        path = Path(self._folder.name)
        (path / "spec.json").write_text(json.dumps(document))
        options = [option for fd in pass_fds for option in ("--fd", str(fd))]
        with (path / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tasks.wire.child", module, str(path / "spec.json"), *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=_ROOT,  # `-m` looks here first, so a folder named like ours in the caller's cannot get in the way
                pass_fds=pass_fds,
                env={name: value for name, value in os.environ.items() if name != _PRIVATE_KEY},
                start_new_session=True,
            )
        if nice:
            os.setpriority(os.PRIO_PROCESS, self._process.pid, nice)
        self._unread = b""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def read(self, timeout_s: float | None = None) -> dict[str, Any]:
        """The next object it prints. WorldError when it ends, prints anything else, or prints nothing for so long."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while b"\n" not in self._unread:
            more = self._read_some(None if deadline is None else max(0.0, deadline - time.monotonic()))
            if not more:
                raise self.failure("ended unexpectedly")
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            document: dict[str, Any] = json.loads(line)
        except ValueError:
            raise self.failure(f"printed {line[:200]!r} where a JSON document was expected") from None
        return document

    def tell(self, document: Mapping[str, Any]) -> None:
        """Says one JSON object, as a line on its standard input. WorldError when it has ended."""
        stdin = self._process.stdin
        try:
            if stdin is None or stdin.closed:
                raise BrokenPipeError
            stdin.write(json.dumps(document).encode() + b"\n")
            stdin.flush()
        except BrokenPipeError:
            raise self.failure("ended unexpectedly") from None

    def failure(self, what: str) -> WorldError:
        """The error that says `what` happened to it, with the end of its standard error."""
        if what.startswith("ended"):
            what = f"{what} with exit status {self._process.wait(_STOP_S)}"
        tail = (Path(self._folder.name) / "stderr").read_bytes()[-_TAIL_BYTES:].decode(errors="replace").strip()
        return WorldError(f"{self.name} {what}" + (f":\n{tail}" if tail else ""))

    def stop(self) -> None:
        """End it: by the end of its input, and if that does not help (it may be frozen), by force. May be repeated."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):  # of what a child that ended by itself was told last
                    stream.close()
        try:
            self._process.wait(self._stop_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _read_some(self, timeout_s: float | None) -> bytes:
        stdout = self._process.stdout
        if stdout is None or stdout.closed:
            return b""
        with DefaultSelector() as selector:
            selector.register(stdout, EVENT_READ)
            if not selector.select(timeout_s):
                raise self.failure(f"said nothing for {timeout_s:.0f} s")
        return os.read(stdout.fileno(), 65_536)
