"""The report's charts as data: how the runs that stand went over time, or step by step, each with its limit."""

from collections.abc import Iterator, Sequence
from typing import Any

from catalog.declarations import Metric, TestType
from tasks.report.context import Context, Row, shown, standing_run
from tasks.report.declared import limit
from tasks.report.figures import Figure, show

_LATENCY = ("at_us", "p50", "p95", "count", "failed")
_STEPS = ("multiple_ppm", "part", "p50", "p95", "count", "failed", "carried")
_TURNS = ("part", "p50", "p95", "count", "failed")
_FLOW = ("at_us", "standing", "answered")
_OUTCOMES = ("traffic", "expect", "outcome", "status", "count")


def behaviour(context: Context) -> list[dict[str, Any]]:
    """A panel per test and quantity: latency over time; what a type of test shows beside it, or in place of it."""
    return [panel for test in context.tests for panel in _panels(context, test)]


def _panels(context: Context, test: Row) -> Iterator[dict[str, Any]]:
    run = standing_run(test)
    series = context.facts["series"].get(run)
    if series is None:
        return
    match TestType(test["type"]):
        case TestType.STRESS:
            yield from _stress(context, test, run, series)
        case TestType.REGRESSION:
            yield from _turns(context, test, run, series)
        case TestType.SOAK:
            yield from _latency(context, test, run, series)
            yield from _resource(context, test, run, series, ("memory", "memory_bytes", Metric.MEMORY_P95))
            yield from _resource(context, test, run, series, ("cpu", "cpu_permille", Metric.CPU_P95))
        case TestType.CATCH_UP:
            yield from _flow(context, test, run, series, "standing", "Messages due and not answered")
            yield from _latency(context, test, run, series)
        case TestType.SCALING:
            yield from _flow(context, test, run, series, "answered", "Messages answered in each stretch")
            yield from _latency(context, test, run, series)
        case TestType.NEGATIVE_PATH:
            yield from _outcomes(context, test, run, series)
            yield from _latency(context, test, run, series)
        case _:
            yield from _latency(context, test, run, series)


def _latency(context: Context, test: Row, run: str, series: Row) -> Iterator[dict[str, Any]]:
    rows = series["latency"]
    if rows:
        spans = _span(rows, "p50", "us", "median"), _span(rows, "p95", "us", "95th percentile")
        alt = f"Latency of {test['test']} over time: {', '.join(spans)}"
        failed = sum(row["failed"] for row in rows)
        alt += f"; {failed:,} messages not answered." if failed else "; every message was answered."
        limit = _limit(context, test, Metric.LATENCY_P95)
        yield _panel(test, "latency", limit, _figure(context, run, "latency", series, rows, _LATENCY, alt))


def _resource(
    context: Context, test: Row, run: str, series: Row, what: tuple[str, str, Metric]
) -> Iterator[dict[str, Any]]:
    name, column, metric = what
    rows = [row for row in series["resources"] if row[column] is not None]
    if rows:
        unit = "bytes" if column == "memory_bytes" else "permille of one core"
        alt = f"{'Resident memory' if name == 'memory' else 'CPU use'} of {test['component']} during {test['test']}: "
        alt += _span(rows, column, unit, "largest in each stretch") + "."
        figure = _figure(context, run, name, series, rows, ("at_us", column), alt)
        yield _panel(test, name, _limit(context, test, metric), figure)


def _stress(context: Context, test: Row, run: str, series: Row) -> Iterator[dict[str, Any]]:
    """Carried or not is what the recorded headroom says; it is not judged again here."""
    headroom = context.measurement(run, Metric.HEADROOM)
    rows = [{**step, "carried": _carried(step["multiple_ppm"], headroom)} for step in series.get("steps", ())]
    if rows:
        alt = f"{test['test']} step by step: " + ", ".join(
            f"{shown(row['multiple_ppm'], 'ppm', 'headroom')} the target {row['carried']}" for row in rows
        )
        figure = _figure(context, run, "steps", series, rows, _STEPS, f"{alt}.")
        yield _panel(test, "steps", _step_limit(context, test), figure) | {"headroom": context.measured(headroom)}


def _turns(context: Context, test: Row, run: str, series: Row) -> Iterator[dict[str, Any]]:
    rows = series.get("steps", ())
    if rows:
        medians = {
            part: [show(row["p50"], "us") for row in rows if row["part"] == part and row["p50"] is not None]
            for part in ("baseline", "candidate")
        }
        told = "; ".join(f"{part} {', '.join(each) or 'none'}" for part, each in medians.items())
        alt = f"Median latency of each run of {test['test']}, in turns: {told}."
        yield _panel(test, "turns", None, _figure(context, run, "turns", series, rows, _TURNS, alt))


def _flow(context: Context, test: Row, run: str, series: Row, column: str, what: str) -> Iterator[dict[str, Any]]:
    rows = series.get("flow", ())
    if rows:
        alt = f"{what} of {test['test']} over time: {_span(rows, column, 'count', 'from stretch to stretch')}."
        figure = _figure(context, run, "flow", series, rows, _FLOW, alt)
        yield _panel(test, column, None, figure)


def _outcomes(context: Context, test: Row, run: str, series: Row) -> Iterator[dict[str, Any]]:
    """How many messages of each kind ended how: right ones and invalid ones apart."""
    rows = series.get("outcomes", ())
    if rows:
        told = ", ".join(f"{row['count']:,} {row['traffic']} {row['outcome']}" for row in rows)
        figure = _figure(context, run, "outcomes", series, rows, _OUTCOMES, f"Outcomes of {test['test']}: {told}.")
        yield _panel(test, "outcomes", None, figure)


def _carried(multiple_ppm: int, headroom: Row | None) -> str:
    if headroom is None or not headroom["samples"]:
        return "not told"
    return "carried" if multiple_ppm <= headroom["value"] else "not carried"


def _panel(test: Row, kind: str, limit: Figure | None, series: Figure) -> dict[str, Any]:
    names = {name: test[name] for name in ("test", "component", "type")}
    return {**names, "panel": kind, "limit": limit, "series": series}


def _figure(
    context: Context, run: str, name: str, series: Row, rows: Sequence[Row], columns: tuple[str, ...], alt: str
) -> Figure:
    table = [[row[column] for column in columns] for row in rows]
    evidence = [*series["digest"]]
    return context.figures.figure(
        f"series/{run}/{name}", len(table), "rows", evidence, alt=alt, columns=list(columns), rows=table
    )


def _limit(context: Context, test: Row, metric: Metric) -> Figure | None:
    """The declared limit of a metric over all messages, for tests of this role and type; the tightest if several."""
    found = [
        requirement
        for requirement in context.programme.requirements
        if requirement.metric is metric
        and test["role"] in requirement.scope.roles
        and test["type"] in requirement.scope.types
        and not requirement.scope.groups
    ]
    return limit(context, min(found, key=lambda each: each.limit.value)) if found else None


def _step_limit(context: Context, test: Row) -> Figure | None:
    profile = context.profile(test["name"])
    if profile is None or profile.ramp is None:
        return None
    return context.declared(f"conduct/{profile.id}/ramp/latency", profile.ramp.latency, "us")


def _span(rows: Sequence[Row], column: str, unit: str, name: str) -> str:
    values = [row[column] for row in rows if row[column] is not None]
    return f"{name} from {show(min(values), unit)} to {show(max(values), unit)}" if values else f"{name} unknown"
