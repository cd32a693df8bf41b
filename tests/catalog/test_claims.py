"""Claims: every figure of a report, with what the report says around it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.claims import claims
from catalog.lineage import figures

DIGEST = "ab" * 32


def figure(name: str, **more: Any) -> dict[str, Any]:
    return {"figure": name, "value": 5, "unit": "us", "text": "5 µs", "evidence": [DIGEST], **more}


def test_a_figure_takes_on_what_stands_around_it() -> None:
    report = {
        "observations": [
            {"test": "ioc.dsp.load", "verdict": "proved", "reliance": "relied", "title": "Latency", "m": figure("m")}
        ],
        "tests": [{"test": "ioc.dsp.load", "component": "dsp", "end": "executed", "runs": [{"run": "r/1"}]}],
        "behaviour": [{"run": "r/1", "series": figure("s", samples=3, interval="1 to 2", rows=[[1]])}],
    }
    found = {claim.figure: claim for claim in claims(report)}
    measured = found["m"]
    assert (measured.section, measured.component, measured.verdict, measured.reliance, measured.title) == (
        "observations", "dsp", "proved", "relied", "Latency",
    )  # fmt: skip
    series = found["s"]
    assert (series.test, series.component, series.reliance, series.samples, series.interval) == (
        "ioc.dsp.load", "dsp", "executed", "3", "1 to 2",
    )  # fmt: skip
    assert series.as_json()["evidence"] == [DIGEST]
    assert "verdict" not in series.as_json()


def test_what_one_place_does_not_say_another_may() -> None:
    report = {"outcome": [figure("m")], "tests": [{"component": "dsp", "verdict": "met", "m": figure("m")}]}
    (claim,) = claims(report)
    assert (claim.section, claim.component, claim.verdict) == ("outcome", "dsp", "")


ODD = {"tests": [7, {"test": 1}, {"test": "a", "component": "b", "runs": [3]}]}


@pytest.mark.parametrize("report", [None, [], "x", {}, {"tests": {}}, ODD])
def test_what_is_no_report_claims_nothing(report: Any) -> None:
    assert claims(report) == []


Json: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([None, 7, "a", "proved"]),
    lambda part: (
        st.lists(part, max_size=3)
        | st.dictionaries(
            st.sampled_from(["figure", "evidence", "test", "tests", "component", "runs", "run", "x"]), part, max_size=4
        )
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["tests", "outcome", "x"]), Json, max_size=3))
def test_every_named_figure_of_any_document_is_a_claim(report: Any) -> None:
    named = {each["figure"] for each in figures(report) if isinstance(each["figure"], str)}
    assert {claim.figure for claim in claims(report)} <= named  # one within another figure is a part of that
