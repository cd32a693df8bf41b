"""The volume model as people read it: one document of tables, all of it integers, decimal strings and names.

Table A1 has meters, devices and migrations, A2 service requests by business process, A3 everything that each component
handles on each path, as Appendix A of an approach document has them; then peaks, demand after an outage, the day by
hours, sensitivities and the backtest. What it looks like is told elsewhere (`tasks.volumes.show`, `tasks.report`).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import groupby
from typing import Any

from catalog.decimals import decimal_text
from catalog.declarations import (
    METERS,
    CohortOfMeters,
    ComponentScope,
    Forecast,
    Metric,
    Programme,
    Requirement,
)
from catalog.shown import clock
from tasks.volumes.backtest import Backtested, backtest
from tasks.volumes.days import Calendar, Day
from tasks.volumes.model import OFFERED, Volume, VolumeModel, periods_in_window, target_volumes, window_us
from tasks.volumes.peaks import Backlog, Peaks, Stretch, backlogs, hourly, peaks
from tasks.volumes.sensitivity import GENERATOR, Sensitivity, ranged_assumptions, sensitivities
from tasks.volumes.streams import attempts, declared_values, group_of, streams

NOT_KNOWN = "not known"

Document = dict[str, Any]


def tabulate(programme: Programme, model: VolumeModel, levels: Mapping[str, Mapping[str, int]]) -> Document:
    """Every table of one phase. `levels`: what its peaks are compared with, by component and name (`levels_tested`)."""
    return {
        "phase": model.day.phase,
        "day": _day(programme, model.day),
        "window": _window(programme),
        "a1": _a1(programme, model.day),
        "migration": _migration(programme, model.day),
        "a2": _a2(programme, model),
        "a3": a3(programme, model.rows),
        "peaks": [_peak(each) for each in peaks(programme, model)],
        "catch_up": [_backlog(programme, each) for each in backlogs(programme, model)],
        "hours": [
            {"component": name, "hour": hour, "messages": count}
            for name, counts in hourly(model).items()
            for hour, count in enumerate(counts)
        ],
        "sensitivity": _sensitivity(programme, sensitivities(programme, model.day, levels)),
        "backtest": [_backtested(each) for each in backtest(programme)],
        "paths": _paths(programme, model.rows),
        **({"counted": programme.volumes.counted} if programme.volumes.counted != METERS else {}),
    }


def levels_tested(programme: Programme, phase: str, volumes: Mapping[str, list[Volume]]) -> dict[str, dict[str, int]]:
    """By component of the phase: the messages in the window that its tests offer, and those that headroom is asked for.

    `volumes`: the rows of each phase that a test plan takes its volumes from.
    """
    levels: dict[str, dict[str, int]] = {}
    for plan in programme.tests.plans:
        if phase in plan.phases:
            target = sum(target_volumes(programme, volumes[plan.volumes_of], plan.component).values())
            levels[plan.component] = {"target volume": target}
            role = programme.component(plan.component).role
            for each in programme.requirements:
                if each.metric is Metric.HEADROOM and role in each.scope.roles:
                    levels[plan.component]["required headroom"] = _times(target, each)
    return levels


def _times(target: int, headroom: Requirement) -> int:
    return target * headroom.limit.value // 1_000_000


# --- the day ----------------------------------------------------------------------------------------------------------


def _day(programme: Programme, day: Day) -> Document:
    effects = {each.id: each for each in programme.volumes.calendar}
    rows = [row for row in programme.forecasts if row.phase == day.phase]
    plans = [row for row in programme.migration_plans if row.phase == day.phase]
    return {
        "date": day.date.isoformat(),
        "weekday": day.weekday.value,
        "effects": [
            {"effect": name, "title": effects[name].title, "factor": _value(programme, effects[name].factor)}
            for name in day.effects
        ],
        "forecast_version": rows[0].version,
        "migration_plan_version": plans[0].version if plans else None,
        "days": len(Calendar(programme, day.phase).days),
        "standing": sorted({*(str(row.standing) for row in rows), *(str(row.standing) for row in plans)}),
    }


def _window(programme: Programme) -> Document:
    window = programme.volumes.peak_window
    return {"begins": window.begins, "ends": window.ends, "seconds": window_us(programme) // 1_000_000}


def _value(programme: Programme, name: str) -> str:
    return format(programme.assumption(name).value, "f")


# --- A1: meters, devices, migrations ----------------------------------------------------------------------------------


def _a1(programme: Programme, day: Day) -> list[Document]:
    """A row for each cohort. Devices are whole, rounded half to even; None where the programme does not count them."""
    per_meter = programme.volumes.devices_per_meter
    devices = Fraction(programme.assumption(per_meter).value) if per_meter else None
    return [
        {
            "cohort": cohort.id,
            "title": cohort.title,
            "generation": cohort.generation,
            "meters": day.meters[cohort.id],
            "prepayment_meters": _prepayment(programme, day, cohort),
            "devices": round(day.meters[cohort.id] * devices) if devices is not None else None,
            "migrations_planned": day.planned.get(cohort.id, 0),
            "migrations": day.migrations.get(cohort.id, 0),
            "standing": str(_forecast(programme, day, cohort).standing),
            "source": _forecast(programme, day, cohort).source,
        }
        for cohort in programme.volumes.cohorts
    ]


def _forecast(programme: Programme, day: Day, cohort: CohortOfMeters) -> Forecast:
    """The row of the forecast that holds for a cohort on that day."""
    today = day.date.isoformat()
    return next(
        row
        for row in programme.forecasts
        if (row.phase, row.cohort) == (day.phase, cohort.id) and row.begins <= today <= row.ends
    )


def _prepayment(programme: Programme, day: Day, cohort: CohortOfMeters) -> int | str:
    known = _forecast(programme, day, cohort).counted_prepayment
    return NOT_KNOWN if known is None else known


def _migration(programme: Programme, day: Day) -> Document | None:
    """What the day's migrations come to: attempts, failures, what is left to people, and the capacity that is spare."""
    migration = programme.volumes.migration
    if migration is None:
        return None
    values = declared_values(programme)
    made = attempts(migration, values)
    begun = sum(day.migrations.values())
    cap = values(migration.cap)
    tries = begun * made.attempts
    again = tries - begun
    return {
        "planned": sum(day.planned.values()),
        "begun": begun,
        "waiting": day.waiting,
        "cap": decimal_text(Fraction(cap), 0),
        "throttle": migration.throttle,
        "attempts": decimal_text(Fraction(tries), 1),
        "attempts_each": decimal_text(Fraction(made.attempts), 6),
        "failing_share": decimal_text(Fraction(made.failing), 6),
        "failing": decimal_text(Fraction(tries * made.failing), 1),
        "again": decimal_text(Fraction(again), 1),
        "left_to_people": decimal_text(Fraction(begun * made.left), 3),
        "spare": decimal_text(Fraction(cap - begun), 0),
        "reprocessing_fits": bool(again <= cap - begun),
        "steps": [
            {
                "message": step.message,
                "path": step.path,
                "reached_by": decimal_text(Fraction(share), 6),
                "messages": decimal_text(Fraction(tries * share * values(step.per_attempt)), 1),
            }
            for step, share in zip(migration.steps, made.reaching, strict=True)
        ],
        "ramp": _ramp(programme, day.phase),
    }


