"""Streams: the messages a day of each traffic and cohort, exact, before anything is rounded.

Whatever adds and multiplies may stand for an assumption: exact fractions for the model, arrays of drawn values for its
sensitivity. That is why there is one statement of the model's arithmetic, and it is here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

from catalog.declarations import (
    AlertRate,
    CalendarEffect,
    CohortOfMeters,
    Component,
    MessagePath,
    Migration,
    Programme,
    Traffic,
)
from catalog.routes import MIGRATION
from tasks.volumes.days import Day

Number = Any
"""A Fraction, or an array of doubles."""

Values = Callable[[str], Number]
"""The value of an assumption."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Messages a day of one group, or of one message alone where `message` names it."""

    group: str
    message: str | None
    amount: Number


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Messages a day of one traffic, or of migration, and one cohort on one path.

    `driver`: meters, or installations migrated a day. `in_window`: the assumption, `profile`: the shape of the day.
    """

    source: str
    traffic: str
    cohort: CohortOfMeters
    path: MessagePath
    driver: int
    parts: tuple[Part, ...]
    in_window: str
    profile: str | None
    basis: str

    @property
    def amount(self) -> Number:
        """Messages a day of all parts."""
        return sum(part.amount for part in self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """What one installation to be migrated comes to: attempts, and how far they get.

    `reaching`: the share of attempts that reach each step; `failing`: the share that fails at some step; `attempts`:
    how many are made per installation; `left`: the share of installations that no attempt migrates.
    """

    reaching: tuple[Number, ...]
    failing: Number
    attempts: Number
    left: Number


def declared_values(programme: Programme) -> Values:
    """Every assumption at the value declared."""
    values = {each.id: Fraction(each.value) for each in programme.assumptions}
    return values.__getitem__


def streams(programme: Programme, day: Day, values: Values) -> Iterator[Stream]:
    """Every stream of that day, in the order declared; a cohort without meters, or installations, has none."""
    effects = [each for each in programme.volumes.calendar if each.id in day.effects]
    for traffic in programme.volumes.traffic:
        for cohort in programme.volumes.cohorts:
            if cohort.generation == traffic.generation and day.meters[cohort.id]:
                yield from _of_meters(programme, traffic, cohort, day.meters[cohort.id], effects, values)
    if programme.volumes.migration:
        for cohort in programme.volumes.cohorts:
            if installations := day.migrations.get(cohort.id, 0):
                yield from _of_migration(programme, cohort, installations, effects, values)


def attempts(migration: Migration, values: Values) -> Attempts:
    """Attempts per installation: the first, and another for each that fails, up to the retries allowed.

    With F the share that fails, 1 + F + F^2 + ... + F^retries, since each attempt is made only where all before failed.
    """
    reaching: list[Number] = []
    on_the_way: Number = 1
    for step in migration.steps:
        reaching.append(on_the_way)
        if step.fails is not None:
            on_the_way = on_the_way * (1 - values(step.fails))
    failing = 1 - on_the_way
    retries = int(values(migration.retries))
    return Attempts(
        reaching=tuple(reaching),
        failing=failing,
        attempts=sum((failing**again for again in range(1, retries + 1)), start=1),
        left=failing ** (retries + 1),
    )


def passing(programme: Programme, stream: Stream) -> list[Component]:
    """The components that the stream's messages pass, in order."""
    return resolve_steps(programme, stream.path, stream.cohort)


def resolve_steps(programme: Programme, path: MessagePath, cohort: CohortOfMeters) -> list[Component]:
    """The components of a message path for one cohort, each `role:` step filled by the component that serves it."""
    by_role = {programme.component(name).role: name for name in cohort.served_by}
    return [programme.component(by_role[step[5:]] if step.startswith("role:") else step) for step in path.steps]


def group_of(programme: Programme) -> dict[str, str]:
    """The group that each message stands in."""
    return {weighted.srv: group.id for group in programme.volumes.groups for weighted in group.srvs}


def _of_meters(
    programme: Programme,
    traffic: Traffic,
    cohort: CohortOfMeters,
    meters: int,
    effects: list[CalendarEffect],
    values: Values,
) -> Iterator[Stream]:
    factors = list(traffic.factors)
    each = prod((values(name) for name in factors), start=1)
    if traffic.alerts is not None:
        devices = programme.volumes.devices_per_meter or ""
        each = each * values(devices) * _alerts(traffic.alerts, values)
        factors += [devices, traffic.alerts.per_device]
    shares = {group.id: group.share for group in programme.volumes.groups}
    parts = tuple(
        Part(
            group=name,
            message=None,
            amount=meters
            * each
            * (values(share) if (share := shares[name]) else 1)
            * _on_such_a_day(effects, traffic.id, name, values),
        )
        for name in traffic.groups
    )
    basis = " × ".join([cohort.id, *factors])
    paths = {path.id: path for path in programme.system.message_paths}
    common: dict[str, Any] = {
        "source": traffic.id,
        "traffic": traffic.traffic,
        "cohort": cohort,
        "driver": meters,
        "in_window": traffic.in_window,
        "profile": traffic.profile,
    }
    stream = Stream(path=paths[traffic.path], parts=parts, basis=basis, **common)
    yield stream
    groups = group_of(programme)
    for brought in traffic.brings:
        part = Part(
            group=groups[brought.message],
            message=brought.message,
            amount=stream.amount * values(brought.per_request),
        )
        yield Stream(path=paths[brought.path], parts=(part,), basis=f"{basis} × {brought.per_request}", **common)


def _alerts(alerts: AlertRate, values: Values) -> Number:
    """Alerts a day of the average device, what suppression leaves of them."""
    each = values(alerts.per_device)
    if alerts.nuisance_share and alerts.per_nuisance_device:
        nuisance = values(alerts.nuisance_share)
        each = (1 - nuisance) * each + nuisance * values(alerts.per_nuisance_device)
    suppression = alerts.suppression
    return each * values(suppression.leaves) if suppression and suppression.in_force else each


def _of_migration(
    programme: Programme, cohort: CohortOfMeters, installations: int, effects: list[CalendarEffect], values: Values
) -> Iterator[Stream]:
    """One stream for each path that the steps of a migration take."""
    migration = programme.volumes.migration
    assert migration is not None  # noqa: S101  # asked only where one is declared
    made, groups = attempts(migration, values), group_of(programme)
    paths = {path.id: path for path in programme.system.message_paths}
    for name in dict.fromkeys(step.path for step in migration.steps):
        steps = [(step, share) for step, share in zip(migration.steps, made.reaching, strict=True) if step.path == name]
        yield Stream(
            source=MIGRATION,
            traffic=migration.traffic,
            cohort=cohort,
            path=paths[name],
            driver=installations,
            parts=tuple(
                Part(
                    group=groups[step.message],
                    message=step.message,
                    amount=installations
                    * made.attempts
                    * share
                    * values(step.per_attempt)
                    * _on_such_a_day(effects, MIGRATION, groups[step.message], values),
                )
                for step, share in steps
            ),
            in_window=migration.in_window,
            profile=migration.profile,
            basis=" × ".join([cohort.id, "attempts", *dict.fromkeys(step.per_attempt for step, _ in steps)]),
        )


def _on_such_a_day(effects: list[CalendarEffect], traffic: str, group: str, values: Values) -> Number:
    """The calendar's factor on that traffic and group."""
    return prod(
        (
            values(effect.factor)
            for effect in effects
            if (not effect.traffic or traffic in effect.traffic) and (not effect.groups or group in effect.groups)
        ),
        start=1,
    )
