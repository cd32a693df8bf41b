"""What the figures of a volume model show, as rows: drawn elsewhere, and listed beneath each figure.

Every number is an integer or a decimal string. The figures are those that an approach document's Appendix A has, with
numbers on their axes: migrations over time, message paths, components, the day by hours, and the widest sensitivities.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

_MOST_SWINGS = 8
_PLACES = Decimal("0.001")

TORNADO = "tornado-"


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureTable:
    """The rows of one figure. `alt`: what a reader who does not see it is told."""

    name: str
    title: str
    alt: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[int | str]]


def figure_tables(model: Mapping[str, Any]) -> list[FigureTable]:
    """Every figure of a model's document that has something to show, in reading order."""
    made = [_migration(model), _paths(model), _components(model), _hours(model), *_tornados(model)]
    return [figure for figure in made if figure.rows]


def _migration(model: Mapping[str, Any]) -> FigureTable:
    migration = model["migration"] or {"ramp": [], "cap": "0"}
    rows = [
        (row["cohort"], row[end], row["begun"], int(migration["cap"]))
        for row in migration["ramp"]
        for end in ("begins", "ends")
    ]
    most = max((row[2] for row in rows), default=0)
    return FigureTable(
        name="migration",
        title="Migration model: installations begun a day",
        alt=f"Installations begun a day over the phase, by cohort; at most {most:,} of one cohort on a day.",
        columns=("cohort", "day", "begun", "cap"),
        rows=rows,
    )


def _paths(model: Mapping[str, Any]) -> FigureTable:
    seconds = model["window"]["seconds"]
    rows = [
        (path["path"], place, step["step"], "" if step["outside"] else _rate(step["window"], seconds), _kind(step))
        for path in model["paths"]
        for place, step in enumerate(path["steps"], 1)
    ]
    return FigureTable(
        name="paths",
        title="Message paths, with what each component is offered a second",
        alt=f"{len(model['paths'])} message paths, each with the components that a message passes, in order.",
        columns=("path", "place", "step", "per_second", "scope"),
        rows=rows,
    )


def _kind(step: Mapping[str, Any]) -> str:
    return "outside" if step["outside"] else ("tested" if step["tested"] else "not tested")


def _components(model: Mapping[str, Any]) -> FigureTable:
    window: dict[tuple[str, str], int] = {}
    for row in model["a3"]:
        if row["kind"] in ("request", "alert"):
            place = row["component"], row["path"]
            window[place] = window.get(place, 0) + row["window"]
    seconds = model["window"]["seconds"]
    carried: dict[str, int] = {}
    for (component, _), count in window.items():
        carried[component] = carried.get(component, 0) + count
    order = {path["path"]: place for place, path in enumerate(model["paths"])}
    ordered = sorted(window, key=lambda place: (-carried[place[0]], place[0], order[place[1]]))
    busiest = max(carried, key=lambda name: carried[name], default="no component")
    return FigureTable(
        name="components",
        title="What each component is offered, by message path",
        alt=f"Requests and alerts a second at each component, by message path; {busiest} is offered the most.",
        columns=("component", "path", "per_second"),
        rows=[(component, path, _rate(window[component, path], seconds)) for component, path in ordered],
    )


def _hours(model: Mapping[str, Any]) -> FigureTable:
    average = {each["component"]: each["average_per_second"] for each in model["peaks"]}
    begins, ends = (_hour(model["window"][end]) for end in ("begins", "ends"))
    return FigureTable(
        name="hours",
        title="The day's load profile of each component",
        alt=f"Messages a second in each hour of the day, a panel for each of {len(average)} components.",
        columns=("component", "hour", "per_second", "average", "window_begins", "window_ends"),
        rows=[
            (row["component"], row["hour"], _rate(row["messages"], 3600), average[row["component"]], begins, ends)
            for row in model["hours"]
        ],
    )


def _tornados(model: Mapping[str, Any]) -> Iterator[FigureTable]:
    for each in model["sensitivity"]["components"]:
        swings = each["swings"][:_MOST_SWINGS]
        widest = swings[0]["assumption"] if swings else ""
        yield FigureTable(
            name=f"{TORNADO}{each['component']}",
            title=f"Which assumptions move the peak of {each['component']}",
            alt=f"The peak of {each['component']} at both ends of each assumption's range; {widest} moves it most.",
            columns=("assumption", "at_low", "peak", "at_high"),
            rows=[(swing["assumption"], swing["at_low"], each["peak"], swing["at_high"]) for swing in swings],
        )


def _rate(messages: int, seconds: int) -> str:
    """Messages a second to a thousandth, as a decimal string."""
    rate = (Decimal(messages) / seconds).quantize(_PLACES, rounding=ROUND_HALF_EVEN)
    return format(rate.normalize() if rate else Decimal(0), "f")


def _hour(time: str) -> str:
    hours, minutes = time.split(":")
    return format((int(hours) + Decimal(int(minutes)) / 60).quantize(_PLACES).normalize(), "f")
