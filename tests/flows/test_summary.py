"""What the summary of a run says of observations that are not proved."""

from flows.run import _unproved


def row(
    test: str, requirement: str = "latency", verdict: str = "inconclusive", reason: str = "nobody there"
) -> dict[str, str]:
    return {"test": test, "requirement": requirement, "scope": "all", "verdict": verdict, "reason": reason}


def test_equal_reasons_are_one_line_and_single_ones_name_their_requirement() -> None:
    many = [row(f"t{number}", requirement) for number in range(5) for requirement in ("latency", "answered")]
    lines = list(_unproved([*many, row("t9", verdict="not proved", reason="too slow"), row("t1", verdict="proved")]))
    assert lines == [
        "[yellow]? inconclusive[/]  t0, t1, t2 and 2 more tests  10 observations: nobody there",
        "[red]✘ not proved[/]  t9  latency (all): too slow",
    ]
