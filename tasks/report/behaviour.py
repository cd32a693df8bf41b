"""The report's charts as data: how the runs that stand went over time, or step by step, each with its limit."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from catalog.declarations import Metric, Requirement, TestType
from tasks.report.context import Context, Row, shown, standing_run
from tasks.report.declared import limit
from tasks.report.figures import Figure, show
from tasks.report.testing import horizon

_COURSE = ("at_us", "due", "answered", "standing", "p50", "p95", "failed", "cpu_permille", "memory_bytes")
_STEPS = ("multiple_ppm", "part", "p50", "p95", "count", "failed", "carried")
_TURNS = ("part", "p50", "p95", "count", "failed")
_OUTCOMES = ("traffic", "expect", "outcome", "status", "count")
_SCALED = (TestType.STRESS, TestType.REGRESSION)
"""Types whose load is no longer the target's, but a multiple of it or a share."""


def behaviour(context: Context) -> list[dict[str, Any]]:
    """Panels per test: its course over time, and what a type of test shows beside it, or in place of it."""
    return [panel for test in context.tests for panel in _panels(context, test)]


def by_component(context: Context) -> list[dict[str, Any]]:
    """Panels per component: what its tests took up of their targets, and their percentile curves together."""
    return [panel for name in context.phase.components for panel in _together(context, name)]


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
        case TestType.NEGATIVE_PATH:
            yield from _outcomes(context, test, run, series)
        case TestType.SOAK:
            yield from _trend(context, test, run, series)
        case _:
            pass
    yield from _course(context, test, run, series)


def _course(context: Context, test: Row, run: str, series: Row) -> Iterator[dict[str, Any]]:
    """Latency, load and infrastructure side by side: a row for each stretch of the run."""
    latency = {row["at_us"]: row for row in series["latency"]}
    resources = {row["at_us"]: row for row in series["resources"]}
    flow = {row["at_us"]: row for row in series.get("flow", ())}
    rows = [
        {
            "at_us": at,
            "due": latency.get(at, {}).get("count", 0),
            **{name: latency.get(at, {}).get(name) for name in ("p50", "p95")},
            "failed": latency.get(at, {}).get("failed", 0),
            **{name: flow.get(at, {}).get(name, 0) for name in ("answered", "standing")},
            **{name: resources.get(at, {}).get(name) for name in ("cpu_permille", "memory_bytes")},
        }
        for at in sorted(latency.keys() | resources.keys() | flow.keys())
    ]
    if not latency:
        return
    spans = [_span(rows, "p50", "us", "median"), _span(rows, "p95", "us", "95th percentile")]
    spans += [_span(rows, "due", "count", "messages due in a stretch")]
    if resources:
        spans += [_span(rows, "cpu_permille", "permille of one core", "CPU")]
        spans += [_span(rows, "memory_bytes", "bytes", "resident memory")]
    failed = sum(row["failed"] for row in rows)
    told = f"{failed:,} messages not answered" if failed else "every message was answered"
    alt = f"{test['test']} over time: {'; '.join(spans)}; {told}."
    limits = {
        **_latency_limits(context, test),
        "cpu": _limit(context, test, Metric.CPU_P95),
        "memory": _limit(context, test, Metric.MEMORY_P95),
        **_target(context, test, run),
    }
    yield _panel(test, "course", limits, _figure(context, run, "course", series, rows, _COURSE, alt)) | {
        "window": of_run(context, run, "window_us", "us")
    }


def _latency_limits(context: Context, test: Row) -> dict[str, Figure | None]:
    """The limits of latency over all messages: of the 95th percentile and the median.

    Where no requirement limits that percentile, the shortest time within which a share must be answered, and the share.
    """
    limits = {"latency": _limit(context, test, Metric.LATENCY_P95), "median": _limit(context, test, Metric.LATENCY_P50)}
    levels = [each for each in _in_force(context, test, Metric.SERVICE_LEVEL) if each.within]
    if limits["latency"] or not levels:
        return limits
    shortest = min(levels, key=lambda each: each.within or 0)
    within = context.declared(f"within/{shortest.id}", shortest.within or 0, "us")
    return {**limits, "latency": within, "share": limit(context, shortest)}


