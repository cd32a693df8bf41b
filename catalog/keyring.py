"""What a ledger says of keys as it goes on: which are announced, which gave their place to another, which are revoked.

1. A key signs from the record that announces it on, until a record replaces or revokes it; whatever it signed before
   holds, whatever it signs after is a fault.
2. A key is replaced by a statement that it has signed itself, and revoked by one of its own or of another key in force.
3. Whoever trusts a key trusts those that took its place.
4. A revocation may say since which record the key was in wrong hands. What the key signed from there on is no fault,
   for it was in order then, and counts for nothing: no decision, no head, no key that took its place (ADR 0026).
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from catalog.errors import WorldError
from catalog.ledger import Kind, Record
from catalog.signing import KEY, REVOCATION, SUCCESSION, Signer, authentic, fingerprint
from catalog.store import is_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Why a key signs no more: the record that says so, the key that took its place (if one did), or the reason.

    `since`: the sequence of the first record at which it was in wrong hands; None where nobody says so.
    """

    record: Record
    successor: str = ""
    reason: str = ""
    since: int | None = None

    def __str__(self) -> str:
        if self.successor:
            return f"replaced by key {short(self.successor)} in {self.record}"
        hands = f" as compromised since record {self.since}" if self.since else ""
        return f"revoked by {self.record}{hands}: {self.reason}"


class Keyring:
    """The keys of a ledger as far as it was read. `trusted` are those that a reader was given, and their successors.

    `compromised`: what the whole ledger says of that (see `compromised`), which bears on what stands before it says so.
    """

    def __init__(self, given: Collection[str] = (), compromised: Mapping[str, Ended] | None = None) -> None:
        self._given = set(given)
        self._compromised = compromised or {}
        self.announced: dict[str, str] = {}
        self.ended: dict[str, Ended] = {}
        self.trusted: set[str] = set()

    def take(self, record: Record) -> Iterator[str]:
        """Reads one `key` record; yields what is wrong with it, which then changes nothing."""
        match record.parameters:
            case {"statement": dict(statement), "public_key": str(by), "signature": signature}:
                yield from self._revoke(record, statement, by, signature)
            case {"public_key": str(key), "fingerprint": str(name)} if is_digest(key) and fingerprint(key) == name:
                yield from self._announce(record, key, record.parameters.get("succeeds"))
            case {"public_key": key}:
                yield f"announces no sound key: {key!r}"
            case _:
                yield "announces no sound key"

    def fault_of(self, key: str) -> str:
        """Why a signature by `key` at this place does not count; empty when it does."""
        if key not in self.announced:
            return f"its key {key!r} was not announced by a record before it"
        if key in self.ended:
            return f"its key {short(key)} was {self.ended[key]}"
        return ""

    def discounted(self, key: str, record: Record) -> str:
        """Why what `key` signed in this record, in order then, counts for nothing; empty when it counts."""
        ended = self._compromised.get(key)
        if ended is None or ended.since is None or record.sequence < ended.since:
            return ""
        return f"its key {short(key)} was {ended}"

    def knows(self, key: str) -> bool:
        """Whether `key` is one that the reader was given, or took the place of one."""
        return key in self.trusted or self.is_given(key)

    def is_given(self, key: str) -> bool:
        """Whether the reader was given `key`, itself or by its fingerprint."""
        return key in self._given or (is_digest(key) and fingerprint(key) in self._given)

    def _announce(self, record: Record, key: str, succeeds: Any) -> Iterator[str]:
        if key in self.ended:
            yield f"announces a key that was {self.ended[key]}"
            return
        if succeeds is not None:
            fault = self._succeed(record, key, succeeds)
            if fault:
                yield fault
                return
        self.announced[key] = fingerprint(key)
        if self.is_given(key):
            self.trusted.add(key)

    def _succeed(self, record: Record, key: str, succeeds: Any) -> str:
        match succeeds:
            case {"statement": dict(statement), "public_key": str(old), "signature": signature} if len(succeeds) == 3:
                if not authentic(statement, old, signature):
                    return "the signature of the key that it replaces is not the one over its statement"
                if statement.get("purpose") != SUCCESSION or statement.get("successor") != key or key == old:
                    return "the statement of the key that it replaces is not about it"
            case _:
                return "does not say which key it replaces"
        if fault := self.fault_of(old):
            return fault
        self.ended[old] = Ended(record=record, successor=key)
        if self.knows(old) and not self.discounted(old, record):
            self.trusted.add(key)
        return ""

    def _revoke(self, record: Record, statement: dict[str, Any], by: str, signature: Any) -> Iterator[str]:
        revoked = str(statement.get("revoked"))
        if not authentic(statement, by, signature):
            yield "its signature is not the one of its key over its statement"
        elif statement.get("purpose") != REVOCATION or revoked not in self.announced:
            yield f"revokes no key that was announced before it: {revoked!r}"
        elif fault := self.fault_of(by):
            yield fault
        elif self._given and self.knows(revoked) and not self.knows(by):
            yield f"revokes the key {short(revoked)}, and is signed by {short(by)}, which is none that you gave"
        elif not _is_place(since := statement.get("since"), record):
            yield f"says that the key was compromised since record {since!r}, which is none before it"
        else:
            self.ended[revoked] = Ended(record=record, reason=str(statement.get("reason")), since=since)


def _is_place(since: Any, record: Record) -> bool:
    """Whether that is where a compromise can begin: nowhere, or at a record up to the one that says so."""
    return since is None or (type(since) is int and 1 <= since <= record.sequence)


def keyring(records: Collection[Record], given: Collection[str] = ()) -> Keyring:
    """The keys as a ledger of `records` leaves them; what is wrong with a record of a key is passed over."""
    return _read(records, Keyring(given, compromised(records, given)))


def compromised(records: Collection[Record], given: Collection[str] = ()) -> dict[str, Ended]:
    """The keys that a ledger says were in wrong hands, each with the revocation that says so."""
    return {key: ended for key, ended in _read(records, Keyring(given)).ended.items() if ended.since is not None}


def _read(records: Collection[Record], into: Keyring) -> Keyring:
    for record in records:
        if record.kind is Kind.KEY:
            list(into.take(record))
    return into


def short(key: str) -> str:
    """A key as people are shown it: the first 16 characters of its fingerprint."""
    return fingerprint(key)[:16] if is_digest(key) else repr(key)


def refuse_ended(signer: Signer, records: Collection[Record]) -> None:
    """Raises WorldError where the ledger says that this key signs no more."""
    if ended := keyring(records).ended.get(signer.public_key):
        remedy = f"Name the file of the key that took its place, or of another one, with {KEY}."
        raise WorldError(f"the private key {short(signer.public_key)} was {ended}", remedy=remedy)
