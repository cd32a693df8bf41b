"""Incidents: an infrastructure requirement that a run breached, when it did, and by how much.

A requirement is breached when what was measured over the run lies beyond its limit; the samples beyond it say when.
Growth over a run has no such moment and is left to its observation.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog import rules
from catalog.declarations import Direction, Metric
from catalog.ledger import Kind, Record
from catalog.runs import TestRun
from catalog.workspace import Workspace
from tasks.measures.resources import sampled_as, samples_of
from tasks.measures.rows import ALL
from tasks.measures.subject import Run, Tables, database, prepare
from tasks.stage import Recorder, document


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """An observation of an infrastructure requirement whose measured value lies beyond its limit."""

    run: str
    test: str
    component: str
    requirement: str
    metric: str
    value: int
    limit: int
    unit: str

    def as_json(self) -> dict[str, Any]:
        """The breach as an incident's key and document hold it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def breaches(observations: Sequence[Mapping[str, Any]]) -> Iterator[Breach]:
    """The breaches among the rows of an observations table."""
    for row in observations:
        if is_infrastructure(str(row["metric"])) and row["scope"] == ALL and _is_beyond(row):
            yield Breach(**{name: row[name] for name in Breach.__dataclass_fields__})


def is_infrastructure(metric: str) -> bool:
    """Whether a metric is of an infrastructure resource, of which single samples tell."""
    return metric in set(Metric) and sampled_as(Metric(metric)) is not None


def incident_facts(
    workspace: Workspace, occasion: str, observations: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The incidents of an occasion that these observations tell of, as facts: each with its record."""
    told = [breach.as_json() for breach in breaches(observations)]
    found = []
    for record in workspace.select(Kind.INCIDENT, occasion=occasion):
        incident = workspace.store.document(record.output("incident") or "")
        if {name: incident[name] for name in Breach.__dataclass_fields__} in told:
            found.append({"digest": record.output("incident"), "record": record.digest, "document": incident})
    return found


def _is_beyond(row: Mapping[str, Any]) -> bool:
    if row["value"] is None:
        return False
    beyond = row["value"] - row["limit"]
    return bool(beyond > 0 if row["direction"] == Direction.AT_MOST else beyond < 0)


def record_incidents(
    recorder: Recorder, runs: Mapping[str, TestRun], observations: Sequence[Mapping[str, Any]]
) -> list[Record]:
    """The record of each breach in these runs, new where there is none yet. `runs`: those of this occasion, by id."""
    found = []
    for breach in breaches(observations):
        run = runs.get(breach.run)
        sampled = run.record.output("infrastructure") if run else None
        if run is None or sampled is None:
            continue
        found.append(
            recorder.derive(
                "incident",
                rules=rules.INCIDENT,
                inputs={"executed": run.record.digest, "infrastructure": sampled},
                settings=breach.as_json(),
                compute=lambda run=run, breach=breach: {"incident": document(_incident(recorder, run, breach))},  # type: ignore[misc]  # bound now
                kind=Kind.INCIDENT,
                parameters={"run": breach.run, "test": breach.test, "requirement": breach.requirement},
            )
        )
    return found


def _incident(recorder: Recorder, run: TestRun, breach: Breach) -> dict[str, Any]:
    store = recorder.workspace.store
    declared = store.document(run.record.output("run") or "")
    return describe(breach, declared, store.path(run.record.output("infrastructure") or ""))


def describe(breach: Breach, run: Mapping[str, Any], infrastructure: Path) -> dict[str, Any]:
    """A breach with the samples beyond the limit: how many of how many, the first, the last and the farthest.

    `run`: the run's document. Times are microseconds since the epoch, values in the unit of the requirement.
    """
    metric = Metric(breach.metric)
    name, factor = sampled_as(metric) or ("", 1)
    with database() as connection:
        tables = Tables(results=None, infrastructure=infrastructure, withins=(), groups={})
        prepare(connection, Run(run), tables)
        at_us, values = samples_of(connection).get(name, ((), ()))
    told = [(int(at), int(value) * factor) for at, value in zip(at_us, values, strict=True)]
    beyond = [(at, value) for at, value in told if value > breach.limit]
    return {
        **breach.as_json(),
        "samples": len(told),
        "beyond": len(beyond),
        "first_us": beyond[0][0] if beyond else None,
        "last_us": beyond[-1][0] if beyond else None,
        "peak": max((value for _, value in told), default=None),
    }