def _target(context: Context, test: Row, run: str) -> dict[str, Figure | None]:
    if TestType(test["type"]) in _SCALED:
        return {"target": None}
    return {"target": of_run(context, run, "target", "count")}


def of_run(context: Context, run: str, name: str, unit: str) -> Figure | None:
    """A figure of a run's own document; None where that is not at hand."""
    found = context.runs.get(run)
    document = (found or {}).get("document") or {}
    value = document.get("target", {}).get("messages") if name == "target" else document.get(name)
    if found is None or value is None:
        return None
    evidence = [found["digests"].get("run"), found["record"]]
    return context.figures.figure(f"run/{run}/{name.replace('_', '-')}", value, unit, evidence)


def _trend(context: Context, test: Row, run: str, series: Row) -> Iterator[dict[str, Any]]:
    """Memory as it would be at the target's own rate, and when it would cross its limit if it went on so."""
    limit = _limit(context, test, Metric.MEMORY_P95)
    found = next((each for each in test["runs"] if each["run"] == run), None)
    document = (found or {}).get("document") or {}
    rows = [row for row in series["resources"] if row["memory_bytes"] is not None]
    if limit is None or not rows or not document.get("rate"):
        return
    rate = Fraction(document["rate"])
    scaled = [{"at_us": int(row["at_us"] * rate), "memory_bytes": row["memory_bytes"]} for row in rows]
    crossing = horizon(context, found or {})
    when = f"it would cross its limit of {limit['text']} after {crossing['text']}" if crossing else "no growth is told"
    alt = f"Resident memory of {test['component']} during {test['test']}, at the target's rate: "
    alt += f"{_span(scaled, 'memory_bytes', 'bytes', 'largest in each stretch')}; {when}."
    figure = _figure(context, run, "trend", series, scaled, ("at_us", "memory_bytes"), alt)
    yield _panel(test, "trend", {"memory": limit}, figure) | {"crossing": crossing}


def _together(context: Context, component: str) -> Iterator[dict[str, Any]]:
    tests = [test for test in context.tests if test["component"] == component]
    known = [(test, context.facts["series"][run]) for test in tests if (run := standing_run(test)) in context.series]
    named = {"test": component, "component": component, "type": ""}
    achieved = [row for test, series in known if (row := _achieved(context, test, series))]
    digests = [digest for _, series in known for digest in series["digest"]]
    if achieved:
        least = min(achieved, key=lambda row: Fraction(row["taken_up"], row["target"] or 1))
        alt = f"What the tests of {component} took up of their targets; the least: {least['taken_up']:,} of "
        alt += f"{least['target']:,} messages in {least['test']}."
        columns = ("test", "target", "taken_up", "answered")
        yield {**named, "panel": "achieved", "limits": {},
               "series": _table(context, f"achieved/{component}", digests, achieved, columns, alt)}  # fmt: skip
    curves = {test["test"]: {row["rank_ppm"]: row["latency_us"] for row in series.get("curve", ())}
              for test, series in known if series.get("curve")}  # fmt: skip
    if curves:
        ranks = sorted({rank for curve in curves.values() for rank in curve})
        rows = [{"rank_ppm": rank, **{f"test:{name}": curve.get(rank) for name, curve in curves.items()}}
                for rank in ranks]  # fmt: skip
        last = rows[-1]["rank_ppm"]
        told = ", ".join(f"{name} {show(curve[500_000], 'us')}" for name, curve in curves.items()
                         if curve.get(500_000) is not None)  # fmt: skip
        alt = f"Latency of the messages of {component} by rank, up to percentile {show(last, 'ppm')}; "
        alt += f"medians: {told or 'none'}."
        yield {**named, "panel": "curve", "limits": {},
               "series": _table(context, f"curve/{component}", digests, rows, tuple(rows[0]), alt)}  # fmt: skip


