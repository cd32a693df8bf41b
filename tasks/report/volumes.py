"""The report's section on volumes: what the model says, on what it rests, and what would move it.

The phases whose volumes are targets come first, by component, path and group; then the phase's own model in full, its
tables (`tasks.volumes.sheets`) and figures (`tasks.volumes.figures`). Every number is a figure.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from catalog.decimals import decimal_text
from catalog.declarations import MessageKind
from catalog.routes import routes
from expectations.exit_criteria import plans_in_force
from tasks.report.context import Context, Row
from tasks.report.figures import Figure, Parts
from tasks.volumes.figures import figure_tables
from tasks.volumes.sheets import Column, Sheet, cell_text, sheets
from tasks.volumes.sheets import Row as SheetRow

_HUNDREDTHS = Decimal("0.01")


def volume_model(context: Context) -> dict[str, Any]:
    """Messages a day, in the peak window and per second of it: by component and path, and by SRV group; the model."""
    rows: dict[str, list[Row]] = context.facts["volumes"]["rows"]
    order = [context.facts["phase"], *(phase.id for phase in context.programme.programme.phases)]
    return {
        "window": _window(context),
        "phases": [_phase_volumes(context, name, rows[name]) for name in dict.fromkeys(order) if name in rows],
        "model": _model(context),
    }


def forecasts(context: Context) -> list[dict[str, Any]]:
    """Every row of the forecasts with its standing."""
    return [
        {
            **{name: str(getattr(row, name)) for name in ("phase", "cohort", "begins", "ends", "version")},
            "standing": str(row.standing),
            "source": row.source,
            "meters": _declared(context, f"forecast/{row.phase}/{row.cohort}/{row.begins}", row.counted, row.standing),
        }
        for row in context.programme.forecasts
    ]


def migration_plans(context: Context) -> list[dict[str, Any]]:
    """Every row of the migration plans with its standing."""
    return [
        {
            **{name: str(getattr(row, name)) for name in ("phase", "cohort", "begins", "ends", "version")},
            "standing": str(row.standing),
            "source": row.source,
            "installations": _declared(
                context,
                f"migration-plan/{row.phase}/{row.cohort}/{row.begins}",
                row.installations_per_day,
                row.standing,
            ),
        }
        for row in context.programme.migration_plans
    ]


def _declared(context: Context, name: str, value: int, standing: object) -> Figure:
    return context.declared(name, value, "count", standing=str(standing))


def _window(context: Context) -> dict[str, Any]:
    window = context.facts["volumes"]["model"]["window"]
    hours = decimal_text((Decimal(window["seconds"]) / 3600).quantize(_HUNDREDTHS))
    return {
        "title": f"{window['begins']} to {window['ends']} UTC",
        "hours": context.declared("peak-window/hours", hours, "h"),
    }


# --- phases by component ----------------------------------------------------------------------------------------------


def _phase_volumes(context: Context, phase: str, rows: list[Row]) -> dict[str, Any]:
    aimed = [plan.id for plan in plans_in_force(context.programme, context.facts["phase"]) if plan.volumes_of == phase]
    components = sorted({row["component"] for row in rows}, key=_position(context))
    return {
        "phase": phase,
        "title": context.programme.phase(phase).title,
        "own": phase == context.facts["phase"],
        "targets_of": aimed,
        "components": [_component_volumes(context, phase, name, rows) for name in components],
        "groups": _group_volumes(context, phase, rows),
        "kinds": _kind_volumes(context, phase, rows, components),
    }


def _position(context: Context) -> Any:
    """Sorts components: those of the phase first, then as declared."""
    declared = [*context.phase.components, *(component.id for component in context.programme.system.components)]
    return declared.index


def _component_volumes(context: Context, phase: str, name: str, rows: list[Row]) -> dict[str, Any]:
    own = [row for row in rows if row["component"] == name]
    component = context.programme.component(name)
    return {
        "component": name,
        "title": component.title,
        "tested": name in context.phase.components,
        "total": _volumes(context, f"{phase}/{name}/all", own),
        "paths": [
            {
                "path": path,
                **_volumes(context, f"{phase}/{name}/{path}", [row for row in own if row["path"] == path]),
                **_rests_on(context, path, own),
            }
            for path in sorted({row["path"] for row in own})
        ],
    }


def _volumes(context: Context, name: str, rows: Iterable[Row]) -> dict[str, Figure]:
    rows = list(rows)
    day = sum(row["day"] for row in rows)
    in_window: Counter[str] = Counter()
    for row in rows:
        in_window[row["kind"]] += row["window"]
    offered = in_window[MessageKind.REQUEST] + in_window[MessageKind.ALERT]
    return {
        "day": _volume(context, f"{name}/day", day),
        "window": _volume(context, f"{name}/window", sum(in_window.values())),
        "per_second": _rate(context, f"{name}/per-second", sum(in_window.values())),
        "offered_per_second": _rate(context, f"{name}/offered-per-second", offered),
    }


def _rate(context: Context, name: str, messages: int) -> Figure:
    seconds = context.facts["volumes"]["model"]["window"]["seconds"]
    rate = (Decimal(messages) / seconds).quantize(_HUNDREDTHS)
    return _volume(context, name, decimal_text(rate), "messages per second", f"{rate:,f}")


def _volume(context: Context, name: str, value: int | str, unit: str = "messages", text: str = "") -> Figure:
    evidence = [context.facts["volumes"]["digests"][name.split("/")[0]]]
    return context.figures.figure(f"volumes/{name}", value, unit, evidence, text=text or f"{value:,}")


def _rests_on(context: Context, path: str, rows: list[Row]) -> dict[str, list[str]]:
    """The forecast rows and assumptions behind a path's volumes: `basis` as recorded, `assumptions` as declared."""
    basis = {part for row in rows if row["path"] == path for part in row["basis"]}
    used = {name for route in routes(context.programme.volumes) if route.path == path for name in route.assumptions}
    return {"basis": sorted(basis), "assumptions": sorted(used)}


