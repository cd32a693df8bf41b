"""SIGKILL for any process of a run, at moments that are drawn anew each time."""

import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.faults.lab import ALL, Lab
from tests.faults.zygote import Forked
from tests.flows.phases import Ended

ROLES = {
    "flows.prefect_api": "Prefect's API",
    "tasks.judge": "judge",
    "tasks.inject": "injector",
    "tasks.emulate": "emulator",
}
COORDINATOR = "coordinator"
_SERVER_SHARE = 0.04
"""How often the Prefect server is hit rather than a process of the run; what is left of the run then fails slowly."""
ANCHORS = {
    "starting": 8.0,
    "declarations": 0.6,
    "plan ": 0.4,
    "1 of": 2.0,
    "2 of": 4.0,
    "3 of": 2.0,
    "4 of": 2.0,
    "5 of": 4.0,
    "6 of": 3.0,
    "measured": 1.0,
    "observed": 1.0,
    "composed": 3.0,
    "reported": 1.0,
}
"""What a run says as it begins each stage, in order, and about how many seconds the stage takes."""


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

    def ended(self) -> Ended:
        """Waits for its end."""
        status = self.process.wait(timeout=300)
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


def role(process: psutil.Process, first: int) -> str:
    """What a process of a run is; empty for one that cannot be told or has ended."""
    if process.pid == first:
        return COORDINATOR
    try:
        words = process.cmdline()
    except psutil.Error:
        return ""
    return next((name for module, name in ROLES.items() if any(word.startswith(module) for word in words)), "other")


def killed_run(
    lab: Lab,
    words: tuple[str, ...] = ALL,
    *,
    blows: int = 3,
    only: str = "",
    start: "Callable[[tuple[str, ...]], Forked] | None" = None,
    server: psutil.Process | None = None,
) -> Counter[str]:
    """One run in which up to `blows` processes are killed, each at a moment of its own; who was, by role and stage."""
    watched = Watched(start(words) if start else lab.bench.start(*words))
    everybody: dict[int, psutil.Process] = {}
    hit: Counter[str] = Counter()
    places = sorted(lab.chance.choices(range(len(ANCHORS)), k=blows))
    anchors = list(ANCHORS)
    for number, place in enumerate(places, 1):
        anchor = anchors[place]
        wait = lab.chance.uniform(0, ANCHORS[anchor])
        draw = lab.chance.random()
        if not watched.says(anchor):
            continue
        time.sleep(wait)  # the moment is what is tried
        tree = watched.tree()
        everybody |= {each.pid: each for each in tree}
        named = sorted({role(each, watched.process.pid): each for each in tree}.items())
        named = [(name, each) for name, each in named if name and (not only or name == only)]
        if server is not None:
            named = [(name, each) for name, each in named if name != "Prefect's API"]  # it says where the server is
            if lab.chance.random() < _SERVER_SHARE and server.is_running():
                named = [("Prefect server", server)]
        if not named:
            continue
        children = [each for each in named if each[0] != COORDINATOR]
        if number < blows and children:  # the run ends with its first process, and is to be hit before
            named = children
        name, victim = named[int(draw * len(named))]
        try:
            victim.kill()
        except psutil.NoSuchProcess:
            continue
        hit[f"{name} / {anchor.strip()}"] += 1
        if name == COORDINATOR:
            break
    try:
        ended = watched.ended()
    except subprocess.TimeoutExpired:
        lab.fail(f"a run had not ended 300 s after {dict(hit)}")
        watched.process.kill()
        ended = watched.ended()
    lab.hold(ended)
    everybody |= {each.pid: each for each in watched.tree()}
    lab.gone(list(everybody.values()))
    lab.audit()
    return hit
