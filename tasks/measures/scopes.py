"""Latencies counted by scope, stretch of time and microsecond, in memory that does not grow with the messages.

First every latency is counted in bins, about a hundredth of it wide or less; then, for the bins that hold what the
statistics ask for, by the microsecond. What comes out is exact: see `statistics.deciding`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from catalog.declarations import Metric
from expectations.statistics import Counts
from expectations.verdicts import LATER, NEEDED_SAMPLES
from tasks.measures.rows import ALL
from tasks.measures.subject import Run, Tables, fetched

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

SRV = "srv:"
"""What the scope of one SRV begins with."""

_NEVER = 2**20 - 1
"""The bin of what did not end as expected: no latency comes to it."""

_BIN = f"coalesce((sqrt(sqrt(abs(answered_us::DOUBLE))) * 64)::INTEGER, {_NEVER})"
"""The bin of a latency. Square roots and rounding keep the order of values, on every machine: IEEE 754 says so.
Where one is below 0, nothing is told of latencies."""

_CELLS = f"""
    SELECT place, {_BIN} AS bin, count(*) AS messages FROM {{timed}} GROUP BY place, bin
"""  # noqa: S608 - made of constants only

_PLACES = f"""
    SELECT place, count(*) AS messages, count(answered_us) AS good, coalesce(min(answered_us), {LATER}) AS least,
           CASE WHEN count(*) > count(answered_us) THEN {LATER} ELSE max(answered_us) END AS largest {{withins}}
    FROM {{timed}} GROUP BY place ORDER BY place
"""  # noqa: S608 - made of constants only

_FINE = f"""
    SELECT place, bin, answered_us, count(*) AS messages
    FROM (SELECT place, {_BIN} AS bin, answered_us FROM {{timed}})
    WHERE bin IN ({{bins}}) GROUP BY ALL
"""  # noqa: S608 - made of constants and whole numbers only


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Columns of equal length, by name: messages of each part and stretch (`block`), or of each bin of these as well.

    `part` never falls. `messages` in both; of stretches `least` and `largest` (latency), `good`, and each target time
    in microseconds: how many were answered within it.
    """

    columns: "Mapping[str, Integers]"

    def __getitem__(self, name: str) -> "Integers":
        return self.columns[name]

    def of(self, parts: Sequence[int]) -> "Counted":
        """Those of some parts."""
        import numpy as np

        ends = np.searchsorted(self["part"], [(part, part + 1) for part in parts])
        chosen = np.concatenate([np.arange(first, last) for first, last in ends])
        return Counted(columns={name: column[chosen] for name, column in self.columns.items()})

    def within(self, bins: Collection[int]) -> "Counted":
        """Those in some bins."""
        import numpy as np

        chosen = np.isin(self["bin"], list(bins))
        return Counted(columns={name: column[chosen] for name, column in self.columns.items()})


@dataclass(frozen=True, kw_only=True)
class Latencies:
    """Counts of latencies, of all of a bin together unless it was looked at closer: then of a value, which is `exact`.

    `bins`, `values`, `exact`: one a column of `seen`; `blocks`: one a row. `seen`: messages. Where many values stand
    together, what stands in `values` says nothing.
    """

    bins: "Integers"
    values: "Integers"
    exact: "NDArray[np.bool_]"
    blocks: "Integers"
    seen: "NDArray[np.float64]"

    @cached_property
    def counts(self) -> Counts:
        """For the statistics."""
        import numpy as np

        return Counts(self.values, np.cumsum(self.seen, axis=1))

    def known(self, found: Counted) -> "Latencies":
        """With all values of some bins known, from all of this scope that was `found` of them."""
        import numpy as np

        values, first, column = np.unique(found["answered_us"], return_index=True, return_inverse=True)
        row = np.searchsorted(self.blocks, found["block"])
        others = ~np.isin(self.bins, found["bin"])
        bins = np.concatenate([self.bins[others], found["bin"][first]])
        values = np.concatenate([self.values[others], values])
        order = np.lexsort((values, bins))
        seen = _seen(row, column, found["messages"], (len(self.blocks), len(first)))
        return Latencies(
            bins=bins[order],
            values=values[order],
            exact=np.concatenate([self.exact[others], np.full(len(first), fill_value=True)])[order],
            blocks=self.blocks,
            seen=np.concatenate([self.seen[:, others], seen], axis=1)[:, order],
        )


