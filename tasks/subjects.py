"""What `MATTER:SUBJECT` means: what is decided on, and the digest or document by which a statement names it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from catalog.canonical import document_digest
from catalog.declarations import Matter, Programme
from catalog.errors import UsageError
from catalog.hints import suggestion
from catalog.ledger import Kind, Record
from catalog.runs import test_runs
from catalog.store import is_digest
from catalog.workspace import Workspace, occasion_of
from expectations.governance import (
    approach_document,
    audit_of,
    declared_document,
    discharge_document,
    plan_document,
    providers_planned,
    requirements_document,
)
from tasks.history import history
from tasks.people import test_facts
from tasks.plan import decide, phases_needed, plan_tests
from tasks.volumes.model import model_volumes
from tasks.withdraw import find

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is decided on: its name, the phase that it is of (empty: none), and the digest or document of it.

    `provider`: the service provider that it is of, empty where it is of none. `made_by`: who recorded it.
    """

    matter: Matter
    name: str
    phase: str = ""
    digest: str = ""
    document: Any = None
    provider: str = ""
    made_by: Record | None = None

    @property
    def of(self) -> str:
        """The digest that a statement about it names."""
        return self.digest or document_digest(self.document)


def find_subject(what: str, programme: Programme, workspace: Workspace, *, environment: str = "") -> Subject:
    """What `MATTER:SUBJECT` means. Raises UsageError for a matter or subject that there is not, with the nearest.

    `environment`: the one that a reliance is decided for, the programme's own where it is empty.
    """
    word, _, name = what.partition(":")
    matters = [matter for matter in Matter if matter is not Matter.ISSUE]
    if word not in matters:
        remedy = f"{suggestion(word, matters)} Give MATTER:SUBJECT, such as plan:{programme.tests.plans[0].id}."
        raise UsageError(f"{what!r} is nothing to be signed", remedy=remedy)
    if word == Matter.RELIANCE:
        return _reliance(name, programme, workspace, environment or programme.programme.default_environment)
    return _FINDERS[Matter(word)](name, programme, workspace)


def _plan(name: str, programme: Programme, _: Workspace) -> Subject:
    plan = _known(name, {each.id: each for each in programme.tests.plans}, "test plan")
    document = plan_document(programme, plan)
    return Subject(matter=Matter.PLAN, name=name, document=document, provider=plan.provider)


def _discharge(name: str, programme: Programme, workspace: Workspace) -> Subject:
    facts: dict[str, tuple[str, Any]] = {}
    for phase in programme.programme.phases:
        reported = newest_report(workspace, phase.id)
        if reported is not None:
            document = workspace.store.document(reported.output("facts") or "")
            facts |= {each.test: (phase.id, each) for each in test_facts(document["tests"])}
    if not facts:
        raise UsageError("no phase is reported, so no test has an end", remedy="`plimsoll run PHASE` first.")
    phase_id, fact = _known(name, facts, "reported test")
    provider = next((plan.provider for plan in programme.tests.plans if plan.id == fact.plan), "")
    document = discharge_document(programme, fact)
    return Subject(matter=Matter.DISCHARGE, name=name, phase=phase_id, document=document, provider=provider)


def _witness(name: str, _: Programme, workspace: Workspace) -> Subject:
    runs = {run.run: run for run in test_runs(workspace.ledger.records())}
    run = _known(name, runs, "test run")
    return Subject(matter=Matter.WITNESS, name=name, phase=run.occasion, digest=run.record.digest)


def _requirements(name: str, programme: Programme, _: Workspace) -> Subject:
    providers = providers_planned(programme.tests.plans)
    _known(name, dict.fromkeys(providers, name), "service provider with a test plan")
    document = requirements_document(programme, name)
    return Subject(matter=Matter.REQUIREMENTS, name=name, document=document, provider=name)


def _approach(name: str, programme: Programme, _: Workspace) -> Subject:
    _known(name or "document", {"document": None}, "approach document but")
    return Subject(matter=Matter.APPROACH, name="document", document=approach_document(programme))


def _assurance(name: str, programme: Programme, _: Workspace) -> Subject:
    found = _known(name, {each.id: each for each in programme.governance.assurances}, "assurance")
    return Subject(matter=Matter.ASSURANCE, name=name, document=declared_document(found))


def _exclusion(name: str, programme: Programme, _: Workspace) -> Subject:
    found = _known(name, {each.id: each for each in programme.scope.exclusions}, "exclusion")
    return Subject(matter=Matter.EXCLUSION, name=name, document=declared_document(found))


