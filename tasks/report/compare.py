"""Two phases or two runs side by side: what was measured in both, what changed, and whether it matters.

Pure: facts in, a document in the report's plain form out (`tasks.report.sections`). A change is told from none only
where the two 95 % intervals do not touch; that is stricter than a test of the difference, and assumes nothing about how
the two depend on each other.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from catalog.declarations import Metric
from catalog.keys import differences
from tasks.report.context import Context, Row, interval, quoted
from tasks.report.figures import Figure, Figures, show, signed
from tasks.report.sections import Cell, Section, section, table
from tasks.report.testing import TARGET

Document = dict[str, Any]

_NO_EVIDENCE = "not evidence of the real system's capacity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side: the facts that it stands in, what it is called, and the run that it is (empty: a whole phase)."""

    name: str
    facts: Mapping[str, Any]
    run: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One thing measured on both sides: its rows, limit and verdict where it was held against a requirement."""

    what: tuple[str, str, str, str]
    a: Row
    b: Row
    direction: str
    limits: tuple[int | None, int | None]
    verdicts: tuple[str, str]

    @property
    def is_apart(self) -> bool:
        """Whether the intervals do not touch; a count without one is its own."""
        ends = [
            (row["lower"] if row["lower"] is not None else row["value"],
             row["upper"] if row["upper"] is not None else row["value"])
            for row in (self.a, self.b)
        ]  # fmt: skip
        return bool(ends[0][1] < ends[1][0] or ends[1][1] < ends[0][0])


def compare(a: Side, b: Side) -> Document:
    """The comparison: `sides`, `stamp`, `outcome`, `chart`, `sections` and `evidence`, every number in a figure."""
    contexts = Context.of(a.facts), Context.of(b.facts)
    figures = Figures()
    pairs, alone = _pairs(a, b, contexts)
    kinds = [matters(pair) for pair in pairs]
    count = {name: sum(kind[0] == name for kind in kinds) for name in ("verdict", "worse", "better", "other", "none")}
    evidence = [a.facts["observations"]["digest"], b.facts["observations"]["digest"]]
    told = {name: figures.figure(f"compare/{name}", value, "count", evidence) for name, value in count.items()}
    told["all"] = figures.figure("compare/all", len(pairs), "count", evidence)
    rehearsals = [
        side.name for side, context in zip((a, b), contexts, strict=True) if context.environment.kind == "rehearsal"
    ]
    return {
        "report": "Comparison",
        "sides": [_side(side, context) for side, context in zip((a, b), contexts, strict=True)],
        "stamp": f"{' and '.join(rehearsals)}: {_NO_EVIDENCE}" if rehearsals else "",
        "outcome": [
            "Of ", told["all"], " observations that both sides have, ", told["verdict"], " have another verdict, ",
            told["worse"], " are worse and ", told["better"], " better by more than their intervals allow for, ",
            told["other"], " are otherwise apart, and ", told["none"], " cannot be told from no change.",
        ],
        "chart": _chart(a, b, pairs, figures),
        "sections": [
            _changes(pairs, kinds, figures, evidence, (a.name, b.name)),
            _inputs(a, b),
            _alone(alone),
        ],
        "evidence": [
            {"digest": digest, "what": f"the observations of {side.name}"}
            for side in (a, b)
            for digest in [side.facts["observations"]["digest"]]
        ],
    }  # fmt: skip


def _side(side: Side, context: Context) -> Document:
    return {
        "name": side.name,
        "phase": side.facts["phase"],
        "title": context.phase.title,
        "run": side.run,
        "environment": f"{context.environment.title} ({context.environment.id}), {context.environment.kind}",
        "head": side.facts["ledger"]["head"],
    }


# --- what is paired with what -----------------------------------------------------------------------------------------


def _pairs(a: Side, b: Side, contexts: tuple[Context, Context]) -> tuple[list[Pair], list[tuple[str, ...]]]:
    """Observations of both sides by role, kind of test, requirement and scope; those that one side alone has."""
    found = [_observed(side, context) for side, context in zip((a, b), contexts, strict=True)]
    pairs = [
        Pair(
            what=key,
            a=found[0][key],
            b=found[1][key],
            direction=found[1][key]["direction"],
            limits=(found[0][key]["limit"], found[1][key]["limit"]),
            verdicts=(found[0][key]["verdict"], found[1][key]["verdict"]),
        )
        for key in found[0]
        if key in found[1] and None not in (found[0][key]["value"], found[1][key]["value"])
    ]
    alone: list[tuple[str, ...]] = [(*key, a.name if key in found[0] else b.name) for key in (*found[0], *found[1])
             if (key in found[0]) != (key in found[1])]  # fmt: skip
    return pairs, alone


def _observed(side: Side, context: Context) -> dict[tuple[str, str, str, str], Row]:
    tests = {test["test"]: test for test in context.tests}
    roles = [context.programme.component(name).role for name in context.phase.components]
    found: dict[tuple[str, str, str, str], Row] = {}
    for row in context.observations:
        test = tests.get(row["test"])
        if test is None or (side.run and row["run"] != side.run):
            continue
        requirement = context.requirement(row["requirement"])
        title = requirement.title if requirement else TARGET
        if side.run:  # whatever tests they are of, two runs are held beside each other requirement by requirement
            found["", "", title, row["scope"]] = row
            continue
        role = test["role"] if roles.count(test["role"]) == 1 else test["component"]
        found[role, test["name"], title, row["scope"]] = row
    return found


def matters(pair: Pair) -> tuple[str, str]:
    """The kind of a change, and in words whether it matters."""
    if pair.verdicts[0] != pair.verdicts[1]:
        return "verdict", f"the verdict changed from {pair.verdicts[0]} to {pair.verdicts[1]}"
    if not pair.is_apart:
        return "none", "cannot be told from no change: the intervals touch"
    if pair.limits[0] is not None and pair.a["unit"] == "count" and pair.a["metric"] == "offered":
        return "other", "another target volume" if pair.limits[0] != pair.limits[1] else "another count offered"
    grew = pair.b["value"] > pair.a["value"]
    worse = grew if pair.direction == "at most" else not grew
    kind = "worse" if worse else "better"
    exact = all(row["lower"] == row["upper"] for row in (pair.a, pair.b))
    return kind, f"{kind}, {'as counted' if exact else 'beyond both intervals'}; still {pair.verdicts[1]}"


# --- what is shown ----------------------------------------------------------------------------------------------------


def _changes(
    pairs: Sequence[Pair],
    kinds: Sequence[tuple[str, str]],
    figures: Figures,
    evidence: list[str],
    names: tuple[str, str],
) -> Section:
    order = {"verdict": 0, "worse": 1, "other": 2, "better": 3, "none": 4}
    ranked = sorted(zip(pairs, kinds, strict=True), key=lambda each: (order[each[1][0]], each[0].what))
    rows: list[list[Cell]] = []
    for pair, (kind, words) in ranked:
        name = "/".join(pair.what)
        a, b = (_figure(figures, f"{name}/{side}", row, evidence) for side, row in (("a", pair.a), ("b", pair.b)))
        rows.append(
            [
                f"{pair.what[2]}{'' if pair.what[3] == 'all' else f' ({pair.what[3]})'}",
                _of(pair.what),
                a,
                a["interval"],
                b,
                b["interval"],
                change(figures, f"compare/{name}/change", pair, evidence),
                {"badge": pair.verdicts[1]} if kind == "verdict" else "",
                words,
            ]
        )
    columns = ("Requirement", "Role and test", f"#{names[0]}", "Its interval", f"#{names[1]}", "Its interval",
               "#Change", "New verdict", "Whether it matters")  # fmt: skip
    note = "Changed verdicts first, then what is worse. A change matters for a verdict only where it moves one."
    return section("changes", "What changed", table(columns, rows, note=note))


def _figure(figures: Figures, name: str, row: Row, evidence: list[str]) -> Figure:
    return figures.figure(f"compare/{name}", row["value"], row["unit"], evidence, **interval(row))


def change(figures: Figures, name: str, pair: Pair, evidence: list[str]) -> Cell:
    """By how much the second side differs from the first, as a figure of that name; words where there is no share."""
    a, b = pair.a["value"], pair.b["value"]
    if not a:
        return "no base" if b else "none"
    share = (Decimal(b) / Decimal(a) - 1) * 100
    ppm = int(share * 10_000)
    return figures.figure(name, ppm, "ppm", evidence, text=f"{signed(share)} %" if ppm else "none")


_DRAWN = {Metric.LATENCY_P50: "median", Metric.LATENCY_P95: "p95", Metric.LATENCY_P99: "p99"}
_MOST_DRAWN = 40


def _chart(a: Side, b: Side, pairs: Sequence[Pair], figures: Figures) -> Figure | None:
    """Latencies over all messages, both sides with their intervals; the page's table has what does not fit."""
    evidence = [a.facts["observations"]["digest"], b.facts["observations"]["digest"]]
    return beside(figures, "compare/latency", pairs, evidence, (a.name, b.name))


