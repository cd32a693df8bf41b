"""Workspaces, programmes and surroundings for whole phases."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from phases import Bench, make_shop

from flows.cli import CATALOG


@pytest.fixture(scope="session")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment of one's own: keys and Prefect's database, which is made once, away from the person's."""
    folder = tmp_path_factory.mktemp("surroundings")
    own = {
        "XDG_CONFIG_HOME": str(folder / "config"),
        "PREFECT_HOME": str(folder / "prefect"),
        "PLIMSOLL_CACHE": str(folder / "cache"),
        "PLIMSOLL_ACTOR": "tester",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PLIMSOLL_", "COV"))}
    return {**kept, **own}


@pytest.fixture
def shop(tmp_path: Path, surroundings: dict[str, str]) -> Bench:
    """The template's programme, with environments for every defect, and an empty workspace."""
    return make_shop(tmp_path, surroundings)


@pytest.fixture(scope="module")
def pilot(tmp_path_factory: pytest.TempPathFactory, surroundings: dict[str, str]) -> Bench:
    """The template's programme with its pilot phase run; tests may read it, and copy it to change it."""
    bench = make_shop(tmp_path_factory.mktemp("pilot"), surroundings)
    ended = bench.run("run", "pilot", "--json")
    assert ended.status == 0, ended.stderr + ended.stdout
    return bench


@pytest.fixture
def shipped(tmp_path_factory: pytest.TempPathFactory, surroundings: dict[str, str]) -> Callable[[Path], Bench]:
    """The shipped programme with a given workspace."""
    return lambda home: Bench(catalog=CATALOG, home=home, environ=surroundings)