def _achieved(context: Context, test: Row, series: Row) -> dict[str, Any] | None:
    """A test's target, what was taken up of it in time, and what was answered as it should be."""
    run = standing_run(test)
    target, offered = of_run(context, run, "target", "count"), context.measurement(run, "offered")
    if TestType(test["type"]) in _SCALED or target is None or offered is None or offered["value"] is None:
        return None
    kinds = [row for row in series.get("kinds", ()) if row["kind"] in ("request", "alert")]
    answered = sum(row["as_expected"] for row in kinds) if kinds else None
    return {"test": test["test"], "target": target["value"], "taken_up": offered["value"], "answered": answered}


def _table(
    context: Context, name: str, digests: list[str], rows: list[dict[str, Any]], columns: tuple[str, ...], alt: str
) -> Figure:
    return context.figures.figure(
        f"series/{name}",
        len(rows),
        "rows",
        digests,
        alt=alt,
        columns=list(columns),
        rows=[[row[column] for column in columns] for row in rows],
    )


def _stress(context: Context, test: Row, run: str, series: Row) -> Iterator[dict[str, Any]]:
    """Carried or not is what the recorded headroom says; it is not judged again here."""
    headroom = context.measurement(run, Metric.HEADROOM)
    rows = [{**step, "carried": _carried(step["multiple_ppm"], headroom)} for step in series.get("steps", ())]
    if rows:
        alt = f"{test['test']} step by step: " + ", ".join(
            f"{shown(row['multiple_ppm'], 'ppm', 'headroom')} the target {row['carried']}" for row in rows
        )
        figure = _figure(context, run, "steps", series, rows, _STEPS, f"{alt}.")
        limits = {"latency": _step_limit(context, test)}
        yield _panel(test, "steps", limits, figure) | {"headroom": context.measured(headroom)}


def _turns(context: Context, test: Row, run: str, series: Row) -> Iterator[dict[str, Any]]:
    rows = series.get("steps", ())
    if rows:
        medians = {
            part: [show(row["p50"], "us") for row in rows if row["part"] == part and row["p50"] is not None]
            for part in ("baseline", "candidate")
        }
        told = "; ".join(f"{part} {', '.join(each) or 'none'}" for part, each in medians.items())
        alt = f"Median latency of each run of {test['test']}, in turns: {told}."
        yield _panel(test, "turns", {}, _figure(context, run, "turns", series, rows, _TURNS, alt))


def _outcomes(context: Context, test: Row, run: str, series: Row) -> Iterator[dict[str, Any]]:
    """How many messages of each kind ended how: right ones and invalid ones apart."""
    rows = series.get("outcomes", ())
    if rows:
        told = ", ".join(f"{row['count']:,} {row['traffic']} {row['outcome']}" for row in rows)
        figure = _figure(context, run, "outcomes", series, rows, _OUTCOMES, f"Outcomes of {test['test']}: {told}.")
        yield _panel(test, "outcomes", {}, figure)


def _carried(multiple_ppm: int, headroom: Row | None) -> str:
    if headroom is None or not headroom["samples"]:
        return "not told"
    return "carried" if multiple_ppm <= headroom["value"] else "not carried"


def _panel(test: Row, kind: str, limits: dict[str, Figure | None], series: Figure) -> dict[str, Any]:
    names = {name: test[name] for name in ("test", "component", "type")}
    return {**names, "panel": kind, "limits": limits, "series": series}


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
    found = _in_force(context, test, metric)
    return limit(context, min(found, key=lambda each: each.limit.value)) if found else None


def _in_force(context: Context, test: Row, metric: Metric) -> list[Requirement]:
    """The requirements of a metric over all messages, for tests of this role and type."""
    return [
        requirement
        for requirement in context.programme.requirements
        if requirement.metric is metric
        and test["role"] in requirement.scope.roles
        and test["type"] in requirement.scope.types
        and not requirement.scope.groups
    ]


def _step_limit(context: Context, test: Row) -> Figure | None:
    profile = context.profile(test["name"])
    if profile is None or profile.ramp is None:
        return None
    return context.declared(f"conduct/{profile.id}/ramp/latency", profile.ramp.latency, "us")


def _span(rows: Sequence[Row], column: str, unit: str, name: str) -> str:
    values = [row[column] for row in rows if row[column] is not None]
    return f"{name} from {show(min(values), unit)} to {show(max(values), unit)}" if values else f"{name} unknown"
