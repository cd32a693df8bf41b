"""What people decided: records that hold a signed statement about one thing, which is named by its digest.

An `approved` record (an `issue` record, where it is about a testing issue) carries a statement: the matter, its
subject, the digest of exactly what was decided on (`of`), the decision, who decided, in which role, when and why. The
Ed25519 signature is over the statement's canonical JSON, so whoever holds the statement, the public key and 64 bytes
can check it without Plimsoll. A decision stands until it is withdrawn, expires, or is followed by another on the same;
one on something that has changed since is about something else, which its digest shows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from catalog import rules
from catalog.declarations import DECISIONS, Matter
from catalog.keyring import Keyring, keyring, short
from catalog.ledger import Draft, Kind, Record, Reference
from catalog.lineage import told
from catalog.signing import Signer, authentic, fingerprint, statement_of

PURPOSE = "plimsoll decision"
"""In every statement, so that a signature over it cannot be passed off as one for another purpose."""

STAGE = "sign"
FILE, SUBJECT, PROGRAMME = "file", "subject", "programme"
"""The roles of what a decision's record names: an attached file, what was decided on, the programme in force."""

FLOW_RUN = "flow run"
"""The detail of a statement that says in which flow run of Prefect somebody said it; absent where they signed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What is signed. All texts; `phase` and `until` (a date, the last day it holds) may be empty.

    `file`: the digest of an attached file, `file_name` its name. `details`: what only some matters have.
    """

    matter: Matter
    subject: str
    of: str
    decision: str
    role: str
    by: str
    time: str
    phase: str = ""
    reason: str = ""
    until: str = ""
    file: str = ""
    file_name: str = ""
    details: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The document that is signed."""
        members = {each.name: getattr(self, each.name) for each in fields(Statement)}
        return {"purpose": PURPOSE, **members, "matter": self.matter.value, "details": dict(self.details)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Statement):
    """A statement as it stands in the ledger. `key`: the fingerprint of the key that signed it, empty for a machine's.

    `withdrawn`: who withdrew it, or what it rests on, when and why; empty when it stands.
    """

    record: str
    sequence: int
    key: str
    withdrawn: str = ""

    @property
    def is_positive(self) -> bool:
        """Whether it says yes to its matter."""
        return DECISIONS[self.matter].get(self.decision, False)

    def as_fact(self) -> dict[str, Any]:
        """The decision as plain JSON, which `from_fact` reads."""
        return {**asdict(self), "matter": self.matter.value, "details": dict(self.details)}

    @classmethod
    def from_fact(cls, fact: Mapping[str, Any]) -> "Decision":
        """The decision that `as_fact` gave."""
        return cls(**{**fact, "matter": Matter(fact["matter"])})

    def holds(self, of: str, at: str) -> bool:
        """Whether it stands, is about what has the digest `of`, and has not expired by the day or time `at`."""
        return not self.withdrawn and self.of == of and not self.has_expired(at)

    def has_expired(self, at: str) -> bool:
        """Whether its last day is before that of `at` (ISO 8601, UTC)."""
        return bool(self.until) and self.until < at[:10]


def draft(
    statement: Statement, signer: Signer | None, *, programme: str = "", inputs: Sequence[Reference] = ()
) -> Draft:
    """The record of a statement, signed. Without a signer it is a machine's: only testing issues are raised so."""
    document = statement.as_json()
    signed = {"public_key": signer.public_key, "signature": signer.sign(document)} if signer else {}
    named = [Reference(role=SUBJECT, digest=statement.of)]
    named += [Reference(role=PROGRAMME, digest=programme)] if programme else []
    return Draft(
        kind=Kind.ISSUE if statement.matter is Matter.ISSUE else Kind.APPROVED,
        stage=STAGE,
        inputs=(*named, *inputs),
        outputs=(Reference(role=FILE, digest=statement.file),) if statement.file else (),
        parameters={**({"occasion": statement.phase} if statement.phase else {}), "statement": document, **signed},
        rules=1 if signer else rules.ISSUE,
    )


def decisions(records: Sequence[Record], withdrawals: Mapping[str, Record]) -> list[Decision]:
    """Every decision in the ledger, oldest first. `withdrawals`: of records and artefacts (`catalog.lineage`).

    One whose key was replaced or revoked before it, or was in wrong hands by then, counts as withdrawn (ADR 0026).
    """
    ring = keyring(records)
    return [
        decision
        for record in records
        if record.kind in (Kind.APPROVED, Kind.ISSUE)
        and (decision := _decision(record, withdrawals.get(record.digest), ring)) is not None
    ]


def _decision(record: Record, withdrawal: Record | None, ring: Keyring) -> Decision | None:
    statement = dict(statement_of(record))
    if statement.pop("purpose", None) != PURPOSE:
        return None
    itself = withdrawal is not None and any(item.digest == record.digest for item in withdrawal.inputs)
    how = f"{'' if itself else 'it rests on what was '}{told(withdrawal)}" if withdrawal else ""
    key = ""
    if not is_machines(record):
        key, how = fingerprint_of(record), how or _unsound(record, ring)
    try:
        return Decision.from_fact(
            {**statement, "record": record.digest, "sequence": record.sequence, "key": key, "withdrawn": how}
        )
    except (TypeError, ValueError):
        return None  # its members are a newer version's; `verify` checks its signature all the same


def fingerprint_of(record: Record) -> str:
    """The fingerprint of the key that a decision's record names; empty for nonsense."""
    try:
        return fingerprint(str(record.parameters.get("public_key")))
    except ValueError:
        return ""


def _unsound(record: Record, ring: Keyring) -> str:
    """Why a decision does not count although nobody withdrew it; empty when it does. `ring`: that of the ledger."""
    key = str(record.parameters.get("public_key"))
    if not authentic(statement_of(record), key, record.parameters.get("signature")):
        return "its signature is not the one of its key over its statement"
    ended = ring.ended.get(key)
    if ended and ended.record.sequence < record.sequence:
        return f"its key {short(key)} was {ended}"
    return ring.discounted(key, record)


def is_machines(record: Record) -> bool:
    """Whether a record is a testing issue that was raised from an observation, by the machine that observed."""
    raised = statement_of(record).get("decision") == "raised"
    return record.kind is Kind.ISSUE and raised and "signature" not in record.parameters


def newest(found: Sequence[Decision], matter: Matter, subject: str, *, of: str, at: str) -> Decision | None:
    """The newest decision on a subject that holds (see `Decision.holds`); None when there is none."""
    return next(
        (each for each in reversed(found) if (each.matter, each.subject) == (matter, subject) and each.holds(of, at)),
        None,
    )


def decision_faults(record: Record, announced: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the signature of a decision's record. `announced`: fingerprints by public key, up to it."""
    statement, key = statement_of(record), str(record.parameters.get("public_key"))
    if statement.get("purpose") != PURPOSE:
        return
    if is_machines(record):
        return
    if not authentic(statement, key, record.parameters.get("signature")):
        yield "its signature is not the one of its key over its statement"
    if key not in announced:
        yield f"its key {key!r} was not announced by a record before it"
    elif record.actor.fingerprint != announced[key]:
        yield "its actor has another key than the one that signed"
    if record.actor.name != statement.get("by"):
        yield f"it was recorded by {record.actor.name!r}, and its statement is by {statement.get('by')!r}"
    if statement.get("of") not in {item.digest for item in record.inputs}:
        yield "its statement is about something that its record does not name"
