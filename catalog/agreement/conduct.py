"""How each type of test is conducted: a profile says what its type needs, and nothing that another's does."""

from collections.abc import Iterator
from decimal import Decimal

from catalog.agreement.bounds import STEPS
from catalog.agreement.material import Declarations, Disagreement, unknown, unknown_any
from catalog.declarations import CONDUCT, CapacityPlan, Profile, StressRamp, TestType
from catalog.places import Address
from catalog.quantities import Written

NARROWEST_PPM = 1_000
"""An interval of a ramp is no narrower, relatively: below, luck decides."""

_SUCH_AS = {
    "ramp": "such as 'ramp: {growth: 2, most: 4, width: 10 %, latency: 250 ms, answered: 99 %}'",
    "outage": "the id of an entry of catch_up in volumes.yaml",
    "scaling": "such as 'scaling: {load: 1.5, begins_with: 0.5, added: {at: 5 min, capacity: 1}, "
    "removed: {at: 10 min, capacity: 0.75}}'",
    "comparison": "such as 'comparison: {runs: 5, traffic: [BAU]}'",
    "invalid": "such as 'invalid: {unknown-srv: 5 %}'",
}


def conduct_disagreements(declared: Declarations) -> Iterator[Disagreement]:
    """Everything that is wrong with what one type of test alone needs."""
    for position, profile in enumerate(declared.tests.profiles):
        address: Address = ("profiles", position)
        yield from _belonging(address, profile)
        if profile.ramp is not None:
            yield from _ramp((*address, "ramp"), profile.ramp, profile)
        if profile.scaling is not None:
            yield from _scaling((*address, "scaling"), profile.scaling, profile)
        for flaw, share in (profile.invalid or {}).items():
            yield from _share((*address, "invalid", flaw.value), share)
        yield from _references(declared, address, profile)


def _at(address: Address, code: str, message: str, hint: str = "") -> Disagreement:
    return Disagreement(file="tests.yaml", address=address, code=code, message=message, hint=hint)


def _belonging(address: Address, profile: Profile) -> Iterator[Disagreement]:
    for kind, field in CONDUCT.items():
        given = getattr(profile, field)
        if profile.type is kind and not given:
            yield _at(address, "profile-incomplete", f"a {kind} profile needs '{field}'", _SUCH_AS[field])
        elif profile.type is not kind and given is not None:
            message = f"'{field}' belongs to {kind} profiles only, not to {profile.type}"
            yield _at((*address, field), "profile-misplaced", message, "remove it")


def _ramp(address: Address, ramp: StressRamp, profile: Profile) -> Iterator[Disagreement]:
    yield from _multiple((*address, "first"), ramp.first)
    yield from _multiple((*address, "most"), ramp.most)
    if ramp.most <= ramp.first:
        message = f"expected more than what is offered first, {ramp.first:f}"
        yield _at((*address, "most"), "ramp-flat", message, "4 is four times the target volume")
    if ramp.growth <= 1:
        message = "expected a factor above 1, by which a step exceeds the one before"
        yield _at((*address, "growth"), "ramp-flat", message, "such as 1.5")
    if not ramp.width.is_share or ramp.width.value < NARROWEST_PPM:
        message = "expected the relative width of an interval, from 0.1 % to 100 %"
        yield _at((*address, "width"), "share-impossible", message, "such as '10 %'")
    yield from _share((*address, "answered"), ramp.answered)
    if profile.timeout < ramp.latency:
        message = "shorter than the latency that the ramp allows: answers that carry a step would count as timeouts"
        yield _at((*address[:-1], "timeout"), "timeout-short", message, "give a longer time, or a shorter 'latency'")


def _scaling(address: Address, plan: CapacityPlan, profile: Profile) -> Iterator[Disagreement]:
    yield from _multiple((*address, "load"), plan.load)
    for where, capacity in (
        (("begins_with",), plan.begins_with),
        (("added", "capacity"), plan.added.capacity),
        (("removed", "capacity"), plan.removed.capacity),
    ):
        yield from _multiple((*address, *where), capacity)
    if plan.added.capacity <= plan.begins_with:
        message = f"expected more than what the test begins with, {plan.begins_with:f}"
        yield _at((*address, "added", "capacity"), "scaling-idle", message, "capacity is added first")
    if plan.removed.capacity >= plan.added.capacity:
        message = f"expected less than was there before, {plan.added.capacity:f}"
        yield _at((*address, "removed", "capacity"), "scaling-idle", message, "capacity is removed after it was added")
    if plan.removed.at <= plan.added.at:
        message = "expected an instant after the one at which capacity is added"
        yield _at((*address, "removed", "at"), "scaling-order", message, "count both from the start of the test")
    elif plan.removed.at >= profile.duration:
        message = "expected an instant before the test is over"
        yield _at((*address, "removed", "at"), "scaling-order", message, "see 'duration'")


def _multiple(address: Address, found: Decimal) -> Iterator[Disagreement]:
    if not STEPS[0] <= found <= STEPS[1]:
        message = f"expected a multiple from {STEPS[0]} to {STEPS[1]}, found {found:f}"
        yield _at(address, "step-impossible", message, "2 is twice as much")


def _share(address: Address, share: Written) -> Iterator[Disagreement]:
    if not share.is_share:
        yield _at(address, "share-impossible", "expected a share above nothing and up to 100 %", "such as '99 %'")


def _references(declared: Declarations, address: Address, profile: Profile) -> Iterator[Disagreement]:
    if profile.type is TestType.CATCH_UP and profile.outage is not None:
        known = {each.id for each in declared.volumes.catch_up}
        yield from unknown("tests.yaml", (*address, "outage"), profile.outage, known, "catch_up")
    if profile.comparison is not None:
        labels = {each.traffic for each in declared.volumes.traffic}
        if declared.volumes.migration is not None:
            labels.add(declared.volumes.migration.traffic)
        where = (*address, "comparison", "traffic")
        yield from unknown_any("tests.yaml", where, profile.comparison.traffic, labels, "traffic")
