"""Names of extension points: what declarations name is shipped with Plimsoll, or installed beside it here.

Not among the other disagreements: whoever reads a recorded catalogue need not have installed what it names.
"""

from collections.abc import Iterator
from dataclasses import replace

from catalog.agreement.material import Disagreement, unknown
from catalog.declarations import Environment, Programme
from catalog.extensions import SHIPPED, Point, names, used
from catalog.places import Address

_Named = tuple[str, Address, Point, str]
"""The file, where in it, the point, and the name that stands there."""


def extension_disagreements(programme: Programme) -> Iterator[Disagreement]:
    """Every name of an extension point that nothing here answers to."""
    for file, address, point, name in _named(programme):
        if name not in SHIPPED[point]:
            hint = "; or install the distribution that offers it (`plimsoll extensions` lists those that are)"
            for found in unknown(file, address, name, names(point), point.what):
                yield replace(found, hint=f"{found.hint}{hint}")


def extensions_in(programme: Programme, environment: str) -> dict[str, dict[str, str]]:
    """What a programme uses in an environment that is installed, as evidence has it. ExtensionError where it is not."""
    wanted: dict[Point, list[str]] = {point: [] for point in Point}
    other = {position for position, each in enumerate(programme.environments) if each.id != environment}
    for file, address, point, name in _named(programme):
        if file != "environments.yaml" or address[1] not in other:
            wanted[point].append(name)
    return used(wanted)


def _named(programme: Programme) -> Iterator[_Named]:
    for position, interface in enumerate(programme.system.interfaces):
        yield "system.yaml", ("interfaces", position, "protocol"), Point.CODECS, interface.protocol
    for position, name in enumerate(programme.expectations):
        yield "requirements.yaml", ("expectations", position), Point.EXPECTATIONS, name
    for position, environment in enumerate(programme.environments):
        yield from _of_environment(position, environment)


def _of_environment(position: int, environment: Environment) -> Iterator[_Named]:
    address: Address = ("environments", position)
    yield "environments.yaml", (*address, "injector"), Point.INJECTORS, environment.injector
    for component, sources in environment.metrics.items():
        for place, source in enumerate(sources):
            below = ("metrics", component, place, "source")
            yield "environments.yaml", (*address, *below), Point.METRIC_SOURCES, source.source
