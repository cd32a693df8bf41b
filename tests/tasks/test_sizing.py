"""The page on sizing says what its figures and its simulation come to, and the simulation does what it says."""

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks import sizing
from tasks.inject.files import ROW


def test_the_page_holds_what_is_computed() -> None:
    text = sizing.DOCUMENT.read_text()
    assert sizing.written(text, sizing.tables()) == text


def test_a_page_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="has 0 places for the table 'figures'"):
        sizing.written("nothing", {"figures": ""})


@given(work=st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 300)), min_size=1, max_size=50))
def test_a_core_does_one_piece_of_work_after_the_other(work: list[tuple[int, int]]) -> None:
    come, take = (np.array(each, dtype=np.float64) for each in zip(*sorted(work), strict=True))
    free, expected = 0.0, []
    for came, takes in zip(come, take, strict=True):
        free = max(free, came) + takes
        expected.append(free)
    assert sizing.finished(come, take) == pytest.approx(expected)


def test_work_without_queueing_is_taken_up_at_once_and_a_full_core_falls_behind() -> None:
    quiet = sizing.MACHINES[0]
    idle = sizing.delays(quiet, Fraction(1, 1000), cpu_us=50.0, seconds=20, seed=1)
    full = sizing.delays(quiet, Fraction(12, 10), cpu_us=50.0, seconds=2, seed=1)
    assert sizing.percentile(idle, 900) < 1
    assert np.median(full[-1000:]) > 100_000


def test_what_a_core_may_carry_ends_where_lateness_first_passes_the_limit() -> None:
    late = {Fraction(1, 10): 5.0, Fraction(2, 10): 20.0, Fraction(3, 10): 5.0}
    assert sizing.allowed(late, 10) == Fraction(1, 10)
    assert sizing.allowed(late, 20) == Fraction(3, 10)
    assert sizing.allowed(late, 1) is None


def test_figures_that_the_code_knows_are_the_codes_own() -> None:
    assert sizing.FIGURES["row"].value == ROW.size
    assert round(sizing.METERS * sizing.PER_METER_DAY / (sizing.HOURS * 3600), -1) == 2830
