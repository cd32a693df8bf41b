"""Workspaces, programmes and surroundings for whole phases."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from phases import MEASURED, Bench, make_shop

from flows.cli import CATALOG
from flows.prefect_api import start_api


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment of one's own: keys and Prefect's database, away from the person's; each run serves its own API."""
    folder = tmp_path_factory.mktemp("surroundings")
    own = {
        "XDG_CONFIG_HOME": str(folder / "config"),
        "PREFECT_HOME": str(folder / "prefect"),
        "PLIMSOLL_CACHE": str(folder / "cache"),
        "PLIMSOLL_ACTOR": "tester",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PLIMSOLL_", "COV"))}
    return {**kept, **own}


@pytest.fixture(scope="session")
def surroundings(alone: dict[str, str]) -> Iterator[dict[str, str]]:
    """The same, with a Prefect API that is up already, as a team's is: starting one takes a run longer than its load.

    Runs that serve their own are in `test_cli.py`, `test_prefect_api.py` and `test_streams.py`.
    """
    own = {**alone, "PREFECT_HOME": f"{alone['PREFECT_HOME']}-shared"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", own["PREFECT_HOME"])
        patch.delenv("PREFECT_API_URL", raising=False)
        for name in MEASURED:
            patch.delenv(name, raising=False)
        server = start_api()
    try:
        told = server.read(300)
        yield {**own, "PREFECT_API_URL": told["url"], "PREFECT_API_AUTH_STRING": told["auth"]}
    finally:
        server.stop()


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
