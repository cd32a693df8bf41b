"""The stages of a capability phase: each a few lines over a pure core, with one record to show for it."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog import rules, underway
from catalog.canonical import document_digest
from catalog.declarations import TestType
from catalog.errors import EvidenceError, WorldError
from catalog.hashing import hash_files
from catalog.inspection.page import publish_page, shell_digest
from catalog.ledger import Kind, Record
from catalog.runs import RunState, TestEnd, TestRun, next_run_id, test_runs
from catalog.store import disk
from catalog.workspace import HISTORY
from expectations.verdicts import is_closed_loop
from flows.desk import Desk, is_asked_for, today
from flows.incidents import tell_incident, telling
from flows.progress import current
from flows.stage import stage
from tasks import conclude as concluding
from tasks import declare as declaring
from tasks import sampling
from tasks.alarm import in_force
from tasks.arrivals import offer_of
from tasks.breaches import breaches
from tasks.compose import routes_of
from tasks.conclude import (
    VOLUMES,
    comparison,
    decide_tests,
    earlier_phases,
    extensions_of,
    facts_of,
    gather,
    observations_of,
    observed_runs,
    plan_key,
    plan_outputs,
    report_outputs,
    tally,
)
from tasks.course import has_turns, longest, next_turn
from tasks.execute import Conduct, Conducted
from tasks.expecting import expectations_of
from tasks.gather import Ended
from tasks.history import history
from tasks.incidents import incidents_of, record_incidents
from tasks.index import rebuild_index
from tasks.inject.choice import is_gated, reach_entry, require_injector
from tasks.issues import raise_from_observations
from tasks.libraries import libraries
from tasks.measuring import measurement_inputs, settings
from tasks.observe import tally as tally_of
from tasks.perform import MEASUREMENTS, RESULTS, RUN, Outputs, derive, read_key
from tasks.plan import Decided, Decision, PlannedTest, most_offered, offered_us, phases_needed
from tasks.stage import Artefact, document
from tasks.volumes.tables import levels_tested

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State


@stage("declare")
def declare(desk: Desk) -> Record:
    """Records the catalogue as it stands."""
    files = len(desk.catalogue.digests)
    current().say(f"declarations  programme {desk.programme.programme.programme}, {files} files")
    return declaring.declare(desk.recorder, desk.catalogue, desk.folder)


@stage("volumes")
def derive_volumes(desk: Desk, declared: Record) -> dict[str, Record]:
    """Generates the volume model of the phase, and of the phases at whose volumes its tests are planned."""
    found = {}
    for phase in phases_needed(desk.programme, desk.phase.id):
        found[phase] = derive(
            desk.recorder,
            desk.material,
            "volumes",
            inputs={"volume inputs": declared.output("volume inputs") or ""},
            settings={"phase": phase},
            parameters={"phase": phase},
        )
        rows = desk.material.model(phase).rows
        current().say(
            f"volumes       {phase}: {sum(row.messages for row in rows):,} messages a day over all components"
        )
    return found


@stage("volume model")
def tabulate_volumes(desk: Desk, declared: Record, volumes: Mapping[str, Record]) -> Record:
    """Draws up the tables of the phase's volume model: peaks, demand after an outage, sensitivities, backtest."""
    rows = {phase: desk.material.model(phase).rows for phase in volumes}
    levels = levels_tested(desk.programme, desk.phase.id, rows)
    return derive(
        desk.recorder,
        desk.material,
        "volume-model",
        inputs={"volume inputs": declared.output("volume inputs") or "", **_by_phase(volumes)},
        settings={
            "phase": desk.phase.id,
            "levels": [[component, list(named.items())] for component, named in levels.items()],
        },
        parameters={"phase": desk.phase.id},
    )


