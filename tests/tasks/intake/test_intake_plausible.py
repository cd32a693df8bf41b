"""The most messages within the planned time, against counting them one by one."""

from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import fastparquet
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.intake.plausible import most_within


def counted(times, within):
    """The most of `times` within any stretch shorter than `within`."""
    return max((sum(start <= each < start + within for each in times) for start in times), default=0)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(times=st.lists(st.integers(0, 20_000), min_size=1, max_size=40), within=st.integers(1, 8000))
def test_none_within_the_planned_time_is_missed_and_none_far_beyond_it_is_counted(times, within):
    with TemporaryDirectory() as folder:
        file = Path(folder) / "samples.parquet"
        rows = pd.DataFrame({"class": 0, "intended_us": None, "sent_us": [each * 1000 for each in times]})
        fastparquet.write(str(file), rows.astype({"intended_us": "Int64"}))
        with duckdb.connect() as connection:
            most = most_within(connection, [file], within * 1000)
    in_us = [each * 1000 for each in times]
    assert counted(in_us, within * 1000) <= most <= counted(in_us, within * 1011 + 2)
