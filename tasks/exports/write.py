"""Writes an export to a file, or sends it: the only place here that touches anything but evidence."""

import http.client
import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from catalog.canonical import canonical, digest
from catalog.errors import UsageError, WorldError
from catalog.signing import Signer, key_path
from catalog.store import disk, write_durably
from catalog.workspace import Workspace
from tasks.exports.in_toto import in_toto
from tasks.exports.openlineage import events, openlineage
from tasks.exports.prov import prov
from tasks.exports.ro_crate import write_crate
from tasks.exports.told import tell
from tasks.wire.tls import redacted

ENDPOINT = "/api/v1/lineage"
"""Where OpenLineage's HTTP transport sends events to, below the address that is given."""

_SECONDS = 30


class Form(StrEnum):
    """A standard that lineage is exported in."""

    OPENLINEAGE = "openlineage"
    PROV = "prov"
    RO_CRATE = "ro-crate"
    IN_TOTO = "in-toto"


def write(workspace: Workspace, phase: str, form: Form, file: Path) -> dict[str, Any]:
    """Writes the export of a phase to `file`, in one step; says what was written.

    Raises UsageError for a phase without a report and for a `file` that is there already or inside the workspace,
    WorldError when the disk refuses.
    """
    if file.exists() or file.is_symlink():
        raise UsageError(f"{file} is there already", remedy="Name another file with --out.")
    if file.resolve().is_relative_to(workspace.home.resolve()):
        raise UsageError(f"{file} would be inside the workspace", remedy="Name a file elsewhere with --out.")
    told = tell(workspace, phase)
    with disk(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        if form is Form.RO_CRATE:
            write_crate(workspace, told, file)
        else:
            write_durably(file, _made(workspace, told, form))
        data = file.read_bytes()
    return {"file": str(file), "as": str(form), "phase": phase, "bytes": len(data), "sha256": digest(data)}


def _made(workspace: Workspace, told: Any, form: Form) -> bytes:
    match form:
        case Form.OPENLINEAGE:
            return openlineage(told)
        case Form.PROV:
            return prov(told)
        case _:
            return in_toto(told, Signer.open(key_path(), outside=workspace.home))


def send(workspace: Workspace, phase: str, address: str, environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Sends a phase's OpenLineage events, oldest first, to the server at `address` (`http://host:port`).

    With the key in OPENLINEAGE_API_KEY, where there is one. Raises UsageError for an address that is none, WorldError
    when the server cannot be reached or refuses an event: those before it were taken, and may be sent again.
    """
    place = urlsplit(address)
    if "@" in place.netloc:
        raise UsageError("the address of the server holds credentials", remedy="Set OPENLINEAGE_API_KEY instead.")
    if place.scheme not in ("http", "https") or not place.hostname:
        raise UsageError(f"{address!r} is no address of a server", remedy="Give one such as http://localhost:5000.")
    key = environ.get("OPENLINEAGE_API_KEY", "")
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    made = list(events(tell(workspace, phase)))
    kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    connection = kind(place.hostname, place.port, timeout=_SECONDS)
    sent = 0
    try:
        for event in made:
            connection.request("POST", place.path.rstrip("/") + ENDPOINT, canonical(event), headers)
            answer = connection.getresponse()
            said = answer.read(500)
            if not 200 <= answer.status < 300:
                told = redacted(f"{answer.reason}: {said.decode(errors='replace')}", key)
                problem = f"{answer.status} {told[:200]}"
                raise _refused(address, problem, sent, len(made))
            sent += 1
    except (OSError, http.client.HTTPException) as error:
        raise _refused(address, str(error) or type(error).__name__, sent, len(made)) from error
    finally:
        connection.close()
    return {"to": address, "as": str(Form.OPENLINEAGE), "phase": phase, "events": sent}


def _refused(address: str, problem: str, sent: int, count: int) -> WorldError:
    remedy = "Send them again when the server answers: the same events have the same run ids."
    return WorldError(f"{address} took {sent} of {count} events, and then: {problem}", remedy=remedy)