@stage("plan")
def plan(
    desk: Desk, declared: Record, volumes: Mapping[str, Record], again: Mapping[str, str]
) -> tuple[Record, list[Decided]]:
    """Decides for every planned test whether it is executed, rests on earlier evidence, or is complete."""
    head = desk.workspace.ledger.head() or declared
    inputs = {"programme": declared.output("programme") or "", **_by_phase(volumes)}
    key = plan_key(
        inputs,
        phase=desk.phase.id,
        occasion=desk.occasion,
        environment=desk.environment.id,
        again=again,
        head=head,
        day=today(),
    )
    decided = decide_tests(key, desk.material, desk.workspace)
    record = desk.recorder.record(
        Kind.DERIVED,
        "plan",
        key=key,
        inputs=inputs,
        outputs=plan_outputs(decided),
        parameters={"libraries": libraries(), **extensions_of(decided)},
        rules=rules.PLAN,
    )
    return record, decided


def choose(
    decided: Sequence[Decided], types: Sequence[str], patterns: Sequence[str], *, execute: bool
) -> list[Decided]:
    """The tests that this run is for: of the types and with the names that were asked for, or none at all."""
    named = [each for each in decided if is_asked_for(each.planned.test, patterns)]
    chosen = [each for each in named if execute and (not types or each.planned.profile.type in types)]
    counts = {choice: sum(each.decision is choice for each in chosen) for choice in Decision}
    told = ", ".join(f"{count} to {choice}" for choice, count in counts.items() if count) or "nothing to execute"
    left = len(decided) - len(chosen)
    current().say(f"plan          {told}" + (f"; {left} other planned tests are not in this run" if left else ""))
    return chosen


@stage("sample")
def sample(desk: Desk, planned: Record, chosen: Sequence[Decided], asked: str) -> list[Decided]:
    """Draws a share of the tests that may rest on earlier evidence, and lets them be executed all the same.

    Recorded before the first of them is: the draw, and what each would have rested on. A draw that was made before for
    the same asked share stands, and those of it that were not executed are.
    """
    wanted = sampling.parse(asked)
    relied = {each.planned.test: each for each in chosen if each.decision is Decision.RELY}
    draw = sampling.drawn_before(desk.workspace.ledger.records(), desk.occasion, wanted)
    if draw is None:
        seed = secrets.randbelow(1 << 32) if wanted.seed is None else wanted.seed
        runs = {f"{RUN}{each.stands.run}": each.stands.record.digest for each in relied.values() if each.stands}
        draw = desk.recorder.record(
            Kind.SAMPLED,
            sampling.STAGE,
            inputs={"plan": planned.output("plan") or "", **runs},
            parameters=sampling.choice(wanted, seed, relied),
        )
    said = draw.parameters
    tests = [name for name in said["tests"] if name in relied]
    told = f"{len(said['tests'])} of {len(said['relied'])} that may be relied on"
    how = f"share {said['share']}, seed {said['seed']}"
    current().say(
        f"sample        {told}, {how}" if said["relied"] else "sample        no test may be relied on: none drawn"
    )
    for name in tests:
        record_reliance(desk, relied[name])
    return [_sampled(each, draw) if each.planned.test in tests else each for each in chosen]


def _sampled(decided: Decided, draw: Record) -> Decided:
    run = decided.stands.run if decided.stands else ""
    why = f"drawn by {draw} to be executed all the same: it may rest on run {run}"
    return replace(decided, decision=Decision.EXECUTE, why=why)


def _draws(desk: Desk) -> list[Record]:
    records = desk.workspace.ledger.records()
    return [each for each in records if each.kind is Kind.SAMPLED and each.parameters.get("occasion") == desk.occasion]


@stage("arrivals", run_name="arrivals of {planned.test}")
def generate_arrivals(desk: Desk, planned: PlannedTest, volumes: Record) -> str:
    """Generates the messages that a test will offer; the digest of the table.

    Those of a test of several turns come turn by turn from the same function, and are recorded with its run. A closed
    loop has none.
    """
    turn = next_turn(planned.profile, ())
    if has_turns(planned.profile.type) or turn is None or is_closed_loop(planned.key["inputs"]["injector"]):
        return ""
    inputs, offer = planned.key["inputs"], offer_of(planned.key, multiple=turn.multiple)
    record = derive(
        desk.recorder,
        desk.material,
        "arrivals",
        inputs={"volumes": _volumes(volumes)},
        settings={
            "offered": offer.messages,
            **({"released": offer.released} if offer.released else {}),
            "us": inputs["offered_us"],
            **inputs["arrivals"],
        },
        parameters={"test": planned.test},
    )
    return record.output("arrivals") or ""


