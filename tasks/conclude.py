"""What looks at the ledger as a whole: deciding what is executed, how tests ended, and the facts of a phase's report.

Each is a function of declarations and of the ledger up to a record, so it can be made again when the ledger has grown:
give it the workspace as it was (`Workspace.until`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from catalog import rules
from catalog.declarations import Programme
from catalog.errors import EvidenceError
from catalog.ledger import Kind, Record
from catalog.runs import RunState, TestEnd, TestRun
from catalog.workspace import Workspace
from expectations.verdicts import Reliance
from tasks.gather import Ended, Evidence, gather_facts
from tasks.history import decided_then, history
from tasks.impact import Tracer, impact
from tasks.incidents import incident_facts
from tasks.people import people_facts
from tasks.perform import EARLIER, MEASUREMENTS, RUN, Material, Outputs
from tasks.plan import (
    Decided,
    Decision,
    History,
    PlannedTest,
    decide,
    phases_needed,
    plan_tests,
    standing,
    withdrawn_reliance,
    withdrawn_run,
)
from tasks.report.assemble import assemble_report
from tasks.report.render import render_pages
from tasks.rows import rows_of
from tasks.sampling import outcomes
from tasks.stage import Artefact, document

VOLUMES = "volumes:"
"""What roles of inputs begin with that are a phase's volumes: the phase follows."""


def plan_versions() -> list[int]:
    """The versions of all rules that a decision depends on: its own, and of whatever it compares or observes afresh."""
    return [rules.PLAN, rules.EXECUTE, rules.ARRIVALS, rules.MEASURE, rules.OBSERVE, rules.RELY]


def plan_key(
    inputs: Mapping[str, str],
    *,
    phase: str,
    occasion: str,
    environment: str,
    again: Mapping[str, str],
    head: Record,
    day: str,
) -> dict[str, Any]:
    """The key document of a plan. `head`: the newest record when it was made, which fixes the history it looked at.

    `day`: when that was (ISO, UTC), which ages of evidence and approvals are held against.
    """
    named = {role: {"digest": digest} for role, digest in inputs.items()}
    asked = {"phase": phase, "occasion": occasion, "environment": environment, "again": dict(again), "day": day}
    ledger = {"sequence": head.sequence, "head": head.digest}
    return {"stage": "plan", "rules": plan_versions(), "inputs": {**named, **asked, "ledger": ledger}}


def decide_tests(key: Mapping[str, Any], material: Material, workspace: Workspace) -> list[Decided]:
    """What becomes of every planned test, under a plan's key, by the history in `workspace`."""
    inputs, programme = key["inputs"], material.programme
    rows = {phase: material.model(phase).rows for phase in phases_needed(programme, inputs["phase"])}
    environment = programme.environment(inputs["environment"])
    planned = plan_tests(programme, inputs["phase"], environment, rows, occasion=inputs["occasion"])
    known = history(workspace, programme, day=inputs["day"])
    return [decide(programme, each, known, again=inputs["again"].get(each.test, "")) for each in planned]


def plan_outputs(decided: Sequence[Decided]) -> Outputs:
    """The plan as it is recorded."""
    return {"plan": document([{**each.as_json(), "key": each.planned.key_digest} for each in decided])}


def extensions_of(decided: Iterable[Decided]) -> dict[str, dict[str, dict[str, str]]]:
    """What any execution that was decided on uses that is installed, as keys hold it; absent where nothing is."""
    found = {
        name: identity
        for each in decided
        for name, identity in each.planned.key["inputs"].get("extensions", {}).items()
    }
    return {"extensions": dict(sorted(found.items()))} if found else {}


def comparison(decided: Decided) -> list[dict[str, Any]]:
    """Every input that was compared before a test was let rest on earlier evidence. ValueError when it does not."""
    if decided.decision is not Decision.RELY or decided.stands is None or decided.answer is None:
        raise ValueError(f"{decided.planned.test} rests on nothing")
    return [each.as_json() for each in decided.compared]


def endings(decided: Sequence[Decided], known: History, occasion: str, chosen: Collection[str]) -> list[Ended]:
    """How every planned test ended. `chosen`: the ids of those that the run was for; the others are said to be not."""
    return [_ended(each, known, occasion, chosen=each.planned.test in chosen) for each in decided]


