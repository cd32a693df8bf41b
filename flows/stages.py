"""The stages of a capability phase as Prefect tasks: each a few lines over a pure core, with one record to show for it.

Nothing is cached or persisted by Prefect: what was done is in the ledger, and only there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from catalog import rules, underway
from catalog.canonical import digest
from catalog.declarations import TestType
from catalog.errors import EvidenceError, WorldError
from catalog.ledger import Kind, Record
from catalog.runs import RunState, TestEnd, TestRun, next_run_id, test_runs
from catalog.store import disk
from expectations.verdicts import is_closed_loop
from flows.desk import Desk, is_asked_for
from flows.progress import current
from tasks import declare as declaring
from tasks import observe as observing
from tasks.arrivals import Offer, offer_of, stream_arrivals
from tasks.compose import Leg, compose_paths, routes_of
from tasks.course import has_turns, longest, next_turn
from tasks.execute import Conduct, Conducted, arrivals_frames
from tasks.gather import Ended, Evidence, gather_facts
from tasks.history import history
from tasks.index import rebuild_index
from tasks.inject.choice import reach_entry, require_injector
from tasks.measure import measure as measure_run
from tasks.measuring import measurement_inputs, settings
from tasks.parquet import RowsDigest, canonical_rows_digest, frame, hold, read_table, table_bytes, write_table
from tasks.plan import Decided, Decision, History, PlannedTest, decide, offered_us, phases_needed, plan_tests, standing
from tasks.report.assemble import assemble_report
from tasks.report.render import render_report
from tasks.stage import Artefact, document
from tasks.volumes.model import Volume, model_phase, model_volumes
from tasks.volumes.tables import levels_tested, tabulate


@task(name="declare", cache_policy=NO_CACHE, persist_result=False)
def declare(desk: Desk) -> Record:
    """Records the catalogue as it stands."""
    files = len(desk.catalogue.digests)
    current().say(f"declarations  programme {desk.programme.programme.programme}, {files} files")
    return declaring.declare(desk.recorder, desk.catalogue, desk.folder)


@task(name="volumes", cache_policy=NO_CACHE, persist_result=False)
def derive_volumes(desk: Desk, declared: Record) -> dict[str, tuple[Record, list[Volume]]]:
    """Generates the volume model of the phase, and of the phases at whose volumes its tests are planned."""
    found = {}
    for phase in phases_needed(desk.programme, desk.phase.id):
        rows = model_volumes(desk.programme, phase)
        record = desk.recorder.derive(
            "volumes",
            rules=rules.VOLUMES,
            inputs={"volume inputs": declared.output("volume inputs") or ""},
            settings={"phase": phase},
            compute=partial(_volumes_table, rows),
            parameters={"phase": phase},
        )
        current().say(
            f"volumes       {phase}: {sum(row.messages for row in rows):,} messages a day over all components"
        )
        found[phase] = record, rows
    return found


@task(name="volume model", cache_policy=NO_CACHE, persist_result=False)
def tabulate_volumes(desk: Desk, declared: Record, volumes: Mapping[str, tuple[Record, list[Volume]]]) -> Record:
    """Draws up the tables of the phase's volume model: peaks, demand after an outage, sensitivities, backtest."""
    rows = {phase: modelled for phase, (_, modelled) in volumes.items()}
    levels = levels_tested(desk.programme, desk.phase.id, rows)

    def compute() -> dict[str, Artefact]:
        return {"volume model": document(tabulate(desk.programme, model_phase(desk.programme, desk.phase.id), levels))}

    return desk.recorder.derive(
        "volume-model",
        rules=rules.VOLUME_MODEL,
        inputs={
            "volume inputs": declared.output("volume inputs") or "",
            **{f"volumes:{phase}": _volumes(record) for phase, (record, _) in volumes.items()},
        },
        settings={"phase": desk.phase.id, "levels": levels},
        compute=compute,
        parameters={"phase": desk.phase.id},
    )


