"""How long chains of messages took, of which each waits for the answer to the one before."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from catalog.declarations import Metric
from tasks.measures.percentiles import percentiles
from tasks.measures.rows import Row
from tasks.measures.scopes import scopes_of
from tasks.measures.subject import Run, Tables

if TYPE_CHECKING:
    import duckdb

_CHAINS = """
    CREATE TABLE chains AS
    SELECT (second.part * getvariable('blocks') + first.block)::INTEGER AS place,
           CASE WHEN first.good AND second.good THEN coalesce(second.done_us - first.intended_us, -1) END AS answered_us
    FROM offered AS second JOIN offered AS first ON first.sequence = second.sequence - 1
    JOIN follows ON second.label = follows.label AND first.label = follows.followed
    WHERE first.expect = second.expect AND second.sequence <> getvariable('released')
"""
"""Pairs of messages of which the second waited for the first: from when the first was due until the second was done.
None is of an invalid request, which follows nobody, or has its first among what was released and its second not."""


def chains(connection: "duckdb.DuckDBPyConnection", run: Run, tables: Tables) -> Iterator[Row]:
    """The latency of whole chains, of all and by the scope of their last message; no row where nothing waited."""
    if not run.follows:
        return
    connection.execute("SET VARIABLE released = $released", {"released": run.document.get("released", 0)})
    connection.execute(_CHAINS)
    scopes = scopes_of(connection, run, tables, "chains")
    what = "from when the first was due: nearest rank, failures last"
    yield from percentiles(connection, run, scopes, {Metric.CHAIN_LATENCY_P95: 950}, what, timed="chains")
