"""Records, before anything else is planned, what earlier runs left behind that a crash had kept from ending."""

from pathlib import Path

from catalog import underway
from catalog.declarations import Programme
from catalog.errors import EvidenceError
from catalog.ledger import Kind, Record
from catalog.workspace import Run
from flows.desk import Desk
from flows.progress import current
from flows.stage import stage
from flows.stages import artefacts
from tasks.notebook import Notebook
from tasks.recover import recover as recover_run


@stage("recover")
def recover(desk: Desk) -> list[Record]:
    """Gives every run that was killed the end that it has not: interrupted, with the rows that it had written.

    One that had noted nothing yet has no end but its start's: there is nothing to add to that. Whoever calls holds the
    workspace, so no run goes on. What cannot be read stays where it is, and is named.
    """
    runs = {run.id: run for run in desk.workspace.runs()}
    found = []
    for name, folder in underway.left(desk.workspace.home).items():
        run = runs.get(name)
        if run is None:
            current().say(f"left alone    {folder}: of no run that a record names")
            continue
        if run.executed is None and Notebook(folder).is_blank:
            current().say(f"recovered     {run.id}: it was killed before it had begun")
        elif run.executed is None:
            try:
                found.append(_record(desk, run, folder))
            except EvidenceError as error:
                current().say(f"left alone    {folder}: {error}")
                continue
        underway.remove(desk.workspace.home, name)
    return found


def _record(desk: Desk, run: Run, folder: Path) -> Record:
    started = run.started
    given = {item.role: item.digest for item in started.inputs}
    key = desk.workspace.store.document(started.key or "")
    left = recover_run(folder, key, _programme(desk, started))
    parameters = {name: value for name, value in started.parameters.items() if name != "why"}
    current().say(f"recovered     {run.id}: {left.reason.splitlines()[-1]}")
    return desk.recorder.record(
        Kind.EXECUTED,
        "execute",
        key=key,
        inputs=given,
        outputs=artefacts(left, given.get("arrivals", ""), folder),
        parameters={**parameters, "state": left.state.value, "reason": left.reason},
    )


def _programme(desk: Desk, started: Record) -> Programme:
    """The programme that was declared when the run began."""
    declared = [each for each in desk.workspace.select(Kind.DECLARED) if each.sequence < started.sequence]
    name = declared[-1].output("programme") if declared else None
    return Programme.model_validate(desk.workspace.store.document(name)) if name else desk.programme
