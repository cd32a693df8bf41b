"""Samples of what may be relied on: a draw is fixed by its seed, stands once recorded, and its outcomes are counted."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import UsageError
from catalog.ledger import Kind
from expectations.statistics import clopper_pearson
from tasks.plan import History
from tasks.report.sampling import summary
from tasks.sampling import STAGE, choice, drawn, drawn_before, outcomes, parse

TESTS = [f"launch.orders.{name}" for name in ("load", "soak", "stress")]


@pytest.mark.parametrize(
    ("text", "share", "seed"), [("0.2", "0.2", None), ("1", "1", None), ("0.5:0", "0.5", 0), ("1e-2:42", "0.01", 42)]
)
def test_a_share_may_have_a_seed(text, share, seed):
    asked = parse(text)
    assert (asked.share, asked.seed) == (Decimal(share), seed)


@pytest.mark.parametrize("text", ["0", "1.1", "-0.1", "nan", "inf", "half", "", ":7", "0.5:", "0.5:x", "0.5:-1"])
def test_what_is_no_share_is_refused_with_what_is(text):
    with pytest.raises(UsageError, match="no share of the relied tests") as refused:
        parse(text)
    assert "0.2:42" in refused.value.help()


@settings(derandomize=True, deadline=None)
@given(
    tests=st.sets(st.text("abc.", min_size=1), max_size=20),
    share=st.decimals("0.01", 1, places=2),
    seed=st.integers(0, 99),
)
def test_a_draw_is_a_share_of_what_there_is_whatever_its_order(tests, share, seed):
    found = drawn(tests, share, seed)
    assert found == drawn(sorted(tests, reverse=True), share, seed)
    assert set(found) <= tests
    assert len(found) == len(set(found))
    assert bool(found) == bool(tests)
    assert abs(len(found) - share * len(tests)) <= 1 or len(found) == 1


def test_seeds_make_different_draws():
    names = [str(number) for number in range(30)]
    assert len({tuple(drawn(names, Decimal("0.5"), seed)) for seed in range(10)}) == 10


def draw(runbook, text, tests=TESTS, *, seed=7):
    asked = parse(text)
    own = seed if asked.seed is None else asked.seed
    return runbook.recorder.record(Kind.SAMPLED, STAGE, parameters=choice(asked, own, tests))


def test_a_draw_that_is_recorded_stands(runbook):
    def before(text, occasion="pilot"):
        return drawn_before(runbook.workspace.ledger.records(), occasion, parse(text))

    assert before("0.5") is None
    own, seeded = draw(runbook, "0.50"), draw(runbook, "0.5:42")
    assert before("0.5") == own
    assert before("0.5:42") == seeded
    assert before("0.5:7") == own  # its seed is told, and gives the same draw
    assert before("0.5:43") is None
    assert before("0.4") is None
    assert before("0.5", "launch") is None


def outcome(runbook, **verdicts):
    runs = runbook.runs()
    relied = {("pilot", test): runs[0].record.digest for test in TESTS}
    known = History(
        runs=tuple(runs), withdrawn=frozenset(), store=runbook.workspace.store, relied=relied,
        verdict=lambda run: (verdicts.get(f"run{run.run[-1]}", "proved"), ""),
    )  # fmt: skip
    (found,) = outcomes(runbook.workspace.ledger.records(), known, "pilot")
    return {each["test"]: (each["run"], each["verdict"], each["outcome"]) for each in found["tests"]}


LOAD = TESTS[0]


@pytest.mark.parametrize(
    ("verdicts", "run", "told"),
    [
        ({}, 2, "same"),
        ({"run2": "not proved"}, 2, "differs"),
        ({"run2": "inconclusive", "run3": "not proved"}, 3, "differs"),
        ({"run2": "inconclusive", "run3": "inconclusive"}, 2, "no answer"),
    ],
)
def test_the_first_run_after_the_draw_that_has_an_answer_tells(runbook, verdicts, run, told):
    runbook.run(LOAD)
    draw(runbook, "1:1", [LOAD])
    runbook.run(LOAD)
    runbook.run(LOAD)
    (found,) = outcome(runbook, **verdicts).values()
    assert (found[0][-1], found[2]) == (str(run), told)


def test_what_did_not_finish_is_no_answer(runbook):
    runbook.run(LOAD)
    draw(runbook, "1:1", [LOAD])
    runbook.run(LOAD, state="unreachable")
    runbook.run(LOAD, state="")
    assert outcome(runbook) == {LOAD: ("", "", "no answer")}


def sample(*told):
    tests = [{"test": str(place), "outcome": each} for place, each in enumerate(told)]
    return {"relied": [str(place) for place in range(9)] if told else [], "tests": tests}


def test_how_often_relying_would_have_been_wrong_has_an_interval():
    found = summary([sample("same", "same", "differs", "no answer")])
    assert (found["relied"], found["drawn"], found["answered"], found["wrong"], found["no_answer"]) == (9, 4, 3, 1, 1)
    assert (found["lower_ppm"], found["upper_ppm"]) == clopper_pearson(1, 3)
    assert found["share_ppm"] == 333_333
    assert found["text"] == (
        "reliance sampled: 4 of 9 tests that may be relied on were drawn; relying would have been wrong for 1 of 3 "
        "(95 % interval 0.8403 % to 90.5701 %), 1 without an answer"
    )


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        ([], None),
        ([sample()], "reliance sampled: no test was relied on, so none was drawn"),
        (
            [sample("no answer")],
            "reliance sampled: 1 of 9 tests that may be relied on were drawn, and none of them came to an answer",
        ),
    ],
)
def test_without_an_answer_there_is_no_share(samples, told):
    found = summary(samples)
    assert found.get("text") == told
    assert "share_ppm" not in found
