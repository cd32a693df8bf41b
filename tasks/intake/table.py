"""Staged rows made the tables of evidence, results and infrastructure, by DuckDB, and held to their contracts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.intake.format import SubmittedError
from tasks.intake.sql import chosen, listed, literal, text_literal
from tasks.intake.staging import samples_of

if TYPE_CHECKING:
    import duckdb

MOST_LABELS = 100_000
_MOST_LISTED = 1000
_PARQUET = "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, DICTIONARY_SIZE_LIMIT 1000, ROW_GROUP_SIZE 120000)"
"""Version 1: fastparquet reads the packed differences of version 2 as other numbers than DuckDB wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a tool's label stands for."""

    srv: str
    path: str
    kind: str
    traffic: str


def labels_of(connection: "duckdb.DuckDBPyConnection", files: Sequence[Path]) -> list[str]:
    """Every label of staged messages, in order. Raises SubmittedError where there are too many to be kinds of them."""
    query = f"SELECT DISTINCT label FROM ({samples_of(tuple(files))}) ORDER BY label LIMIT {MOST_LABELS + 1}"  # noqa: S608  # `samples_of` quotes its files
    found = [str(label) for (label,) in connection.execute(query).fetchall()]
    if len(found) > MOST_LABELS:
        raise SubmittedError(f"more than {MOST_LABELS:,} labels: expected one a kind of message",
                             remedy="Have the tool name requests by their kind, not by their URL.")  # fmt: skip
    return found


def write_results(
    connection: "duckdb.DuckDBPyConnection",
    files: Sequence[Path],
    target: Path,
    *,
    run: str,
    component: str,
    labels: Sequence[str],
    meanings: Mapping[str, Meaning],
    in_order: bool,
) -> int:
    """The results table of a received run, in file order or by the time of sending; how many rows it has.

    `labels`: all that there are (`labels_of`); one that has no meaning stands as an SRV of its own. A tool does not
    tell when it took a message up before it sent it, so both times are one. Raises EvidenceError where the rows break
    the contract.
    """
    meant = {label: meanings.get(label) or Meaning(srv=label, path="", kind="request", traffic="") for label in labels}
    rows, number = samples_of(tuple(files)), "row_number() OVER () - 1"
    if not in_order:
        rows = f"SELECT * FROM ({rows}) ORDER BY coalesce(intended_us, sent_us), done_us, label"  # noqa: S608  # `samples_of` quotes its files
    elif len(files) == 1 and _has_messages_only(connection, files[0]):  # numbered as they stand, by several threads
        rows, number = f"FROM read_parquet({literal(files[0])}, file_row_number = true)", "file_row_number"
    connection.execute(
        f"""
        COPY (
            SELECT {chosen(run)} AS run, {number} AS "sequence", {chosen(component)} AS component,
                   {_meant(meant, "path")} AS path, {_meant(meant, "srv")} AS srv,
                   {_meant(meant, "kind")} AS kind, {_meant(meant, "traffic")} AS traffic,
                   {chosen("ok")} AS expect, intended_us, sent_us AS ready_us, sent_us, done_us,
                   done_us - intended_us AS latency_us, done_us - sent_us AS service_us, status, outcome, bytes
            FROM ({rows}) {_joined(connection, meant)}
        ) TO {literal(target)} {_PARQUET}
        """  # noqa: S608  # literals are quoted
    )
    return _held(connection, "results", target)


def _has_messages_only(connection: "duckdb.DuckDBPyConnection", file: Path) -> bool:
    found = connection.execute(f"SELECT max(class) FROM read_parquet({literal(file)})").fetchone()  # noqa: S608  # a literal
    return found is not None and found[0] == 0


def _meant(meanings: Mapping[str, Meaning], part: str) -> str:
    """A part of what a label stands for, as SQL: by the label's place in the list of all of them.

    DuckDB asks once for each entry of a dictionary of texts, not once for each row.
    """
    if len(meanings) > _MOST_LISTED:
        return f"meanings.{part}"
    values = [getattr(each, part) for each in meanings.values()]
    if len(set(values)) < 2:
        return chosen(*values[:1] or ("",))
    return f"list_extract({listed(values)}, list_position([{', '.join(map(text_literal, meanings))}], label))"


def _joined(connection: "duckdb.DuckDBPyConnection", meanings: Mapping[str, Meaning]) -> str:
    """The join with what labels stand for, where they are too many to be listed."""
    if len(meanings) <= _MOST_LISTED:
        return ""
    parts = ("label", "srv", "path", "kind", "traffic")
    columns = [list(meanings), *([getattr(each, part) for each in meanings.values()] for part in parts[1:])]
    unnested = ", ".join(f"unnest(?::VARCHAR[]) AS {part}" for part in parts)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE meanings AS SELECT {unnested}", columns)
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
    source = f"read_parquet([{', '.join(map(literal, files))}])" if files else f"({_NO_READINGS})"
    connection.execute(
        f"""
        CREATE OR REPLACE TABLE found AS
        SELECT {text_literal(run)} AS run, at_us,
               CASE WHEN sub_component = 'injector' THEN 'injector'
                    ELSE coalesce(hosts.component, {text_literal(component)}) END AS component,
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
    from tasks.parquet import hold

    hold(name, file)
    (count,) = connection.execute(f"SELECT count(*) FROM read_parquet({literal(file)})").fetchone() or (0,)  # noqa: S608  # a literal
    return int(count)
