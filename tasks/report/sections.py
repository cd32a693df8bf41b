"""Sections of the report that are tables of what the evidence carries, in one plain form that every product can show.

A section has `id`, `title`, `standard` (what ISO/IEC/IEEE 29119-3 calls it, empty where it has no such part), `text` (a
sentence whose numbers are figures) and `tables`; a table has `title`, `note`, `columns` (`heading`, `number`) and
`rows` of cells. A cell is a text, a figure, a list of both in turn, or one of: `{"badge": word}`, `{"standing": word}`,
`{"ref": digest}`, `{"link": anchor, "text": …}`, `{"code": text}`.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from catalog.decimals import decimal_text
from catalog.declarations import METRICS, EnvironmentKind, Metric, TestPlan, TestType
from catalog.shown import plain
from expectations.exit_criteria import plans_in_force
from expectations.verdicts import LATER
from tasks.report.behaviour import of_run
from tasks.report.context import Context, Row, standing_run
from tasks.report.figures import Figure, Parts
from tasks.report.testing import TARGET, worst

Cell = str | Figure | Parts | dict[str, Any]
Section = dict[str, Any]

_HUNDREDTHS = Decimal("0.01")


def section(name: str, title: str, *tables: dict[str, Any], text: Parts | str = "", standard: str = "") -> Section:
    """A section of that id and title; see above."""
    parts = [text] if isinstance(text, str) else text
    return {"id": name, "title": title, "standard": standard, "text": parts, "tables": list(tables)}


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, title: str = "", note: str = "") -> dict[str, Any]:
    """A table. A column whose heading begins with `#` holds numbers, and stands to the right."""
    return {
        "title": title,
        "note": note,
        "columns": [{"heading": each.removeprefix("#"), "number": each.startswith("#")} for each in columns],
        "rows": [list(row) for row in rows],
    }


# --- plans ------------------------------------------------------------------------------------------------------------


def plans(context: Context) -> Section:
    """Every test plan in force with its success criteria, and how each of its tests discharged it."""
    found = plans_in_force(context.programme, context.facts["phase"])
    text: Parts = [
        context.planned("plans/in-force", len(found)),
        (
            " test plans are in force in this phase. A plan is discharged test by test: executed here, received from "
            "its service provider, or resting on earlier evidence. Whether what was found meets a plan's success "
            "criteria is for its provider and the board to say."
        ),
    ]
    return section(
        "plans",
        "Planned tests and success criteria",
        table(
            ("Plan", "Service provider", "Component", "Success criteria", "Volumes of", "#Tests", "#With a result",
             "#Proved"),
            [_plan(context, plan) for plan in found],
        ),
        text=text,
    )  # fmt: skip


def _plan(context: Context, plan: TestPlan) -> list[Cell]:
    providers = {each.id: each.title for each in context.programme.system.service_providers}
    own = [test for test in context.tests if test["plan"] == plan.id]
    with_result = [test for test in own if test["end"] in ("executed", "relied", "received")]
    proved = [test for test in own if worst(context.by_test.get(test["test"], ())) == "proved"]
    return [
        f"{plan.title} ({plan.id}, version {plan.version})",
        providers.get(plan.provider, plan.provider),
        {"code": plan.component},
        plan.success_criteria,
        plan.volumes_of,
        context.planned(f"plan/{plan.id}/tests", len(own)),
        context.planned(f"plan/{plan.id}/with-result", len(with_result)),
        context.observed(f"plan/{plan.id}/proved", len(proved)),
    ]


# --- volumes tested ---------------------------------------------------------------------------------------------------

_KINDS = ("request", "acknowledgement", "response", "alert")


def volumes_tested(context: Context) -> Section:
    """What each test put through its component: by kind of message, right and wrong on purpose, and how many SRVs."""
    rows = [row for test in context.tests if (row := _tested(context, test))]
    columns = ("Test", "#Messages due", "#Taken up", "#Requests", "#Acknowledgements", "#Responses", "#Alerts",
               "#Right", "#Invalid on purpose", "#SRVs, at most")  # fmt: skip
    note = (
        "Counted in the results: requests and alerts are offered; acknowledgements and responses come back, and are "
        "counted. A right message should be answered; one that is invalid on purpose should be refused."
    )
    return section("volumes-tested", "Volumes tested", table(columns, rows, note=note))


def _tested(context: Context, test: Row) -> list[Cell] | None:
    run = standing_run(test)
    series = context.series.get(run)
    if series is None or not series.get("kinds"):
        return None
    rows = series["kinds"]

    def count(name: str, value: int) -> Figure:
        return context.figures.figure(f"tested/{run}/{name}", value, "count", series["digest"])

    offered = [row for row in rows if row["kind"] in ("request", "alert")]
    target = of_run(context, run, "target", "count")
    taken_up = context.measured(context.measurement(run, "offered"))
    return [
        {"link": f"t-{test['test']}", "text": test["test"]},
        target or "not at hand",
        taken_up or "not measured",
        *(count(kind, sum(row["count"] for row in rows if row["kind"] == kind)) for kind in _KINDS),
        count("right", sum(row["count"] for row in offered if row["expect"] == "ok")),
        count("invalid", sum(row["count"] for row in offered if row["expect"] != "ok")),
        count("srvs", max((row["srvs"] for row in offered), default=0)),
    ]


# --- environment ------------------------------------------------------------------------------------------------------


def environment(context: Context) -> Section:
    """What the environment could carry, beside what production is to carry: component by component."""
    declared = context.environment
    stated = declared.size or "not stated"
    text: Parts = [f"{declared.title} ({declared.id}), a {declared.kind} environment. Its size as declared: {stated}."]
    if declared.kind is EnvironmentKind.REHEARSAL:
        text.append(" It is emulated: it says nothing of the capacity of the system that production will run.")
    columns = ("Component", "Solution and version", "#Production's rate", "#Rate multiplied by", "#Offered here",
               "#Taken up", "#Highest load carried", "#CPU, p95", "#Memory, p95")  # fmt: skip
    note = (
        "Rates are requests and alerts a second, averaged over the load test: what the target volumes come to in "
        "production, and what was offered here. The highest load carried is the stress test's, as a multiple of "
        "the target."
    )
    rows = [_capability(context, name) for name in context.phase.components]
    return section("environment", "Environment and production size", table(columns, rows, note=note), text=text)


def _capability(context: Context, name: str) -> list[Cell]:
    component = context.programme.component(name)
    load, stress = (_standing(context, name, kind) for kind in (TestType.LOAD, TestType.STRESS))
    target, window = (of_run(context, load, field, unit) for field, unit in (("target", "count"), ("window_us", "us")))
    factor = of_run(context, load, "rate", "times")
    production: Figure | str = "not at hand"
    offered: Figure | str = "not at hand"
    if target and window and factor:
        here = Decimal(target["value"]) * 1_000_000 / Decimal(window["value"])
        offered = _a_second(context, f"environment/{name}/offered", here, target["evidence"])
        production = _a_second(
            context, f"environment/{name}/production", here / Decimal(factor["value"]), target["evidence"]
        )
    measured = [
        context.measured(context.measurement(run, metric)) or "not measured"
        for run, metric in (
            (load, "offered"),
            (stress, Metric.HEADROOM),
            (load, Metric.CPU_P95),
            (load, Metric.MEMORY_P95),
        )
    ]
    return [
        f"{component.title} ({name})",
        f"{component.solution.name}, version {component.version}",
        production,
        factor or "not at hand",
        offered,
        *measured,
    ]  # fmt: skip


def _a_second(context: Context, name: str, rate: Decimal, evidence: list[str]) -> Figure:
    value = rate.quantize(_HUNDREDTHS)
    return context.figures.figure(name, decimal_text(value), "messages per second", evidence, text=f"{value:,f}")


def _standing(context: Context, component: str, kind: TestType) -> str:
    own = (test for test in context.tests if test["component"] == component and test["type"] == kind)
    return next((run for test in own if (run := standing_run(test))), "")


# --- infrastructure ---------------------------------------------------------------------------------------------------

_SHOWN = (
    ("#Latency, p95", Metric.LATENCY_P95),
    ("#CPU, p95", Metric.CPU_P95),
    ("#Memory, p95", Metric.MEMORY_P95),
    ("#Connections, p95", Metric.CONNECTIONS_P95),
    ("#Disk written a second, p95", Metric.DISK_WRITTEN_P95),
    ("#Network sent a second, p95", Metric.NETWORK_SENT_P95),
    ("#Samples of those due", "coverage"),
)


def infrastructure(context: Context) -> Section:
    """What each test used of its component's machine, beside the latency that it had meanwhile."""
    rows: list[list[Cell]] = []
    for test in context.tests:
        run = standing_run(test)
        found = [context.measured(context.measurement(run, metric)) for _, metric in _SHOWN]
        if any(found[1:]):
            link: Cell = {"link": f"t-{test['test']}", "text": test["test"]}
            rows.append([link, *(figure or "not measured" for figure in found)])
    note = "The component under test, all its parts together. Drawn over time under the test's behaviour."
    return section(
        "infrastructure",
        "Infrastructure beside latency",
        table(("Test", *(heading for heading, _ in _SHOWN)), rows, note=note),
    )


