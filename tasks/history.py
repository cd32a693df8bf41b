"""What earlier runs came to: each finished run's measurements held, afresh, against the requirements now in force.

`plan` and `explain` must answer at once, so the rules of `expectations.plain` decide here; the judge's suites decide
again when a phase is observed, and a property test holds the two to the same answers.
"""

import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from catalog.canonical import document_digest
from catalog.declarations import Programme
from catalog.ledger import Kind
from catalog.runs import RunState, TestRun, test_runs
from catalog.workspace import Workspace
from expectations.plain import lacks_from_outside, named
from expectations.verdicts import Judged, Verdict, verdict
from tasks.measure import measure
from tasks.measuring import Settings, measurement_key, settings
from tasks.observe import Subject, judged_rows
from tasks.plan import History


def history(workspace: Workspace, programme: Programme) -> History:
    """The test runs of a workspace, and what each comes to under the requirements of `programme`."""
    runs = test_runs(workspace.ledger.records())

    @cache
    def verdicts() -> dict[str, tuple[str, str]]:
        usable = [run for run in runs if run.state is RunState.FINISHED and _intact(workspace, run)]
        return _verdicts(workspace, programme, usable)

    def of(run: TestRun) -> tuple[str, str]:
        if run.state is not RunState.FINISHED:
            return Verdict.INCONCLUSIVE.value, run.state.value
        return verdicts().get(run.run, (Verdict.INCONCLUSIVE.value, "evidence damaged or missing"))

    return History(runs=tuple(runs), withdrawn=frozenset(workspace.withdrawn()), store=workspace.store, verdict=of)


def no_history(home: Path) -> History:
    """What is known where there is no workspace yet: nothing."""
    store = Workspace(home).store
    return History(runs=(), withdrawn=frozenset(), store=store, verdict=lambda _: (Verdict.INCONCLUSIVE.value, ""))


def _intact(workspace: Workspace, run: TestRun) -> bool:
    return all(workspace.store.intact(output.digest) for output in run.record.outputs)


def _verdicts(workspace: Workspace, programme: Programme, runs: Sequence[TestRun]) -> dict[str, tuple[str, str]]:
    """Of each run: its observations taken together, and the cause outside the figure, empty when there is none."""
    wanted = settings(programme)
    with tempfile.TemporaryDirectory(prefix="plimsoll-") as folder:
        subjects = [
            Subject(
                document=workspace.store.document(run.record.output("run") or ""),
                measurements=_measurements(workspace, run, wanted, Path(folder) / str(number)),
                record=run.record.digest,
            )
            for number, run in enumerate(runs)
        ]
        rows = judged_rows(subjects, programme.requirements, Path(folder) / "judged.duckdb")
    return {run.run: _together([row for row in rows if row.run == run.run]) for run in runs}


def _measurements(workspace: Workspace, run: TestRun, wanted: Settings, scratch: Path) -> Path:
    """The run's measurements: those recorded under the same key, or computed now into `scratch`."""
    key = document_digest(measurement_key(run.record, wanted))
    recorded = next((record for record in workspace.select(Kind.DERIVED) if record.key == key), None)
    digest = recorded.output("measurements") if recorded else None
    if digest and workspace.store.intact(digest):
        return workspace.store.path(digest)
    from tasks.parquet import table_bytes

    store = workspace.store
    results, infrastructure = (store.path(run.record.output(role) or "") for role in ("results", "infrastructure"))
    document = store.document(run.record.output("run") or "")
    rows = measure(document, results, infrastructure, withins=wanted.withins, groups=wanted.groups)
    scratch.write_bytes(table_bytes("measurements", rows))
    return scratch


def _together(rows: Sequence[Judged]) -> tuple[str, str]:
    """The worst verdict. What was not proved stands, whatever else was lacking: there is no cause to repeat it."""
    found = named(rows)
    told = [(verdict(row, found), lacks_from_outside(row, found)) for row in rows]
    verdicts = {each for (each, _), _ in told}
    if Verdict.NOT_PROVED in verdicts:
        return Verdict.NOT_PROVED.value, ""
    if verdicts == {Verdict.PROVED}:
        return Verdict.PROVED.value, ""
    return Verdict.INCONCLUSIVE.value, "; ".join(sorted({reason for (_, reason), lacks in told if lacks}))
