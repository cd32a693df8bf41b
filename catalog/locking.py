"""A lock file: held by one process at a time, which it names, and given back by the kernel however that ends."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from catalog.errors import WorldError
from catalog.store import disk


@contextmanager
def held(path: Path, what: str, *, wait: Callable[[str], object] | None = None) -> Iterator[None]:
    """Holds the lock `path`, a file that is made where there is none, whose folder exists.

    While somebody else holds it: raises WorldError, "another run has {what}", naming the process; or waits for as long
    as it takes, once `wait` was told of whom.
    """
    with disk(path):
        file = path.open("a+b", buffering=0)  # so that a write fails where it stands, and not when it is closed
    with file:
        with disk(path):
            _seize(file, what, wait)
        try:
            yield
        finally:
            with suppress(OSError):  # the name of a process that has ended troubles nobody
                file.truncate(0)


def _seize(file: FileIO, what: str, wait: Callable[[str], object] | None) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = f"process {file.read().decode(errors='replace').strip() or 'unknown'}"
        message = f"another run has {what}: {holder}"
        if wait is None:
            remedy = f"Wait until {holder} has ended, or end it; a run can be started again at any time."
            raise WorldError(message, remedy=remedy) from None
        wait(message)
        fcntl.flock(file, fcntl.LOCK_EX)  # a signal's handler may end it, as Ctrl-C and a cancelled run do
    file.truncate(0)
    file.write(f"{os.getpid()}\n".encode())