# --- traceability -----------------------------------------------------------------------------------------------------


def traceability(context: Context) -> Section:
    """Each requirement, the tests that it was held against, their evidence, and what was observed; gaps too."""
    by_requirement: dict[str, list[Row]] = {}
    for row in context.observations:
        by_requirement.setdefault(row["requirement"], []).append(row)
    declared = [(each.id, each.title) for each in context.programme.requirements]
    known = [*declared, *((name, TARGET) for name in by_requirement if name not in dict(declared))]
    columns = ("Test", "Evidence", "Observed", "#Observations", "#Closest to its limit")
    tables = [
        table(columns, _traced(context, name, by_requirement.get(name, ())), title=f"{title} ({name})")
        for name, title in known
    ]
    text = (
        "Each requirement with the tests that it was held against. The last column is the measurement nearest to its "
        "limit, or farthest beyond it, in parts of the limit."
    )
    return section("traceability", "Traceability of requirements", *tables, text=text)


def _traced(context: Context, name: str, found: Sequence[Row]) -> Iterable[list[Cell]]:
    if not found:
        yield [
            "no test of this phase",
            "none",
            {"badge": "not tested"},
            _none(context, name),
            "not measured",
        ]
    tests: dict[str, list[Row]] = {}
    for row in found:
        tests.setdefault(row["test"], []).append(row)
    for test, rows in tests.items():
        nearest = max(rows, key=_used)
        yield [
            {"link": f"o-{nearest['observation']}", "text": test},
            {"ref": _measured_in(context, nearest)},
            {"badge": worst(rows)},
            context.observed(f"trace/{name}/{test}", len(rows)),
            _share(context, name, test, nearest),
        ]


