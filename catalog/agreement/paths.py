"""Message paths: steps exist, none twice, roles are filled for every cohort, exclusions on the way are stated."""

from collections.abc import Iterator

from catalog.agreement.material import Declarations, Disagreement, unknown
from catalog.declarations import ComponentScope, MessageKind, MessagePath
from catalog.routes import routes

ROLE = "role:"
"""What a step begins with that is filled by the component that serves a cohort."""


def path_disagreements(declared: Declarations) -> Iterator[Disagreement]:
    """Everything that is wrong with a message path, or with who serves a cohort on it."""
    roles = {component.id: component.role for component in declared.system.components}
    for position, path in enumerate(declared.system.message_paths):
        yield from _steps(position, path, roles)
        yield from _round_trip(position, path)
        yield from _cycles(position, path, roles)
        yield from _acknowledgers(position, path, roles)
        if path.offers not in (MessageKind.REQUEST, MessageKind.ALERT):
            message = f"expected request or alert, found {path.offers}: an answer is not offered"
            yield _at(position, ("offers",), "path-offers", message)
        yield from _through_excluded(declared, position, path)
    yield from _unserved(declared, roles)


def _at(position: int, below: tuple[str | int, ...], code: str, message: str, hint: str = "") -> Disagreement:
    address = ("message_paths", position, *below)
    return Disagreement(file="system.yaml", address=address, code=code, message=message, hint=hint)


def _round_trip(position: int, path: MessagePath) -> Iterator[Disagreement]:
    if path.round_trip is not None and not path.round_trip.share.is_share:
        message = "expected a share above nothing and up to 100 %"
        yield _at(position, ("round_trip", "share"), "share-impossible", message, "such as '99 %'")


def _steps(position: int, path: MessagePath, roles: dict[str, str]) -> Iterator[Disagreement]:
    for index, step in enumerate(path.steps):
        address = ("message_paths", position, "steps", index)
        if step.startswith(ROLE):
            yield from unknown("system.yaml", address, step.removeprefix(ROLE), set(roles.values()), "role")
        else:
            yield from unknown("system.yaml", address, step, roles, "component")


def _cycles(position: int, path: MessagePath, roles: dict[str, str]) -> Iterator[Disagreement]:
    """A step that stands twice, or a component beside the role that it may be chosen to fill."""
    filled = {step.removeprefix(ROLE) for step in path.steps if step.startswith(ROLE)}
    seen: set[str] = set()
    for index, step in enumerate(path.steps):
        if step in seen or roles.get(step) in filled:
            message = f"'{step}' comes twice on the message path '{path.id}'"
            hint = "a message passes each component once; make its way back a path of its own"
            yield _at(position, ("steps", index), "path-cycle", message, hint)
        seen.add(step)


def _through_excluded(declared: Declarations, position: int, path: MessagePath) -> Iterator[Disagreement]:
    """A component that no test covers, on a path of tested traffic, with no exclusion that states what risk remains."""
    excluded = {each.id for each in declared.system.components if each.scope is ComponentScope.EXCLUDED}
    phases = {phase.id for phase in declared.programme.phases}
    stated = {
        name
        for entry in declared.scope.exclusions
        if not entry.phases or phases <= set(entry.phases) or set(entry.phases) - phases  # an unknown one is a fault
        for name in entry.components
    }
    for index, step in enumerate(path.steps):
        for name in sorted(_filling(declared, step) & excluded - stated):
            message = f"the path '{path.id}' passes '{name}', which is excluded from testing and from every statement"
            hint = "name it under `components` of an exclusion in scope.yaml, for every phase, with its residual risk"
            yield _at(position, ("steps", index), "path-through-excluded", message, hint)


def _filling(declared: Declarations, step: str) -> set[str]:
    """The component that a step names, or those that fill its role for some cohort."""
    if not step.startswith(ROLE):
        return {step}
    roles = {component.id: component.role for component in declared.system.components}
    serving = {name for cohort in declared.volumes.cohorts for name in cohort.served_by}
    return {name for name in serving if roles.get(name) == step.removeprefix(ROLE)}


def _acknowledgers(position: int, path: MessagePath, roles: dict[str, str]) -> Iterator[Disagreement]:
    for index, name in enumerate(path.acknowledged_by):
        address = ("message_paths", position, "acknowledged_by", index)
        yield from unknown("system.yaml", address, name, roles, "component")
        if name in roles and not {name, f"{ROLE}{roles[name]}"} & set(path.steps):
            message = f"'{name}' is not a step of the message path '{path.id}'"
            yield _at(position, ("acknowledged_by", index), "acknowledger-off-path", message)
    if path.scheduled_by is not None and path.scheduled_by not in path.steps:
        message = f"'{path.scheduled_by}' is not a step of the message path '{path.id}'"
        yield _at(
            position, ("scheduled_by",), "scheduler-off-path", message, "schedules are kept by a step of the path"
        )


def _unserved(declared: Declarations, roles: dict[str, str]) -> Iterator[Disagreement]:
    """Cohorts for which a role on a path of their generation's traffic is filled by no component, or by several."""
    wanted = _wanted_roles(declared)
    for position, cohort in enumerate(declared.volumes.cohorts):
        serving = [roles[name] for name in cohort.served_by if name in roles]
        for role, path in wanted.get(cohort.generation, {}).items():
            if serving.count(role) != 1 and role in roles.values() and len(serving) == len(cohort.served_by):
                count = serving.count(role) or "no"
                yield Disagreement(
                    file="volumes.yaml",
                    address=("cohorts", position, "served_by"),
                    code="role-unserved",
                    message=f"{count} component with the role '{role}' serves '{cohort.id}'; path '{path}' needs one",
                    hint=f"name one of: {', '.join(name for name in roles if roles[name] == role)}",
                )


def _wanted_roles(declared: Declarations) -> dict[str, dict[str, str]]:
    """By generation: the roles on the paths of its traffic, each with a path that it stands on."""
    paths = {path.id: path for path in declared.system.message_paths}
    wanted: dict[str, dict[str, str]] = {}
    for route in routes(declared.volumes):
        for step in paths[route.path].steps if route.path in paths else ():
            if step.startswith(ROLE):
                wanted.setdefault(route.generation, {}).setdefault(step.removeprefix(ROLE), route.path)
    return wanted