@stage("test", run_name="{decided.planned.test}")
def conduct(desk: Desk, decided: Decided, volumes: Record, place: str) -> "State[Any]":
    """Executes a test, or records on which earlier evidence it rests, or finds it complete. For a flow of Prefect."""
    from prefect.states import Completed

    match decided.decision:
        case Decision.EXECUTE:
            arrivals = generate_arrivals(desk, decided.planned, volumes) if _answers(desk, decided.planned) else ""
            state = execute(desk, decided, volumes, arrivals, place)
            return Completed(name="Executed", message=f"{decided.planned.test}: {state.value}")
        case Decision.RELY:
            rely(desk, decided)
            return Completed(name="Relied", message=decided.why)
        case Decision.COMPLETE | Decision.BLOCKED:
            return Completed(name=decided.decision.name.capitalize(), message=decided.why)


def refuse_without_room(desk: Desk, doing: Sequence[Decided]) -> None:
    """Raises WorldError where a test is about to be executed that this machine has no room for; before any begins.

    How many messages a closed loop will send nobody knows.
    """
    from tasks import room

    free = room.free_room(desk.workspace.home)
    for planned in (each.planned for each in doing if each.decision is Decision.EXECUTE):
        if is_closed_loop(planned.key["inputs"]["injector"]):
            continue
        is_offered_here = desk.cluster is None or not is_gated(desk.environment, planned.profile.type)
        room.refuse_without_room(planned.test, most_offered(planned), free, is_offered_here=is_offered_here)


def _answers(desk: Desk, planned: PlannedTest) -> bool:
    """Whether anything listens where the test is to be offered: hours of arrivals are not generated for nobody."""
    try:
        if entry := desk.environment.entries.get(planned.component.id):
            reach_entry(desk.environment, entry)
    except WorldError:  # told with the run, which records it
        return False
    return True


def execute(desk: Desk, decided: Decided, volumes: Record, arrivals: str, place: str) -> RunState:
    """Executes one test; its `started` record is durable before the first message is offered."""
    from prefect import get_run_logger

    planned = decided.planned
    require_injector(desk.environment, planned.profile.type)
    runs = test_runs(desk.workspace.ledger.records())
    same = [
        run
        for run in runs
        if (run.occasion, run.test, run.stands_for) == (desk.occasion, planned.test, planned.key_digest)
    ]
    run = next_run_id(runs, test=planned.test, occasion=desk.occasion)
    named = {"run": run, "test": planned.test, "component": planned.component.id, **planned.key["inputs"]["test"]}
    named.pop("definition")
    inputs = {"volumes": _volumes(volumes)} | ({"arrivals": arrivals} if arrivals else {})
    common: dict[str, Any] = {"key": planned.key, "inputs": inputs}
    desk.recorder.record(Kind.STARTED, "execute", parameters={**named, "why": decided.why}, **common)
    folder = underway.make(desk.workspace.home, run)
    prepared = Conduct(
        programme=desk.programme,
        environment=desk.environment,
        planned=planned,
        run=run,
        attempt=1 + sum(each.state is RunState.FINISHED for each in same),
        progress=lambda *_: None,
        folder=folder,
        hosts=desk.cluster,
        shards=desk.cluster.shards if desk.cluster else 1,
        say=current().say,
    )
    seconds = longest(planned.profile) * offered_us(desk.environment, planned.profile) // 1_000_000 + 3
    with current().test(planned.test, place=place, seconds=seconds) as bar, telling(run, get_run_logger()) as tell:
        conducted = replace(prepared, progress=bar, tell=tell).execute()
    if conducted.reason:
        current().say(f"{place}  {planned.test}  {conducted.reason}")
    desk.recorder.record(
        Kind.EXECUTED,
        "execute",
        parameters={**named, "state": conducted.state.value, "reason": conducted.reason},
        outputs=artefacts(conducted, arrivals, folder),
        **common,
    )
    underway.remove(desk.workspace.home, run)
    _record_incidents(desk, planned, run)
    return conducted.state


