"""The example of a real system, nginx, a service and PostgreSQL: a whole phase against it, and nothing left of it."""

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from phases import Bench

from catalog.runs import test_runs
from catalog.template import write_template
from catalog.workspace import Workspace

WITHIN_S = 120
SHORT = "{load: 2 s, stress: 1 s, soak: 2 s, scaling: 1500 ms}"
"""Enough for all to be answered and every source asked. PLIMSOLL_LONG_EXAMPLE=1 keeps what the example declares."""


def missing() -> str:
    """The program that is not installed, where Debian puts it."""
    beside = os.pathsep.join(["/usr/sbin", *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])
    found = {name: shutil.which(name) or shutil.which(name, path=beside) for name in ("nginx", "postgres", "initdb")}
    return ", ".join(name for name, path in found.items() if path is None)


@dataclass(kw_only=True)
class Web:
    """The example in a folder of its own, and the process that its system hangs on."""

    bench: Bench
    process: "subprocess.Popen[str]"
    ready: str
    family: list[psutil.Process]

    @property
    def places(self) -> list[str]:
        """Where nginx, the service and the exporter listen."""
        return re.findall(r"http://[^\s,]+", self.ready)

    def ask(self, place: str, body: str = "") -> str:
        """What is answered at a URL."""
        with urllib.request.urlopen(place, data=body.encode() or None, timeout=30) as answer:  # noqa: S310 - loopback
            text: str = answer.read().decode()
        return text


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, surroundings: dict[str, str]) -> Iterator[Web]:
    """The example's system, started as its README says, and its programme."""
    if lacks := missing():
        pytest.skip(f"{lacks} is not installed: no real system to test")
    folder = tmp_path_factory.mktemp("example")
    write_template(folder / "web", "web")
    bench = Bench(catalog=folder / "web", home=folder / "home", environ=surroundings)
    if not os.environ.get("PLIMSOLL_LONG_EXAMPLE"):
        bench.edit("environments.yaml", "{load: 7 s, stress: 1 s, soak: 7 s, scaling: 3 s}", SHORT)
    process = subprocess.Popen(
        [sys.executable, "service.py", "--free-ports"],
        cwd=bench.catalog, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=surroundings,
    )  # fmt: skip
    try:
        ready = process.stdout.readline() if process.stdout else ""
        assert ready.startswith("ready"), process.communicate()[1]
        yield Web(
            bench=bench, process=process, ready=ready, family=psutil.Process(process.pid).children(recursive=True)
        )
    finally:
        process.terminate()
        process.communicate(timeout=WITHIN_S)


def test_the_system_is_real_and_none_of_it_is_root(web: Web) -> None:
    names = {process.name() for process in web.family}
    assert {"nginx", "postgres"} <= names
    owners = {process.username() for process in web.family if process.name() in ("nginx", "postgres")}
    assert "root" not in owners
    front, service, figures = web.places
    for place in (front, service):
        assert web.ask(f"{place}/paths/order", "1 request place-order d u").startswith("order ")
    assert "nginx_connections_active 1" in web.ask(figures)
    assert "4 workers" in web.ask(f"{service}/capacity", '{"changes": []}')


def test_a_phase_runs_to_its_report_and_every_part_is_observed(web: Web) -> None:
    ended = web.bench.run("run", "opening", "--json")
    assert ended.status in (0, 1), ended.stderr  # on a busy machine a figure may be open
    assert ended.answer["ends"] == {"executed": 4}
    workspace = Workspace.open(web.bench.home)
    documents = {
        run.test: workspace.store.document(run.record.output("run")) for run in test_runs(workspace.ledger.records())
    }
    assert {test: document["type"] for test, document in documents.items()} == {
        "opening.front.load": "load",
        "opening.front.stress": "stress",
        "opening.shop.soak": "soak",
        "opening.shop.scaling": "scaling",
    }
    for document in documents.values():
        assert all(source["asked"] for source in document["sources"])
    parts = {each["part"] for each in documents["opening.shop.soak"]["sampling"]["memory_bytes"]["parts"]}
    assert parts == {"api", "database"}
    scaled = documents["opening.shop.scaling"]["scaled"]
    assert [each["capacity"] for each in scaled["changes"]] == ["0.5", "1", "0.75"]
    assert scaled["answer"] == "3 changes of 4 workers"
    found = web.bench.observations("opening")
    offered = {each["test"]: each["verdict"] for each in found if each["requirement"] == "target-volume"}
    assert set(offered) == set(documents)
    answered = [each["verdict"] for each in found if each["requirement"] == "answered"]
    assert set(answered) <= {"proved", "inconclusive"}  # all are answered; how sure that is depends on how many blocks
    assert (web.bench.home / "reports" / "opening" / "report.html").exists()


def test_it_ends_with_whoever_started_it_and_leaves_nothing(web: Web) -> None:
    web.process.terminate()
    _, err = web.process.communicate(timeout=WITHIN_S)
    assert (web.process.returncode, err) == (0, "")
    assert not [process for process in web.family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    for place in web.places:
        with pytest.raises(OSError, match="refused"):
            web.ask(place)
