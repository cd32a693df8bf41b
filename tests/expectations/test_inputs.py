"""The contracts of the CSV files: a row that breaks each check, told by row, column and what was found.

Most of these rows never get past the reading of a catalogue, which is why they are made without its checks: a contract
holds by itself.
"""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.declarations import Forecast, MeterUnit, MigrationPlan, ObservedMeasure, ObservedVolume, Standing
from catalog.reading import Catalogue
from expectations.inputs import Broken, Forecasts, MigrationPlans, ObservedVolumes, broken

STRETCH = {"begins": "2026-01-01", "ends": "2026-01-31", "standing": Standing.AGREED, "source": "x"}
PLANNED = {**STRETCH, "phase": "pilot", "cohort": "customers", "version": "1"}
NEXT = {"begins": "2026-02-01", "ends": "2026-02-28"}

STANDINGS = "isin(['agreed', 'proposed', 'unverified'])"
DATE = r"str_matches('^\d{4}-\d{2}-\d{2}$')"
KEY = "has a key of its own"
ORDER = "ends on its first day or later"
GROWTH = "is at most 100 times the stretch before it, and at least a hundredth"
PREPAYMENT = "has no more prepayment meters than meters"


def forecast(**changed: Any) -> Forecast:
    common = {**PLANNED, "meters": 500, "prepayment_meters": None, "unit": MeterUnit.METERS}
    return Forecast.model_construct(**{**common, **changed})


def plan(**changed: Any) -> MigrationPlan:
    return MigrationPlan.model_construct(**{**PLANNED, "installations_per_day": 500, **changed})


def observed(**changed: Any) -> ObservedVolume:
    common = {**STRETCH, "measure": ObservedMeasure.REQUESTS, "generation": "", "value": 500}
    return ObservedVolume.model_construct(**{**common, **changed})


Rows = list[Forecast] | list[MigrationPlan] | list[ObservedVolume]


def told(rows: Rows) -> list[tuple[int, str | None, str, str]]:
    return [(each.row, each.column, each.check, each.found) for each in broken(rows)]


CASES: list[tuple[Rows, list[tuple[int, str | None, str, str]]]] = [
    # each column by itself
    ([forecast(meters=0), forecast(**NEXT, meters=-1)], [(1, "meters", "greater_than_or_equal_to(0)", "-1")]),
    (
        [forecast(meters=200_000_001)],
        [(0, "meters", "less_than_or_equal_to(200000000)", "200000001")],
    ),
    ([forecast(prepayment_meters=-1)], [(0, "prepayment_meters", "greater_than_or_equal_to(0)", "-1")]),
    ([forecast(unit="miles")], [(0, "unit", "isin(['meters', 'thousand meters'])", "miles")]),
    ([forecast(standing="sure")], [(0, "standing", STANDINGS, "sure")]),
    ([forecast(begins="2026")], [(0, "begins", DATE, "2026")]),
    ([forecast(ends="2026-2-28")], [(0, "ends", DATE, "2026-2-28")]),
    ([forecast(phase=None)], [(0, "phase", "not_nullable", "None")]),
    ([forecast(meters=1.5)], [(0, "meters", "dtype('int64')", "float64")]),
    ([plan(installations_per_day=-1)], [(0, "installations_per_day", "greater_than_or_equal_to(0)", "-1")]),
    (
        [plan(), plan(**NEXT, installations_per_day=10_000_001)],
        [(1, "installations_per_day", "less_than_or_equal_to(10000000)", "10000001")],
    ),
    ([plan(standing="sure")], [(0, "standing", STANDINGS, "sure")]),
    ([plan(begins="2026")], [(0, "begins", DATE, "2026")]),
    ([plan(ends="2026-2-28")], [(0, "ends", DATE, "2026-2-28")]),
    ([observed(value=-1)], [(0, "value", "greater_than_or_equal_to(0)", "-1")]),
    ([observed(measure="miles")], [(0, "measure", "isin(['meters', 'migrations', 'requests', 'alerts'])", "miles")]),
    ([observed(standing="sure")], [(0, "standing", STANDINGS, "sure")]),
    ([observed(begins="2026")], [(0, "begins", DATE, "2026")]),
    ([observed(ends="2026-2-28")], [(0, "ends", DATE, "2026-2-28")]),
    # a row as a whole
    ([forecast(), forecast(begins="2026-02-02", ends="2026-02-01")], [(1, None, ORDER, "")]),
    ([plan(begins="2026-02-02", ends="2026-02-01")], [(0, None, ORDER, "")]),
    ([observed(begins="2026-02-02", ends="2026-02-01")], [(0, None, ORDER, "")]),
    ([forecast(), forecast(**NEXT, prepayment_meters=501)], [(1, None, PREPAYMENT, "")]),
    # its key
    ([forecast(), forecast()], [(0, None, KEY, ""), (1, None, KEY, "")]),
    ([plan(), plan(**NEXT), plan()], [(0, None, KEY, ""), (2, None, KEY, "")]),
    ([observed(), observed(value=7)], [(0, None, KEY, ""), (1, None, KEY, "")]),
    # growth
    ([forecast(), forecast(**NEXT, meters=50_001)], [(1, None, GROWTH, "")]),
    ([forecast(), forecast(**NEXT, meters=4)], [(1, None, GROWTH, "")]),
    ([forecast(**NEXT, meters=50_001), forecast()], [(0, None, GROWTH, "")]),  # whatever the order of the rows
]