def _group_volumes(context: Context, phase: str, rows: list[Row]) -> list[dict[str, Any]]:
    """Messages in the peak window: a row per SRV group, a cell per component of the phase."""
    cells: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        cells[row["group"], row["component"]] += row["window"]
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
    cells: dict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        cells[row["component"], row["kind"]] += row["window"]
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


# --- the phase's own model --------------------------------------------------------------------------------------------


def _model(context: Context) -> dict[str, Any]:
    """The day modelled, the figures and the tables of the phase's own model."""
    model = context.facts["volumes"]["model"]
    return {
        "day": _day(context),
        "reprocessing": _reprocessing(context),
        "figures": [
            {
                "name": each.name,
                "title": each.title,
                "chart": context.figures.figure(
                    f"volume-model/{each.name}",
                    len(each.rows),
                    "rows",
                    [context.facts["volumes"]["model_digest"]],
                    alt=each.alt,
                    columns=list(each.columns),
                    rows=[list(row) for row in each.rows],
                ),
            }
            for each in figure_tables(model)
        ],
        "sheets": [_sheet(context, each) for each in sheets(model) if each.name not in ("a3", "hours")],
    }


def _day(context: Context) -> Parts:
    day = context.facts["volumes"]["model"]["day"]
    effects = ", ".join(f"{each['title']} (× {each['factor']})" for each in day["effects"])
    return [
        "Modelled is the busiest of the phase's ",
        _figure(context, "days", day["days"], "days"),
        f" days, {day['weekday'].capitalize()} {day['date']}, "
        + (f"with {effects}. " if effects else "on which no effect of the calendar falls. ")
        + f"Forecasts: version {day['forecast_version']}"
        + (f"; migration plans: version {day['migration_plan_version']}." if day["migration_plan_version"] else "."),
    ]


def _reprocessing(context: Context) -> Parts:
    """What failed migrations add, and whether there is capacity for them; nothing where nothing is migrated."""
    migration = context.facts["volumes"]["model"]["migration"]
    if migration is None:
        return []
    fits = "enough" if migration["reprocessing_fits"] else "not enough"
    return [
        "Of ",
        _figure(context, "migration/begun", migration["begun"], "installations"),
        " installations begun that day, ",
        _figure(context, "migration/again", migration["again"], "attempts"),
        " attempts are made again, since ",
        _figure(context, "migration/failing", migration["failing"], "attempts"),
        " fail; ",
        _figure(context, "migration/left-to-people", migration["left_to_people"], "installations"),
        " installations are left to people. Of a capacity of ",
        _figure(context, "migration/cap", migration["cap"], "installations"),
        " a day ",
        _figure(context, "migration/spare", migration["spare"], "installations"),
        f" are spare: {fits} for reprocessing.",
    ]


def _figure(context: Context, name: str, value: int | str, unit: str, text: str = "") -> Figure:
    evidence = [context.facts["volumes"]["model_digest"]]
    return context.figures.figure(f"volume-model/{name}", value, unit, evidence, text=text or f"{Decimal(value):,f}")


def _sheet(context: Context, sheet: Sheet) -> dict[str, Any]:
    """A sheet with every number as a figure; `number`: whether a column holds them."""
    return {
        "name": sheet.name,
        "title": sheet.title,
        "note": sheet.note,
        "columns": [
            {"heading": column.heading, "unit": _unit(column), "number": bool(column.unit)} for column in sheet.columns
        ],
        "rows": [[_cell(context, sheet, row, column) for column in sheet.columns] for row in sheet.rows],
    }


def _unit(column: Column) -> str:
    return "" if column.unit in ("", "share", "error", "count", "messages") else column.unit


def _cell(context: Context, sheet: Sheet, row: SheetRow, column: Column) -> str | Figure:
    value = row.get(column.key)
    if not column.unit or value is None:
        return cell_text(row, column)
    name = "/".join([sheet.name, *(str(row[key]) or "all" for key in sheet.key), column.key])
    unit = "ppm" if column.unit in ("share", "error") else column.unit
    return _figure(context, f"table/{name}", value, unit, cell_text(row, column))