@dataclass(frozen=True, kw_only=True)
class Scope:
    """A scope, the parts that it is made of, and their messages by stretch and by bin."""

    name: str
    parts: tuple[int, ...]
    stretches: Counted
    bins: Counted

    def __len__(self) -> int:
        return int(self.stretches["messages"].sum())

    @property
    def timed(self) -> bool:
        """Whether the latency of every message is known: of one that was answered nobody may know when it was due."""
        return int(self.stretches["least"].min()) >= 0

    @property
    def latencies(self) -> Latencies:
        """Counted by bins."""
        import numpy as np

        held, column = _numbered(self.bins["number"])
        blocks, row = _numbered(self.bins["block"])
        bins = np.zeros(len(held), dtype=np.int64)
        bins[column] = self.bins["bin"]
        never = bins == _NEVER
        seen = _seen(row, column, self.bins["messages"], (len(blocks), len(bins)))
        return Latencies(bins=bins, values=np.where(never, LATER, 0), exact=never, blocks=blocks, seen=seen)

    def by_block(self, run: Run, name: str) -> list[int]:
        """A column, added up for each stretch of the run."""
        import numpy as np

        added = np.bincount(self.stretches["block"], weights=self.stretches[name], minlength=run["blocks"])
        return [int(each) for each in added]


def _numbered(values: "Integers") -> "tuple[Integers, Integers]":
    """As numpy's `unique` with its inverse, without sorting: the values are few, and none is below 0 or large."""
    import numpy as np

    seen = np.bincount(values) > 0
    return np.flatnonzero(seen), (np.cumsum(seen) - 1)[values]


def _seen(row: "Integers", column: "Integers", messages: "Integers", shape: tuple[int, int]) -> "NDArray[np.float64]":
    """Messages by row and column, added up; fewer than 2^53, so they are whole in floats too."""
    import numpy as np

    added = np.bincount(row * shape[1] + column, weights=messages, minlength=shape[0] * shape[1])
    return added.reshape(shape).astype(np.float64, copy=False)


def enough(scope: Scope, metric: Metric) -> bool:
    """Whether a scope is to be measured in a metric: an SRV only where that could decide anything."""
    return not scope.name.startswith(SRV) or len(scope) >= NEEDED_SAMPLES[metric]


def scopes_of(connection: "duckdb.DuckDBPyConnection", run: Run, tables: Tables, timed: str = "compact") -> list[Scope]:
    """All messages; then those of each SRV group, and of each SRV, that has any, in order.

    `timed`: the table that holds them, with the columns of `compact` (see `tasks.measures.subject`).
    """
    stretches, bins = _stretches(connection, run, tables, timed), _bins(connection, run, timed)
    found = connection.execute(
        "SELECT part, of_group, CASE WHEN apart THEN srv END FROM of_srv GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    grouped: dict[str, list[int]] = {}
    for part, of_group, _ in found:
        if of_group:
            grouped.setdefault(of_group, []).append(part)
    apart = {f"{SRV}{srv}": [part] for part, _, srv in found if srv is not None}
    everything = Scope(name=ALL, parts=tuple(part for part, _, _ in found), stretches=stretches, bins=bins)
    return [everything] + [
        Scope(name=name, parts=tuple(parts), stretches=stretches.of(parts), bins=bins.of(parts))
        for name, parts in (*grouped.items(), *apart.items())
    ]


def _stretches(connection: "duckdb.DuckDBPyConnection", run: Run, tables: Tables, timed: str) -> Counted:
    withins = [f', count(*) FILTER (answered_us <= {within:d}) AS "{within:d}"' for within in tables.withins]
    return _counted(connection.execute(_PLACES.format(withins="".join(withins), timed=timed)), run)


def _bins(connection: "duckdb.DuckDBPyConnection", run: Run, timed: str) -> Counted:
    """Messages of every bin, and which of all bins it is (`number`, from 0)."""
    import numpy as np

    found = _counted(connection.execute(_CELLS.format(timed=timed)), run)
    _, number = np.unique(found["bin"], return_inverse=True)
    return Counted(columns={**found.columns, "number": number})


def _counted(query: "duckdb.DuckDBPyConnection", run: Run) -> Counted:
    import numpy as np

    found = fetched(query)
    place = found.pop("place")
    order = np.argsort(place, kind="stable")
    placed = {"part": place // run["blocks"], "block": place % run["blocks"], **found}
    return Counted(columns={name: column[order] for name, column in placed.items()})


def look_closer(
    connection: "duckdb.DuckDBPyConnection",
    run: Run,
    scopes: Sequence[Scope],
    latencies: Sequence[Latencies],
    bins: Sequence[Collection[int]],
    timed: str,
) -> list[Latencies]:
    """The latencies of each scope with its own of `bins` known to the microsecond."""
    listed = ", ".join(f"{each:d}" for each in sorted(set().union(*bins)))
    found = _counted(connection.execute(_FINE.format(timed=timed, bins=listed)), run)
    return [
        known.known(found.of(scope.parts).within(chosen)) if chosen else known
        for scope, known, chosen in zip(scopes, latencies, bins, strict=True)
    ]