def _ended(decided: Decided, known: History, occasion: str, *, chosen: bool) -> Ended:
    planned = decided.planned
    own = [run for run in known.runs if (run.occasion, run.test) == (occasion, planned.test)]
    stands, runs, withdrawn = standing(planned, own, known), tuple(own), ""
    executed = stands is not None and stands.state is RunState.FINISHED  # as a sample, where it might have relied
    if decided.decision is Decision.RELY and not executed and (chosen or _is_recorded(decided, known)):
        end, why, stands = TestEnd.RELIED, decided.why, decided.stands
        runs += (stands,) if stands else ()
    elif decided.decision is Decision.BLOCKED:
        end, why = TestEnd.BLOCKED, decided.why
    elif stands is None and (gone := _withdrawn(planned, known)):
        stands, withdrawn = gone
        end, why = _end_of_withdrawn(stands, occasion), f"its evidence was withdrawn: {stands.run}"
        runs += () if stands in runs else (stands,)
    elif stands is None:
        end, why = TestEnd.NOT_RUN, decided.why if chosen else "not chosen for this run"
    elif stands.state is RunState.FINISHED:
        end, why = (TestEnd.RECEIVED if stands.received else TestEnd.EXECUTED), stands.why
    else:
        end, why = TestEnd.FAILED, f"{stands.state.value}: {stands.parameter('reason') or 'see the run'}"
    return Ended(decided=decided, end=end, why=why, stands=stands, runs=runs, withdrawn=withdrawn)


def _withdrawn(planned: PlannedTest, known: History) -> tuple[TestRun, str] | None:
    """The run that the test's result rested on, its own or one relied on, and who withdrew that, when and why."""
    run = withdrawn_run(planned, known)
    return (run, known.withdrawal_of(run)) if run else withdrawn_reliance(planned, known)


def _is_recorded(decided: Decided, known: History) -> bool:
    """Whether it is recorded in this occasion already that the test rests on that run."""
    place = decided.planned.occasion, decided.planned.test
    return decided.stands is not None and known.relied.get(place) == decided.stands.record.digest


def _end_of_withdrawn(run: TestRun, occasion: str) -> TestEnd:
    """How a test ended of whose evidence nothing is left: as it had ended before that was withdrawn."""
    if run.occasion != occasion:
        return TestEnd.RELIED
    return TestEnd.RECEIVED if run.received else TestEnd.EXECUTED


def observed_runs(ended: Sequence[Ended], measured: Mapping[str, str]) -> tuple[dict[str, str], list[dict[str, str]]]:
    """The inputs and the subjects of an observation: runs that stand for planned tests, by role and by value.

    Finished runs, interrupted ones, and those begun against a system that was not reached. A run that is relied on is
    observed for the test that rests on it. `measured`: measurements by run.
    """
    inputs, subjects = {}, []
    for each in ended:
        run = each.stands
        if run is None or run.record.kind is Kind.STARTED:
            continue
        inputs[f"{RUN}{run.run}"] = run.record.digest
        reliance = Reliance(each.end.value) if each.end.value in set(Reliance) else Reliance.EXECUTED
        subjects.append(
            {
                "run": run.run,
                "test": each.decided.planned.test,
                "reliance": reliance.value,
                "withdrawn": f"{run.record}, {each.withdrawn}" if each.withdrawn else "",
            }
        )
    return {**inputs, **{f"{MEASUREMENTS}{run}": digest for run, digest in measured.items()}}, subjects


def gather(
    inputs: Mapping[str, str],
    ended: Sequence[Ended],
    known: History,
    material: Material,
    workspace: Workspace,
    occasion: str,
) -> Evidence:
    """All that a phase came to, read back from what is recorded under the `inputs` of its report."""
    records, store = workspace.ledger.records(), workspace.store

    def made(role: str, output: str) -> Record:
        """The newest record that put out, as `output`, the report's input in `role`."""
        for record in reversed(records):
            if record.kind in _MAKING and record.output(output) == inputs[role]:
                return record
        raise EvidenceError(f"no record put out the {output} {inputs[role]} that the report rests on")

    measured = {
        role.removeprefix(MEASUREMENTS): made(role, "measurements") for role in inputs if role.startswith(MEASUREMENTS)
    }
    observed = next((record for record in records if record.digest == inputs["observed"]), None)
    if observed is None:
        raise EvidenceError(f"the ledger has no record {inputs['observed']}, which the report rests on")
    return Evidence(
        declared=made("programme", "programme"),
        volumes={
            phase: (made(role, "volumes"), material.model(phase).rows)
            for role in inputs
            if role.startswith(VOLUMES) and (phase := role.removeprefix(VOLUMES))
        },
        tabulated=made("volume model", "volume model"),
        plan=made("plan", "plan"),
        ended=ended,
        measured=measured,
        measurements=[
            {**row, "digest": record.output("measurements")}
            for record in measured.values()
            for row in rows_of("measurements", store.path(record.output("measurements") or ""))
        ],
        observed=observed,
        composed=made("end to end", "end to end"),
        observations=observations_of(observed, workspace),
        verdicts={
            run.run: known.verdict(run)[0] for each in ended for run in each.runs if run.state is RunState.FINISHED
        },
        withdrawn={
            run.run: f"evidence {how}" for each in ended for run in each.runs if (how := known.withdrawal_of(run))
        },
        earlier={
            role.removeprefix(EARLIER): (name, rows_of("observations", store.path(name)))
            for role, name in inputs.items()
            if role.startswith(EARLIER)
        },
        samples=outcomes(records, known, occasion),
        impacts=_impacts(ended, material, workspace),
        then={
            each.decided.planned.test: decided_then(workspace, each.stands)
            for each in ended
            if each.stands is not None and each.stands.occasion == occasion
        },
    )


