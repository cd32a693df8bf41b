"""Forecasts, migration plans and observed volumes: days that exist, no gap, no overlap, one unit, one version."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal

from catalog.agreement.material import (
    FORECASTS,
    MIGRATION_PLANS,
    OBSERVED_VOLUMES,
    Declarations,
    Disagreement,
    unknown,
)
from catalog.declarations import Forecast, MigrationPlan, ObservedVolume
from catalog.hints import listed

_DAY = timedelta(days=1)
_LONGEST_DAYS = 366 * 20

Stretch = tuple[int, date, date]
"""Position of a row in its file, its first day and its last."""


def forecast_disagreements(declared: Declarations) -> Iterator[Disagreement]:
    """Everything that is wrong with the forecasts, the migration plans and the observed volumes."""
    for file, rows in (
        (FORECASTS, declared.forecasts),
        (MIGRATION_PLANS, declared.migration_plans or ()),
        (OBSERVED_VOLUMES, declared.observed_volumes or ()),
    ):
        yield from _days(file, rows)
    yield from _names(declared, FORECASTS, declared.forecasts)
    yield from _names(declared, MIGRATION_PLANS, declared.migration_plans or ())
    yield from _units(declared)
    yield from _versions(FORECASTS, declared.forecasts)
    yield from _versions(MIGRATION_PLANS, declared.migration_plans or ())
    yield from _coverage(declared)
    yield from _plans(declared)
    yield from _observed(declared)


def day_of(written: str) -> date | None:
    """The day that is written; None when there is none such."""
    try:
        return date.fromisoformat(written)
    except ValueError:
        return None


def _days(file: str, rows: Sequence[Forecast | MigrationPlan | ObservedVolume]) -> Iterator[Disagreement]:
    for position, row in enumerate(rows):
        begins, ends = day_of(row.begins), day_of(row.ends)
        for name, written, day in (("begins", row.begins, begins), ("ends", row.ends, ends)):
            if day is None:
                message = f"there is no day {written}"
                yield Disagreement(file=file, address=(position, name), code="no-such-date", message=message)
        if begins and ends and not timedelta(0) <= ends - begins <= _LONGEST_DAYS * _DAY:
            message = f"expected a day from {begins} on, within {_LONGEST_DAYS // 366} years; found {ends}"
            yield Disagreement(file=file, address=(position, "ends"), code="dates-reversed", message=message)


def _names(declared: Declarations, file: str, rows: Sequence[Forecast | MigrationPlan]) -> Iterator[Disagreement]:
    phases = [phase.id for phase in declared.programme.phases]
    cohorts = [cohort.id for cohort in declared.volumes.cohorts]
    for position, row in enumerate(rows):
        yield from unknown(file, (position, "phase"), row.phase, phases, "phase")
        yield from unknown(file, (position, "cohort"), row.cohort, cohorts, "cohort")


def _units(declared: Declarations) -> Iterator[Disagreement]:
    """One unit in the whole file, and no more prepayment meters than meters."""
    for position, row in enumerate(declared.forecasts):
        if row.unit is not declared.forecasts[0].unit:
            message = f"expected {declared.forecasts[0].unit}, as in the first row; found {row.unit}"
            hint = "a forecast that changes its unit midway is read wrongly sooner or later: use one"
            yield Disagreement(file=FORECASTS, address=(position, "unit"), code="two-units", message=message, hint=hint)
        if row.prepayment_meters is not None and row.prepayment_meters > row.meters:
            message = f"expected at most {row.meters}, all meters of the row; found {row.prepayment_meters}"
            address = (position, "prepayment_meters")
            yield Disagreement(file=FORECASTS, address=address, code="share-above-one", message=message)


def _versions(file: str, rows: Sequence[Forecast | MigrationPlan]) -> Iterator[Disagreement]:
    first: dict[str, str] = {}
    for position, row in enumerate(rows):
        if first.setdefault(row.phase, row.version) != row.version:
            message = f"expected '{first[row.phase]}', on which the phase '{row.phase}' rests; found '{row.version}'"
            hint = "a phase rests on one version"
            address = (position, "version")
            yield Disagreement(file=file, address=address, code="two-versions", message=message, hint=hint)


def _stretches(rows: Iterable[tuple[int, Forecast | MigrationPlan]]) -> dict[tuple[str, str], list[Stretch]]:
    """By phase and cohort, in the order of their first days; rows whose days are at fault already are left out."""
    found: dict[tuple[str, str], list[Stretch]] = defaultdict(list)
    for position, row in rows:
        begins, ends = day_of(row.begins), day_of(row.ends)
        if begins and ends and begins <= ends:
            found[row.phase, row.cohort].append((position, begins, ends))
    return {key: sorted(each, key=lambda stretch: (stretch[1], stretch[0])) for key, each in found.items()}


def _overlaps(file: str, stretches: Sequence[Stretch], whose: str) -> Iterator[Disagreement]:
    until: date | None = None
    for position, begins, ends in stretches:
        if until is not None and begins <= until:
            message = f"the days from {begins} to {min(until, ends)} are given twice for {whose}"
            hint = "a row ends on the day before the next begins"
            address = (position, "begins")
            yield Disagreement(file=file, address=address, code="forecast-overlap", message=message, hint=hint)
        until = ends if until is None else max(until, ends)


def _coverage(declared: Declarations) -> Iterator[Disagreement]:
    """Every cohort of a phase is forecast for every day of it, once."""
    by_key = _stretches(enumerate(declared.forecasts))
    cohorts = [cohort.id for cohort in declared.volumes.cohorts]
    for phase in (phase.id for phase in declared.programme.phases):
        known = {cohort: stretches for (each, cohort), stretches in by_key.items() if each == phase}
        named = {row.cohort for row in declared.forecasts if row.phase == phase}
        if missing := [cohort for cohort in cohorts if cohort not in named]:
            message = f"the phase '{phase}' has no forecast for: {listed(missing)}"
            hint = f"a cohort that is not there yet has 0 {declared.volumes.counted}"
            yield Disagreement(file=FORECASTS, address=(), code="forecast-missing", message=message, hint=hint)
        first = min((each[0][1] for each in known.values()), default=None)
        last = max((ends for each in known.values() for _, _, ends in each), default=None)
        for cohort, stretches in known.items():
            yield from _overlaps(FORECASTS, stretches, f"'{cohort}' in '{phase}'")
            if first and last:
                yield from _gaps(stretches, first, last, f"'{cohort}' in '{phase}'")


def _gaps(stretches: Sequence[Stretch], first: date, last: date, whose: str) -> Iterator[Disagreement]:
    due, hint = first, "a cohort that is not there has a row of 0"
    for position, begins, ends in stretches:
        if begins > due:
            message = f"no row gives {whose} from {due} to {begins - _DAY}"
            address = (position, "begins")
            yield Disagreement(file=FORECASTS, address=address, code="forecast-gap", message=message, hint=hint)
        if ends >= last:
            return  # nothing is due any more, and the last of all days has none after it
        due = max(due, ends + _DAY)
    message = f"no row gives {whose} from {due} to {last}, the last day of the phase"
    address = (stretches[-1][0], "ends")
    yield Disagreement(file=FORECASTS, address=address, code="forecast-gap", message=message, hint=hint)


# --- migration plans --------------------------------------------------------------------------------------------------


def _plans(declared: Declarations) -> Iterator[Disagreement]:
    """Plans of cohorts that are migrated, on days of their phase, and within the cap unless they are throttled."""
    plans, migration = declared.migration_plans, declared.volumes.migration
    if (plans is None) != (migration is None):
        key = "migration" if plans is None else "migration_plans"
        message = "migration_plans names a file, and there is no `migration`" if migration is None else (
            "there is a `migration`, and migration_plans names no file")  # fmt: skip
        hint = "give both, or neither"
        yield Disagreement(file="volumes.yaml", address=(key,), code="migration-half", message=message, hint=hint)
    if plans is None or migration is None:
        return
    generation = {cohort.id: cohort.generation for cohort in declared.volumes.cohorts}
    is_known = migration.generation in generation.values()
    spans = _spans(declared)
    for position, row in enumerate(plans):
        if is_known and generation.get(row.cohort, migration.generation) != migration.generation:
            message = (
                f"'{row.cohort}' is of generation '{generation[row.cohort]}'; '{migration.generation}' is migrated"
            )
            address = (position, "cohort")
            yield Disagreement(file=MIGRATION_PLANS, address=address, code="not-migrated", message=message)
    for (phase, cohort), stretches in _stretches(enumerate(plans)).items():
        yield from _overlaps(MIGRATION_PLANS, stretches, f"'{cohort}' in '{phase}'")
        for position, begins, ends in stretches:
            if phase in spans and not (spans[phase][0] <= begins and ends <= spans[phase][1]):
                message = f"expected days from {spans[phase][0]} to {spans[phase][1]}, those forecast for '{phase}'"
                message += f"; found {begins} to {ends}"
                address = (position, "begins")
                yield Disagreement(file=MIGRATION_PLANS, address=address, code="outside-phase", message=message)
    if not migration.throttle:
        yield from _above_cap(declared, plans)


def _spans(declared: Declarations) -> dict[str, tuple[date, date]]:
    """The first and the last day that are forecast for each phase."""
    spans: dict[str, tuple[date, date]] = {}
    for (phase, _), stretches in _stretches(enumerate(declared.forecasts)).items():
        first, last = stretches[0][1], max(ends for _, _, ends in stretches)
        known = spans.get(phase, (first, last))
        spans[phase] = min(first, known[0]), max(last, known[1])
    return spans


def _above_cap(declared: Declarations, plans: Sequence[MigrationPlan]) -> Iterator[Disagreement]:
    """The first row of each phase that takes a day above what can be migrated."""
    migration = declared.volumes.migration
    values = {assumption.id: assumption.value for assumption in declared.assumptions.assumptions}
    cap = values.get(migration.cap, Decimal("Infinity")) if migration else Decimal("Infinity")
    by_phase: dict[str, list[tuple[Stretch, int]]] = defaultdict(list)
    for (phase, _), stretches in _stretches(enumerate(plans)).items():
        by_phase[phase] += [(stretch, plans[stretch[0]].installations_per_day) for stretch in stretches]
    for phase, rows in by_phase.items():
        for (position, begins, _), _count in sorted(rows, key=lambda row: row[0][1:]):
            together = sum(count for (_, first, last), count in rows if first <= begins <= last)
            if together > cap:
                message = (
                    f"{together} installations are planned for {begins} in '{phase}'; at most {cap} can be migrated"
                )
                address = (position, "installations_per_day")
                hint = "plan fewer, or let `throttle: true` put them off to later days"
                yield Disagreement(file=MIGRATION_PLANS, address=address, code="above-cap", message=message, hint=hint)
                break


def _observed(declared: Declarations) -> Iterator[Disagreement]:
    generations = {cohort.generation for cohort in declared.volumes.cohorts}
    for position, row in enumerate(declared.observed_volumes or ()):
        if row.generation:
            yield from unknown(OBSERVED_VOLUMES, (position, "generation"), row.generation, generations, "generation")
