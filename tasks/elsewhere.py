"""A pure stage performed on another host: from its key, and from evidence that the host reaches as this one does.

Nothing is recorded there. Whoever asked gets the outputs' bytes, and stores them under the digest that it computes.
"""

import pickle
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.bucket import Bucket, pull_objects
from catalog.declarations import Programme
from catalog.errors import WorldError
from catalog.workspace import Workspace
from tasks.perform import Material, perform
from tasks.scratch import scratch
from tasks.stage import Artefact

if TYPE_CHECKING:
    from tasks.judge import Judge


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Where a workspace's objects are: a folder, the same on every host that shares it, or a bucket."""

    home: Path
    bucket: str = ""

    @classmethod
    def of(cls, workspace: Workspace) -> "Evidence":
        """That of a workspace."""
        return cls(home=workspace.home.resolve(), bucket=workspace.bucket.url if workspace.bucket else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A stage to be performed: its key, as it is read from the store, the evidence, and the programme as declared."""

    key: Mapping[str, Any]
    evidence: Evidence
    programme: Programme


def perform_there(wanted: Wanted) -> dict[str, Artefact]:
    """The outputs of a stage that needs no judge, as bytes.

    Raises WorldError where this host does not reach an object that the key names, or finds it altered.
    """
    named = [each["digest"] for each in wanted.key["inputs"].values() if isinstance(each, dict) and "digest" in each]
    with scratch() as temporary:
        folder = Path(temporary)
        home = wanted.evidence.home
        if wanted.evidence.bucket:
            home = folder / "copy"
            pull_objects(Bucket(wanted.evidence.bucket), home, named)
        workspace = Workspace(home)
        if lacking := [name for name in named if not workspace.store.intact(name)]:
            raise WorldError(
                f"{socket.gethostname()} does not see {lacking[0]} in {home}",
                remedy="Put the workspace where every host of the cluster has it under the same path, or on a bucket.",
            )
        (folder / "work").mkdir()
        material = Material(workspace=workspace, programme=wanted.programme, judge=_no_judge)
        outputs = perform(wanted.key, material, folder / "work")
        return {role: _in_bytes(artefact) for role, artefact in outputs.items()}


def packed(outputs: Mapping[str, Artefact]) -> bytes:
    """Outputs as they are handed back."""
    return pickle.dumps({role: (artefact.data, artefact.rows) for role, artefact in outputs.items()})


def unpacked(data: bytes) -> dict[str, Artefact]:
    """Outputs as they were handed over by a host that one hands work to."""
    found: dict[str, tuple[bytes, str | None]] = pickle.loads(data)  # noqa: S301  # from a host that runs our code
    return {role: Artefact(data=each, rows=rows) for role, (each, rows) in found.items()}


def _in_bytes(artefact: Artefact) -> Artefact:
    data = artefact.data.read_bytes() if isinstance(artefact.data, Path) else artefact.data
    return Artefact(data=data, rows=artefact.rows)


def _no_judge() -> "Judge":
    raise WorldError("there is no judge on this host")
