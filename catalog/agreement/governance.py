"""Who decides, what is assured and audited: roles hold known decisions, and whatever is named is declared."""

from collections.abc import Iterator

from catalog.agreement.material import Declarations, Disagreement, unknown, unknown_any
from catalog.declarations import DECISIONS, Bearing, CriterionKind, Role, Shown, TestType
from catalog.places import Address

FILE = "governance.yaml"

_NAMED = frozenset({Shown.SCOPE, Shown.TESTS, Shown.ASSURANCE})
"""Evidence on a clause that is of one thing, which it names."""


def governance_disagreements(declared: Declarations) -> Iterator[Disagreement]:
    """Everything in which governance.yaml contradicts itself or the other files."""
    found, phases = declared.governance, {phase.id for phase in declared.programme.phases}
    components = {component.id for component in declared.system.components}
    for position, role in enumerate(found.roles):
        yield from _role(declared, ("roles", position), role)
    for position, threshold in enumerate(found.thresholds):
        yield from unknown_any(FILE, ("thresholds", position, "phases"), threshold.phases, phases, "phase")
    for position, assurance in enumerate(found.assurances):
        address = ("assurances", position)
        yield from unknown_any(FILE, (*address, "phases"), assurance.phases, phases, "phase")
        yield from unknown_any(FILE, (*address, "components"), assurance.components, components, "component")
    for position, audit in enumerate(found.audits):
        yield from unknown(FILE, ("audits", position, "phase"), audit.phase, phases, "phase")
    for position, clause in enumerate(found.clauses):
        for index, bearing in enumerate(clause.evidence):
            yield from _bearing(declared, ("clauses", position, "evidence", index), bearing)
    yield from _twice(declared)
    yield from _criteria(declared)


def _role(declared: Declarations, address: Address, role: Role) -> Iterator[Disagreement]:
    for index, act in enumerate(role.decides):
        where = (*address, "decides", index, "decisions")
        yield from unknown_any(FILE, where, act.decisions, DECISIONS[act.matter], f"decision on a {act.matter}")
    if role.provider is not None:
        providers = {provider.id for provider in declared.system.service_providers}
        yield from unknown(FILE, (*address, "provider"), role.provider, providers, "service provider")


def _bearing(declared: Declarations, address: Address, bearing: Bearing) -> Iterator[Disagreement]:
    if bearing.shown not in _NAMED:
        if bearing.name is not None:
            message = f"'{bearing.shown}' is of the whole phase, and names nothing"
            yield Disagreement(
                file=FILE, address=(*address, "name"), code="bearing-named", message=message, hint="remove it"
            )
        return
    scope = declared.scope
    known: dict[Shown, tuple[str, list[str]]] = {
        Shown.SCOPE: (
            "entry of the scope",
            [*(each.id for each in scope.included), *(each.id for each in scope.exclusions)],
        ),
        Shown.TESTS: ("test type", list(TestType)),
        Shown.ASSURANCE: ("assurance", [each.id for each in declared.governance.assurances]),
    }
    what, names = known[bearing.shown]
    if bearing.name is None:
        message = f"'{bearing.shown}' needs a 'name': which {what} is meant"
        yield Disagreement(
            file=FILE, address=address, code="bearing-unnamed", message=message, hint=", ".join(names[:3])
        )
    else:
        yield from unknown(FILE, (*address, "name"), bearing.name, names, what)


def _twice(declared: Declarations) -> Iterator[Disagreement]:
    """Two thresholds of one severity, or two audits, of one phase."""
    phases = [phase.id for phase in declared.programme.phases]
    told: set[tuple[int, str]] = set()
    for position, threshold in enumerate(declared.governance.thresholds):
        mine = {(threshold.severity, phase) for phase in threshold.phases or phases}
        if again := sorted(phase for _, phase in mine & told):
            message = f"severity {threshold.severity} has another threshold already in {', '.join(again)}"
            hint = "give each severity one threshold in each phase"
            yield Disagreement(
                file=FILE, address=("thresholds", position), code="threshold-twice", message=message, hint=hint
            )
        told |= mine
    audited: set[str] = set()
    for position, audit in enumerate(declared.governance.audits):
        if audit.phase in audited:
            message = f"the phase '{audit.phase}' has another audit already"
            hint = "declare one audit for each phase"
            yield Disagreement(
                file=FILE, address=("audits", position, "phase"), code="audit-twice", message=message, hint=hint
            )
        audited.add(audit.phase)


def _criteria(declared: Declarations) -> Iterator[Disagreement]:
    """A criterion on an audit, or on assurances, of which none is declared for its phases could never be met."""
    every = [phase.id for phase in declared.programme.phases]
    audited = {audit.phase for audit in declared.governance.audits}
    assured = {phase for each in declared.governance.assurances for phase in each.phases or every}
    lists = {CriterionKind.AUDIT_REPORTED: (audited, "audits"), CriterionKind.ASSURANCES_GIVEN: (assured, "assurances")}
    for position, criterion in enumerate(declared.programme.exit_criteria):
        if criterion.kind not in lists:
            continue
        known, name = lists[criterion.kind]
        if missing := [phase for phase in criterion.phases or every if phase not in known]:
            message = f"'{criterion.kind}' is asked for, and {FILE} lists no {name} for {', '.join(missing)}"
            yield Disagreement(
                file="programme.yaml", address=("exit_criteria", position, "kind"), code="criterion-open",
                message=message, hint=f"add them under '{name}', or leave the phases out here",
            )  # fmt: skip
