"""Extension points: one table of names for each, what is shipped and what installed distributions add to it.

A distribution adds a name by an entry point in a group that is called as the point is. Only what is used is imported,
so nothing here costs a command that needs none of it; a name that is shipped is found without looking at what is
installed. What a name may be used for, and how it is made ready, is for the room whose point it is to say.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from catalog.canonical import digest, document_digest
from catalog.errors import WorldError
from catalog.hints import suggestion


class Point(StrEnum):
    """What may be extended, by the name of its group of entry points."""

    INJECTORS = "plimsoll.injectors"
    RESULT_FORMATS = "plimsoll.result_formats"
    METRIC_SOURCES = "plimsoll.metric_sources"
    CODECS = "plimsoll.codecs"
    EXPECTATIONS = "plimsoll.expectations"

    @property
    def what(self) -> str:
        """One of these, in words."""
        words = self.value.removeprefix("plimsoll.").removesuffix("s").replace("_", " ")
        return "message codec" if self is Point.CODECS else words


SHIPPED: dict[Point, dict[str, str]] = {
    Point.INJECTORS: {
        "own": "tasks.inject.choice:own",
        "libcurl": "tasks.inject.choice:libcurl",
        "locust": "tasks.inject.choice:locust",
    },
    Point.RESULT_FORMATS: {
        "jmeter-csv": "tasks.intake.jmeter_csv:JMeterCsv",
        "jmeter-xml": "tasks.intake.jmeter_xml:JMeterXml",
        "k6-csv": "tasks.intake.k6_csv:K6Csv",
        "k6-json": "tasks.intake.k6_json:K6Json",
        "k6-summary": "tasks.intake.k6_summary:K6Summary",
        "gatling-text": "tasks.intake.gatling_text:GatlingText",
        "gatling-binary": "tasks.intake.gatling_binary:GatlingBinary",
        "locust": "tasks.intake.locust:Locust",
        "vegeta-gob": "tasks.intake.vegeta:VegetaGob",
        "vegeta-json": "tasks.intake.vegeta:VegetaJson",
        "vegeta-csv": "tasks.intake.vegeta:VegetaCsv",
        "vegeta-report": "tasks.intake.reports:VegetaReport",
        "jmeter-statistics": "tasks.intake.reports:JMeterStatistics",
        "gatling-statistics": "tasks.intake.reports:GatlingStatistics",
        "wrk": "tasks.intake.wrk:Wrk",
        "h2load": "tasks.intake.h2load:H2load",
        "hey": "tasks.intake.hey:Hey",
        "ab-requests": "tasks.intake.ab:AbRequests",
        "ab-percentiles": "tasks.intake.ab:AbPercentiles",
        "autocannon": "tasks.intake.json_summaries:Autocannon",
        "siege": "tasks.intake.json_summaries:Siege",
        "artillery": "tasks.intake.json_summaries:Artillery",
        "hdr-log": "tasks.intake.hdr:HdrLog",
        "hdr-percentiles": "tasks.intake.hdr:HdrPercentiles",
        "prometheus-range": "tasks.intake.prometheus:PrometheusRange",
        "prometheus-text": "tasks.intake.prometheus:PrometheusText",
        "sadf": "tasks.intake.sysstat:SadfDatabase",
        "sadf-json": "tasks.intake.sysstat:SadfJson",
        "sar": "tasks.intake.sysstat:Sar",
        "vmstat": "tasks.intake.vmstat:Vmstat",
        "nmon": "tasks.intake.nmon:Nmon",
        "cloudwatch-json": "tasks.intake.cloudwatch:CloudWatchJson",
        "cloudwatch-csv": "tasks.intake.cloudwatch:CloudWatchCsv",
        "mapped": "tasks.intake.mapped:Mapped",
    },
    Point.METRIC_SOURCES: {"prometheus": "tasks.prometheus:open_source"},
    Point.CODECS: {"duis": "tasks.codecs.duis:Duis", "plain": "tasks.codecs.plain:Plain"},
    Point.EXPECTATIONS: {},
}
"""What comes with Plimsoll, by name, and where it is: `module:object`. Its version is that of the rules.

There is no expectation among them: the needs of every row (`expectations.verdicts.Need`) are not for anybody to choose.
"""


class ExtensionError(WorldError):
    """What an installed distribution offers cannot be used as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """A name that an installed distribution adds. `target`: `module:object`."""

    point: Point
    name: str
    target: str
    distribution: str
    version: str

    def __str__(self) -> str:
        return f"the {self.point.what} '{self.name}' of {self.distribution} {self.version}"

    @property
    def module(self) -> str:
        """The module that its object is in."""
        return self.target.partition(":")[0]

    def as_json(self) -> dict[str, str]:
        """How evidence names it: the distribution, its version, the module, and the digest of its code.

        Raises ExtensionError where the code cannot be found, or has changed since this process loaded it.
        """
        found = self.digest()
        if _LOADED.get(self, found) != found:
            raise ExtensionError(
                f"{self} has changed on the disk since it was loaded", remedy="Start the command, or the server, again."
            )
        named = {"distribution": self.distribution, "version": self.version, "module": self.module}
        return {**named, "digest": found}

    def digest(self) -> str:
        """SHA-256 over the names and bytes of its code: all files of the outermost package that its module is in."""
        return document_digest([[name, digest(file.read_bytes())] for name, file in sorted(_files(self))])


_LOADED: dict[Extension, str] = {}
"""The digest of what this process has loaded, as it was then."""


def names(point: Point) -> list[str]:
    """Every name that there is, those that are shipped first; what would hide one of them is left out."""
    return [*SHIPPED[point], *sorted(_installed(tuple(sys.path))[point].keys() - SHIPPED[point].keys())]


