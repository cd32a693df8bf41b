"""Routes: which groups of messages take which path, for which meters, and the assumptions that their volume rests on.

Read from volumes.yaml alone. How many messages they are is the volume model's to say.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from catalog.declarations import AlertRate, Traffic, VolumesFile

MIGRATION = "migration"
"""How the calendar names the traffic of migrations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One path that messages of a generation of meters take."""

    generation: str
    path: str
    groups: frozenset[str]
    assumptions: frozenset[str]


def routes(volumes: VolumesFile) -> Iterator[Route]:
    """Every route, in the order declared; messages that stand in no group are passed over."""
    group_of = {weighted.srv: group.id for group in volumes.groups for weighted in group.srvs}
    for traffic in volumes.traffic:
        assumptions = frozenset(_of_traffic(volumes, traffic)) | _of_calendar(volumes, traffic.id, traffic.groups)
        common = {"generation": traffic.generation}
        yield Route(path=traffic.path, groups=frozenset(traffic.groups), assumptions=assumptions, **common)
        for brought in traffic.brings:
            groups = frozenset(filter(None, [group_of.get(brought.message)]))
            more = assumptions | {brought.per_request}
            yield Route(path=brought.path, groups=groups, assumptions=more, **common)
    if migration := volumes.migration:
        shared = {migration.cap, migration.retries, migration.in_window}
        shared |= {step.fails for step in migration.steps if step.fails}
        for step in migration.steps:
            yield Route(
                generation=migration.generation,
                path=step.path,
                groups=(groups := frozenset(filter(None, [group_of.get(step.message)]))),
                assumptions=frozenset({*shared, step.per_attempt}) | _of_calendar(volumes, MIGRATION, groups),
            )


def assumptions_used(volumes: VolumesFile) -> frozenset[str]:
    """Every assumption that the volume model rests on; demand after an outage is no part of its volumes."""
    return frozenset(name for route in routes(volumes) for name in route.assumptions)


def _of_traffic(volumes: VolumesFile, traffic: Traffic) -> Iterator[str]:
    yield from (*traffic.factors, traffic.in_window)
    for group in volumes.groups:
        if group.id in traffic.groups:
            yield from group.modes.values()
            yield from filter(None, [group.share])
    if traffic.alerts is not None:
        yield from filter(None, [volumes.devices_per_meter])
        yield from _of_alerts(traffic.alerts)


def _of_calendar(volumes: VolumesFile, traffic: str, groups: Collection[str]) -> frozenset[str]:
    """The factors of the effects that may fall on a traffic and some of its groups."""
    return frozenset(
        effect.factor
        for effect in volumes.calendar
        if (not effect.traffic or traffic in effect.traffic)
        and (not effect.groups or not set(groups).isdisjoint(effect.groups))
    )


def _of_alerts(alerts: AlertRate) -> Iterator[str]:
    yield alerts.per_device
    yield from filter(None, [alerts.nuisance_share, alerts.per_nuisance_device])
    if alerts.suppression and alerts.suppression.in_force:
        yield alerts.suppression.leaves
