"""Which injector a declaration means: made ready for one test, its entry tried, its package asked for.

Each is a function in the table of `catalog.extensions`, those that are shipped and those that are installed: it takes
an `Opening`, and gives an `Injector`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from catalog.declarations import Environment, InjectorKind, Programme, TestType
from catalog.errors import PlimsollError
from catalog.extensions import SHIPPED, ExtensionError, Point, added, load
from tasks.inject.files import NEVER, NOBODY, RESULTS, Outcome
from tasks.inject.injector import (
    Gate,
    Injection,
    Injector,
    LibcurlInjector,
    Load,
    OwnInjector,
    Progress,
    Target,
    require,
)
from tasks.inject.scripts import LocustInjector, Script
from tasks.wire.reach import listens, reach

_PACKAGES = {InjectorKind.LIBCURL.value: "pycurl", InjectorKind.LOCUST.value: "locust"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What an injector is made ready with, for one step of a test.

    `on_start` is told the id of each process that offers messages, which is then sampled beside the load. `folder`:
    where results may be kept meanwhile, so that what came outlives this process. `script`: what a closed loop runs.
    `gate`: asked, once everything is ready, when to start (`is_gated`); at once where there is none.
    """

    environment: Environment
    on_start: Callable[[int], object]
    folder: Path | None = None
    script: Script | None = None
    gate: Gate | None = None

    @property
    def options(self) -> Mapping[str, str | int | bool]:
        """What is declared for an installed injector, in its own words."""
        return self.environment.injector_options


def own(opening: Opening) -> OwnInjector:
    """The injector of this house."""
    return OwnInjector(on_start=opening.on_start, folder=opening.folder, gate=opening.gate)


def libcurl(opening: Opening) -> LibcurlInjector:
    """The same with libcurl for an engine."""
    declared = opening.environment
    proxy = declared.proxy.model_dump(exclude_none=True) if declared.proxy else None
    return LibcurlInjector(
        http=declared.http.value, proxy=proxy, on_start=opening.on_start, folder=opening.folder, gate=opening.gate
    )


def locust(opening: Opening) -> LocustInjector:
    """What runs a script, closed loop. ValueError where there is none."""
    if opening.script is None:
        raise ValueError(f"the environment {opening.environment.id!r} declares no script")
    return LocustInjector(opening.script, on_start=opening.on_start, folder=opening.folder)


class Guarded:
    """An installed injector: whatever it fails with is told as its own failure, and its rows are looked at."""

    def __init__(self, injector: Injector, name: str) -> None:
        self._injector = injector
        self._name = name

    def run(self, load: Load, target: Target, *, progress: Progress | None = None) -> Injection:
        """See `Injector`. Raises ExtensionError for what it did not say itself, and for rows of another load."""
        try:
            injection = self._injector.run(load, target, progress=progress)
        except PlimsollError:
            raise
        except Exception as error:
            told = f"{type(error).__name__}: {error}".splitlines()[0]
            raise ExtensionError(f"{self._name} failed: {told}") from error
        if told := misfit(load, injection):
            raise ExtensionError(f"{self._name} {told}", remedy="docs/extending.md says what an injection holds.")
        return injection


def misfit(load: Load, injection: Injection) -> str:
    """Why an injection is none of a load; empty where every message has its row, in order, and times make sense."""
    columns = injection.columns
    if set(columns) != set(RESULTS) or any(column.dtype != np.int64 for column in columns.values()):
        return f"gave other columns than {', '.join(RESULTS)}, each of int64"
    if any(len(column) != len(load) for column in columns.values()) or np.any(columns["sequence"] != load.sequence):
        return f"did not give one row for each of {len(load)} messages, in their order"
    known = np.isin(columns["outcome"], list(Outcome))
    sent = columns["sent_us"] != NEVER
    if not known.all() or np.any(sent & (columns["ready_us"] > columns["sent_us"])):
        return "gave an outcome that there is none of, or a message that was sent before it was taken up"
    if np.any(columns["done_us"] < np.where(sent, columns["sent_us"], columns["intended_us"])):
        return "gave a message that was done before it was sent"
    due = columns["intended_us"] - load.offset_us
    if len(load) and np.any(due[load.after == NOBODY] != due[0]):
        return "gave messages other due times than the load has"
    return ""


def open_injector(
    environment: Environment,
    kind: TestType,
    *,
    on_start: Callable[[int], object],
    folder: Path | None = None,
    gate: Gate | None = None,
) -> Injector:
    """What offers arrivals when they are due. `folder`: where results are kept meanwhile; `gate` says when to start.

    Raises ExtensionError where an installed one cannot be used as it is.
    """
    name = environment.injector_for(kind)
    return _opened(name, Opening(environment=environment, on_start=on_start, folder=folder, gate=gate))


def is_gated(environment: Environment, kind: TestType) -> bool:
    """Whether the injector of such tests waits for the word to start; nobody knows it of those that are installed."""
    return environment.injector_for(kind) in SHIPPED[Point.INJECTORS]


def _opened(name: str, opening: Opening) -> Injector:
    found = load(Point.INJECTORS, name)
    if name in SHIPPED[Point.INJECTORS]:
        injector: Injector = found(opening)
        return injector
    told = str(added(Point.INJECTORS, name))
    try:
        return Guarded(found(opening), told)
    except PlimsollError:
        raise
    except Exception as error:
        raise ExtensionError(f"{told} cannot be made ready: {type(error).__name__}: {error}") from error


def scripted_injector(
    programme: Programme,
    environment: Environment,
    duration_us: int,
    *,
    on_start: Callable[[int], object],
    folder: Path | None = None,
) -> LocustInjector:
    """What runs the environment's script for so long. ValueError where it has none. `folder`: as above."""
    declared = environment.locust
    if declared is None:
        raise ValueError(f"the environment {environment.id!r} declares no script")
    script = Script(
        script=declared.script,
        files={name: programme.scripts[name] for name in (declared.script, *declared.files)},
        users=declared.users,
        spawn_rate=str(declared.spawn_rate),
        duration_us=duration_us,
        requests=declared.requests,
    )
    return locust(Opening(environment=environment, on_start=on_start, folder=folder, script=script))


def require_injector(environment: Environment, kind: TestType) -> None:
    """Raises WorldError, with the line that installs it, where the injector's package is missing."""
    injector = environment.injector_for(kind)
    if injector in _PACKAGES:
        require(_PACKAGES[injector], extra=injector)
    load(Point.INJECTORS, injector)


def reach_entry(environment: Environment, entry: str) -> None:
    """Raises WorldError where nothing listens at the entry, as far as this can be told without the injector itself.

    Behind a proxy only that is tried, and where PKCS#12 is declared, TLS is left to libcurl.
    """
    if environment.proxy is not None:
        parts = urlsplit(environment.proxy.url)
        listens(environment.proxy.url, parts.hostname or "", parts.port or 0)
    elif environment.tls_names.get("pkcs12"):
        parts = urlsplit(entry)
        listens(entry, parts.hostname or "", parts.port or 443)
    else:
        reach(entry, environment.tls_names)
