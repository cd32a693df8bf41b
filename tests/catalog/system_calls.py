"""A seam at the system calls that write: each is counted, and any one can be made a process's last, or to fail.

Python's own files write in C where no test can look on, so `io.open` is replaced by one whose raw file is ours; calls
of `os` are wrapped. Syncing is counted and not done: what a killed process wrote is kept by the kernel either way.
"""

import builtins
import errno
import io
import os
import signal
from collections.abc import Callable
from enum import Enum
from typing import Any

SPACE = frozenset({"create", "write", "mkdir", "link"})
"""Calls that need room on the disk, or leave to write there."""

_WRAPPED = {
    "rename": "rename",
    "replace": "rename",
    "link": "link",
    "symlink": "link",
    "unlink": "unlink",
    "remove": "unlink",
    "rmdir": "rmdir",
    "mkdir": "mkdir",
    "truncate": "truncate",
    "ftruncate": "truncate",
    "chmod": "chmod",
    "fchmod": "chmod",
    "write": "write",
}


class Ending(Enum):
    """What happens at the call that was chosen."""

    KILL = "killed before it"
    TEAR = "killed when half of it was written"
    FULL = "the disk is full from then on"
    READ_ONLY = "the disk is read-only from then on"


class Seam:
    """Counts calls, and at call `at` (from 1; 0 never comes) lets `ending` happen. `seen` names every call in order."""

    def __init__(self, at: int = 0, ending: Ending = Ending.KILL) -> None:
        self.seen: list[str] = []
        self._at, self._ending = at, ending

    def install(self) -> None:
        """Puts the seam into this process, for good."""
        for name, kind in _WRAPPED.items():
            setattr(os, name, self._wrap(kind, getattr(os, name)))
        os.fsync = os.fdatasync = lambda _handle: self.before("fsync")  # type: ignore[assignment]  # a seam in place of the call
        os.open = self._opener(os.open)  # type: ignore[assignment]  # likewise
        io.open = builtins.open = self._open  # type: ignore[assignment]  # likewise

    def before(self, kind: str, data: Any = None, write: Callable[[Any], int] | None = None) -> None:
        """What every call does first."""
        self.seen.append(kind)
        here, later = len(self.seen) == self._at, 0 < self._at <= len(self.seen)
        if here and self._ending in (Ending.KILL, Ending.TEAR):
            if self._ending is Ending.TEAR and write is not None:
                write(bytes(data)[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        if later and self._ending is Ending.READ_ONLY and kind != "fsync":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        if later and self._ending is Ending.FULL and kind in SPACE:
            if here and write is not None:
                write(bytes(data)[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _wrap(self, kind: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            if kind == "write":
                self.before(kind, arguments[1], lambda part: int(call(arguments[0], part)))
            else:
                self.before(kind)
            return call(*arguments, **named)

        return wrapped

    def _opener(self, call: Callable[..., int]) -> Callable[..., int]:
        def opened(path: Any, flags: int, *arguments: Any, **named: Any) -> int:
            if flags & os.O_CREAT:
                self.before("create")
            return call(path, flags, *arguments, **named)

        return opened

    def _open(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        if not set(mode) & set("wxa+"):
            return _OPEN(file, mode, buffering, encoding, errors, newline, closefd, opener)
        if not isinstance(file, int) and not os.path.lexists(file):
            self.before("create")
        raw = _Raw(self, file, mode.replace("t", "").replace("b", ""), closefd, opener)
        if buffering == 0:
            return raw
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, errors, newline)


class _Raw(io.FileIO):
    def __init__(self, seam: Seam, file: Any, mode: str, closefd: bool, opener: Any) -> None:
        self._seam = seam
        super().__init__(file, mode, closefd, opener)

    def write(self, data: Any) -> int:
        self._seam.before("write", data, super().write)
        return super().write(data)

    def truncate(self, size: int | None = None) -> int:
        self._seam.before("truncate")
        return super().truncate(size)


_OPEN = io.open
