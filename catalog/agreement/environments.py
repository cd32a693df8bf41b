"""Environments: what they extend exists, and each can carry out every planned test."""

from collections.abc import Iterator

from catalog.agreement.emulation import EmulationFault, emulation_faults
from catalog.agreement.material import Declarations, Disagreement, unknown
from catalog.agreement.prometheus import source_faults, url_faults
from catalog.declarations import Answers, ComponentScope, Emulated, Environment, EnvironmentKind, TestType
from catalog.places import Address
from catalog.variants import filled_in

DEFAULT_RATE = "default"
"""The key in `rates` for every component that has no factor of its own."""


def environment_disagreements(declared: Declarations) -> Iterator[Disagreement]:
    """Everything that is wrong with environments.yaml."""
    environments = declared.environments.environments
    full, known = filled_in(environments), {environment.id for environment in environments}
    lacking = {name: dict(_lacking(declared, environment)) for name, environment in full.items()}
    for position, environment in enumerate(environments):
        yield from _extends(position, environment, full, known)
        yield from _component_names(declared, position, environment)
        yield from _durations(declared, position, environment)
        yield from _entries(position, environment)
        for address, code, message, hint in source_faults(environment):
            yield _at((position, *address), code, message, hint)
        yield from _numbers(position, environment, full.get(environment.id, environment))
        for field, name, fault in _emulation_faults(environment, full):
            stands = fault.field in getattr(environment, field)[name].model_fields_set
            below = (position, field, name, *fault.address) if stands else (position, field, name)
            yield _at(below, fault.code, fault.message, fault.hint, at_key=not stands)
        yield from _identity(position, environment, full.get(environment.id, environment))
        yield from _asynchronous(declared, position, environment, full.get(environment.id, environment))
        for (code, subject), message in lacking.get(environment.id, {}).items():
            if (code, subject) not in lacking.get(environment.extends or "", {}):  # said once, where it began
                yield _at((position,), code, message)


def _at(below: Address, code: str, message: str, hint: str = "", *, at_key: bool = False) -> Disagreement:
    address = ("environments", *below)
    return Disagreement(file="environments.yaml", address=address, code=code, message=message, hint=hint, at_key=at_key)


def _extends(
    position: int, environment: Environment, full: dict[str, Environment], known: set[str]
) -> Iterator[Disagreement]:
    if environment.extends is None:
        return
    address = ("environments", position, "extends")
    yield from unknown("environments.yaml", address, environment.extends, known, "environment")
    if environment.extends in known and environment.id not in full:
        message = f"what '{environment.id}' extends cannot be filled in: it leads to itself, or to what does not exist"
        yield _at((position, "extends"), "environment-cycle", message)


def _component_names(declared: Declarations, position: int, environment: Environment) -> Iterator[Disagreement]:
    known = {component.id for component in declared.system.components}
    for field, names in (
        ("rates", environment.rates.keys() - {DEFAULT_RATE}),
        ("components", environment.components.keys()),
        ("entries", environment.entries.keys()),
        ("scaled_by", environment.scaled_by.keys()),
        ("baselines", environment.baselines.keys()),
        ("baseline_entries", environment.baseline_entries.keys()),
        ("prometheus", environment.prometheus.keys()),
        ("metrics", environment.metrics.keys()),
    ):
        for name in sorted(names):
            address = ("environments", position, field, name)
            yield from unknown("environments.yaml", address, name, known, "component", at_key=True)


def _durations(declared: Declarations, position: int, environment: Environment) -> Iterator[Disagreement]:
    for kind, duration in environment.durations.items():
        profiles = [profile for profile in declared.tests.profiles if profile.type is kind]
        for profile in profiles:
            if duration > profile.duration:
                message = f"longer than the declared duration of '{profile.id}', which a rehearsal compresses"
                yield _at((position, "durations", kind.value), "duration-longer", message)
                break


def _entries(position: int, environment: Environment) -> Iterator[Disagreement]:
    """Entries that no connection can be opened to, or that hold a secret."""
    entries = [("entries", *each) for each in environment.entries.items()]
    entries += [("baseline_entries", *each) for each in environment.baseline_entries.items()]
    for field, name, url in [*entries, *(("scaled_by", *each) for each in environment.scaled_by.items())]:
        for code, message, hint in url_faults(url):
            yield _at((position, field, name), code, message, hint)


