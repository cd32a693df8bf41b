"""A phase on a Dask cluster of several hosts, two of which are killed: what is lost is told, what can be is offered.

The hosts are network namespaces with addresses of their own; see hosts.py.
"""

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hosts import Host, cluster, component, hosts, running
from phases import PLIMSOLL, Bench, Ended, make_shop

from catalog.errors import UsageError, WorldError
from catalog.ledger import Kind
from catalog.verification import verify
from catalog.workspace import Workspace
from flows.cli import main
from flows.cluster import facing, join
from tasks.emulate.spec import ComponentSpec
from tasks.judge import Judge
from tasks.reperform import Result, pure_records, reperform

Found = TypeVar("Found")

FAR = """
  - id: far
    title: A system on another host
    extends: rehearsal
    durations: {{load: 4 s, stress: 2 s, soak: 8 s}}
    connections: 4
    entries: {{storefront: "{url}", orders: "{url}"}}
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, alone: dict[str, str]) -> tuple[Bench, Ended, Ended]:
    """A run of two tests, of the first of which a host is killed after the start, of the second another before; and an
    intake of two files on the hosts that are left. How they ended."""
    folder = tmp_path_factory.mktemp("cluster")
    bench = make_shop(folder, alone)
    with hosts("here", "one", "two", "three", "four") as (here, *others):
        spec = ComponentSpec(component="far", host=here.address, routes=dict.fromkeys(("browse", "purchase")))
        with component(here, spec, folder, alone) as url, cluster(here, others, alone) as (at, workers):
            environments = bench.catalog / "environments.yaml"
            environments.write_text(environments.read_text() + FAR.format(url=url))
            ended = run_and_kill(bench, here, at, workers)
            return bench, ended, take_in(bench, here, at, folder)


def run_and_kill(bench: Bench, here: Host, at: str, workers: dict[str, "subprocess.Popen[str]"]) -> Ended:
    words = ["run", "pilot", "--types", "load", "--environment", "far", "--cluster", at, "--shards", "2", "--json"]
    where = ["--catalog", str(bench.catalog), "--home", str(bench.home)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with running(here.start([PLIMSOLL, *words, *where], bench.environ, **pipes)) as process:
        lost = wait_for(process, lambda: list(bench.home.glob("incoming/*/step-0/segments/0001-*.rows")))[0]
        workers["two"].kill()
        first = lost.parents[2].name
        wait_for(process, lambda: begun(bench) - {first})
        workers["one"].kill()
        stdout, stderr = process.communicate()
    return Ended(status=process.returncode, stdout=stdout, stderr=stderr)


MANIFEST = """
test: pilot.orders.stress
submitted_by: {name: A. Tester, organisation: Orders Ltd}
tool: {name: JMeter, version: "5.6.3"}
components:
  orders: {version: "1.0"}
