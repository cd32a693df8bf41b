"""Results are written while the load runs: about once a second, what has ended since becomes a segment.

A segment is a file of whole rows, in the order in which messages were acknowledged or ended, named by the number of
the first. It is written under another name, synced and renamed, so that what a crash leaves is complete as far as it
goes. What an engine knows beyond the results stands beside it, in a file of the same name written first, with a row for
each of its rows. The thread that writes holds the interpreter's lock for some microseconds only: rows are taken from
the log as they lie there.
"""

import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from mmap import mmap
from pathlib import Path
from typing import NamedTuple

from tasks.inject.files import ROW

SEGMENT_S = 1.0
SUFFIX = ".rows"
LABELS_SUFFIX = ".labels"


class Beside(NamedTuple):
    """A log that has a row, of `size` bytes, for each row of results."""

    suffix: str
    log: mmap
    size: int


class Segments:
    """Writes segments of a log of rows into `folder`; `held` tells how many rows the log holds by now."""

    def __init__(self, folder: Path, log: mmap | None, held: Callable[[], int], beside: Sequence[Beside] = ()) -> None:
        self.error: OSError | None = None
        self._folder = folder
        self._logs = [*beside, Beside(SUFFIX, log, ROW.size)] if log is not None else []
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
        if not self._logs or first == last:
            return
        for suffix, log, size in self._logs:
            with memoryview(log) as rows, rows[first * size : last * size] as unwritten:
                write_segment(self._folder / f"{first:012d}{suffix}", unwritten)
        os.fsync(self._directory)
        self._written = last


def write_segment(final: Path, rows: memoryview) -> None:
    """Rows as the file `final`, which holds all of them or does not exist. Its folder is not synced."""
    partial = final.with_suffix(".part")
    with partial.open("wb", buffering=0) as file:
        while rows:
            rows = rows[file.write(rows) :]
        os.fsync(file.fileno())
    partial.replace(final)


@contextmanager
def _shortage_passed() -> Iterator[None]:
    """Connections may have taken every descriptor: the next segment then holds what this one would have."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
