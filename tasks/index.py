"""Builds plimsoll.duckdb anew: an index over ledger and evidence store, for people with a DuckDB client.

Nothing is only here. The index may be deleted at any time; it is made beside the old one, which it then replaces.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.errors import EvidenceError, WorldError
from catalog.ledger import Record
from catalog.store import ObjectStore
from catalog.workspace import Workspace
from expectations import tables

if TYPE_CHECKING:
    import duckdb

INDEX = "plimsoll.duckdb"

_LEDGER = {
    "records": (
        (
            "sequence BIGINT, time VARCHAR, kind VARCHAR, stage VARCHAR, key VARCHAR, rules BIGINT, code VARCHAR, "
            "actor VARCHAR, fingerprint VARCHAR, parameters JSON, previous VARCHAR, digest VARCHAR"
        ),
        "one record of the ledger",
    ),
    "artefacts": ("digest VARCHAR, bytes BIGINT", "one artefact that a record names, and that is in the store"),
    "edges": (
        "record VARCHAR, direction VARCHAR, role VARCHAR, digest VARCHAR, rows VARCHAR",
        "one input or output of a record, by role; digest names an artefact, or an earlier record",
    ),
}


def rebuild_index(home: Path) -> Path:
    """The index of the workspace at `home`, rebuilt; returns its file.

    Every table of evidence is there under its name, with the digest of the artefact that each row stands in, next to
    `records`, `artefacts` and `edges`. Raises EvidenceError when the ledger or a named table cannot be read, WorldError
    when the file cannot be written; the old index stays then.
    """
    import duckdb

    workspace = Workspace.open(home)
    records = workspace.ledger.records()
    target, building = home / INDEX, home / f"{INDEX}.new"
    try:
        with _beside(building), duckdb.connect(building) as connection:
            connection.execute("BEGIN")
            _index_ledger(connection, records, workspace.store)
            _index_tables(connection, records, workspace.store)
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


def _index_ledger(connection: "duckdb.DuckDBPyConnection", records: Sequence[Record], store: ObjectStore) -> None:
    named = sorted({each.digest for record in records for each in (*record.inputs, *record.outputs)})
    rows: dict[str, Iterable[tuple[Any, ...]]] = {
        "records": (_record(record) for record in records),
        "artefacts": ((digest, store.path(digest).stat().st_size) for digest in named if store.has(digest)),
        "edges": (edge for record in records for edge in _edges(record)),
    }
    for name, (columns, grain) in _LEDGER.items():
        connection.execute(f"CREATE TABLE {name} ({columns})")
        connection.execute(f"COMMENT ON TABLE {name} IS 'Grain: {grain}.'")
        _insert(connection, name, list(rows[name]))


def _insert(connection: "duckdb.DuckDBPyConnection", name: str, rows: list[tuple[Any, ...]]) -> None:
    """All rows in one statement, column by column: one statement a row takes a millisecond each."""
    if rows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        connection.execute(
            f"INSERT INTO {name} SELECT {', '.join(['unnest(?)'] * len(columns))}", columns
        )  # names are declared above


def _record(record: Record) -> tuple[Any, ...]:
    actor = (record.actor.name, record.actor.fingerprint)
    what = (record.sequence, record.time, record.kind.value, record.stage, record.key, record.rules, record.code)
    return (*what, *actor, json.dumps(dict(record.parameters)), record.previous, record.digest)


def _edges(record: Record) -> Iterator[tuple[str, str, str, str, str | None]]:
    for direction, references in (("input", record.inputs), ("output", record.outputs)):
        for each in references:
            yield record.digest, direction, each.role, each.digest, each.rows


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
