"""How things stand that people decide on: plans, requirements, assurances, audits, the approach document, issues.

Each is held against the decisions on exactly what is declared now: whatever was decided on an earlier form of it does
not count, and is told apart. No clock is read: a decision has expired by the time of the ledger's newest record.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.canonical import document_digest
from catalog.decisions import Decision, newest
from catalog.declarations import (
    AUDIT_REPORTED,
    Assurance,
    Audit,
    ComponentScope,
    Exclusion,
    Matter,
    Programme,
    Requirement,
    SeverityThreshold,
    TestPlan,
)
from catalog.issues import Issue, issues

_ENDING = frozenset({"signed-off", "rejected"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TestFact:
    """What became of a planned test, as far as people decide on it.

    `stands`: the digest of the record that its result rests on, empty without one. `began`: when its first run in this
    phase began, ISO 8601; empty when none did.
    """

    __test__ = False  # not a test class, whatever its name makes pytest think

    test: str
    plan: str
    end: str
    stands: str = ""
    runs: tuple[str, ...] = ()
    began: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """What people decided, oldest first, and what they decided on. `at`: the time of the ledger's newest record."""

    decisions: Sequence[Decision] = ()
    tests: Sequence[TestFact] = ()
    at: str = ""

    def of(self, matter: Matter, subject: str, document: Any) -> Decision | None:
        """The newest decision on a subject in the form of this document; None when there is none that holds."""
        return newest(self.decisions, matter, subject, of=document_digest(document), at=self.at)

    def about(self, matter: Matter, subject: str) -> list[Decision]:
        """Every decision on a subject that was not withdrawn and has not expired, whatever form it was on."""
        return [
            each
            for each in self.decisions
            if (each.matter, each.subject) == (matter, subject) and not each.withdrawn and not each.has_expired(self.at)
        ]

    def issues(self) -> list[Issue]:
        """The testing issues among the decisions."""
        return issues(self.decisions)


# --- what is decided on, as documents whose digests decisions name ---


def plan_document(programme: Programme, plan: TestPlan) -> dict[str, Any]:
    """A test plan with the conduct of its tests: a change of either is another plan to be signed off."""
    profiles = [profile for profile in programme.tests.profiles if profile.id in plan.tests]
    return {"plan": plan.model_dump(mode="json"), "profiles": [each.model_dump(mode="json") for each in profiles]}


def requirements_of(programme: Programme, provider: str) -> list[Requirement]:
    """The requirements that the tested components of a service provider are held to."""
    roles = {
        each.role
        for each in programme.system.components
        if each.provider == provider and each.scope is ComponentScope.TESTED
    }
    return [each for each in programme.requirements if roles.intersection(each.scope.roles)]


def requirements_document(programme: Programme, provider: str) -> dict[str, Any]:
    """What is decided on where a provider's requirements are found suitable."""
    found = requirements_of(programme, provider)
    return {"provider": provider, "requirements": [each.model_dump(mode="json") for each in found]}


def approach_document(programme: Programme) -> dict[str, Any]:
    """The approach document, as far as its approval is of it: title, version and date."""
    document = programme.programme.approach_document
    return {name: getattr(document, name) for name in ("title", "version", "date")}


def declared_document(entry: Assurance | Exclusion | Audit) -> dict[str, Any]:
    """An assurance, exclusion or audit as it is declared."""
    return entry.model_dump(mode="json")


def discharge_document(programme: Programme, fact: TestFact) -> dict[str, Any]:
    """A planned test's end and what it rests on, with the plan that it discharges."""
    plan = next((each for each in programme.tests.plans if each.id == fact.plan), None)
    planned = document_digest(plan_document(programme, plan)) if plan else ""
    return {"test": fact.test, "plan": planned, "end": fact.end, "stands": fact.stands}


# --- how they stand ---


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanState:
    """A plan and the newest decisions of each kind on it as it is declared now.

    `ended`: the newest by which it was signed off or rejected. `earlier`: one by which an earlier form of it was.
    `late`: tests of which a run began before that sign-off.
    """

    plan: TestPlan
    submitted: Decision | None
    reviewed: Decision | None
    ended: Decision | None
    earlier: Decision | None
    late: tuple[str, ...] = ()

    @property
    def is_signed_off(self) -> bool:
        """Whether it was signed off as it is declared now, and not rejected since."""
        return self.ended is not None and self.ended.decision == "signed-off"


def plan_state(programme: Programme, plan: TestPlan, people: People) -> PlanState:
    """How a plan stands."""
    of = document_digest(plan_document(programme, plan))
    about = people.about(Matter.PLAN, plan.id)
    mine = [each for each in about if each.of == of]
    ended = _last(mine, _ENDING)
    signed = decided_on(ended) if ended and ended.decision == "signed-off" else ""
    return PlanState(
        plan=plan,
        submitted=_last(mine, {"submitted"}),
        reviewed=_last(mine, {"reviewed"}),
        ended=ended,
        earlier=_last([each for each in about if each.of != of], _ENDING),
        late=tuple(
            each.test for each in people.tests if each.plan == plan.id and signed and each.began and each.began < signed
        ),
    )


def signed_plans(programme: Programme, people: People) -> frozenset[str]:
    """The ids of the plans that are signed off as they are declared now."""
    return frozenset(plan.id for plan in programme.tests.plans if plan_state(programme, plan, people).is_signed_off)


def decided_on(decision: Decision) -> str:
    """When something was decided: the day that the decision gives, else the time at which it was signed."""
    return decision.details.get("dated", "") or decision.time


def audit_of(programme: Programme, phase: str) -> Audit | None:
    """The audit declared for a phase; None when there is none."""
    return next((each for each in programme.governance.audits if each.phase == phase), None)


def audit_report(people: People, phase: str) -> Decision | None:
    """The newest report of a phase's auditor; None until there is one."""
    return _last(people.about(Matter.AUDIT, phase), AUDIT_REPORTED)


def assurances_in_force(programme: Programme, phase: str) -> list[Assurance]:
    """The assurances that a phase needs, in the order declared."""
    return [each for each in programme.governance.assurances if not each.phases or phase in each.phases]


def thresholds_in_force(programme: Programme, phase: str) -> dict[int, SeverityThreshold]:
    """The thresholds of a phase by severity."""
    found = programme.governance.thresholds
    return {each.severity: each for each in found if not each.phases or phase in each.phases}


def providers_planned(plans: Iterable[TestPlan]) -> list[str]:
    """The service providers that these plans are of, each once, in order."""
    return list(dict.fromkeys(plan.provider for plan in plans))


def _last(found: Sequence[Decision], wanted: Iterable[str]) -> Decision | None:
    names = set(wanted)
    return next((each for each in reversed(found) if each.decision in names), None)
