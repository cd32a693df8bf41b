"""`plimsoll volumes`: shown, in full, as files, and beside another phase or an earlier day."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from catalog.reading import read_catalogue
from flows.cli import main
from tasks.declare import declare
from tests.shops import write_shop


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    write_shop(tmp_path / "shop")
    return tmp_path / "shop"


def answered(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of `volumes`."""
    status = main(["volumes", *(str(each) for each in arguments)])
    told = capsys.readouterr()
    return status, told.out, told.err


def edit(shop: Path, file: str, old: str, new: str) -> None:
    text = (shop / file).read_text()
    assert old in text
    (shop / file).write_text(text.replace(old, new))


def test_the_overview_says_what_must_be_carried_and_what_would_move_it(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = answered(capsys, "launch", "--catalog", shop)
    assert status == 0
    for said in (
        "busiest day of 214, tuesday 2026-09-01",
        "peak window 18:00 to 22:00 UTC, 14,400 s",
        "A1: customers, devices and migrations",
        "A2: messages offered to the system, by business process",
        "A3 in sum: what each component handles",
        "Peaks: what the window's average hides",
        "Demand after an outage",
        "Which assumptions move the peak most",
        "How likely more comes than was tested",
        "assumptions are not agreed",
    ):
        assert said in out, said
    assert "1.333" in out  # the busiest hour by the average
    assert max(map(len, out.splitlines())) <= 120


def test_one_table_in_full_and_a_wrong_name_says_which_there_are(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = answered(capsys, "launch", "--catalog", shop, "--table", "a3")
    assert status == 0
    assert out.count("purchase") == 6  # three components, requests and responses
    status, out, err = answered(capsys, "launch", "--catalog", shop, "--table", "a4")
    assert (status, out) == (2, "")
    assert "There are: a1, a2, a3, peaks" in err


def test_json_has_rows_and_tables(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(answered(capsys, "launch", "--catalog", shop, "--json")[1])
    assert told["window_us"] == 14_400_000_000
    at_storefront = [row for row in told["volumes"] if row["component"] == "storefront" and row["kind"] == "request"]
    assert sum(row["messages"] for row in at_storefront) == 2_400_000
    assert {each["component"] for each in told["model"]["peaks"]} >= {"storefront", "orders"}


def test_files_are_written_where_asked(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = answered(capsys, "launch", "--catalog", shop, "--out", tmp_path / "deep" / "out")
    names = {path.name for path in (tmp_path / "deep" / "out").iterdir()}
    assert status == 0
    assert f"{len(names)} files" in out
    assert {"model.json", "model.md", "volumes.parquet", "a1.csv", "a2.parquet", "figure-hours.svg"} <= names
    (tmp_path / "file").write_text("")
    status, _, err = answered(capsys, "launch", "--catalog", shop, "--out", tmp_path / "file")
    assert (status, "Traceback" in err) == (3, False)


def test_another_phase_is_compared_and_the_cause_named(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = answered(capsys, "launch", "--catalog", shop, "--compare", "pilot")
    assert status == 0
    assert "300,000   1,200,000" in out
    assert "meters of customers" in out
    told = json.loads(answered(capsys, "launch", "--catalog", shop, "--compare", "pilot", "--json")[1])
    assert [each["input"] for each in told["causes"]] == ["meters of customers", "busiest day"]
    assert (
        "Nothing that the volume model depends on has changed"
        in (answered(capsys, "pilot", "--catalog", shop, "--compare", "pilot")[1])
    )


def recorded(runbook: Any, shop: Path) -> None:
    """The volumes of the launch as a phase records them."""
    record = declare(runbook.recorder, read_catalogue(shop), shop)
    inputs = {"volume inputs": record.output("volume inputs") or ""}
    runbook.recorder.derive("volumes", rules=1, inputs=inputs, compute=dict, parameters={"phase": "launch"})


def test_what_was_recorded_by_a_day_is_compared_with_what_is_declared_now(
    runbook: Any, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded(runbook, shop)
    edit(shop, "assumptions.yaml", "value: 0.50", "value: 0.60")
    today = datetime.now(UTC).date()
    where = ("launch", "--catalog", shop, "--home", runbook.workspace.home, "--compare")
    told = json.loads(answered(capsys, *where, today + timedelta(days=1), "--json")[1])
    assert [(each["input"], each["old"], each["new"]) for each in told["causes"]] == [("evening-share", "0.50", "0.60")]
    status, _, err = answered(capsys, *where, today - timedelta(days=2))
    assert status == 2
    assert "no volumes of launch were recorded" in err


@pytest.mark.parametrize("compared", ["piolt", "2026-13-01", "yesterday"])
def test_what_is_neither_a_phase_nor_a_day_is_refused(
    shop: Path, compared: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = answered(capsys, "launch", "--catalog", shop, "--compare", compared)
    assert (status, out) == (2, "")
    assert "The phases are: pilot, launch" in err


def test_a_row_that_breaks_the_contract_is_named_by_file_and_row(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(shop, "forecasts.csv", "2026-12-31,200000", "2026-12-31,199000000")
    status, _, err = answered(capsys, "launch", "--catalog", shop)
    assert status == 2
    assert "forecasts.csv:4:" in err
    assert "row 3 breaks its contract" in err
