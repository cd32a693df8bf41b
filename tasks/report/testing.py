"""The report's sections on what was done: tests and their runs, observations, deviations from the plan."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from catalog.declarations import MEASURED_BY, METRICS, Flaw, Metric
from tasks.report.context import Context, Row, interval, shown
from tasks.report.figures import Figure, show
from tasks.report.path_stages import stages
from tasks.report.received import received

OWN = "own, open loop"
"""The injector that a reader may take for granted; any other is told."""

TARGET = "Target volume, offered in time"

_MEASURED = (
    ("Taken up", "offered"),
    ("Lateness, p99", "lateness-p99"),
    ("Answered", "answered-share"),
    ("Service time from sending, p95", "service-p95"),
    ("Service time from sending, p99", "service-p99"),
)
"""What is told of each run, where it was measured; service times are those of received results."""


def tests(context: Context) -> list[dict[str, Any]]:
    """Every planned test exactly once: how it ended, why, and every run of it."""
    return [_test(context, test) for test in context.tests]


def _test(context: Context, test: Row) -> dict[str, Any]:
    plan = next((plan for plan in context.programme.tests.plans if plan.id == test["plan"]), None)
    profile = context.profile(test["name"])
    rows = context.by_test.get(test["test"], ())
    return {
        **{name: test[name] for name in ("test", "component", "role", "type", "name", "plan", "end")},
        "why": test["why"],
        "title": profile.title if profile else "",
        "success_criteria": plan.success_criteria if plan else "",
        "verdicts": context.verdicts(f"test/{test['test']}", rows),
        "verdict": worst(rows),
        "relied_on": test["relied_on"],
        "runs": [_run(context, run, first=not index) for index, run in enumerate(test["runs"])],
        "stages": stages(context, test),
    }


def worst(rows: Sequence[Row]) -> str:
    """The verdict that a reader must see first; empty when nothing was observed."""
    found = {row["verdict"] for row in rows}
    return next((verdict for verdict in ("not proved", "inconclusive", "proved") if verdict in found), "")


def _run(context: Context, run: Row, *, first: bool) -> dict[str, Any]:
    return {
        **{name: run[name] or "" for name in ("run", "record", "state", "verdict")},
        "reason": _reason(run),
        "again": "" if first else run["again"] or "",
        "stands": run["judged"],
        "figures": [{"label": label, "value": figure} for label, figure in _run_figures(context, run)],
        "findings": list(_findings(context, run)),
        "received": received(context, run),
        "artefacts": [{"what": what, "digest": each} for what, each in sorted(run["digests"].items()) if each],
    }


def _run_figures(context: Context, run: Row) -> Iterator[tuple[str, Figure]]:
    document = run["document"] or {}
    evidence = [run["digests"].get("run"), run["record"]]

    def figure(label: str, name: str, value: int | str, unit: str, text: str = "") -> tuple[str, Figure]:
        return label, context.figures.figure(f"run/{run['run']}/{name}", value, unit, evidence, text=text)

    if document.get("start_us"):
        started = datetime.fromtimestamp(document["start_us"] // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        yield figure("Started", "start", document["start_us"], "us since 1970", started)
    injector = document.get("injector", {}).get("kind", OWN)
    if injector != OWN:
        yield figure("Injector", "injector", injector, "name", injector)
    for label, name, unit in (
        ("Window", "window_us", "us"),
        ("Time limit", "timeout_us", "us"),
        ("Blocks", "blocks", "count"),
    ):
        if name in document:
            yield figure(label, name.replace("_", "-"), document[name], unit)
    if "target" in document:
        yield figure("Messages due", "target", document["target"]["messages"], "count")
    if "interrupted" in document:
        yield from _interruption(document["interrupted"], figure)
    for label, metric in _MEASURED:
        measured = context.measured(context.measurement(run["run"], metric))
        if measured:
            yield label, measured
    for label, metric in _INFRASTRUCTURE:
        measured = context.measured(context.measurement(run["run"], metric))
        if measured:
            yield label, measured


_INFRASTRUCTURE = (
    ("Infrastructure samples", "coverage"),
    ("CPU, p95", Metric.CPU_P95),
    ("Memory, p95", Metric.MEMORY_P95),
    ("Connections, p95", Metric.CONNECTIONS_P95),
    ("Handles, p95", Metric.HANDLES_P95),
    ("Disk read a second, p95", Metric.DISK_READ_P95),
    ("Disk written a second, p95", Metric.DISK_WRITTEN_P95),
    ("Network received a second, p95", Metric.NETWORK_RECEIVED_P95),
    ("Network sent a second, p95", Metric.NETWORK_SENT_P95),
)
"""What is shown of a run's infrastructure, whether or not a requirement limits it."""