def _none(context: Context, name: str) -> Figure:
    return context.observed(f"trace/{name}/none", 0)


def _measured_in(context: Context, row: Row) -> str:
    found = context.by_run.get(row["run"], ())
    return str(found[0]["digest"] if found else context.facts["observations"]["digest"])


def _used(row: Row) -> Decimal:
    """How much of what the limit allows was used: above 1 is beyond it."""
    if row["value"] is None or not row["limit"]:
        return Decimal(-1)
    share = Decimal(row["value"]) / Decimal(row["limit"])
    return share if row["direction"] == "at most" else (1 / share if share else Decimal(10**6))


def _share(context: Context, name: str, test: str, row: Row) -> Cell:
    if row["value"] is None or not row["limit"]:
        return "not measured"
    share = Decimal(row["value"]) / Decimal(row["limit"]) * 1_000_000
    is_known = row["value"] < LATER and share < LATER
    told = f"{plain(share / 10_000)} %" if is_known else "unbounded"
    evidence = [context.facts["observations"]["digest"], context.facts["programme_digest"]]
    text = f"{row['direction']} its limit: {told}"
    value = int(share) if is_known else LATER
    return context.figures.figure(f"trace/{name}/{test}/of-limit", value, "ppm", evidence, text=text)


# --- glossary ---------------------------------------------------------------------------------------------------------

_WORDS = {
    "Capability phase": "A stage of the programme with its own components, volumes and completion report.",
    "Component": "A part of the system, owned by a service provider, with a version and a configuration.",
    "Message path": "The ordered components that a kind of message passes.",
    "SRV": "Service Reference Variant: the kind of a service request.",
    "Volume model": "Forecasts and assumptions turned into messages per component, SRV and period.",
    "Target volume": "The messages of the volume model that a test must offer in time.",
    "Test, test run": "One planned test, and one execution of it. A finished run stands, whatever its verdict.",
    "Requirement (NFR)": "A non-functional requirement: a metric, a limit, a unit and a scope.",
    "Measurement": "A number computed from results, with its 95 % interval, its samples and its method.",
    "Observation": "A measurement held against a requirement or a target volume.",
    "Proved": "The whole interval of the measurement lies inside the limit.",
    "Not proved": "The whole interval lies outside the limit, or the system could not take the load it was offered.",
    "Inconclusive": "Anything else, with the reason: the evidence does not tell.",
    "Latency": "From when a message was due until its final response, so that a late sender hides nothing.",
    "p95, p99": "The latency that 95 or 99 of 100 messages do not exceed, unanswered messages counting as slowest.",
    "Headroom, knee": "The highest multiple of the target load that was carried, and the interval it was found within.",
    "Taken up": "Messages that the injector began to send in time, whatever became of them.",
    "Reliance": "Letting an observation rest on evidence of an earlier phase, after every input was compared.",
    "Standing": "Whether a declared number is agreed, proposed or unverified.",
    "Rehearsal": "Testing on an emulated system, durations compressed and rates multiplied: no proof of real capacity.",
    "Evidence, digest": "An artefact that a claim rests on, and the SHA-256 of its bytes by which it is named.",
    "Ledger": "The append-only chain of records of everything that was done, each with the digest of the one before.",
    "Residual risk": "What remains possible because something was not tested.",
}  # fmt: skip


def glossary(context: Context) -> Section:
    """The words of this report, and the metrics that its requirements use."""
    used = {requirement.metric for requirement in context.programme.requirements}
    metrics = [[str(metric), METRICS[metric][2]] for metric in Metric if metric in used]
    return section(
        "glossary",
        "Glossary",
        table(("Word", "Meaning"), list(_WORDS.items())),
        table(("Metric", "Meaning"), metrics, title="Metrics of the requirements in force"),
    )
