"""Results are written while the load runs: about once a second, what has ended since becomes a segment.

A segment is a file of whole rows, in the order in which messages were acknowledged or ended, named by the number of
the first. It is written under another name, synced and renamed, so that what a crash leaves is complete as far as it
goes. The thread that writes holds the interpreter's lock for some microseconds only: rows are taken from the log as
they lie there.
"""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from mmap import mmap
from pathlib import Path

from tasks.inject.files import ROW

SEGMENT_S = 1.0
SUFFIX = ".rows"


class Segments:
    """Writes segments of a log of rows into `folder`; `held` tells how many rows the log holds by now."""

    def __init__(self, folder: Path, log: mmap | None, held: Callable[[], int]) -> None:
        self.error: OSError | None = None
        self._folder = folder
        self._log = log
        self._held = held
        self._written = 0
        self._directory = os.open(folder, os.O_RDONLY)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="segments", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what is left, once all connections are closed. OSError when any of it could not be written."""
        self._over.set()
        self._thread.join()
        if self.error is not None:
            raise self.error
        self._write()
        os.close(self._directory)

    def _run(self) -> None:
        try:
            while not self._over.wait(SEGMENT_S):
                with _shortage_passed():
                    self._write()
        except OSError as error:
            self.error = error

    def _write(self) -> None:
        first, last = self._written, self._held()
        if self._log is None or first == last:
            return
        final = self._folder / f"{first:012d}{SUFFIX}"
        partial = final.with_suffix(".part")
        with memoryview(self._log) as rows, partial.open("wb", buffering=0) as file:
            unwritten = rows[first * ROW.size : last * ROW.size]
            while unwritten:
                unwritten = unwritten[file.write(unwritten) :]
            os.fsync(file.fileno())
        partial.replace(final)
        os.fsync(self._directory)
        self._written = last


@contextmanager
def _shortage_passed() -> Iterator[None]:
    """Connections may have taken every descriptor: the next segment then holds what this one would have."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
