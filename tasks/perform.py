"""Performs pure stages: from a stage's key document to its outputs, and from nothing else.

A key names whatever its stage depends on: artefacts and records by digest, everything else by value. So a phase that is
run, and somebody who computes it again from the ledger (`tasks.reperform`), take one and the same way through here.
Planning, relying and reporting look at the ledger as a whole: see `tasks.conclude`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog import rules
from catalog.canonical import canonical
from catalog.declarations import ArrivalsShape, MessagePath, Programme, Requirement
from catalog.ledger import Kind, Record
from catalog.store import disk, parse
from catalog.workspace import HISTORY, Workspace
from expectations.verdicts import Reliance
from tasks.arrivals import Offer, seed_for, stream_arrivals
from tasks.breaches import Breach, describe
from tasks.compose import Leg, Route, compose_paths
from tasks.expecting import expected
from tasks.libraries import libraries
from tasks.measure import measure
from tasks.observe import Subject, observe
from tasks.stage import Artefact, Recorder, document, key_of
from tasks.volumes.model import Volume, VolumeModel, model_phase
from tasks.volumes.tables import tabulate

if TYPE_CHECKING:
    from tasks.judge import Judge

Inputs = Mapping[str, Any]
Outputs = dict[str, Artefact]

RESULTS, MEASUREMENTS, RUN = "results:", "measurements:", "run:"
"""What roles of inputs begin with that are a run's: the run's id follows."""

EARLIER = "earlier:"
"""What roles of inputs begin with that are an earlier phase's observations: the phase follows."""


@dataclass(kw_only=True)
class Material:
    """What stages are performed with. `programme`: as it was declared for them. `judge`: gives the judge, on demand.

    `models`: the volume models that are generated already, by phase.
    """

    workspace: Workspace
    programme: Programme
    judge: "Callable[[], Judge]"
    models: dict[str, VolumeModel] = field(default_factory=dict)

    def model(self, phase: str) -> VolumeModel:
        """The volume model of a phase, generated once."""
        if phase not in self.models:
            self.models[phase] = model_phase(self.programme, phase)
        return self.models[phase]

    def path(self, digest: str) -> Path:
        """The file of an artefact."""
        return self.workspace.store.path(digest)

    def document(self, digest: str) -> Any:
        """The document in an artefact."""
        return self.workspace.store.document(digest)


def perform(key: Mapping[str, Any], material: Material, folder: Path) -> Outputs:
    """The outputs of the stage with this key. `folder`: empty, for files that outputs are written to.

    Raises KeyError when the key was written before it named all that its stage depends on.
    """
    return _STAGES[key["stage"]](key["inputs"], material, folder)


def derive(
    recorder: Recorder,
    material: Material,
    stage: str,
    *,
    inputs: Mapping[str, str],
    settings: Mapping[str, Any] | None = None,
    kind: Kind = Kind.DERIVED,
    parameters: Mapping[str, Any] | None = None,
    elsewhere: Callable[[], Outputs] | None = None,
) -> Record:
    """The record of a pure stage (see `Recorder.derive`), performed from its key where it is not there yet.

    `elsewhere` gives its outputs where somebody else performs it from the same key.
    """
    version = version_of(stage)
    key = read_key(stage, inputs=inputs, settings=settings)
    with material.workspace.store.incoming() as folder:
        return recorder.derive(
            stage,
            rules=version,
            inputs=inputs,
            settings=settings,
            compute=elsewhere or (lambda: perform(key, material, folder)),
            kind=kind,
            parameters={"libraries": libraries(), **(parameters or {})},
        )


