"""Generates the volume model: forecasts and assumptions turned into messages per component, SRV and period."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Protocol, TypeVar

from catalog.apportion import apportion
from catalog.declarations import (
    CohortOfMeters,
    Component,
    ComponentScope,
    Driver,
    Forecast,
    MessageKind,
    MessagePath,
    Period,
    Programme,
    Traffic,
)

HOUR_US = 3_600_000_000


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=_Identified)


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """One row of the volumes table. `messages` a day that fall into the period.

    `devices`: what the traffic's driver counts, meters or migrated installations; never the devices behind a meter.
    """

    phase: str
    period: str
    component: str
    path: str
    srv: str
    kind: str
    mode: str
    messages: int
    devices: int
    basis: str


@dataclass(frozen=True, slots=True)
class _Cell:
    """Where a message of the model starts: what it is, and in which period of the day."""

    period: str
    srv: str


def model_volumes(programme: Programme, phase: str) -> list[Volume]:
    """The volume model of one phase, a row per period, component, path, SRV and message kind, in that order.

    Daily totals of each traffic and cohort are exact products of declared decimals, rounded half to even once, and
    then apportioned over SRVs and periods by largest remainder, so that totals are conserved through every table.
    """
    messages: dict[tuple[str, ...], int] = defaultdict(int)
    devices: dict[tuple[str, ...], int] = defaultdict(int)
    basis: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for traffic, cohort, forecast in _streams(programme, phase):
        path = _by_id(programme.system.message_paths, traffic.path)
        counts = _messages_a_day(programme, traffic, forecast)
        for component, kind in _handled(programme, path, cohort):
            for cell, count in counts.items():
                row = (cell.period, component, path.id, cell.srv, kind)
                messages[row] += count
                devices[row] += _driver(traffic, forecast)
                basis[row].append(f"{cohort.id} × {' × '.join(traffic.factors)}" if traffic.factors else cohort.id)
    return [
        Volume(
            phase=phase,
            period=row[0],
            component=row[1],
            path=row[2],
            srv=row[3],
            kind=row[4],
            mode="not split",
            messages=messages[row],
            devices=devices[row],
            basis=" + ".join(sorted(set(basis[row]))),
        )
        for row in sorted(messages)
        if messages[row]
    ]


def window_us(programme: Programme) -> int:
    """The length of the peak window that tests are held to, in microseconds."""
    period = _by_id(programme.volumes.periods, programme.volumes.peak_window)
    return _hours(period) * HOUR_US


def target_volumes(programme: Programme, volumes: list[Volume], component: str) -> dict[str, int]:
    """What a component must carry in the peak window: `path|srv|kind` to whole messages, requests and alerts only.

    Acknowledgements and responses are not offered: they are what the component answers.
    """
    offered = {MessageKind.REQUEST, MessageKind.ALERT}
    return {
        f"{row.path}|{row.srv}|{row.kind}": row.messages
        for row in volumes
        if row.component == component and row.period == programme.volumes.peak_window and row.kind in offered
    }


def parted(label: str) -> tuple[str, str, str]:
    """Path, SRV and kind out of a label of `target_volumes`; only an SRV may have a bar in it."""
    path, _, rest = label.partition("|")
    srv, _, kind = rest.rpartition("|")
    return path, srv, kind


def traffic_labels(programme: Programme) -> dict[tuple[str, str], str]:
    """(path, SRV) to the label that its messages carry, such as migration or BAU.

    The volume model does not split a path's SRV by traffic, so where several traffics share one, all are named.
    """
    srvs = {group.id: [weighted.srv for weighted in group.srvs] for group in programme.volumes.groups}
    labels: dict[tuple[str, str], set[str]] = defaultdict(set)
    for traffic in programme.volumes.traffic:
        for srv in (srv for group in traffic.groups for srv in srvs[group]):
            labels[traffic.path, srv].add(traffic.traffic)
    return {place: " + ".join(sorted(found)) for place, found in labels.items()}


def _streams(programme: Programme, phase: str) -> Iterator[tuple[Traffic, CohortOfMeters, Forecast]]:
    forecasts = {row.cohort: row for row in programme.forecasts if row.phase == phase}
    for traffic in programme.volumes.traffic:
        for cohort in programme.volumes.cohorts:
            if cohort.generation == traffic.generation and _driver(traffic, forecasts[cohort.id]):
                yield traffic, cohort, forecasts[cohort.id]


def _driver(traffic: Traffic, forecast: Forecast) -> int:
    return forecast.meters if traffic.driver is Driver.METERS else forecast.migrations_per_day


def _messages_a_day(programme: Programme, traffic: Traffic, forecast: Forecast) -> dict[_Cell, int]:
    """Whole messages a day of one traffic and cohort, by SRV and period."""
    factor = prod((Fraction(programme.assumption(name).value) for name in traffic.factors), start=Fraction(1))
    weights = {
        _Cell(period, srv): share * portion
        for srv, share in _srv_shares(programme, traffic)
        for period, portion in _period_shares(programme, traffic)
    }
    total = round(_driver(traffic, forecast) * factor * sum(weights.values()))
    return dict(zip(weights, apportion(total, list(weights.values())), strict=True))


def _srv_shares(programme: Programme, traffic: Traffic) -> Iterator[tuple[str, Fraction]]:
    for group_id in traffic.groups:
        group = _by_id(programme.volumes.groups, group_id)
        share = Fraction(programme.assumption(group.share).value) if group.share else Fraction(1)
        whole = sum(weighted.weight for weighted in group.srvs)
        for weighted in group.srvs:
            yield weighted.srv, share * Fraction(weighted.weight, whole)


def _period_shares(programme: Programme, traffic: Traffic) -> Iterator[tuple[str, Fraction]]:
    """The peak window's declared share, and the rest of the day spread over the other periods by their hours."""
    in_window = Fraction(programme.assumption(traffic.in_window).value)
    peak = programme.volumes.peak_window
    other_hours = sum(_hours(period) for period in programme.volumes.periods if period.id != peak)
    for period in programme.volumes.periods:
        share = in_window if period.id == peak else (1 - in_window) * Fraction(_hours(period), other_hours)
        yield period.id, share


def _handled(programme: Programme, path: MessagePath, cohort: CohortOfMeters) -> Iterator[tuple[str, str]]:
    """Each component of the system on the path, and the kinds of message that pass it."""
    for component in resolve_steps(programme, path, cohort):
        if component.scope is ComponentScope.OUTSIDE:
            continue
        yield component.id, path.offers.value
        if path.offers is MessageKind.REQUEST:
            yield component.id, MessageKind.RESPONSE.value
        if component.id in path.acknowledged_by:
            yield component.id, MessageKind.ACKNOWLEDGEMENT.value


def resolve_steps(programme: Programme, path: MessagePath, cohort: CohortOfMeters) -> list[Component]:
    """The components of a message path for one cohort, each `role:` step filled by the component that serves it."""
    by_role = {programme.component(name).role: name for name in cohort.served_by}
    return [programme.component(by_role[step[5:]] if step.startswith("role:") else step) for step in path.steps]


def _hours(period: Period) -> int:
    return period.to_hour - period.from_hour


def _by_id(items: tuple[T, ...], wanted: str) -> T:
    return next(item for item in items if item.id == wanted)
