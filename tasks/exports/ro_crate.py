"""Workflow Run RO-Crate: a bundle with the metadata file that makes it a research object (RO-Crate 1.1).

The declarations are the workflow, Plimsoll the engine that runs it, each record an action with what it used and put
out, the phase's run one action from the declarations to the report. Profiles: process 0.5 and workflow 0.5 of
w3id.org/ro/wfrun, workflow-ro-crate 1.0. The files are the bundle's, unchanged.
"""

import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from catalog.bundle import CATALOGUE, README, export
from catalog.canonical import canonical
from catalog.ledger import Actor, Kind, Record
from catalog.workspace import Workspace
from tasks.exports.told import JSON, Phase, Told

METADATA = "ro-crate-metadata.json"
_CONTEXT = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
_BIOSCHEMAS = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
_ENGINE, _LANGUAGE, _RUN, _TERMS, _OPERATOR = "#plimsoll", "#declarations", "#run", "#terms", "#operator"
_TIME = (1980, 1, 1, 0, 0, 0)
_TYPES = {".html": "text/html", ".json": JSON, ".md": "text/markdown", ".jsonl": "application/jsonl",
          ".csv": "text/csv", ".yaml": "application/yaml", ".yml": "application/yaml"}  # fmt: skip

Entity = dict[str, Any]


def write_crate(workspace: Workspace, phase: Phase, file: Path) -> None:
    """Writes the crate of a phase to `file`, in one step; the same evidence gives the same bytes."""
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as folder:
        bundle, made = Path(folder) / "bundle.zip", Path(folder) / "crate.zip"
        export(workspace, phase.name, bundle)
        with zipfile.ZipFile(bundle) as source, zipfile.ZipFile(made, "w") as out:
            names = {member.filename: member.file_size for member in source.infolist()}
            out.writestr(_member(METADATA), canonical(metadata(phase, names)))
            for member in source.infolist():
                with source.open(member) as read, out.open(_member(member.filename), "w") as written:
                    while chunk := read.read(1 << 20):
                        written.write(chunk)
        made.chmod(0o644)
        made.rename(file)


def _member(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, date_time=_TIME)
    entry.create_system = 3
    entry.external_attr = 0o100644 << 16
    return entry


def metadata(phase: Phase, files: dict[str, int]) -> dict[str, Any]:
    """The metadata of a crate with these files, each with its size."""
    actions = [_action(phase, told, files) for told in phase.told if told.record.outputs]
    graph = [
        {
            "@id": METADATA,
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": [
                {"@id": "https://w3id.org/ro/crate/1.1"},
                {"@id": "https://w3id.org/workflowhub/workflow-ro-crate/1.0"},
            ],
        },
        _root(phase, files, actions),
        *_profiles(),
        _workflow(phase, files),
        _run(phase, files),
        *actions,
        *_software(phase),
        *_agents(phase),
        *(_file(phase, name, size) for name, size in sorted(files.items()) if name != _workflow_file(files)),
    ]
    return {"@context": _CONTEXT, "@graph": graph}


def _ids(names: Sequence[str]) -> Any:
    """References; one alone stands by itself, as RO-Crate recommends."""
    found = [{"@id": name} for name in dict.fromkeys(names)]
    return found[0] if len(found) == 1 else found


def _root(phase: Phase, files: dict[str, int], actions: list[Entity]) -> Entity:
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Evidence of phase {phase.name}: {phase.title}",
        "description": f"The completion report of phase {phase.name}, and every artefact and record that it rests on. "
        f"The ledger ends with record {phase.head.sequence}:{phase.head.digest}.",
        "datePublished": phase.report.time[:10],
        "license": {"@id": _TERMS},
        "author": {"@id": _agent(phase.report.actor)},
        "publisher": {"@id": _OPERATOR},
        "conformsTo": _ids(list(_PROFILES)),
        "mainEntity": {"@id": _workflow_file(files)},
        "hasPart": _ids(sorted(files)),
        "mentions": _ids([_RUN, *(action["@id"] for action in actions)]),
    }


def _profiles() -> Iterator[Entity]:
    for name, (title, version) in _PROFILES.items():
        yield {"@id": name, "@type": "CreativeWork", "name": title, "version": version}
    yield {"@id": _BIOSCHEMAS, "@type": "CreativeWork", "name": "Bioschemas ComputationalWorkflow", "version": "1.0"}


def _workflow_file(files: dict[str, int]) -> str:
    """The declaration that stands for all: the tests that are planned, else the first of the catalogue."""
    declared = sorted(name for name in files if name.startswith(f"{CATALOGUE}/"))
    tests = f"{CATALOGUE}/tests.yaml"
    return tests if tests in declared or not declared else declared[0]


