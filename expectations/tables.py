"""The seven tables of evidence, each declared once: contract, DuckDB DDL and documentation follow from it.

Times are microseconds since the epoch, UTC, and durations microseconds, both in int64; columns say so in their names.
A column is null only where its declaration says so. How tables become bytes is not told here, but in `tasks.parquet`.
"""

import sys
from typing import TYPE_CHECKING, Any

import pandas as pd
import pandera.pandas as pa

from catalog.declarations import Direction, MessageKind, Standing
from catalog.errors import EvidenceError
from catalog.quantities import Unit
from expectations import metrics
from expectations.verdicts import Outcome, Reliance, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_LARGEST = 2**53 - 1  # RFC 8785 numbers are IEEE 754 doubles: larger integers could not be recorded exactly
_SHOWN_ROWS = 20
_SHOWN_VALUES = 3


def _text(description: str, **checks: Any) -> Any:
    return pa.Field(description=description, **checks)


def _number(description: str, unit: str = "", **checks: Any) -> Any:
    return pa.Field(description=description, metadata={"unit": unit}, **{"le": _LARGEST, **checks})


def _one_of(description: str, values: Any) -> Any:
    return pa.Field(description=description, isin=[str(value) for value in values])


class _Table(pa.DataFrameModel):
    """Exactly the columns declared, in their order, each of its own type."""

    class Config:
        strict = True
        ordered = True


class Volumes(_Table):
    """Grain: one phase, period, component, message path, SRV, message kind and mode."""

    phase: str = _text("capability phase")
    period: str = _text("period of the day")
    component: str = _text("component that handles the messages")
    path: str = _text("message path")
    srv: str = _text("service reference variant, or own message")
    kind: str = _one_of("message kind", MessageKind)
    mode: str = _text("how the service is asked for: on demand, future dated, not split")
    messages: int = _number("messages a day that fall into the period, whole", "count", ge=0)
    devices: int = _number("devices that the messages belong to", "count", ge=0)
    basis: str = _text("the forecasts and assumptions that the row comes from")

    class Config(_Table.Config):
        """The grain, as a key."""

        unique = ("phase", "period", "component", "path", "srv", "kind", "mode")


class Arrivals(_Table):
    """Grain: one message that a test will offer."""

    sequence: int = _number("place in the order in which messages are due, from 0", ge=0, unique=True)
    offset_us: int = _number(
        "when the message is due, from the start of the run; of one that waits for another's answer: when that is due",
        "us",
        ge=0,
    )
    path: str = _text("message path")
    srv: str = _text("service reference variant, or own message")
    kind: str = _one_of("message kind", MessageKind)
    traffic: str = _text("the label of the traffic, such as BAU or migration")
    device: int = _number("number of the device that the message belongs to", ge=0)
    expect: str = _one_of("the outcome that is right", (Outcome.OK, Outcome.ERROR))


class Results(_Table):
    """Grain: one message offered to the component or path under test, or its acknowledgement, told apart by kind."""

    run: str = _text("test run")
    sequence: int = _number("the arrival's sequence", ge=0)
    component: str = _text("component under test")
    path: str = _text("message path")
    srv: str = _text("service reference variant, or own message")
    kind: str = _one_of("message kind", MessageKind)
    traffic: str = _text("the label of the traffic")
    expect: str = _one_of("the outcome that is right", (Outcome.OK, Outcome.ERROR))
    intended_us: pd.Int64Dtype = _number(
        "when the message was due; null where the tool did not know", "us", nullable=True
    )
    ready_us: pd.Int64Dtype = _number(
        "when it was taken up, before waiting for a connection; null when it never was", "us", nullable=True
    )
    sent_us: pd.Int64Dtype = _number("when it was written to a connection; null when it never was", "us", nullable=True)
    done_us: pd.Int64Dtype = _number("when its final answer came, or waiting for it ended", "us", nullable=True)
    latency_us: pd.Int64Dtype = _number(
        "done - intended, so that a late sender cannot hide a slow system", "us", nullable=True
    )
    service_us: pd.Int64Dtype = _number("done - sent", "us", nullable=True)
    status: int = _number("HTTP status; 0 when there was none", ge=0)
    outcome: str = _one_of("how it ended", Outcome)
    bytes: int = _number("size of the answer's body", "bytes", ge=0)

    class Config(_Table.Config):
        """The grain, as a key."""

        unique = ("run", "sequence", "kind")

    @pa.dataframe_check
    @classmethod
    def latency_us_is_done_us_less_intended_us(cls, frame: pd.DataFrame) -> Any:
        """Latency counts from intended time, and from nothing else."""
        return _difference_holds(frame, "latency_us", "intended_us")

    @pa.dataframe_check
    @classmethod
    def service_us_is_done_us_less_sent_us(cls, frame: pd.DataFrame) -> Any:
        """Service time counts from the moment of sending."""
        return _difference_holds(frame, "service_us", "sent_us")


