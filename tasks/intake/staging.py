"""Reads one file into tables of its own: by DuckDB where the count adds up, else line by line; in bounded memory.

An independent count of the file's lines stands against whatever was read. Where the two differ the fast way is not
believed, and the file is read line by line. What does not add up after that is a fault of this program, and an error.
"""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, BinaryIO

from tasks.intake.format import (
    Account,
    Bulk,
    Doubtful,
    Figure,
    Figures,
    Format,
    Nested,
    Readings,
    Samples,
    Scan,
    Source,
    Staging,
)
from tasks.intake.lines import BOM, LONGEST, LineCount
from tasks.intake.sql import STAGED, literal

if TYPE_CHECKING:
    import duckdb

MEMORY = "400MB"
"""What DuckDB may take for itself; beyond it, it writes to disk. With half of it, it reads everything twice."""

MOST_FIGURES = 100_000
"""So many numbers a summary may hold."""

_CHUNK = 1 << 20
_SAMPLES = (
    "label VARCHAR, intended_us BIGINT, sent_us BIGINT, done_us BIGINT, status BIGINT, outcome VARCHAR, bytes BIGINT, "
    "threads BIGINT, origin UBIGINT"
)
_READINGS = "at_us BIGINT, host VARCHAR, sub_component VARCHAR, metric VARCHAR, value BIGINT, unit VARCHAR"
_ROW, _HEADER, _INEXACT, _BESIDE = 0, 1, 2, 3

Progress = Callable[[int, int], object]
"""Told (bytes read, bytes in all)."""

_TOLD_EVERY_S = 0.2


def untold(_read: int, _size: int) -> None:
    """Progress that nobody wants to know of."""


@dataclass(slots=True, kw_only=True)
class Staged:
    """What one file held. `samples`, `readings`: Parquet files of its rows, none where there are none.

    Rows of `samples` that are messages have `class` 0. They stand in file order, those that had to be mended last.
    """

    source: Source
    format: Format
    account: Account
    samples: tuple[Path, ...] = ()
    readings: tuple[Path, ...] = ()
    figures: list[Figure] = field(default_factory=list)


class UnaccountedError(Exception):
    """The lines of a file do not add up: a reader is at fault."""


def connect(folder: Path) -> "duckdb.DuckDBPyConnection":
    """A DuckDB whose tables and overflow are files in `folder`."""
    import duckdb

    connection = duckdb.connect(
        str(folder / "staging.duckdb"),
        config={"threads": 2, "memory_limit": MEMORY, "temp_directory": str(folder / "overflow")},
    )
    connection.execute("SET preserve_insertion_order = true")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = true")
    connection.execute("SET enable_progress_bar_print = false")
    return connection


def stage(format_: Format, source: Source, folder: Path, *, progress: Progress = untold) -> Staged:
    """Reads `source` as `format_`. `folder`: an empty one, for what is written on the way.

    Raises SubmittedError where nothing can be made of the file, and UnaccountedError where lines are lost.
    """
    connection = connect(folder)
    try:
        staged = None
        if isinstance(format_, Bulk):
            staged = _in_bulk(format_, source, folder, connection, progress)
            if staged is None:  # what DuckDB fell over must not harm what follows
                connection.close()
                connection = connect(_fresh(folder))
        elif isinstance(format_, Staging):
            staged = _by_itself(format_, source, folder, connection, progress)
        if staged is None:
            staged = _line_by_line(format_, source, folder, connection, progress)
        if isinstance(format_, Nested) and staged.samples:
            _leave_out_parts(format_, staged, folder, connection)
    finally:
        connection.close()
    account = staged.account
    if account.accounted != account.total:
        raise UnaccountedError(
            f"{source.name}: {account.total} {account.unit}, and {account.accounted} accounted for: {account.as_json()}"
        )
    progress(source.path.stat().st_size, source.path.stat().st_size)
    return staged


def _fresh(folder: Path) -> Path:
    again = folder / "again"
    again.mkdir()
    return again


def count_lines(path: Path, *, quoted: bool = True) -> LineCount:
    """The lines of a file, counted by nothing but its bytes."""
    found = LineCount(quote=b'"' if quoted else b"\0")
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.add(chunk)
    return found


