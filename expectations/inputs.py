"""What the CSV files of a catalogue must hold, each declared once: the contract that every row is held to.

Shapes and names are held when a catalogue is read (`catalog.reading`); these contracts hold rows against each other
and against what is plausible. Grain and unit are stated as for the tables of evidence (`expectations.tables`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pandera.pandas as pa

from catalog.declarations import Forecast, MeterUnit, MigrationPlan, ObservedMeasure, ObservedVolume, Standing

_MOST_GROWTH = 100
_DAY = r"^\d{4}-\d{2}-\d{2}$"


def _standing() -> Any:
    return pa.Field(isin=[each.value for each in Standing])


class _Rows(pa.DataFrameModel):
    """Exactly the columns declared, in their order, each of its own type."""

    class Config:
        strict = True
        ordered = True


class _Stretches(_Rows):
    """Rows that hold from one day to another."""

    @pa.dataframe_check(error="ends on its first day or later")
    @classmethod
    def ends_after_it_begins(cls, rows: pd.DataFrame) -> Any:
        """ISO dates sort as they follow each other."""
        return rows["ends"] >= rows["begins"]


class Forecasts(_Stretches):
    """Grain: one phase, cohort and first day. Meters in the row's unit."""

    phase: str
    cohort: str
    begins: str = pa.Field(str_matches=_DAY)
    ends: str = pa.Field(str_matches=_DAY)
    meters: int = pa.Field(ge=0, le=200_000_000)
    prepayment_meters: pd.Int64Dtype = pa.Field(ge=0, nullable=True)
    unit: str = pa.Field(isin=[each.value for each in MeterUnit])
    version: str
    standing: str = _standing()
    source: str

    class Config(_Rows.Config):
        """The grain, as a key."""

        unique = ("phase", "cohort", "begins")

    @pa.dataframe_check(error="has no more prepayment meters than meters")
    @classmethod
    def prepayment_is_a_part(cls, rows: pd.DataFrame) -> Any:
        """Where the split is known."""
        return (rows["prepayment_meters"] <= rows["meters"]).fillna(value=True)

    @pa.dataframe_check(error=f"is at most {_MOST_GROWTH} times the stretch before it, and at least a hundredth")
    @classmethod
    def grows_plausibly(cls, rows: pd.DataFrame) -> Any:
        """A slip of the unit or of a digit; a cohort may begin from nothing."""
        return _plausible(rows, "meters")


class MigrationPlans(_Stretches):
    """Grain: one phase, cohort and first day. Installations a day."""

    phase: str
    cohort: str
    begins: str = pa.Field(str_matches=_DAY)
    ends: str = pa.Field(str_matches=_DAY)
    installations_per_day: int = pa.Field(ge=0, le=10_000_000)
    version: str
    standing: str = _standing()
    source: str

    class Config(_Rows.Config):
        """The grain, as a key."""

        unique = ("phase", "cohort", "begins")


class ObservedVolumes(_Stretches):
    """Grain: one measure, generation and stretch of days. Meters at their end, the others per day."""

    begins: str = pa.Field(str_matches=_DAY)
    ends: str = pa.Field(str_matches=_DAY)
    measure: str = pa.Field(isin=[each.value for each in ObservedMeasure])
    generation: str
    value: int = pa.Field(ge=0)
    standing: str = _standing()
    source: str

    class Config(_Rows.Config):
        """The grain, as a key."""

        unique = ("begins", "ends", "measure", "generation")


_CONTRACTS: dict[type[Any], type[_Rows]] = {
    Forecast: Forecasts,
    MigrationPlan: MigrationPlans,
    ObservedVolume: ObservedVolumes,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A row (from 0) that breaks its contract. `column`: None where it is the row as a whole, or its key."""

    row: int
    column: str | None
    check: str
    found: str


def broken(rows: Sequence[Forecast] | Sequence[MigrationPlan] | Sequence[ObservedVolume]) -> list[Broken]:
    """Every row that breaks the contract of its kind, in order; none for no rows."""
    if not rows:
        return []
    contract = _CONTRACTS[type(rows[0])].to_schema()
    frame = pd.DataFrame([row.model_dump(mode="json") for row in rows], columns=list(contract.columns))
    if "prepayment_meters" in frame:
        frame["prepayment_meters"] = frame["prepayment_meters"].astype("Int64")
    try:
        contract.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        return sorted(
            set(_failures(errors.failure_cases)), key=lambda each: (each.row, each.column or "", each.check, each.found)
        )
    return []


def _failures(cases: pd.DataFrame) -> Iterator[Broken]:
    of_table = cases["schema_context"] == "DataFrameSchema"
    for is_row, case in zip(of_table, cases.to_dict("records"), strict=True):
        row = 0 if pd.isna(case["index"]) else int(case["index"])
        is_key = case["check"] == "multiple_fields_uniqueness"
        check = "has a key of its own" if is_key else str(case["check"])
        found = "" if is_row else str(case["failure_case"])
        yield Broken(row=row, column=None if is_row else str(case["column"]), check=check, found=found)


def _plausible(rows: pd.DataFrame, column: str) -> Any:
    ordered = rows.sort_values(["phase", "cohort", "begins"])
    before = ordered.groupby(["phase", "cohort"])[column].shift()
    ratio = ordered[column] / before.where(before > 0)
    plausible = ratio.isna() | (ordered[column] == 0) | ratio.between(1 / _MOST_GROWTH, _MOST_GROWTH)
    return plausible.reindex(rows.index)
