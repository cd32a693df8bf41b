"""Laboratories for single trials."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.lab import Lab, laboratory, own_surroundings


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment of one's own, which trials share."""
    return own_surroundings(tmp_path_factory.mktemp("surroundings"))


@pytest.fixture
def lab(tmp_path: Path, surroundings: dict[str, str], request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A laboratory in which everything has to hold at the end."""
    with laboratory(tmp_path / "laboratory", surroundings, f"1/{request.node.name}") as made:
        yield made
        assert made.problems == [], made.told
