"""Versions of libraries: recorded with what they computed, and named where they are others."""

from importlib import metadata

import pytest

from tasks.libraries import NAMES, libraries, other_versions


def test_every_library_that_could_matter_is_named_with_its_version():
    found = libraries()
    assert found.keys() == {"python", *NAMES}
    assert found["duckdb"] == metadata.version("duckdb")


def test_the_same_versions_are_no_others():
    assert other_versions(libraries()) == []


def test_others_are_told_as_then_and_now():
    then = {**libraries(), "duckdb": "0.1", "gone": "2"}
    del then["scipy"]
    assert other_versions(then) == [
        f"duckdb 0.1 → {metadata.version('duckdb')}",
        "gone 2 → not installed",
        f"scipy not recorded → {metadata.version('scipy')}",
    ]


@pytest.mark.parametrize("recorded", [None, "1", []])
def test_where_none_are_known_all_may_be_others(recorded):
    assert len(other_versions(recorded)) == len(libraries())