def _ramp(programme: Programme, phase: str) -> list[Document]:
    """Installations a day over the phase, a row for each stretch of days that are alike."""
    rows: list[Document] = []
    days = Calendar(programme, phase).days
    for _, alike in groupby(days, key=lambda day: (tuple(day.planned.items()), tuple(day.migrations.items()))):
        stretch = list(alike)
        for cohort, begun in stretch[0].migrations.items():
            rows.append(  # two loops over one stretch
                {
                    "cohort": cohort,
                    "begins": stretch[0].date.isoformat(),
                    "ends": stretch[-1].date.isoformat(),
                    "planned": stretch[0].planned[cohort],
                    "begun": begun,
                    "waiting": stretch[-1].waiting,
                }
            )
    return rows


# --- A2: service requests by business process -------------------------------------------------------------------------


def _a2(programme: Programme, model: VolumeModel) -> list[Document]:
    """A row for each group and traffic label: messages offered to the system, a day and in the window, exact to one.

    Counted where they enter, so that a message that passes five components counts once.
    """
    values = declared_values(programme)
    day: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    window: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for stream in streams(programme, model.day, values):
        inside = Fraction(values(stream.in_window))
        for part in stream.parts:
            day[part.group, stream.traffic] += part.amount
            window[part.group, stream.traffic] += part.amount * inside
    seconds = window_us(programme) // 1_000_000
    shares = {group.id: group.share for group in programme.volumes.groups}
    total = sum(window.values())
    return [
        {
            "business_process": group.business_process,
            "group": group.id,
            "title": group.title,
            "srvs": [each.srv for each in group.srvs],
            "modes": {mode.value: _value(programme, name) for mode, name in group.modes.items()},
            "share": _value(programme, share) if (share := shares[group.id]) else None,
            "traffic": traffic,
            "day": round(day[group.id, traffic]),
            "window": round(window[group.id, traffic]),
            "per_second": decimal_text(window[group.id, traffic] / seconds, 3),
            "of_window_ppm": round(window[group.id, traffic] * 1_000_000 / total) if total else 0,
        }
        for group in programme.volumes.groups
        for traffic in sorted({label for name, label in day if name == group.id})
    ]


# --- A3: what each component handles ----------------------------------------------------------------------------------


