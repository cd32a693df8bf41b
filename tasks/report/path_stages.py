"""The report's table of the stages of message paths: what went into each component of a test and what came out."""

from decimal import Decimal
from typing import Any

from catalog.shown import plain
from expectations.metrics import StageMetric
from tasks.measures.path_stages import SCOPE
from tasks.report.context import Context, Row, interval, standing_run
from tasks.report.figures import Figure

_RATES = (StageMetric.RATE_IN, StageMetric.RATE_OUT)


def stages(context: Context, test: Row) -> list[dict[str, Any]]:
    """A row for each path and component of the run that a test's result rests on, the component under test first."""
    run = standing_run(test)
    titles = {path.id: path.title for path in context.programme.system.message_paths}
    found: dict[tuple[str, bool, str], dict[str, Figure]] = {}
    for row in context.by_run.get(run, ()):
        if row["scope"].startswith(SCOPE):
            path = row["scope"].removeprefix(SCOPE)
            place = path, row["component"] != test["component"], row["component"]
            found.setdefault(place, {})[StageMetric(row["metric"]).name.lower()] = _figure(context, row)
    return [
        {
            "path": path,
            "figures": f"measurement/{run}/{SCOPE}{path}/{component}/",
            "title": titles.get(path, path),
            "component": component,
            "beyond": "beyond" if is_beyond else "",
            **{metric.name.lower(): figures.get(metric.name.lower()) for metric in StageMetric},
        }
        for (path, is_beyond, component), figures in sorted(found.items())
    ]


def _figure(context: Context, row: Row) -> Figure:
    name = f"measurement/{row['run']}/{row['scope']}/{row['component']}/{row['metric']}"
    more = interval(row) | ({"text": _a_second(row["value"])} if row["metric"] in _RATES else {})
    return context.figures.figure(name, row["value"], row["unit"], [row["digest"]], **more, method=row["method"])


def _a_second(value: int) -> str:
    """A rate that is recorded per 1,000 s, as a reader sees it."""
    return f"{plain(Decimal(value) / 1000)} a second"
