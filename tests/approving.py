"""Approvals for tests, as people give them: signed, with a key of each person's own that is the same every time."""

import hashlib
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from catalog.canonical import canonical
from catalog.decisions import Statement, draft
from catalog.declarations import Matter
from catalog.ledger import Actor, Record
from catalog.signing import Signer
from catalog.workspace import Workspace


def signer_of(name: str) -> Signer:
    """The signer of whoever has that name."""
    return Signer(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest()))


def actor_of(name: str) -> Actor:
    """Whoever has that name, with that person's key."""
    return signer_of(name).actor(name)


def statement_of_approval(
    workspace: Workspace, of: Mapping[str, str] | str, *, by: str = "chair", expires: str = "2999-12-31",
    reason: str = "as the board agreed", decision: str = "approved",
) -> Statement:  # fmt: skip
    """What `by` signs on `of`: the statement of a decision to rely, or the digest of a plan or another artefact."""
    return Statement(
        matter=Matter.RECORD if isinstance(of, str) else Matter.RELIANCE,
        subject=of if isinstance(of, str) else of["test"],
        of=of if isinstance(of, str) else workspace.store.put(canonical(dict(of))),
        decision=decision,
        role="board",
        by=by,
        time="2027-01-01T00:00:00.000000Z",
        reason=reason,
        until=expires,
    )


def approve(workspace: Workspace, of: Mapping[str, str] | str, *, by: str = "chair", **how: str) -> Record:
    """Records that `by` approves `of`, signed."""
    signer = signer_of(by)
    workspace.announce(signer, name=by, code="1")
    made = draft(statement_of_approval(workspace, of, by=by, **how), signer)
    return workspace.record(made, actor=signer.actor(by), code="1")[0]