def a3(programme: Programme, rows: Iterable[Volume]) -> list[Document]:
    """A row for each component, path, group, kind and mode: messages a day and in the window, and what they rest on."""
    window, groups = periods_in_window(programme), group_of(programme)
    day: dict[tuple[str, ...], int] = defaultdict(int)
    inside: dict[tuple[str, ...], int] = defaultdict(int)
    basis: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for row in rows:
        key = row.component, row.path, groups[row.srv], row.kind, row.mode
        day[key] += row.messages
        inside[key] += row.messages if row.period in window else 0
        basis[key].update(row.basis.split(" + "))
    return [
        {
            **dict(zip(("component", "path", "group", "kind", "mode"), key, strict=True)),
            "day": day[key],
            "window": inside[key],
            "basis": sorted(basis[key]),
        }
        for key in sorted(day)
    ]


def _paths(programme: Programme, rows: Sequence[Volume]) -> list[Document]:
    """Each message path that carries anything, its steps, and what each component on it handles in the window."""
    window = periods_in_window(programme)
    handled: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        if row.period in window and row.kind in OFFERED:
            handled[row.path, row.component] += row.messages
    return [
        {
            "path": path.id,
            "title": path.title,
            "offers": path.offers.value,
            "standing": str(path.standing),
            "steps": [_step(programme, step, path.id, handled) for step in path.steps],
        }
        for path in programme.system.message_paths
        if any(name == path.id for name, _ in handled)
    ]


def _step(programme: Programme, step: str, path: str, handled: Mapping[tuple[str, str], int]) -> Document:
    """A step with the messages offered to it in the window; those of a role's components together."""
    role = step.removeprefix("role:") if step.startswith("role:") else None
    filling = [each for each in programme.system.components if (each.role == role if role else each.id == step)]
    return {
        "step": role or step,
        "outside": all(each.scope is ComponentScope.OUTSIDE for each in filling),
        "tested": any(each.scope is ComponentScope.TESTED for each in filling),
        "window": sum(handled.get((path, each.id), 0) for each in filling),
    }


# --- peaks and the rest -----------------------------------------------------------------------------------------------


def _peak(each: Peaks) -> Document:
    return {
        "component": each.component,
        "window": each.window,
        "average_per_second": decimal_text(each.average, 3),
        "hour": _stretch(each.hour),
        "minute": _stretch(each.minute),
        "second": {"messages": each.second, "ratio": decimal_text(each.second_ratio, 3)},
    }


def _stretch(stretch: Stretch) -> Document:
    return {
        "begins": clock(stretch.begins),
        "messages": stretch.messages,
        "per_second": decimal_text(Fraction(stretch.messages, stretch.minutes * 60), 3),
        "ratio": decimal_text(stretch.ratio, 3),
    }


def _backlog(programme: Programme, each: Backlog) -> Document:
    declared = next(known for known in programme.volumes.catch_up if known.id == each.catch_up)
    return {
        "component": each.component,
        "catch_up": each.catch_up,
        "title": declared.title,
        "outage_begins": clock(each.begins),
        "outage_us": declared.outage,
        "cleared_within_us": declared.cleared_within,
        "queued": each.queued,
        "per_second": decimal_text(each.rate, 3),
        "ratio": decimal_text(each.ratio, 3),
    }


def _sensitivity(programme: Programme, found: Sequence[Sensitivity]) -> Document:
    declared = programme.volumes.sensitivity
    ranged = {each.id for each in ranged_assumptions(programme)}
    ends = {each.id: (each.low, each.value, each.high) for each in programme.assumptions if each.id in ranged}
    return {
        "draws": declared.draws,
        "seed": declared.seed,
        "generator": GENERATOR,
        "ranges": [
            {
                "assumption": each.id,
                "title": each.title,
                "unit": each.unit,
                "standing": str(each.standing),
                **dict(
                    zip(
                        ("low", "value", "high"),
                        (format(end, "f") for end in ends[each.id] if end is not None),
                        strict=True,
                    )
                ),
            }
            for each in programme.assumptions
            if each.id in ranged
        ],
        "components": [
            {
                "component": each.component,
                "peak": each.peak,
                "swings": [
                    {"assumption": swing.assumption, "at_low": swing.at_low, "at_high": swing.at_high}
                    for swing in each.swings
                ],
                "quantiles": [{"percent": percent, "messages": count} for percent, count in each.quantiles.items()],
                "exceeded": [
                    {"level": level.name, "messages": level.level, "draws_above_ppm": level.draws_above_ppm}
                    for level in each.exceeded
                ],
            }
            for each in found
        ],
    }


def _backtested(each: Backtested) -> Document:
    row = each.observed
    return {
        **{name: str(getattr(row, name)) for name in ("begins", "ends", "measure", "generation", "standing", "source")},
        "observed": row.value,
        "phase": each.phase,
        "modelled": each.modelled,
        "error_ppm": each.error_ppm,
    }
