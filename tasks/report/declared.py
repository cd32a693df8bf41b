"""The report's sections on what was declared: volumes, assumptions, requirements, scope, conduct and exit criteria."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from catalog.declarations import (
    METRICS,
    Assumption,
    CriterionKind,
    EnvironmentKind,
    MessageKind,
    Requirement,
    Traffic,
)
from expectations.exit_criteria import Held, assumptions_in_use, exclusions_in_force, hold_criteria, plans_in_force
from tasks.report.context import Context, Row, shown
from tasks.report.figures import Figure, Parts, decimal_text

_HUNDREDTHS = Decimal("0.01")
_SECONDS_AN_HOUR = 3_600


def volume_model(context: Context) -> dict[str, Any]:
    """Messages a day, in the peak window and per second of it: by component and path, and by SRV group."""
    volumes = context.programme.volumes
    peak = next(period for period in volumes.periods if period.id == volumes.peak_window)
    hours = peak.to_hour - peak.from_hour
    by_phase: dict[str, list[Row]] = defaultdict(list)
    for row in context.facts["volumes"]["rows"]:
        by_phase[row["phase"]].append(row)
    order = [context.facts["phase"], *(phase.id for phase in context.programme.programme.phases)]
    return {
        "window": {"title": peak.title, "hours": context.declared("peak-window/hours", hours, "h")},
        "phases": [
            _phase_volumes(context, phase, by_phase[phase], hours)
            for phase in dict.fromkeys(order)
            if phase in by_phase
        ],
    }


def _phase_volumes(context: Context, phase: str, rows: list[Row], hours: int) -> dict[str, Any]:
    aimed = [plan.id for plan in plans_in_force(context.programme, context.facts["phase"]) if plan.volumes_of == phase]
    components = sorted({row["component"] for row in rows}, key=_position(context))
    return {
        "phase": phase,
        "title": context.programme.phase(phase).title,
        "own": phase == context.facts["phase"],
        "targets_of": aimed,
        "components": [_component_volumes(context, phase, name, rows, hours) for name in components],
        "groups": _group_volumes(context, phase, rows),
        "kinds": _kind_volumes(context, phase, rows, components),
    }


def _position(context: Context) -> Any:
    """Sorts components: those of the phase first, then as declared."""
    declared = [*context.phase.components, *(component.id for component in context.programme.system.components)]
    return declared.index


def _component_volumes(context: Context, phase: str, name: str, rows: list[Row], hours: int) -> dict[str, Any]:
    own = [row for row in rows if row["component"] == name]
    component = context.programme.component(name)
    return {
        "component": name,
        "title": component.title,
        "tested": name in context.phase.components,
        "total": _volumes(context, f"{phase}/{name}/all", own, hours),
        "paths": [
            {
                "path": path,
                **_volumes(context, f"{phase}/{name}/{path}", [row for row in own if row["path"] == path], hours),
                **_rests_on(context, path, own),
            }
            for path in sorted({row["path"] for row in own})
        ],
    }


def _volumes(context: Context, name: str, rows: Iterable[Row], hours: int) -> dict[str, Figure]:
    rows = list(rows)
    day = sum(row["messages"] for row in rows)
    in_window: Counter[str] = Counter()
    for row in rows:
        if row["period"] == context.programme.volumes.peak_window:
            in_window[row["kind"]] += row["messages"]
    offered = in_window[MessageKind.REQUEST] + in_window[MessageKind.ALERT]
    return {
        "day": _volume(context, f"{name}/day", day),
        "window": _volume(context, f"{name}/window", sum(in_window.values())),
        "per_second": _rate(context, f"{name}/per-second", sum(in_window.values()), hours),
        "offered_per_second": _rate(context, f"{name}/offered-per-second", offered, hours),
    }


def _rate(context: Context, name: str, messages: int, hours: int) -> Figure:
    rate = (Decimal(messages) / (hours * _SECONDS_AN_HOUR)).quantize(_HUNDREDTHS)
    return _volume(context, name, decimal_text(rate), "messages per second", f"{rate:,f}")


def _volume(context: Context, name: str, value: int | str, unit: str = "messages", text: str = "") -> Figure:
    evidence = [context.facts["volumes"]["digests"][name.split("/")[0]]]
    return context.figures.figure(f"volumes/{name}", value, unit, evidence, text=text or f"{value:,}")


def _rests_on(context: Context, path: str, rows: list[Row]) -> dict[str, list[str]]:
    """The forecast rows and assumptions behind a path's volumes: `basis` as recorded, `assumptions` as declared."""
    basis = {part for row in rows if row["path"] == path for part in row["basis"].split(" + ")}
    traffics = [traffic for traffic in context.programme.volumes.traffic if traffic.path == path]
    used = {name for traffic in traffics for name in _assumptions_of(context, traffic)}
    return {"basis": sorted(basis), "assumptions": sorted(used)}


