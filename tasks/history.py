"""What earlier runs came to: each finished run's measurements held, afresh, against the requirements now in force.

`plan` and `explain` must answer at once, so the rules of `expectations.plain` decide here; the judge's suites decide
again when a phase is observed, and a property test holds the two to the same answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from catalog.approvals import approvals
from catalog.canonical import document_digest
from catalog.declarations import METRICS, Metric, Programme
from catalog.hashing import hash_files
from catalog.ledger import Kind, Record
from catalog.lineage import told
from catalog.runs import RunState, TestRun, test_runs
from catalog.shown import shown
from catalog.store import ObjectStore
from catalog.workspace import Workspace
from expectations.governance import signed_plans
from expectations.plain import lacks_from_outside, named
from expectations.reliance import Compared
from expectations.verdicts import TARGET_VOLUME, Judged, Verdict, verdict
from tasks.expecting import expectations_of, expected, unmet
from tasks.judge import TABLE
from tasks.measure import ALL, measure
from tasks.measuring import Settings, measurement_key, settings
from tasks.observe import Subject, judged_rows
from tasks.people import people_of
from tasks.plan import History
from tasks.remembered import remembered_of
from tasks.scratch import scratch


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one requirement in force says of a run. `outside`: it is open for a cause outside the figure."""

    row: Judged
    verdict: Verdict
    reason: str
    outside: bool


Outcome = tuple[tuple[str, str], tuple[Told, ...]]
"""What a run comes to, as `History.verdict` has it, and the requirements that it does not prove."""

_DAMAGED: Outcome = ((Verdict.INCONCLUSIVE.value, "evidence damaged or missing"), ())


def history(workspace: Workspace, programme: Programme, *, day: str = "") -> History:
    """The test runs of a workspace, and what each comes to under the requirements of `programme`.

    `day`: the one on which it is decided by them (ISO, UTC); without it no evidence is young enough where age counts.
    """
    records = workspace.ledger.records()
    runs, withdrawals = test_runs(records), workspace.withdrawals()

    store = _Known(workspace.store.root, runs)

    @cache
    def observed() -> dict[str, Outcome]:
        runs = store.intact_runs()
        measured = _recorded(workspace, store, runs, settings(programme))
        inputs = {
            "stage": "history",
            "runs": [run.record.digest for run in runs],
            "measurements": [measured.get(run.record.digest, "") for run in runs],
            "requirements": [each.model_dump(mode="json") for each in programme.requirements],
            "settings": settings(programme).as_json(),
            **expectations_of(programme),
        }
        return remembered_of(inputs, lambda: _observed(workspace, programme, runs, measured))

    def of(run: TestRun) -> tuple[str, str]:
        if run.state is not RunState.FINISHED:
            return Verdict.INCONCLUSIVE.value, run.state.value
        if not withdrawals.keys().isdisjoint([run.record.digest, *(output.digest for output in run.record.outputs)]):
            return Verdict.INCONCLUSIVE.value, "evidence withdrawn"
        return observed().get(run.run, _DAMAGED)[0]

    def deciding(run: TestRun) -> tuple[Compared, ...]:
        unproved = observed().get(run.run, _DAMAGED)[1]
        then = _limits_then(workspace, run) if unproved else {}
        return tuple(_decided(each, then.get(each.row.requirement)) for each in unproved)

    reliances = [(_place(record), record) for record in records if record.kind is Kind.RELIED]
    return History(
        runs=tuple(runs),
        withdrawn=frozenset(withdrawals),
        store=store,
        verdict=of,
        deciding=deciding,
        withdrawals=withdrawals,
        relied={place[:2]: place[2] for place, _ in reliances},
        since={place: record.time[:10] for place, record in reversed(reliances) if record.digest not in withdrawals},
        refused=_refused(reliances, records),
        approvals=approvals(records),
        day=day,
        signed=signed_plans(programme, people_of(workspace)),
    )


def _place(reliance: Record) -> tuple[str, str, str]:
    """The occasion and the test that rest on something, and the record of the run that they rest on."""
    return (
        str(reliance.parameters["occasion"]),
        str(reliance.parameters["test"]),
        next((item.digest for item in reliance.inputs if item.role == "executed"), ""),
    )


def _refused(
    reliances: Sequence[tuple[tuple[str, str, str], Record]], records: Sequence[Record]
) -> dict[tuple[str, str, str], str]:
    """Who withdrew the decision to rest on a run, when and why: that it was wrong to, whatever becomes of the run."""
    named = {
        item.digest: record for record in records if record.kind is Kind.WITHDRAWN for item in record.inputs
    }  # fmt: skip
    return {place: told(named[record.digest]) for place, record in reliances if record.digest in named}


def decided_then(workspace: Workspace, run: TestRun) -> dict[str, Any] | None:
    """What the plan said of a test before this run of it, as it is recorded; None where none did, as for results
    received, or where that plan cannot be read any more."""
    before = (
        record
        for record in reversed(workspace.ledger.records()[: run.record.sequence - 1])
        if record.stage == "plan" and record.parameters.get("occasion") == run.occasion
    )
    record = None if run.received else next(before, None)
    name = record.output("plan") if record else None
    entries = workspace.store.document(name) if name and workspace.store.intact(name) else []
    return next((dict(each) for each in entries if each["test"] == run.test), None)


def no_history(home: Path) -> History:
    """What is known where there is no workspace yet: nothing."""
    store = Workspace(home).store
    return History(runs=(), withdrawn=frozenset(), store=store, verdict=lambda _: (Verdict.INCONCLUSIVE.value, ""))


