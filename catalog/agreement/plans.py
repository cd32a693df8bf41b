"""Test profiles and plans: every tested component of a phase is planned for, by its own provider, with real traffic."""

from collections.abc import Iterator

from catalog.agreement.material import Declarations, Disagreement, unknown, unknown_any
from catalog.agreement.paths import ROLE
from catalog.declarations import ArrivalProcess, ComponentScope, Profile, TestPlan
from catalog.places import Address
from catalog.routes import routes


def plan_disagreements(declared: Declarations) -> Iterator[Disagreement]:
    """Everything that is wrong with tests.yaml, and components that it forgets."""
    for position, profile in enumerate(declared.tests.profiles):
        yield from _bursts(position, profile)
    yield from _names(declared)
    yield from _subjects(declared)
    yield from _same_test(declared)
    yield from _unplanned(declared)


def _at(address: Address, code: str, message: str, hint: str = "") -> Disagreement:
    return Disagreement(file="tests.yaml", address=address, code=code, message=message, hint=hint)


def _bursts(position: int, profile: Profile) -> Iterator[Disagreement]:
    """Bursty arrivals have a dispersion and a burst that fits into the test; no other arrivals have."""
    shape, address = profile.arrivals, ("profiles", position, "arrivals")
    fields = ("dispersion", "burst")
    given = [name for name in fields if getattr(shape, name) is not None]
    if shape.process is ArrivalProcess.BURSTY:
        for name in fields:
            if name not in given:
                hint = "such as 'dispersion: 4' and 'burst: 500 ms'"
                yield _at(address, "bursts-incomplete", f"bursty arrivals need '{name}'", hint)
    else:
        for name in given:
            message = f"'{name}' belongs to bursty arrivals only, not to {shape.process}"
            yield _at((*address, name), "bursts-misplaced", message, "remove it, or declare 'process: bursty'")
    if shape.burst is not None and shape.burst > profile.duration:
        message = "longer than the test: no burst would be spread as declared"
        yield _at((*address, "burst"), "burst-long", message, "give a time shorter than 'duration'")


def _names(declared: Declarations) -> Iterator[Disagreement]:
    file = "tests.yaml"
    phases = {phase.id for phase in declared.programme.phases}
    providers = {provider.id for provider in declared.system.service_providers}
    components = {component.id for component in declared.system.components}
    profiles = {profile.id for profile in declared.tests.profiles}
    for position, plan in enumerate(declared.tests.plans):
        address = ("plans", position)
        yield from unknown(file, (*address, "provider"), plan.provider, providers, "service provider")
        yield from unknown(file, (*address, "component"), plan.component, components, "component")
        yield from unknown_any(file, (*address, "phases"), plan.phases, phases, "phase")
        yield from unknown(file, (*address, "volumes_of"), plan.volumes_of, phases, "phase")
        yield from unknown_any(file, (*address, "tests"), plan.tests, profiles, "profile")


def _subjects(declared: Declarations) -> Iterator[Disagreement]:
    """Each plan is for a tested component of its provider, which traffic passes, and for phases that hold it."""
    components = {component.id: component for component in declared.system.components}
    providers = {provider.id for provider in declared.system.service_providers}
    reached = _reached(declared)
    for position, plan in enumerate(declared.tests.plans):
        component = components.get(plan.component)
        if component is None:
            continue
        if plan.provider != component.provider and plan.provider in providers:
            message = f"component '{component.id}' belongs to '{component.provider}', not to '{plan.provider}'"
            yield _at(
                ("plans", position, "provider"), "plan-provider", message, "providers plan tests of what is theirs"
            )
        if component.scope is not ComponentScope.TESTED:
            message = f"component '{component.id}' is {component.scope}, so it cannot be tested"
            yield _at(("plans", position, "component"), "plan-not-tested", message, "its scope stands in system.yaml")
        else:
            yield from _tested(declared, position, plan, reached)


def _tested(declared: Declarations, position: int, plan: TestPlan, reached: set[str]) -> Iterator[Disagreement]:
    if plan.component not in reached:
        message = f"no traffic passes the component '{plan.component}': its target would be nothing"
        yield _at(("plans", position, "component"), "no-traffic", message)
    held = {phase.id: phase.components for phase in declared.programme.phases}
    for index, phase in enumerate(plan.phases):
        if phase in held and plan.component not in held[phase]:
            message = f"the phase '{phase}' does not list the component '{plan.component}'"
            hint = "list it there in programme.yaml, or leave the phase out here"
            yield _at(("plans", position, "phases", index), "plan-outside-phase", message, hint)


def _reached(declared: Declarations) -> set[str]:
    """The components that some traffic passes; all of them when a path is not known, for that fault says enough."""
    roles = {component.id: component.role for component in declared.system.components}
    steps = {path.id: path.steps for path in declared.system.message_paths}
    filling: dict[str, set[str]] = {}
    for name, role in roles.items():
        filling.setdefault(ROLE + role, set()).add(name)
    serving: dict[tuple[str, str], set[str]] = {}
    for cohort in declared.volumes.cohorts:
        for name in cohort.served_by:
            serving.setdefault((cohort.generation, ROLE + roles.get(name, "")), set()).add(name)
    return {
        component
        for route in routes(declared.volumes)
        for step in steps.get(route.path, roles)
        for component in serving.get((route.generation, step), filling.get(step, {step}))
    }


def _same_test(declared: Declarations) -> Iterator[Disagreement]:
    """A test's id is phase.component.profile, so no two plans may make the same."""
    first: dict[tuple[str, str, str], str] = {}
    for position, plan in enumerate(declared.tests.plans):
        for index, profile in enumerate(plan.tests):
            for phase in plan.phases:
                other = first.setdefault((phase, plan.component, profile), plan.id)
                if other != plan.id:
                    message = f"the test {phase}.{plan.component}.{profile} stands in the plan '{other}' already"
                    yield _at(("plans", position, "tests", index), "duplicate-test", message)


def _unplanned(declared: Declarations) -> Iterator[Disagreement]:
    planned = {(phase, plan.component) for plan in declared.tests.plans for phase in plan.phases}
    components = {component.id: component for component in declared.system.components}
    for position, phase in enumerate(declared.programme.phases):
        for index, name in enumerate(phase.components):
            tested = name in components and components[name].scope is ComponentScope.TESTED
            if tested and (phase.id, name) not in planned:
                yield Disagreement(
                    file="programme.yaml",
                    address=("phases", position, "components", index),
                    code="no-plan",
                    message=f"no test plan of '{name}' is for the phase '{phase.id}'",
                    hint="add the phase to a plan in tests.yaml, or leave the component out here",
                )
