"""What a phase's evidence consists of: the records that it reaches, and the objects that those name.

Its own records; whatever those rest on; the earlier runs that its plans looked at, since a plan decides by them; what
people said of the evidence afterwards; and what the reports of earlier phases claimed, so that phases can be compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from catalog.ledger import Kind, Record
from catalog.workspace import REPORT_FILES, newest_reported, occasion_of

_LOOKED_AT = frozenset({Kind.EXECUTED, Kind.RECEIVED})
_ALWAYS = frozenset({Kind.WITHDRAWN, Kind.KEY, Kind.SIGNED, Kind.APPROVED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Digests of the records, and of the objects that they name as inputs, outputs and keys."""

    records: frozenset[str]
    objects: frozenset[str]


def reach(records: Sequence[Record], occasion: str) -> Reach:
    """What the evidence of `occasion` (a phase, or a regression's date) consists of, in a ledger of these `records`."""
    mine = [record for record in records if _occasion(record) == occasion]
    planned = max((record.sequence for record in mine if record.stage == "plan"), default=0)
    known = {record.digest: record for record in records}
    producers: dict[str, list[Record]] = {}
    for record in records:
        for item in record.outputs:
            producers.setdefault(item.digest, []).append(record)
    pending = mine + [
        record
        for record in records
        if (record.kind in _ALWAYS and not _is_decided_elsewhere(record, occasion))
        or (record.kind in _LOOKED_AT and record.sequence < planned)
    ]
    found: set[str] = set()
    objects: set[str] = set()
    while pending:
        record = pending.pop()
        if record.digest in found:
            continue
        found.add(record.digest)
        objects.update(item.digest for item in record.outputs)
        objects.update([record.key] if record.key else [])
        for item in record.inputs:
            if item.digest in known:
                pending.append(known[item.digest])
            else:
                objects.add(item.digest)
                pending += [each for each in producers.get(item.digest, []) if each.sequence < record.sequence]
    return Reach(records=frozenset(found), objects=frozenset(objects | _claimed_before(records, occasion)))


def _claimed_before(records: Sequence[Record], occasion: str) -> set[str]:
    """The newest report of each other phase, where that came before this one's: the document, not what it rests on."""
    newest = newest_reported(records)
    own = newest.get(occasion)
    documents = [record.output(REPORT_FILES[0]) for record in newest.values() if own and record.sequence < own.sequence]
    return {name for name in documents if name}


def _is_decided_elsewhere(record: Record, occasion: str) -> bool:
    """Whether people decided on another phase: its runs are not this one's evidence."""
    return record.kind is Kind.APPROVED and record.parameters.get("occasion", occasion) != occasion


def _occasion(record: Record) -> object:
    return occasion_of(record) if record.kind is Kind.REPORTED else record.parameters.get("occasion")