# --- by DuckDB --------------------------------------------------------------------------------------------------------


def _in_bulk(
    format_: Any, source: Source, folder: Path, connection: "duckdb.DuckDBPyConnection", progress: Progress
) -> Staged | None:
    """The file as DuckDB reads it; None where it cannot, or not in all its lines, which are counted meanwhile."""
    import duckdb

    account = Account()
    scan = format_.bulk(source, account, connection)
    if scan is None:
        return None
    file, mended = folder / "bulk.parquet", folder / "mended.parquet"
    try:
        rows = f"SELECT {_class(scan)} AS class, {scan.select} FROM {scan.source}"  # noqa: S608  # of our own making
        with ThreadPoolExecutor(1) as beside, _telling(connection, source.path.stat().st_size, progress):
            counting = beside.submit(count_lines, source.path, quoted=scan.quoted)
            connection.execute(f"COPY ({rows}) TO {literal(file)} {STAGED}")
        counted = f"SELECT class, count(*) FROM read_parquet({literal(file)}) GROUP BY class"  # noqa: S608  # a literal
        classes = dict(connection.execute(counted).fetchall())
        refused = _refused_at(connection) if "store_rejects" in scan.source else []
        if scan.stamped:
            _note_whole_seconds(account, scan.stamped, file, connection)
        if isinstance(format_, Doubtful) and classes.get(_BESIDE) and _is_doubtful(format_, file, connection):
            return None
    except duckdb.Error:
        return None
    counts = counting.result()
    _count(account, scan, classes, counts)
    if not counts.sound or classes.get(_INEXACT) or account.accounted + len(refused) != account.total:
        return None
    if refused:
        records = list(_records_at(source.path, refused))
        if any(b"\n" in data for _, data in records):  # a quote gone astray may hold other records within
            return None
        _write_rows(format_.mend(source, account, iter(records)), mended, connection)
    if account.accounted != account.total:  # one was refused twice, or could not be told from its neighbours
        return None
    return Staged(source=source, format=format_, account=account, samples=(file, *([mended] if refused else [])))


def _note_whole_seconds(account: Account, times: str, file: Path, connection: "duckdb.DuckDBPyConnection") -> None:
    finer = f"count(*) FILTER ({times} % 1000000 <> 0), count(*) FILTER ({times} <> 0)"
    query = f"SELECT {finer} FROM read_parquet({literal(file)}) WHERE class NOT IN ({_HEADER}, {_INEXACT})"  # noqa: S608  # of our own making
    found, stamped = connection.execute(query).fetchone() or (0, 0)
    if stamped and not found and account.capability:
        account.capability = replace(account.capability, resolution_us=1_000_000)


def _is_doubtful(format_: Doubtful, file: Path, connection: "duckdb.DuckDBPyConnection") -> bool:
    connection.execute(f"CREATE OR REPLACE VIEW bulk AS FROM read_parquet({literal(file)})")
    (found,) = connection.execute(format_.doubtful(_BESIDE)).fetchone() or (0,)
    return bool(found)


def _by_itself(
    format_: Any, source: Source, folder: Path, connection: "duckdb.DuckDBPyConnection", progress: Progress
) -> Staged | None:
    account = Account()
    with _telling(connection, source.path.stat().st_size, progress):
        file = format_.stage(source, account, folder, connection)
    return file and Staged(source=source, format=format_, account=account, samples=(file,) if account.taken else ())