def _assumptions_of(context: Context, traffic: Traffic) -> Iterable[str]:
    shares = {group.id: group.share for group in context.programme.volumes.groups}
    return {*traffic.factors, traffic.in_window, *(share for name in traffic.groups if (share := shares[name]))}


def _group_volumes(context: Context, phase: str, rows: list[Row]) -> list[dict[str, Any]]:
    """Messages in the peak window: a row per SRV group, a cell per component of the phase."""
    peak = context.programme.volumes.peak_window
    cells: dict[tuple[str, str], int] = defaultdict(int)
    group_of = {weighted.srv: group.id for group in context.programme.volumes.groups for weighted in group.srvs}
    for row in rows:
        if row["period"] == peak:
            cells[group_of[row["srv"]], row["component"]] += row["messages"]
    return [
        {
            "group": group.id,
            "title": group.title,
            "business_process": group.business_process,
            "srvs": [weighted.srv for weighted in group.srvs],
            "window": {
                name: _volume(context, f"{phase}/{name}/group/{group.id}", cells[group.id, name])
                for name in context.phase.components
                if any(row["component"] == name for row in rows)
            },
        }
        for group in context.programme.volumes.groups
        if any(cell[0] == group.id for cell in cells)
    ]


def _kind_volumes(context: Context, phase: str, rows: list[Row], components: list[str]) -> Figure:
    """Messages in the peak window by component and kind of message, as one figure that a chart is drawn from."""
    peak = context.programme.volumes.peak_window
    cells: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        if row["period"] == peak:
            cells[row["component"], row["kind"]] += row["messages"]
    order = {name: place for place, name in enumerate(components)}
    ordered = sorted(cells.items(), key=lambda cell: (order[cell[0][0]], cell[0][1]))
    table = [[name, kind, count] for (name, kind), count in ordered if count]
    carried = {name: sum(count for (each, _), count in cells.items() if each == name) for name in components}
    busiest = max(carried, key=lambda name: carried[name])
    return context.figures.figure(
        f"volumes/{phase}/by-kind",
        len(table),
        "rows",
        [context.facts["volumes"]["digests"][phase]],
        alt=f"Messages in the peak window by component and kind of message; {busiest} carries the most.",
        columns=["component", "kind", "messages"],
        rows=table,
    )


def assumption_register(context: Context) -> list[dict[str, Any]]:
    """Every assumption with its standing, and whether some traffic of the model rests on it."""
    used = assumptions_in_use(context.programme)
    return [_assumption(context, assumption, used) for assumption in context.programme.assumptions]


def _assumption(context: Context, assumption: Assumption, used: frozenset[str]) -> dict[str, Any]:
    return {
        **_texts(assumption, "id", "title", "standing", "source", "owner", "date", "note"),
        "value": context.declared(
            f"assumption/{assumption.id}",
            decimal_text(assumption.value),
            assumption.unit,
            text=f"{assumption.value:,f}",
            standing=str(assumption.standing),
        ),
        "in_use": assumption.id in used,
    }


def forecasts(context: Context) -> list[dict[str, Any]]:
    """Every row of the forecasts with its standing."""
    return [
        {
            **_texts(row, "phase", "cohort", "standing", "source"),
            "meters": _forecast(context, row, "meters"),
            "migrations": _forecast(context, row, "migrations_per_day"),
        }
        for row in context.programme.forecasts
    ]


def _forecast(context: Context, row: Any, field: str) -> Figure:
    name = f"forecast/{row.phase}/{row.cohort}/{field.replace('_', '-')}"
    return context.declared(name, getattr(row, field), "count", standing=str(row.standing))


