"""Comparing outputs: bytes decide; where they differ, values are told; other libraries excuse the last digit only."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.ledger import Reference
from expectations.rounding import rounded
from tasks.compare_outputs import MOST, TOLERANCE, close, compare_output
from tasks.parquet import frame
from tasks.perform import table
from tasks.stage import Artefact, document

OTHERS = ["duckdb 1.0 → 2.0"]


def measurements(*values):
    columns = {
        "run": ["r"] * len(values),
        "component": ["c"] * len(values),
        "scope": [f"srv:{place}" for place in range(len(values))],
        "metric": ["latency-p95"] * len(values),
        "value": values,
        "lower": values,
        "upper": values,
        "unit": ["us"] * len(values),
        "samples": [100] * len(values),
        "method": ["bootstrap"] * len(values),
    }
    return table("measurements", frame("measurements", columns))


def recorded(runbook, artefact, role="output"):
    return Reference(role=role, digest=runbook.workspace.store.put(artefact.data), rows=artefact.rows)


def compared(runbook, old, new, role="output", others=()):
    return compare_output(recorded(runbook, old, role), new, runbook.workspace.store, others=list(others))


def test_the_same_bytes_are_the_same_whether_they_are_a_file_or_not(runbook, tmp_path):
    file = tmp_path / "table"
    file.write_bytes(b"rows")
    assert compared(runbook, Artefact(data=b"rows"), Artefact(data=b"rows")) is None
    assert compared(runbook, Artefact(data=b"rows"), Artefact(data=file), others=OTHERS) is None


def test_cells_that_differ_are_told_with_row_and_column(runbook):
    found = compared(runbook, measurements(1000, 2000), measurements(1000, 2100), role="measurements")
    assert found.what == tuple(f"row 2, {name}: 2000 → 2100" for name in ("value", "lower", "upper"))
    assert not found.excused
    found = compared(runbook, measurements(1, 2), measurements(1), role="measurements")
    assert found.what == ("2 rows → 1 rows",)


def test_rows_written_as_other_bytes_are_excused_by_other_libraries_alone(runbook):
    old = measurements(1000)
    new = Artefact(data=old.data + b"padded", rows=old.rows)
    for others in ((), OTHERS):
        found = compared(runbook, old, new, role="measurements", others=others)
        assert found.what == ("the same rows, written as other bytes",)
        assert found.excused is bool(others)


def test_members_that_differ_are_told_by_path_and_only_so_many(runbook):
    old, new = ({"a": [{"n": n * k} for n in range(5, 25)]} for k in (1, 2))
    found = compared(runbook, document(old), document(new), others=OTHERS)
    assert found.what == (*(f"a[{n}].n: {n + 5} → {2 * n + 10}" for n in range(MOST)), f"and more than {MOST} in all")
    assert not found.excused
    found = compared(
        runbook, document({"a": [1], "b": 1, "d": True}), document({"a": [], "c": 1, "d": 1}), others=OTHERS
    )
    assert found.what == ("a: 1 items → 0 items", "b: is there no more", "c: was not there then", "d: True → 1")
    assert compared(runbook, document(1), document(None)).what == ("the document: 1 → None",)


def test_numbers_may_differ_in_the_last_rounded_digit_under_other_libraries(runbook):
    old, new = document({"p": "0.123456", "n": 5}), document({"p": "0.123457", "n": 5})
    assert not compared(runbook, old, new).excused
    found = compared(runbook, old, new, others=OTHERS)
    assert found.excused
    assert "within the tolerance" in found.what[0]
    assert not compared(runbook, old, document({"p": "0.12346", "n": 5}), others=OTHERS).excused
    assert compared(runbook, measurements(10**9), measurements(10**9 + 1), role="measurements", others=OTHERS).excused


def test_pages_are_compared_by_their_texts(runbook):
    page = "<style>{}</style><h1>Report</h1><p>p99 is\n {} µs</p><script>{}</script>"
    old, new = (Artefact(data=page.format(*texts).encode()) for texts in (("a", 41, "x"), ("b", 41, "y")))
    assert compared(runbook, old, new, others=OTHERS).excused
    assert not compared(runbook, old, new).excused
    other = Artefact(data=page.format("a", 42, "x").encode())
    assert compared(runbook, old, other, others=OTHERS).what == ("p99 is 41 µs → p99 is 42 µs",)
    more = Artefact(data=old.data + b"<p>more</p>")
    assert compared(runbook, old, more).what == ("None → more",)


@pytest.mark.parametrize("damage", ["alter", "lose"])
def test_without_what_was_recorded_nothing_is_excused(runbook, damage):
    reference = recorded(runbook, document({"n": 1}))
    getattr(runbook, damage)(reference.digest)
    found = compare_output(reference, document({"n": 2}), runbook.workspace.store, others=OTHERS)
    assert "cannot be compared" in found.what[0]
    assert not found.excused
    assert compare_output(reference, document({"n": 1}), runbook.workspace.store, others=OTHERS) is None


def test_a_table_that_is_none_is_told(runbook):
    found = compared(runbook, Artefact(data=b"PAR1 no table"), measurements(1), role="measurements")
    assert "cannot be read" in found.what[0]


@given(st.floats(min_value=1e-6, max_value=1e12), st.integers(0, 2))
def test_neighbours_of_a_rounded_statistic_are_close_and_others_are_not(value, step):
    text = rounded(value)
    number = Decimal(text)
    unit = Decimal(10) ** (number.adjusted() - 5)
    assert close(text, format(number + unit * min(step, 1), "f"))
    assert not close(text, format(number + 11 * unit, "f"))


@given(st.integers(0, 2**53 - 1), st.integers(0, 2**53 - 1))
def test_whole_numbers_are_close_within_one_or_the_tolerance(old, new):
    assert close(old, new) == close(new, old)
    assert close(old, new) == (abs(old - new) <= max(1, TOLERANCE * max(old, new)))


@pytest.mark.parametrize(
    ("old", "new"),
    [(True, 1), ("a", "b"), (None, 0), ("nan", "nan"), ("1", [1]), ("\u0661", "1"), ({}, 1), ("", "0")],
)
def test_what_is_no_number_is_never_close(old, new):
    assert not close(old, new)
