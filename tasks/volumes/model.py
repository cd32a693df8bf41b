"""Generates the volume model: forecasts and assumptions turned into messages per component, SRV and period."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from operator import itemgetter

from catalog.apportion import apportion
from catalog.declarations import (
    Component,
    ComponentScope,
    MessageKind,
    Mode,
    Programme,
    SrvGroup,
    minute_of,
)
from tasks.labels import labelled
from tasks.volumes.days import Calendar, Day
from tasks.volumes.spread import Weights, in_window, minute_weights, period_weights, whole
from tasks.volumes.streams import Part, Stream, declared_values, passing, streams

MINUTE_US = 60_000_000
NOT_SPLIT = "not split"
OFFERED = (MessageKind.REQUEST.value, MessageKind.ALERT.value)
"""The kinds of message that tests offer; the others are what a component answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """One row of the volumes table. `messages` a day that fall into the period.

    `devices`: what the traffic is counted per, meters or migrated installations; never the devices behind a meter.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeModel:
    """The volumes of a phase's busiest day.

    `offered`: requests and alerts a day at each component, apart by how they are spread over the day's minutes.
    """

    day: Day
    rows: list[Volume]
    offered: dict[str, dict[Weights, int]]


_Cell = tuple[str, str, str]
"""Where a message of the model starts: the period of the day, what it is, and how it is asked for."""


@dataclass(slots=True)
class _Sum:
    """What several streams come to at one place; `streams` has a bit set for each of them."""

    messages: int = 0
    devices: int = 0
    streams: int = 0


def model_volumes(programme: Programme, phase: str) -> list[Volume]:
    """The volume model of one phase, a row per period, component, path, SRV, message kind and mode, in that order."""
    return model_phase(programme, phase).rows


def model_phase(programme: Programme, phase: str) -> VolumeModel:
    """The volume model of a phase's busiest day: the one with the most messages offered, the earliest of those.

    Daily totals of each stream are exact products of declared decimals, rounded half to even once, and then
    apportioned over SRVs and modes, and these over periods, by largest remainder: totals are conserved through every
    table.
    """
    day = busiest_day(programme, phase)
    flowing = list(streams(programme, day, declared_values(programme)))
    sums: dict[tuple[str, ...], _Sum] = {}
    offered: dict[str, dict[Weights, int]] = defaultdict(lambda: defaultdict(int))
    for number, stream in enumerate(flowing):
        inside = Fraction(programme.assumption(stream.in_window).value)
        weights = minute_weights(programme, inside, stream.profile)
        counts = _messages_a_day(programme, stream, weights)
        total = sum(counts.values())
        order = [component for component in passing(programme, stream) if component.scope is not ComponentScope.OUTSIDE]
        for component in order:
            offered[component.id][weights] += total
            _add(sums, stream, component, counts, number=number, kinds=_kinds(programme, stream, component))
    return VolumeModel(
        day=day,
        rows=_rows(phase, sums, [stream.basis for stream in flowing]),
        offered={name: dict(each) for name, each in sorted(offered.items())},
    )


def _add(
    sums: dict[tuple[str, ...], _Sum],
    stream: Stream,
    component: Component,
    counts: dict[_Cell, int],
    *,
    number: int,
    kinds: Callable[[str], Sequence[str]],
) -> None:
    """Adds what a component handles of a stream, which is the `number`-th."""
    path, mark = stream.path.id, 1 << number
    for (period, srv, mode), count in counts.items():
        for kind in kinds(mode):
            place = period, component.id, path, srv, kind, mode
            found = sums.get(place)
            if found is None:
                found = sums[place] = _Sum()
            found.messages += count
            found.devices += stream.driver
            found.streams |= mark


def _rows(phase: str, sums: dict[tuple[str, ...], _Sum], basis: list[str]) -> list[Volume]:
    """The rows in order, those without messages left out. Many rest on the same streams: these are named once."""

    @cache
    def named(streams: int) -> str:
        return " + ".join(sorted({text for number, text in enumerate(basis) if streams >> number & 1}))

    return [
        Volume(
            phase=phase,
            period=place[0],
            component=place[1],
            path=place[2],
            srv=place[3],
            kind=place[4],
            mode=place[5],
            messages=found.messages,
            devices=found.devices,
            basis=named(found.streams),
        )
        for place, found in sorted(sums.items(), key=itemgetter(0))
        if found.messages
    ]


def busiest_day(programme: Programme, phase: str) -> Day:
    """The day of a phase on which most messages are offered, the earliest where several are alike."""
    values = declared_values(programme)
    return max(
        Calendar(programme, phase).kinds(),
        key=lambda day: (sum(stream.amount for stream in streams(programme, day, values)), -day.date.toordinal()),
    )


def window_us(programme: Programme) -> int:
    """The length of the peak window that tests are held to, in microseconds."""
    window = programme.volumes.peak_window
    return (minute_of(window.ends) - minute_of(window.begins)) * MINUTE_US


def periods_in_window(programme: Programme) -> frozenset[str]:
    """The periods that the peak window is made of."""
    window = programme.volumes.peak_window
    return frozenset(each.id for each in programme.volumes.periods if in_window(window, each))


def target_volumes(programme: Programme, volumes: list[Volume], component: str) -> dict[str, int]:
    """What a component must carry in the peak window: `path|srv|kind` to whole messages, requests and alerts only.

    Acknowledgements and responses are not offered: they are what the component answers. Scheduled and future dated
    requests are counted with those on demand: a test offers them all at the component's first interface.
    """
    window = periods_in_window(programme)
    target: dict[str, int] = defaultdict(int)
    for row in volumes:
        if row.component == component and row.period in window and row.kind in OFFERED:
            target[labelled(row.path, row.srv, row.kind)] += row.messages
    return dict(target)


def followed_labels(programme: Programme, target: Iterable[str]) -> dict[str, str]:
    """Label to the label that its messages follow, where requests of a traffic wait for one that they bring along.

    Only where a target has both. What is followed itself follows nothing.
    """
    srvs = {group.id: [weighted.srv for weighted in group.srvs] for group in programme.volumes.groups}
    has, found = set(target), dict[str, str]()
    for traffic in programme.volumes.traffic:
        for brought in (each for each in traffic.brings if each.first):
            first = labelled(brought.path, brought.message, MessageKind.REQUEST)
            own = (srv for group in traffic.groups for srv in srvs[group])
            labels = [labelled(traffic.path, srv, MessageKind.REQUEST) for srv in own]
            found |= {label: first for label in labels if {label, first} <= has and label != first}
    return {label: first for label, first in sorted(found.items()) if first not in found}


def traffic_names(programme: Programme) -> dict[tuple[str, str], set[str]]:
    """(path, SRV) to the names that its messages' traffic has, such as migration or BAU.

    The volume model does not split a path's SRV by traffic, so several traffics may share one.
    """
    names: dict[tuple[str, str], set[str]] = defaultdict(set)
    srvs = {group.id: [weighted.srv for weighted in group.srvs] for group in programme.volumes.groups}
    for traffic in programme.volumes.traffic:
        for srv in (srv for group in traffic.groups for srv in srvs[group]):
            names[traffic.path, srv].add(traffic.traffic)
        for brought in traffic.brings:
            names[brought.path, brought.message].add(traffic.traffic)
    if migration := programme.volumes.migration:
        for step in migration.steps:
            names[step.path, step.message].add(migration.traffic)
    return dict(names)


def traffic_labels(programme: Programme) -> dict[tuple[str, str], str]:
    """(path, SRV) to the label that its messages carry: where several traffics share one, all are named."""
    return {place: " + ".join(sorted(found)) for place, found in traffic_names(programme).items()}


def _messages_a_day(programme: Programme, stream: Stream, weights: Weights) -> dict[_Cell, int]:
    """Whole messages a day of one stream, by SRV, mode and period.

    Apportioned twice: the stream's total over its messages, so that each is within one of its exact daily number, and
    each of those over the periods.
    """
    messages = [(srv, mode, share) for part in stream.parts for srv, mode, share in _split(programme, part)]
    counts = apportion(round(stream.amount), whole([share for _, _, share in messages]))
    periods = period_weights(programme.volumes.periods, weights)
    return {
        (period.id, srv, mode): in_period
        for (srv, mode, _), count in zip(messages, counts, strict=True)
        for period, in_period in zip(programme.volumes.periods, apportion(count, periods), strict=True)
    }


def _split(programme: Programme, part: Part) -> Iterator[tuple[str, str, Fraction]]:
    """The messages of a part by SRV and mode, exact."""
    if part.message is not None:
        yield part.message, NOT_SPLIT, part.amount
        return
    group = next(group for group in programme.volumes.groups if group.id == part.group)
    weight = sum(weighted.weight for weighted in group.srvs)
    for weighted in group.srvs:
        for mode, share in _modes(programme, group, weighted.srv):
            yield weighted.srv, mode, part.amount * Fraction(weighted.weight, weight) * share


def _modes(programme: Programme, group: SrvGroup, srv: str) -> Iterator[tuple[str, Fraction]]:
    """The modes in which a message of the group is asked for, each with its share."""
    if not group.modes:
        yield NOT_SPLIT, Fraction(1)
        return
    row = programme.registered.get(srv)
    shares = {
        mode: Fraction(programme.assumption(name).value)
        for mode, name in group.modes.items()
        if row is not None and row.allows(mode)
    }
    yield from ((mode.value, share) for mode, share in shares.items() if share)
    if rest := 1 - sum(shares.values(), start=Fraction(0)):
        yield Mode.ON_DEMAND.value, rest


def _kinds(programme: Programme, stream: Stream, component: Component) -> Callable[[str], Sequence[str]]:
    """By mode, the kinds of message that pass a component for each message of the stream.

    What is scheduled starts at the step that keeps the schedules, so nobody before it asks, and nothing is
    acknowledged; it is answered all the way.
    """
    offers = stream.path.offers
    answered = [MessageKind.RESPONSE.value] if offers is MessageKind.REQUEST else []
    acknowledged = [MessageKind.ACKNOWLEDGEMENT.value] if component.id in stream.path.acknowledged_by else []
    asked = [offers.value, *answered, *acknowledged]
    if stream.path.scheduled_by is None:
        return lambda _: asked
    order = [each.id for each in passing(programme, stream)]
    reached = order.index(component.id) >= order.index(stream.path.scheduled_by)
    scheduled = [offers.value, *answered] if reached else answered
    return lambda mode: scheduled if mode == Mode.SCHEDULED.value else asked
