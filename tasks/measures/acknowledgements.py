"""How long messages waited until they were acknowledged."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from catalog.declarations import Metric
from tasks.measures.percentiles import percentiles
from tasks.measures.rows import Row
from tasks.measures.scopes import scopes_of
from tasks.measures.subject import PLACE, Run, Tables

if TYPE_CHECKING:
    import duckdb

_FIRST = """
    SELECT sequence, path, latency_us FROM read_parquet(getvariable('results'))
    WHERE run = getvariable('run') AND kind = 'acknowledgement'
"""

_ACKNOWLEDGED = f"""
    CREATE TABLE acknowledged AS
    WITH first AS ({_FIRST})
    SELECT {PLACE} AS place, coalesce(first.latency_us, offered.answered_us) AS answered_us
    FROM offered LEFT JOIN first USING (sequence)
    WHERE offered.path IN (SELECT path FROM first)
"""  # noqa: S608 - made of constants only
"""What was offered on paths on which anything was acknowledged. What was answered without, is timed until its answer;
what was neither, ranks later than any."""


def acknowledgements(connection: "duckdb.DuckDBPyConnection", run: Run, tables: Tables) -> Iterator[Row]:
    """The time to the acknowledgement, of all messages and by scope; no row where nothing was acknowledged."""
    if connection.execute(f"{_FIRST} LIMIT 1").fetchone() is None:
        return
    connection.execute(_ACKNOWLEDGED)
    scopes = scopes_of(connection, run, tables, "acknowledged")
    what = "until acknowledged, or answered: nearest rank, failures last"
    yield from percentiles(connection, run, scopes, {Metric.ACKNOWLEDGED_P95: 950}, what, timed="acknowledged")
