"""How often reliance would have been wrong: tests that were drawn and executed all the same, and what came of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from catalog.shown import shown
from tasks.report.context import Context

METHOD = "Clopper-Pearson, 95 %"


def summary(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The draws of a phase, counted together (as `run --json` gives it); empty when none was made.

    A test that was drawn more than once counts once. `lower_ppm` and `upper_ppm`: the exact binomial interval of the
    share of *differs* among those with an answer (Clopper and Pearson, Biometrika 26, 1934), which is wider than needed
    where many of the relied tests were drawn; absent when there is no answer.
    """
    if not samples:
        return {}
    tests = {each["test"]: each for draw in samples for each in draw["tests"]}
    counts = Counter(each["outcome"] for each in tests.values())
    wrong, answered = counts["differs"], counts["differs"] + counts["same"]
    found: dict[str, Any] = {
        "relied": len({test for draw in samples for test in draw["relied"]}),
        "drawn": len(tests),
        "answered": answered,
        "wrong": wrong,
        "no_answer": counts["no answer"],
    }
    if answered:
        from expectations.statistics import clopper_pearson

        lower, upper = clopper_pearson(wrong, answered)
        found |= {"share_ppm": wrong * 1_000_000 // answered, "lower_ppm": lower, "upper_ppm": upper, "method": METHOD}
    return {**found, "text": _text(found)}


def _text(found: Mapping[str, Any]) -> str:
    if not found["relied"]:
        return "reliance sampled: no test was relied on, so none was drawn"
    drawn = f"reliance sampled: {found['drawn']} of {found['relied']} tests that may be relied on were drawn"
    if not found["answered"]:
        return f"{drawn}, and none of them came to an answer"
    ends = f"{shown(found['lower_ppm'], 'ppm')} to {shown(found['upper_ppm'], 'ppm')}"
    silent = f", {found['no_answer']} without an answer" if found["no_answer"] else ""
    wrong = f"relying would have been wrong for {found['wrong']} of {found['answered']} (95 % interval {ends})"
    return f"{drawn}; {wrong}{silent}"


def sampling(context: Context) -> dict[str, Any]:
    """The report's part on it: the counts as figures, and each test that was drawn."""
    samples = context.facts["samples"]
    found = summary(samples)
    if not found:
        return {}
    draws = [draw["record"] for draw in samples]
    runs = [each["record"] for draw in samples for each in draw["tests"]]
    figures = {
        name: context.figures.figure(f"reliance/{name.replace('_', '-')}", found[name], "count", [*draws, *runs])
        for name in ("relied", "drawn", "answered", "wrong", "no_answer")
    }
    if "share_ppm" in found:
        ends = [shown(found[end], "ppm") for end in ("lower_ppm", "upper_ppm")]
        figures["share"] = context.figures.figure(
            "reliance/wrong-share",
            found["share_ppm"],
            "ppm",
            [*draws, *runs],
            lower=found["lower_ppm"],
            upper=found["upper_ppm"],
            interval=" to ".join(ends),
            samples=found["answered"],
            method=METHOD,
        )
    return {
        "figures": figures,
        "draws": [
            {
                "record": draw["record"],
                "share": draw["share"],
                "seed": str(draw["seed"]),
                "tests": [{name: each[name] for name in _SHOWN} for each in draw["tests"]],
            }
            for draw in samples
        ],
    }


_SHOWN = ("test", "relied_on", "run", "verdict", "outcome")