def _record_incidents(desk: Desk, planned: PlannedTest, run: str) -> None:
    """Measures a run that has just ended, if any limit on infrastructure is in force for it, and records its breaches.

    They are known before the next test begins, whatever becomes of the rest of the phase.
    """
    (ended,) = (each for each in test_runs(desk.workspace.ledger.records()) if each.run == run)
    limited = in_force(desk.programme, planned.component.role, planned.profile.type)
    if not limited or ended.state is RunState.UNREACHABLE or not ended.record.output("results"):
        return
    measured = _measure(desk, ended, _measured_elsewhere(desk, {run: ended}).get(run))
    for record in incidents_of(desk.recorder, desk.material, ended, measured):
        tell_incident(record, desk.workspace.store.document(record.output("incident") or ""))


def rely(desk: Desk, decided: Decided) -> Record:
    """Records that a test rests on the run that executed it, and says so."""
    record = record_reliance(desk, decided)
    current().say(f"{decided.planned.test}  relied on {record.parameters['run']}")
    return record


def record_reliance(desk: Desk, decided: Decided) -> Record:
    """The record that a test may rest on the run that executed it, with every input compared."""
    compared, run = comparison(decided), decided.stands
    if run is None:
        raise ValueError(f"{decided.planned.test} rests on nothing")
    return desk.recorder.derive(
        "rely",
        rules=rules.RELY,
        inputs={
            "executed": run.record.digest,
            **({"approved": decided.approval.record} if decided.approval else {}),
        },
        settings={"test": decided.planned.test, "compared": compared},
        compute=lambda: {"comparison": document(compared)},
        kind=Kind.RELIED,
        parameters={"test": decided.planned.test, "run": run.run},
    )


def endings(desk: Desk, decided: Sequence[Decided], chosen: Sequence[Decided]) -> list[Ended]:
    """How every planned test ended, those that were not chosen included."""
    known = history(desk.workspace, desk.programme)
    return concluding.endings(decided, known, desk.occasion, {each.planned.test for each in chosen})


def executed_now(ended: Sequence[Ended], chosen: Sequence[Decided]) -> int:
    """How many tests this run executed to their end; one that found nobody to offer its messages to is none."""
    mine = {each.planned.test for each in chosen if each.decision is Decision.EXECUTE}
    return sum(each.end is TestEnd.EXECUTED and each.decided.planned.test in mine for each in ended)


@stage("measure")
def measure(desk: Desk, ended: Sequence[Ended]) -> dict[str, Record]:
    """Measures every run that stands and has results to be judged by; of an interrupted one, what it offered."""
    stand = [each.stands for each in ended if not each.withdrawn]
    runs = {
        run.run: run for run in stand if run and run.state is not RunState.UNREACHABLE and run.record.output("results")
    }
    elsewhere = _measured_elsewhere(desk, runs)
    found = {name: _measure(desk, run, elsewhere.get(name)) for name, run in runs.items()}
    current().say(f"measured      {len(found)} test runs")
    return found


def _measured_elsewhere(desk: Desk, runs: Mapping[str, TestRun]) -> dict[str, Callable[[], Outputs]]:
    """What gives the measurements of runs that were not measured yet, where workers of a cluster measure them."""
    if desk.cluster is None:
        return {}
    found = {}
    for name, run in runs.items():
        inputs, wanted = measurement_inputs(run.record), settings(desk.programme).as_json()
        key = read_key("measure", inputs=inputs, settings=wanted)
        if desk.workspace.find(document_digest(key), desk.occasion) is None:
            found[name] = desk.cluster.perform(key, desk.workspace, desk.programme)
    return found


