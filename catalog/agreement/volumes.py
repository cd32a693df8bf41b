"""The volume model: names, shares that stay within a whole, ranges that hold their value, messages in one group.

The hours of the day are held by `catalog.agreement.days`, forecasts and plans by `catalog.agreement.forecasts`.
"""

from collections.abc import Iterator
from decimal import Decimal
from math import prod

from catalog.agreement.material import Declarations, Disagreement, unknown, unknown_any
from catalog.declarations import AlertRate, MessageKind, Mode, Traffic
from catalog.places import Address
from catalog.routes import MIGRATION

_WHOLE = Decimal(1)
_FILE = "volumes.yaml"
_MOST_MESSAGES_A_DAY = 10**11  # twelve times what all of mankind's text messages come to: a slip, not a forecast


def volume_disagreements(declared: Declarations) -> Iterator[Disagreement]:
    """Everything that is wrong with assumptions.yaml, and with volumes.yaml but for the hours of the day."""
    yield from _assumptions(declared)
    yield from _cohorts(declared)
    yield from _groups(declared)
    yield from _traffic(declared)
    yield from _migration(declared)
    yield from _other_names(declared)
    yield from _messages(declared)
    yield from _shares(declared)
    yield from _absurd(declared)


def _at(address: Address, code: str, message: str, hint: str = "") -> Disagreement:
    return Disagreement(file=_FILE, address=address, code=code, message=message, hint=hint)


def _assumption_ids(declared: Declarations) -> set[str]:
    return {assumption.id for assumption in declared.assumptions.assumptions}


# --- the register ------------------------------------------------------------------------------------------------


def _assumptions(declared: Declarations) -> Iterator[Disagreement]:
    """Shares above a whole, ranges that do not hold their value, and counts that are not whole."""
    shares, counts = set(_used_as_shares(declared)), set(_used_as_counts(declared))
    for position, assumption in enumerate(declared.assumptions.assumptions):
        given = [("value", assumption.value), ("low", assumption.low), ("high", assumption.high)]
        for name, number in given:
            address: Address = ("assumptions", position, name)
            if number is not None and number > _WHOLE and (assumption.unit == "share" or assumption.id in shares):
                message = f"'{assumption.id}' is a share: expected at most 1, found {number}"
                yield _of_assumptions(address, "share-above-one", message, "write 25 % as 0.25")
        low, high = assumption.low, assumption.high
        address = ("assumptions", position)
        if (low is None) != (high is None):
            missing = "low" if low is None else "high"
            message = f"'{assumption.id}' has one end of a range: '{missing}' is missing"
            yield _of_assumptions(address, "range-open", message, "give both ends, or neither")
        elif low is not None and high is not None and not low <= assumption.value <= high:
            message = f"expected a value from {low} to {high}, the range given; found {assumption.value}"
            yield _of_assumptions((*address, "value"), "outside-range", message, "the value is the likeliest within it")
        if assumption.id in counts and (assumption.value % 1 or assumption.value > 100 or low is not None):
            message = f"'{assumption.id}' is a number of attempts: expected a whole number up to 100 without a range"
            yield _of_assumptions((*address, "value"), "not-whole", message)


def _of_assumptions(address: Address, code: str, message: str, hint: str = "") -> Disagreement:
    return Disagreement(file="assumptions.yaml", address=address, code=code, message=message, hint=hint)


def _used_as_shares(declared: Declarations) -> Iterator[str | None]:
    volumes = declared.volumes
    for group in volumes.groups:
        yield group.share
        yield from group.modes.values()
    for traffic in volumes.traffic:
        yield traffic.in_window
        if traffic.alerts:
            yield traffic.alerts.nuisance_share
            yield traffic.alerts.suppression.leaves if traffic.alerts.suppression else None
    if volumes.migration:
        yield volumes.migration.in_window
        yield from (step.fails for step in volumes.migration.steps)
    yield from (each.kept for each in volumes.catch_up)


def _used_as_counts(declared: Declarations) -> Iterator[str]:
    if declared.volumes.migration:
        yield declared.volumes.migration.retries


# --- names ---------------------------------------------------------------------------------------------------------


