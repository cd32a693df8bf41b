"""Progress on stderr: a line for each stage and test, and on a terminal a bar with the time left."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flows.show import console, escape

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

_OFTEN = 0.1  # seconds between two redrawings of a bar


class Progress:
    """Tells a person how far a run is. Everything goes to stderr, and nothing is said when `quiet`."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._began = time.monotonic()
        self._bar: Bar | None = None

    def say(self, text: str) -> None:
        """One line, with the seconds since the start."""
        if not self._quiet:
            out = self._bar.console if self._bar is not None else console(stderr=True)
            out.print(f"[dim]{time.monotonic() - self._began:6.1f} s[/]  {escape(text)}")

    @contextmanager
    def test(self, name: str, *, place: str, seconds: int) -> Iterator["TestProgress"]:
        """While a test is executed. `place`: such as '3 of 12'; `seconds`: how long it will take at the most."""
        self.say(f"{place}  {name}  executing, at most {seconds} s")
        if self._quiet or not sys.stderr.isatty():
            yield TestProgress(None)
            return
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        step, counts = TextColumn("          {task.description}"), MofNCompleteColumn()
        columns = (step, BarColumn(), counts, TextColumn("messages"), TimeRemainingColumn())
        with Bar(*columns, console=console(stderr=True), transient=True) as self._bar:
            yield TestProgress(self._bar)
        self._bar = None

    @contextmanager
    def reading(self, what: str) -> Iterator[Callable[[int, int], None]]:
        """While bytes are read: what is told (bytes done, bytes in all) shows them, their rate and the time left on a
        terminal, and nothing elsewhere."""
        if self._quiet or not sys.stderr.isatty():
            yield lambda _done, _total: None
            return
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
        from rich.progress import Progress as Bar

        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Bar(TextColumn("{task.description}"), *columns, console=console(stderr=True), transient=True) as self._bar:
            yield _Reading(self._bar, what)
        self._bar = None


class _Reading:
    """Shows bytes on a bar, ten times a second: whoever reads must not wait for the terminal."""

    def __init__(self, bar: "Bar", what: str) -> None:
        self._bar, self._shown = bar, time.monotonic()
        self._task = bar.add_task(escape(what), total=None)

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total or now - self._shown >= _OFTEN:
            self._shown = now
            self._bar.update(self._task, completed=done, total=total)


class TestProgress:
    """The bar of one test; a step of a stress test begins it anew."""

    __test__ = False  # not a test class, whatever its name makes pytest think

    def __init__(self, bar: "Bar | None") -> None:
        self._bar = bar
        self._step = -1

    def __call__(self, step: int, done: int, _offered: int, total: int) -> None:
        """See `tasks.execute.StepProgress`."""
        if self._bar is None:
            return
        if step != self._step:
            self._step = step
            self._task = self._bar.add_task(f"step {step + 1}", total=total)
        self._bar.update(self._task, completed=done)


_current = Progress(quiet=True)


def current() -> Progress:
    """The progress of the run that goes on in this process; a deployment's says nothing, its logs are Prefect's."""
    return _current


def use(progress: Progress) -> None:
    """Makes `progress` the one that this process reports to."""
    global _current  # one run per process, and Prefect lets no other object through to its tasks
    _current = progress
