"""The drop folder: service providers' engineers put submissions there, and a schedule takes them in.

inbox/<any name>/             a submission: its files, and last of all manifest.yaml, which must name the test
inbox/taken/<name>/           what was received, with receipt.json; the files themselves are in the evidence store
inbox/refused/<name>/         what could not be, with refused.txt: everything that is wrong with it, and what to do

A submission without manifest.yaml is still being copied. To submit a refused one again, mend it and move it back.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.states import Completed

from catalog.errors import PlimsollError, Status, UsageError
from catalog.store import disk, make_directory, write_durably
from flows.cli import CATALOG
from flows.deployed import HOOKS, patience, settle
from flows.intake import receive
from flows.progress import current
from flows.remote import at_home
from tasks.intake.manifest import read_manifest

MANIFEST, TAKEN, REFUSED = "manifest.yaml", "taken", "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a submission: its receipt as `intake --json` gives it, or why it was refused."""

    name: str
    receipt: Mapping[str, Any] | None = None
    refused: str = ""


@flow(name="intake", persist_result=False, **HOOKS)
def intake(
    inbox: str = "inbox", catalog: str = str(CATALOG), home: str = "", environment: str = ""
) -> "dict[str, int] | State[Any]":
    """Takes in every submission that is complete; returns how many were received and how many refused.

    What is refused is told to its folder and to Prefect, as a table and as the event `plimsoll.intake.refused`, and
    hinders no other. A workspace that cannot be written, or a disk that is full, ends the flow; the rest stays there.
    """
    where: dict[str, Any] = {"catalog": Path(catalog), "home": at_home(settle(home)), "environment": environment}
    outcomes = [take(each, where) for each in waiting(Path(inbox))]
    if not outcomes:
        return Completed(name="Nothing to take in", message=f"no submission is complete in {inbox}")
    show(outcomes)
    refused = sum(bool(each.refused) for each in outcomes)
    return {"received": len(outcomes) - refused, "refused": refused}


def waiting(inbox: Path) -> list[Path]:
    """The submissions that are complete, by name. Raises WorldError where there is no such folder."""
    with disk(inbox):
        folders = sorted(path for path in inbox.iterdir() if path.is_dir() and not path.is_symlink())
    return [each for each in folders if each.name not in (TAKEN, REFUSED) and (each / MANIFEST).is_file()]


@task(name="submission", task_run_name="{folder.name}", cache_policy=NO_CACHE, persist_result=False)
def take(folder: Path, where: Mapping[str, Any]) -> Outcome:
    """Receives one submission as `plimsoll intake` does, and moves it to what was taken or what was refused."""
    try:
        receipt = _received(folder, where)
    except PlimsollError as error:
        if error.status is not Status.DECLARATION:
            raise
        why = "\n\n".join(part for part in (str(error), error.help()) if part)
        _put_away(folder, REFUSED, "refused.txt", f"{why}\n".encode())
        return Outcome(name=folder.name, refused=why)
    _put_away(folder, TAKEN, "receipt.json", json.dumps(receipt, indent=2).encode() + b"\n")
    return Outcome(name=folder.name, receipt=receipt)


def _received(folder: Path, where: Mapping[str, Any]) -> dict[str, Any]:
    manifest, written = read_manifest(folder / MANIFEST)
    if not manifest.test:
        raise UsageError("the manifest names no test", remedy="Say which: test: PHASE.COMPONENT.TEST")
    files = _files(folder)
    received, _, _ = receive(manifest.test, files, (manifest, written), **where, progress=current(), wait=patience())
    return received.as_json()


def _files(folder: Path) -> list[Path]:
    """The files of a submission. Raises UsageError where there is none, or anything else: a link may lead elsewhere."""
    found = sorted(path for path in folder.iterdir() if path.name not in (MANIFEST, "refused.txt"))
    odd = [path.name for path in found if path.is_symlink() or not path.is_file()]
    if odd or not found:
        what = f"{', '.join(odd)}: no regular file" if odd else "there are no files beside the manifest"
        raise UsageError(what, remedy="A submission is a folder of the tool's files, or archives of them.")
    return found


def _put_away(folder: Path, place: str, name: str, told: bytes) -> None:
    """Moves a submission, with a word on it; a number is put behind its name where one of that name is there."""
    above = folder.parent / place
    with disk(above):
        make_directory(above)
        write_durably(folder / name, told)
        target, number = above / folder.name, 1
        while target.exists():
            target, number = above / f"{folder.name}-{number}", number + 1
        shutil.move(folder, target)


def show(outcomes: Sequence[Outcome]) -> None:
    """Tells Prefect what was received and what refused."""
    table = [
        {
            "submission": each.name,
            "test": each.receipt["test"] if each.receipt else "",
            "messages": each.receipt["samples"] if each.receipt else "",
            "evidence": each.receipt["evidence"] if each.receipt else "",
            "refused": each.refused,
        }
        for each in outcomes
    ]
    create_table_artifact(table, key="plimsoll-intake", description=f"{len(outcomes)} submissions")
    for each in outcomes:
        emit_event(
            event=f"plimsoll.intake.{'refused' if each.refused else 'received'}",
            resource={"prefect.resource.id": f"plimsoll.submission.{each.name}", "prefect.resource.name": each.name},
            payload={"refused": each.refused} if each.refused else dict(each.receipt or {}),
        )
