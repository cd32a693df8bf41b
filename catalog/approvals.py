"""Approvals: that a person lets a decision or a plan stand, who, when, and until when.

An `approved` record names what it approves, by digest, as its input: a plan, or the statement of one decision
(`reliance_statement`). That digest is its scope: when anything in it changes, so does the digest, and the approval is
of something else. It has an expiry, and is revoked as evidence is withdrawn: by a `withdrawn` record that names it.
What an approval is good for is not here (`expectations.reliance`), nor how people are asked for it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from catalog.canonical import canonical, document_digest
from catalog.decisions import PURPOSE, Decision, decisions
from catalog.declarations import Matter
from catalog.errors import UsageError
from catalog.ledger import Actor, Draft, Kind, Record, Reference
from catalog.lineage import told, withdrawals
from catalog.signing import statement_of
from catalog.workspace import Workspace

STAGE = "approve"
EXPIRES = "expires"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One `approved` record. `of`: the digest of what it approves; `day` and `expires`: ISO dates, UTC.

    `expires` is empty where the record names no such date, and the approval then good for nothing. `revoked`: who
    revoked it, when and why; empty when nobody did.
    """

    record: str
    of: str
    by: Actor
    day: str
    expires: str
    revoked: str = ""


def reliance_statement(*, test: str, occasion: str, executed: str, key: str) -> dict[str, str]:
    """The decision that a test rests on an earlier run, as it is approved: nothing else may be put in its place.

    `executed`: the digest of the record of that run, `key`: of the key document that the test is planned under.
    """
    return {"decision": "rely", "test": test, "occasion": occasion, "executed": executed, "key": key}


def statement_digest(statement: Mapping[str, str]) -> str:
    """The digest that an approval names a statement by."""
    return document_digest(dict(statement))


def approve(
    workspace: Workspace, of: Mapping[str, str] | str, *, expires: str, reason: str, actor: Actor, code: str
) -> Record:
    """Records that `actor` approves `of`, a statement or the digest of a plan, up to and including the day `expires`.

    Raises UsageError, and records nothing, for a day that is none, without a reason, or for an actor without
    a key; EvidenceError for the digest of what is not in the evidence store.
    """
    if not actor.fingerprint:
        raise UsageError("an approval is given with a key of one's own", remedy="Set PLIMSOLL_KEY to its file.")
    if not reason.strip():
        raise UsageError("an approval is given for a reason", remedy="Say what it was decided on: --reason '…'.")
    _refuse_day(expires)
    digest = of if isinstance(of, str) else workspace.store.put(canonical(dict(of)))
    draft = Draft(
        kind=Kind.APPROVED,
        stage=STAGE,
        inputs=(Reference(role="approved", digest=digest),),
        parameters={EXPIRES: expires, "reason": reason.strip(), **({} if isinstance(of, str) else dict(of))},
    )
    return workspace.record(draft, actor=actor, code=code)[0]


def _refuse_day(expires: str) -> None:
    try:
        if date.fromisoformat(expires).isoformat() != expires:
            raise ValueError(expires)
    except ValueError:
        message = f"expected the last day of the approval, such as 2027-01-31, found {expires!r}"
        raise UsageError(message, remedy="An approval has an expiry.") from None


def approvals(records: Sequence[Record]) -> tuple[Approval, ...]:
    """Every approval in a ledger, those that people signed last, one for each thing that a record approves."""
    revoked = withdrawals(records)
    return tuple(
        Approval(
            record=record.digest,
            of=item.digest,
            by=record.actor,
            day=record.time[:10],
            expires=str(record.parameters.get(EXPIRES, "")),
            revoked=told(revoked[record.digest]) if record.digest in revoked else "",
        )
        for record in records
        if record.kind is Kind.APPROVED and statement_of(record).get("purpose") != PURPOSE
        for item in record.inputs
    ) + tuple(_signed(decisions(records, revoked)))


def _signed(found: Sequence[Decision]) -> Iterator[Approval]:
    """The approvals among signed decisions: of reliance, and of records and artefacts. One refused since is revoked."""
    signed = [each for each in found if each.matter in (Matter.RELIANCE, Matter.RECORD)]
    for each in signed:
        if each.decision == "approved":
            later = [other for other in signed if other.of == each.of and other.sequence > each.sequence]
            refused = [other for other in later if other.decision == "refused" and not other.withdrawn]
            yield Approval(
                record=each.record,
                of=each.of,
                by=Actor(name=each.by, fingerprint=each.key),
                day=each.time[:10],
                expires=each.until,
                revoked=each.withdrawn or "".join(f"refused by {other.by}: {other.reason}" for other in refused[-1:]),
            )
