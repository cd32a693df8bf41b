"""Builds plimsoll.duckdb anew: an index over ledger and evidence store, for people with a DuckDB client.

Nothing is only here. The index may be deleted at any time; it is made beside the old one, which it then replaces.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.claims import Claim, claims
from catalog.errors import EvidenceError, WorldError
from catalog.inspection.document import subjects
from catalog.ledger import Kind, Record
from catalog.lineage import resting, withdrawals
from catalog.store import ObjectStore
from catalog.workspace import REPORT_FILES, Workspace, occasion_of
from expectations import tables
from tasks import index_tables

if TYPE_CHECKING:
    import duckdb

INDEX = "plimsoll.duckdb"


def rebuild_index(home: Path) -> Path:
    """The index of the workspace at `home`, rebuilt; returns its file.

    Every table of evidence is there under its name, with the digest of the artefact that each row stands in, next to
    the ledger's tables and the views of `tasks.index_tables`. Raises EvidenceError when the ledger or a named table
    cannot be read, WorldError when the file cannot be written; the old index stays then.
    """
    import duckdb

    workspace = Workspace.open(home)
    records = workspace.ledger.records()
    target, building = home / INDEX, home / f"{INDEX}.new"
    try:
        with _beside(building), duckdb.connect(building) as connection:
            connection.execute("BEGIN")
            _index_ledger(connection, workspace, records)
            _index_tables(connection, records, workspace.store)
            for statement in index_tables.views():
                connection.execute(statement)
            connection.execute("COMMIT")
            connection.close()
            building.replace(target)
    except (OSError, duckdb.IOException) as error:
        remedy = "Check free space and permissions; whatever is recorded stands, and the same command makes the index."
        raise WorldError(f"{target} cannot be rebuilt: {error}", remedy=remedy) from error
    return target


@contextmanager
def _beside(building: Path) -> Iterator[None]:
    """While an index is built: no half-built one is there before, and none is left."""
    _discard(building)
    try:
        yield
    finally:
        _discard(building)


def _discard(building: Path) -> None:
    """Removes a half-built index and its log, which DuckDB would otherwise replay into the next."""
    for path in (building, building.with_name(f"{building.name}.wal")):
        path.unlink(missing_ok=True)


def _index_ledger(connection: "duckdb.DuckDBPyConnection", workspace: Workspace, records: Sequence[Record]) -> None:
    for statement in index_tables.ddl():
        connection.execute(statement)
    rows = _Rows(workspace, records)
    for table in index_tables.TABLES:
        _insert(connection, table.name, list(getattr(rows, table.name)()))


def _insert(connection: "duckdb.DuckDBPyConnection", name: str, rows: list[tuple[Any, ...]]) -> None:
    """All rows in one statement, column by column: one statement a row takes a millisecond each."""
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        connection.execute(
            f"INSERT INTO {name} SELECT {', '.join(['unnest(?)'] * len(columns))}", columns
        )  # names are declared in `tasks.index_tables`


class _Rows:
    """The rows of each of the ledger's tables, by its name."""

    def __init__(self, workspace: Workspace, records: Sequence[Record]) -> None:
        self._store, self._records = workspace.store, records
        self._withdrawn = {name: record.sequence for name, record in withdrawals(records).items()}
        self._sequences = {record.digest: record.sequence for record in records}
        self._newest = {str(occasion_of(each)): each.digest for each in records if each.kind is Kind.REPORTED}
        self._claims: list[tuple[Record, Claim, list[int | None]]] = []
        self._edges = list(self._walk())

    def _walk(self) -> Iterator[tuple[Any, ...]]:
        """Inputs and outputs of every record; on the way, what each report's figures rest on."""
        produced: dict[str, int] = {}
        for record, rests_on in resting(self._records):
            number, sources = record.sequence, {**produced, **self._sequences} if record.kind is Kind.REPORTED else {}
            if record.kind is Kind.REPORTED:
                self._claims += [
                    (record, claim, [sources.get(name) for name in claim.evidence]) for claim in self._claimed(record)
                ]
            for item in rests_on:
                source = self._sequences.get(item.digest) or produced.get(item.digest)
                yield record.digest, "input", item.role, item.digest, item.rows, number, source
            for item in record.outputs:
                produced[item.digest] = number
                yield record.digest, "output", item.role, item.digest, item.rows, number, None

    def _claimed(self, record: Record) -> list[Claim]:
        name = record.output(REPORT_FILES[0])
        return claims(self._store.document(name)) if name and self._store.has(name) else []

    def records(self) -> Iterator[tuple[Any, ...]]:
        for record, about in zip(self._records, subjects(self._records), strict=True):
            said = (
                record.sequence,
                record.time,
                record.kind.value,
                record.stage,
                record.key,
                record.rules,
                record.code,
            )
            by = (record.actor.name, record.actor.fingerprint, json.dumps(dict(record.parameters)))
            subject = (about.phase, about.component, about.test, about.run)
            yield *said, *by, record.previous, record.digest, *subject, self._withdrawn.get(record.digest)

    def artefacts(self) -> Iterator[tuple[Any, ...]]:
        named = {item[3] for item in self._edges} - self._sequences.keys()
        for name in sorted(named):
            try:  # by its name as text: a path object for each of millions takes longer than asking the disk
                size = os.stat(f"{self._store.root}/{name[:2]}/{name[2:]}").st_size  # noqa: PTH116 - as said
            except FileNotFoundError:
                continue
            yield name, size, self._withdrawn.get(name)

    def edges(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._edges)

    def figures(self) -> Iterator[tuple[Any, ...]]:
        for record, claim, _ in self._claims:
            phase = str(occasion_of(record))
            said = (getattr(claim, name) for name in index_tables.SAID)
            yield record.sequence, phase, self._newest[phase] == record.digest, claim.figure, *said

    def figure_evidence(self) -> Iterator[tuple[Any, ...]]:
        for record, claim, sources in self._claims:
            for name, source in zip(claim.evidence, sources, strict=True):
                yield record.sequence, claim.figure, name, source

    def comparisons(self) -> Iterator[tuple[Any, ...]]:
        for record in self._records:
            name = record.output("comparison") if record.kind is Kind.RELIED else None
            compared = self._store.document(name) if name and self._store.has(name) else []
            for place, each in enumerate(compared if isinstance(compared, list) else []):
                sides = (json.dumps(each.get("old")), json.dumps(each.get("new")))
                yield record.sequence, place, str(each.get("input")), *sides, bool(each.get("allows"))


def _index_tables(connection: "duckdb.DuckDBPyConnection", records: Sequence[Record], store: ObjectStore) -> None:
    import duckdb

    for name in tables.NAMES:
        connection.execute(tables.ddl(name))
        connection.execute(f"ALTER TABLE {name} ADD COLUMN artefact VARCHAR")
        connection.execute(f"COMMENT ON COLUMN {name}.artefact IS 'digest of the artefact that the row stands in'")
        for digest in dict.fromkeys(found for record in records if (found := record.output(name))):
            try:
                connection.execute(f"INSERT INTO {name} SELECT *, ? FROM read_parquet(?)", _bound(digest, store))  # noqa: S608  # names are declared here
            except duckdb.Error as error:
                raise EvidenceError(f"the {name} table {digest} cannot be read: {error}") from error


def _bound(digest: str, store: ObjectStore) -> list[str]:
    return [digest, str(store.path(digest))]
