"""What a host does with its shard of a load: draws it, makes ready, waits for the word, offers, and tells every row.

Nothing is kept here: rows go to the coordinator segment by segment (see `tasks.inject.shards`), which records.
"""

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from catalog.errors import PlimsollError
from tasks.course import Turn
from tasks.execute import arrivals_in, load_of
from tasks.inject.choice import open_injector
from tasks.inject.files import Start
from tasks.inject.injector import SEGMENTS, InterruptedLoadError, Load, Target
from tasks.inject.shards import AbandonedError, Work, digest_of, words
from tasks.scratch import scratch


class Line(Protocol):
    """What connects a shard with its coordinator."""

    def tell(self, word: dict[str, Any]) -> None:
        """Tells the coordinator one thing."""

    def start(self) -> Start:
        """Waits for the word to begin. Raises AbandonedError when nobody waits for this shard any more."""

    def is_wanted(self) -> bool:
        """Whether anybody still waits for this shard."""


def offer(work: Work, line: Line) -> None:
    """Offers a shard. Whatever comes of it is told; nothing is raised that a person could do something about."""
    with scratch() as temporary:
        folder = Path(temporary)
        telling = _Telling(folder, line)
        try:
            load, target = drawn(work)

            def gate() -> Start:
                line.tell({"ready": digest_of(load), "host": socket.gethostname()})
                return line.start()

            injector = open_injector(work.environment, work.kind, on_start=lambda _: None, folder=folder, gate=gate)
            injection = injector.run(load, target, progress=telling)
            telling.rest()
            line.tell({"ended": dict(injection.summary)})
        except AbandonedError:
            telling.rest()
            line.tell({"ended": {}})
        except InterruptedLoadError as error:
            telling.rest()
            line.tell({"failed": str(error).partition("\n")[0]})
        except PlimsollError as error:
            line.tell({"failed": f"{error} {error.help()}".strip()})


def drawn(work: Work) -> tuple[Load, Target]:
    """A shard's messages, and where they go: requests of several shards come from originators of their own."""
    number, of = work.shard
    load = load_of(arrivals_in(work.key, Turn.from_json(work.turn), work.shard), work.first)
    target = replace(work.target, originator=f"{work.target.originator}-{number + 1}") if of > 1 else work.target
    return load, target


class _Telling:
    """Tells what was written since the last time, whenever the injector says how far it is."""

    def __init__(self, folder: Path, line: Line) -> None:
        self._segments = folder / SEGMENTS
        self._line = line
        self._told: set[str] = set()

    def __call__(self, done: int, offered: int, _total: int) -> None:
        if not self._line.is_wanted():
            raise AbandonedError
        self.rest()
        self._line.tell({"progress": [done, offered]})

    def rest(self) -> None:
        """Everything that stands there by now."""
        if self._segments.is_dir():
            for name, rows in words(self._segments, self._told):
                self._line.tell({"segment": name, "rows": rows})