def _interruption(
    lost: Row, figure: Callable[[str, str, int, str], tuple[str, Figure]]
) -> Iterator[tuple[str, Figure]]:
    """How many messages of an interrupted run have results, and which stretch of its last step is missing."""
    yield figure("Messages with results", "kept", lost["results"], "count")
    yield figure("Messages lost", "lost", lost["lost"], "count")
    if lost["lost"]:
        yield figure("Lost from sequence", "lost-first", lost["first"], "count")
        yield figure("Lost to sequence", "lost-last", lost["last"], "count")
        yield figure("Lost, due from", "lost-from", lost["from_us"], "us")
        yield figure("Lost, due until", "lost-until", lost["until_us"], "us")


def _findings(context: Context, run: Row) -> Iterator[dict[str, Any]]:
    """What this type of test alone measures: each with its interval and how it was computed."""
    for row in context.by_run.get(run["run"], ()):
        metric = row["metric"]
        if metric in MEASURED_BY or row["scope"] in _PARTS:
            meaning = METRICS[Metric(metric)][2] if metric in METRICS else _MEANINGS[metric]
            yield {
                "meaning": meaning,
                "scope": "" if row["scope"] == "all" else _PARTS.get(row["scope"], row["scope"]),
                "measured": context.measured(row),
            }
    if left := horizon(context, run):
        meaning = "time until resident memory would reach its limit at the target's rate, if it went on so"
        yield {"meaning": meaning, "scope": "", "measured": left}


_PARTS = {
    "overload": "in the steps that were not carried",
    "scalability": "over all steps",
    "queued": "of the queued messages",
    "recovery": "of new messages, while the queue drains",
    "before": "before capacity is added",
    "added": "with capacity added",
    "removed": "after capacity was removed",
    "valid": "of the messages that are right",
    **{flaw.value: flaw.value.replace("-", " ") for flaw in Flaw},
}
"""The parts of a run that are measured apart, in words."""

_MEANINGS = {
    "throughput": "messages answered a second, over the target's",
    "contention": "contention, the share of work that cannot be done side by side (Universal Scalability Law)",
}


def horizon(context: Context, run: Row) -> Figure | None:
    """How long memory that grows would last until its limit, at the target's rate and in uncompressed time.

    None where nothing drifts, as far as the run can tell, or something that this is computed from is missing.
    """
    growth, level = (context.measurement(run["run"], metric) for metric in (Metric.MEMORY_GROWTH, Metric.MEMORY_P95))
    limits = [each.limit.value for each in context.programme.requirements if each.metric is Metric.MEMORY_P95]
    document = run["document"] or {}
    if growth is None or level is None or not limits or not document.get("window_us"):
        return None
    if growth["lower"] is None or growth["lower"] <= 0:
        return None
    left = max(0, min(limits) - level["value"])
    factor = Fraction(document["window_us"]) * Fraction(document["rate"]) / document["target"]["messages"]
    us = {name: int(left * factor / growth[name]) for name in ("value", "lower", "upper")}
    return context.figures.figure(
        f"run/{run['run']}/memory-horizon",
        us["value"],
        "us",
        [growth["digest"], context.facts["programme_digest"]],
        interval=f"{show(us['upper'], 'us')} to {show(us['lower'], 'us')}",
        samples=growth["samples"],
        method="what is left to the limit, over what a message keeps, over the target's messages in that time",
    )


# --- observations -----------------------------------------------------------------------------------------------------


def observations(context: Context) -> list[dict[str, Any]]:
    """Every observation: what was measured, what is allowed, the verdict and why."""
    return [_observation(context, row) for row in context.observations]


