"""The report's section on earlier phases: what the same tests were observed to do then and now.

A test is the same where its role and conduct are (`tasks.gather`). Tests that rest on the earlier run are not here,
since they are that run. How changes are told from none is said in `tasks.report.compare`.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tasks.report.compare import Pair, beside, change, matters
from tasks.report.context import Context, Row, interval
from tasks.report.figures import Figure, Parts
from tasks.report.sections import Cell, section, table
from tasks.report.testing import TARGET, measured


def earlier(context: Context) -> list[dict[str, Any]]:
    """Each earlier phase that has observations of the same tests, the newest first: a chart, and what changed."""
    known = [(each, _pairs(context, each["rows"])) for each in context.facts.get("earlier", ())]
    return [_beside(context, each, pairs) for each, pairs in known if pairs]


def _pairs(context: Context, rows: Sequence[Row]) -> list[Pair]:
    now = {row["observation"]: row for row in context.observations}
    tests = {test["test"]: test for test in context.tests}
    return [
        Pair(
            what=(test["component"], test["name"], each["now"], row["scope"]),
            a=each["then"],
            b=row,
            direction=row["direction"],
            limits=(each["then"]["limit"], row["limit"]),
            verdicts=(each["then"]["verdict"], row["verdict"]),
        )
        for each in rows
        if (row := now.get(each["now"])) and (test := tests.get(row["test"]))
        and None not in (row["value"], each["then"]["value"])
    ]  # fmt: skip


def _beside(context: Context, found: Row, pairs: list[Pair]) -> dict[str, Any]:
    phase, title = found["phase"], context.programme.phase(found["phase"]).title
    evidence = [found["digest"], context.facts["observations"]["digest"]]
    kinds = [matters(pair) for pair in pairs]
    counts = Counter(kind for kind, _ in kinds)
    count = {
        kind: context.figures.figure(f"earlier/{phase}/{kind}", counts[kind], "count", evidence)
        for kind in ("verdict", "worse", "better", "other", "none")
    }
    count["all"] = context.figures.figure(f"earlier/{phase}/all", len(pairs), "count", evidence)
    text: Parts = [
        "Of ", count["all"], " observations of tests that were executed in both phases, ", count["verdict"],
        " have another verdict, ", count["worse"], " are worse and ", count["better"],
        " better by more than their intervals allow for, ", count["other"], " are otherwise apart, and ",
        count["none"], " cannot be told from no change.",
    ]  # fmt: skip
    chart = beside(context.figures, f"earlier/{phase}/latency", pairs, evidence, (phase, context.facts["phase"]))
    columns = ("Test and requirement", f"#{phase}", "Its interval", f"#{context.facts['phase']}", "Its interval",
               "#Change", "Verdict", "Whether it matters")  # fmt: skip
    rows = [
        _row(context, found, pair, words) for pair, (kind, words) in zip(pairs, kinds, strict=True) if kind != "none"
    ]
    note = "Those that can be told apart; plimsoll report --compare has all, and what the two phases rest on."
    told = section("earlier", title, table(columns, rows, note=note), text=text)
    return {"phase": phase, "chart": chart, "sides": [phase, context.facts["phase"]], "section": told}


def _row(context: Context, found: Row, pair: Pair, words: str) -> list[Cell]:
    observation = pair.what[2]
    now, then = measured(context, pair.b), _then(context, found, pair.a)
    requirement = context.requirement(pair.b["requirement"])
    name = requirement.title if requirement else TARGET
    scope = "" if pair.what[3] == "all" else f" ({pair.what[3]})"
    changed = change(
        context.figures, f"earlier/{found['phase']}/{observation}/change", pair, then["evidence"] + now["evidence"]
    )
    return [
        f"{pair.b['test']}: {name}{scope}",
        then,
        then["interval"],
        now,
        now["interval"],
        changed,
        {"badge": pair.verdicts[1]},
        words,
    ]


def _then(context: Context, found: Row, row: Row) -> Figure:
    name = f"earlier/{found['phase']}/{row['observation']}"
    return context.figures.figure(name, row["value"], row["unit"], [found["digest"]], **interval(row))