def _numbers(position: int, environment: Environment, full: Environment) -> Iterator[Disagreement]:
    for name, factor in environment.rates.items():
        if factor == 0:
            message = "a rate factor of nothing offers no message"
            yield _at((position, "rates", name), "zero-rate", message, "leave it out, or give a factor above 0")
    if {"connections", "max_connections"} & environment.model_fields_set and full.connections > full.max_connections:
        message = f"{full.connections} connections are opened at first, and at most {full.max_connections} may be"
        field = "connections" if "connections" in environment.model_fields_set else "max_connections"
        yield _at((position, field), "connections-limit", message)


def _emulation_faults(
    environment: Environment, full: dict[str, Environment]
) -> Iterator[tuple[str, str, EmulationFault]]:
    """What cannot be so in the components that an environment states, filled in, and is not said of what it extends."""
    below = full.get(environment.extends or "")
    for field in ("components", "baselines"):
        inherited: dict[str, Emulated] = getattr(below, field) if below else {}
        for name in getattr(environment, field):
            known = set(emulation_faults(inherited[name])) if name in inherited else set()
            stated = getattr(full.get(environment.id, environment), field)[name]
            yield from ((field, name, fault) for fault in emulation_faults(stated) if fault not in known)


def _identity(position: int, environment: Environment, full: Environment) -> Iterator[Disagreement]:
    if environment.tls and environment.tls.key and full.tls and not full.tls.certificate:
        yield _at((position, "tls", "key"), "key-alone", "a key without the certificate that it belongs to")


def _asynchronous(
    declared: Declarations, position: int, environment: Environment, full: Environment
) -> Iterator[Disagreement]:
    """Acknowledgements of a component that acknowledges nothing, and receive services that nobody would send to."""
    paths = declared.system.message_paths
    emulated = [("components", *each) for each in environment.components.items()]
    for field, name, stated in [*emulated, *(("baselines", *each) for each in environment.baselines.items())]:
        if stated.answers is Answers.ACKNOWLEDGE and not any(name in path.acknowledged_by for path in paths):
            message = f"no message path is acknowledged by '{name}'"
            hint = "name it under `acknowledged_by` of a path in system.yaml"
            yield _at((position, field, name, "answers"), "acknowledges-nothing", message, hint)
    if environment.receive is None:
        return
    if not full.entries and not full.baseline_entries:
        message = "nobody sends to it: an emulated system has a port of this machine's"
        yield _at((position, "receive"), "receive-unused", message, "leave it out, or declare entries")
    names = environment.receive.names
    if names and not {"certificate", "key"} <= names.keys():
        message = "a receive service that speaks TLS needs a certificate and its key"
        yield _at((position, "receive"), "receive-identity", message, "add certificate and key")


def _lacking(declared: Declarations, environment: Environment) -> Iterator[tuple[tuple[str, str], str]]:
    """What an environment, filled in, lacks for the planned tests: code and subject, and a message."""
    tested = [component.id for component in declared.system.components if component.scope is ComponentScope.TESTED]
    if environment.kind is EnvironmentKind.REAL:
        for name in tested:
            if name not in environment.entries:
                yield ("entry-missing", name), f"'{environment.id}' is real and has no entry for the component '{name}'"
        return
    for kind in sorted(_planned_types(declared) - environment.durations.keys()):
        yield ("duration-missing", kind), f"'{environment.id}' has no compressed duration for {kind} tests"
    for name in tested:
        if name not in environment.components and name not in environment.entries:
            yield (
                ("emulation-missing", name),
                f"'{environment.id}' does not say how the component '{name}' is emulated, nor where it is",
            )
    for name in sorted(_compared(declared) - environment.baselines.keys()):
        message = f"'{environment.id}' has no baseline of the component '{name}', whose regression is tested"
        yield ("baseline-missing", name), message
    if DEFAULT_RATE not in environment.rates:
        yield ("rate-missing", DEFAULT_RATE), f"'{environment.id}' has no rate factor '{DEFAULT_RATE}'"


def _compared(declared: Declarations) -> set[str]:
    """The components that a regression test is planned for."""
    regression = {profile.id for profile in declared.tests.profiles if profile.type is TestType.REGRESSION}
    return {plan.component for plan in declared.tests.plans if regression & set(plan.tests)}


def _planned_types(declared: Declarations) -> set[TestType]:
    planned = {profile for plan in declared.tests.plans for profile in plan.tests}
    return {profile.type for profile in declared.tests.profiles if profile.id in planned}