@task(name="plan", cache_policy=NO_CACHE, persist_result=False)
def plan(
    desk: Desk, volumes: Mapping[str, tuple[Record, list[Volume]]], again: Mapping[str, str]
) -> tuple[Record, list[Decided]]:
    """Decides for every planned test whether it is executed, rests on earlier evidence, or is complete."""
    rows = {phase: modelled for phase, (_, modelled) in volumes.items()}
    planned = plan_tests(desk.programme, desk.phase.id, desk.environment, rows, occasion=desk.occasion)
    known = history(desk.workspace, desk.programme)
    decided = [decide(desk.programme, each, known, again=again.get(each.test, "")) for each in planned]
    record = desk.recorder.record(
        Kind.DERIVED,
        "plan",
        inputs={f"volumes:{phase}": _volumes(record) for phase, (record, _) in volumes.items()},
        outputs={"plan": document([{**each.as_json(), "key": each.planned.key_digest} for each in decided])},
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


@task(name="arrivals", task_run_name="arrivals of {planned.test}", cache_policy=NO_CACHE, persist_result=False)
def generate_arrivals(desk: Desk, planned: PlannedTest, volumes: Record) -> str:
    """Generates the messages that a test will offer; the digest of the table.

    Those of a test of several turns come turn by turn from the same function, and are recorded with its run. A closed
    loop has none.
    """
    turn = next_turn(planned.profile, ())
    if has_turns(planned.profile.type) or turn is None or is_closed_loop(planned.key["inputs"]["injector"]):
        return ""
    inputs, offer = planned.key["inputs"], offer_of(planned.key, multiple=turn.multiple)
    with desk.workspace.store.incoming() as folder:
        record = desk.recorder.derive(
            "arrivals",
            rules=rules.ARRIVALS,
            inputs={"volumes": _volumes(volumes)},
            settings={
                "offered": offer.messages,
                **({"released": offer.released} if offer.released else {}),
                "us": inputs["offered_us"],
                **inputs["arrivals"],
            },
            compute=lambda: {"arrivals": _streamed(desk, offer, folder / "arrivals")},
            parameters={"test": planned.test},
        )
    return record.output("arrivals") or ""


@task(name="test", task_run_name="{decided.planned.test}", cache_policy=NO_CACHE, persist_result=False)
def conduct(desk: Desk, decided: Decided, volumes: Record, place: str) -> State[Any]:
    """Executes a test, or records on which earlier evidence it rests, or finds it complete."""
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
    )
    seconds = longest(planned.profile) * offered_us(desk.environment, planned.profile) // 1_000_000 + 3
    with current().test(planned.test, place=place, seconds=seconds) as bar:
        conducted = replace(prepared, progress=bar).execute()
    if conducted.reason:
        current().say(f"{place}  {planned.test}  {conducted.reason}")
    desk.recorder.record(
        Kind.EXECUTED,
        "execute",
        parameters={**named, "state": conducted.state.value, "reason": conducted.reason},
        outputs=artefacts(conducted, arrivals),
        **common,
    )
    underway.remove(desk.workspace.home, run)
    return conducted.state


def rely(desk: Desk, decided: Decided) -> Record:
    """Records that a test rests on the run that executed it, with every input compared."""
    run = decided.stands
    if run is None or decided.answer is None:
        raise ValueError(f"{decided.planned.test} rests on nothing")
    compared = [asdict(each) for each in decided.answer.compared]
    current().say(f"{decided.planned.test}  relied on {run.run}")
    return desk.recorder.derive(
        "rely",
        rules=rules.RELY,
        inputs={"executed": run.record.digest},
        settings={"test": decided.planned.test, "compared": compared},
        compute=lambda: {"comparison": document(compared)},
        kind=Kind.RELIED,
        parameters={"test": decided.planned.test, "run": run.run},
    )


def endings(desk: Desk, decided: Sequence[Decided], chosen: Sequence[Decided]) -> list[Ended]:
    """How every planned test ended, those that were not chosen included."""
    known = history(desk.workspace, desk.programme)
    return [_ended(each, known, desk.occasion, chosen=each in chosen) for each in decided]


def executed_now(ended: Sequence[Ended], chosen: Sequence[Decided]) -> int:
    """How many tests this run executed to their end; one that found nobody to offer its messages to is none."""
    mine = [each for each in ended if each.decided in chosen and each.decided.decision is Decision.EXECUTE]
    return sum(each.end is TestEnd.EXECUTED for each in mine)


def _ended(decided: Decided, known: History, occasion: str, *, chosen: bool) -> Ended:
    planned = decided.planned
    own = [run for run in known.runs if (run.occasion, run.test) == (occasion, planned.test)]
    stands, runs = standing(planned, own, known), tuple(own)
    if decided.decision is Decision.RELY and chosen:
        end, why, stands = TestEnd.RELIED, decided.why, decided.stands
        runs += (stands,) if stands else ()
    elif decided.decision is Decision.BLOCKED:
        end, why = TestEnd.BLOCKED, decided.why
    elif stands is None:
        end, why = TestEnd.NOT_RUN, decided.why if chosen else "not chosen for this run"
    elif stands.state is RunState.FINISHED:
        end, why = (TestEnd.RECEIVED if stands.received else TestEnd.EXECUTED), stands.why
    else:
        end, why = TestEnd.FAILED, f"{stands.state.value}: {stands.parameter('reason') or 'see the run'}"
    return Ended(decided=decided, end=end, why=why, stands=stands, runs=runs)


