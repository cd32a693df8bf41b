"""The tables of a volume model as sheets: titled columns and plain rows, from which every form of them is made.

A sheet's rows are the document's, with nested parts laid out flat. Cells are integers, texts, or None where there is
nothing to say.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from catalog.declarations import METERS
from catalog.shown import plain

Cell = int | str | None
Row = Mapping[str, Cell]

SHARE, ERROR = "share", "error"
"""Units of whole parts per million that are shown as percentages, an error with its sign."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: the key of its cells, its heading, and its unit where its cells are numbers.

    `brief`: whether an overview has it, where there is little room.
    """

    key: str
    heading: str
    unit: str = ""
    brief: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One table. `key`: the columns that name a row; `note`: how to read it."""

    name: str
    title: str
    note: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: Sequence[Row]


def sheets(model: Mapping[str, Any]) -> list[Sheet]:
    """Every sheet of a volume model's document that has rows, in reading order."""
    return [sheet for make in _SHEETS if (sheet := make(model)).rows]


def csv_text(sheet: Sheet) -> str:
    """The sheet as CSV (RFC 4180), headed by the keys of its columns."""
    lines = [",".join(column.key for column in sheet.columns)]
    lines += [",".join(_csv(row.get(column.key)) for column in sheet.columns) for row in sheet.rows]
    return "".join(f"{line}\r\n" for line in lines)


