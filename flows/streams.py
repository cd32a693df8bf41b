"""Standard output and error that never raise: neither when nobody reads them, nor for a character they cannot hold.

A reader that has gone away (`| head`) takes nothing from what a command comes to, so what is written after it is
dropped. An answer that is lost for another reason (a full disk, no standard output at all) is a fault of the
environment, which the command line reports once the command is done.
"""

import codecs
import io
import os
import sys
from typing import Any

_ERRORS = "plimsoll"
_PLAIN = {
    "✔": "+",
    "✘": "x",
    "→": "->",
    "…": "...",
    "⋯": "...",
    "·": ".",
    "µ": "u",
    "×": "x",
    "–": "-",
    "’": "'",
    "─": "-",
    "━": "-",
    "│": "|",
    "├": "|",
    "└": "`",
}
"""What stands for a mark in an encoding that lacks it; every other character is escaped as Python writes it."""


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    escaped = (_PLAIN.get(each) or each.encode("ascii", "backslashreplace").decode() for each in text)
    return "".join(escaped), error.end


codecs.register_error(_ERRORS, _plain)


class Forgiving(io.RawIOBase):
    """The bytes of a stream, on their way to file descriptor `fd` (None: there is none). `lost` says why some were."""

    def __init__(self, fd: int | None) -> None:
        super().__init__()
        self._fd = fd
        self._unread = False
        self.lost = ""

    def write(self, data: Any, /) -> int:
        """Writes all of `data`, or drops it."""
        left = memoryview(data).cast("B")
        while left and not self._unread and not self.lost:
            left = left[self._write(left) :]
        return len(memoryview(data).cast("B"))

    def _write(self, data: memoryview) -> int:
        if self._fd is None:
            self.lost = "it is closed"
            return 0
        try:
            return os.write(self._fd, data)
        except BrokenPipeError:
            self._unread = True
        except OSError as error:
            self.lost = error.strerror or str(error)
        return 0

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The file descriptor; where there is none, as any stream without one says it."""
        if self._fd is None:
            raise io.UnsupportedOperation("fileno")
        return self._fd

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._fd is not None and os.isatty(self._fd)


class Streams:
    """This process's standard output and error, from now on forgiving ones."""

    def __init__(self) -> None:
        _fill_closed()
        self._out = Forgiving(_descriptor(sys.stdout))
        sys.stdout = _text(self._out, sys.stdout)
        sys.stderr = _text(Forgiving(_descriptor(sys.stderr)), sys.stderr)

    def lost(self) -> str:
        """Why an answer did not arrive, once everything is written; empty when it did, or nobody wanted it."""
        sys.stdout.flush()
        sys.stderr.flush()
        return self._out.lost


def _descriptor(stream: object) -> int | None:
    return stream.fileno() if isinstance(stream, io.TextIOWrapper) else None


def _text(raw: Forgiving, before: object) -> io.TextIOWrapper:
    if isinstance(before, io.TextIOWrapper):
        before.flush()
    encoding = before.encoding if isinstance(before, io.TextIOWrapper) else "utf-8"
    line_buffering = raw.isatty() or before is sys.stderr
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=encoding, errors=_ERRORS, line_buffering=line_buffering, write_through=False
    )


def _fill_closed() -> None:
    """Opens the null device for each standard stream that is closed, or a file of evidence would get its number."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