def _cohorts(declared: Declarations) -> Iterator[Disagreement]:
    components = {component.id for component in declared.system.components}
    for position, cohort in enumerate(declared.volumes.cohorts):
        yield from unknown_any(_FILE, ("cohorts", position, "served_by"), cohort.served_by, components, "component")


def _groups(declared: Declarations) -> Iterator[Disagreement]:
    """Shares and modes of the groups: known, together at most a whole, and possible for some message of the group."""
    known = _assumption_ids(declared)
    values = {each.id: each.value for each in declared.assumptions.assumptions}
    register = {row.srv: row for row in declared.srv_register}
    for position, group in enumerate(declared.volumes.groups):
        address: Address = ("groups", position)
        if group.share is not None:
            yield from unknown(_FILE, (*address, "share"), group.share, known, "assumption")
        for mode, name in group.modes.items():
            place = (*address, "modes", mode.value)
            yield from unknown(_FILE, place, name, known, "assumption")
            if mode is Mode.ON_DEMAND:
                yield _at(place, "mode-of-the-rest", "what is on demand is the rest of the other modes", "leave it out")
            elif not any(register[each.srv].allows(mode) for each in group.srvs if each.srv in register):
                message = f"no message of the group '{group.id}' can be {mode}, by {declared.volumes.srv_register}"
                yield _at(place, "mode-impossible", message, "see its columns dcc_scheduled and future_dated_pattern")
        parts = [values.get(name, Decimal(0)) for name in group.modes.values()]
        if max(parts, default=_WHOLE) <= _WHOLE < (total := sum(parts)):
            message = f"the shares of the modes sum to {total}, which is more than all messages"
            yield _at((*address, "modes"), "shares-above-one", message, "the rest is on demand")


def _traffic(declared: Declarations) -> Iterator[Disagreement]:
    volumes = declared.volumes
    for position, each in enumerate(volumes.traffic):
        if each.id == MIGRATION:
            message = f"'{MIGRATION}' is how the calendar names the traffic of migrations"
            yield _at(("traffic", position, "id"), "reserved-id", message, "give this traffic another id")
    known = _assumption_ids(declared)
    paths = {path.id: path for path in declared.system.message_paths}
    generations = {cohort.generation for cohort in volumes.cohorts}
    groups = {group.id: group for group in volumes.groups}
    profiles = {profile.id for profile in volumes.profiles}
    for position, traffic in enumerate(volumes.traffic):
        address: Address = ("traffic", position)
        yield from unknown(_FILE, (*address, "path"), traffic.path, paths, "message path")
        yield from unknown(_FILE, (*address, "generation"), traffic.generation, generations, "generation")
        yield from unknown_any(_FILE, (*address, "factors"), traffic.factors, known, "assumption")
        yield from unknown_any(_FILE, (*address, "groups"), traffic.groups, groups, "group")
        yield from unknown(_FILE, (*address, "in_window"), traffic.in_window, known, "assumption")
        if traffic.profile is not None:
            yield from unknown(_FILE, (*address, "profile"), traffic.profile, profiles, "profile")
        for index, brought in enumerate(traffic.brings):
            place = (*address, "brings", index)
            yield from unknown(_FILE, (*place, "path"), brought.path, paths, "message path")
            yield from unknown(_FILE, (*place, "per_request"), brought.per_request, known, "assumption")
            offers = {paths[name].offers for name in (traffic.path, brought.path) if name in paths}
            if brought.first and offers != {MessageKind.REQUEST}:
                message = "only a request is answered, and so goes first, and only a request can wait for it"
                yield _at((*place, "first"), "first-of-alerts", message, "leave it out")
        if traffic.alerts is not None:
            yield from _alerts(declared, address, traffic.alerts, offers=paths.get(traffic.path))
        path = paths.get(traffic.path)
        scheduled = [name for name in traffic.groups if name in groups and Mode.SCHEDULED in groups[name].modes]
        if path is not None and scheduled and path.scheduled_by is None:
            message = f"messages of '{scheduled[0]}' are scheduled, and no step of the path '{path.id}' keeps schedules"
            hint = f"name one under `scheduled_by` of '{path.id}' in system.yaml"
            yield _at((*address, "path"), "schedule-nowhere", message, hint)