def markdown(sheet: Sheet) -> str:
    """The sheet as a Markdown table under its title."""
    heads = [column.heading + (f" ({column.unit})" if column.unit else "") for column in sheet.columns]
    rules = ["---:" if column.unit else "---" for column in sheet.columns]
    lines = [heads, rules, *([_markdown(cell_text(row, column)) for column in sheet.columns] for row in sheet.rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"## {sheet.title}\n\n{sheet.note}\n\n{table}\n"


def cell_text(row: Row, column: Column) -> str:
    """A cell as a reader sees it: numbers with thousands apart, shares as percentages, nothing as a dash."""
    value = row.get(column.key)
    match value:
        case None | "":
            return "–"
        case int() if column.unit in (SHARE, ERROR):
            percent = plain(Decimal(value) / 10_000, 3)
            return f"+{percent} %" if column.unit == ERROR and value > 0 else f"{percent} %"
        case int():
            return f"{value:,}"
        case str() if column.unit:
            return plain(Decimal(value), 24)
        case _:
            return value


_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?[0-9.]+")


def _csv(value: Cell) -> str:
    """A cell; a text that a spreadsheet would take for a formula begins with an apostrophe, which it does not show."""
    text = "" if value is None else str(value)
    if isinstance(value, str) and text.startswith(_FORMULA) and not _NUMBER.fullmatch(text):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\r\n') else text


def _markdown(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


# --- what each sheet holds --------------------------------------------------------------------------------------------


def _a1(model: Mapping[str, Any]) -> Sheet:
    counted = model.get("counted", METERS)
    apart = " Credit and prepayment are told apart only where that is known."
    return Sheet(
        name="a1",
        title=f"A1: {counted}, devices and migrations",
        note=f"On the day modelled.{apart if counted == METERS else ''}",
        key=("cohort",),
        columns=(
            Column(key="cohort", heading="cohort"),
            Column(key="generation", heading="generation"),
            Column(key="meters", heading=counted, unit="count"),
            *([Column(key="prepayment_meters", heading="prepayment")] if counted == METERS else []),
            Column(key="devices", heading="devices", unit="count"),
            Column(key="migrations_planned", heading="migrations planned", unit="a day", brief=False),
            Column(key="migrations", heading="migrations a day", unit="a day"),
            Column(key="standing", heading="standing"),
        ),
        rows=[{**row, "prepayment_meters": str(row["prepayment_meters"])} for row in model["a1"]],
    )


def _a2(model: Mapping[str, Any]) -> Sheet:
    return Sheet(
        name="a2",
        title="A2: messages offered to the system, by business process",
        note="Counted once, where they enter. Alerts and migrations stand beside the service requests.",
        key=("group", "traffic"),
        columns=(
            Column(key="business_process", heading="business process"),
            Column(key="group", heading="group"),
            Column(key="traffic", heading="traffic"),
            Column(key="day", heading="a day", unit="messages", brief=False),
            Column(key="window", heading="in the window", unit="messages"),
            Column(key="per_second", heading="a second of it", unit="messages"),
            Column(key="of_window_ppm", heading="share", unit=SHARE),
        ),
        rows=model["a2"],
    )


def _a3(model: Mapping[str, Any]) -> Sheet:
    return Sheet(
        name="a3",
        title="A3: requests, acknowledgements, responses and alerts, by component and path",
        note="What each component handles. Tests offer its requests and alerts; the rest are its answers.",
        key=("component", "path", "group", "kind", "mode"),
        columns=(
            Column(key="component", heading="component"),
            Column(key="path", heading="path"),
            Column(key="group", heading="group"),
            Column(key="kind", heading="kind"),
            Column(key="mode", heading="mode"),
            Column(key="day", heading="messages", unit="a day"),
            Column(key="window", heading="in the peak window", unit="messages"),
        ),
        rows=model["a3"],
    )


def _peaks(model: Mapping[str, Any]) -> Sheet:
    rows = [
        {
            "component": each["component"],
            "window": each["window"],
            "average": each["average_per_second"],
            **{
                f"{name}_{key}": each[name][value]
                for name in ("hour", "minute")
                for key, value in (("begins", "begins"), ("rate", "per_second"), ("ratio", "ratio"))
            },
            "second": each["second"]["messages"],
            "second_ratio": each["second"]["ratio"],
        }
        for each in model["peaks"]
    ]
    return Sheet(
        name="peaks",
        title="Peaks: what the window's average hides",
        note=(
            "Requests and alerts offered. Rates are messages a second; times are UTC; each ratio is by the average. "
            "The busiest second is the number that no second exceeds in 95 of 100 days, messages coming at random."
        ),
        key=("component",),
        columns=(
            Column(key="component", heading="component"),
            Column(key="window", heading="in the window", unit="messages", brief=False),
            Column(key="average", heading="average", unit="a second"),
            Column(key="hour_begins", heading="busiest hour"),
            Column(key="hour_rate", heading="in it", unit="a second"),
            Column(key="hour_ratio", heading="× average", unit="times"),
            Column(key="minute_begins", heading="busiest minute"),
            Column(key="minute_rate", heading="in that", unit="a second"),
            Column(key="minute_ratio", heading="× the average", unit="times"),
            Column(key="second", heading="busiest second", unit="messages"),
            Column(key="second_ratio", heading="× average too", unit="times", brief=False),
        ),
        rows=rows,
    )


def _catch_up(model: Mapping[str, Any]) -> Sheet:
    return Sheet(
        name="catch-up",
        title="Demand after an outage",
        note="At the worst time of day: what is kept from the outage, and the rate that clears it while more comes.",
        key=("component", "catch_up"),
        columns=(
            Column(key="component", heading="component"),
            Column(key="title", heading="outage"),
            Column(key="outage_begins", heading="worst from"),
            Column(key="queued", heading="queued", unit="messages"),
            Column(key="per_second", heading="rate to clear it", unit="a second"),
            Column(key="ratio", heading="by the average", unit="times"),
        ),
        rows=model["catch_up"],
    )


def _migration(model: Mapping[str, Any]) -> Sheet:
    ramp = model["migration"]["ramp"] if model["migration"] else []
    return Sheet(
        name="migration-ramp",
        title="Migrations over the phase",
        note="Installations a day. What is planned above the cap is put off to later days: it is waiting.",
        key=("cohort", "begins"),
        columns=(
            Column(key="cohort", heading="cohort"),
            Column(key="begins", heading="from"),
            Column(key="ends", heading="to"),
            Column(key="planned", heading="planned", unit="a day"),
            Column(key="begun", heading="begun", unit="a day"),
            Column(key="waiting", heading="waiting at the end", unit="installations"),
        ),
        rows=ramp,
    )


def _steps(model: Mapping[str, Any]) -> Sheet:
    return Sheet(
        name="migration-steps",
        title="Migration, step by step",
        note="Messages of the day modelled; an attempt that fails at a step goes no further.",
        key=("message",),
        columns=(
            Column(key="message", heading="step"),
            Column(key="path", heading="path"),
            Column(key="reached_by", heading="reached by", unit="of attempts"),
            Column(key="messages", heading="messages", unit="a day"),
        ),
        rows=model["migration"]["steps"] if model["migration"] else [],
    )


def _hours(model: Mapping[str, Any]) -> Sheet:
    return Sheet(
        name="hours",
        title="The day by hours",
        note="Requests and alerts offered to each component in each hour from midnight UTC.",
        key=("component", "hour"),
        columns=(
            Column(key="component", heading="component"),
            Column(key="hour", heading="hour", unit="from midnight"),
            Column(key="messages", heading="messages", unit="messages"),
        ),
        rows=model["hours"],
    )


def _swings(model: Mapping[str, Any]) -> Sheet:
    ranges = {each["assumption"]: each for each in model["sensitivity"]["ranges"]}
    rows = [
        {
            "component": each["component"],
            "peak": each["peak"],
            **swing,
            **{name: ranges[swing["assumption"]][name] for name in ("low", "value", "high", "unit", "standing")},
        }
        for each in model["sensitivity"]["components"]
        for swing in each["swings"]
    ]
    return Sheet(
        name="sensitivity",
        title="Which assumptions move the peak",
        note="Messages offered in the peak window when one assumption is at an end of its range and all others stand.",
        key=("component", "assumption"),
        columns=(
            Column(key="component", heading="component"),
            Column(key="assumption", heading="assumption"),
            Column(key="low", heading="low"),
            Column(key="value", heading="declared"),
            Column(key="high", heading="high"),
            Column(key="unit", heading="unit"),
            Column(key="at_low", heading="peak at low", unit="messages"),
            Column(key="peak", heading="peak as declared", unit="messages"),
            Column(key="at_high", heading="peak at high", unit="messages"),
            Column(key="standing", heading="standing"),
        ),
        rows=rows,
    )


def _exceeded(model: Mapping[str, Any]) -> Sheet:
    rows = [
        {
            "component": each["component"],
            **{f"p{known['percent']}": known["messages"] for known in each["quantiles"]},
            **level,
        }
        for each in model["sensitivity"]["components"]
        for level in each["exceeded"]
    ]
    return Sheet(
        name="exceeded",
        title="How likely more comes than was tested",
        note=(
            f"All ranges drawn together {model['sensitivity']['draws']:,} times (independent, triangular, the declared "
            "value likeliest). Only as good as the ranges, and silent on what has none."
        ),
        key=("component", "level"),
        columns=(
            Column(key="component", heading="component"),
            Column(key="p50", heading="peak, median draw", unit="messages"),
            Column(key="p95", heading="95 of 100 below", unit="messages"),
            Column(key="level", heading="compared with"),
            Column(key="messages", heading="its messages", unit="messages"),
            Column(key="draws_above_ppm", heading="exceeded in", unit=SHARE),
        ),
        rows=rows,
    )


def _backtest(model: Mapping[str, Any]) -> Sheet:
    return Sheet(
        name="backtest",
        title="Backtest: forecasts beside what was observed",
        note="Per day, averaged over the days given; meters at their end. The error is by what was observed.",
        key=("begins", "measure", "generation"),
        columns=(
            Column(key="begins", heading="from"),
            Column(key="ends", heading="to"),
            Column(key="measure", heading="measure"),
            Column(key="generation", heading="generation"),
            Column(key="observed", heading="observed", unit="count"),
            Column(key="phase", heading="forecast of"),
            Column(key="modelled", heading="modelled", unit="count"),
            Column(key="error_ppm", heading="error", unit=ERROR),
            Column(key="standing", heading="standing"),
        ),
        rows=model["backtest"],
    )


_SHEETS: tuple[Callable[[Mapping[str, Any]], Sheet], ...] = (
    _a1, _migration, _steps, _a2, _a3, _peaks, _hours, _catch_up, _swings, _exceeded, _backtest,
)  # fmt: skip