def read_key(stage: str, *, inputs: Mapping[str, str], settings: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """The key of a stage under this code's rules, as whoever reads it from the store has it."""
    key: Mapping[str, Any] = parse(canonical(key_of(stage, rules=version_of(stage), inputs=inputs, settings=settings)))
    return key


def version_of(stage: str) -> int:
    """The version of a stage's rules that this code has."""
    return rules.versions()[stage.replace("-", "_")]


def table(name: str, rows: Any) -> Artefact:
    """A table as an artefact, with the digest of its canonical rows."""
    from tasks.parquet import canonical_rows_digest, table_bytes

    return Artefact(data=table_bytes(name, rows), rows=canonical_rows_digest(name, rows))


def _volumes(inputs: Inputs, material: Material, _: Path) -> Outputs:
    from tasks.parquet import frame

    rows = material.model(inputs["phase"]).rows
    columns = {each.name: [getattr(row, each.name) for row in rows] for each in fields(Volume)}
    return {"volumes": table("volumes", frame("volumes", columns))}


def _volume_model(inputs: Inputs, material: Material, _: Path) -> Outputs:
    levels = {component: dict(named) for component, named in inputs["levels"]}
    tables = tabulate(material.programme, material.model(inputs["phase"]), levels)
    return {"volume model": document(tables)}


def _arrivals(inputs: Inputs, material: Material, folder: Path) -> Outputs:
    """Written as they are drawn: hours of arrivals take no more memory than seconds."""
    from tasks.execute import arrivals_frames
    from tasks.parquet import RowsDigest, write_table

    offer = Offer(
        messages=inputs["offered"],
        window_us=inputs["us"],
        seed=seed_for(inputs["seed"], 0),
        shape=ArrivalsShape.model_validate(inputs["shape"]),
        estate=inputs["estate"],
        hold_us=inputs["hold_us"],
        released=inputs.get("released", {}),
        follows=inputs.get("follows", {}),
    )
    rows, file = RowsDigest(), folder / "arrivals"
    batches = arrivals_frames(material.programme, stream_arrivals(offer))
    with disk(file), file.open("wb") as stream:
        write_table("arrivals", rows.passing(batches), stream)
    return {"arrivals": Artefact(data=file, rows=rows.hexdigest())}


def _measure(inputs: Inputs, material: Material, _: Path) -> Outputs:
    from tasks.parquet import hold

    tables = {
        name: material.path(inputs[name]["digest"]) if name in inputs else None  # a received summary has no results
        for name in ("results", "infrastructure")
    }
    for name, file in tables.items():
        if file is not None:
            hold(name, file)
    rows = measure(
        material.document(inputs["run"]["digest"]),
        tables["results"],
        material.path(inputs["infrastructure"]["digest"]),
        withins=tuple(inputs["withins"]),
        groups=inputs["groups"],
    )
    return {"measurements": table("measurements", rows)}


def _observe(inputs: Inputs, material: Material, _: Path) -> Outputs:
    requirements = [Requirement.model_validate(each) for each in material.document(inputs["requirements"]["digest"])]
    judged = observe(_subjects(inputs, material), requirements, material.judge(), expected(inputs))
    return {
        "observations": table("observations", judged.observations),
        "suites": document(judged.suites),
        "validation results": document(judged.results),
    }


def _subjects(inputs: Inputs, material: Material) -> Sequence[Subject]:
    records = {record.digest: record for record in material.workspace.ledger.records()}
    found = []
    for each in inputs["subjects"]:
        record = records[inputs[f"{RUN}{each['run']}"]["digest"]]
        measured = inputs.get(f"{MEASUREMENTS}{each['run']}")
        found.append(
            Subject(
                document={**material.document(record.output("run") or ""), "test": each["test"]},
                measurements=material.path(measured["digest"]) if measured else None,
                reliance=Reliance(each["reliance"]),
                withdrawn=each["withdrawn"],
                record=record.digest,
            )
        )
    return found


def _incident(inputs: Inputs, material: Material, _: Path) -> Outputs:
    run, infrastructure = inputs["run"]["digest"], inputs["infrastructure"]["digest"]
    told = describe(Breach.out_of(inputs["breach"]), material.document(run), material.path(infrastructure))
    return {"incident": document(told)}


def _compose(inputs: Inputs, material: Material, _: Path) -> Outputs:
    routes = [
        Route(path=MessagePath.model_validate(each["path"]), components=tuple(each["components"]))
        for each in inputs["routes"]
    ]
    legs = {
        name: Leg(component=name, run=run, results=material.path(inputs[f"{RESULTS}{run}"]["digest"]))
        for name, run in inputs["legs"].items()
    }
    return {"end to end": document(compose_paths(routes, legs))}


def _trend(inputs: Inputs, material: Material, _: Path) -> Outputs:
    from tasks.report.trend import junit, render_trend
    from tasks.trend import OBSERVATIONS, observations_of, trend

    days = inputs["days"]
    observed = observations_of([material.path(inputs[f"{OBSERVATIONS}{day['occasion']}"]["digest"]) for day in days])
    found = trend(days, observed, inputs["about"], inputs.get("baseline"))
    return {
        "history.json": document(found),
        "history.html": Artefact(data=render_trend(found).encode()),
        "junit.xml": Artefact(data=junit(observed[-1], found)),
    }


_STAGES: dict[str, Callable[[Inputs, Material, Path], Outputs]] = {
    "volumes": _volumes,
    "volume-model": _volume_model,
    "arrivals": _arrivals,
    "measure": _measure,
    "observe": _observe,
    "incident": _incident,
    "compose": _compose,
    HISTORY: _trend,
}