class _Known(ObjectStore):
    """A store whose outputs of finished runs are hashed all at once, when the first is asked for, and not again."""

    def __init__(self, root: Path, runs: Sequence[TestRun]) -> None:
        super().__init__(root)
        self._finished = [run for run in runs if run.state is RunState.FINISHED]

    @cached_property
    def _found(self) -> dict[str, bool]:
        names = sorted({output.digest for run in self._finished for output in run.record.outputs})
        found = hash_files([self.path(name) for name in names], lambda _done, _total: None)
        return {name: each.digest == name for name, each in zip(names, found, strict=True)}

    def intact(self, name: str) -> bool:
        """Whether the object is there and its bytes are the ones its name says."""
        return self._found[name] if name in self._found else super().intact(name)

    def intact_runs(self) -> list[TestRun]:
        """The finished runs whose outputs are all intact."""
        return [run for run in self._finished if all(self.intact(output.digest) for output in run.record.outputs)]


def _recorded(workspace: Workspace, store: ObjectStore, runs: Sequence[TestRun], wanted: Settings) -> dict[str, str]:
    """The measurements that are recorded of runs under the settings now in force, and intact, by the runs' records."""
    derived = dict[str, Record]()
    for record in workspace.select(Kind.DERIVED):
        derived.setdefault(record.key or "", record)
    found = {run.record.digest: derived.get(document_digest(measurement_key(run.record, wanted))) for run in runs}
    named = {run: record.output("measurements") or "" for run, record in found.items() if record}
    return {run: name for run, name in named.items() if name and store.intact(name)}


def _observed(
    workspace: Workspace, programme: Programme, runs: Sequence[TestRun], measured: Mapping[str, str]
) -> dict[str, Outcome]:
    """What each run comes to. `measured`: see `_recorded`."""
    wanted, further = settings(programme), expected(expectations_of(programme))
    with scratch() as folder:
        subjects = [
            Subject(
                document=workspace.store.document(run.record.output("run") or ""),
                measurements=workspace.store.path(measured[run.record.digest])
                if run.record.digest in measured
                else _measure(workspace, run, wanted, Path(folder) / str(number)),
                record=run.record.digest,
            )
            for number, run in enumerate(runs)
        ]
        database = Path(folder) / "judged.duckdb"
        rows = judged_rows(subjects, programme.requirements, database)
        unmet_by = unmet(database, TABLE, further) if further else {}
    said = {each.words: unmet_by[each.name] for each in further}
    by_run: dict[str, list[Judged]] = {run.run: [] for run in runs}
    for row in rows:
        by_run[row.run].append(row)
    return {run: _outcome(_told(mine, said)) for run, mine in by_run.items()}


def _outcome(told: Sequence[Told]) -> Outcome:
    return _together(told), tuple(each for each in told if each.verdict is not Verdict.PROVED)


def _measure(workspace: Workspace, run: TestRun, wanted: Settings, scratch: Path) -> Path:
    """The run's measurements, computed now into the file `scratch`."""
    from tasks.parquet import table_bytes

    store = workspace.store
    results = store.path(name) if (name := run.record.output("results")) else None  # a received summary has none
    infrastructure = store.path(run.record.output("infrastructure") or "")
    document = store.document(run.record.output("run") or "")
    rows = measure(document, results, infrastructure, withins=wanted.withins, groups=wanted.groups)
    scratch.write_bytes(table_bytes("measurements", rows))
    return scratch


def _told(rows: Sequence[Judged], unmet: Mapping[str, frozenset[str]]) -> list[Told]:
    found = named(rows, unmet)
    told = [(row, *verdict(row, found), lacks_from_outside(row, found)) for row in rows]
    return [Told(row=row, verdict=each, reason=reason, outside=outside) for row, each, reason, outside in told]


def _together(told: Sequence[Told]) -> tuple[str, str]:
    """The worst verdict. What was not proved stands, whatever else was lacking: there is no cause to repeat it."""
    verdicts = {each.verdict for each in told}
    if Verdict.NOT_PROVED in verdicts:
        return Verdict.NOT_PROVED.value, ""
    if verdicts == {Verdict.PROVED}:
        return Verdict.PROVED.value, ""
    return Verdict.INCONCLUSIVE.value, "; ".join(sorted({each.reason for each in told if each.outside}))


def _limits_then(workspace: Workspace, run: TestRun) -> dict[str, str]:
    """The limit of each requirement in the programme that was declared when the run was made."""
    declared = [each for each in workspace.select(Kind.DECLARED) if each.sequence < run.record.sequence]
    name = declared[-1].output("requirements") if declared else None
    if name is None or not workspace.store.intact(name):
        return {}
    return {
        each["id"]: _limit(METRICS[Metric(each["metric"])][1].value, each["limit"]["value"], each["limit"]["unit"])
        for each in workspace.store.document(name)
    }


def _decided(told: Told, then: str | None) -> Compared:
    """A requirement that is not proved: its limit then and now, and what was measured, with its interval."""
    row = told.row
    now = _limit(row.direction, row.limit, row.limit_unit)
    known = then or (now if row.requirement == TARGET_VOLUME else "not known")
    scope = "" if row.scope == ALL else f" of {row.scope}"
    measured = "" if row.value is None else f"; measured {shown(row.value, row.unit)}"
    new = f"{now}{measured}; {told.verdict}: {told.reason}"
    return Compared(input=f"requirement {row.requirement}{scope}", old=known, new=new, allows=False)


def _limit(direction: str, limit: int, unit: str) -> str:
    return f"{direction} {shown(limit, unit)}"