"""
HEAD = "timeStamp,elapsed,label,responseCode,threadName,success,bytes,allThreads\n"


def take_in(bench: Bench, here: Host, at: str, folder: Path) -> Ended:
    for number in range(2):
        rows = (f"{1_795_480_000_000 + 10 * row},{20 + number},purchase,200,t 1-1,true,900,1\n" for row in range(300))
        (folder / f"results-{number}.csv").write_text(HEAD + "".join(rows))
    (folder / "manifest.yaml").write_text(MANIFEST)
    words = ["intake", *(str(folder / f"results-{number}.csv") for number in range(2)), "--test", "pilot.orders.stress"]
    words += ["--manifest", str(folder / "manifest.yaml"), "--json", "--catalog", str(bench.catalog)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with running(
        here.start([PLIMSOLL, *words, "--home", str(bench.home), "--cluster", at], bench.environ, **pipes)
    ) as process:
        stdout, stderr = process.communicate()
    return Ended(status=process.returncode, stdout=stdout, stderr=stderr)


def wait_for(process: "subprocess.Popen[str]", what: Callable[[], Found]) -> Found:
    """What is found, as long as the process runs."""
    while not (found := what()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)  # between two looks: nothing is concluded from how long it takes
    return found


def begun(bench: Bench) -> set[str]:
    """The folders of runs whose first step is about to be offered."""
    return {file.parents[1].name for file in bench.home.glob("incoming/*/step-0/step.json")}


def documents(bench: Bench) -> list[dict[str, Any]]:
    """The run documents, in order."""
    workspace = Workspace.open(bench.home)
    executed = [record for record in workspace.ledger.records() if record.kind is Kind.EXECUTED]
    return [workspace.store.document(record.output("run") or "") for record in executed]


def test_a_host_lost_in_the_midst_of_a_test_takes_what_was_due_there_and_the_test_is_inconclusive(
    ran: tuple[Bench, Ended, Ended],
) -> None:
    bench, ended, _ = ran
    assert ended.status == 1, ended.stderr
    interrupted, _ = documents(bench)
    lost = interrupted["interrupted"]
    assert lost["reason"].startswith("shard 2 of 2, on ")
    assert "was lost: its host is gone" in lost["reason"]
    assert f"{lost['lost']} of {interrupted['target']['messages']} messages have no result" in lost["reason"]
    assert lost["results"] > 0
    assert lost["lost"] + lost["results"] == interrupted["target"]["messages"]
    step = interrupted["injector"]["steps"][0]
    assert [each.get("lost", "") for each in step["shards"]] == ["", "its host is gone"]
    verdicts = [row for row in bench.observations("pilot") if row["test"] == interrupted["test"]]
    assert {row["verdict"] for row in verdicts} == {"inconclusive"}
    assert all(row["reason"] for row in verdicts)
    assert "was lost: its host is gone" in ended.stderr


def test_a_shard_whose_host_is_gone_before_the_start_is_offered_by_another(ran: tuple[Bench, Ended, Ended]) -> None:
    bench, ended, _ = ran
    assert ended.answer["executed"] == 1, ended.stderr
    _, finished = documents(bench)
    assert "interrupted" not in finished
    step = finished["injector"]["steps"][0]
    assert step["offered"] == step["messages"] == finished["target"]["messages"]
    assert [len(each["hosts_gone_before_the_start"]) for each in step["shards"]] == [1, 0]
    assert "its arrivals had not begun, and it is offered again" in ended.stderr
    addresses = {each["address"] for each in step["shards"]}
    assert len(addresses) == 2
    for each in step["shards"]:
        before, after = each["clock"]["before"], each["clock"]["after"]  # one machine: its clocks are one
        assert abs(before["offset_us"]) <= before["uncertainty_us"] <= 100_000
        assert abs(after["offset_us"]) <= after["uncertainty_us"]


def test_pure_stages_have_the_digests_that_they_have_without_a_cluster(ran: tuple[Bench, Ended, Ended]) -> None:
    """What workers measured is computed again here, and so is all that was computed here: the bytes are the same."""
    bench, ended, _ = ran
    assert "here and not on the cluster" not in ended.stderr
    workspace = Workspace.open(bench.home)
    records = pure_records(workspace, ("volumes", "volume-model", "arrivals", "measure", "compose"))
    assert sum(record.stage == "measure" for record in records) == 2
    held = list(reperform(workspace, records, judge=no_judge))
    assert {each.result for each in held} == {Result.SAME}
    assert verify(bench.home).ok


def test_files_that_workers_read_are_received_as_they_are_without_a_cluster(
    ran: tuple[Bench, Ended, Ended], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, _, taken = ran
    assert taken.status == 0, taken.stderr
    assert taken.answer["samples"] == 600
    assert "here and not on the cluster" not in taken.stderr
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = bench.home.parent
    files = [str(folder / f"results-{number}.csv") for number in range(2)]
    where = ["--manifest", str(folder / "manifest.yaml"), "--catalog", str(bench.catalog), "--json"]
    assert main(["intake", *files, "--test", "pilot.orders.stress", "--home", str(tmp_path / "home"), *where]) == 0
    capsys.readouterr()
    assert received(bench.home) == received(tmp_path / "home")


def received(home: Path) -> tuple[dict[str, str], Any]:
    """The digests of what the newest intake put out, by role, and how each file was read.

    What the account says beyond that depends on what else the ledger has.
    """
    workspace = Workspace.open(home)
    record = workspace.select(Kind.RECEIVED)[-1]
    account = workspace.store.document(record.output("account") or "")
    return {output.role: output.digest for output in record.outputs if output.role != "account"}, account["read"]


def no_judge() -> Judge:
    raise AssertionError("no judge is needed")


@pytest.mark.parametrize("address", ["tcp://", "tcp://host", "tcp://host:port", "tcp://127.0.0.1:99999"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="is no address of a scheduler"):
        facing(address)


def test_this_machine_is_reached_by_the_address_that_faces_the_scheduler() -> None:
    assert facing("tcp://127.0.0.1:8786") == facing("127.0.0.1:8786") == "127.0.0.1"
    assert facing("tcp://[::1]:8786") == "::1"


def test_fewer_than_no_shards_are_refused() -> None:
    with pytest.raises(UsageError, match="-1 shards"), join("tcp://127.0.0.1:1", -1):
        pass


def test_a_scheduler_that_is_not_there_is_told(closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.cluster._PATIENCE_S", 1)
    with pytest.raises(WorldError, match="no Dask scheduler answers"), join(f"tcp://127.0.0.1:{closed_port}"):
        pass


@pytest.fixture
def closed_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port
