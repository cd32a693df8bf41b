"""Tables as Parquet: round trips, the same bytes from the same rows, and the types that DuckDB sees."""

import hashlib
import io
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import duckdb
import pandas as pd
import pytest
import rfc8785
from evidence import results
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import EvidenceError
from expectations import tables
from tasks import parquet
from tasks.parquet import RowsDigest, canonical_rows_digest, frame, read_table, table_bytes, write_table

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
WHOLE = st.integers(-(2**53) + 1, 2**53 - 1)
TIMES = st.lists(
    st.tuples(TEXT, st.integers(0, 2**52), TEXT, TEXT, TEXT, TEXT, WHOLE, st.sampled_from(["permille", "us"])),
    max_size=30,
    unique_by=lambda row: row[:6],
)
MEASUREMENTS = st.lists(
    st.tuples(TEXT, WHOLE, st.none() | WHOLE, st.none() | WHOLE, st.integers(0, 2**40), TEXT),
    max_size=30,
    unique_by=lambda row: row[0],
)


def measurements(rows):
    scopes, values, lowers, uppers, samples, methods = ([row[i] for row in rows] for i in range(6))
    same = {"run": ["r"] * len(rows), "component": ["c"] * len(rows), "metric": ["m"] * len(rows)}
    ends = {"value": values, "lower": lowers, "upper": uppers, "unit": ["us"] * len(rows)}
    return frame("measurements", {**same, "scope": scopes, **ends, "samples": samples, "method": methods})


@settings(derandomize=True, deadline=None, max_examples=25)
@given(TIMES)
def test_infrastructure_comes_back_as_it_was(rows):
    columns = dict(zip(tables.columns("infrastructure"), ([row[i] for row in rows] for i in range(8)), strict=True))
    whole = frame("infrastructure", columns)
    pd.testing.assert_frame_equal(read_table("infrastructure", table_bytes("infrastructure", whole)), whole)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(MEASUREMENTS)
def test_nulls_come_back_as_nulls_and_the_digest_of_rows_with_them(rows):
    whole = measurements(rows)
    back = read_table("measurements", table_bytes("measurements", whole))
    pd.testing.assert_frame_equal(back, whole)
    assert canonical_rows_digest("measurements", back) == canonical_rows_digest("measurements", whole)


@settings(derandomize=True, deadline=None, max_examples=20)
@given(MEASUREMENTS, MEASUREMENTS)
def test_other_rows_have_another_digest(rows, others):
    same = measurements(rows).equals(measurements(others))
    found = canonical_rows_digest("measurements", measurements(rows))
    assert (found == canonical_rows_digest("measurements", measurements(others))) == same


def test_the_digest_of_rows_is_that_of_their_canonical_json():
    # printf '["r","c","all","m",5,4,null,"us",9,"how"]\n' | sha256sum
    rows = measurements([("all", 5, 4, None, 9, "how")])
    assert canonical_rows_digest("measurements", rows) == DIGEST


DIGEST = "3878de99ca43770ee9b1ff52a9281a89964ba7006db138315c9c5c6650a32ffe"


@settings(derandomize=True, deadline=None, max_examples=25)
@given(rows=MEASUREMENTS, cuts=st.lists(st.integers(0, 30), max_size=5), group=st.integers(1, 40))
def test_batches_make_the_same_bytes_and_digest_as_the_whole_table(rows, cuts, group):
    """Row groups are as long as they are, whatever the batches: here of a few rows, so that several are written."""
    whole = measurements(rows)
    places = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    batches = [whole.iloc[begin:end] for begin, end in pairwise(places)]
    passed, buffer = RowsDigest(), io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "GROUP", group)
        write_table("measurements", passed.passing(batches), buffer)
        assert buffer.getvalue() == table_bytes("measurements", whole)
    assert passed.hexdigest() == canonical_rows_digest("measurements", whole)
    pd.testing.assert_frame_equal(read_table("measurements", buffer.getvalue()), whole)