def _alerts(declared: Declarations, address: Address, alerts: AlertRate, *, offers: object) -> Iterator[Disagreement]:
    known, place = _assumption_ids(declared), (*address, "alerts")
    yield from unknown(_FILE, (*place, "per_device"), alerts.per_device, known, "assumption")
    for name in ("nuisance_share", "per_nuisance_device"):
        if (value := getattr(alerts, name)) is not None:
            yield from unknown(_FILE, (*place, name), value, known, "assumption")
    if (alerts.nuisance_share is None) != (alerts.per_nuisance_device is None):
        message = "nuisance devices need their share and their number of alerts: one of the two is missing"
        yield _at(place, "nuisance-half", message, "give nuisance_share and per_nuisance_device, or neither")
    if alerts.suppression is not None:
        leaves = alerts.suppression.leaves
        yield from unknown(_FILE, (*place, "suppression", "leaves"), leaves, known, "assumption")
    if declared.volumes.devices_per_meter is None:
        message = "alerts are counted per device, and volumes.yaml has no devices_per_meter"
        yield _at(place, "devices-unknown", message, "name the assumption under `devices_per_meter`")
    if getattr(offers, "offers", MessageKind.ALERT) is not MessageKind.ALERT:
        yield _at((*address, "path"), "path-offers", "alerts take a path that offers alerts; this one offers requests")


def _migration(declared: Declarations) -> Iterator[Disagreement]:
    migration = declared.volumes.migration
    if migration is None:
        return
    known = _assumption_ids(declared)
    generations = {cohort.generation for cohort in declared.volumes.cohorts}
    paths = {path.id for path in declared.system.message_paths}
    yield from unknown(_FILE, ("migration", "generation"), migration.generation, generations, "generation")
    for name in ("cap", "retries", "in_window"):
        yield from unknown(_FILE, ("migration", name), getattr(migration, name), known, "assumption")
    if migration.profile is not None:
        profiles = {profile.id for profile in declared.volumes.profiles}
        yield from unknown(_FILE, ("migration", "profile"), migration.profile, profiles, "profile")
    for position, step in enumerate(migration.steps):
        address: Address = ("migration", "steps", position)
        yield from unknown(_FILE, (*address, "path"), step.path, paths, "message path")
        yield from unknown(_FILE, (*address, "per_attempt"), step.per_attempt, known, "assumption")
        if step.fails is not None:
            yield from unknown(_FILE, (*address, "fails"), step.fails, known, "assumption")


def _other_names(declared: Declarations) -> Iterator[Disagreement]:
    volumes, known = declared.volumes, _assumption_ids(declared)
    if volumes.devices_per_meter is not None:
        yield from unknown(_FILE, ("devices_per_meter",), volumes.devices_per_meter, known, "assumption")
    for position, each in enumerate(volumes.catch_up):
        yield from unknown(_FILE, ("catch_up", position, "kept"), each.kept, known, "assumption")
    traffics = {traffic.id for traffic in volumes.traffic} | ({MIGRATION} if volumes.migration else set())
    groups = {group.id for group in volumes.groups}
    for position, effect in enumerate(volumes.calendar):
        address: Address = ("calendar", position)
        yield from unknown(_FILE, (*address, "factor"), effect.factor, known, "assumption")
        yield from unknown_any(_FILE, (*address, "traffic"), effect.traffic, traffics, "traffic")
        yield from unknown_any(_FILE, (*address, "groups"), effect.groups, groups, "group")


# --- messages and shares --------------------------------------------------------------------------------------------