def beside(
    figures: Figures, name: str, pairs: Sequence[Pair], evidence: list[str], sides: tuple[str, str]
) -> Figure | None:
    """The latencies of pairs over all messages as a figure to be drawn; None where there are none."""
    rows: list[list[str | int | None]] = []
    for pair in pairs:
        if pair.a["metric"] in _DRAWN and pair.what[3] == "all":
            ends = [row[end] for row in (pair.a, pair.b) for end in ("value", "lower", "upper")]
            rows.append([f"{_of(pair.what)} {_DRAWN[Metric(pair.a['metric'])]}".strip(), *ends])
    if not rows:
        return None
    rows = rows[:_MOST_DRAWN]
    columns = ["what", "a", "a_low", "a_high", "b", "b_low", "b_high"]
    told = "; ".join(f"{row[0]} {show(row[1] or 0, 'us')} and {show(row[4] or 0, 'us')}" for row in rows)
    alt = f"Latency, {sides[0]} and {sides[1]}: {told}."
    return figures.figure(name, len(rows), "rows", evidence, alt=alt, columns=columns, rows=rows)


def _inputs(a: Side, b: Side) -> Section:
    """What the two sides rest on that is not the same: of two runs their keys, of two phases what is declared."""
    rows = [[each.input, quoted(each.old), quoted(each.new)] for each in _differing(a, b)]
    columns = ("Input", a.name, b.name)
    note = "Declared versions, solutions, configurations, requirements, environments and conduct that differ."
    return section("inputs", "What the two sides rest on", table(columns, rows, note=note))


