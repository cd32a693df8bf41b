"""Which injector a declaration means: made ready for one test, its entry tried, its package asked for."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from catalog.declarations import Environment, InjectorKind, Programme, TestType
from tasks.inject.injector import Injector, LibcurlInjector, OwnInjector, require
from tasks.inject.scripts import LocustInjector, Script
from tasks.wire.reach import listens, reach

_PACKAGES = {InjectorKind.LIBCURL: "pycurl", InjectorKind.LOCUST: "locust"}


def open_injector(
    environment: Environment, kind: TestType, *, on_start: Callable[[int], object], folder: Path | None = None
) -> Injector:
    """What offers arrivals when they are due. `folder`: where results are kept meanwhile."""
    if environment.injector_for(kind) is not InjectorKind.LIBCURL:
        return OwnInjector(on_start=on_start, folder=folder)
    proxy = environment.proxy.model_dump(exclude_none=True) if environment.proxy else None
    return LibcurlInjector(http=environment.http.value, proxy=proxy, on_start=on_start, folder=folder)


def scripted_injector(
    programme: Programme,
    environment: Environment,
    duration_us: int,
    *,
    on_start: Callable[[int], object],
    folder: Path | None = None,
) -> LocustInjector:
    """What runs the environment's script for so long. ValueError where it has none. `folder`: as above."""
    locust = environment.locust
    if locust is None:
        raise ValueError(f"the environment {environment.id!r} declares no script")
    script = Script(
        script=locust.script,
        files={name: programme.scripts[name] for name in (locust.script, *locust.files)},
        users=locust.users,
        spawn_rate=str(locust.spawn_rate),
        duration_us=duration_us,
        requests=locust.requests,
    )
    return LocustInjector(script, on_start=on_start, folder=folder)


def require_injector(environment: Environment, kind: TestType) -> None:
    """Raises WorldError, with the line that installs it, where the injector's package is missing."""
    injector = environment.injector_for(kind)
    if injector in _PACKAGES:
        require(_PACKAGES[injector], extra=injector.value)


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