@contextmanager
def _telling(connection: "duckdb.DuckDBPyConnection", size: int, progress: Progress) -> Iterator[None]:
    """While DuckDB reads a file, `progress` is told how far it is; it tells nobody by itself."""
    if progress is untold:
        yield
        return
    done = Event()

    def tell() -> None:
        while not done.wait(_TOLD_EVERY_S):
            progress(int(size * max(0.0, connection.query_progress()) // 100), size)

    with ThreadPoolExecutor(1) as beside:
        beside.submit(tell)
        try:
            yield
        finally:
            done.set()


def _count(account: Account, scan: Scan, classes: dict[int, int], counted: LineCount) -> None:
    account.total, account.blank, account.continued = counted.lines, counted.blank, counted.continued
    account.headers = scan.header_lines + classes.get(_HEADER, 0)
    account.taken = classes.get(_ROW, 0)
    for number, reason in enumerate(scan.beside, _BESIDE):
        if classes.get(number, 0):
            account.beside[reason] += classes[number]


def _class(scan: Scan) -> str:
    beside = " ".join(
        f"WHEN {condition} THEN {number}" for number, condition in enumerate(scan.beside.values(), _BESIDE)
    )
    return f"CASE WHEN {scan.headers} THEN {_HEADER} {beside} WHEN {scan.exact} THEN {_ROW} ELSE {_INEXACT} END"


def _refused_at(connection: "duckdb.DuckDBPyConnection") -> list[int]:
    """Where the lines begin that DuckDB refused, in bytes from the start of the file."""
    found = connection.execute("SELECT DISTINCT line_byte_position FROM reject_errors ORDER BY 1").fetchall()
    return [int(place) for (place,) in found]


def _records_at(path: Path, places: list[int]) -> Iterator[tuple[int, bytes]]:
    """The records that begin at these bytes: the number of their first line, and their bytes."""
    number, at = 1, 0
    with path.open("rb") as file:
        for told in places:
            place = _begin_of(file, told)
            file.seek(at)
            while at < place:
                chunk = file.read(min(_CHUNK, place - at))
                if not chunk:
                    return
                number += chunk.count(b"\n")
                at += len(chunk)
            data = file.readline(LONGEST)
            while data.count(b'"') % 2 and len(data) < LONGEST and (more := file.readline(LONGEST)):
                data += more
            yield number, data.removesuffix(b"\n").removesuffix(b"\r").removeprefix(BOM if place == 0 else b"")
            file.seek(at)


def _begin_of(file: BinaryIO, told: int) -> int:
    """Where a record begins: DuckDB counts bytes from 1, so no line begins there, but one byte before."""
    if not told:
        return 0
    file.seek(told - 1)
    return told if file.read(1) in (b"\n", b"\r") else told - 1


# --- line by line -----------------------------------------------------------------------------------------------------


def _line_by_line(
    format_: Format, source: Source, folder: Path, connection: "duckdb.DuckDBPyConnection", progress: Progress
) -> Staged:
    account = Account()
    staged = Staged(source=source, format=format_, account=account)
    samples, readings = folder / "samples.parquet", folder / "readings.parquet"
    size = source.path.stat().st_size
    connection.execute(f"CREATE OR REPLACE TABLE samples ({_SAMPLES}, line BIGINT)")
    connection.execute(f"CREATE OR REPLACE TABLE readings ({_READINGS})")
    counts = {"samples": 0, "readings": 0}
    for batch in format_.read(source, account):
        match batch:
            case Samples():
                counts["samples"] += _insert_samples(connection, batch)
            case Readings():
                counts["readings"] += _insert_readings(connection, batch)
            case Figures():
                staged.figures += batch.rows[: MOST_FIGURES - len(staged.figures)]
        progress(min(size, size * account.accounted // max(1, account.total)), size)
    if counts["samples"]:
        staged.samples = (samples,)
        _copy(connection, _MESSAGES, samples)
    if counts["readings"]:
        staged.readings = (readings,)
        _copy(connection, "SELECT * FROM readings ORDER BY rowid", readings)
    return staged


_MESSAGES = f"SELECT {_ROW} AS class, * EXCLUDE (line) FROM samples ORDER BY rowid"  # noqa: S608  # a constant


def samples_of(files: tuple[Path, ...]) -> str:
    """SQL for the messages in files of staged samples."""
    listed = ", ".join(map(literal, files))
    return f"SELECT * EXCLUDE (class) FROM read_parquet([{listed}], union_by_name = true) WHERE class = {_ROW}"  # noqa: S608  # literals are quoted


def _write_rows(batches: Iterator[Samples], file: Path, connection: "duckdb.DuckDBPyConnection") -> None:
    connection.execute(f"CREATE OR REPLACE TABLE samples ({_SAMPLES}, line BIGINT)")
    for batch in batches:
        _insert_samples(connection, batch)
    _copy(connection, _MESSAGES, file)


def _copy(connection: "duckdb.DuckDBPyConnection", select: str, file: Path) -> None:
    connection.execute(f"COPY ({select}) TO {literal(file)} {STAGED}")


def _insert_samples(connection: "duckdb.DuckDBPyConnection", batch: Samples) -> int:
    import numpy as np
    import pandas as pd

    if not len(batch):
        return 0
    whole = {
        name: np.array(getattr(batch, name), dtype=np.int64)
        for name in ("line", "intended_us", "sent_us", "done_us", "status", "bytes", "threads")
    }
    texts = {name: _texts(getattr(batch, name)) for name in ("label", "outcome", "origin")}
    connection.register("batch", pd.DataFrame({**whole, **texts}))
    connection.execute(
        "INSERT INTO samples SELECT label::VARCHAR, nullif(intended_us, -1), nullif(sent_us, -1), "
        "nullif(done_us, -1), status, outcome::VARCHAR, bytes, threads, hash(origin::VARCHAR), line FROM batch"
    )
    connection.unregister("batch")
    return len(batch)


def _insert_readings(connection: "duckdb.DuckDBPyConnection", batch: Readings) -> int:
    import numpy as np
    import pandas as pd

    if not len(batch):
        return 0
    whole = {name: np.array(getattr(batch, name), dtype=np.int64) for name in ("at_us", "value")}
    texts = {name: _texts(getattr(batch, name)) for name in ("host", "sub_component", "metric", "unit")}
    connection.register("batch", pd.DataFrame({**whole, **texts}))
    connection.execute(
        "INSERT INTO readings SELECT at_us, host::VARCHAR, sub_component::VARCHAR, metric::VARCHAR, value, "
        "unit::VARCHAR "
        "FROM batch"
    )
    connection.unregister("batch")
    return len(batch)


def _texts(values: list[str]) -> Any:
    """Texts as DuckDB takes them: no NUL characters or halves of surrogate pairs, which are written out instead.

    Few differ, so each is handed over once.
    """
    import numpy as np
    import pandas as pd

    known = dict.fromkeys(values)
    place = {value: number for number, value in enumerate(known)}
    stored = [_storable(value) for value in known]
    if len(stored) * 4 > len(values) or len(set(stored)) < len(stored):
        found = np.empty(len(values), dtype=object)
        found[:] = [stored[place[value]] for value in values]
        return found
    codes = np.fromiter(map(place.__getitem__, values), dtype=np.int32, count=len(values))
    return pd.Categorical.from_codes(codes, categories=pd.Index(stored))


def _storable(text: str) -> str:
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


# --- parts of messages ------------------------------------------------------------------------------------------------


_NUMBERED = re.compile(r".-[0-9]+$", re.DOTALL)


def _leave_out_parts(format_: Nested, staged: Staged, folder: Path, connection: "duckdb.DuckDBPyConnection") -> None:
    """Takes out the rows that are parts of other rows, which a tool wrote beside them."""
    table = "CREATE OR REPLACE TABLE samples_read AS SELECT *, row_number() OVER () AS place FROM ({})"
    rows = samples_of(staged.samples)
    labels = connection.execute(f"SELECT DISTINCT label FROM ({rows})").fetchall()  # noqa: S608  # of our own making
    if not any(_NUMBERED.search(label) for (label,) in labels):
        return
    connection.execute(table.format(rows))
    connection.execute(f"CREATE OR REPLACE TABLE parts AS {format_.parts()}")
    (found,) = connection.execute("SELECT count(DISTINCT place) FROM parts").fetchone() or (0,)
    if not found:
        return
    whole = folder / "whole.parquet"
    _copy(
        connection,
        f"SELECT {_ROW} AS class, * EXCLUDE (place) FROM samples_read WHERE place NOT IN (SELECT place FROM parts) "  # noqa: S608  # constants only
        "ORDER BY place",
        whole,
    )
    staged.samples = (whole,)
    staged.account.taken -= found
    staged.account.beside["a sub-result: part of a sample that is counted"] += found
