"""The course of a test: which load comes next follows from the declaration and what came before."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.declarations import BaselineRuns, StressRamp, TestType
from expectations.statistics import MILLION, Step
from tasks.course import Part, Taken, has_turns, highest, longest, next_turn, rising

RAMP = {"growth": "2", "most": "8", "width": "25 %", "latency": "250 ms", "answered": "99 %"}


@pytest.fixture(scope="module")
def profiles(template):
    """A profile of each type that takes several turns, or one of its own; by type."""
    load, stress, _ = template.programme.tests.profiles
    ramp = StressRamp.model_validate(RAMP)
    runs = BaselineRuns(runs=5, traffic=("BAU",))
    return {
        TestType.LOAD: load,
        TestType.STRESS: stress.model_copy(update={"ramp": ramp}),
        TestType.REGRESSION: load.model_copy(update={"type": TestType.REGRESSION, "comparison": runs}),
    }


def taken_by(profile, carries):
    """The turns of a whole test of a system that carries what `carries` says of a multiple in ppm."""
    taken, turns = [], []
    while (turn := next_turn(profile, taken)) is not None:
        ppm = int(turn.multiple * MILLION)
        turns.append(turn)
        taken.append(Taken(part=turn.part, step=Step(multiple_ppm=ppm, offered=True, carried=carries(ppm))))
    return turns


def test_most_tests_are_one_turn(profiles):
    turns = taken_by(profiles[TestType.LOAD], lambda _: False)
    assert [(turn.part, turn.multiple) for turn in turns] == [(Part.WHOLE, 1)]
    assert not has_turns(TestType.LOAD)


@settings(derandomize=True, deadline=None)
@given(knee=st.integers(10_000, 7_900_000))
def test_a_search_brackets_the_knee_and_then_offers_its_first_load_again(profiles, knee):
    turns = taken_by(profiles[TestType.STRESS], lambda ppm: ppm <= knee)
    *ramp, last = turns
    assert {turn.part for turn in ramp} == {Part.RAMP}
    assert (last.part, last.multiple) == (Part.RECOVERY, 1)
    assert [turn.stream for turn in turns] == list(range(len(turns)))  # each step has arrivals of its own
    carried = max((turn.multiple for turn in ramp if turn.multiple * MILLION <= knee), default=0)
    refused = min(turn.multiple for turn in ramp if turn.multiple * MILLION > knee)
    assert carried * MILLION <= knee < refused * MILLION
    assert len(turns) <= longest(profiles[TestType.STRESS]) or knee < MILLION
    assert max(turn.multiple for turn in turns) <= highest(profiles[TestType.STRESS])


def test_a_system_that_carries_everything_has_nothing_to_recover_from(profiles):
    turns = taken_by(profiles[TestType.STRESS], lambda _: True)
    assert [turn.multiple for turn in turns] == [1, 2, 4, 8, 8]
    assert [turn.multiple for turn in turns[:4]] == rising(profiles[TestType.STRESS].ramp)
    assert {turn.part for turn in turns} == {Part.RAMP}


def test_a_step_that_was_not_offered_ends_the_search(profiles):
    late = Taken(part=Part.RAMP, step=Step(multiple_ppm=MILLION, offered=False, carried=True))
    assert next_turn(profiles[TestType.STRESS], [late]) is None


def test_a_regression_takes_turns_with_the_baseline_and_offers_both_the_same(profiles):
    turns = taken_by(profiles[TestType.REGRESSION], lambda _: True)
    sides = "".join("A" if turn.part is Part.CANDIDATE else "B" for turn in turns)
    assert sides == "ABBAABBAAB"
    assert [turn.stream for turn in turns] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert {turn.multiple for turn in turns} == {Fraction(1)}
    assert len(turns) == longest(profiles[TestType.REGRESSION])