_SAME_BY_NATURE = ("run", "start_us", "phase", "test")


def _differing(a: Side, b: Side) -> Iterator[Any]:
    if a.run and b.run:
        old, new = (_document(side) for side in (a, b))
        yield from differences(old, new)
        return
    for part in ("system", "requirements", "tests", "assumptions"):
        yield from differences(a.facts["programme"][part], b.facts["programme"][part])
    yield from differences({"environment": a.facts["environment"]}, {"environment": b.facts["environment"]})


def _document(side: Side) -> Document:
    runs = [run for test in side.facts["tests"] for run in test["runs"] if run["run"] == side.run]
    found = dict(runs[0]["document"] or {}) if runs else {}
    return {
        name: value for name, value in found.items() if name not in (*_SAME_BY_NATURE, "steps", "follows", "blocks_us")
    }


def _of(what: Sequence[str]) -> str:
    """The role and the test that something was measured of; empty between two runs."""
    return f"{what[0]} · {what[1]}" if what[0] else ""


def _alone(alone: Sequence[tuple[str, ...]]) -> Section:
    rows = [[f"{each[2]}{'' if each[3] == 'all' else f' ({each[3]})'}", _of(each), each[4]] for each in alone]
    return section("alone", "On one side only", table(("Requirement", "Role and test", "Side"), rows))