def _audit(name: str, programme: Programme, workspace: Workspace) -> Subject:
    """The audit as it is declared, or, once the phase is reported, that report."""
    find_phase_id(name, programme)
    declared = audit_of(programme, name)
    if declared is None:
        raise UsageError(f"no audit is declared for {name}", remedy="Declare it under 'audits' in governance.yaml.")
    reported = newest_report(workspace, name)
    if reported is None:
        return Subject(matter=Matter.AUDIT, name=name, phase=name, document=declared_document(declared))
    return _of_report(Matter.AUDIT, name, name, reported)


def _clause(name: str, programme: Programme, workspace: Workspace) -> Subject:
    phase, _, clause = name.partition("/")
    find_phase_id(phase, programme)
    _known(clause, {each.id: each for each in programme.governance.clauses}, "clause")
    return _of_report(Matter.CLAUSE, name, phase, _report(workspace, phase))


def _criterion(name: str, programme: Programme, workspace: Workspace) -> Subject:
    phase, _, criterion = name.partition("/")
    find_phase_id(phase, programme)
    known = [each for each in programme.programme.exit_criteria if not each.phases or phase in each.phases]
    _known(criterion, {each.id: each for each in known}, f"exit criterion of {phase}")
    return _of_report(Matter.CRITERION, name, phase, _report(workspace, phase))


def _phase(name: str, programme: Programme, workspace: Workspace) -> Subject:
    find_phase_id(name, programme)
    return _of_report(Matter.PHASE, name, name, _report(workspace, name))


def _record(name: str, _: Programme, workspace: Workspace) -> Subject:
    """A record by what names it, or an artefact by its whole digest."""
    if is_digest(name) and workspace.store.has(name):
        return Subject(matter=Matter.RECORD, name=name, digest=name)
    found = find(workspace.ledger.records(), name)
    return Subject(matter=Matter.RECORD, name=found.digest, digest=found.digest, made_by=found)


def _reliance(name: str, programme: Programme, workspace: Workspace, environment: str) -> Subject:
    """The decision that a test rests on an earlier run, as `plan` has it now. Raises UsageError where it needs none."""
    phase = name.partition(".")[0]
    find_phase_id(phase, programme)
    found = {each.id: each for each in programme.environments}
    volumes = {each: model_volumes(programme, each) for each in phases_needed(programme, phase)}
    place = _known(environment, found, "environment")
    tests = {each.test: each for each in plan_tests(programme, phase, place, volumes, occasion=phase)}
    decided = decide(
        programme, _known(name, tests, f"planned test of {phase}"), history(workspace, programme, day=_today())
    )
    if not decided.statement:
        raise UsageError(
            f"{name} rests on nothing that needs an approval", remedy=f"It is to {decided.decision}: {decided.why}."
        )
    made_by = decided.against.record if decided.against else None
    return Subject(matter=Matter.RELIANCE, name=name, phase=phase, document=dict(decided.statement), made_by=made_by)


_FINDERS: dict[Matter, Callable[[str, Programme, Workspace], Subject]] = {
    Matter.PLAN: _plan,
    Matter.DISCHARGE: _discharge,
    Matter.WITNESS: _witness,
    Matter.REQUIREMENTS: _requirements,
    Matter.APPROACH: _approach,
    Matter.ASSURANCE: _assurance,
    Matter.EXCLUSION: _exclusion,
    Matter.AUDIT: _audit,
    Matter.CLAUSE: _clause,
    Matter.CRITERION: _criterion,
    Matter.PHASE: _phase,
    Matter.RECORD: _record,
}


def _today() -> str:
    """Today, as approvals are held against it: ISO 8601, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%d")


def _of_report(matter: Matter, name: str, phase: str, reported: Record) -> Subject:
    return Subject(matter=matter, name=name, phase=phase, digest=reported.output("report.json") or "")


def _report(workspace: Workspace, phase: str) -> Record:
    reported = newest_report(workspace, phase)
    if reported is None:
        raise UsageError(
            f"{phase} is not reported yet, so nothing can be decided on", remedy=f"`plimsoll run {phase}` first."
        )
    return reported


def newest_report(workspace: Workspace, phase: str) -> Record | None:
    """The record of a phase's newest report; None until there is one."""
    found = [each for each in workspace.select(Kind.REPORTED) if occasion_of(each) == phase]
    return found[-1] if found else None


def find_phase_id(name: str, programme: Programme) -> None:
    """Raises UsageError for a phase that there is not, with the nearest."""
    _known(name, {each.id: each for each in programme.programme.phases}, "phase")


def _known(name: str, known: Mapping[str, Found], what: str) -> Found:
    if name in known:
        return known[name]
    raise UsageError(f"there is no {what} {name!r}", remedy=suggestion(name, list(known)))
