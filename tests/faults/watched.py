"""A run that goes on, and what it says meanwhile."""

import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.faults.zygote import Forked
from tests.flows.phases import Ended


@dataclass(slots=True)
class Watched:
    """A run that goes on, and what it has said."""

    process: "subprocess.Popen[str] | Forked"
    said: list[str] = field(default_factory=list)
    out: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.news = threading.Condition()
        self._is_over = False
        told = self.process
        streams = (
            [_tail(told, told.err), _tail(told, told.out)] if isinstance(told, Forked) else [told.stderr, told.stdout]
        )
        self.readers = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in zip(streams, (self.said, self.out), strict=True)
        ]
        for reader in self.readers:
            reader.start()

    news: threading.Condition = field(init=False)
    readers: list[threading.Thread] = field(init=False)
    _is_over: bool = field(init=False)

    def _read(self, stream: Iterable[str], lines: list[str]) -> None:
        for line in stream:
            with self.news:
                lines.append(line)
                self.news.notify_all()
        with self.news:
            self._is_over = True
            self.news.notify_all()  # that there is nothing more to come

    def says(self, anchor: str) -> bool:
        """Waits until it says so; False when it ends first."""
        with self.news:
            self.news.wait_for(lambda: self._said(anchor) or self._is_over, timeout=300)
        return self._said(anchor)

    def _said(self, anchor: str) -> bool:
        return any(f"  {anchor}" in line for line in self.said)

    def tree(self) -> list[psutil.Process]:
        """The run's first process and all below it."""
        try:
            first = psutil.Process(self.process.pid)
            return [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def ended(self, timeout: float = 300) -> Ended:
        """Waits for its end. Raises TimeoutExpired."""
        status = self.process.wait(timeout=timeout)
        for reader in self.readers:
            reader.join()
        return Ended(status=status, stdout="".join(self.out), stderr="".join(self.said))


def _tail(process: Forked, path: Path) -> Iterator[str]:
    """The lines of a file that a process writes to, as they come, until it has ended."""
    with path.open() as file:
        line = ""
        while True:
            is_over = process.poll() is not None  # before the file is read to its end
            while more := file.readline():
                line += more
                if line.endswith("\n"):
                    yield line
                    line = ""
            if is_over:
                if line:
                    yield line
                return
            time.sleep(0.02)  # nothing tells that a file has grown