def _impacts(ended: Sequence[Ended], material: Material, workspace: Workspace) -> dict[str, dict[str, Any]]:
    """The impact analysis of every decision."""
    decided = [each.decided for each in ended]
    planned = [each.planned for each in decided]
    if not planned:
        return {}
    tracer = Tracer(
        workspace=workspace,
        programme=material.programme,
        environment=planned[0].key["inputs"]["environment"]["id"],
        planned=planned,
        volumes={phase: material.model(phase).rows for phase in phases_needed(material.programme, planned[0].phase)},
    )
    return {each.planned.test: impact(each, material.programme, decided, tracer) for each in decided}


def earlier_phases(workspace: Workspace, programme: Programme, phase: str) -> dict[str, str]:
    """The observations of each phase that is declared before this one and reported, newest phase first, by role.

    Those of the newest report that rests on nothing withdrawn.
    """
    before = [each.id for each in programme.programme.phases]
    found = {}
    for each in reversed(before[: before.index(phase)]):
        reported = workspace.select(Kind.REPORTED, phase=each, occasion=each)
        inputs = {item.role: item.digest for item in reported[-1].inputs} if reported else {}
        named = inputs.get("observations", "")
        if named and workspace.store.intact(named):
            found[f"{EARLIER}{each}"] = named
    return found


def observations_of(observed: Record, workspace: Workspace) -> list[dict[str, Any]]:
    """The rows of an observation's table."""
    return rows_of("observations", workspace.store.path(observed.output("observations") or ""))


_MAKING = frozenset({Kind.DECLARED, Kind.DERIVED, Kind.OBSERVED})


def facts_of(evidence: Evidence, material: Material, workspace: Workspace, *, phase: str, occasion: str,
             environment: str) -> dict[str, Any]:  # fmt: skip
    """The facts of a phase as the ledger in `workspace` has them. Raises ValueError when it is empty."""
    head = workspace.ledger.head()
    if head is None:
        raise ValueError("nothing is recorded yet")
    return gather_facts(
        evidence,
        store=workspace.store,
        phase=phase,
        occasion=occasion,
        environment=material.programme.environment(environment),
        head=head,
        decided={
            "people": people_facts(workspace, occasion),
            "incidents": incident_facts(workspace, occasion, evidence.observations),
        },
    )


def report_outputs(facts: Mapping[str, Any]) -> Outputs:
    """What a report is recorded as: assembled from facts, and rendered."""
    assembled = assemble_report(facts)
    pages = {name: Artefact(data=page.encode()) for name, page in render_pages(assembled).items()}
    return {"report.json": document(assembled), **pages}


def tally(evidence: Evidence, known: History) -> dict[str, Any]:
    """Counts that the next `run` decides by: what was proved, how tests ended, how many runs may be repeated."""
    verdicts = [row["verdict"] for row in evidence.observations]
    ends = [each.end for each in evidence.ended]
    standing_runs = [each.stands for each in evidence.ended if each.stands is not None]
    return {
        "verdicts": {name: verdicts.count(name) for name in ("proved", "not proved", "inconclusive")},
        "ends": {end.value: ends.count(end) for end in TestEnd if end in ends},
        "repeatable": sum(
            bool(known.verdict(run)[1]) or run.state is not RunState.FINISHED
            for run in standing_runs
            if not run.received
        ),
    }
