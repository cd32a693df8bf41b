"""The report's section on reliance: the rule in force, and every decision as a small impact analysis report."""

from collections.abc import Iterator, Sequence
from typing import Any

from catalog.canonical import document_digest
from catalog.shown import shown
from expectations.reliance import VOLUMES, in_words, not_compared
from tasks.report.context import Context, Row, quoted
from tasks.report.sampling import sampling

_MOST = 12
"""So many differences of one root cause, and inputs that it propagates to, are told by name."""


def reliance(context: Context) -> dict[str, Any]:
    """The rule in force, for every test what was compared with what and what came of it, and what samples showed."""
    rule = context.programme.programme.reliance
    planned = {test["test"]: test for test in context.facts["plan"]["tests"]}
    return {
        "rule": {
            "text": in_words(rule),
            "reading": rule.reading,
            "source": rule.source,
            "not_compared": [{"what": what, "why": why} for what, why in not_compared(rule)],
        },
        "sampling": sampling(context),
        "decisions": [_decision(context, test, planned.get(test["test"])) for test in context.tests],
    }


def _decision(context: Context, test: Row, planned: Row | None) -> dict[str, Any]:
    then, impact = test["decided_then"], test["impact"]
    compared = test["compared"] or [
        {**each, "same": each["old"] == each["new"], "allows": each["old"] == each["new"]}
        for each in (then or planned or {}).get("reasons", ())
    ]
    decision = planned["decision"] if planned else ""
    return {
        "test": test["test"],
        "end": test["end"],
        "decision": decision,
        "then": {name: then[name] for name in ("decision", "why")} if then and decision == "complete" else None,
        "relied_on": test["relied_on"],
        "against": impact.get("evidence"),
        "evidence": [context.facts["plan"]["digest"], *([test["relied_on"]["record"]] if test["relied_on"] else [])],
        "roots": [_root(each) for each in impact.get("roots", ())],
        "by_themselves": _listed(impact.get("by_themselves", ())) if impact.get("evidence") else "",
        "apart": _listed(impact.get("apart", ())),
        "untraced": _listed(impact.get("untraced", ())),
        "affected": _affected(impact.get("affected")),
        "conclusion": impact.get("conclusion") or test["why"],
        "compared": list(_rows(compared)),
    }


def _root(root: Row) -> dict[str, Any]:
    told = [
        {"input": each["input"], "old": quoted(each["old"]), "new": quoted(each["new"])} for each in root["differences"]
    ]
    return {
        "declared": root["declared"],
        "differences": told[:_MOST],
        "more": f"and {len(told) - _MOST} more" if len(told) > _MOST else "",
        "propagates": _listed(root["propagates"]),
        "old_digest": root["old_digest"] or "",
        "new_digest": root["new_digest"] or "",
    }


def _affected(affected: Row | None) -> list[dict[str, str]]:
    """What rests on the answer, a line for each kind of thing."""
    if affected is None:
        return []
    named = {
        "component": [affected["component"]],
        **{name: affected[name] for name in ("paths", "requirements", "tests")},
    }
    return [{"what": _KINDS[name], "names": _listed(names)} for name, names in named.items() if names]


_KINDS = {
    "component": "component",
    "paths": "message paths",
    "requirements": "requirements observed on it",
    "tests": "other tests that the root causes touch",
}


def _rows(compared: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Inputs compared, those in the way first; target volumes that are equal are told together."""
    equal = [each for each in compared if _is_cell(each) and each["same"] and each["allows"]]
    cells = [each for each in compared if _is_cell(each)]
    totals = [sum(each[side] for each in cells) for side in ("old", "new")]
    for each in compared:
        if each not in equal:
            sides = [(each[side], total) for side, total in zip(("old", "new"), totals, strict=True)]
            texts = [_count(*side) if each in cells else quoted(side[0]) for side in sides]
            yield _row(each["input"], each["old"], each["new"], texts, allows=each["allows"])
    if equal:
        counts = {each["input"].removeprefix(f"{VOLUMES}."): each["old"] for each in equal}
        name = f"{VOLUMES}, {len(counts)} kinds of message, each equal"
        yield _row(name, counts, counts, [f"{sum(counts.values()):,} messages"] * 2, allows=True)


def _count(count: int, total: int) -> str:
    """Messages of one kind, and which share of all that the test offers they are: the mix."""
    return f"{count:,} ({shown(count * 1_000_000 // max(total, 1), 'ppm')})"


def _row(name: str, old: Any, new: Any, texts: Sequence[str], *, allows: bool) -> dict[str, Any]:
    digests = [None if each is None else document_digest(each) for each in (old, new)]
    return {
        "input": name,
        "old": texts[0],
        "new": texts[1],
        "old_digest": digests[0] or "",
        "new_digest": digests[1] or "",
        "same": digests[0] == digests[1],
        "allows": allows,
    }


def _is_cell(each: Row) -> bool:
    """Whether it is the target volume of one kind of message, then and now."""
    counted = type(each["old"]) is int and type(each["new"]) is int
    return counted and each["input"].startswith(f"{VOLUMES}.") and "|" in each["input"]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more