class Infrastructure(_Table):
    """Grain: one sample of one metric of a component, sub-component and host."""

    run: str = _text("test run")
    at_us: int = _number("when the sample was taken", "us", ge=0)
    component: str = _text("component, or 'injector'")
    sub_component: str = _text("part of the component, or a message path; empty for the whole of it")
    host: str = _text("host that it was taken on")
    metric: str = _text("what was sampled")
    value: int = _number("the sample, in the row's unit")
    unit: str = _one_of("unit of the value", ("permille", "bytes", "bytes/s", "count", "us"))

    class Config(_Table.Config):
        """The grain, as a key."""

        unique = ("run", "at_us", "component", "sub_component", "host", "metric")


class Measurements(_Table):
    """Grain: one run, component, scope (SRV group, SRV, stage of a path, part of a run, or all messages) and metric."""

    run: str = _text("test run")
    component: str = _text("component under test; of a stage, the component that it is of")
    scope: str = _text("'all'; SRV group; 'srv:' and an SRV; 'stage:' and a message path; or a part of the run")
    metric: str = _text("what was measured; a service level names its target time in microseconds")
    value: int = _number("the measurement, in the row's unit")
    lower: pd.Int64Dtype = _number("lower end of the interval; null when no interval is known", nullable=True)
    upper: pd.Int64Dtype = _number(
        "upper end of the interval; 2^53 - 1 when nothing bounds it; null when no interval is known", nullable=True
    )
    unit: str = _one_of("unit of value and interval", Unit)
    samples: int = _number("how many messages or samples it rests on", "count", ge=0)
    method: str = _text("how value and interval were computed")

    class Config(_Table.Config):
        """The grain, as a key."""

        unique = ("run", "component", "scope", "metric")


class Observations(_Table):
    """Grain: one NFR or target volume, per run and scope."""

    observation: str = _text("run, requirement and scope, joined by '/'", unique=True)
    run: str = _text("test run")
    test: str = _text("planned test")
    requirement: str = _text("requirement, or 'target-volume'")
    metric: str = _text("the measurement's metric")
    scope: str = _text("SRV group, or 'all'")
    value: pd.Int64Dtype = _number("the measurement; null when there is none", nullable=True)
    lower: pd.Int64Dtype = _number("lower end of its interval", nullable=True)
    upper: pd.Int64Dtype = _number("upper end of its interval", nullable=True)
    unit: str = _one_of("unit of value, interval and limit", Unit)
    samples: int = _number("how many messages or samples it rests on", "count", ge=0)
    limit: int = _number("what the requirement allows", ge=0)
    direction: str = _one_of("on which side of the limit the measurement is good", Direction)
    verdict: str = _one_of("the verdict", Verdict)
    reason: str = _text("why, in words")
    reliance: str = _one_of("where the evidence comes from", Reliance)


class Assumptions(_Table):
    """Grain: one assumption."""

    id: str = _text("assumption", unique=True)
    title: str = _text("what is assumed")
    value: str = _text("the exact decimal", str_matches=r"^\d+(\.\d+)?$")
    unit: str = _text("unit, written out")
    source: str = _text("where the value comes from")
    standing: str = _one_of("how firmly it stands", Standing)
    owner: str = _text("who answers for it")
    date: str = _text("when it was taken up")


