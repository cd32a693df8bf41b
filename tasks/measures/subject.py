"""The test run that is measured: its document, its tables, and the views of them that every measure asks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expectations import statistics
from expectations.verdicts import LATER
from tasks.measures.rows import Row
from tasks.scratch import scratch

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Run:
    """What the statistics need of the run document, whose entries are got by name."""

    document: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.document[name]

    @property
    def level(self) -> float:
        """The confidence level that the run is judged at."""
        return statistics.judged_level(self["level_index"])

    @property
    def compressed(self) -> bool:
        """Whether its durations are shorter than the test declares."""
        return Decimal(self["compression"]) != 1

    @property
    def injector_steps(self) -> Sequence[Mapping[str, Any]]:
        """What the injector said of itself, step by step; nothing where another tool offered the load."""
        steps: Sequence[Mapping[str, Any]] = self.document.get("injector", {}).get("steps", ())
        return steps

    @property
    def declared(self) -> Mapping[str, Mapping[str, Any]]:
        """Of each metric that is declared to come from somewhere: `parts`, and `every_us`."""
        found: Mapping[str, Mapping[str, Any]] = self.document.get("sampling", {})
        return found

    @property
    def follows(self) -> Mapping[str, str]:
        """Label to the label of the message right before it, whose answer such a message waits for."""
        follows: Mapping[str, str] = self.document.get("follows", {})
        return follows

    def stretches(self, at_us: "Integers") -> "Integers":
        """The stretch of the run, from 0, that each time falls into."""
        placed: Integers = (at_us - self["start_us"]) * self["blocks"] // self["window_us"]
        return placed


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """The tables of a run as Parquet, and what measuring depends on beside them. None where there are no results.

    `withins`: the target times of service levels, in microseconds. `groups`: SRV to the SRV group that it belongs to.
    """

    results: Path | None
    infrastructure: Path
    withins: tuple[int, ...]
    groups: Mapping[str, str]


Measure = Callable[["duckdb.DuckDBPyConnection", Run, Tables], Iterator[Row]]
"""Rows of the measurements table, in any order, from the views that `prepare` made. What it cannot tell has no row."""

MOST_SRVS = 200
"""SRVs with a scope of their own: those with the most messages, so that a label for each message cannot fill memory."""

MEMORY = "512MB"
"""What DuckDB may take before it writes to disk."""

_STRETCH = """
    CREATE TEMP MACRO stretch(at_us) AS greatest(0, least(getvariable('blocks') - 1,
        (at_us - getvariable('start_us')) * getvariable('blocks') // getvariable('window_us')))
"""
"""The stretch of the run, from 0, that a time falls into; what is early or late falls into the first or the last."""

OFFERED = "list_contains(['request', 'alert'], kind)"
"""What is offered, of the kinds of message. DuckDB asks a function once for each entry of a dictionary of texts, and
comparisons for each row."""

_OF_SRV = f"""
    CREATE TEMP TABLE of_srv AS
    WITH seen AS (
        SELECT srv, coalesce(name, '') AS of_group,
               row_number() OVER (ORDER BY messages DESC, srv) <= $most AS apart
        FROM (
            SELECT srv, count(*) AS messages FROM read_parquet(getvariable('results'))
            WHERE run = getvariable('run') AND {OFFERED} GROUP BY srv
        )
        LEFT JOIN (SELECT unnest($srvs::VARCHAR[]) AS srv, unnest($groups::VARCHAR[]) AS name) USING (srv)
    )
    SELECT srv, of_group, apart, dense_rank() OVER (ORDER BY of_group, CASE WHEN apart THEN srv END) - 1 AS part
    FROM seen
"""  # noqa: S608 - made of constants only; what varies is bound
"""The group of each SRV, and its part of the messages: parts are numbered from 0, each of one SRV or, where SRVs are
too many, of all the others of a group."""

_APART = """
    SET VARIABLE apart = (SELECT CASE WHEN bool_and(apart) THEN list(srv ORDER BY part) END FROM of_srv)
"""
"""Where every SRV is a part of its own: all of them, in order."""

_OFFERED = f"""
    CREATE TEMP VIEW offered AS
    SELECT sequence, path, srv, path || '|' || srv || '|' || kind AS label, {{part}} AS part,
           outcome = expect AS good, CASE WHEN outcome = expect THEN coalesce(latency_us, -1) END AS answered_us,
           coalesce(answered_us, {LATER}) AS latency_us,
           CASE WHEN ready_us IS NOT NULL THEN coalesce(ready_us - intended_us, {LATER}) END AS lateness_us,
           stretch({{due_us}}) AS block, intended_us, done_us, expect, traffic
    FROM read_parquet(getvariable('results')) {{joined}}
    WHERE run = getvariable('run') AND {OFFERED}
"""  # noqa: S608 - made of constants only; what varies is bound
"""What was offered. Whatever did not end as expected ranks later than any answer (`answered_us`: null); -1: answered,
latency unknown. The lateness of what was never taken up is null, and `LATER` where nobody knows when it was due."""

_UNKNOWN_DUE = f"""
    SELECT count(*) FROM read_parquet(getvariable('results'))
    WHERE run = getvariable('run') AND intended_us IS NULL AND {OFFERED}
"""  # noqa: S608 - made of constants only
"""Of how many messages nobody knows when they were due; of none, as the file's own statistics mostly say."""

_DECLARED = """
    CREATE TEMP TABLE declared AS
    SELECT *, count(*) OVER (PARTITION BY metric) AS parts FROM (
        SELECT unnest($metrics::VARCHAR[]) AS metric, unnest($parts::VARCHAR[]) AS sub_component,
               unnest($hosts::VARCHAR[]) AS host
    )
"""
"""The parts of the component that are declared to tell a metric, and how many they are."""
PLACE = "(part * getvariable('blocks') + block)::INTEGER"
"""A message's part and stretch in one number."""

_COMPACT = f"""
    CREATE TABLE compact AS SELECT {PLACE} AS place, lateness_us, answered_us FROM offered
"""  # noqa: S608 - made of constants only
"""What most measures need of each message, and can read again and again: `place` is its part and its stretch."""
_FOLLOWS = """
    CREATE TEMP TABLE follows AS
    SELECT unnest($labels::VARCHAR[]) AS label, unnest($followed::VARCHAR[]) AS followed
"""
"""Which messages wait for the answer to the one right before them, where that has the label that theirs follows."""

_SAMPLED = """
    CREATE TEMP VIEW sampled AS
    SELECT metric, at_us, sum(value)::BIGINT AS value
    FROM read_parquet(getvariable('infrastructure')) LEFT JOIN declared USING (metric, sub_component, host)
    WHERE run = getvariable('run') AND component = getvariable('component')
      AND at_us >= getvariable('start_us') AND at_us < getvariable('start_us') + getvariable('window_us')
      AND (parts IS NOT NULL OR metric NOT IN (SELECT metric FROM declared))
    GROUP BY metric, at_us HAVING count(*) >= coalesce(max(parts), 1)
"""
"""Infrastructure samples of the component within the window, its parts together.

Where parts are declared for a metric, they alone count, and only those instants at which all of them told it.
"""

_DONE = f"""
    CREATE TEMP VIEW done AS
    SELECT done_us FROM read_parquet(getvariable('results'))
    WHERE run = getvariable('run') AND done_us IS NOT NULL AND {OFFERED}
"""  # noqa: S608 - made of constants only
"""When each message that was offered had its final answer."""


def prepare(connection: "duckdb.DuckDBPyConnection", run: Run, tables: Tables) -> None:
    """Makes the views `offered` (a row per message), `sampled` (per metric and time) and `done` in a new database.

    Beside them the tables `of_srv`, `declared`, `follows` and `compact`, and the macro `stretch(at_us)`. The results
    are read for `compact` once: text takes longer to read than all that is counted afterwards.
    """
    told = {
        "results": str(tables.results or ""),
        "infrastructure": str(tables.infrastructure),
        **{name: run[name] for name in ("run", "component", "start_us", "window_us", "blocks")},
    }
    for name, value in told.items():
        connection.execute(f"SET VARIABLE {name} = $value", {"value": value})
    connection.execute(_STRETCH)
    groups = {"srvs": list(tables.groups), "groups": list(tables.groups.values())}
    if tables.results:
        connection.execute(_OF_SRV, {**groups, "most": MOST_SRVS})
    parts = [(metric, part["part"], part["host"]) for metric, of in run.declared.items() for part in of["parts"]]
    columns = {name: [each[place] for each in parts] for place, name in enumerate(("metrics", "parts", "hosts"))}
    connection.execute(_DECLARED, columns)
    connection.execute(_FOLLOWS, {"labels": list(run.follows), "followed": list(run.follows.values())})
    connection.execute(_SAMPLED)
    if tables.results:
        for view in (_offered(connection), _COMPACT, _DONE):
            connection.execute(view)


def _offered(connection: "duckdb.DuckDBPyConnection") -> str:
    """The view `offered`, which reads no column for nothing, and joins nothing where a list will do."""
    connection.execute(_APART)
    asked = f"SELECT getvariable('apart') IS NOT NULL, ({_UNKNOWN_DUE}) = 0"
    listed, due_known = connection.execute(asked).fetchone() or (False, False)
    return _OFFERED.format(
        part="list_position(getvariable('apart'), srv) - 1" if listed else "of_srv.part",
        joined="" if listed else "JOIN of_srv USING (srv)",
        due_us="intended_us" if due_known else "coalesce(intended_us, ready_us, sent_us)",
    )


@contextmanager
def database() -> "Iterator[duckdb.DuckDBPyConnection]":
    """A new database on disk, for as long as it is used: however many the messages, they need not fit into memory."""
    import duckdb

    with scratch() as folder:
        settings = f"SET memory_limit = '{MEMORY}'; SET preserve_insertion_order = false"
        with duckdb.connect(Path(folder) / "measured.duckdb") as connection:
            connection.execute(settings)
            yield connection


def fetched(query: "duckdb.DuckDBPyConnection") -> "dict[str, NDArray[Any]]":
    """The columns of a query that has no nulls, by name."""
    import numpy as np

    return {name: np.asarray(column) for name, column in query.fetchnumpy().items()}
