"""The CSV files of a catalogue held against their contracts: each fault by file, line and column, all at once."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from catalog.declarations import Declared, ObservedMeasure
from catalog.errors import DeclarationError, Fault
from catalog.reading import Catalogue, read_catalogue
from tasks.hold_inputs import hold_inputs, read_held
from tests.shops import write_shop

CATALOGUES = Path(__file__).parents[2] / "catalog"
KEYS = {"forecasts": "forecasts.csv", "migration_plans": "migrations.csv", "observed_volumes": "observed.csv"}
FORECASTS = "phase,cohort,begins,ends,meters,prepayment_meters,unit,version,standing,source\n"
OBSERVED = "begins,ends,measure,generation,value,standing,source\n"


def shop(folder: Path, forecasts: str, observed: str = "") -> Path:
    """The template with other forecasts and, where given, observed volumes."""
    write_shop(folder)
    (folder / "forecasts.csv").write_text(FORECASTS + forecasts)
    if observed:
        (folder / "observed.csv").write_text(OBSERVED + observed)
        volumes = folder / "volumes.yaml"
        volumes.write_text(volumes.read_text().replace("\ncohorts:", "\nobserved_volumes: observed.csv\ncohorts:"))
    return folder


def faults(error: DeclarationError) -> list[tuple[str, int, int]]:
    return [(Path(fault.file).name, fault.line, fault.column) for fault in error.faults]


@pytest.mark.parametrize("name", ["smets1", "template"])
def test_the_programmes_that_ship_are_read_and_held(name: str) -> None:
    assert read_held(CATALOGUES / name) == read_catalogue(CATALOGUES / name)


def test_a_leap_is_told_where_its_row_stands(tmp_path: Path) -> None:
    folder = shop(
        tmp_path / "shop",
        "pilot,customers,2026-03-01,2026-05-31,50000,,meters,1,agreed,x\n"
        '"launch",customers,2026-06-01,2026-08-31,120000,,meters,1,agreed,"in\ntwo lines"\n'
        "\n"
        "launch,customers,2026-09-01,2026-12-31,120,,meters,1,agreed,x\n",
    )
    read_catalogue(folder)  # each row is in order by itself
    with pytest.raises(DeclarationError) as caught:
        read_held(folder)
    (fault,) = caught.value.faults
    assert (fault.file, fault.line, fault.column, fault.code) == (str(folder / "forecasts.csv"), 6, 1, "contract")
    assert fault.message == (
        "row 3 breaks its contract: is at most 100 times the stretch before it, and at least a hundredth"
    )
    assert fault.source.startswith("launch,customers,2026-09-01")
    assert fault.hint


def test_faults_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    seen = "2026-03-01,2026-03-31,requests,web,600000,agreed,x\n"
    folder = shop(
        tmp_path / "shop",
        "pilot,customers,2026-03-01,2026-03-31,5,,meters,1,agreed,x\n"
        "pilot,customers,2026-04-01,2026-05-31,501,,meters,1,agreed,x\n"
        "launch,customers,2026-06-01,2026-08-31,120000,,meters,1,agreed,x\n"
        "launch,customers,2026-09-01,2026-12-31,1,,meters,1,agreed,x\n",
        f"{seen}2026-03-01,2026-03-31,alerts,,5,agreed,x\n{seen}",
    )
    with pytest.raises(DeclarationError) as caught:
        read_held(folder)
    assert faults(caught.value) == [
        ("forecasts.csv", 3, 1),
        ("forecasts.csv", 5, 1),
        ("observed.csv", 2, 1),
        ("observed.csv", 4, 1),
    ]
    assert str(caught.value).splitlines()[-1] == "4 faults"


def test_faults_of_reading_come_first_and_alone(tmp_path: Path) -> None:
    folder = shop(
        tmp_path / "shop",
        "pilot,customers,2026-03-01,2026-05-31,5,,meters,1,agreed,x\n"
        "launch,customers,2026-06-01,2026-08-31,1,,meters,1,agreed,x\n"
        "launch,customers,2026-09-02,2026-12-31,101,,meters,1,agreed,x\n",
    )
    with pytest.raises(DeclarationError) as caught:
        read_held(folder)
    assert [fault.code for fault in caught.value.faults] == ["forecast-gap"]


def broken_in(catalogue: Catalogue, key: str, row: int, **changed: Any) -> list[Fault]:
    """The faults of a catalogue one row of which was changed after it was read, by no check's leave."""
    rows: Sequence[Declared] = getattr(catalogue.programme, key)
    changed_rows = (*rows[:row], rows[row].model_copy(update=changed), *rows[row + 1 :])
    programme = catalogue.programme.model_copy(update={key: changed_rows})
    with pytest.raises(DeclarationError) as caught:
        hold_inputs(replace(catalogue, programme=programme))
    return caught.value.faults


