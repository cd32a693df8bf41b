"""`plimsoll volumes`: the volume model of a phase in the terminal, as files, or beside another one."""

from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.errors import Status, UsageError
from flows.show import console, escape, print_json, table

if TYPE_CHECKING:
    from catalog.declarations import Programme
    from tasks.volumes.compare import Comparison, Side
    from tasks.volumes.sheets import Sheet

_BRIEF = {"a3", "hours"}
"""Sheets of hundreds of rows: shown in sum, and in full when asked for by name."""

_SWINGS = 5
_BAR = 24


def volumes(options: Namespace) -> Status:
    """Shows the volume model of a phase: what every component must carry, on what it rests, and what would move it."""
    from dataclasses import asdict

    from flows.desk import find_phase
    from tasks.hold_inputs import read_held
    from tasks.volumes.model import model_phase
    from tasks.volumes.sheets import sheets
    from tasks.volumes.tables import levels_tested, tabulate

    programme = read_held(options.catalog).programme
    phase = find_phase(programme, options.phase).id
    if options.compare:
        return _compare(options, programme, phase)
    models = {each: model_phase(programme, each) for each in _phases(programme, phase)}
    levels = levels_tested(programme, phase, {name: model.rows for name, model in models.items()})
    document = tabulate(programme, models[phase], levels)
    made = sheets(document)
    if options.out:
        from tasks.volumes.export import export

        written = export(options.out, document, made, models[phase].rows)
        if not options.json:
            console().print(f"{len(written)} files in {escape(options.out)}: tables, figures, model.json")
    if options.json:
        rows = [asdict(row) for row in models[phase].rows]
        print_json({"phase": phase, "window_us": document["window"]["seconds"] * 1_000_000, "volumes": rows,
                    "model": document})  # fmt: skip
    elif options.table:
        _show_sheet(made, options.table)
    elif not options.out:
        _show(programme, document, made)
    return Status.PROVED


def _phases(programme: "Programme", phase: str) -> list[str]:
    from tasks.plan import phases_needed

    return phases_needed(programme, phase)


def _show(programme: "Programme", model: Mapping[str, Any], made: "Sequence[Sheet]") -> None:
    out = console()
    day, window = model["day"], model["window"]
    effects = ", ".join(f"{each['title']} × {each['factor']}" for each in day["effects"]) or "no effect of the calendar"
    out.print(
        f"[bold]Volume model of {escape(model['phase'])}[/]: its busiest day of {day['days']:,}, {day['weekday']} "
        f"{day['date']} ({escape(effects)})\n"
        f"forecasts {escape(day['forecast_version'])}; peak window {window['begins']} to {window['ends']} UTC, "
        f"{window['seconds']:,} s"
    )
    for sheet in made:
        if sheet.name == "a3":
            out.print(_by_component(model))
        elif sheet.name == "sensitivity":
            out.print(_tornado(model))
        elif sheet.name not in _BRIEF:
            out.print(_table(sheet, brief=True))
        if sheet.name == "migration-steps":
            out.print(_attempts(model["migration"]))
    unagreed = sum(each.standing != "agreed" for each in programme.assumptions)
    names = ", ".join(sheet.name for sheet in made)
    out.print(
        f"{unagreed} of {len(programme.assumptions)} assumptions are not agreed (proposed or unverified).\n"
        f"In full: --table NAME ({names}); as files: --out DIR; against another phase or day: --compare."
    )


def _table(sheet: "Sheet", *, brief: bool) -> Any:
    """A sheet as a table; in an overview without what little room cannot hold, and no name twice in a row."""
    from tasks.volumes.sheets import cell_text

    columns = [column for column in sheet.columns if column.brief or not brief]
    rows = [[escape(cell_text(row, column)) for column in columns] for row in sheet.rows]
    if brief:
        names = [row[0] for row in rows]
        rows = [["" if before == row[0] else row[0], *row[1:]] for before, row in zip(["", *names], rows, strict=False)]
    return table(sheet.title, [column.heading for column in columns], rows,
                 right=[column.heading for column in columns if column.unit])  # fmt: skip


def _show_sheet(made: "Sequence[Sheet]", name: str) -> None:
    found = {sheet.name: sheet for sheet in made}
    if name not in found:
        raise UsageError(f"there is no table {name!r}", remedy=f"There are: {', '.join(found)}.")
    out = console()
    out.print(_table(found[name], brief=False))
    out.print(escape(found[name].note))


def _by_component(model: Mapping[str, Any]) -> Any:
    """Table A3 in sum: a row for each component and kind of message."""
    day: dict[tuple[str, str], int] = defaultdict(int)
    window: dict[tuple[str, str], int] = defaultdict(int)
    for row in model["a3"]:
        day[row["component"], row["kind"]] += row["day"]
        window[row["component"], row["kind"]] += row["window"]
    columns = ("component", "kind", "a day", "in the peak window", "a second, window average")
    rows = list(_summed(day, window, model["window"]["seconds"]))
    return table("A3 in sum: what each component handles", columns, rows, right=columns[2:])


def _summed(day: Mapping[tuple[str, str], int], window: Mapping[tuple[str, str], int], seconds: int) -> Iterator[Any]:
    before = ""
    for component, kind in sorted(day):
        named = "" if component == before else component
        before = component
        counts = day[component, kind], window[component, kind]
        yield named, kind, f"{counts[0]:,}", f"{counts[1]:,}", f"{counts[1] / seconds:,.2f}"


