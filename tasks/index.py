"""Builds plimsoll.duckdb anew: an index over ledger and evidence store, for people with a DuckDB client.

Nothing is only here. The index may be deleted at any time; it is made beside the old one, which it then replaces.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.errors import EvidenceError, WorldError
from catalog.store import ObjectStore
from catalog.workspace import Workspace
from expectations.ddl import ddl, names
from tasks import index_tables
from tasks.index_ledger import artefacts_in, index_ledger
from tasks.index_lineage import INDEX
from tasks.scratch import scratch

if TYPE_CHECKING:
    import duckdb


def rebuild_index(home: Path) -> Path:
    """The index of the workspace at `home`, rebuilt; returns its file.

    Every table of evidence is there under its name, with the digest of the artefact that each row stands in, next to
    the ledger's tables and the views of `tasks.index_tables`. Raises EvidenceError when the ledger or a named table
    cannot be read, WorldError when the file cannot be written; the old index stays then.
    """
    import duckdb

    workspace = Workspace.open(home)
    target, building = home / INDEX, home / f"{INDEX}.new"
    try:
        with _beside(building), scratch() as folder, duckdb.connect(building) as connection:
            index_ledger(connection, workspace, Path(folder))
            _index_tables(connection, workspace.store)
            for statement in index_tables.views():
                connection.execute(statement)
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


def _index_tables(connection: "duckdb.DuckDBPyConnection", store: ObjectStore) -> None:
    import duckdb

    for name in names():
        connection.execute(ddl(name))
        connection.execute(f"ALTER TABLE {name} ADD COLUMN artefact VARCHAR")
        connection.execute(f"COMMENT ON COLUMN {name}.artefact IS 'digest of the artefact that the row stands in'")
        for digest in artefacts_in(connection, name):
            try:
                connection.execute(f"INSERT INTO {name} SELECT *, ? FROM read_parquet(?)", _bound(digest, store))  # noqa: S608  # names are declared here
            except duckdb.Error as error:
                raise EvidenceError(f"the {name} table {digest} cannot be read: {error}") from error


def _bound(digest: str, store: ObjectStore) -> list[str]:
    return [digest, str(store.path(digest))]
