"""Who vouches for a ledger: signatures of its heads, countersignatures of auditors, keys, and time anchors.

1. A signed statement, in whatever record, is authentic, and by a key that is announced before it and in force
   (`catalog.keyring`); one of the ledger's head names a record before it and the root of the tree up to there.
2. A countersignature is authentic and names a head that this ledger has. Its key is the auditor's own and is announced
   by nobody: whoever knows it gives it.
3. A time anchor is a token (RFC 3161) over a head that this ledger has (`catalog.anchors`).
4. Where a reader gives keys, each has signed something here, and every report is vouched for by one of them, or by one
   that took its place. Other signatures are told, and count for nothing.
5. What a key signed while it was in wrong hands, by a revocation that says since when, is told and counts for nothing.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from catalog import anchors
from catalog.keyring import Keyring, compromised, short
from catalog.ledger import Kind, Record
from catalog.signing import COUNTERSIGNATURE, PURPOSE, authentic, fingerprint, statement_of
from catalog.store import ObjectStore
from catalog.tree import Head, roots

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


class Vouching:
    """What the signatures in `records` (a whole ledger's) come to: `faults`, as what and where, and `notes`.

    `given`: public keys, or fingerprints, that the reader trusts. `whole`: the chain holds, so roots mean something.
    """

    def __init__(self, records: Sequence[Record], given: Collection[str] = (), *, whole: bool = True) -> None:
        self.faults: list[tuple[str, str]] = []
        self.notes: list[str] = []
        self._records = records
        self._given = set(given)
        self._by_digest = {record.digest: record for record in records}
        wanted = {head.size for record in records if (head := _stated(record))}
        self._roots = roots(records, wanted) if whole else None
        self._ring = Keyring(given, compromised(records, given))
        self._vouched: dict[str, int] = {}
        self._read()
        if given:
            self._judge_trust()
        else:
            self._tell_signers()

    def check_anchors(self, store: ObjectStore, intact: Collection[str], authorities: "Sequence[Certificate]") -> None:
        """Rule 3. `intact`: objects whose bytes are sound; `authorities`: certificates that the reader trusts."""
        found = [record for record in self._records if anchors.is_anchor(record)]
        for record in found:
            self.faults += [(what, str(record)) for what in self._head_faults(record)]
            head, token = _stated(record), record.output(anchors.TOKEN)
            if head is None or token is None or token not in intact:
                continue  # a fault already
            try:
                when = anchors.time_of(store.get(token), head, authorities)
            except ValueError as error:
                self.faults.append((f"its time anchor does not hold: {error}", str(record)))
                continue
            doubt = "" if authorities else ", says an authority that was not checked: give its certificate (--tsa)"
            self.notes.append(f"{record}: the first {head.size} records were there on {when}{doubt}")
        if authorities and not found:
            self.faults.append(("there is no time anchor in this ledger, by the authority that you gave or another",
                                "anchors"))  # fmt: skip

    def _read(self) -> None:
        for record in self._records:
            if record.kind is Kind.KEY:
                states = record.parameters.keys() & {"statement", "succeeds"}  # else it only announces a key
                found = [*self._head_faults(record)] if states else []
                found = found or [*self._ring.take(record)]
            elif record.kind is Kind.SIGNED and not anchors.is_anchor(record):
                found = [*self._signature_faults(record), *self._head_faults(record)]
                if not found:
                    self._count(record)
            elif "signature" in record.parameters and not anchors.is_anchor(record):
                found = [*self._statement_faults(record)]  # a person's word on something, which others here judge
                if not found and (why := self._ring.discounted(str(record.parameters.get("public_key")), record)):
                    self.notes.append(f"{record} decides nothing: {why}")
            else:
                continue
            self.faults += [(what, str(record)) for what in found]

    def _signature_faults(self, record: Record) -> Iterator[str]:
        statement = statement_of(record)
        if statement.get("purpose") == COUNTERSIGNATURE:
            yield from self._authenticity(record)
            return
        yield from self._statement_faults(record)
        if statement.get("purpose") != PURPOSE:
            yield f"its statement is for another purpose: {statement.get('purpose')!r}"
        head = self._by_digest.get(str(statement.get("head")))
        if head is None or head.sequence != statement.get("sequence") or head.sequence >= record.sequence:
            yield f"it vouches for record {statement.get('sequence')!r}, and that is not the record it names"

    def _statement_faults(self, record: Record) -> Iterator[str]:
        key = str(record.parameters.get("public_key"))
        yield from self._authenticity(record)
        if fault := self._ring.fault_of(key):
            yield fault
        elif record.actor.fingerprint != self._ring.announced[key]:
            yield "its actor has another key than the one that signed"

    @staticmethod
    def _authenticity(record: Record) -> Iterator[str]:
        says = record.parameters
        if not authentic(statement_of(record), says.get("public_key"), says.get("signature")):
            yield "its signature is not the one of its key over its statement"

    def _head_faults(self, record: Record) -> Iterator[str]:
        """The head that a record states is one of this ledger, before the record.

        A statement older than the tree has no root; it names the record, and that the chain.
        """
        head = _stated(record)
        if head is None:
            yield "it states no head of this ledger"
        elif self._roots is not None and (
            head.size >= record.sequence or (head.root and self._roots.get(head.size) != head.root)
        ):
            yield f"the head {head} that it states is not one of this ledger"

    def _count(self, record: Record) -> None:
        """A signature that holds vouches for the records up to the head that it states."""
        key, head = str(record.parameters["public_key"]), _stated(record)
        if why := self._ring.discounted(key, record):
            self.notes.append(f"{record} vouches for nothing: {why}")
            return
        self._vouched[key] = max(self._vouched.get(key, 0), head.size if head else 0)
        statement = statement_of(record)
        if statement["purpose"] == COUNTERSIGNATURE:
            who, counts = f"{statement.get('name')} (key {short(key)})", not self._given or self._ring.knows(key)
            doubt = "" if counts else ", which counts for nothing: that key is none that you gave"
            self.notes.append(f"{record}: countersigned by {who} up to head {head}{doubt}")

    def _judge_trust(self) -> None:
        """Rule 4."""
        signed = {key for key in self._vouched if self._ring.knows(key)}
        known = {name for key in signed | self._ring.ended.keys() for name in (key, fingerprint(key))}
        for key in sorted(self._given - known):
            self.faults.append((f"the key {key[:16]}… that you gave has signed nothing in this ledger", "signatures"))
        last = max((self._vouched[key] for key in signed), default=0)
        others = ", ".join(sorted(short(key) for key in self._vouched.keys() - signed)) or "none"
        for record in self._records:
            if record.kind is Kind.REPORTED and record.sequence > last:
                what = f"no key that you gave vouches for it; other keys that sign here: {others}"
                self.faults.append((what, str(record)))
        told = f"vouch for records 1 to {last} of {len(self._records)}, and for none after; other keys here: {others}"
        self.notes.append(f"the keys that you gave, and those that took their place, {told}")

    def _tell_signers(self) -> None:
        for key, name in self._ring.announced.items():
            ended = f"; it was {self._ring.ended[key]}" if key in self._ring.ended else ""
            told = "compare it with the one that you were given (--key)"
            self.notes.append(f"signatures are by the key {name[:16]}: {told}{ended}")
        last = max(self._vouched.values(), default=0)
        for record in self._records:
            if record.kind is Kind.REPORTED and record.sequence > last:
                self.notes.append(f"{record} is not signed")


def _stated(record: Record) -> Head | None:
    """The head that a record states; None for one that states none."""
    statement: Any = record.parameters if anchors.is_anchor(record) else statement_of(record)
    succeeds = record.parameters.get("succeeds")
    if isinstance(succeeds, dict):
        statement = succeeds.get("statement")
    match statement:
        case {"purpose": str(purpose), "sequence": int(size)} if purpose == PURPOSE:
            return Head(size=size, root=str(statement.get("root", "")))
        case {"head": str(text)}:
            return Head.parse(text)
    return None
