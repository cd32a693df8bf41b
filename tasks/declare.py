"""Records what is declared: every file of the catalogue as it stands, and the programme that was read from them."""

from pathlib import Path
from typing import Any

from catalog import rules
from catalog.canonical import digest, document_digest
from catalog.declarations import Programme
from catalog.errors import WorldError
from catalog.ledger import Kind, Record
from catalog.reading import Catalogue
from catalog.store import disk
from catalog.workspace import FORMAT_FILE, Workspace
from tasks.stage import Artefact, Recorder, document, key_of

VOLUME_INPUTS = ("volumes", "assumptions", "forecasts", "migration_plans", "observed_volumes", "srv_register")
"""The parts of a programme that its volume model is computed from, beside the system's paths and components."""


def declare(recorder: Recorder, catalogue: Catalogue, folder: Path) -> Record:
    """The record of the catalogue: each file, the programme, and the parts that later stages depend on apart."""
    return recorder.derive(
        "declare",
        rules=rules.DECLARE,
        inputs={},
        settings={"files": catalogue.digests},
        compute=lambda: declared_outputs(catalogue, folder),
        kind=Kind.DECLARED,
    )


def is_declared(home: Path, catalogue: Catalogue) -> bool:
    """Whether the ledger of the workspace at `home` has that very catalogue, under the rules that are in force."""
    if not (home / FORMAT_FILE).exists():
        return False
    key = document_digest(key_of("declare", rules=rules.DECLARE, inputs={}, settings={"files": catalogue.digests}))
    return any(each.key == key for each in Workspace.open(home).select(Kind.DECLARED))


def declared_outputs(catalogue: Catalogue, folder: Path) -> dict[str, Artefact]:
    """What a catalogue that was read from `folder` is recorded as."""
    programme = programme_document(catalogue.programme)
    return {
        "programme": document(programme),
        "volume inputs": document(volume_inputs(programme)),
        "requirements": document(programme["requirements"]),
        **{
            f"file:{name}": Artefact(data=_read(folder / name, expected))
            for name, expected in catalogue.digests.items()
        },
    }


def programme_document(programme: Programme) -> dict[str, Any]:
    """The programme as it is recorded: canonical JSON, decimals as strings, durations in microseconds."""
    return programme.model_dump(mode="json", by_alias=True)


def volume_inputs(programme: dict[str, Any]) -> dict[str, Any]:
    """What the volume model depends on, and nothing else: a new version of a component does not touch it."""
    system = programme["system"]
    components = [{name: each[name] for name in ("id", "role", "scope")} for each in system["components"]]
    return {
        **{name: programme[name] for name in VOLUME_INPUTS},
        "components": components,
        "message_paths": system["message_paths"],
    }


def _read(path: Path, expected: str) -> bytes:
    with disk(path):
        data = path.read_bytes()
    if digest(data) != expected:
        raise WorldError(f"{path} changed while it was read", remedy="Run the command again when it has settled.")
    return data
