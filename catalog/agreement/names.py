"""Names: no id twice in a list, no entry twice, and nothing refers to what is not declared."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from catalog.agreement.material import SRV_REGISTER, Declarations, Disagreement, unknown, unknown_any
from catalog.declarations import FILES
from catalog.places import Address


def name_disagreements(declared: Declarations) -> Iterator[Disagreement]:
    """Repeated ids and entries in every file; dangling names in programme.yaml, system.yaml and scope.yaml."""
    for file in FILES:
        yield from _repetitions(file, getattr(declared, file.removesuffix(".yaml")), ())
    yield from _repeated(SRV_REGISTER, [row.srv for row in declared.srv_register], (), "duplicate-id", "srv")
    yield from _programme_names(declared)
    yield from _phase_components(declared)
    yield from _system_names(declared)
    phases = {phase.id for phase in declared.programme.phases}
    components = {component.id for component in declared.system.components}
    for position, exclusion in enumerate(declared.scope.exclusions):
        address = ("exclusions", position)
        yield from unknown_any("scope.yaml", (*address, "phases"), exclusion.phases, phases, "phase")
        yield from unknown_any("scope.yaml", (*address, "components"), exclusion.components, components, "component")


def _repetitions(file: str, value: Any, address: Address) -> Iterator[Disagreement]:
    """Ids and texts that stand twice in one list, anywhere in `value`."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _repetitions(file, getattr(value, name), (*address, name))
    elif isinstance(value, tuple) and address[0::2] != ("message_paths", "steps"):  # a cycle: see `paths`
        yield from _repeated(file, [getattr(item, "id", None) for item in value], address, "duplicate-id", "id")
        texts = [item if isinstance(item, str) else None for item in value]
        yield from _repeated(file, texts, address, "duplicate-entry")
        for position, item in enumerate(value):
            yield from _repetitions(file, item, (*address, position))


def _repeated(
    file: str, names: list[str | None] | list[str], address: Address, code: str, *field: str
) -> Iterator[Disagreement]:
    first: dict[str, int] = {}
    for position, name in enumerate(names):
        if name is not None and first.setdefault(name, position) != position:
            message = f"'{name}' stands in this list already, as number {first[name] + 1}"
            place = (*address, position, *field)
            yield Disagreement(file=file, address=place, code=code, message=message, hint="rename or remove one")


def _programme_names(declared: Declarations) -> Iterator[Disagreement]:
    file, programme = "programme.yaml", declared.programme
    phases = {phase.id for phase in programme.phases}
    roles = {component.role for component in declared.system.components}
    environments = {environment.id for environment in declared.environments.environments}
    yield from unknown(file, ("default_environment",), programme.default_environment, environments, "environment")
    yield from unknown_any(file, ("reliance", "never", "roles"), programme.reliance.never.roles, roles, "role")
    if approval := programme.reliance.approval:
        yield from unknown_any(file, ("reliance", "approval", "roles"), approval.roles, roles, "role")
    yield from unknown(file, ("regression", "phase"), programme.regression.phase, phases, "phase")
    yield from _regressions(declared)
    for position, criterion in enumerate(programme.exit_criteria):
        yield from unknown_any(file, ("exit_criteria", position, "phases"), criterion.phases, phases, "phase")


def _regressions(declared: Declarations) -> Iterator[Disagreement]:
    """Named regressions of a phase that is not declared, or of roles that the phase does not test."""
    phases = {phase.id: phase for phase in declared.programme.phases}
    roles = {component.id: component.role for component in declared.system.components}
    for position, named in enumerate(declared.programme.regression.others):
        address = ("regression", "others", position)
        yield from unknown("programme.yaml", (*address, "phase"), named.phase, phases, "phase")
        if named.phase in phases:
            tested = {roles[each] for each in phases[named.phase].components if each in roles}
            yield from unknown_any("programme.yaml", (*address, "roles"), named.roles, tested, "tested role")


def _phase_components(declared: Declarations) -> Iterator[Disagreement]:
    components = {component.id: component for component in declared.system.components}
    for position, phase in enumerate(declared.programme.phases):
        address = ("phases", position, "components")
        yield from unknown_any("programme.yaml", address, phase.components, components, "component")
        for index, name in enumerate(phase.components):
            if name in components and components[name].scope != "tested":
                yield Disagreement(
                    file="programme.yaml",
                    address=(*address, index),
                    code="phase-not-tested",
                    message=f"component '{name}' is {components[name].scope}, so no phase can hold it to requirements",
                    hint="remove it here, or give it the scope 'tested' in system.yaml",
                )


def _system_names(declared: Declarations) -> Iterator[Disagreement]:
    file, system = "system.yaml", declared.system
    providers = {provider.id for provider in system.service_providers}
    components = {component.id for component in system.components}
    for position, component in enumerate(system.components):
        address = ("components", position, "provider")
        yield from unknown(file, address, component.provider, providers, "service provider")
    for position, interface in enumerate(system.interfaces):
        for end, name in (("from", interface.from_), ("to", interface.to)):
            yield from unknown(file, ("interfaces", position, end), name, components, "component")