@pytest.mark.parametrize(
    ("key", "row", "changed", "column", "told"),
    [
        ("forecasts", 3, {"meters": -7}, "meters", "greater_than_or_equal_to(0); found -7"),
        ("forecasts", 3, {"meters": 200_000_001}, "meters", "less_than_or_equal_to(200000000); found 200000001"),
        ("forecasts", 0, {"prepayment_meters": -1}, "prepayment_meters", "greater_than_or_equal_to(0); found -1"),
        ("forecasts", 0, {"unit": "miles"}, "unit", "found miles"),
        ("forecasts", 14, {"standing": "sure"}, "standing", "found sure"),
        ("forecasts", 14, {"begins": "2021"}, "begins", "found 2021"),
        ("forecasts", 14, {"ends": "2022-9-9"}, "ends", "found 2022-9-9"),
        ("forecasts", 14, {"ends": "2021-06-30"}, None, "ends on its first day or later"),
        ("forecasts", 0, {"prepayment_meters": 1_000_001}, None, "has no more prepayment meters than meters"),
        ("migration_plans", 2, {"installations_per_day": -1}, "installations_per_day", "found -1"),
        ("migration_plans", 2, {"installations_per_day": 10_000_001}, "installations_per_day", "found 10000001"),
        ("migration_plans", 16, {"standing": "sure"}, "standing", "found sure"),
        ("migration_plans", 16, {"begins": "2021"}, "begins", "found 2021"),
        ("migration_plans", 16, {"ends": "2022-9-9"}, "ends", "found 2022-9-9"),
        ("migration_plans", 16, {"ends": "2021-10-31"}, None, "ends on its first day or later"),
        ("observed_volumes", 1, {"value": -1}, "value", "found -1"),
        ("observed_volumes", 11, {"measure": "miles"}, "measure", "found miles"),
        ("observed_volumes", 11, {"standing": "sure"}, "standing", "found sure"),
        ("observed_volumes", 11, {"begins": "2021"}, "begins", "found 2021"),
        ("observed_volumes", 11, {"ends": "2022-9-9"}, "ends", "found 2022-9-9"),
        ("observed_volumes", 11, {"ends": "2022-12-30"}, None, "ends on its first day or later"),
    ],
)
def test_every_check_of_a_row_is_told_by_file_row_and_column(
    smets1: Catalogue, key: str, row: int, changed: dict[str, Any], column: str | None, told: str
) -> None:
    (fault,) = broken_in(smets1, key, row, **changed)
    place = smets1.documents[key].values[(row, column) if column else (row,)]
    assert (Path(fault.file).name, fault.line, fault.column) == (KEYS[key], place.line, place.column)
    assert fault.line == row + 2  # below the header, counted from 1
    assert fault.message.startswith(f"row {row + 1} breaks its contract: ")
    assert fault.message.endswith(told)


@pytest.mark.parametrize(
    ("key", "row", "changed", "other"),
    [
        ("forecasts", 1, {"cohort": "smets1-ioc", "meters": 1_000_000}, 0),
        ("migration_plans", 1, {"begins": "2019-11-01"}, 0),
        ("observed_volumes", 8, {"measure": ObservedMeasure.REQUESTS}, 7),
    ],
)
def test_rows_of_one_key_are_both_told(
    smets1: Catalogue, key: str, row: int, changed: dict[str, Any], other: int
) -> None:
    found = broken_in(smets1, key, row, **changed)
    assert [(fault.line, fault.column) for fault in found] == [(other + 2, 1), (row + 2, 1)]
    assert {fault.message.partition(": ")[2] for fault in found} == {"has a key of its own"}


def test_what_is_not_declared_is_not_held(template: Catalogue) -> None:
    assert (template.programme.migration_plans, template.programme.observed_volumes) == ((), ())
    hold_inputs(template)