@task(name="measure", cache_policy=NO_CACHE, persist_result=False)
def measure(desk: Desk, ended: Sequence[Ended]) -> dict[str, Record]:
    """Measures every run that stands and has results to be judged by; of an interrupted one, what it offered."""
    found = {}
    for run in (each.stands for each in ended):
        if run is not None and run.state is not RunState.UNREACHABLE and run.record.output("results"):
            found[run.run] = _measure(desk, run)
    current().say(f"measured      {len(found)} test runs")
    return found


def _measure(desk: Desk, run: TestRun) -> Record:
    wanted, inputs, store = settings(desk.programme), measurement_inputs(run.record), desk.workspace.store

    def compute() -> dict[str, Artefact]:
        results = store.path(inputs["results"]) if "results" in inputs else None  # a received summary has none
        infrastructure = store.path(inputs["infrastructure"])
        for name, table in (("results", results), ("infrastructure", infrastructure)):
            if table is not None:
                hold(name, table)
        tables = results, infrastructure
        rows = measure_run(store.document(inputs["run"]), *tables, withins=wanted.withins, groups=wanted.groups)
        return {"measurements": _table("measurements", rows)}

    return desk.recorder.derive(
        "measure",
        rules=rules.MEASURE,
        inputs=inputs,
        settings=wanted.as_json(),
        compute=compute,
        parameters={"run": run.run},
    )


@task(name="observe", cache_policy=NO_CACHE, persist_result=False)
def observe(desk: Desk, declared: Record, ended: Sequence[Ended], measured: Mapping[str, Record]) -> Record:
    """Holds the measurements of every run that stands against the requirements now in force."""
    subjects = observing.subjects(desk.workspace.store, ended, measured, withdrawn=desk.workspace.withdrawn())
    record = desk.recorder.derive(
        "observe",
        rules=rules.OBSERVE,
        inputs={
            "requirements": declared.output("requirements") or "",
            **{f"run:{each.run}": each.record for each in subjects},
            **{f"measurements:{run}": record.output("measurements") or "" for run, record in measured.items()},
        },
        compute=lambda: _observations(desk, subjects),
        kind=Kind.OBSERVED,
    )
    current().say("observed      " + observing.tally(desk.workspace.store.path(record.output("observations") or "")))
    return record


@task(name="compose", cache_policy=NO_CACHE, persist_result=False)
def compose(desk: Desk, declared: Record, ended: Sequence[Ended]) -> Record:
    """Infers the latency along each message path from the load tests of the components on it."""
    runs = {each.decided.planned.component.id: each.stands for each in ended if _is_leg(each)}
    results = {name: run.record.output("results") or "" for name, run in runs.items() if run}
    routes = routes_of(desk.programme, desk.phase.id, sorted(results))
    legs = {
        name: Leg(component=name, run=run.run, results=desk.workspace.store.path(results[name]))
        for name, run in runs.items()
        if run
    }
    record = desk.recorder.derive(
        "compose",
        rules=rules.COMPOSE,
        inputs={
            "volume inputs": declared.output("volume inputs") or "",
            **{f"results:{runs[name].run}": digest for name, digest in results.items()},  # type: ignore[union-attr]  # those with results
        },
        settings={
            "routes": [{"path": each.path.model_dump(mode="json"), "components": each.components} for each in routes]
        },
        compute=lambda: {"end to end": document(compose_paths(routes, legs))},
    )
    current().say(f"composed      {len(routes)} ways along the message paths, end to end")
    return record


def _is_leg(ended: Ended) -> bool:
    """Whether a path's latency may be inferred from the run that this test rests on."""
    run = ended.stands
    return (
        ended.decided.planned.profile.type is TestType.LOAD
        and run is not None
        and run.state is RunState.FINISHED
        and run.record.output("results") is not None
    )


