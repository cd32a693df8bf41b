"""What every injector's process tells of itself while it runs and at its end: progress, CPU, the summary."""

import contextlib
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any, TextIO

PROGRESS_S = 1.0
_SHORTEST_MS = 200  # over less, CPU time says nothing


def say(document: dict[str, Any], channel: TextIO | None = None) -> None:
    """A line for whoever started this process, on standard output unless that is somebody else's."""
    stream = channel or sys.stdout
    stream.write(json.dumps(document) + "\n")
    stream.flush()


def write_summary(path: Path, document: dict[str, Any]) -> None:
    """The summary as a file, which holds all of it or does not exist."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(document))
    temporary.replace(path)


def open_descriptors() -> None:
    """As many as this machine allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # some systems refuse the hard limit itself
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def cpu_us() -> int:
    """CPU time of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return int((usage.ru_utime + usage.ru_stime) * 1_000_000)


class CpuWatch:
    """What this process takes from now on, and its busiest time between two looks."""

    def __init__(self) -> None:
        self.peak_permille = 0
        self._at, self._cpu_us = time.monotonic(), cpu_us()
        self._began_us = self._cpu_us

    @property
    def spent_us(self) -> int:
        """CPU time since the beginning."""
        return cpu_us() - self._began_us

    def look(self) -> None:
        """Notes how busy it was since the last look."""
        now, spent_us = time.monotonic(), cpu_us()
        elapsed_ms = int((now - self._at) * 1000)
        if elapsed_ms >= _SHORTEST_MS:
            self.peak_permille = max(self.peak_permille, (spent_us - self._cpu_us) // elapsed_ms)
            self._at, self._cpu_us = now, spent_us
