"""Workspaces, programmes and surroundings for whole phases."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from phases import Bench

from catalog.template import write_template
from flows.cli import CATALOG

VARIANTS = """
  - id: rehearsal-leaking-orders
    title: Rehearsal with an order service that leaks
    extends: rehearsal
    defect: The order service keeps 64 KiB for every message.
    components:
      orders: {workers: 6, service: 32 ms, leak_bytes: 65536}
  - id: rehearsal-failing-orders
    title: Rehearsal with an order service that fails
    extends: rehearsal
    defect: Every fifth answer of the order service is an error.
    components:
      orders: {workers: 6, service: 32 ms, error_permille: 200}
  - id: nobody-there
    title: A real environment where nothing listens
    kind: real
    entries: {storefront: "http://127.0.0.1:9", orders: "http://127.0.0.1:9"}
"""


@pytest.fixture(scope="session")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment of one's own: keys and Prefect's database, which is made once, away from the person's."""
    folder = tmp_path_factory.mktemp("surroundings")
    own = {
        "XDG_CONFIG_HOME": str(folder / "config"),
        "PREFECT_HOME": str(folder / "prefect"),
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


def make_shop(folder: Path, surroundings: dict[str, str]) -> Bench:
    """A copy of the template's programme in `folder`."""
    catalog = folder / "shop"
    write_template(catalog)
    environments = catalog / "environments.yaml"
    environments.write_text(environments.read_text() + VARIANTS)
    return Bench(catalog=catalog, home=folder / "home", environ=surroundings)
