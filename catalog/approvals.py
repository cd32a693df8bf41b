"""Approvals: that a person lets a decision or a plan stand, who, when, and until when.

An approval is a signed decision (`catalog.decisions`) on reliance, or on a record or artefact such as a plan. It names
what it approves by digest: when anything in that changes, so does the digest, and the approval is of something else.
It has an expiry, and is revoked as evidence is withdrawn, or by a decision that refuses the same. What an approval is
good for is not here (`expectations.reliance`), nor how people are asked for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from catalog.canonical import document_digest
from catalog.decisions import Decision, decisions
from catalog.declarations import Matter
from catalog.ledger import Actor, Record
from catalog.lineage import withdrawals


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One approval, by its record. `of`: the digest of what it approves; `day` and `expires`: ISO dates, UTC.

    `expires` is empty where it names no such date, and the approval then good for nothing. `revoked`: who
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


def approvals(records: Sequence[Record]) -> tuple[Approval, ...]:
    """Every approval in a ledger: of reliance, and of records and artefacts. One refused since is revoked."""
    found = decisions(records, withdrawals(records))
    signed = [each for each in found if each.matter in (Matter.RELIANCE, Matter.RECORD)]
    return tuple(_approval(each, signed) for each in signed if each.decision == "approved")


def _approval(given: Decision, signed: Sequence[Decision]) -> Approval:
    later = [each for each in signed if each.of == given.of and each.sequence > given.sequence]
    refused = [each for each in later if each.decision == "refused" and not each.withdrawn]
    return Approval(
        record=given.record,
        of=given.of,
        by=Actor(name=given.by, fingerprint=given.key),
        day=given.time[:10],
        expires=given.until,
        revoked=given.withdrawn or "".join(f"refused by {each.by}: {each.reason}" for each in refused[-1:]),
    )
