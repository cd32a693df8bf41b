"""Latencies counted by scope, stretch of time and microsecond, in memory that does not grow with the messages.

First every latency is counted in bins, about a hundredth of it wide or less; then, for the bins that hold what the
statistics ask for, by the microsecond. What comes out is exact: see `statistics.deciding`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from expectations.statistics import Counts
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

_PLACES, _BITS = "part * getvariable('blocks') + stretch(due_us)", 20  # LATER is in bin 623,488

_CELLS = f"""
    SELECT (({_PLACES}) << {_BITS}) | {_BIN} AS cell, count(*) AS messages, min(latency_us) AS least,
           max(latency_us) AS largest, count(*) FILTER (taken_up) AS taken_up, count(*) FILTER (good) AS good
           {{withins}}
    FROM offered GROUP BY cell ORDER BY cell
"""  # noqa: S608 - made of constants and numbers only

_FINE = f"""
    SELECT scope, stretch(due_us) AS block, latency_us, count(*) AS messages
    FROM (SELECT (part << {_BITS}) | {_BIN} AS place, due_us, latency_us FROM offered) JOIN wanted USING (place)
    GROUP BY ALL ORDER BY ALL
"""  # noqa: S608 - made of constants only


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Messages of each part, stretch and bin; columns of equal length. `within`: a column for each target time."""

    part: "Integers"
    block: "Integers"
    bin: "Integers"
    messages: "Integers"
    least: "Integers"
    largest: "Integers"
    taken_up: "Integers"
    good: "Integers"
    within: "tuple[Integers, ...]"

    def where(self, chosen: "NDArray[np.bool_]") -> "Cells":
        """Those that are chosen."""
        kept = {name: getattr(self, name)[chosen] for name in self.__slots__ if name != "within"}
        return Cells(**kept, within=tuple(each[chosen] for each in self.within))


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
    """A scope, the parts that it is made of, and their messages."""

    name: str
    parts: tuple[int, ...]
    cells: Cells

    def __len__(self) -> int:
        return int(self.cells.messages.sum())

    @property
    def timed(self) -> bool:
        """Whether the latency of every message is known: of one that was answered nobody may know when it was due."""
        return int(self.cells.least.min()) >= 0

    @property
    def latencies(self) -> Latencies:
        """Counted by bins."""
        import numpy as np

        bins, column = np.unique(self.cells.bin, return_inverse=True)
        blocks, row = np.unique(self.cells.block, return_inverse=True)
        shape = len(blocks), len(bins)
        seen = np.zeros(shape)
        np.add.at(seen, (row, column), self.cells.messages)
        least, largest = np.full(len(bins), 2**62), np.full(len(bins), -1)
        np.minimum.at(least, column, self.cells.least)
        np.maximum.at(largest, column, self.cells.largest)
        return Latencies(bins=bins, values=least, exact=least == largest, blocks=blocks, seen=seen)

    def by_block(self, run: Run, column: "Integers") -> list[int]:
        """A column of the cells, added up for each stretch of the run."""
        import numpy as np

        added = np.bincount(self.cells.block, weights=column, minlength=run["blocks"])
        return [int(each) for each in added]


def scopes_of(connection: "duckdb.DuckDBPyConnection", run: Run, tables: Tables) -> list[Scope]:
    """All messages; then those of each SRV group, and of each SRV, that has any, in order."""
    import numpy as np

    cells = _cells(connection, run, tables)
    found = connection.execute(
        "SELECT part, of_group, CASE WHEN apart THEN srv END FROM of_srv GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    grouped: dict[str, list[int]] = {}
    for part, of_group, _ in found:
        if of_group:
            grouped.setdefault(of_group, []).append(part)
    apart = {f"{SRV}{srv}": [part] for part, _, srv in found if srv is not None}
    everything = Scope(name=ALL, parts=tuple(part for part, _, _ in found), cells=cells)
    return [everything] + [
        Scope(name=name, parts=tuple(parts), cells=cells.where(np.isin(cells.part, parts)))
        for name, parts in (*grouped.items(), *apart.items())
    ]


def _cells(connection: "duckdb.DuckDBPyConnection", run: Run, tables: Tables) -> Cells:
    withins = [f", count(*) FILTER (latency_us <= {within:d}) AS within_{within:d}" for within in tables.withins]
    found = fetched(connection.execute(_CELLS.format(withins="".join(withins))))
    cell = found.pop("cell")
    place = cell >> _BITS
    within = tuple(found.pop(f"within_{each}") for each in tables.withins)
    told = {"part": place // run["blocks"], "block": place % run["blocks"], "bin": cell & ((1 << _BITS) - 1)}
    return Cells(**told, **found, within=within)


def look_closer(
    connection: "duckdb.DuckDBPyConnection",
    scopes: Sequence[Scope],
    latencies: Sequence[Latencies],
    bins: Sequence[Collection[int]],
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
    connection.register("wanted", pd.DataFrame(wanted, columns=["scope", "place"]))
    found = fetched(connection.execute(_FINE))
    connection.unregister("wanted")
    ends = np.searchsorted(found["scope"], np.arange(len(scopes) + 1))
    columns = found["block"], found["latency_us"], found["messages"]
    return [
        known.known(chosen, *(column[first:last] for column in columns)) if chosen else known
        for known, chosen, first, last in zip(latencies, bins, ends, ends[1:], strict=False)
    ]
