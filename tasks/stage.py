"""One mechanism for "already done": a stage is looked up by its key, and computed only when it is not there.

The key is a document (name, version of the rules, every input by name and digest); its digest is looked up among the
records of the same occasion.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.canonical import canonical, document_digest
from catalog.errors import EvidenceError
from catalog.keys import stage_key
from catalog.ledger import Actor, Draft, Kind, Record, Reference
from catalog.store import Copied
from catalog.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """Bytes that a stage puts out, or a file of them; `rows` is the digest of a table's canonical rows.

    A file is copied when it is recorded, and may be gone thereafter. `copy`: the durable copy that was made of it on
    the store's disk already, which is taken as it is.
    """

    data: bytes | Path
    rows: str | None = None
    copy: Copied | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """Who records, in which workspace, for which occasion, and with which version of the code."""

    workspace: Workspace
    occasion: str
    actor: Actor
    code: str

    def record(
        self,
        kind: Kind,
        stage: str,
        *,
        key: dict[str, Any] | None = None,
        inputs: Mapping[str, str] | None = None,
        outputs: Mapping[str, Artefact] | None = None,
        parameters: Mapping[str, Any] | None = None,
        rules: int = 1,
    ) -> Record:
        """Stores the outputs and the key document, then appends one record that names them.

        Raises EvidenceError when one of them stands in the store already and was altered there.
        """
        store = self.workspace.store
        references = tuple(
            Reference(
                role=role,
                digest=store.adopt(artefact.copy) if artefact.copy else self._stored(artefact.data),
                rows=artefact.rows,
            )
            for role, artefact in (outputs or {}).items()
        )
        draft = Draft(
            kind=kind,
            stage=stage,
            key=self._stored(canonical(key)) if key is not None else None,
            inputs=tuple(Reference(role=role, digest=digest) for role, digest in (inputs or {}).items()),
            outputs=references,
            parameters={"occasion": self.occasion, **(parameters or {})},
            rules=rules,
        )
        return self.workspace.record(draft, actor=self.actor, code=self.code)[0]

    def derive(
        self,
        stage: str,
        *,
        rules: int,
        inputs: Mapping[str, str],
        compute: Callable[[], Mapping[str, Artefact]],
        settings: Mapping[str, Any] | None = None,
        kind: Kind = Kind.DERIVED,
        parameters: Mapping[str, Any] | None = None,
    ) -> Record:
        """The record of a pure stage: the one already in the ledger under the same key, or a new one.

        `inputs` are artefacts by role and digest, `settings` plain values that the output depends on too.
        """
        key = key_of(stage, rules=rules, inputs=inputs, settings=settings)
        found = self.workspace.find(document_digest(key), self.occasion)
        if found is not None and all(self.workspace.store.intact(output.digest) for output in found.outputs):
            return found
        return self.record(kind, stage, key=key, inputs=inputs, outputs=compute(), parameters=parameters, rules=rules)

    def _stored(self, data: bytes | Path) -> str:
        """The digest of stored bytes. The store never replaces an object, so an altered one must not be named anew."""
        store = self.workspace.store
        name = store.put_file(data) if isinstance(data, Path) else store.put(data)
        if not self.workspace.store.intact(name):
            remedy = "Run `plimsoll verify`, and restore the workspace from a copy."
            raise EvidenceError(f"object {name} is altered ({self.workspace.store.path(name)})", remedy=remedy)
        return name


def key_of(
    stage: str, *, rules: int, inputs: Mapping[str, str], settings: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The key document of a pure stage: artefacts and records by role and digest, everything else by value."""
    named = {role: {"digest": digest} for role, digest in inputs.items()}
    return stage_key(stage, rules=rules, inputs={**named, **(settings or {})})


def document(value: Any) -> Artefact:
    """A JSON document as an artefact, in its canonical form."""
    return Artefact(data=canonical(value))
