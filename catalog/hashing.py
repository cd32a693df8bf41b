"""SHA-256 of many files at once: as many threads as there are cores, since hashing leaves Python's lock alone.

What a digest is compared with is not here (see `catalog.verification`).
"""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[int, int], None]
"""Told bytes done and bytes in all, by one thread at a time."""

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashed:
    """A file's digest and its size in bytes; or, where it could not be read, what the operating system said."""

    digest: str = ""
    size: int = 0
    error: OSError | None = None


def hash_files(files: Sequence[Path], progress: Progress) -> list[Hashed]:
    """Every file's digest, in the order of `files`; in memory that the files do not fill."""
    work = _Work(files, progress)
    with ThreadPoolExecutor(max_workers=threads()) as pool:
        for thread in [pool.submit(work.drain) for _ in range(threads())]:
            thread.result()
    return work.found


def threads() -> int:
    """How many files are hashed at once: as many as there are cores for this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Work:
    """The files that threads take in turn, the largest first, so that none is left alone with one at the end."""

    def __init__(self, files: Sequence[Path], progress: Progress) -> None:
        sizes = [_size(file) for file in files]
        self._files = files
        self._order: Iterator[int] = iter(sorted(range(len(files)), key=lambda place: -sizes[place]))
        self._total, self._done = sum(sizes), 0
        self._progress = progress
        self._mutex = threading.Lock()
        self.found = [Hashed()] * len(files)

    def drain(self) -> None:
        buffer = bytearray(_CHUNK)
        while (place := next(self._order, None)) is not None:
            try:
                self.found[place] = self._hash(self._files[place], buffer)
            except OSError as error:
                self.found[place] = Hashed(error=error)

    def _hash(self, file: Path, buffer: bytearray) -> Hashed:
        sha, size, view = hashlib.sha256(), 0, memoryview(buffer)
        with file.open("rb", buffering=0) as stream:
            while read := stream.readinto(buffer):
                sha.update(view[:read])
                size += read
                with self._mutex:
                    self._done += read
                    self._progress(self._done, self._total)
        return Hashed(digest=sha.hexdigest(), size=size)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
