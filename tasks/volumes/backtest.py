"""How far forecasts were off, where volumes were observed since."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from catalog.declarations import MessageKind, ObservedMeasure, ObservedVolume, Programme
from catalog.routes import MIGRATION
from tasks.volumes.days import Calendar, Day
from tasks.volumes.streams import declared_values, streams


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtested:
    """An observed volume beside the model's for the same days; None where no forecast covers them.

    `error_ppm`: modelled less observed, by observed. `phase`: the phase whose forecast it is held against.
    """

    observed: ObservedVolume
    phase: str | None
    modelled: int | None
    error_ppm: int | None


def backtest(programme: Programme) -> list[Backtested]:
    """Every observed volume, in the order given."""
    calendars = {phase.id: Calendar(programme, phase.id) for phase in programme.programme.phases}
    return [_backtested(programme, row, calendars) for row in programme.observed_volumes]


def _backtested(programme: Programme, row: ObservedVolume, calendars: dict[str, Calendar]) -> Backtested:
    wanted = list(_dates(row))
    for phase, calendar in reversed(calendars.items()):
        days = [day for day in map(calendar.on, wanted) if day is not None]
        if len(days) == len(wanted):
            modelled = _modelled(programme, row, days)
            error = round((modelled - row.value) * 1_000_000 / row.value) if row.value else None
            return Backtested(observed=row, phase=phase, modelled=round(modelled), error_ppm=error)
    return Backtested(observed=row, phase=None, modelled=None, error_ppm=None)


def _dates(row: ObservedVolume) -> Iterator[date]:
    """The days observed; of meters, which are counted at one time, the last."""
    first, last = date.fromisoformat(row.begins), date.fromisoformat(row.ends)
    if row.measure is ObservedMeasure.METERS:
        first = last
    yield from (first + timedelta(days=after) for after in range((last - first).days + 1))


def _modelled(programme: Programme, row: ObservedVolume, days: list[Day]) -> Fraction:
    """The model's figure for the days, averaged over them."""
    of = {cohort.id for cohort in programme.volumes.cohorts if row.generation in ("", cohort.generation)}
    match row.measure:
        case ObservedMeasure.METERS:
            return Fraction(sum(count for cohort, count in days[-1].meters.items() if cohort in of))
        case ObservedMeasure.MIGRATIONS:
            begun = (count for day in days for cohort, count in day.migrations.items() if cohort in of)
            return Fraction(sum(begun), len(days))
        case ObservedMeasure.REQUESTS | ObservedMeasure.ALERTS:
            kind = MessageKind.REQUEST if row.measure is ObservedMeasure.REQUESTS else MessageKind.ALERT
            known: dict[object, Fraction] = {}
            for day in days:
                if day.load() not in known:
                    known[day.load()] = _messages(programme, day, kind, of)
            return sum((known[day.load()] for day in days), start=Fraction(0)) / len(days)


def _messages(programme: Programme, day: Day, kind: MessageKind, cohorts: set[str]) -> Fraction:
    """Messages of business as usual that are offered on a day: what a traffic brings along is a part of it."""
    values = declared_values(programme)
    found = (
        stream.amount
        for stream in streams(programme, day, values)
        if stream.path.offers is kind and stream.cohort.id in cohorts and stream.source != MIGRATION
    )
    return sum(found, start=Fraction(0))