_ROW_CHECKS = {
    "latency_us_is_done_us_less_intended_us": "latency_us IS NOT DISTINCT FROM done_us - intended_us",
    "service_us_is_done_us_less_sent_us": "service_us IS NOT DISTINCT FROM done_us - sent_us",
}
"""The checks of whole rows by name, as DuckDB says them."""

_TABLES: dict[str, type[pa.DataFrameModel]] = {
    model.__name__.lower(): model
    for model in (Volumes, Arrivals, Results, Infrastructure, Measurements, Observations, Assumptions)
}

NAMES = tuple(_TABLES)
"""The names of the tables, in the order of the pipeline."""

_INTEGER, _NULLABLE, _STRING = "int64", "Int64", "str"
_SQL = {_INTEGER: "BIGINT NOT NULL", _NULLABLE: "BIGINT", _STRING: "VARCHAR NOT NULL"}


def contract(name: str) -> pa.DataFrameSchema:
    """The pandera schema of a table. Raises KeyError when there is no table of that name."""
    return _TABLES[name].to_schema()


def columns(name: str) -> dict[str, str]:
    """Column names, in order, to their pandas type: int64, Int64 (may be null) or str."""
    return {column.name: _dtype(column) for column in contract(name).columns.values()}


def empty(name: str) -> pd.DataFrame:
    """The table without rows, its columns of the right types."""
    return pd.DataFrame({column: pd.Series(dtype=dtype) for column, dtype in columns(name).items()})


