"""Table contracts: what they accept and refuse, and the DDL and documentation that follow from them."""

from pathlib import Path

import duckdb
import pandas as pd
import pytest

from catalog.errors import EvidenceError
from expectations import ddl, tables

ROW = {
    "run": "r",
    "sequence": 0,
    "component": "dsp",
    "path": "p",
    "srv": "1.5",
    "kind": "request",
    "traffic": "BAU",
    "expect": "ok",
    "intended_us": 10,
    "ready_us": 11,
    "sent_us": 12,
    "done_us": 20,
    "latency_us": 10,
    "service_us": 8,
    "status": 200,
    "outcome": "ok",
    "bytes": 1,
}


def results(*rows):
    return pd.DataFrame([ROW | row for row in rows]).astype(tables.columns("results"))


def test_there_are_the_seven_tables_of_the_design():
    assert tables.NAMES == (
        "volumes",
        "arrivals",
        "results",
        "infrastructure",
        "measurements",
        "observations",
        "assumptions",
    )


def test_the_committed_documentation_is_current():
    committed = Path(__file__).parents[2] / "docs" / "tables.md"
    assert committed.read_text() == tables.documentation(), "run: python -m expectations.tables > docs/tables.md"


def test_the_committed_statements_are_current():
    committed = Path(__file__).parents[2] / "expectations" / "tables.sql"
    assert committed.read_text() == tables.statements(), (
        "run: python -m expectations.tables sql > expectations/tables.sql"
    )
    assert {name: ddl.ddl(name) for name in ddl.names()} == {name: tables.ddl(name) for name in tables.NAMES}


@pytest.mark.parametrize("name", tables.NAMES)
def test_every_table_states_its_grain_and_every_column_its_meaning(name):
    assert tables._grain(name).startswith("Grain: one ")
    for column in tables.contract(name).columns.values():
        assert column.description
        assert tables._unit(column) == "us" or not column.name.endswith("_us")


@pytest.mark.parametrize("name", tables.NAMES)
def test_ddl_creates_the_contract_in_duckdb(name):
    with duckdb.connect() as connection:
        connection.execute(tables.ddl(name))
        found = connection.execute(
            "SELECT column_name, data_type, is_nullable, comment FROM duckdb_columns() WHERE table_name = ?", [name]
        ).fetchall()
    types = {"int64": ("BIGINT", False), "Int64": ("BIGINT", True), "str": ("VARCHAR", False)}
    assert {column: (kind, null) for column, kind, null, _ in found} == {
        column: types[dtype] for column, dtype in tables.columns(name).items()
    }
    assert all(comment for *_, comment in found)


@pytest.mark.parametrize("name", tables.NAMES)
def test_an_empty_table_keeps_its_contract(name):
    assert len(tables.check(name, tables.empty(name))) == 0


def test_times_may_be_unknown_and_then_there_is_no_duration():
    never_sent = {"sequence": 1, "sent_us": None, "service_us": None, "outcome": "timeout", "status": 0}
    unknown = {"sequence": 2, "intended_us": None, "latency_us": None}
    rows = results({}, never_sent, unknown)
    assert tables.check("results", rows) is rows


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"latency_us": 9}, "latency_us_is_done_us_less_intended_us"),
        ({"latency_us": None}, "latency_us_is_done_us_less_intended_us"),
        ({"service_us": 9}, "service_us_is_done_us_less_sent_us"),
        ({"sent_us": None}, "service_us_is_done_us_less_sent_us"),
        ({"outcome": "fine"}, "outcome: isin"),
        ({"kind": "letter"}, "kind: isin"),
        ({"sequence": -1}, "sequence: greater_than_or_equal_to"),
        ({"done_us": 2**53, "latency_us": 2**53 - 10, "service_us": 2**53 - 12}, "done_us: less_than_or_equal_to"),
    ],
)
def test_a_broken_rule_is_named(change, told):
    with pytest.raises(EvidenceError, match="the results table breaks its contract") as caught:
        tables.check("results", results({}, {"sequence": 1} | change))
    assert told in str(caught.value)


def test_all_failures_are_told_at_once_with_their_rows():
    rows = results({}, {"outcome": "x"}, {"sequence": 2, "kind": "y", "latency_us": 3}).assign(more=1)
    with pytest.raises(EvidenceError) as caught:
        tables.check("results", rows.drop(columns="path"))
    told = str(caught.value)
    assert "outcome: isin(['ok', 'error', 'timeout', 'refused']) in 1 row (1); found 'x'" in told
    assert "column_in_dataframe; found 'path'" in told
    assert "column_in_schema; found 'more'" in told
    assert "multiple_fields_uniqueness in 2 rows (0, 1)" in told
    assert "latency_us_is_done_us_less_intended_us in 1 row (2)" in told
    assert caught.value.help()


def test_columns_out_of_order_or_of_another_type_are_refused():
    rows = results({})
    with pytest.raises(EvidenceError, match="column_ordered"):
        tables.check("results", rows[list(reversed(rows.columns))])
    with pytest.raises(EvidenceError, match="dtype"):
        tables.check("results", rows.astype({"sequence": "float64"}))