def measured(context: Context, row: Row) -> Figure:
    """What an observation was made of, as a figure."""
    requirement = context.requirement(row["requirement"])
    measurement = context.measurement(row["run"], _metric_of(row, requirement), row["scope"])
    return context.figures.figure(
        f"observation/{row['observation']}",
        "not measured" if row["value"] is None else row["value"],
        row["unit"],
        [context.facts["observations"]["digest"], measurement["digest"] if measurement else ""],
        **interval(row),
        method=measurement["method"] if measurement else None,
        standing=str(requirement.standing) if requirement else None,
    )


def _observation(context: Context, row: Row) -> dict[str, Any]:
    requirement = context.requirement(row["requirement"])
    name = f"observation/{row['observation']}"
    return {
        **{key: row[key] for key in ("observation", "run", "test", "requirement", "scope", "direction")},
        **{key: row[key] for key in ("verdict", "reason", "reliance")},
        "metric": row["metric"],
        "title": requirement.title if requirement else TARGET,
        "scope_title": _scope_title(context, row["scope"]),
        "standing": str(requirement.standing) if requirement else "",
        "meaning": METRICS[Metric(_base(row["metric"]))][2],
        "measured": measured(context, row),
        "limit": context.figures.figure(
            f"{name}/limit",
            row["limit"],
            row["unit"],
            [context.facts["observations"]["digest"], context.facts["programme_digest"]],
            text=shown(row["limit"], row["unit"], _base(row["metric"])),
        ),
    }


def _metric_of(row: Row, requirement: Any) -> str:
    """The measurement's name of an observation's metric: a service level is named with its target time."""
    if requirement is not None and requirement.within and "/" not in row["metric"]:
        return f"{row['metric']}/{requirement.within}"
    return str(row["metric"])


def _base(metric: str) -> str:
    return metric.partition("/")[0]


def _scope_title(context: Context, scope: str) -> str:
    groups = {group.id: group.title for group in context.programme.volumes.groups}
    return groups.get(scope, "all messages" if scope == "all" else scope)


# --- deviations -------------------------------------------------------------------------------------------------------


def deviations(context: Context) -> dict[str, Any]:
    """Where testing departed from what is declared: conduct, runs that do not stand, and tests without a result."""
    runs = [(test, run, index) for test in context.tests for index, run in enumerate(test["runs"])]
    return {
        "conduct": [row for test, run, _ in runs if (row := _departure(context, test, run))],
        "runs": [
            {"test": test["test"], "run": run["run"], "state": run["state"], "why": _why(run, first=not index)}
            for test, run, index in runs
            if index or not run["judged"]
        ],
        "without_result": [
            {"test": test["test"], "end": test["end"], "why": test["why"]}
            for test in context.tests
            if test["end"] not in ("executed", "relied", "received")
        ],
    }


def _departure(context: Context, test: Row, run: Row) -> dict[str, Any] | None:
    """A run's compression and rate; None when it was conducted as declared, or its document is missing."""
    document, profile = run["document"] or {}, context.profile(test["name"])
    factors = {name: Decimal(document.get(name, "1")) for name in ("compression", "rate")}
    if profile is None or all(factor == 1 for factor in factors.values()):
        return None
    evidence = [run["digests"].get("run"), run["record"]]
    return {
        "test": test["test"],
        "run": run["run"],
        "declared": context.declared(f"conduct/{profile.id}/duration", profile.duration, "us"),
        "conducted": context.figures.figure(f"run/{run['run']}/window-us", document["window_us"], "us", evidence),
        **{
            name: context.figures.figure(f"run/{run['run']}/{name}", document.get(name, "1"), "times", evidence)
            for name in factors
        },
    }


def _why(run: Row, *, first: bool) -> str:
    """Why a run does not stand, or why it came after another."""
    again = "" if first else run["again"]
    return ". ".join(filter(None, [_reason(run), f"Run again: {again}" if again else ""]))


def _reason(run: Row) -> str:
    """What is recorded of a run's verdict and of its end; a killed run of which nothing is left has its beginning."""
    document = run["document"] or {}
    nothing = "It has a beginning and no end" if run["state"] == "interrupted" else ""
    interrupted = document.get("interrupted", {}).get("reason", nothing)
    return ". ".join(filter(None, [str(run["reason"] or document.get("unreachable", "")), interrupted]))
