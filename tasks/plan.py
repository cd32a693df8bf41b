"""Plans a capability phase: which tests are executed, which rest on earlier evidence, which are complete, and why.

Changes nothing. What an execution depends on is put together here as its key document; what may be left out of it on
purpose (id, phase, success criteria, times, hosts, run ids, the repository's commit) is left out here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fractions import Fraction
from typing import Any, assert_never

from catalog import rules
from catalog.approvals import Approval, reliance_statement, statement_digest
from catalog.canonical import digest, document_digest
from catalog.decimals import decimal_text
from catalog.declarations import (
    Component,
    ComponentScope,
    Environment,
    EnvironmentKind,
    InjectorKind,
    Profile,
    Programme,
    Reliance,
    RelianceScope,
    TestPlan,
)
from catalog.errors import EvidenceError, UsageError
from catalog.extensions import Point, used
from catalog.ledger import Kind, Record
from catalog.lineage import told
from catalog.runs import RunState, TestRun
from catalog.store import ObjectStore
from expectations.reliance import Answer, Candidate, Compared, answer, approved, compare_keys, members, needs_approval
from expectations.verdicts import CLOSED_LOOP, is_closed_loop
from tasks.arrivals import GENERATOR, offer_of, offered_messages, released_messages, seed_for
from tasks.course import highest, rising
from tasks.labels import parted
from tasks.stand_up import acknowledged_paths, codecs_beyond, entry_codec, responses
from tasks.volumes.model import Volume, followed_labels, target_volumes, traffic_names, window_us

_OUTSIDE_DEFINITION = {"id", "type", "title", "standing", "source", "arrivals", "outage"}
"""What a profile's definition does not hold in a key: arrivals' shape and an outage stand apart, by value."""


class Decision(StrEnum):
    """What will become of a planned test."""

    EXECUTE = "execute"
    RELY = "rely"
    COMPLETE = "complete"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTest:
    """One planned test: what it is, how many messages it offers (at the target volume), and its execution's key.

    `occasion`: what it is executed for and counted within; a capability phase, or a regression's date.
    """

    test: str
    phase: str
    occasion: str
    plan: TestPlan
    profile: Profile
    component: Component
    messages: int
    key: dict[str, Any]
    key_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A planned test with what will become of it and the inputs that decided so.

    `statement`: the decision that a person has to approve, where the rule asks for that; `approval`: what approves it.
    `against`: the run that it was compared with, whether it stands or not.
    """

    planned: PlannedTest
    decision: Decision
    why: str
    reasons: tuple[Compared, ...]
    stands: TestRun | None = None
    answer: Answer | None = None
    same: tuple[Compared, ...] = ()
    statement: Mapping[str, str] = field(default_factory=dict)
    approval: Approval | None = None
    against: TestRun | None = None

    @property
    def compared(self) -> tuple[Compared, ...]:
        """Every input that was compared, those that decided first; `same` are those of a run that stands."""
        if self.answer is None:
            return (*self.reasons, *self.same)
        told = {each.input for each in self.answer.compared}
        return (*(each for each in self.reasons if each.input not in told), *self.answer.compared)

    def as_json(self) -> dict[str, Any]:
        """The decision as `plan --json` gives it."""
        planned = self.planned
        return {
            "test": planned.test,
            "component": planned.component.id,
            "role": planned.component.role,
            "type": planned.profile.type.value,
            "name": planned.profile.id,
            "plan": planned.plan.id,
            "decision": self.decision.value,
            "why": self.why,
            "reasons": [{"input": each.input, "old": each.old, "new": each.new} for each in self.reasons],
            **({"approval": self._approval()} if self.statement else {}),
        }

    def _approval(self) -> dict[str, Any]:
        """What is to be approved, and by which record it is; `plans` that are approved approve what they name here."""
        digest = statement_digest(self.statement)
        return {
            "decision": digest,
            "statement": dict(self.statement),
            "record": self.approval.record if self.approval else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is known of earlier runs. `verdict` holds a run against the requirements now in force, and `deciding` gives
    the requirements that are not proved by it, as each stood when it was executed and as it stands now.

    `verdict` returns "proved", "not proved" or "inconclusive", and for the last the causes outside the figure (load not
    offered, metrics missing, system unreachable), empty when there are none: they alone let a finished run be repeated.
    `withdrawals`: of what is in `withdrawn`, the withdrawal that it is so by. `relied`: the record of the run that a
    test was last let rest on, by occasion and test; `since`: the day (ISO, UTC) when it first was, by occasion, test
    and that record; `refused`: by the same, who withdrew that decision, when and why. `day`: on which it is decided.
    `signed`: the ids of the plans that are signed off as they are declared now.
    """

    runs: tuple[TestRun, ...]
    withdrawn: frozenset[str]
    store: ObjectStore
    verdict: Callable[[TestRun], tuple[str, str]]
    deciding: Callable[[TestRun], tuple[Compared, ...]] = lambda _: ()
    withdrawals: Mapping[str, Record] = field(default_factory=dict)
    relied: Mapping[tuple[str, str], str] = field(default_factory=dict)
    since: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    refused: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    approvals: tuple[Approval, ...] = ()
    day: str = ""
    signed: frozenset[str] = frozenset()
    by_test: dict[tuple[str, str], list[TestRun]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def of(self, test: str, occasion: str) -> list[TestRun]:
        """The runs of a test within an occasion, in order."""
        if not self.by_test:
            for run in self.runs:
                self.by_test.setdefault((run.test, run.occasion), []).append(run)
        return self.by_test.get((test, occasion), [])

    def withdrawal_of(self, run: TestRun) -> str:
        """Who withdrew a run's evidence, when and why; empty when nobody did."""
        names = [run.record.digest, *(output.digest for output in run.record.outputs)]
        if self.withdrawn.isdisjoint(names):
            return ""
        found = next((self.withdrawals[name] for name in names if name in self.withdrawals), None)
        if found is None:
            return "withdrawn"
        itself = any(item.digest in names for item in found.inputs)
        return told(found) if itself else f"it rests on what was {told(found)}"


def plan_tests(
    programme: Programme, phase: str, environment: Environment, volumes: dict[str, list[Volume]], *, occasion: str
) -> list[PlannedTest]:
    """The tests that the service providers' plans hold for a phase, in the order of the plans.

    `volumes` maps each phase named by a plan's `volumes_of` to its volume rows. Raises UsageError naming every test for
    which the environment's estate is too small.
    """
    profiles = {profile.id: profile for profile in programme.tests.profiles}
    planned = [
        _planned(programme, phase, environment, plan, profiles[name], volumes[plan.volumes_of], occasion)
        for plan in programme.tests.plans
        if phase in plan.phases
        for name in plan.tests
    ]
    refuse_small_estate(environment, planned)
    return planned


def most_offered(planned: PlannedTest) -> int:
    """How many messages a test may offer, all its steps together."""
    return sum(_offered(planned.key, multiple) for multiple in _multiples(planned.profile))


def _multiples(profile: Profile) -> list[Fraction]:
    """What a test offers one after the other, where a search is carried to its top; else its runs, all of them."""
    if profile.comparison is not None:
        return [Fraction(1)] * (2 * profile.comparison.runs)
    return rising(profile.ramp) if profile.ramp else [highest(profile)]


def _offered(key: dict[str, Any], multiple: Fraction = Fraction(1)) -> int:
    return sum(offered_messages(key, multiple=multiple).values()) + sum(released_messages(key).values())


def refuse_small_estate(environment: Environment, planned: list[PlannedTest]) -> None:
    """Raises UsageError where a device would be asked again before its last message was answered or timed out."""
    opened = [each for each in planned if not is_closed_loop(each.key["inputs"]["injector"])]
    needed = {each.test: _devices_needed(each) for each in opened if each.messages}
    short = [each for each in planned if needed.get(each.test, 0) > environment.estate]
    if short:
        lines = [f"  {_load(each)}: it needs {needed[each.test]:,} devices" for each in short]
        message = (
            f"{environment.id}: an estate of {environment.estate:,} devices is too small for one message at a time"
        )
        remedy = (
            f"Declare 'estate: {max(needed.values())}' or more for {environment.id} in environments.yaml, "
            "or a shorter 'timeout' in tests.yaml."
        )
        raise UsageError("\n".join([f"{message}:", *lines]), remedy=remedy)


def _devices_needed(planned: PlannedTest) -> int:
    return sum(offer_of(planned.key, multiple=highest(planned.profile)).devices_needed.values())


def _load(planned: PlannedTest) -> str:
    most = _offered(planned.key, highest(planned.profile))
    rate = decimal(Fraction(most * 1_000_000, planned.key["inputs"]["offered_us"]))
    return f"{planned.test} offers {rate} messages a second, each for up to {planned.profile.timeout:,} µs"


def decide(programme: Programme, planned: PlannedTest, history: History, *, again: str = "") -> Decided:
    """What will become of one planned test. `again`: the reason for executing it anew, when somebody asked for that.

    Whatever would be executed is blocked while its plan is not signed off, but in a rehearsal.
    """
    decided = _decide(programme, planned, history, again)
    kind = planned.key["inputs"]["environment"]["kind"]
    if decided.decision is not Decision.EXECUTE or kind == EnvironmentKind.REHEARSAL:
        return decided
    return decided if planned.plan.id in history.signed else _unsigned(planned)


def _unsigned(planned: PlannedTest) -> Decided:
    why = f"its test plan {planned.plan.id} is not signed off as it is declared now"
    reason = Compared(input=f"test plan {planned.plan.id}", old="signed-off", new="not signed off", allows=False)
    return Decided(planned=planned, decision=Decision.BLOCKED, why=why, reasons=(reason,))


def _decide(programme: Programme, planned: PlannedTest, history: History, again: str) -> Decided:
    if not planned.messages:
        why = "the volume model gives it no message to offer"
        return Decided(planned=planned, decision=Decision.BLOCKED, why=why, reasons=())
    own = history.of(planned.test, planned.occasion)
    stands = standing(planned, own, history)
    if again:
        return _execute(planned, f"asked for again: {again}", Compared(input="again", old="", new=again, allows=False))
    if stands is not None:
        return _stands(planned, stands, history)
    rule = programme.programme.reliance
    answered = answer(rule, planned.key, _candidates(programme, planned, history), day=history.day)
    if answered.relies and not _ended(planned, own, history, RunState.FINISHED):
        return _rely(rule, planned, answered, history)
    return _first_or_changed(planned, own, answered, history)


def standing(planned: PlannedTest, own: list[TestRun], history: History) -> TestRun | None:
    """The run that stands for this test in this occasion: the newest finished one under the same key.

    One that could not be tested, or was interrupted, stands only where none finished: trying again against a system
    that is down takes nothing back. Withdrawn ones do not count. Where the newest is damaged none stands, not the one
    before it, or losing a file would bring an older verdict back.
    """
    found = next(filter(None, (_ended(planned, own, history, how) for how in _STANDING)), [])
    return found[-1] if found and _is_intact(found[-1], history) else None


_STANDING = (RunState.FINISHED, RunState.UNREACHABLE, RunState.INTERRUPTED)


def _ended(planned: PlannedTest, own: list[TestRun], history: History, how: RunState) -> list[TestRun]:
    """The runs whose end is recorded, that ended so under the same key in this occasion, and were not withdrawn."""
    recorded = (run for run in own if run.record.kind is not Kind.STARTED)
    same = [run for run in recorded if run.stands_for == planned.key_digest and run.state is how]
    return [run for run in same if not _is_withdrawn(run, history)]


def rate_factor(environment: Environment, component: str) -> Fraction:
    """The factor on a component's target rate: its own, else the environment's default, else 1."""
    rates = environment.rates
    return Fraction(rates.get(component, rates.get("default", 1)))


def decimal(factor: Fraction) -> str:
    """A factor as a decimal string: exact where it has an end, else to six places."""
    try:
        return decimal_text(factor)
    except ValueError:
        return decimal_text(factor, 6)


def offered_us(environment: Environment, profile: Profile) -> int:
    """How long a test's load (for stress: each step of it) is offered in this environment, in microseconds."""
    return environment.durations.get(profile.type, profile.duration)


def execution_key(
    programme: Programme,
    phase: str,
    environment: Environment,
    component: Component,
    profile: Profile,
    target: dict[str, int],
) -> dict[str, Any]:
    """The key document of an execution: everything that its results depend on, by value.

    `phase` decides nothing but which components are in the scope of testing, where the rule asks about all of them.
    """
    emulated = environment.components.get(component.id)
    follows = followed_labels(programme, target)
    injector = environment.injector_for(profile.type)
    beyond = codecs_beyond(programme, component, sorted({parted(label)[0] for label in target}))
    entry = entry_codec(programme, component.id)
    return {
        "stage": "execute",
        "rules": [rules.EXECUTE, rules.ARRIVALS],
        "inputs": {
            "test": {
                "role": component.role,
                "type": profile.type.value,
                "name": profile.id,
                "definition": profile.model_dump(mode="json", exclude=_OUTSIDE_DEFINITION, exclude_none=True),
            },
            "components": _components(programme, phase, component),
            "interfaces": {
                "entry": entry,
                "beyond": beyond,
                **responses(programme, environment, component, beyond),
            },
            "environment": {
                "id": environment.id,
                "kind": environment.kind.value,
                "size": environment.size,
                "emulation": emulated.model_dump(mode="json") if emulated else None,
                "entry": environment.entries.get(component.id),
                "connections": environment.connections,
                "max_connections": environment.max_connections,
                **_sources(environment, component),
                **_scaled(environment, component, profile),
                **({"receive": environment.receive.listen} if environment.receive else {}),
                **_injector(programme, environment, injector),
            },
            "offered_us": offered_us(environment, profile),
            "factors": {
                "compression": decimal(Fraction(profile.duration, offered_us(environment, profile))),
                "rate": decimal(rate_factor(environment, component.id)),
            },
            "volumes": {"window_us": window_us(programme), "messages": target},
            "injector": _named(injector),
            "arrivals": _arrivals(environment, component, profile, injector, follows),
            **_extensions(environment, component, injector, [entry, *filter(None, beyond.values())]),
            **_outage(programme, profile),
            **_compared(programme, environment, component, profile, target, follows),
        },
    }


def _outage(programme: Programme, profile: Profile) -> dict[str, Any]:
    """The outage whose queued demand a catch-up test releases, by value."""
    declared = next((each for each in programme.volumes.catch_up if each.id == profile.outage), None)
    if declared is None:
        return {}
    kept = programme.assumption(declared.kept).value
    return {"outage": {"length_us": declared.outage, "kept": decimal(Fraction(kept))}}


def _compared(
    programme: Programme,
    environment: Environment,
    component: Component,
    profile: Profile,
    target: dict[str, int],
    follows: Mapping[str, str],
) -> dict[str, Any]:
    """What a regression test compares: the baseline, and those messages of which all the traffic is compared.

    Messages that follow others are left out where those are: the baseline could not offer them as today's system does.
    """
    if profile.comparison is None:
        return {}
    traffic, names = traffic_names(programme), set(profile.comparison.traffic)
    emulated = environment.baselines.get(component.id)
    own = {label for label in target if traffic[parted(label)[:2]] <= names}
    acknowledged = acknowledged_paths(programme, component, emulated, sorted({parted(label)[0] for label in target}))
    return {
        "baseline": {
            "emulation": emulated.model_dump(mode="json") if emulated else None,
            "entry": environment.baseline_entries.get(component.id),
            "messages": sorted(label for label in own if follows.get(label, label) in own),
            **({"acknowledges": acknowledged} if acknowledged else {}),
        }
    }


def _sources(environment: Environment, component: Component) -> dict[str, Any]:
    """Where infrastructure metrics come from, as it decides what is measured; absent where nothing is declared.

    The name of a token decides nothing, as those of certificates do not.
    """
    scraped, others = environment.prometheus.get(component.id, ()), environment.metrics.get(component.id, ())
    told = {
        "prometheus": [each.model_dump(mode="json", exclude={"token"}) for each in scraped],
        "metrics": [each.model_dump(mode="json") for each in others],
    }
    return {name: sources for name, sources in told.items() if sources}


def _scaled(environment: Environment, component: Component, profile: Profile) -> dict[str, Any]:
    """Who changes a real system's capacity; absent where nobody does, or nothing is to change."""
    url = environment.scaled_by.get(component.id) if profile.scaling else None
    return {"scaled_by": url} if url else {}


def _arrivals(
    environment: Environment,
    component: Component,
    profile: Profile,
    injector: str,
    follows: Mapping[str, str],
) -> dict[str, Any]:
    """What draws a test's messages; a closed loop has none, and the seed is for what is drawn to judge it."""
    seed = {"seed": seed_for(environment.seed, component.role, profile.type.value, profile.id)}
    if injector == InjectorKind.LOCUST:
        return seed
    return {
        "generator": GENERATOR,
        **seed,
        "shape": profile.arrivals.model_dump(mode="json", exclude_none=True),
        "estate": environment.estate,
        "hold_us": profile.timeout,
        **({"follows": follows} if follows else {}),
    }


def _injector(programme: Programme, environment: Environment, injector: str) -> dict[str, Any]:
    """What the environment declares for an injector that is not the house's own: a script by the bytes of its files."""
    if injector == InjectorKind.LIBCURL:
        proxy = environment.proxy.url if environment.proxy else None
        return {"injector": {"http": environment.http.value, "proxy": proxy}}
    if injector == InjectorKind.LOCUST and environment.locust is not None:
        locust = environment.locust
        files = {name: digest(programme.scripts[name].encode()) for name in (locust.script, *locust.files)}
        declared = locust.model_dump(mode="json", include={"script", "users", "spawn_rate", "requests"})
        return {"injector": {**declared, "files": files}}
    options = dict(environment.injector_options)
    return {"injector": {"options": options}} if options else {}


def _named(injector: str) -> str:
    """How keys and run documents name an injector. One that is installed offers what is due, as the own does."""
    return f"{injector}, {CLOSED_LOOP if injector == InjectorKind.LOCUST else 'open loop'}"


def _extensions(environment: Environment, component: Component, injector: str, codecs: Iterable[str]) -> dict[str, Any]:
    """What an execution uses that is installed beside Plimsoll, by version and digest; absent where it uses nothing."""
    sources = [each.source for each in environment.sources_of(component.id)]
    wanted = {Point.INJECTORS: [injector], Point.CODECS: list(codecs), Point.METRIC_SOURCES: sources}
    found = used(wanted)
    return {"extensions": found} if found else {}


def _components(programme: Programme, phase: str, component: Component) -> dict[str, Any]:
    """The components that must be unchanged: those that handle the messages themselves, or all in scope of testing.

    Phases are cumulative: in scope is what this phase or one before it holds to requirements, so that a new phase's
    new component is a change.
    """
    match programme.programme.reliance.scope:
        case RelianceScope.PATH:
            handling = [component]
        case RelianceScope.PROGRAMME:
            held = _held(programme, phase)
            tested = (each for each in programme.system.components if each.scope is ComponentScope.TESTED)
            handling = [each for each in tested if each.id in held]
        case _:
            assert_never(programme.programme.reliance.scope)
    return {
        each.id: {
            "version": each.version,
            "artefact": each.artefact,
            "configuration": dict(each.configuration),
            "solution": each.solution.name,
        }
        for each in handling
    }


def _held(programme: Programme, phase: str) -> set[str]:
    order = [each.id for each in programme.programme.phases]
    so_far = programme.programme.phases[: order.index(phase) + 1]
    return {name for each in so_far for name in each.components}


def _planned(
    programme: Programme,
    phase: str,
    environment: Environment,
    plan: TestPlan,
    profile: Profile,
    volumes: list[Volume],
    occasion: str,
) -> PlannedTest:
    component = programme.component(plan.component)
    target = target_volumes(programme, volumes, component.id)
    key = execution_key(programme, phase, environment, component, profile, target)
    return PlannedTest(
        test=f"{phase}.{component.id}.{profile.id}",
        phase=phase,
        occasion=occasion,
        plan=plan,
        profile=profile,
        component=component,
        messages=_offered(key),
        key=key,
        key_digest=document_digest(key),
    )


def _is_withdrawn(run: TestRun, history: History) -> bool:
    return bool(history.withdrawal_of(run))


def _is_intact(run: TestRun, history: History) -> bool:
    """Whether what it was keyed on and all that it put out can be read."""
    names = [run.key, *(output.digest for output in run.record.outputs)]
    return all(name is not None and history.store.intact(name) for name in names)


_STANDS = "a finished run stands within its phase, and a changed requirement executes nothing there"


def _stands(planned: PlannedTest, run: TestRun, history: History) -> Decided:
    verdict, outside = history.verdict(run)
    if run.state is RunState.FINISHED and (run.received or not outside):
        how = "was received for the test as it is planned" if run.received else "finished under the same key"
        why = f"run {run.run} {how}: {verdict}"
        return Decided(
            planned=planned,
            decision=Decision.COMPLETE,
            why=why if verdict == "proved" else f"{why}; {_STANDS}",
            reasons=history.deciding(run),
            stands=run,
            against=run,
            same=tuple(
                Compared(input=name, old=value, new=value, allows=True)
                for name, value in sorted(members(planned.key).items())
            ),
        )
    cause = outside or run.state.value
    again = Compared(input=f"run {run.run}", old=cause, new="to be repeated", allows=False)
    return _execute(planned, f"repeated: {cause}", again, against=run)


_UNCHANGED = "nothing that the rule compares has changed"
_FALLEN = "its target volumes do not exceed those proved, and nothing else that the rule compares has changed"


def _rely(rule: Reliance, planned: PlannedTest, answered: Answer, history: History) -> Decided:
    candidate = answered.candidate
    assert candidate is not None  # noqa: S101  # an answer that relies has a candidate
    run = next(each for each in history.runs if each.record.digest == candidate.record)
    decided = Decided(
        planned=planned,
        decision=Decision.RELY,
        why=f"rests on run {candidate.run}: {_FALLEN if answered.fallen else _UNCHANGED}",
        reasons=answered.compared,
        stands=run,
        answer=answered,
        against=run,
    )
    if rule.approval is None or not needs_approval(rule, planned.key):
        return decided
    statement = reliance_statement(
        test=planned.test, occasion=planned.occasion, executed=candidate.record, key=planned.key_digest
    )
    digest = statement_digest(statement)
    offered = [each for each in history.approvals if each.of == digest or _plans(each.of, digest, history.store)]
    day = candidate.since or history.day
    approval, told_of = approved(rule.approval.by, digest, offered, run.record.actor, day)
    decided = replace(decided, statement=statement, approval=approval, reasons=(told_of, *answered.compared))
    if approval is None:
        why = f"approval missing: {told_of.new}" if offered else "approval missing"
        why += f"; nothing else is in the way of resting on run {candidate.run}, and {rule.approval.by} has to approve"
        return replace(decided, decision=Decision.BLOCKED, why=f"{why} decision {digest}")
    return replace(decided, why=f"{decided.why}; approved {told_of.new}")


def _plans(of: str, decision: str, store: ObjectStore) -> bool:
    """Whether `of` is a plan that holds the decision: whoever approves a plan approves what is decided in it."""
    try:
        entries = store.document(of) if store.intact(of) else None
    except EvidenceError:  # no document: what else was approved is nobody's plan
        return False
    if not isinstance(entries, list):
        return False
    named = (each.get("approval") for each in entries if isinstance(each, dict))
    return any(isinstance(each, dict) and each.get("decision") == decision for each in named)


def _first_or_changed(planned: PlannedTest, own: list[TestRun], answered: Answer, history: History) -> Decided:
    earlier = [run for run in own if run.state is RunState.FINISHED and run.stands_for]
    if not earlier:
        why = f"{own[-1].state.value}: {own[-1].run}" if own else "never executed in this phase"
        if fallen := withdrawn_reliance(planned, history):
            run, how = fallen
            gone = Compared(input=f"run {run.run}, relied on", old="recorded", new=how, allows=False)
            return Decided(
                planned=planned,
                decision=Decision.EXECUTE,
                why=f"the evidence that it was relied on was withdrawn: {run.run}",
                reasons=(gone, *answered.in_the_way),
                same=tuple(each for each in answered.compared if each.allows),
                against=run,
            )
        if answered.candidate and answered.only_unproved:
            why += (
                f"; run {answered.candidate.run} is {answered.candidate.verdict} under the requirements now in force, "
                "and only proved evidence may be relied on"
            )
        candidate = answered.candidate
        found = (run for run in history.runs if candidate and run.record.digest == candidate.record)
        return _execute(planned, why, *answered.in_the_way, answered=answered, against=next(found, None))
    last = earlier[-1]
    if how := history.withdrawal_of(last):
        gone = Compared(input=f"run {last.run}", old="recorded", new=how, allows=False)
        return _execute(planned, f"its evidence was withdrawn: {last.run}", gone, against=last)
    if not history.store.intact(last.stands_for or ""):
        gone = Compared(input=f"key of run {last.run}", old="recorded", new="damaged or missing", allows=False)
        return _execute(planned, f"what {last.run} was keyed on cannot be read", gone, against=last)
    compared = compare_keys(history.store.document(last.stands_for or ""), planned.key)
    reasons = [each for each in compared if not each.allows]
    if not reasons:
        reasons = [Compared(input=f"run {last.run}", old="recorded", new="evidence damaged or missing", allows=False)]
    changed = _execute(planned, f"changed since {last.run}", *reasons, against=last)
    return replace(changed, same=tuple(each for each in compared if each.allows))


def withdrawn_reliance(planned: PlannedTest, history: History) -> tuple[TestRun, str] | None:
    """The run that the test was last let rest on in this occasion, and who withdrew it, or the decision to, since."""
    place = (planned.occasion, planned.test)
    name = history.relied.get(place, "")
    run = next((run for run in history.runs if run.record.digest == name), None)
    if run is None:
        return None
    how = history.withdrawal_of(run) or history.refused.get((*place, name), "")
    return (run, how) if how else None


def withdrawn_run(planned: PlannedTest, history: History) -> TestRun | None:
    """The newest finished run of the test, as it is planned, whose evidence was withdrawn."""
    mine = (planned.occasion, planned.test, planned.key_digest, RunState.FINISHED)
    own = [run for run in history.runs if (run.occasion, run.test, run.stands_for, run.state) == mine]
    return next((run for run in reversed(own) if history.withdrawal_of(run)), None)


def _execute(
    planned: PlannedTest,
    why: str,
    *reasons: Compared,
    answered: Answer | None = None,
    against: TestRun | None = None,
) -> Decided:
    return Decided(
        planned=planned, decision=Decision.EXECUTE, why=why, reasons=reasons, answer=answered, against=against
    )


def _candidates(programme: Programme, planned: PlannedTest, history: History) -> list[Candidate]:
    """Finished runs of earlier phases with the same role, test type and name, newest first; a regression has none.

    Of several under one key in one phase the newest stands, whatever came of it: the others are none, unless it was
    withdrawn.
    """
    if planned.occasion != planned.phase:
        return []
    order = [phase.id for phase in programme.programme.phases]
    earlier = set(order[: order.index(planned.phase)])
    wanted = {name: planned.key["inputs"]["test"][name] for name in ("role", "type", "name")}
    finished = (run for run in reversed(history.runs) if run.occasion in earlier and run.state is RunState.FINISHED)
    found: list[Candidate] = []
    standing_under: set[tuple[str, str, str | None]] = set()
    for run in finished:
        place = (run.occasion, run.test, run.key)
        if place not in standing_under and all(run.parameter(name) == value for name, value in wanted.items()):
            found.append(_candidate(planned, run, history))
            if not found[-1].withdrawn:
                standing_under.add(place)
    return found


def _candidate(planned: PlannedTest, run: TestRun, history: History) -> Candidate:
    place = (planned.occasion, planned.test, run.record.digest)
    intact, withdrawn = _is_intact(run, history), _is_withdrawn(run, history)
    key = history.store.document(run.key) if intact and run.key else {}
    verdict = history.verdict(run)[0] if intact and not withdrawn else "not looked at"
    return Candidate(
        record=run.record.digest,
        run=run.run,
        occasion=run.occasion,
        key=key,
        intact=intact,
        withdrawn=withdrawn,
        verdict=verdict,
        deciding=history.deciding(run) if intact and not withdrawn and verdict != "proved" else (),
        day=run.record.time[:10],
        since=history.since.get(place, ""),
        refused=history.refused.get(place, ""),
    )


def phases_needed(programme: Programme, phase: str) -> list[str]:
    """The phases whose volumes a phase's tests are planned at, and the phase itself, in declared order."""
    wanted = {plan.volumes_of for plan in programme.tests.plans if phase in plan.phases} | {phase}
    return [each.id for each in programme.programme.phases if each.id in wanted]
