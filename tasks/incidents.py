"""Records incidents: a breach of an infrastructure requirement by a run, once for each; and finds those of a phase."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from catalog.ledger import Kind, Record
from catalog.runs import TestRun
from catalog.workspace import Workspace
from tasks.breaches import Breach, breaches, is_infrastructure, measured_breaches
from tasks.perform import Material, derive
from tasks.stage import Recorder


def incidents_of(recorder: Recorder, material: Material, run: TestRun, measured: Record) -> list[Record]:
    """The record of each breach in a run of this occasion that was just measured, by the requirements declared now."""
    store, requirements = material.workspace.store, material.programme.requirements
    found = measured_breaches(
        {**store.document(run.record.output("run") or ""), "test": run.test},
        store.path(measured.output("measurements") or ""),
        [each for each in requirements if is_infrastructure(each.metric)],
    )
    return record_incidents(recorder, material, {run.run: run}, found)


def record_incidents(
    recorder: Recorder, material: Material, runs: Mapping[str, TestRun], beyond: Iterable[Breach]
) -> list[Record]:
    """The record of each breach in these runs, new where there is none yet. `runs`: those of this occasion, by id."""
    found = []
    for breach in beyond:
        run = runs.get(breach.run)
        if run is None or run.record.output("infrastructure") is None:
            continue
        told = {role: run.record.output(role) or "" for role in ("run", "infrastructure")}
        found.append(
            derive(
                recorder,
                material,
                "incident",
                inputs={"executed": run.record.digest, **told},
                settings={"breach": breach.as_json()},
                kind=Kind.INCIDENT,
                parameters={"run": breach.run, "test": breach.test, "requirement": breach.requirement},
            )
        )
    return found


def incident_facts(
    workspace: Workspace, occasion: str, observations: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The incidents of an occasion that these observations tell of, as facts: each with its record."""
    told = list(breaches(observations))
    found = []
    for record in workspace.select(Kind.INCIDENT, occasion=occasion):
        incident = workspace.store.document(record.output("incident") or "")
        if Breach.out_of(incident) in told:
            found.append({"digest": record.output("incident"), "record": record.digest, "document": incident})
    return found