def added(point: Point, name: str) -> Extension | None:
    """The extension of that name; None where it is shipped, or there is none.

    Raises ExtensionError where several distributions offer it: nobody could tell which was meant.
    """
    if name in SHIPPED[point]:
        return None
    found = _installed(tuple(sys.path))[point].get(name, ())
    if len(found) > 1:
        offered = ", ".join(f"{each.distribution} {each.version}" for each in found)
        message = f"several distributions offer the {point.what} '{name}': {offered}"
        raise ExtensionError(message, remedy="Uninstall all but one of them.")
    return found[0] if found else None


def load(point: Point, name: str) -> Any:
    """The object of that name. Raises ExtensionError where there is none, or it cannot be imported, for any reason."""
    if target := SHIPPED[point].get(name):
        module, _, attribute = target.partition(":")
        return getattr(import_module(module), attribute)
    extension = added(point, name)
    if extension is None:
        raise ExtensionError(f"there is no {point.what} '{name}'", remedy=_remedy(point, name))
    return _loaded(extension)


def used(wanted: Mapping[Point, list[str]]) -> dict[str, dict[str, str]]:
    """How evidence names those of the wanted names that are extensions, by `point:name`; nothing for what is shipped.

    Raises ExtensionError where one is missing: what was not there cannot be named.
    """
    found: dict[str, dict[str, str]] = {}
    for point, each in wanted.items():
        for name in sorted(set(each) - SHIPPED[point].keys()):
            extension = added(point, name)
            if extension is None:
                raise ExtensionError(f"there is no {point.what} '{name}'", remedy=_remedy(point, name))
            found[f"{point}:{name}"] = extension.as_json()
    return found


def other(name: str, then: Mapping[str, str]) -> str:
    """What is installed here in place of what evidence names by `point:name`; empty where it is the same."""
    point, _, called = name.partition(":")
    try:
        extension = added(Point(point), called)
        now = extension.as_json() if extension else {}
    except (ExtensionError, ValueError) as error:
        return str(error)
    if now == then:
        return ""
    return f"{now['distribution']} {now['version']} ({now['digest'][:16]})" if now else "it is not installed"


def installed() -> Iterator[tuple[Extension, str]]:
    """Every extension, and why it cannot be used; empty where it can."""
    for extension in _offered():
        yield extension, _fault(extension)


def _offered() -> Iterator[Extension]:
    for offered in _installed(tuple(sys.path)).values():
        for name in sorted(offered):
            yield from offered[name]


def fingerprint() -> str:
    """What tells the extensions that are installed now from any others; empty where there are none."""
    found = [[str(extension), extension.target, _digest(extension)] for extension in _offered()]
    return document_digest(found) if found else ""


def _digest(extension: Extension) -> str:
    try:
        return extension.digest()
    except ExtensionError as error:
        return str(error)


def _fault(extension: Extension) -> str:
    if extension.name in SHIPPED[extension.point]:
        return "the name is that of one that is shipped, which is used"
    try:
        added(extension.point, extension.name)
        _loaded(extension)
    except ExtensionError as error:
        return str(error)
    return ""


@cache
def _installed(path: tuple[str, ...]) -> dict[Point, dict[str, list[Extension]]]:
    """Every entry point of our groups on `path`, the value of `sys.path`."""
    found: dict[Point, dict[str, list[Extension]]] = {point: {} for point in Point}
    known: set[str] = set()
    for distribution in metadata.distributions(path=list(path)):
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"] or "").lower()
        if name in known:  # what comes first on the path is what is imported
            continue
        known.add(name)
        for entry in distribution.entry_points:
            if entry.group in {*Point}:
                extension = Extension(
                    point=Point(entry.group),
                    name=entry.name,
                    target=entry.value.partition("[")[0].strip(),
                    distribution=distribution.metadata["Name"],
                    version=distribution.version,
                )
                found[extension.point].setdefault(extension.name, []).append(extension)
    return found


def _loaded(extension: Extension) -> Any:
    module, _, attributes = extension.target.partition(":")
    try:
        before = extension.digest()
        found: Any = import_module(module)
        for attribute in filter(None, attributes.split(".")):
            found = getattr(found, attribute)
    except ExtensionError:
        raise
    except Exception as error:  # whatever somebody else's module does when it is imported
        told = f"{type(error).__name__}: {error}".splitlines()[0]
        remedy = f"Install a version of {extension.distribution} that works here, or uninstall it."
        raise ExtensionError(f"{extension} cannot be loaded from {extension.target}: {told}", remedy=remedy) from error
    _LOADED.setdefault(extension, before)
    return found


def _files(extension: Extension) -> Iterator[tuple[str, Path]]:
    """Its code: each file by its name below the outermost package that is more than a name, or the one module."""
    parts = extension.module.split(".")
    for depth in range(1, len(parts) + 1):
        try:
            spec = find_spec(".".join(parts[:depth]))
        except (ImportError, ValueError) as error:
            raise ExtensionError(f"{extension}: its code cannot be found: {error}") from error
        if spec is None:
            break
        if spec.origin is None:  # a namespace: others have their part of it
            continue
        file = Path(spec.origin)
        if not spec.submodule_search_locations:
            yield file.name, file
            return
        yield from _below(file.parent)
        return
    remedy = f"Install {extension.distribution} again."
    raise ExtensionError(f"{extension} cannot be loaded: there is no module {extension.module}", remedy=remedy)


def _below(folder: Path) -> Iterator[tuple[str, Path]]:
    for file in folder.rglob("*"):
        name = file.relative_to(folder)
        if file.is_file() and "__pycache__" not in name.parts:
            yield name.as_posix(), file


def _remedy(point: Point, name: str) -> str:
    return f"{suggestion(name, names(point))} Install the distribution that offers it.".strip()