def _attempts(migration: Mapping[str, Any]) -> str:
    fits = "enough" if migration["reprocessing_fits"] else "[red]not enough[/]"
    return (
        f"Of {migration['begun']:,} installations begun, {migration['attempts']} attempts: {migration['failing']} "
        f"fail, {migration['again']} are made again, {migration['left_to_people']} installations are left to people.\n"
        f"Capacity {int(migration['cap']):,} a day, {int(migration['spare']):,} spare: {fits} for reprocessing.\n"
    )


def _tornado(model: Mapping[str, Any]) -> Any:
    """The widest swings of each component, drawn as bars around the peak as declared."""
    found = model["sensitivity"]["components"]
    ranges = {each["assumption"]: each for each in model["sensitivity"]["ranges"]}
    rows = []
    for each in found:
        ends = [swing[end] for swing in each["swings"] for end in ("at_low", "at_high")]
        lowest, highest = min([*ends, each["peak"]]), max([*ends, each["peak"]])
        for place, swing in enumerate(each["swings"][:_SWINGS]):
            known = ranges[swing["assumption"]]
            rows.append(
                (
                    each["component"] if place == 0 else "",
                    swing["assumption"],
                    f"{known['low']} · {known['value']} · {known['high']}",
                    f"{swing['at_low']:,}",
                    f"{swing['at_high']:,}",
                    _bar(swing, each["peak"], lowest, highest),
                )
            )
    columns = ("component", "assumption", "low · declared · high", "peak at low", "peak at high", "│ as declared")
    return table("Which assumptions move the peak most (messages in the window)", columns, rows,
                 right=("peak at low", "peak at high"))  # fmt: skip


def _bar(swing: Mapping[str, int], peak: int, lowest: int, highest: int) -> str:
    def place(value: int) -> int:
        return round((value - lowest) * (_BAR - 1) / ((highest - lowest) or 1))

    first, last = sorted((place(swing["at_low"]), place(swing["at_high"])))
    cells = ["█" if first <= cell <= last else " " for cell in range(_BAR)]
    cells[place(peak)] = "│" if first == last else "┃"
    return "".join(cells).rstrip()


# --- beside another model ---------------------------------------------------------------------------------------------


def _compare(options: Namespace, programme: "Programme", phase: str) -> Status:
    from tasks.volumes.compare import Side, compare

    new = Side.of(phase, programme, phase)
    found = compare(_other(options, programme, phase), new)
    if options.json:
        print_json(found.as_json())
    else:
        _show_comparison(found)
    return Status.PROVED


def _other(options: Namespace, programme: "Programme", phase: str) -> "Side":
    """The model to compare with: another phase of this catalogue, or this phase as it was recorded on a day."""
    from tasks.volumes.compare import Side

    if options.compare in {each.id for each in programme.programme.phases}:
        return Side.of(options.compare, programme, options.compare)
    try:
        day = date.fromisoformat(options.compare)
    except ValueError:
        known = ", ".join(each.id for each in programme.programme.phases)
        raise UsageError(
            f"{options.compare!r} is neither a phase nor a day",
            remedy=f"The phases are: {known}; a day is written 2020-06-30.",
        ) from None
    return Side.of(f"{phase} as recorded by {day}", _recorded(options.home, phase, day), phase)


def _recorded(home: Path, phase: str, day: date) -> "Programme":
    """The programme behind the newest volumes of the phase that were recorded by the end of that day (UTC)."""
    from pydantic import ValidationError

    from catalog.declarations import Programme
    from catalog.ledger import Kind
    from catalog.workspace import FORMAT_FILE, Workspace

    workspace = Workspace.open(home) if (home / FORMAT_FILE).exists() else None
    records = workspace.select(Kind.DERIVED, phase=phase) if workspace else []
    modelled = [each for each in records if each.stage == "volumes"]
    by_then = [each for each in modelled if datetime.fromisoformat(each.time).astimezone(UTC).date() <= day]
    if workspace is None or not by_then:
        raise UsageError(
            f"no volumes of {phase} were recorded in {home} by {day}",
            remedy="`plimsoll run` records them; name another day, or another workspace with --home.",
        )
    inputs = {item.role: item.digest for item in by_then[-1].inputs}
    declared = next(
        each for each in workspace.select(Kind.DECLARED) if each.output("volume inputs") == inputs["volume inputs"]
    )
    try:
        return Programme.model_validate(workspace.store.document(declared.output("programme") or ""))
    except ValidationError as error:
        raise UsageError(
            f"the programme recorded by {day} was declared for another version of Plimsoll "
            f"({error.error_count()} differences)",
            remedy="Compare with a later day, or with the version that recorded it.",
        ) from None


def _show_comparison(found: "Comparison") -> None:
    out = console()
    rows = (
        (each.component, f"{each.old:,}", f"{each.new:,}", f"{each.new - each.old:+,}", _percent(each.old, each.new))
        for each in found.moved
    )
    columns = ("component", found.old, found.new, "change", "of the old")
    out.print(table("Messages offered in the peak window", columns, rows, right=columns[1:]))
    if not found.causes:
        out.print("Nothing that the volume model depends on has changed.")
        return
    causes = [
        [*map(escape, (each.input, _short(each.old), _short(each.new))), _signed(each.alone)] for each in found.causes
    ]
    heads = ("what changed", found.old, found.new, "alone, over all components")
    out.print(table("Why", heads, causes, right=heads[3:]))
    out.print(f"Changed together, beyond what each adds alone: {found.together:+,}")


def _signed(count: int | None) -> str:
    return "" if count is None else f"{count:+,}"


def _percent(old: int, new: int) -> str:
    return f"{(new - old) * 100 / old:+.1f} %" if old else "new"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"
