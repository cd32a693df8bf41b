"""What a ledger says of keys as it goes on: which are announced, which gave their place to another, which are revoked.

1. A key signs from the record that announces it on, until a record replaces or revokes it; whatever it signed before
   holds, whatever it signs after is a fault.
2. A key is replaced by a statement that it has signed itself, and revoked by one of its own or of another key in force.
3. Whoever trusts a key trusts those that took its place.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from catalog.errors import WorldError
from catalog.ledger import Record
from catalog.signing import KEY, REVOCATION, SUCCESSION, Signer, authentic, fingerprint
from catalog.store import is_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Why a key signs no more: the record that says so, the key that took its place (if one did), or the reason."""

    record: Record
    successor: str = ""
    reason: str = ""

    def __str__(self) -> str:
        if self.successor:
            return f"replaced by key {short(self.successor)} in {self.record}"
        return f"revoked by {self.record}: {self.reason}"


class Keyring:
    """The keys of a ledger as far as it was read. `trusted` are those that a reader was given, and their successors."""

    def __init__(self, given: Collection[str] = ()) -> None:
        self._given = set(given)
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
        if self.knows(old):
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
        else:
            self.ended[revoked] = Ended(record=record, reason=str(statement.get("reason")))


def keyring(records: Collection[Record], given: Collection[str] = ()) -> Keyring:
    """The keys as a ledger of `records` leaves them; what is wrong with a record of a key is passed over."""
    from catalog.ledger import Kind

    found = Keyring(given)
    for record in records:
        if record.kind is Kind.KEY:
            list(found.take(record))
    return found


def short(key: str) -> str:
    """A key as people are shown it: the first 16 characters of its fingerprint."""
    return fingerprint(key)[:16] if is_digest(key) else repr(key)


def refuse_ended(signer: Signer, records: Collection[Record]) -> None:
    """Raises WorldError where the ledger says that this key signs no more."""
    if ended := keyring(records).ended.get(signer.public_key):
        remedy = f"Name the file of the key that took its place, or of another one, with {KEY}."
        raise WorldError(f"the private key {short(signer.public_key)} was {ended}", remedy=remedy)
