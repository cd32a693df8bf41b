"""Rows of a recorded table as plain values, read by DuckDB: in a fraction of what its contract takes to be loaded.

For artefacts that are intact: those were held to their contract when they were recorded (`tasks.parquet`).
"""

from pathlib import Path
from typing import Any

from catalog.errors import EvidenceError


def rows_of(name: str, file: Path) -> list[dict[str, Any]]:
    """The rows of the table `name` in a Parquet file, None where a value is null, in the order that they stand in.

    Raises EvidenceError when it cannot be read.
    """
    import duckdb

    with duckdb.connect(config={"threads": 1}) as connection:
        try:
            found = connection.execute("FROM read_parquet(?)", [str(file)])
            columns = [column[0] for column in found.description]
            return [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
        except duckdb.Error as error:
            raise EvidenceError(f"the {name} table cannot be read as Parquet: {error}") from error
