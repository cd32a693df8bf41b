"""Tables of evidence as Parquet bytes and back: the one module that touches fastparquet.

The same rows give the same bytes under the same library versions, whether they come at once or in batches: nothing is
written but the rows, their types, and the versions of what wrote them. `canonical_rows_digest` names rows whatever the
versions.
"""

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import fastparquet
import fastparquet.writer
import pandas as pd

from catalog.canonical import canonical
from catalog.errors import EvidenceError
from expectations import tables
from tasks import contracts

GROUP = 2**18
"""Rows in a row group, so many at once are in memory while a table is written batch by batch."""

CODED = frozenset({"results"})
"""Tables whose texts stand in dictionaries: they are read over and over, and spelled out they take longest to read."""


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
    buffer = io.BytesIO()
    _write(_groups([_checked(name, rows)]), buffer, coded=name in CODED)
    return buffer.getvalue()


def write_table(name: str, batches: Iterable[pd.DataFrame], file: BinaryIO) -> None:
    """Writes the table that `batches` make, one after the other, holding no more than a row group of it.

    Raises EvidenceError when a row group breaks the table's contract. That a key is unique is seen within a row group
    only: across them, whoever gives the batches answers for it.
    """
    groups = _groups(chain([tables.empty(name)], batches))
    _write((_checked(name, group) for group in groups), file, coded=name in CODED)


def read_table(name: str, source: bytes | Path) -> pd.DataFrame:
    """The table `name` from Parquet bytes or a file of them, in the types of its contract, which is checked.

    Raises EvidenceError when it is no Parquet, or breaks the contract.
    """
    try:
        read = fastparquet.ParquetFile(io.BytesIO(source) if isinstance(source, bytes) else str(source)).to_pandas()
    except Exception as error:  # fastparquet raises whatever its parser stumbles over
        raise EvidenceError(f"the {name} table cannot be read as Parquet: {error}") from error
    return _checked(name, frame(name, {each: read[each] for each in read.columns}))


def hold(name: str, file: Path) -> None:
    """Holds a Parquet file of any length to the contract of table `name`, in memory that its rows do not fill.

    Raises EvidenceError as `read_table` does; memory then grows with the rows that break the contract.
    """
    rows = contracts.suspects(name, file)
    if rows is None:
        read_table(name, file)
    elif len(rows):
        tables.check(name, rows)


def _checked(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """`rows`, when they keep the table's contract. Raises EvidenceError."""
    return rows if len(rows) >= contracts.MANY and contracts.proved(name, rows) else tables.check(name, rows)


def canonical_rows_digest(name: str, rows: pd.DataFrame) -> str:
    """SHA-256 over the rows as lines of canonical JSON, each a list of values in column order."""
    total = RowsDigest()
    total.add(_checked(name, rows))
    return total.hexdigest()


class RowsDigest:
    """The digest of a table's canonical rows, while they pass batch by batch."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()

    def add(self, rows: pd.DataFrame) -> None:
        """The next rows of the table."""
        if len(rows):
            texts = [_canonical_values(rows[column]) for column in rows]
            lines = "]\n[".join(map(",".join, zip(*texts, strict=True)))
            self._sha.update(f"[{lines}]\n".encode())

    def passing(self, batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """The same batches, each added as it is taken."""
        for rows in batches:
            self.add(rows)
            yield rows

    def hexdigest(self) -> str:
        """The digest of all rows so far."""
        return self._sha.hexdigest()


def _canonical_values(column: "pd.Series[Any]") -> list[str]:
    """Each value of an integer or text column as canonical JSON; texts are few, so each is written once."""
    if pd.api.types.is_integer_dtype(column.dtype):
        known = column.dropna()
        canonical([int(known.min()), int(known.max())] if len(known) else [])  # refuses what JSON cannot hold exactly
        texts = list(map(str, column.tolist()))
        return texts if len(known) == len(column) else ["null" if text == str(pd.NA) else text for text in texts]
    values = column.tolist()
    written = {value: canonical(value).decode() for value in set(values)}
    return [written[value] for value in values]


def _groups(batches: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """The rows of all batches in groups of `GROUP`, the last one shorter; one empty group where there are no rows."""
    waiting: list[pd.DataFrame] = []
    count = groups = 0
    for batch in batches:
        waiting.append(batch)
        count += len(batch)
        if count >= GROUP:
            whole = pd.concat(waiting, ignore_index=True)
            for first in range(0, count - GROUP + 1, GROUP):
                yield whole.iloc[first : first + GROUP].reset_index(drop=True)
                groups += 1
            count %= GROUP
            waiting = [whole.iloc[len(whole) - count :]]
    if waiting and (count or not groups):
        yield pd.concat(waiting, ignore_index=True)


def _write(groups: Iterator[pd.DataFrame], file: BinaryIO, *, coded: bool = False) -> None:
    """Writes row groups, all of the first one's types, as `fastparquet.write` does with a table that is whole.

    `coded`: the texts of each row group as numbers of their places in its dictionary, which is in order.
    """
    first = next(groups)
    described = fastparquet.writer.make_metadata(
        first, has_nulls=True, object_encoding="infer", index_cols=[], cols_dtype=first.columns.dtype
    )
    rows = (_with_dictionaries(group) if coded else group for group in chain([first], groups))
    fastparquet.writer.write_simple(file, rows, described, compression="ZSTD", stats="auto")


def _with_dictionaries(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.astype({name: "category" for name, dtype in rows.dtypes.items() if dtype == "str"})


def _series(name: str, column: str, values: Sequence[Any], dtype: str) -> "pd.Series[Any]":
    try:
        series = pd.Series(values, dtype=dtype).reset_index(drop=True)
    except (TypeError, ValueError, OverflowError) as error:
        raise EvidenceError(f"{name}.{column} holds what is no {dtype}: {error}") from error
    return series


def plain_bytes(columns: Mapping[str, Sequence[int | str | None]]) -> bytes:
    """A table for people, outside the evidence, as Parquet: whole numbers and texts, null where there is nothing.

    A column with any text in it is text throughout.
    """
    kept = io.BytesIO()
    _write(iter([pd.DataFrame({key: _plain(values) for key, values in columns.items()})]), kept)
    return kept.getvalue()


def _plain(values: Sequence[int | str | None]) -> "pd.Series[Any]":
    if any(isinstance(value, str) for value in values):
        return pd.Series([None if value is None else str(value) for value in values], dtype="object")
    return pd.Series(values, dtype="Int64")
