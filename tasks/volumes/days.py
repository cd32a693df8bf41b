"""Which day is modelled: of all days of a phase, by forecasts, migration plans and calendar, the busiest.

Installations that are planned above what can be migrated in a day are put off to the days after it, cohort by cohort
in proportion to what each has waiting.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from functools import cached_property

from catalog.apportion import apportion
from catalog.declarations import CalendarEffect, Forecast, MigrationPlan, Programme, Weekday

_DAY = timedelta(days=1)
_WEEKDAYS = tuple(Weekday)


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day of a phase. `meters` and `migrations` (installations begun that day) by cohort; `waiting`: put off."""

    phase: str
    date: date
    effects: tuple[str, ...]
    meters: Mapping[str, int]
    migrations: Mapping[str, int]
    planned: Mapping[str, int]
    waiting: int

    @property
    def weekday(self) -> Weekday:
        """The day of the week."""
        return _WEEKDAYS[self.date.weekday()]

    def load(self) -> tuple[object, ...]:
        """What the day's volume depends on: days that are alike in it have the same."""
        return self.effects, tuple(self.meters.items()), tuple(self.migrations.items())


class Calendar:
    """The days of one phase, in order."""

    def __init__(self, programme: Programme, phase: str) -> None:
        self._programme = programme
        self._phase = phase
        self._forecasts = [row for row in programme.forecasts if row.phase == phase]
        self._plans = [row for row in programme.migration_plans if row.phase == phase]

    @property
    def first(self) -> date:
        """The first day that is forecast."""
        return min(date.fromisoformat(row.begins) for row in self._forecasts)

    @property
    def last(self) -> date:
        """The last day that is forecast."""
        return max(date.fromisoformat(row.ends) for row in self._forecasts)

    @cached_property
    def days(self) -> tuple[Day, ...]:
        """Every day of the phase."""
        return tuple(self._days())

    def on(self, wanted: date) -> Day | None:
        """That day; None when it is not in the phase."""
        return self.days[(wanted - self.first).days] if self.first <= wanted <= self.last else None

    def kinds(self) -> Iterator[Day]:
        """The first of all days that are alike in volume, in the order of their dates."""
        seen = set()
        for day in self.days:
            if day.load() not in seen:
                seen.add(day.load())
                yield day

    def _days(self) -> Iterator[Day]:
        forecasts, plans = _by_cohort(self._forecasts), _by_cohort(self._plans)
        cap = _cap(self._programme)
        waiting: dict[str, int] = {}
        for after in range((self.last - self.first).days + 1):
            today = self.first + after * _DAY
            meters = {cohort: _counted(rows, today) for cohort, rows in forecasts.items()}
            planned = {cohort: _counted(rows, today) for cohort, rows in plans.items()}
            due = {cohort: waiting.get(cohort, 0) + count for cohort, count in planned.items()}
            begun = _throttled(due, cap)
            waiting = {cohort: due[cohort] - begun[cohort] for cohort in due}
            yield Day(
                phase=self._phase,
                date=today,
                effects=tuple(each.id for each in self._programme.volumes.calendar if falls_on(each, today)),
                meters=meters,
                migrations=begun,
                planned=planned,
                waiting=sum(waiting.values()),
            )


def falls_on(effect: CalendarEffect, day: date) -> bool:
    """Whether an effect of the calendar falls on that day."""
    return _WEEKDAYS[day.weekday()] in effect.weekdays or f"{day:%m-%d}" in effect.dates


def _by_cohort(rows: "list[Forecast] | list[MigrationPlan]") -> dict[str, list[tuple[date, date, int]]]:
    found: dict[str, list[tuple[date, date, int]]] = {}
    for row in rows:
        count = row.counted if isinstance(row, Forecast) else row.installations_per_day
        stretch = date.fromisoformat(row.begins), date.fromisoformat(row.ends), count
        found.setdefault(row.cohort, []).append(stretch)
    return found


def _counted(rows: list[tuple[date, date, int]], today: date) -> int:
    return next((count for begins, ends, count in rows if begins <= today <= ends), 0)


def _cap(programme: Programme) -> int | None:
    """Installations that can be migrated in a day, rounded down; None where nothing is throttled."""
    migration = programme.volumes.migration
    return int(programme.assumption(migration.cap).value) if migration and migration.throttle else None


def _throttled(due: Mapping[str, int], cap: int | None) -> dict[str, int]:
    if cap is None or sum(due.values()) <= cap:
        return dict(due)
    return dict(zip(due, apportion(cap, [Fraction(count) for count in due.values()]), strict=True))
