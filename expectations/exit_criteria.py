"""The exit criteria held against the facts of a phase: *met*, *not met*, or *cannot be told*, each with its reason.

An answer is a fact. Whether the phase is complete is decided by people, elsewhere.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from catalog.declarations import (
    ComponentScope,
    CriterionKind,
    Exclusion,
    ExitCriterion,
    Programme,
    Standing,
    TestPlan,
)
from catalog.routes import assumptions_used
from expectations.governance import People
from expectations.held import Held, State
from expectations.people_criteria import hold_people_criterion
from expectations.verdicts import Verdict

ENDED_WITH_RESULT = frozenset({"executed", "relied", "received"})
"""The ends of a planned test that leave a result behind."""

ENDED_WITHOUT_RESULT = ("waived", "blocked", "failed", "not run")
"""The other ends, in the order in which a report names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberInUse:
    """A declared number that the phase rests on. `kind`: assumption, forecast, migration plan, daily
    profile, requirement or conduct of a test."""

    kind: str
    id: str
    standing: Standing


def hold_criteria(
    programme: Programme, phase: str, *, verdicts: Sequence[str], ends: Sequence[str], people: People | None = None
) -> list[Held]:
    """Every criterion in force in `phase`, in the order declared.

    `verdicts`: that of each observation (`Verdict`); `ends`: how each planned test ended; `people`: what was decided.
    """
    return [
        _hold(criterion, programme, phase, verdicts, ends, people or People())
        for criterion in programme.programme.exit_criteria
        if not criterion.phases or phase in criterion.phases
    ]


def exclusions_in_force(programme: Programme, phase: str) -> list[Exclusion]:
    """What is not tested in `phase`, in the order declared."""
    return [entry for entry in programme.scope.exclusions if not entry.phases or phase in entry.phases]


def plans_in_force(programme: Programme, phase: str) -> list[TestPlan]:
    """The test plans of `phase`, in the order declared."""
    return [plan for plan in programme.tests.plans if phase in plan.phases]


def assumptions_in_use(programme: Programme) -> frozenset[str]:
    """The ids of the assumptions that some traffic of the volume model rests on."""
    return assumptions_used(programme.volumes)


def numbers_in_use(programme: Programme, phase: str) -> list[NumberInUse]:
    """Every declared number that the tests of `phase` and their target volumes rest on, whatever its standing."""
    return [*_model_numbers(programme, phase), *_test_numbers(programme, phase)]


def _model_numbers(programme: Programme, phase: str) -> Iterator[NumberInUse]:
    used = assumptions_in_use(programme)
    phases = {phase, *(plan.volumes_of for plan in plans_in_force(programme, phase))}
    for assumption in programme.assumptions:
        if assumption.id in used:
            yield NumberInUse(kind="assumption", id=assumption.id, standing=assumption.standing)
    for row in programme.forecasts:
        if row.phase in phases:
            yield NumberInUse(kind="forecast", id=f"{row.phase}/{row.cohort}/{row.begins}", standing=row.standing)
    for plan in programme.migration_plans:
        if plan.phase in phases:
            name = f"{plan.phase}/{plan.cohort}/{plan.begins}"
            yield NumberInUse(kind="migration plan", id=name, standing=plan.standing)
    for profile in programme.volumes.profiles:
        yield NumberInUse(kind="daily profile", id=profile.id, standing=profile.standing)


def _test_numbers(programme: Programme, phase: str) -> Iterator[NumberInUse]:
    profiles = {profile.id: profile for profile in programme.tests.profiles}
    planned = {
        (programme.component(plan.component).role, name)
        for plan in plans_in_force(programme, phase)
        for name in plan.tests
    }
    tested = {(role, profiles[name].type) for role, name in planned}
    for requirement in programme.requirements:
        scope = requirement.scope
        if any((role, kind) in tested for role in scope.roles for kind in scope.types):
            yield NumberInUse(kind="requirement", id=requirement.id, standing=requirement.standing)
    for name in profiles:
        if any(name == each for _, each in planned):
            yield NumberInUse(kind="conduct", id=name, standing=profiles[name].standing)


def _hold(
    criterion: ExitCriterion,
    programme: Programme,
    phase: str,
    verdicts: Sequence[str],
    ends: Sequence[str],
    people: People,
) -> Held:
    match criterion.kind:
        case CriterionKind.OBSERVATIONS_PROVED:
            return _observations_proved(criterion, verdicts)
        case CriterionKind.TESTS_ENDED:
            return _tests_ended(criterion, ends)
        case CriterionKind.EXCLUSIONS_STATED:
            return _exclusions_stated(criterion, programme, phase)
        case CriterionKind.NUMBERS_AGREED:
            return _numbers_agreed(criterion, numbers_in_use(programme, phase))
        case _:
            return hold_people_criterion(criterion, programme, plans_in_force(programme, phase), phase, people)


def _observations_proved(criterion: ExitCriterion, verdicts: Sequence[str]) -> Held:
    if not verdicts:
        return Held(criterion=criterion, state=State.CANNOT_BE_TOLD, reason="No observation was made.")
    counts = {"observations": len(verdicts)} | {str(verdict): verdicts.count(verdict) for verdict in Verdict}
    rest = "; {not proved} not proved, {inconclusive} inconclusive" if counts["proved"] < len(verdicts) else ""
    return Held(
        criterion=criterion,
        state=State.NOT_MET if rest else State.MET,
        reason=f"{{proved}} of {{observations}} observations are proved{rest}.",
        counts=counts,
    )


def _tests_ended(criterion: ExitCriterion, ends: Sequence[str]) -> Held:
    if not ends:
        return Held(criterion=criterion, state=State.CANNOT_BE_TOLD, reason="No test was planned.")
    with_result = sum(end in ENDED_WITH_RESULT for end in ends)
    others = {end: ends.count(end) for end in ENDED_WITHOUT_RESULT if end in ends}
    rest = "".join(f", {{{end}}} {end}" for end in others)
    return Held(
        criterion=criterion,
        state=State.MET if with_result + others.get("waived", 0) == len(ends) else State.NOT_MET,
        reason=f"{{with a result}} of {{planned}} planned tests ended with a result{rest}.",
        counts={"with a result": with_result, "planned": len(ends)} | others,
    )


def _exclusions_stated(criterion: ExitCriterion, programme: Programme, phase: str) -> Held:
    """An exclusion that is stated has its rationale and risk: the model sees to that. Silence is what can be found."""
    stated = exclusions_in_force(programme, phase)
    excluded = [each.id for each in programme.system.components if each.scope is ComponentScope.EXCLUDED]
    if excluded and not stated:
        return Held(
            criterion=criterion,
            state=State.NOT_MET,
            reason=f"No exclusion is stated, yet these components are excluded: {', '.join(excluded)}.",
        )
    return Held(
        criterion=criterion,
        state=State.MET,
        reason="{exclusions} exclusions are stated, each with its rationale and residual risk; {unagreed} of them are"
        " not agreed.",
        counts={
            "exclusions": len(stated),
            "unagreed": sum(entry.standing is not Standing.AGREED for entry in stated),
        },
    )


def _numbers_agreed(criterion: ExitCriterion, numbers: Sequence[NumberInUse]) -> Held:
    counts = {"numbers": len(numbers)} | {
        str(standing): sum(number.standing is standing for number in numbers) for standing in Standing
    }
    return Held(
        criterion=criterion,
        state=State.MET if counts["agreed"] == len(numbers) else State.NOT_MET,
        reason="Of {numbers} declared numbers in use, {agreed} are agreed, {proposed} proposed, {unverified}"
        " unverified.",
        counts=counts,
    )
