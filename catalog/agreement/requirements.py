"""Requirements: units fit metrics, limits can be met and missed, and scopes name what exists and what is measured."""

from collections.abc import Iterator

from catalog.agreement.material import Declarations, Disagreement, unknown_any
from catalog.agreement.paths import ROLE
from catalog.declarations import MEASURED_BY, METRICS, MIXED, ComponentScope, Metric, Requirement, TestType
from catalog.hints import did_you_mean, listed
from catalog.quantities import Unit
from catalog.routes import routes
from catalog.shown import shown

WHOLE_PPM = 1_000_000
_SHARES = (Metric.ANSWERED_SHARE, Metric.SERVICE_LEVEL)
_UNITS = {
    Unit.MICROSECONDS: "a duration, such as '500 ms'",
    Unit.PARTS_PER_MILLION: "a share or a multiple, such as '99 %' or '1.5 times'",
    Unit.BYTES: "a size, such as '8 KiB'",
    Unit.COUNT: "a count, such as '100 count'",
}


def requirement_disagreements(declared: Declarations) -> Iterator[Disagreement]:
    """Everything that is wrong with requirements.yaml, and tested roles that it forgets."""
    roles = {component.role for component in declared.system.components}
    groups = {group.id for group in declared.volumes.groups}
    passed = _groups_by_role(declared)
    for position, requirement in enumerate(declared.requirements.requirements):
        address = ("requirements", position, "scope")
        yield from unknown_any("requirements.yaml", (*address, "roles"), requirement.scope.roles, roles, "role")
        yield from unknown_any("requirements.yaml", (*address, "groups"), requirement.scope.groups, groups, "group")
        yield from _limit(position, requirement)
        yield from _within(position, requirement)
        yield from _types(position, requirement)
        yield from _cleared(declared, position, requirement)
        yield from _unmeasured(position, requirement, passed, groups)
    yield from _forgotten(declared)


def _at(position: int, field: tuple[str | int, ...], code: str, message: str, hint: str = "") -> Disagreement:
    address = ("requirements", position, *field)
    return Disagreement(file="requirements.yaml", address=address, code=code, message=message, hint=hint)


def _limit(position: int, requirement: Requirement) -> Iterator[Disagreement]:
    metric, limit = requirement.metric, requirement.limit
    unit = METRICS[metric][0]
    if limit.unit is not unit:
        yield _at(position, ("limit",), "unit-mismatch", f"{metric} is limited by {_UNITS[unit]}; found {limit.unit}")
    elif limit.value == 0:
        message = f"a limit of nothing for {metric} says nothing"
        yield _at(position, ("limit",), "zero-limit", message, "leave the requirement out, or give a limit")
    elif metric in _SHARES and limit.value > WHOLE_PPM:
        yield _at(position, ("limit",), "share-above-one", f"{metric} is a share: expected at most 100 %")


def _within(position: int, requirement: Requirement) -> Iterator[Disagreement]:
    is_service_level = requirement.metric is Metric.SERVICE_LEVEL
    if is_service_level and requirement.within is None:
        message = "service-level needs 'within', the time in which the share is to be answered"
        yield _at(position, (), "within-missing", message, "such as within: 30 s")
    elif requirement.within is not None and not is_service_level:
        message = f"'within' belongs to service-level only, not to {requirement.metric}"
        yield _at(position, ("within",), "within-misplaced", message, "remove it")


def _types(position: int, requirement: Requirement) -> Iterator[Disagreement]:
    """Metrics that only one type of test measures, and types that measure only what is theirs."""
    metric = requirement.metric
    for index, kind in enumerate(requirement.scope.types):
        address = ("scope", "types", index)
        if metric in MEASURED_BY:
            if kind is not MEASURED_BY[metric]:
                message = f"{metric} is measured by {MEASURED_BY[metric]} tests only, not by {kind}"
                yield _at(position, address, "metric-type", message, f"write '{MEASURED_BY[metric]}'")
        elif kind in MIXED and metric is not Metric.OFFERED:
            told = listed([each for each, its in MEASURED_BY.items() if its is kind])
            message = f"{kind} tests mix several loads, so {metric} of all their messages says nothing"
            yield _at(position, address, "metric-type", message, f"leave '{kind}' out; it measures {told}")


def _cleared(declared: Declarations, position: int, requirement: Requirement) -> Iterator[Disagreement]:
    """A limit on the time to drain is what the volume model computes rates for."""
    if requirement.metric is not Metric.DRAIN_TIME or requirement.limit.unit is not Unit.MICROSECONDS:
        return
    outages = {profile.outage for profile in declared.tests.profiles if profile.type is TestType.CATCH_UP}
    for each in declared.volumes.catch_up:
        if each.id in outages and each.cleared_within != requirement.limit.value:
            message = f"volumes.yaml clears the demand of '{each.id}' within {shown(each.cleared_within, 'us')}"
            yield _at(position, ("limit",), "catch-up-differs", message, "give the same time in both")


def _unmeasured(
    position: int, requirement: Requirement, passed: dict[str, set[str]], known: set[str]
) -> Iterator[Disagreement]:
    """Groups whose messages never pass a role that the requirement names: there would be nothing to measure."""
    for index, group in enumerate(requirement.scope.groups):
        missed = [role for role in requirement.scope.roles if role in passed and group not in passed[role]]
        if group in known and missed:
            message = f"no message of the group '{group}' passes the role '{listed(missed)}'"
            hint = "make it a requirement of its own, for the roles that the group passes"
            yield _at(position, ("scope", "groups", index), "group-unmeasured", message, hint)


def _groups_by_role(declared: Declarations) -> dict[str, set[str]]:
    """By role: the groups of the traffic whose path passes it; an unknown path counts as passing all of them."""
    roles = {component.id: component.role for component in declared.system.components}
    steps = {path.id: path.steps for path in declared.system.message_paths}
    passed: dict[str, set[str]] = {role: set() for role in roles.values()}
    for route in routes(declared.volumes):
        for step in steps.get(route.path, roles):
            role = step.removeprefix(ROLE) if step.startswith(ROLE) else roles.get(step, "")
            passed.setdefault(role, set()).update(route.groups)
    return passed


def _forgotten(declared: Declarations) -> Iterator[Disagreement]:
    named = {role for requirement in declared.requirements.requirements for role in requirement.scope.roles}
    for position, component in enumerate(declared.system.components):
        if component.scope is ComponentScope.TESTED and component.role not in named:
            yield Disagreement(
                file="system.yaml",
                address=("components", position, "role"),
                code="role-without-requirement",
                message=f"'{component.id}' is tested, and no requirement is for its role '{component.role}'",
                hint=did_you_mean(component.role, named) + "; or declare what it must hold in requirements.yaml",
            )