def _workflow(phase: Phase, files: dict[str, int]) -> Entity:
    main = _workflow_file(files)
    return {
        "@id": main,
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
        "name": "The programme as declared",
        "description": "Plimsoll reads the declarations beside this file, and runs the phase that they describe.",
        "programmingLanguage": {"@id": _LANGUAGE},
        "conformsTo": {"@id": _BIOSCHEMAS},
        "version": phase.report.code,
        "encodingFormat": _TYPES.get(Path(main).suffix, "text/plain"),
        "contentSize": str(files.get(main, 0)),
    }


def _run(phase: Phase, files: dict[str, int]) -> Entity:
    return {
        "@id": _RUN,
        "@type": "CreateAction",
        "name": f"Capability phase {phase.name}",
        "description": f"From the declarations of {phase.title} to the completion report of phase {phase.name}",
        "instrument": {"@id": _workflow_file(files)},
        "agent": {"@id": _agent(phase.report.actor)},
        "startTime": _time(phase.told[0].record),
        "endTime": _time(phase.report),
        "object": _ids(sorted(name for name in files if name.startswith(f"{CATALOGUE}/"))),
        "result": _ids(sorted(name for name in files if name.startswith("reports/"))),
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }


def _action(phase: Phase, told: Told, files: dict[str, int]) -> Entity:
    record = told.record
    failed = record.parameters.get("state") in ("interrupted", "unreachable")
    about = told.about.run or told.about.test or told.about.phase
    found: Entity = {
        "@id": f"#record-{record.sequence}",
        "@type": "CreateAction",
        "name": f"{record.kind} by {record.stage}" + (f": {about}" if about else ""),
        "description": f"Record {record.sequence} of the ledger, {record.digest}",
        "instrument": {"@id": _stage(record)},
        "agent": {"@id": _agent(record.actor)},
        "endTime": _time(record),
        "object": _ids([name for source in told.sources if (name := _object(source.digest)) in files]),
        "result": _ids([name for item in record.outputs if (name := _object(item.digest)) in files]),
        "actionStatus": f"http://schema.org/{'Failed' if failed else 'Completed'}ActionStatus",
    }
    started = [each.record for each in phase.told if told.run and each.run == told.run]
    if started and started[0].kind is Kind.STARTED:
        found["startTime"] = _time(started[0])
    if failed:
        found["error"] = str(record.parameters.get("reason") or record.parameters["state"])
    if told.withdrawn:
        found["disambiguatingDescription"] = f"withdrawn, or rests on what was, by record {told.withdrawn.sequence}"
    return found


def _time(record: Record) -> str:
    """When it was recorded, to the millisecond, as the profiles write times; the ledger has the rest."""
    return f"{record.time[:23]}+00:00"


def _object(digest: str) -> str:
    return f"objects/{digest[:2]}/{digest[2:]}"


def _stage(record: Record) -> str:
    return f"#stage-{record.stage}"


def _software(phase: Phase) -> Iterator[Entity]:
    yield {
        "@id": _LANGUAGE,
        "@type": "ComputerLanguage",
        "name": "Plimsoll declarations",
        "url": {"@id": "https://yaml.org/spec/1.2.2/"},
    }
    yield {
        "@id": _ENGINE,
        "@type": "SoftwareApplication",
        "name": "Plimsoll",
        "softwareVersion": phase.report.code,
        "description": "Proves how much load a system of many providers can carry, and keeps the evidence.",
    }
    for stage in sorted({told.record.stage for told in phase.told if told.record.outputs}):
        yield {
            "@id": f"#stage-{stage}",
            "@type": "SoftwareApplication",
            "name": f"Plimsoll: {stage}",
            "softwareVersion": phase.report.code,
            "isPartOf": {"@id": _ENGINE},
        }


def _agent(actor: Actor) -> str:
    return f"#agent-{actor.fingerprint[:16] or 'unnamed'}"


def _agents(phase: Phase) -> Iterator[Entity]:
    names: dict[str, Actor] = {}
    for told in phase.told:
        names.setdefault(_agent(told.record.actor), told.record.actor)
    names.setdefault(_agent(phase.report.actor), phase.report.actor)
    for name, actor in names.items():
        key = {"identifier": f"urn:plimsoll:agent:{actor.fingerprint}"} if actor.fingerprint else {}
        yield {"@id": name, "@type": "Person", "name": actor.name, **key}
    yield {"@id": _OPERATOR, "@type": "Organization", "name": phase.operator or "Operator of the programme"}
    terms = f"Nothing is stated about licences; ask {phase.operator or 'the operator of the programme'}."
    yield {"@id": _TERMS, "@type": "CreativeWork", "name": "Terms of use", "description": terms}


def _file(phase: Phase, name: str, size: int) -> Entity:
    found: Entity = {"@id": name, "@type": "File", "name": Path(name).name, "contentSize": str(size)}
    if name.startswith("objects/"):
        digest = name.removeprefix("objects/").replace("/", "")
        return {**found, "name": phase.role(digest), "sha256": digest, "encodingFormat": phase.media_type(digest)}
    about = {"about": {"@id": "./"}} if name == README else {}
    return {**found, **about, "encodingFormat": _TYPES.get(Path(name).suffix, "text/plain")}
