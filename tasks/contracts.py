"""Whether a large table keeps its contract, asked of DuckDB: minutes of pandera's work in seconds, in little memory.

The conditions come from the same declaration (`expectations.tables`) and are no laxer than it. Where they do not hold,
or DuckDB cannot say, pandera is asked, so whatever is refused is refused in the same words.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from expectations import tables

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

MANY = 50_000
"""Rows from which on asking DuckDB first is worth it."""

_TYPES = {"int64": "BIGINT", "Int64": "BIGINT", "str": "VARCHAR"}


def proved(name: str, rows: "pd.DataFrame") -> bool:
    """Whether DuckDB can tell that a data frame keeps the contract of table `name`; False when it needs pandera."""
    import duckdb

    if {column: str(dtype) for column, dtype in rows.dtypes.items()} != tables.columns(name):
        return False
    if list(rows.columns) != list(tables.columns(name)):
        return False
    with duckdb.connect() as connection:
        connection.register("checked", rows)
        return _holds(connection, name)


def suspects(name: str, file: Path) -> "pd.DataFrame | None":
    """Every row of a Parquet file that may break the contract of table `name`, numbered from 0 as it stands there.

    An empty data frame where the table keeps its contract. None when the file cannot be told so: it is no Parquet, or
    its columns have other names or types, or nulls where there may be none.
    """
    import duckdb

    with duckdb.connect() as connection:
        try:
            source = connection.read_parquet(str(file))
            if [*zip(source.columns, map(str, source.types), strict=True)] != [
                (column, _TYPES[dtype]) for column, dtype in tables.columns(name).items()
            ]:
                return None
            read = f"read_parquet({_quoted(str(file))}, file_row_number = true)"
            connection.execute(f"CREATE TEMP VIEW checked AS FROM {read}")
            if _holds(connection, name):
                return tables.empty(name)
            return _suspects(connection, name)
        except duckdb.Error:  # whatever it stumbles over, pandera will say it in its own words
            return None


def _holds(connection: "duckdb.DuckDBPyConnection", name: str) -> bool:
    import duckdb

    try:
        (faults,) = connection.execute(f"SELECT count(*) FROM checked WHERE {_faulty(name)}").fetchone() or (1,)  # noqa: S608 - made of declarations
        return not faults and all(_unique(connection, name, key) for key in tables.keys(name))
    except duckdb.Error:  # sums beyond 64 bits, say
        return False


def _faulty(name: str) -> str:
    return " OR ".join(f"NOT ({condition})" for condition in tables.conditions(name))


def _unique(connection: "duckdb.DuckDBPyConnection", name: str, key: tuple[str, ...]) -> bool:
    """Whether no two rows share a key.

    A whole number that rises from row to row says so at once. Otherwise only a bit of it is kept, 64 numbers together;
    where that number is unique alone, the other columns need not be read.
    """
    types = tables.columns(name)
    number = next((column for column in key if types[column] == "int64"), None)
    if number is None:
        listed = _listed(key)
        query = f"SELECT count(*) = count(DISTINCT ({listed},)) FROM checked"  # noqa: S608 - made of declarations
        return bool((connection.execute(query).fetchone() or (False,))[0])
    others = tuple(column for column in key if column != number)
    return _rising(connection, number) or any(
        _unique_number(connection, number, beside) for beside in dict.fromkeys([(), others])
    )


def _rising(connection: "duckdb.DuckDBPyConnection", number: str) -> bool:
    before = f'SELECT "{number}" AS number, lag("{number}") OVER () AS before FROM checked'  # noqa: S608 - made of declarations
    found = connection.execute(f"SELECT coalesce(bool_and(number > before), true) FROM ({before})").fetchone()  # noqa: S608 - made of declarations
    return bool(found and found[0])


def _unique_number(connection: "duckdb.DuckDBPyConnection", number: str, beside: tuple[str, ...]) -> bool:
    found = connection.execute(
        f"""
        SELECT coalesce(bool_and(seen = differing), true) FROM (
            SELECT count(*) AS seen, bit_count(bit_or(1::UBIGINT << ("{number}" % 64))) AS differing
            FROM checked GROUP BY "{number}" // 64{"".join(f', "{column}"' for column in beside)}
        )
        """  # noqa: S608 - made of declarations
    ).fetchone()
    return bool(found and found[0])


def _suspects(connection: "duckdb.DuckDBPyConnection", name: str) -> "pd.DataFrame | None":
    import numpy as np
    import pandas as pd

    suspected = [f"SELECT file_row_number FROM checked WHERE {_faulty(name)}"]  # noqa: S608 - made of declarations
    for key in tables.keys(name):
        twice = f"SELECT {_listed(key)} FROM checked GROUP BY ALL HAVING count(*) > 1"  # noqa: S608 - made of declarations
        suspected.append(f"SELECT file_row_number FROM checked SEMI JOIN ({twice}) USING ({_listed(key)})")  # noqa: S608 - made of declarations
    listed = " UNION ALL ".join(suspected)
    query = f"FROM checked WHERE file_row_number IN ({listed}) ORDER BY file_row_number"
    found: dict[str, Any] = connection.execute(query).fetchnumpy()
    numbers = np.asarray(found.pop("file_row_number"))
    columns = {}
    for column, dtype in tables.columns(name).items():
        unknown = np.ma.getmaskarray(found[column])
        if unknown.any() and dtype != "Int64":
            return None
        values = np.ma.getdata(found[column])
        columns[column] = (
            pd.arrays.IntegerArray(values, unknown) if dtype == "Int64" else pd.Series(values, dtype=dtype)
        )
    return pd.DataFrame(columns).set_index(numbers)


def _listed(key: tuple[str, ...]) -> str:
    return ", ".join(f'"{column}"' for column in key)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
