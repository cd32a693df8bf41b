"""What every export is made from: the records that a phase reaches, what each rests on, and what was observed.

Nothing of any standard is here. Whatever is told comes from the ledger and the evidence store, in the ledger's order,
so that the same evidence gives the same export.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.bundle import newest_report
from catalog.claims import Claim, claims
from catalog.inspection.document import Subject, subjects
from catalog.ledger import Kind, Record, Reference
from catalog.lineage import resting, withdrawals
from catalog.reach import reach
from catalog.store import ObjectStore
from catalog.workspace import REPORT_FILES, Workspace

JSON, PARQUET, HTML, TEXT = "application/json", "application/vnd.apache.parquet", "text/html", "text/plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One thing that a record rests on: in which role, the record that it is or came from, and whether it is one."""

    role: str
    digest: str
    record: Record | None
    is_record: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One record, what it is about, what it rests on, and the withdrawal that it is tainted by."""

    record: Record
    about: Subject
    sources: tuple[Source, ...]
    withdrawn: Record | None

    @property
    def run(self) -> str:
        """The test run that an execution is of; empty for every other record."""
        return self.about.run if self.record.stage == "execute" else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """What a phase's evidence tells. `programme`: its id; `title`, `operator`: as the report has them."""

    name: str
    programme: str
    title: str
    operator: str
    ledger: str
    report: Record
    head: Record
    told: tuple[Told, ...]
    claims: tuple[Claim, ...]
    observations: tuple[dict[str, Any], ...]
    store: ObjectStore
    roles: dict[str, str]
    spoilt: dict[str, Record]

    def role(self, digest: str) -> str:
        """What an artefact was put out as; else what it was first used as."""
        return self.roles.get(digest, "artefact")

    def media_type(self, digest: str) -> str:
        """What an artefact is, by its bytes: Parquet, JSON, HTML, or text."""
        with self.store.path(digest).open("rb") as file:
            start = file.read(64)
        if start.startswith(b"PAR1"):
            return PARQUET
        if start[:1] in (b"{", b"["):
            return JSON
        return HTML if start.lower().startswith(b"<!doctype html") else TEXT


def tell(workspace: Workspace, phase: str) -> Phase:
    """What the evidence of a phase (or a regression's date) tells. Raises UsageError for one without a report."""
    records = workspace.ledger.records()
    report = newest_report(records, phase)
    here, spoilt = reach(records, phase), withdrawals(records)
    document = workspace.store.document(report.output(REPORT_FILES[0]) or "")
    identity = document.get("identity", {}).get("programme", {})
    roles: dict[str, str] = {}
    return Phase(
        name=phase,
        programme=str(identity.get("programme", "")) or "programme",
        title=str(identity.get("title", "")) or phase,
        operator=str(identity.get("operator", "")),
        ledger=records[0].digest[:16],
        report=report,
        head=records[-1],
        told=tuple(_told(records, here.records, spoilt, roles)),
        claims=tuple(claims(document)),
        observations=tuple(_observations(workspace.store, report, records)),
        store=workspace.store,
        roles=roles,
        spoilt=spoilt,
    )


def _told(
    records: Sequence[Record], wanted: frozenset[str], spoilt: dict[str, Record], roles: dict[str, str]
) -> Iterator[Told]:
    known = {record.digest: record for record in records}
    produced: dict[str, Record] = {}
    used: dict[str, str] = {}
    for (record, rests_on), about in zip(resting(records), subjects(records), strict=True):
        if record.digest in wanted:
            yield Told(
                record=record,
                about=about,
                sources=tuple(_source(item, known, produced) for item in rests_on),
                withdrawn=spoilt.get(record.digest),
            )
        for item in rests_on:
            used.setdefault(item.digest, item.role)
        for item in record.outputs:
            produced[item.digest] = record
            roles.setdefault(item.digest, item.role)
    for digest, role in used.items():
        roles.setdefault(digest, role)


def _source(item: Reference, known: dict[str, Record], produced: dict[str, Record]) -> Source:
    is_record = item.digest in known
    record = known[item.digest] if is_record else produced.get(item.digest)
    return Source(role=item.role, digest=item.digest, record=record, is_record=is_record)


def _observations(store: ObjectStore, report: Record, records: Sequence[Record]) -> Iterator[dict[str, Any]]:
    """The observations that a report was assembled from, each with the record that made them."""
    from tasks.parquet import read_table

    named = next((item.digest for item in report.inputs if item.role == "observations"), None)
    if named is None or not store.has(named):
        return
    maker = [each for each in records if each.kind is Kind.OBSERVED and each.output("observations") == named]
    rows = read_table("observations", store.path(named))
    plain = rows.astype(object).where(rows.notna(), None)
    for row in plain.to_dict("records"):
        yield {**json.loads(json.dumps(row, default=int)), "record": maker[-1].digest if maker else ""}