def test_a_batch_that_breaks_the_contract_is_not_written():
    rows = frame(
        "arrivals", {name: ["x"] if dtype == "str" else [0] for name, dtype in tables.columns("arrivals").items()}
    )
    with pytest.raises(EvidenceError, match="kind"):
        write_table("arrivals", [tables.empty("arrivals"), rows], io.BytesIO())


def test_the_digest_of_rows_refuses_what_json_cannot_hold_exactly():
    rows = measurements([("all", -(2**53), None, None, 9, "how")])
    with pytest.raises(rfc8785.IntegerDomainError):
        canonical_rows_digest("measurements", rows)


WRITE = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
from evidence import results
from tasks.parquet import table_bytes
print(hashlib.sha256(table_bytes("results", results(300))).hexdigest())
"""


def test_the_same_rows_give_the_same_bytes_in_any_process():
    command = [sys.executable, "-c", WRITE, str(Path(__file__).parent)]
    elsewhere = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"})
    here = table_bytes("results", results(300))
    assert here == table_bytes("results", results(300))
    assert elsewhere.stdout.strip() == hashlib.sha256(here).hexdigest()


@pytest.mark.parametrize("name", tables.NAMES)
def test_duckdb_reads_the_types_that_it_would_create(name, tmp_path):
    path = tmp_path / "table.parquet"
    path.write_bytes(table_bytes(name, tables.empty(name)))
    with duckdb.connect() as connection:
        connection.execute(tables.ddl(name))
        created, read = connection.table(name), connection.read_parquet(str(path))
        assert (read.columns, read.types) == (created.columns, created.types)


def test_duckdb_reads_the_values_that_were_written(tmp_path):
    path = tmp_path / "results.parquet"
    rows = results(50, sent_us=[None] * 50, service_us=[None] * 50)
    path.write_bytes(table_bytes("results", rows))
    found = duckdb.sql(f"FROM '{path}'").fetchall()
    assert found == list(rows.astype(object).where(rows.notna(), None).itertuples(index=False, name=None))
    pd.testing.assert_frame_equal(read_table("results", path), rows)


def test_a_table_that_breaks_its_contract_is_neither_written_nor_read():
    broken = results(3, outcome=["ok", "lost", "ok"])
    with pytest.raises(EvidenceError, match="outcome"):
        table_bytes("results", broken)
    with pytest.raises(EvidenceError, match="missing"):
        read_table("volumes", table_bytes("results", results(3)))


@pytest.mark.parametrize("cut", [0, 3, 50, -1])
def test_what_is_no_parquet_is_refused(cut):
    data = table_bytes("results", results(3))
    with pytest.raises(EvidenceError, match="cannot be read as Parquet"):
        read_table("results", data[:cut])


def test_columns_that_do_not_fit_are_named():
    with pytest.raises(EvidenceError, match=r"offset_us is missing.*more is unknown"):
        frame("arrivals", {**{name: [] for name in tables.columns("arrivals") if name != "offset_us"}, "more": []})
    columns = {name: ["x"] for name in tables.columns("arrivals")}
    for wrong in (1.5, None, "x", 2**70):
        with pytest.raises(EvidenceError, match=r"arrivals\.sequence holds what is no int64"):
            frame("arrivals", columns | {"sequence": [wrong], "offset_us": [0], "device": [0]})


@pytest.mark.parametrize("texts", [1, 127, 128, 129, 40_000])
def test_results_come_back_from_their_dictionaries_however_many_the_texts(tmp_path, texts):
    rows = results(40_000, srv=[f"s{number % texts}" for number in range(40_000)])
    path = tmp_path / "results.parquet"
    path.write_bytes(table_bytes("results", rows))
    with duckdb.connect() as connection:
        asked = "SELECT encodings, count(*) FROM parquet_metadata($path) GROUP BY ALL ORDER BY ALL"
        encoded = connection.execute(asked, {"path": str(path)}).fetchall()
        read = connection.read_parquet(str(path)).order("sequence").project("srv").fetchnumpy()["srv"]
    assert encoded == [("PLAIN", 9), ("PLAIN, RLE_DICTIONARY", 8)]
    assert read.tolist() == rows["srv"].tolist()
    pd.testing.assert_frame_equal(read_table("results", path), rows)
