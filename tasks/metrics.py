"""Sources of infrastructure metrics beside a load: what each is made with, read as, and what becomes of its silence.

A source is a function in the table of `catalog.extensions`, shipped or installed: it takes what an environment declares
for it and where certificates are, and gives a `Reader`, which is read while a test runs, or a `Historian`, which is
asked after it. What does not come is a gap: nothing is filled in.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

from catalog.declarations import Describes, MetricSource, PrometheusSource
from catalog.errors import PlimsollError
from catalog.extensions import SHIPPED, ExtensionError, Point, added, load
from expectations.metrics import INFRASTRUCTURE
from tasks.wire.tls import Names

HOST = "host"
"""The component under which hosts' own figures stand."""

_LARGEST = 2**53 - 1

Declared = PrometheusSource | MetricSource


class NoAnswerError(Exception):
    """Why there was no answer, in words that hold no secret."""


@runtime_checkable
class Reader(Protocol):
    """What is read at every instant while a load runs, in a thread of its own."""

    def read(self) -> Mapping[str, int | Fraction | None]:
        """The value of each metric now, in its unit (`expectations.metrics.INFRASTRUCTURE`); None where none is known.

        Raises NoAnswerError, or any other exception, where there is no answer: its first line is told with the run.
        """

    def close(self) -> None:
        """Be read no more."""


@dataclass(slots=True, kw_only=True)
class Account:
    """How often a source was asked and answered, and why it last did not."""

    asked: int = 0
    answered: int = 0
    failure: str = ""

    def failed(self, error: Exception) -> None:
        """Keeps the first line of what an error says."""
        told = str(error) or type(error).__name__
        self.failure = told.splitlines()[0][:200]


@dataclass(frozen=True, slots=True)
class Asked:
    """What was told of the time of a load: rows (instant, metric, value, unit)."""

    rows: list[tuple[int, str, int, str]] = field(default_factory=list)
    account: Account = field(default_factory=Account)


@runtime_checkable
class Historian(Protocol):
    """What is asked after a load, for the instants at which it would have been read."""

    def ask(self, start_us: int, end_us: int) -> Asked:
        """Rows of every instant from `start_us` until before `end_us`, microseconds since the epoch."""

    def close(self) -> None:
        """Ask no more."""


class Source(Protocol):
    """Something that is sampled beside a load, on a clock and in a thread of its own."""

    component: str
    sub_component: str
    host: str
    every_us: int

    def read(self) -> Iterable[tuple[str, int, str]]:
        """Metric, value and unit of what there is now; nothing where it does not answer."""

    def close(self) -> None:
        """Be read no more."""


class Scrape:
    """A declared source that is read while a load runs, as a `Source`."""

    def __init__(self, component: str, declared: Declared, reader: Reader) -> None:
        self.component, self.sub_component = _place(component, declared)
        self.host, self.every_us = declared.host_name, declared.every
        self.account = Account()
        self._wanted = {each.value for each in declared.metrics}
        self._reader = reader

    def read(self) -> list[tuple[str, int, str]]:
        """See `Source`."""
        self.account.asked += 1
        try:
            found = self._reader.read()
            readings = [reading_of(name, value) for name, value in found.items() if name in self._wanted]
        except Exception as error:  # noqa: BLE001 - somebody else's code, and whatever it says is no answer
            self.account.failed(error)
            return []
        self.account.answered += 1
        return [reading for reading in readings if reading is not None]

    def close(self) -> None:
        """See `Source`."""
        self._reader.close()


def reading_of(metric: str, value: int | Fraction | None) -> tuple[str, int, str] | None:
    """Rounded half to even, with its unit; None where nothing is known, or it is larger than can be recorded."""
    rounded = None if value is None else round(value)
    if rounded is None or abs(rounded) > _LARGEST:
        return None
    return metric, rounded, INFRASTRUCTURE[metric][0]


def open_source(declared: Declared, names: Names) -> Reader | Historian:
    """What reads a declared source, or is asked for it. Raises ExtensionError where that cannot be used as it is."""
    opened = load(Point.METRIC_SOURCES, declared.source)
    shipped = declared.source in SHIPPED[Point.METRIC_SOURCES]
    told = declared.source if shipped else str(added(Point.METRIC_SOURCES, declared.source))
    try:
        found = opened(declared, names)
    except PlimsollError:
        raise
    except Exception as error:
        if shipped:
            raise
        raise ExtensionError(f"{told} cannot be opened: {type(error).__name__}: {error}") from error
    if isinstance(found, Reader | Historian):
        return found
    raise ExtensionError(f"{told} gave what can neither be read nor asked: a {type(found).__name__}")


class Watch:
    """All that is declared for one component: sources that are read, and such as are asked once the load is over.

    Raises WorldError where one cannot be opened, as for want of a token or a certificate. A context manager.
    """

    def __init__(self, component: str, sources: Sequence[Declared], names: Names) -> None:
        self._component, self._sources = component, sources
        opened = [open_source(each, names) for each in sources]
        self.scrapes = {
            place: Scrape(component, sources[place], each)
            for place, each in enumerate(opened)
            if isinstance(each, Reader)
        }
        self._asked = {place: each for place, each in enumerate(opened) if isinstance(each, Historian)}
        self._accounts = {place: scrape.account for place, scrape in self.scrapes.items()}

    def ask(self, start_us: int, end_us: int) -> list[list[Any]]:
        """What is known of a load after it, as rows of samples; there is time given to collect the last of it."""
        rows: list[list[Any]] = []
        for place, historian in self._asked.items():
            declared = self._sources[place]
            time.sleep(max(0, end_us + declared.every - time.time_ns() // 1000) / 1_000_000)
            asked = _ask(historian, start_us, end_us)
            self._accounts[place] = asked.account
            stands = [*_place(self._component, declared), declared.host_name]
            rows += [[at_us, *stands, metric, value, unit] for at_us, metric, value, unit in asked.rows]
        return rows

    def as_json(self) -> dict[str, Any]:
        """What a run's document says of its sources; nothing where there are none.

        `sampling`: for each metric of the component itself, the parts that tell it and how far apart. `sources`: how
        each was asked and answered.
        """
        if not self._sources:
            return {}
        found: dict[str, Any] = {}
        for source in self._sources:
            for metric in source.metrics if source.describes is Describes.COMPONENT else ():
                known = found.setdefault(metric.value, {"every_us": source.every, "parts": []})
                known["parts"].append({"part": source.part, "host": source.host_name})
        accounts = [self._accounts.get(place, Account()) for place in range(len(self._sources))]
        told = [{"of": _of(each), **asdict(account)} for each, account in zip(self._sources, accounts, strict=True)]
        return {"sampling": found, "sources": told}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for each in self._all():
            each.close()

    def _all(self) -> Iterator[Scrape | Historian]:
        yield from self.scrapes.values()
        yield from self._asked.values()


def _ask(historian: Historian, start_us: int, end_us: int) -> Asked:
    try:
        return historian.ask(start_us, end_us)
    except Exception as error:  # noqa: BLE001 - as in `Scrape.read`
        account = Account(asked=1)
        account.failed(error)
        return Asked(account=account)


def _of(declared: Declared) -> str:
    """What a source is of, as a run's document names it."""
    if isinstance(declared, PrometheusSource):
        return declared.url or declared.server or ""
    return declared.source


def _place(component: str, declared: Declared) -> tuple[str, str]:
    """Component and sub-component of a source's samples."""
    return HOST if declared.describes is Describes.HOST else component, declared.part
