"""Large tables and their contracts: DuckDB and pandera refuse the same, in the same words."""

import io

import duckdb
import numpy as np
import pandas as pd
import pytest
from evidence import infrastructure, results, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.errors import EvidenceError
from expectations import tables
from tasks import contracts, parquet
from tasks.parquet import hold, read_table, write_table

COUNT = 40
ROWS = results(COUNT)
WRONG = {
    "sequence": [-1, 3, 2**53],
    "kind": ["letter", "alert"],
    "expect": ["timeout", "error"],
    "outcome": ["fine", "refused"],
    "status": [-1, 404],
    "bytes": [-7, 2**53],
    "sent_us": [None, 5, 2**53],
    "done_us": [None, 2**62],
    "intended_us": [None, -(2**62)],
    "latency_us": [None, 9],
    "service_us": [None, 9],
    "run": ["another"],
    "path": [""],
}
CHANGES = st.lists(
    st.sampled_from(sorted(WRONG)).flatmap(
        lambda column: st.tuples(st.integers(0, COUNT - 1), st.just(column), st.sampled_from(WRONG[column]))
    ),
    max_size=5,
)


def refusal(what):
    try:
        what()
    except EvidenceError as error:
        return str(error)
    return ""


def written(path, rows):
    """A file that nobody checked."""
    with path.open("wb") as file:
        parquet._write(parquet._groups([rows]), file)
    return path


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CHANGES)
def test_a_file_is_refused_as_pandera_refuses_its_rows(tmp_path, changes):
    rows = ROWS.copy()
    for row, column, value in changes:
        rows.loc[row, column] = value
    told = refusal(lambda: tables.check("results", rows))
    assert refusal(lambda: hold("results", written(tmp_path / "rows.parquet", rows))) == told
    assert contracts.proved("results", rows) is not bool(told)


@pytest.mark.parametrize("name", tables.NAMES)
def test_every_contract_can_be_asked_of_duckdb(tmp_path, name):
    assert tables.conditions(name)
    path = written(tmp_path / "empty.parquet", tables.empty(name))
    assert len(contracts.suspects(name, path)) == 0


def test_keys_of_texts_alone_are_unique_too(tmp_path):
    row = {"id": "a", "title": "t", "value": "1.5", "unit": "u", "source": "s", "standing": "agreed", "owner": "o"}
    rows = pd.DataFrame([row | {"date": "d"}, row | {"id": "b", "date": "d", "value": "1.x"}], dtype="str")
    told = refusal(lambda: tables.check("assumptions", rows))
    assert "str_matches" in told
    assert refusal(lambda: hold("assumptions", written(tmp_path / "a.parquet", rows))) == told
    same = rows.assign(id="a", value="2")
    assert not contracts.proved("assumptions", same)
    told = refusal(lambda: tables.check("assumptions", same))
    assert "field_uniqueness" in told
    assert refusal(lambda: hold("assumptions", written(tmp_path / "b.parquet", same))) == told


def test_the_same_time_in_several_metrics_is_no_repetition(tmp_path):
    rows = infrastructure()
    hold("infrastructure", written(tmp_path / "a.parquet", rows))
    assert contracts.proved("infrastructure", rows)
    twice = pd.concat([rows, rows.iloc[[7]]], ignore_index=True)
    told = refusal(lambda: hold("infrastructure", written(tmp_path / "b.parquet", twice)))
    assert "multiple_fields_uniqueness in 2 rows (7, 360)" in told


def test_a_repetition_in_another_row_group_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "GROUP", 16)
    path = tmp_path / "rows.parquet"
    with path.open("wb") as file:
        write_table("results", [ROWS, ROWS.iloc[[5]]], file)
    assert "multiple_fields_uniqueness in 2 rows (5, 40)" in refusal(lambda: hold("results", path))


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT * EXCLUDE (path) FROM rows", "path is missing"),
        ("SELECT *, 1 AS more FROM rows", "more is unknown"),
        (
            "SELECT * REPLACE (CASE WHEN sequence <> 3 THEN sequence END AS sequence) FROM rows",
            "results.sequence holds",
        ),
        ("SELECT * REPLACE ('x' AS bytes) FROM rows", "results.bytes holds"),
    ],
)
def test_files_of_another_shape_are_refused_as_they_are_when_read(tmp_path, sql, told):
    path, rows = tmp_path / "rows.parquet", ROWS
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        connection.sql(sql).write_parquet(str(path))
    assert told in refusal(lambda: hold("results", path))
    assert refusal(lambda: hold("results", path)) == refusal(lambda: read_table("results", path))


def test_what_is_no_parquet_is_refused(tmp_path):
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"PAR1 or not")
    assert "cannot be read as Parquet" in refusal(lambda: hold("results", path))


def test_narrower_columns_are_as_good_when_they_are_read(tmp_path):
    path, rows = tmp_path / "rows.parquet", ROWS
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        connection.sql("SELECT * REPLACE (bytes::INTEGER AS bytes) FROM rows").write_parquet(str(path))
    hold("results", path)


def test_many_rows_are_asked_of_duckdb_and_few_of_pandera(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(tables, "check", lambda _, rows: asked.append(len(rows)) or rows)
    monkeypatch.setattr(contracts, "MANY", 1_000)
    for count in (999, 1_000):
        assert len(read_table("results", write(tmp_path, "results", results(count)))) == count
    assert asked == [999, 999]
    broken = results(1_000)
    broken.loc[np.arange(7), "status"] = -1
    write_table("results", [broken], io.BytesIO())
    assert asked == [999, 999, 1_000]
