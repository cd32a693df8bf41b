"""Staged rows made the tables of evidence, results and infrastructure, by DuckDB, and held to their contracts in SQL.

The contract is the one in `expectations.tables`; pandera holds it on frames in memory, which the rows of a whole test
of somebody else's need not fit into.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.errors import EvidenceError
from tasks.intake.staging import literal, samples_of

if TYPE_CHECKING:
    import duckdb

_PARQUET = "(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 120000)"
_LARGEST = 2**53 - 1
_MOST_CASES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a tool's label stands for."""

    srv: str
    path: str
    kind: str
    traffic: str


def write_results(
    connection: "duckdb.DuckDBPyConnection",
    files: Sequence[Path],
    target: Path,
    *,
    run: str,
    component: str,
    meanings: Mapping[str, Meaning],
    in_order: bool,
) -> int:
    """The results table of a received run, in file order or by the time of sending; how many rows it has.

    A label that nothing is known of stands as an SRV of its own. A tool does not tell when it took a message up before
    it sent it, so both times are one. Raises EvidenceError where the rows break the contract.
    """
    rows = samples_of(tuple(files))
    ordered = rows if in_order else f"SELECT * FROM ({rows}) ORDER BY coalesce(intended_us, sent_us), done_us, label"  # noqa: S608
    connection.execute(
        f"""
        COPY (
            SELECT {_text(run)} AS run, row_number() OVER () - 1 AS "sequence", {_text(component)} AS component,
                   {_meant(meanings, "path", "''")} AS path, {_meant(meanings, "srv", "label")} AS srv,
                   {_meant(meanings, "kind", "'request'")} AS kind, {_meant(meanings, "traffic", "''")} AS traffic,
                   'ok' AS expect, intended_us, sent_us AS ready_us, sent_us, done_us,
                   done_us - intended_us AS latency_us, done_us - sent_us AS service_us, status, outcome, bytes
            FROM ({ordered}) {_joined(connection, meanings)}
        ) TO {literal(target)} {_PARQUET}
        """  # noqa: S608  # literals are quoted
    )
    return _held(connection, "results", target)


def _meant(meanings: Mapping[str, Meaning], part: str, otherwise: str) -> str:
    """A part of what a label stands for, as SQL. Labels are few, and a join would cost as much as all the rest."""
    if len(meanings) > _MOST_CASES:
        return f"coalesce(meanings.{part}, {otherwise})"
    cases = [(label, getattr(each, part)) for label, each in meanings.items()]
    if part == "srv":
        cases = [(label, srv) for label, srv in cases if label != srv]
    told = " ".join(f"WHEN {_text(label)} THEN {_text(value)}" for label, value in cases)
    return f"CASE label {told} ELSE {otherwise} END" if told else otherwise


def _joined(connection: "duckdb.DuckDBPyConnection", meanings: Mapping[str, Meaning]) -> str:
    """The join with what labels stand for, where they are too many to be told apart one by one."""
    if len(meanings) <= _MOST_CASES:
        return ""
    parts = ("label", "srv", "path", "kind", "traffic")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE meanings ({', '.join(f'{part} VARCHAR' for part in parts)})")
    for label, each in meanings.items():
        row = [label, each.srv, each.path, each.kind, each.traffic]
        connection.execute("INSERT INTO meanings VALUES (?, ?, ?, ?, ?)", row)
    return "LEFT JOIN meanings USING (label)"


