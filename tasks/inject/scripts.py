"""The injector for teams that have scripts: Locust runs them, closed loop, in a process of its own.

A closed loop sends the next message when the last one was answered, so nobody knows when a message was due, and a
system that stands still is asked less. What that leaves of a verdict is for `tasks.measure` to say: rows have no
`intended_us`.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from catalog.errors import WorldError
from tasks.inject.files import NEVER, RESULTS
from tasks.inject.injector import (
    SEGMENTS,
    Column,
    Injection,
    InterruptedLoadError,
    Load,
    Progress,
    Target,
    ToldError,
    require,
)
from tasks.inject.segments import LABELS_SUFFIX, SUFFIX
from tasks.scratch import scratch
from tasks.wire.process import ChildProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A team's script and what is to be run of it.

    `files`: text by name, all that the script may read; `script` is one of them. `users` are started at `spawn_rate` a
    second (a decimal number), and end after `duration_us`. `requests`: `path|srv|kind` by the name that Locust gives
    to a request, or by its method and that name (`POST /orders`), which is looked at first.
    """

    script: str
    files: Mapping[str, str]
    users: int
    spawn_rate: str
    duration_us: int
    requests: Mapping[str, str]

    @property
    def labels(self) -> tuple[str, ...]:
        """Every `path|srv|kind`, in order."""
        return tuple(sorted(set(self.requests.values())))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptSpec:
    """What Locust's process is to do; file names are relative to `folder`. `codes`: a label's number by request."""

    folder: str
    script: str
    segments: str
    summary: str
    host: str
    users: int
    spawn_rate: str
    duration_us: int
    timeout_us: int
    codes: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """As a JSON document."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedInjection(Injection):
    """What came of a script: of each message also its `label`, as a position in `labels` (`path|srv|kind`).

    `intended_us` is -1 throughout, and `ready_us` is `sent_us`: Locust tells when a request began, be it that it still
    had to wait for a connection. `status` and `outcome` are the script's own word; what took longer than the time-out
    is one. Messages are numbered from 0 in the order in which they were sent.
    """

    label: Column
    labels: tuple[str, ...]

    @property
    def start_us(self) -> int:
        """When it began, by its own word; without that (a killed process) when it sent its first message, 0 if none."""
        sent = self.columns["sent_us"]
        return int(self.summary.get("start_us", sent[0] if len(sent) else 0))


class LocustInjector:
    """Runs a script; an `Injector` whose load is what the script does. `on_start` and `folder` as for `OwnInjector`."""

    def __init__(
        self, script: Script, *, on_start: Callable[[int], object] | None = None, folder: Path | None = None
    ) -> None:
        self._script = script
        self._on_start = on_start
        self._folder = folder

    def run(self, load: Load, target: Target, *, progress: Progress | None = None) -> ScriptedInjection:
        """Run the script against the target's one URL, and wait for its end. `load` must be empty: see `Injector`.

        Raises WorldError where Locust is not installed, where the script cannot be loaded, and when it sends nothing
        that is mapped; InterruptedLoadError when its process ends in the midst of it.
        """
        require("locust", extra="locust")
        if len(load):
            raise ValueError("a closed loop offers what its script does: expected an empty load")
        hosts = set(target.urls.values())
        if len(hosts) != 1:
            raise ValueError(f"a script has one host, found {len(hosts)}")
        with scratch() as temporary:
            folder = Path(temporary) if self._folder is None else self._folder
            spec = self._prepared(folder, hosts.pop(), target.timeout_us)
            with ChildProcess("tasks.inject.locust_process", spec.as_json(), name="Locust") as process:
                if self._on_start is not None:
                    self._on_start(process.pid)
                try:
                    summary = _follow(process, progress)
                except WorldError as error:
                    self._tell_end(error, folder)
                    raise
            return recovered_script(folder, self._script.labels, summary)

    def _prepared(self, folder: Path, host: str, timeout_us: int) -> ScriptSpec:
        """The script's files, and nothing else, in a folder of their own."""
        place = folder / "script"
        for name, text in self._script.files.items():
            file = place / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode())
        (folder / SEGMENTS).mkdir()
        labels = self._script.labels
        return ScriptSpec(
            folder=str(place),
            script=self._script.script,
            segments=str(folder / SEGMENTS),
            summary=str(folder / "summary.json"),
            host=host,
            users=self._script.users,
            spawn_rate=self._script.spawn_rate,
            duration_us=self._script.duration_us,
            timeout_us=timeout_us,
            codes={name: labels.index(label) for name, label in self._script.requests.items()},
        )

    def _tell_end(self, error: WorldError, folder: Path) -> None:
        held = recovered_script(folder, self._script.labels, {})
        if isinstance(error, ToldError) and not len(held.label):
            return
        told = f"{error}\n{len(held.label)} requests had been recorded"
        raise InterruptedLoadError(told, injection=held, lost=np.empty(0, dtype=np.int64)) from error


def _follow(process: ChildProcess, progress: Progress | None) -> dict[str, Any]:
    while True:
        document = process.read()
        if "error" in document:
            raise ToldError(document["error"], remedy=document.get("remedy", ""))
        if "summary" in document:
            summary: dict[str, Any] = document["summary"]
            return summary
        if progress is not None:
            progress(document["done"], document["offered"], document["total"])


def recovered_script(folder: Path, labels: tuple[str, ...], summary: Mapping[str, Any]) -> ScriptedInjection:
    """What the segments in `folder` hold, in the order in which it was sent."""
    files = sorted((folder / SEGMENTS).glob(f"*{SUFFIX}"))
    rows = _joined([np.fromfile(file, dtype=np.int64) for file in files]).reshape(-1, len(RESULTS))
    label = _joined([np.fromfile(file.with_suffix(LABELS_SUFFIX), dtype=np.int64) for file in files])
    order = np.argsort(rows[:, RESULTS.index("sent_us")], kind="stable")
    columns = {name: rows[order, place] for place, name in enumerate(RESULTS)}
    columns["sequence"] = np.arange(len(order), dtype=np.int64)
    columns["intended_us"] = np.full(len(order), NEVER, dtype=np.int64)
    return ScriptedInjection(columns=columns, summary=summary, label=label[order], labels=labels)


def _joined(parts: list[Column]) -> Column:
    return np.concatenate([np.empty(0, dtype=np.int64), *parts])
