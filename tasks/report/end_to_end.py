"""The report's section on end-to-end inference: what components showed apart, composed along the message paths."""

from typing import Any

from catalog.declarations import MessagePath
from expectations.verdicts import LATER
from tasks.report.context import Context, Row
from tasks.report.figures import Figure, show


def end_to_end(context: Context) -> list[dict[str, Any]]:
    """Every way along a message path: its components and whether they were tested, and percentiles with bounds."""
    paths = {path.id: path for path in context.programme.system.message_paths}
    return [
        _way(context, number, way, paths[way["path"]])
        for number, way in enumerate(context.facts["end_to_end"]["paths"], 1)
        if way["path"] in paths
    ]


def _way(context: Context, number: int, way: Row, path: MessagePath) -> dict[str, Any]:
    name = f"end-to-end/{path.id}/{number}"
    held = way.get("round_trip")
    return {
        "path": path.id,
        "title": path.title,
        "components": [{"component": each["component"], "run": each["run"]} for each in way["components"]],
        "untested": [each["component"] for each in way["components"] if not each["run"]],
        "percentiles": [_percentile(context, f"{name}/{each['permille']}", each) for each in way["percentiles"]],
        "round_trip": {
            **_percentile(context, f"{name}/round-trip", held),
            "limit": context.declared(f"round-trip/{path.id}", held["limit_us"], "us"),
            "share": context.declared(f"round-trip/{path.id}/share", path.round_trip.share.value, "ppm"),
            "standing": str(path.round_trip.standing),
            "source": path.round_trip.source,
            "verdict": held["verdict"],
            "left": context.figures.figure(
                f"{name}/left",
                held["limit_us"] - held["upper_us"],
                "us",
                [context.facts["end_to_end"]["digest"], context.facts["programme_digest"]],
            )
            if any(not each["run"] for each in way["components"]) and held["upper_us"] < held["limit_us"]
            else None,
        }
        if held and path.round_trip
        else None,
    }


_NAMES = {500: "Median", 950: "95th percentile", 990: "99th percentile"}


def _percentile(context: Context, name: str, row: Row) -> dict[str, Any]:
    evidence = [context.facts["end_to_end"]["digest"]]

    def figure(end: str) -> Figure:
        value = row[f"{end}_us"]
        text = "not answered" if value == LATER else show(value, "us")
        return context.figures.figure(f"{name}/{end}", value, "us", evidence, text=text)

    return {
        "name": _NAMES.get(row["permille"], ""),
        **{end: figure(end) for end in ("lower", "upper", "independent")},
    }
