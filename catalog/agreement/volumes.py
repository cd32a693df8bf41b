"""The volume model: names, shares that stay within a whole, periods that make a day, a forecast for everything."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise

from catalog.agreement.material import FORECASTS, Declarations, Disagreement, unknown, unknown_any
from catalog.hints import listed
from catalog.places import Address

_WHOLE = Decimal(1)
_DAY = 24


def volume_disagreements(declared: Declarations) -> Iterator[Disagreement]:
    """Everything that is wrong with assumptions.yaml, volumes.yaml and the two CSV files."""
    yield from _assumptions(declared)
    yield from _names(declared)
    yield from _messages(declared)
    yield from _shares(declared)
    yield from _periods(declared)
    yield from _forecasts(declared)


def _at(address: Address, code: str, message: str, hint: str = "") -> Disagreement:
    return Disagreement(file="volumes.yaml", address=address, code=code, message=message, hint=hint)


def _assumptions(declared: Declarations) -> Iterator[Disagreement]:
    """Shares above a whole: those that say so in their unit, and those that are used as one."""
    volumes = declared.volumes
    used = {group.share for group in volumes.groups} | {traffic.in_window for traffic in volumes.traffic}
    for position, assumption in enumerate(declared.assumptions.assumptions):
        if assumption.value > _WHOLE and (assumption.unit == "share" or assumption.id in used):
            yield Disagreement(
                file="assumptions.yaml",
                address=("assumptions", position, "value"),
                code="share-above-one",
                message=f"'{assumption.id}' is a share: expected at most 1, found {assumption.value}",
                hint="write 25 % as 0.25",
            )


def _names(declared: Declarations) -> Iterator[Disagreement]:
    volumes, file = declared.volumes, "volumes.yaml"
    components = {component.id for component in declared.system.components}
    paths = {path.id for path in declared.system.message_paths}
    assumptions = {assumption.id for assumption in declared.assumptions.assumptions}
    generations = {cohort.generation for cohort in volumes.cohorts}
    groups = {group.id for group in volumes.groups}
    yield from unknown(file, ("peak_window",), volumes.peak_window, {period.id for period in volumes.periods}, "period")
    for position, cohort in enumerate(volumes.cohorts):
        address: Address = ("cohorts", position, "served_by")
        yield from unknown_any(file, address, cohort.served_by, components, "component")
    for position, group in enumerate(volumes.groups):
        if group.share is not None:
            yield from unknown(file, ("groups", position, "share"), group.share, assumptions, "assumption")
    for position, traffic in enumerate(volumes.traffic):
        address = ("traffic", position)
        yield from unknown(file, (*address, "path"), traffic.path, paths, "message path")
        yield from unknown(file, (*address, "generation"), traffic.generation, generations, "generation")
        yield from unknown_any(file, (*address, "factors"), traffic.factors, assumptions, "assumption")
        yield from unknown_any(file, (*address, "groups"), traffic.groups, groups, "group")
        yield from unknown(file, (*address, "in_window"), traffic.in_window, assumptions, "assumption")


def _messages(declared: Declarations) -> Iterator[Disagreement]:
    """Each message that a group weighs is known, and stands in one group only."""
    register = {row.srv for row in declared.srv_register}
    own = {message.id for message in declared.volumes.own_messages}
    for position, message in enumerate(declared.volumes.own_messages):
        if message.id in register:
            explained = f"'{message.id}' stands in the register already"
            yield _at(("own_messages", position, "id"), "message-in-register", explained)
    first: dict[str, str] = {}
    for position, group in enumerate(declared.volumes.groups):
        for index, weighted in enumerate(group.srvs):
            address = ("groups", position, "srvs", index, "srv")
            yield from unknown("volumes.yaml", address, weighted.srv, register | own, "message")
            if weighted.srv in first:
                explained = f"'{weighted.srv}' stands in the group '{first[weighted.srv]}' already"
                yield _at(address, "srv-in-two-groups", explained, "a message belongs to one group")
            first.setdefault(weighted.srv, group.id)


def _shares(declared: Declarations) -> Iterator[Disagreement]:
    """The groups of a traffic share out at most the whole of it, and the window leaves the rest somewhere to go."""
    values = {assumption.id: assumption.value for assumption in declared.assumptions.assumptions}
    shares = {group.id: values.get(group.share, _WHOLE) if group.share else _WHOLE for group in declared.volumes.groups}
    for position, traffic in enumerate(declared.volumes.traffic):
        parts = [shares.get(group, Decimal(0)) for group in traffic.groups]
        if max(parts) <= _WHOLE < (total := sum(parts)):
            message = f"the shares of the groups sum to {total}, which is more than the whole traffic"
            hint = "a group without a share takes all of it"
            yield _at(("traffic", position, "groups"), "shares-above-one", message, hint)
        inside = values.get(traffic.in_window, _WHOLE)
        if inside < _WHOLE and len(declared.volumes.periods) == 1:
            message = f"{inside} of the traffic falls into the peak window, and there is no other period for the rest"
            yield _at(("traffic", position, "in_window"), "window-rest", message, "declare the rest of the day")


def _periods(declared: Declarations) -> Iterator[Disagreement]:
    """The periods cover the hours of the day, each hour once."""
    periods = sorted(enumerate(declared.volumes.periods), key=lambda entry: entry[1].from_hour)
    empty = [(position, period) for position, period in periods if period.from_hour >= period.to_hour]
    for position, period in empty:
        message = f"expected an hour after {period.from_hour}, found {period.to_hour}"
        hint = "a period ends on the day that it begins; split one that passes midnight"
        yield _at(("periods", position, "to_hour"), "period-empty", message, hint)
    if not empty:
        yield from _coverage([(position, period.from_hour, period.to_hour) for position, period in periods])


def _coverage(periods: list[tuple[int, int, int]]) -> Iterator[Disagreement]:
    """Gaps and overlaps between midnight and midnight; periods as position, first hour and last, in order."""
    for (_, _, until), (position, begins, _) in pairwise([(-1, 0, 0), *periods, (-1, _DAY, _DAY)]):
        address = ("periods",) if position < 0 else ("periods", position, "from_hour")
        if begins > until:
            yield _at(address, "period-gap", f"no period covers the hours from {until} to {begins}")
        elif begins < until:
            yield _at(address, "period-overlap", f"the hours from {begins} to {until} are covered twice")


def _forecasts(declared: Declarations) -> Iterator[Disagreement]:
    """One row for each phase and cohort."""
    phases = [phase.id for phase in declared.programme.phases]
    cohorts = [cohort.id for cohort in declared.volumes.cohorts]
    seen: set[tuple[str, str]] = set()
    for position, row in enumerate(declared.forecasts):
        yield from unknown(FORECASTS, (position, "phase"), row.phase, phases, "phase")
        yield from unknown(FORECASTS, (position, "cohort"), row.cohort, cohorts, "cohort")
        if (row.phase, row.cohort) in seen:
            message = f"a second row for the phase '{row.phase}' and the cohort '{row.cohort}'"
            yield Disagreement(file=FORECASTS, address=(position,), code="duplicate-forecast", message=message)
        seen.add((row.phase, row.cohort))
    for phase in phases:
        if missing := [cohort for cohort in cohorts if (phase, cohort) not in seen]:
            message = f"the phase '{phase}' has no forecast for: {listed(missing)}"
            hint = "a cohort that is not there yet has 0 meters"
            yield Disagreement(file=FORECASTS, address=(), code="forecast-missing", message=message, hint=hint)