def _measure(desk: Desk, run: TestRun, elsewhere: Callable[[], Outputs] | None) -> Record:
    return derive(
        desk.recorder,
        desk.material,
        "measure",
        inputs=measurement_inputs(run.record),
        settings=settings(desk.programme).as_json(),
        parameters={"run": run.run},
        elsewhere=elsewhere,
    )


def is_observed(desk: Desk, declared: Record) -> bool:
    """Whether the newest observations are of the requirements that are declared, and nothing came to be observed since.

    Then the judge, which takes seconds to load, has nothing to do; should it have, it is started for that.
    """
    made = desk.workspace.select(Kind.OBSERVED, occasion=desk.occasion)
    if not made or made[-1].rules != rules.OBSERVE:
        return False
    named = {item.role: item.digest for item in made[-1].inputs}
    later = desk.workspace.ledger.records()[made[-1].sequence :]
    return named.get("requirements") == declared.output("requirements") and not any(
        each.kind in (Kind.EXECUTED, Kind.RECEIVED, Kind.WITHDRAWN) for each in later
    )


@stage("observe")
def observe(desk: Desk, declared: Record, ended: Sequence[Ended], measured: Mapping[str, Record]) -> Record:
    """Holds the measurements of every run that stands against the requirements now in force."""
    measurements = {run: record.output("measurements") or "" for run, record in measured.items()}
    inputs, subjects = observed_runs(ended, measurements)
    record = derive(
        desk.recorder,
        desk.material,
        "observe",
        inputs={"requirements": declared.output("requirements") or "", **inputs},
        settings={"subjects": subjects, **expectations_of(desk.programme)},
        kind=Kind.OBSERVED,
    )
    current().say("observed      " + tally_of(desk.workspace.store.path(record.output("observations") or "")))
    return record


@stage("issues")
def raise_issues(desk: Desk, ended: Sequence[Ended], observed: Record) -> None:
    """Raises a testing issue for each requirement that a run of this occasion did not prove, and records an incident
    for each breach of infrastructure that is not recorded yet: of a requirement that changed since, or by a run that
    was interrupted."""
    rows = observations_of(observed, desk.workspace)
    runs = {run.run: run for each in ended if (run := each.stands) and run.occasion == desk.occasion}
    incidents = record_incidents(desk.recorder, desk.material, runs, breaches(rows))
    raised = raise_from_observations(desk.recorder, desk.programme, observed, rows, runs)
    if incidents or raised:
        current().say(f"issues        {len(raised)} raised from observations; {len(incidents)} incidents")


@stage("compose")
def compose(desk: Desk, declared: Record, ended: Sequence[Ended]) -> Record:
    """Infers the latency along each message path from the load tests of the components on it."""
    runs = {each.decided.planned.component.id: each.stands for each in ended if _is_leg(each) and each.stands}
    routes = routes_of(desk.programme, desk.phase.id, sorted(runs))
    record = derive(
        desk.recorder,
        desk.material,
        "compose",
        inputs={
            "volume inputs": declared.output("volume inputs") or "",
            **{f"{RESULTS}{run.run}": run.record.output("results") or "" for run in runs.values()},
        },
        settings={
            "routes": [{"path": each.path.model_dump(mode="json"), "components": each.components} for each in routes],
            "legs": {component: run.run for component, run in runs.items()},
        },
    )
    current().say(f"composed      {len(routes)} ways along the message paths, end to end")
    return record


def _is_leg(ended: Ended) -> bool:
    """Whether a path's latency may be inferred from the run that this test rests on."""
    run = ended.stands
    return (
        ended.decided.planned.profile.type is TestType.LOAD
        and run is not None
        and not ended.withdrawn
        and run.state is RunState.FINISHED
        and run.record.output("results") is not None
    )


