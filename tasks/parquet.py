"""Tables of evidence as Parquet bytes and back: the one module that touches fastparquet.

The same rows give the same bytes under the same library versions: nothing is written but the rows, their types, and
the versions of what wrote them. `canonical_rows_digest` names rows whatever the versions.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import fastparquet
import pandas as pd

from catalog.canonical import canonical
from catalog.errors import EvidenceError
from expectations import tables


class _Kept(io.BytesIO):
    """A buffer that outlives the writer that closes it."""

    def close(self) -> None:
        """Kept open: its value is still wanted."""


def frame(name: str, columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """The table `name` out of whole columns, None where a value is null, in the order and types of its contract.

    Raises EvidenceError naming columns that are missing or unknown, and values that do not fit their column's type;
    the contract's own checks are made when the table is written.
    """
    types = tables.columns(name)
    if faults := [*(f"{each} is missing" for each in types if each not in columns)] + [
        f"{each} is unknown" for each in columns if each not in types
    ]:
        raise EvidenceError(f"columns of the {name} table: {', '.join(faults)}")
    return pd.DataFrame({each: _series(name, each, columns[each], dtype) for each, dtype in types.items()})


def table_bytes(name: str, rows: pd.DataFrame) -> bytes:
    """`rows` as Parquet (zstd). Raises EvidenceError when they break the table's contract."""
    tables.check(name, rows)
    buffer = _Kept()
    fastparquet.write(name, rows, compression="ZSTD", write_index=False, open_with=lambda _path, _mode: buffer)
    return buffer.getvalue()


def read_table(name: str, source: bytes | Path) -> pd.DataFrame:
    """The table `name` from Parquet bytes or a file of them, in the types of its contract, which is checked.

    Raises EvidenceError when it is no Parquet, or breaks the contract.
    """
    try:
        read = fastparquet.ParquetFile(io.BytesIO(source) if isinstance(source, bytes) else str(source)).to_pandas()
    except Exception as error:  # fastparquet raises whatever its parser stumbles over
        raise EvidenceError(f"the {name} table cannot be read as Parquet: {error}") from error
    return tables.check(name, frame(name, {each: read[each] for each in read.columns}))


def canonical_rows_digest(name: str, rows: pd.DataFrame) -> str:
    """SHA-256 over the rows as lines of canonical JSON, each a list of values in column order."""
    rows = tables.check(name, rows)
    total = hashlib.sha256()
    for row in rows.astype(object).where(rows.notna(), None).itertuples(index=False, name=None):
        total.update(canonical(list(row)) + b"\n")
    return total.hexdigest()


def _series(name: str, column: str, values: Sequence[Any], dtype: str) -> "pd.Series[Any]":
    try:
        series = pd.Series(values, dtype=dtype).reset_index(drop=True)
    except (TypeError, ValueError, OverflowError) as error:
        raise EvidenceError(f"{name}.{column} holds what is no {dtype}: {error}") from error
    return series