def _messages(declared: Declarations) -> Iterator[Disagreement]:
    """Each message that is counted is known, and stands in one group."""
    volumes = declared.volumes
    register = {row.srv for row in declared.srv_register}
    own = {message.id for message in volumes.own_messages}
    for position, message in enumerate(volumes.own_messages):
        if message.id in register:
            explained = f"'{message.id}' stands in the register already"
            yield _at(("own_messages", position, "id"), "message-in-register", explained)
    first: dict[str, str] = {}
    for position, group in enumerate(volumes.groups):
        for index, weighted in enumerate(group.srvs):
            address: Address = ("groups", position, "srvs", index, "srv")
            yield from unknown(_FILE, address, weighted.srv, register | own, "message")
            if weighted.srv in first:
                explained = f"'{weighted.srv}' stands in the group '{first[weighted.srv]}' already"
                yield _at(address, "srv-in-two-groups", explained, "a message belongs to one group")
            first.setdefault(weighted.srv, group.id)
    for address, name in _placed(declared):
        yield from unknown(_FILE, address, name, register | own, "message")
        if name in register | own and name not in first:
            yield _at(address, "message-in-no-group", f"'{name}' stands in no group", "list it in one; reports need it")


def _placed(declared: Declarations) -> Iterator[tuple[Address, str]]:
    """Messages that are named elsewhere than in a group: what a traffic brings along, and the steps of a migration."""
    for position, traffic in enumerate(declared.volumes.traffic):
        for index, brought in enumerate(traffic.brings):
            yield ("traffic", position, "brings", index, "message"), brought.message
    if declared.volumes.migration:
        for position, step in enumerate(declared.volumes.migration.steps):
            yield ("migration", "steps", position, "message"), step.message


def _shares(declared: Declarations) -> Iterator[Disagreement]:
    """The groups of a traffic share out at most the whole of it."""
    values = {assumption.id: assumption.value for assumption in declared.assumptions.assumptions}
    shares = {group.id: values.get(group.share, _WHOLE) if group.share else _WHOLE for group in declared.volumes.groups}
    for position, traffic in enumerate(declared.volumes.traffic):
        parts = [shares.get(group, Decimal(0)) for group in traffic.groups]
        if max(parts) <= _WHOLE < (total := sum(parts)):
            message = f"the shares of the groups sum to {total}, which is more than the whole traffic"
            hint = "a group without a share takes all of it"
            yield _at(("traffic", position, "groups"), "shares-above-one", message, hint)


def _absurd(declared: Declarations) -> Iterator[Disagreement]:
    """A traffic of more messages a day than anything has ever carried: a factor of the wrong size or unit."""
    volumes = declared.volumes
    values = {assumption.id: assumption.value for assumption in declared.assumptions.assumptions}
    generation = {cohort.id: cohort.generation for cohort in volumes.cohorts}
    for position, traffic in enumerate(volumes.traffic):
        rows = (row for row in declared.forecasts if generation.get(row.cohort) == traffic.generation)
        factors = list(_factors(declared, traffic))
        messages = max((row.counted for row in rows), default=0) * prod(
            (values.get(name, _WHOLE) for name in factors), start=_WHOLE
        )
        if messages > _MOST_MESSAGES_A_DAY:
            message = f"one cohort would send {messages:.3g} messages a day: more than {_MOST_MESSAGES_A_DAY:.0e}"
            largest = max(factors, key=lambda name: values.get(name, _WHOLE), default=None)
            seen = f"'{largest}' ({values.get(largest)}) and at " if largest is not None else ""
            hint = f"look at {seen}the forecasts' unit"
            yield _at(("traffic", position, "factors"), "absurd-volume", message, hint)


def _factors(declared: Declarations, traffic: Traffic) -> Iterator[str]:
    """Everything that the messages of a traffic are multiplied by, on its busiest day, with what it brings along."""
    values = {assumption.id: assumption.value for assumption in declared.assumptions.assumptions}
    yield from traffic.factors
    if traffic.alerts is not None:
        yield from filter(None, [declared.volumes.devices_per_meter, traffic.alerts.per_device])
        if traffic.alerts.nuisance_share and values.get(traffic.alerts.nuisance_share):
            yield from filter(None, [traffic.alerts.nuisance_share, traffic.alerts.per_nuisance_device])
    many = [
        *(brought.per_request for brought in traffic.brings),
        *(effect.factor for effect in declared.volumes.calendar if not effect.traffic or traffic.id in effect.traffic),
    ]
    yield from (name for name in many if values.get(name, _WHOLE) > _WHOLE)