@pytest.mark.parametrize(
    ("rows", "expected"), CASES, ids=[f"{place}-{case[1][0][1] or 'row'}" for place, case in enumerate(CASES)]
)
def test_a_row_that_breaks_its_contract_is_told(rows: Rows, expected: list[tuple[int, str | None, str, str]]) -> None:
    assert told(rows) == expected


ACCEPTED: dict[str, Rows] = {
    "no rows": [],
    "a cohort that begins from nothing": [forecast(meters=0), forecast(**NEXT, meters=200_000_000)],
    "a cohort that ends": [forecast(meters=200_000_000), forecast(**NEXT, meters=0)],
    "a hundredfold": [forecast(), forecast(**NEXT, meters=50_000)],
    "a hundredth": [forecast(), forecast(**NEXT, meters=5)],
    "another cohort of another size": [forecast(), forecast(cohort="guests", meters=1)],
    "another phase of another size": [forecast(), forecast(phase="launch", meters=1)],
    "all meters in prepayment mode": [forecast(prepayment_meters=500)],
    "a split that is known later": [forecast(), forecast(**NEXT, prepayment_meters=1)],
    "one day": [observed(ends="2026-01-01")],
    "one measure by generation and together": [observed(), observed(generation="web"), observed(measure="alerts")],
    "two plans for one day": [plan(), plan(cohort="guests"), plan(phase="launch")],
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_rows_that_keep_their_contract_are_not_told(name: str) -> None:
    assert told(ACCEPTED[name]) == []


def test_every_check_of_every_contract_has_an_example() -> None:
    for kind, contract in ((Forecast, Forecasts), (MigrationPlan, MigrationPlans), (ObservedVolume, ObservedVolumes)):
        shown = {(column, check) for rows, cases in CASES if type(rows[0]) is kind for _, column, check, _ in cases}
        schema = contract.to_schema()
        for name, column in schema.columns.items():
            for check in column.checks:
                assert (name, check.error) in shown, (kind, name, check.error)
        assert {(None, check.error) for check in schema.checks} <= shown, kind
        assert schema.unique
        assert (None, KEY) in shown, kind


def test_a_contract_holds_every_field_that_is_declared_and_no_other() -> None:
    for kind, contract in ((Forecast, Forecasts), (MigrationPlan, MigrationPlans), (ObservedVolume, ObservedVolumes)):
        assert list(contract.to_schema().columns) == list(kind.model_fields)


def test_many_faults_are_told_at_once_in_the_order_of_the_rows() -> None:
    rows = [forecast(), forecast(meters=-1), forecast(cohort="guests", unit="miles", standing="sure")]
    found = told(rows)
    assert [(row, column or "") for row, column, *_ in found] == sorted(
        (row, column or "") for row, column, *_ in found
    )
    assert sorted(found, key=str) == [
        (0, None, KEY, ""),
        (1, "meters", "greater_than_or_equal_to(0)", "-1"),
        (1, None, KEY, ""),
        (1, None, GROWTH, ""),
        (2, "standing", STANDINGS, "sure"),
        (2, "unit", "isin(['meters', 'thousand meters'])", "miles"),
    ]


@pytest.mark.parametrize("name", ["smets1", "template"])
def test_the_programmes_that_ship_keep_their_contracts(name: str, request: pytest.FixtureRequest) -> None:
    catalogue: Catalogue = request.getfixturevalue(name)
    programme = catalogue.programme
    assert programme.forecasts
    assert bool(programme.migration_plans) == bool(programme.observed_volumes) == (name == "smets1")
    for rows in (programme.forecasts, programme.migration_plans, programme.observed_volumes):
        assert broken(rows) == []


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 200_000_000), min_size=1, max_size=8))
def test_growth_is_held_from_each_stretch_to_the_next(meters: list[int]) -> None:
    rows = [
        forecast(begins=f"2026-{month:02}-01", ends=f"2026-{month:02}-28", meters=count)
        for month, count in enumerate(meters, 1)
    ]
    leaps = [
        row
        for row, (before, after) in enumerate(pairwise(meters), 1)
        if before and after and not before <= 100 * after <= 10_000 * before
    ]
    assert broken(rows) == [Broken(row=row, column=None, check=GROWTH, found="") for row in leaps]
