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
from expectations.verdicts import NEEDED_SAMPLES
from tasks.measures.rows import ALL
from tasks.measures.subject import Run, Tables, fetched

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

SRV = "srv:"
"""What the scope of one SRV begins with."""

_BIN = "(sqrt(sqrt(greatest(latency_us, 0))) * 64)::INTEGER"
"""The bin of a latency. Square roots and rounding keep the order of values, on every machine: IEEE 754 says so."""

_BITS = 20  # LATER is in bin 623,488

_CELLS = f"""
    SELECT place, {_BIN} AS bin, count(*) AS messages, min(latency_us) AS least, max(latency_us) AS largest
    FROM {{timed}} GROUP BY place, bin
"""  # noqa: S608 - made of constants only

_PLACES = """
    SELECT place, count(*) AS messages, count(*) FILTER (taken_up) AS taken_up, count(*) FILTER (good) AS good,
           min(latency_us) AS least, max(latency_us) AS largest {withins}
    FROM {timed} GROUP BY place ORDER BY place
"""

_FINE = f"""
    SELECT scope, place % getvariable('blocks') AS block, latency_us, count(*) AS messages
    FROM (
        SELECT place, latency_us, ((place // getvariable('blocks'))::BIGINT << {_BITS}) | {_BIN} AS bin FROM {{timed}}
    )
    JOIN wanted USING (bin) GROUP BY ALL ORDER BY ALL
"""  # noqa: S608 - made of constants only


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Columns of equal length, by name: messages of each part and stretch (`block`), or of each bin of these as well.

    `messages`, `least` and `largest` (latency) in both; of stretches `taken_up`, `good`, and each target time in
    microseconds: how many were answered within it.
    """

    columns: "Mapping[str, Integers]"

    def __getitem__(self, name: str) -> "Integers":
        return self.columns[name]

    def of(self, parts: Sequence[int]) -> "Counted":
        """Those of some parts."""
        import numpy as np

        chosen = np.isin(self["part"], parts)
        return Counted(columns={name: column[chosen] for name, column in self.columns.items()})


@dataclass(frozen=True, kw_only=True)
class Latencies:
    """Counts of latencies in which each value stands for all of its bin, the smallest seen, unless it is `exact`.

    `bins`, `values`, `exact`: one a column of `seen`; `blocks`: one a row. `seen`: messages.
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

    def known(
        self, bins: Collection[int], block: "Integers", latency_us: "Integers", counts: "Integers"
    ) -> "Latencies":
        """With all values of some bins known, from columns of equal length."""
        import numpy as np

        values, column = np.unique(latency_us, return_inverse=True)
        seen = np.zeros((len(self.blocks), len(values)))
        np.add.at(seen, (np.searchsorted(self.blocks, block), column), counts)
        others = ~np.isin(self.bins, list(bins))
        order = np.argsort(np.concatenate([self.values[others], values]))
        # a value that is known is in none of these bins again, so its own bin is of no more use
        return Latencies(
            bins=np.concatenate([self.bins[others], np.full(len(values), -1)])[order],
            values=np.concatenate([self.values[others], values])[order],
            exact=np.concatenate([self.exact[others], np.full(len(values), fill_value=True)])[order],
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

        bins, column = _numbered(self.bins["bin"])
        blocks, row = _numbered(self.bins["block"])
        seen = np.zeros((len(blocks), len(bins)))
        np.add.at(seen, (row, column), self.bins["messages"])
        least, largest = np.full(len(bins), 2**62), np.full(len(bins), -1)
        np.minimum.at(least, column, self.bins["least"])
        np.maximum.at(largest, column, self.bins["largest"])
        return Latencies(bins=bins, values=least, exact=least == largest, blocks=blocks, seen=seen)

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
    withins = [f', count(*) FILTER (latency_us <= {within:d}) AS "{within:d}"' for within in tables.withins]
    found = fetched(connection.execute(_PLACES.format(withins="".join(withins), timed=timed)))
    placed = _placed(found.pop("place"), run)
    return Counted(columns={**placed, **found})


def _bins(connection: "duckdb.DuckDBPyConnection", run: Run, timed: str) -> Counted:
    found = fetched(connection.execute(_CELLS.format(timed=timed)))
    return Counted(columns={**_placed(found.pop("place"), run), **found})


def _placed(place: "Integers", run: Run) -> "dict[str, Integers]":
    return {"part": place // run["blocks"], "block": place % run["blocks"]}


def look_closer(
    connection: "duckdb.DuckDBPyConnection",
    scopes: Sequence[Scope],
    latencies: Sequence[Latencies],
    bins: Sequence[Collection[int]],
    timed: str,
) -> list[Latencies]:
    """The latencies of each scope with its own of `bins` known to the microsecond."""
    import numpy as np
    import pandas as pd

    wanted = [
        (number, (part << _BITS) | each)
        for number, (scope, chosen) in enumerate(zip(scopes, bins, strict=True))
        for each in sorted(chosen)
        for part in scope.parts
    ]
    connection.register("wanted", pd.DataFrame(wanted, columns=["scope", "bin"]))
    found = fetched(connection.execute(_FINE.format(timed=timed)))
    connection.unregister("wanted")
    ends = np.searchsorted(found["scope"], np.arange(len(scopes) + 1))
    columns = found["block"], found["latency_us"], found["messages"]
    return [
        known.known(chosen, *(column[first:last] for column in columns)) if chosen else known
        for known, chosen, first, last in zip(latencies, bins, ends, ends[1:], strict=False)
    ]