def check(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """`frame`, when it keeps the table's contract.

    Raises EvidenceError naming every column and check that failed, and the first rows that did (counted from 0).
    """
    try:
        contract(name).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        lines = list(_failures(errors.failure_cases))
        remedy = f"docs/tables.md says what the {name} table must hold"
        raise EvidenceError("\n".join([f"the {name} table breaks its contract:", *lines]), remedy=remedy) from None
    return frame


def ddl(name: str) -> str:
    """DuckDB statements that create the table empty, with its grain and its columns' meanings as comments."""
    described = contract(name).columns.values()
    defined = ",\n".join(f'    "{column.name}" {_SQL[_dtype(column)]}' for column in described)
    comments = [f"COMMENT ON TABLE {name} IS {_quoted(_grain(name))};"]
    comments += [f'COMMENT ON COLUMN {name}."{column.name}" IS {_quoted(_meaning(column))};' for column in described]
    return "\n".join([f"CREATE TABLE {name} (\n{defined}\n);", *comments])


def conditions(name: str) -> list[str]:
    """What each row of a table must meet, as conditions of DuckDB; an unknown one (null) is met.

    They are no laxer than the contract, so a table whose every row meets them, and whose `keys` are unique, keeps it.
    Raises KeyError when a check of the contract has no counterpart in SQL.
    """
    described = contract(name)
    of_columns = [
        condition
        for column in described.columns.values()
        for condition in (
            *([] if column.nullable else [f'"{column.name}" IS NOT NULL']),
            *(_CONDITIONS[check.name](f'"{column.name}"', check.statistics) for check in column.checks),
        )
    ]
    return of_columns + [_ROW_CHECKS[check.name] for check in described.checks]


def keys(name: str) -> list[tuple[str, ...]]:
    """The columns, or groups of them, whose values no two rows of a table share."""
    described = contract(name)
    unique = described.unique or ()
    of_columns = [(column.name,) for column in described.columns.values() if column.unique]
    return of_columns + ([tuple(unique)] if unique else [])


_CONDITIONS: dict[str, "Callable[[str, dict[str, Any]], str]"] = {
    "greater_than_or_equal_to": lambda column, wanted: f"{column} >= {wanted['min_value']:d}",
    "less_than_or_equal_to": lambda column, wanted: f"{column} <= {wanted['max_value']:d}",
    "isin": lambda column, wanted: (
        f"list_contains([{', '.join(_quoted(value) for value in wanted['allowed_values'])}], {column})"
    ),
    "str_matches": lambda column, wanted: f"regexp_matches({column}, {_quoted(wanted['pattern'])})",
}
"""A column's checks in SQL. RE2 knows fewer digits than Python and no line end before the last character: it is never
laxer. DuckDB asks a function once for each entry of a dictionary of texts, but compares every row."""


def documentation() -> str:
    """All tables as one page of Markdown: docs/tables.md."""
    named: dict[str, Iterable[tuple[str, tuple[str, str]]]] = {
        "infrastructure": metrics.INFRASTRUCTURE.items(),
        "measurements": metrics.STAGE.items(),
    }
    return "\n".join([_HEAD, *(_section(name) + _metrics(name, named.get(name, ())) for name in NAMES)])


def _metrics(name: str, named: "Iterable[tuple[str, tuple[str, str]]]") -> str:
    rows = [f"| {metric} | {unit} | {meaning} |" for metric, (unit, meaning) in named]
    told = {"infrastructure": "Metrics", "measurements": "Metrics of a stage of a message path"}.get(name)
    return "\n".join([f"\n{told}:\n", "| metric | unit | meaning |", "|---|---|---|", *rows, ""]) if told else ""


_HEAD = """# Tables

Generated by `python -m expectations.tables` from the contracts in `expectations/tables.py`; a test holds it current.
Every table is Parquet in the evidence store, and a table of the same name in `plimsoll.duckdb`. Integers are 64 bits
wide. Times are microseconds since the epoch, UTC. 9007199254740991 (2^53 - 1) stands for *later than any answer*, and
for an upper end that nothing bounds.
"""


def _section(name: str) -> str:
    rows = [
        f"| {column.name} | {_SQL[_dtype(column)].split()[0].lower()} | {_unit(column)} | "
        f"{'yes' if column.nullable else 'no'} | {_meaning(column, unit=False)} |"
        for column in contract(name).columns.values()
    ]
    head = ["| column | type | unit | null | meaning |", "|---|---|---|---|---|"]
    return "\n".join([f"## {name}\n", f"{_grain(name)}\n", *head, *rows, ""])


def _grain(name: str) -> str:
    return (_TABLES[name].__doc__ or "").strip()


def _meaning(column: Any, *, unit: bool = True) -> str:
    values = next((each.statistics["allowed_values"] for each in column.checks if each.name == "isin"), ())
    listed = f": {', '.join(values)}" if values else ""
    return f"{column.description}{listed}" + (f" [{_unit(column)}]" if unit and _unit(column) else "")


def _unit(column: Any) -> str:
    return str((column.metadata or {}).get("unit", ""))


def _dtype(column: Any) -> str:
    if str(column.dtype).startswith("string"):
        return _STRING
    return _NULLABLE if column.nullable else _INTEGER


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _difference_holds(frame: pd.DataFrame, column: str, earlier: str) -> Any:
    """Where both times are known the duration is their difference; where one is not, there is no duration."""
    difference = frame["done_us"] - frame[earlier]
    return (frame[column] == difference).fillna(value=False) | (frame[column].isna() & difference.isna())


def _failures(cases: pd.DataFrame) -> "Iterator[str]":
    """A line for each check that failed: its column (or "table"), the check, the rows, and what was found."""
    of_table = cases["schema_context"] == "DataFrameSchema"
    place = cases["column"].where(~of_table, "table")
    for (column, what), group in cases.groupby([place, "check"], dropna=False):
        rows = sorted({int(row) for row in group["index"].dropna()})
        found = sorted({repr(value) for value in group["failure_case"].tolist()})[:_SHOWN_VALUES]
        shown = f"; found {', '.join(found)}" if column != "table" or not rows else ""
        yield f"  {column}: {what}{_rows(rows)}{shown}"


def _rows(rows: list[int]) -> str:
    if not rows:
        return ""
    listed = ", ".join(map(str, rows[:_SHOWN_ROWS])) + (", …" if len(rows) > _SHOWN_ROWS else "")
    return f" in {len(rows)} row{'s' if len(rows) != 1 else ''} ({listed})"


def statements() -> str:
    """The statements that create every table: expectations/tables.sql."""
    head = "-- Generated by `python -m expectations.tables sql` from expectations/tables.py; a test holds it current.\n"
    return "\n\n".join([head.rstrip(), *(ddl(name) for name in NAMES)]) + "\n"


if __name__ == "__main__":
    print(statements() if sys.argv[1:] == ["sql"] else documentation(), end="")