def requirements(context: Context) -> list[dict[str, Any]]:
    """The requirements in force with limit, scope and standing."""
    return [
        {
            **_texts(requirement, "id", "title", "metric", "standing", "source", "owner"),
            "meaning": METRICS[requirement.metric][2],
            "direction": str(METRICS[requirement.metric][1]),
            "limit": limit(context, requirement),
            "within": requirement.within and context.declared(f"within/{requirement.id}", requirement.within, "us"),
            "roles": list(requirement.scope.roles),
            "types": [str(each) for each in requirement.scope.types],
            "groups": list(requirement.scope.groups),
        }
        for requirement in context.programme.requirements
    ]


def limit(context: Context, requirement: Requirement) -> Figure:
    """A requirement's declared limit."""
    value, unit = requirement.limit.value, str(requirement.limit.unit)
    return context.declared(
        f"limit/{requirement.id}",
        value,
        unit,
        text=shown(value, unit, requirement.metric),
        standing=str(requirement.standing),
    )


def scope(context: Context) -> dict[str, Any]:
    """What is tested and by what; what is not, why not, where it is assured, and the risk that remains."""
    stated = ("rationale", "assured_elsewhere", "residual_risk", "monitoring", "owner", "standing", "source")
    return {
        "included": [
            _texts(each, "id", "title", "kind", "tested_by", "source") for each in context.programme.scope.included
        ],
        "exclusions": [
            _texts(each, "id", "title", "kind", *stated)
            for each in exclusions_in_force(context.programme, context.facts["phase"])
        ],
    }


def conduct(context: Context) -> list[dict[str, Any]]:
    """How each type of test is declared to be conducted."""
    planned = {name for plan in plans_in_force(context.programme, context.facts["phase"]) for name in plan.tests}
    return [
        {
            **_texts(profile, "id", "type", "title", "standing", "source"),
            **{
                field: context.declared(f"conduct/{profile.id}/{field}", getattr(profile, field), unit)
                for field, unit in (("duration", "us"), ("timeout", "us"), ("lateness", "us"), ("blocks", "count"))
            },
            "steps": [
                context.declared(f"conduct/{profile.id}/step/{index}", decimal_text(step), "times")
                for index, step in enumerate(profile.steps, 1)
            ],
        }
        for profile in context.programme.tests.profiles
        if profile.id in planned
    ]


def exit_criteria(context: Context) -> list[dict[str, Any]]:
    """Each exit criterion held against the facts. `rehearsal`: those are a rehearsal's, and hold nowhere else."""
    rehearsal = context.environment.kind is EnvironmentKind.REHEARSAL
    held = hold_criteria(
        context.programme,
        context.facts["phase"],
        verdicts=[row["verdict"] for row in context.observations],
        ends=[test["end"] for test in context.tests],
    )
    return [
        {
            **_texts(each.criterion, "id", "text", "kind", "source"),
            "state": str(each.state),
            "rehearsal": rehearsal and each.criterion.kind in _FROM_RUNS,
            "reason": _reason(context, each),
        }
        for each in held
    ]


_FROM_RUNS = (CriterionKind.OBSERVATIONS_PROVED, CriterionKind.TESTS_ENDED)
"""The criteria that are held against what test runs came to."""


def _reason(context: Context, held: Held) -> Parts:
    """The reason with its counts as figures, resting on everything that the criteria are held against."""
    facts = context.facts
    evidence = [facts["programme_digest"], facts["plan"]["digest"], facts["observations"]["digest"]]
    parts: Parts = [held.reason]
    for name, value in held.counts.items():
        figure = context.figures.figure(
            f"exit-criterion/{held.criterion.id}/{name.replace(' ', '-')}", value, "count", evidence
        )
        parts = [piece for part in parts for piece in _split(part, f"{{{name}}}", figure)]
    return [part for part in parts if part != ""]


def _split(part: str | Figure, mark: str, figure: Figure) -> Parts:
    if not isinstance(part, str) or mark not in part:
        return [part]
    before, after = part.split(mark, 1)
    return [before, figure, after]


def _texts(declared: Any, *names: str) -> dict[str, str]:
    return {name: str(getattr(declared, name)) for name in names}
