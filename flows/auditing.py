"""The scheduled audit: the evidence is verified and a share of it computed again, and a break is told at once."""

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event
from prefect.variables import Variable

from catalog.errors import EvidenceError
from catalog.verification import Verification
from flows.audit import perform_again, share_of
from flows.deployed import HOOKS, settle
from flows.remote import at_home
from tasks.reperform import Result

if TYPE_CHECKING:
    from pathlib import Path

    from tasks.reperform import Reperformed


@flow(name="audit", persist_result=False, **HOOKS)
def audit(home: str = "", sample: str = "0.1") -> dict[str, Any]:
    """Verifies a workspace against the head that the audit before saw, and computes a random share of it again.

    The head is kept in Prefect's variable `plimsoll_head_…`, away from the workspace, so that whoever cuts the ledger
    short is found. Returns what held. A break fails the flow, with everything that is wrong, after the artifact
    `plimsoll-audit` and the event `plimsoll.audit.broken`; its hooks tell whom they are to tell.
    """
    named = settle(home)
    folder, seen = at_home(named), f"plimsoll_head_{sha256(named.encode()).hexdigest()[:12]}"
    share = share_of(sample)
    head: Any = Variable.get(seen)
    held = verify(folder, head)
    found, drawn = compute_again(folder, share) if held.ok else ([], "")
    broken = [*(f"{each.what} ({each.where})" for each in held.faults), *_differing(found)]
    told = {
        "records": held.records,
        "objects": held.objects,
        "bytes": held.bytes,
        "freshness": held.freshness,
        "head": held.head,
        "stages computed again": len(found),
        "sample": drawn,
    }
    tell(named, told, broken)
    if broken:
        raise EvidenceError(f"the evidence in {named} does not hold:\n" + "\n".join(broken), remedy=_REMEDY)
    Variable.set(seen, held.head, overwrite=True)
    return told


_REMEDY = "Change nothing. Keep a copy of the workspace as it is, and see docs/auditing.md."


@task(name="verify", cache_policy=NO_CACHE, persist_result=False)
def verify(folder: "Path", head: str | None) -> Verification:
    """Digests, chain, signatures, every figure's evidence, and that the head that was seen last is still one of it."""
    from catalog.verification import verify as verify_evidence

    return verify_evidence(folder, head=head)


@task(name="reperform", cache_policy=NO_CACHE, persist_result=False)
def compute_again(folder: "Path", share: tuple[float, int]) -> "tuple[list[Reperformed], str]":
    """A random share of the pure stages, each computed again and compared."""
    return perform_again(folder, share)


def _differing(found: "Sequence[Reperformed]") -> list[str]:
    return [
        f"{each.stage}, computed again, differs (record {each.record.sequence})"
        for each in found
        if each.result is Result.DIFFERS
    ]


def tell(home: str, told: dict[str, Any], broken: Sequence[str]) -> None:
    """Tells Prefect how the audit came out: a page for people, an event for automations."""
    lines = [f"| {name} | `{value}` |" for name, value in told.items()]
    head = f"# {'The evidence does not hold' if broken else 'The evidence holds'}\n\n`{home}`\n\n| | |\n|---|---|\n"
    faults = "".join(f"- `{each.replace('`', chr(39))}`\n" for each in broken)
    create_markdown_artifact(head + "\n".join(lines) + "\n\n" + faults, key="plimsoll-audit")
    emit_event(
        event=f"plimsoll.audit.{'broken' if broken else 'held'}",
        resource={"prefect.resource.id": "plimsoll.audit", "prefect.resource.name": home},
        payload={**told, "broken": list(broken)},
    )