@stage("report")
def report(
    desk: Desk,
    concluded: Mapping[str, Record],
    volumes: Mapping[str, Record],
    measured: Mapping[str, Record],
    ended: Sequence[Ended],
    chosen: Sequence[Decided],
    asked: dict[str, Any],
) -> Record:
    """Assembles the completion report, publishes it and signs the ledger's head.

    `concluded`: the records of what was declared, tabulated, planned, observed and composed, by these names.
    """
    inputs = {
        "programme": concluded["declared"].output("programme") or "",
        **_by_phase(volumes),
        "volume model": concluded["tabulated"].output("volume model") or "",
        "plan": concluded["planned"].output("plan") or "",
        "observed": concluded["observed"].digest,
        "observations": concluded["observed"].output("observations") or "",
        "end to end": concluded["composed"].output("end to end") or "",
        **{f"{MEASUREMENTS}{run}": found.output("measurements") or "" for run, found in measured.items()},
        **{f"{RUN}{run.run}": run.record.digest for each in ended for run in each.runs},
        **earlier_phases(desk.workspace, desk.programme, desk.phase.id),
        **{f"sample:{number}": draw.digest for number, draw in enumerate(_draws(desk), 1)},
    }
    known = history(desk.workspace, desk.programme)
    evidence = gather(inputs, ended, known, desk.material, desk.workspace, desk.occasion)
    facts = facts_of(
        evidence,
        desk.material,
        desk.workspace,
        phase=desk.phase.id,
        occasion=desk.occasion,
        environment=desk.environment.id,
    )
    record = desk.recorder.record(
        Kind.REPORTED,
        "report",
        key=desk.key(asked),
        inputs=inputs,
        outputs={"facts": document(facts), **report_outputs(facts)},
        parameters={
            "phase": desk.phase.id,
            "libraries": libraries(),
            "page": shell_digest(),
            "chosen": sorted(each.planned.test for each in chosen),
            **tally(evidence, known),
        },
        rules=rules.REPORT,
    )
    desk.workspace.publish(record)
    desk.workspace.sign(desk.signer, phase=desk.occasion, name=desk.recorder.actor.name, code=desk.recorder.code)
    publish_page(desk.workspace, record)
    current().say("reported      and the ledger's head signed")
    return record


@stage("trend")
def trace_history(desk: Desk) -> Record:
    """Holds the newest regression against those before it, publishes the history and signs the ledger's head."""
    from tasks.trend import accepted_on, days_of, inputs_of

    days = days_of(desk.workspace, desk.programme)
    inputs, about = inputs_of(days, desk.programme, desk.environment, accepted_on(desk.workspace))
    record = derive(desk.recorder, desk.material, HISTORY, inputs=inputs, settings=about)
    desk.workspace.publish(record)
    desk.workspace.sign(desk.signer, phase=desk.occasion, name=desk.recorder.actor.name, code=desk.recorder.code)
    found = desk.workspace.store.document(record.output("history.json") or "")
    current().say(f"history       {len(found['days'])} regressions; {found['worse']} figures are worse than before")
    return record


@stage("index")
def index(desk: Desk) -> None:
    """Rebuilds plimsoll.duckdb, for people with a DuckDB client."""
    rebuild_index(desk.workspace.home)
    current().say("indexed       plimsoll.duckdb")


def artefacts(conducted: Conducted, arrivals: str, folder: Path) -> dict[str, Artefact]:
    """What the run put out, its tables as files in `folder`; arrivals only where they were not generated before it."""
    from tasks.parquet import write_table

    tables = {name: folder / f"{name}.parquet" for name in conducted.batches}
    for name, file in tables.items():
        with disk(file), file.open("wb") as stream:
            write_table(name, conducted.batches[name](), stream)
    if (
        arrivals
        and "arrivals" in tables
        and hash_files([tables.pop("arrivals")], lambda *_: None)[0].digest != arrivals
    ):
        raise EvidenceError("the messages offered are not those that were generated for the test")
    return {"run": document(conducted.document), **{name: Artefact(data=file) for name, file in tables.items()}}


def _by_phase(volumes: Mapping[str, Record]) -> dict[str, str]:
    return {f"{VOLUMES}{phase}": _volumes(record) for phase, record in volumes.items()}


def _volumes(record: Record) -> str:
    return record.output("volumes") or ""
