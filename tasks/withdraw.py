"""Withdraws a record: nothing recorded is ever changed, so a mistake is named, with a reason and by somebody."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from catalog.errors import UsageError
from catalog.hints import suggestion
from catalog.ledger import Actor, Draft, Kind, Record, Reference
from catalog.lineage import SHORTEST, tainted, told
from catalog.runs import TestRun, test_runs
from catalog.store import is_digest
from catalog.workspace import Workspace

_STANDING = frozenset({Kind.WITHDRAWN, Kind.KEY, Kind.SIGNED})
"""Kinds that cannot be withdrawn: what was said of evidence, and by whose key, is no evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn:
    """A withdrawal, what it is of, and the records that rest on that and did not rest on withdrawn evidence before."""

    record: Record
    of: Record
    name: str
    affected: tuple[Record, ...]

    def as_json(self) -> dict[str, Any]:
        """As `withdraw --json` gives it."""
        return {
            "record": self.record.sequence,
            "digest": self.record.digest,
            "withdrawn": {"name": self.name, "record": self.of.sequence, "digest": self.of.digest},
            "reason": self.record.parameters["reason"],
            "actor": self.record.actor.name,
            "affected": [
                {"record": each.sequence, "kind": each.kind.value, "stage": each.stage, "digest": each.digest}
                for each in self.affected
            ],
        }


def withdraw(workspace: Workspace, name: str, reason: str, *, actor: Actor, code: str) -> Withdrawn:
    """Records that `name`, a run's id or a record by sequence or digest, is withdrawn.

    Raises UsageError without a reason, for a name that is none, for what is no evidence, and for what was withdrawn
    already; nothing is recorded then.
    """
    if not reason.strip():
        raise UsageError("evidence is withdrawn only for a reason", remedy="Give it: --reason '…'.")
    records = workspace.ledger.records()
    found = find(records, name)
    if found.kind in _STANDING:
        raise UsageError(f"{found} is no evidence, and cannot be withdrawn", remedy="Name what it is about.")
    for record in records:
        if record.kind is Kind.WITHDRAWN and any(item.digest == found.digest for item in record.inputs):
            raise UsageError(f"{found} was {told(record)}", remedy="It cannot be withdrawn twice.")
    before = tainted(records)
    draft = Draft(
        kind=Kind.WITHDRAWN,
        stage="withdraw",
        inputs=(Reference(role="withdrawn", digest=found.digest),),
        parameters={"reason": reason.strip(), "name": name},
    )
    (record,) = workspace.record(draft, actor=actor, code=code)
    after = workspace.withdrawn()
    affected = tuple(each for each in records if each.digest in after - before and each.digest != found.digest)
    return Withdrawn(record=record, of=found, name=name, affected=affected)


def find(records: Sequence[Record], name: str) -> Record:
    """The record that a name means: the end of a run by the run's id, else a record by its sequence or digest.

    Of a digest its first characters are enough. Raises UsageError for a name of none, or of several.
    """
    runs: dict[str, TestRun] = {run.run: run for run in test_runs(records)}
    if name in runs:
        return runs[name].record
    if name.isascii() and name.isdigit() and len(name) < SHORTEST:
        if 1 <= int(name) <= len(records):
            return _ended(records[int(name) - 1], runs)
        raise UsageError(f"there is no record {name}: the ledger has {len(records)}")
    begun = [record for record in records if len(name) >= SHORTEST and record.digest.startswith(name)]
    if len(begun) == 1:
        return _ended(begun[0], runs)
    if begun:
        raise UsageError(f"more than one record's digest begins with {name!r}", remedy="Give more of it.")
    raise UsageError(f"there is no run and no record {name!r}", remedy=_remedy(records, name, list(runs)))


def _ended(record: Record, runs: dict[str, TestRun]) -> Record:
    """The end of a run that a record began: that is the evidence."""
    run = runs.get(str(record.parameters.get("run"))) if record.kind is Kind.STARTED else None
    return run.record if run else record


def _remedy(records: Sequence[Record], name: str, runs: list[str]) -> str:
    makers = [record for record in records if is_digest(name) and name in {item.digest for item in record.outputs}]
    if makers:
        return f"It is an artefact that {makers[-1]} put out: withdraw that record, {makers[-1].sequence}."
    given = "Give a run's id, or a record's sequence or digest (8 characters or more)."
    return f"{suggestion(name, runs)} {given}".strip()