@task(name="report", cache_policy=NO_CACHE, persist_result=False)
def report(desk: Desk, evidence: Evidence, asked: dict[str, Any]) -> Record:
    """Assembles the completion report, publishes it and signs the ledger's head."""
    head = desk.workspace.ledger.head()
    if head is None:
        raise ValueError("nothing is recorded yet")
    facts = gather_facts(
        evidence,
        store=desk.workspace.store,
        phase=desk.phase.id,
        occasion=desk.occasion,
        environment=desk.environment,
        head=head,
    )
    assembled = assemble_report(facts)
    record = desk.recorder.record(
        Kind.REPORTED,
        "report",
        key=desk.key(asked),
        inputs={
            "programme": evidence.declared.output("programme") or "",
            **{f"volumes:{phase}": _volumes(record) for phase, (record, _) in evidence.volumes.items()},
            "volume model": evidence.tabulated.output("volume model") or "",
            "plan": evidence.plan.output("plan") or "",
            "observations": evidence.observed.output("observations") or "",
            "end to end": evidence.composed.output("end to end") or "",
            **{f"measurements:{run}": found.output("measurements") or "" for run, found in evidence.measured.items()},
            **{f"run:{run.run}": run.record.digest for each in evidence.ended for run in each.runs},
        },
        outputs={
            "facts": document(facts),
            "report.json": document(assembled),
            "report.html": Artefact(data=render_report(assembled).encode()),
        },
        parameters={"phase": desk.phase.id, **_tally(evidence, history(desk.workspace, desk.programme))},
        rules=rules.REPORT,
    )
    desk.workspace.publish(record)
    desk.workspace.sign(desk.signer, phase=desk.occasion, name=desk.recorder.actor.name, code=desk.recorder.code)
    current().say("reported      and the ledger's head signed")
    return record


@task(name="index", cache_policy=NO_CACHE, persist_result=False)
def index(desk: Desk) -> None:
    """Rebuilds plimsoll.duckdb, for people with a DuckDB client."""
    rebuild_index(desk.workspace.home)
    current().say("indexed       plimsoll.duckdb")


def gather(
    desk: Desk,
    declared: Record,
    volumes: Mapping[str, tuple[Record, list[Volume]]],
    tabulated: Record,
    planned: Record,
    ended: Sequence[Ended],
    measured: Mapping[str, Record],
    observed: Record,
    composed: Record,
) -> Evidence:
    """All that the phase came to, read back from what is recorded."""
    store = desk.workspace.store
    known = history(desk.workspace, desk.programme)
    measurements = [
        {**row, "digest": record.output("measurements")}
        for record in measured.values()
        for row in _rows("measurements", store.path(record.output("measurements") or ""))
    ]
    return Evidence(
        declared=declared,
        volumes=volumes,
        tabulated=tabulated,
        plan=planned,
        ended=ended,
        measured=measured,
        measurements=measurements,
        observed=observed,
        composed=composed,
        observations=_rows("observations", store.path(observed.output("observations") or "")),
        verdicts={
            run.run: known.verdict(run)[0] for each in ended for run in each.runs if run.state is RunState.FINISHED
        },
    )


def _rows(name: str, file: Path) -> list[dict[str, Any]]:
    """The rows of a table as plain values, None where one is null."""
    read = read_table(name, file)
    columns = read.astype(object).where(read.notna(), None)
    return [dict(zip(columns.columns, row, strict=True)) for row in columns.itertuples(index=False, name=None)]


def _tally(evidence: Evidence, known: History) -> dict[str, Any]:
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


def _observations(desk: Desk, subjects: Sequence[observing.Subject]) -> dict[str, Artefact]:
    judged = observing.observe(subjects, desk.programme.requirements, desk.judge)
    return {
        "observations": _table("observations", judged.observations),
        "suites": document(judged.suites),
        "validation results": document(judged.results),
    }


def artefacts(conducted: Conducted, arrivals: str) -> dict[str, Artefact]:
    """What the run put out; arrivals only where they were not generated before it."""
    tables = {name: table_bytes(name, rows) for name, rows in conducted.tables.items()}
    if arrivals and "arrivals" in tables and digest(tables.pop("arrivals")) != arrivals:
        raise EvidenceError("the messages offered are not those that were generated for the test")
    return {"run": document(conducted.document), **{name: Artefact(data=data) for name, data in tables.items()}}


def _streamed(desk: Desk, offer: Offer, file: Path) -> Artefact:
    """A test's arrivals, written to `file` as they are drawn: hours of them take no more memory than seconds."""
    rows = RowsDigest()
    batches = arrivals_frames(desk.programme, stream_arrivals(offer))
    with disk(file), file.open("wb") as stream:
        write_table("arrivals", rows.passing(batches), stream)
    return Artefact(data=file, rows=rows.hexdigest())


def _table(name: str, rows: Any) -> Artefact:
    return Artefact(data=table_bytes(name, rows), rows=canonical_rows_digest(name, rows))


def _volumes_table(rows: Sequence[Volume]) -> dict[str, Artefact]:
    columns = {field.name: [getattr(row, field.name) for row in rows] for field in fields(Volume)}
    return {"volumes": _table("volumes", frame("volumes", columns))}


def _volumes(record: Record) -> str:
    return record.output("volumes") or ""