def write_infrastructure(
    connection: "duckdb.DuckDBPyConnection",
    files: Sequence[Path],
    target: Path,
    *,
    run: str,
    component: str,
    hosts: Mapping[str, str],
    metrics: Mapping[str, str],
) -> tuple[int, int]:
    """The infrastructure table; how many rows it has, and how many more there were of the same time and metric.

    `hosts`: host to component, where it is not the one under test; `metrics`: a tool's metric to ours.
    """
    connection.execute("CREATE OR REPLACE TEMP TABLE hosts (host VARCHAR, component VARCHAR)")
    connection.execute("CREATE OR REPLACE TEMP TABLE metrics (metric VARCHAR, ours VARCHAR)")
    for name, pairs in (("hosts", hosts), ("metrics", metrics)):
        for pair in pairs.items():
            connection.execute(f"INSERT INTO {name} VALUES (?, ?)", list(pair))  # noqa: S608  # one of two names
    listed = ", ".join(map(literal, files))
    source = f"read_parquet([{listed}])" if files else f"({_NO_READINGS})"
    connection.execute(
        f"""
        CREATE OR REPLACE TABLE found AS
        SELECT {_text(run)} AS run, at_us,
               CASE WHEN sub_component = 'injector' THEN 'injector'
                    ELSE coalesce(hosts.component, {_text(component)}) END AS component,
               CASE WHEN sub_component = 'injector' THEN '' ELSE sub_component END AS sub_component, host,
               coalesce(metrics.ours, metric) AS metric, value, unit
        FROM {source} LEFT JOIN hosts USING (host) LEFT JOIN metrics USING (metric)
        """  # noqa: S608  # literals are quoted
    )
    connection.execute(
        f"""
        COPY (
            SELECT run, at_us, component, sub_component, host, metric, first(value ORDER BY value) AS value,
                   first(unit ORDER BY value) AS unit
            FROM found GROUP BY run, at_us, component, sub_component, host, metric
            ORDER BY at_us, component, sub_component, host, metric
        ) TO {literal(target)} {_PARQUET}
        """  # noqa: S608  # literals are quoted
    )
    (all_of_them,) = connection.execute("SELECT count(*) FROM found").fetchone() or (0,)
    kept = _held(connection, "infrastructure", target)
    return kept, all_of_them - kept


_NO_READINGS = (
    "SELECT 0::BIGINT AS at_us, '' AS host, '' AS sub_component, '' AS metric, 0::BIGINT AS value, '' AS unit "
    "WHERE false"
)


def _held(connection: "duckdb.DuckDBPyConnection", name: str, file: Path) -> int:
    """How many rows a table has. Raises EvidenceError where it breaks its contract."""
    from expectations import tables

    read = f"read_parquet({literal(file)})"
    wanted = tables.columns(name)
    described = f"DESCRIBE SELECT * FROM {read}"  # noqa: S608  # a literal
    found = {row[0]: row[1] for row in connection.execute(described).fetchall()}
    types = {column: "VARCHAR" if kind == "str" else "BIGINT" for column, kind in wanted.items()}
    if list(found.items()) != list(types.items()):
        raise EvidenceError(f"the {name} table has the columns {found}, and its contract says {types}")
    broken = ", ".join(f'count(*) FILTER (NOT coalesce({rule}, false)) AS "{column}"' for column, rule in _rules(name))
    counting = f"SELECT count(*), {broken} FROM {read}"  # noqa: S608  # made of the contract
    counts = connection.execute(counting).fetchone() or (0,)
    lines = [f"  {column}: {count} rows" for (column, _), count in zip(_rules(name), counts[1:], strict=True) if count]
    if lines:
        raise EvidenceError("\n".join([f"the {name} table breaks its contract:", *lines]))
    return int(counts[0])


def _rules(name: str) -> list[tuple[str, str]]:
    """Each column's contract as a condition on its values."""
    from expectations import tables

    return [(column, _rule(name, column, described)) for column, described in tables.contract(name).columns.items()]


def _rule(name: str, column: str, described: Any) -> str:
    kind = tables_type(name, column)
    if kind == "str":
        allowed = next((each.statistics["allowed_values"] for each in described.checks if each.name == "isin"), None)
        return f"{column} IN ({', '.join(map(_text, allowed))})" if allowed else f"{column} IS NOT NULL"
    least = 0 if any(each.name == "greater_than_or_equal_to" for each in described.checks) else -_LARGEST
    within = f'"{column}" BETWEEN {least} AND {_LARGEST}'
    return f'("{column}" IS NULL OR {within})' if kind == "Int64" else within


def tables_type(name: str, column: str) -> str:
    """The type of a column by its contract: int64, Int64 (may be null) or str."""
    from expectations import tables

    return tables.columns(name)[column]


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
