"""A cluster whose scheduler and workers are threads of this process: what hands work over, without Prefect's API.

With processes, addresses of their own and Prefect's task runner it is in test_cluster.py.
"""

from argparse import Namespace
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster, wait
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from catalog.bucket import Bucket
from catalog.declarations import Programme
from catalog.errors import WorldError
from catalog.reading import Catalogue
from catalog.workspace import Workspace
from flows import cluster as room
from flows.cluster import Cluster, offer_shard, perform_stage, read_submitted, versions
from tasks.course import Part, Turn
from tasks.elsewhere import Evidence, Wanted, perform_there
from tasks.emulate.spec import ComponentSpec
from tasks.emulate.system import start_component
from tasks.execute import arrivals_in, load_of
from tasks.inject import shards
from tasks.inject.files import Outcome
from tasks.inject.injector import Target
from tasks.inject.shards import ShardedInjector, Work
from tasks.intake.manifest import Manifest, Submitter
from tasks.perform import Material, perform, read_key
from tasks.plan import phases_needed, plan_tests
from tasks.volumes.model import model_volumes


class Handed:
    """What Prefect's future of a task on Dask is to a cluster."""

    def __init__(self, future: Any) -> None:
        self.wrapped_future = future

    def result(self) -> Any:
        return self.wrapped_future.result().data


class Runner:
    """Hands the functions of tasks to Dask, without a run of Prefect's."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def submit(self, task: Any, parameters: dict[str, Any]) -> Handed:
        def ran(**given: Any) -> Any:
            found = task.fn(**given)
            return found if isinstance(found, State) else Completed(data=found)

        return Handed(self.client.submit(ran, pure=False, **parameters))


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with (
        LocalCluster(n_workers=2, threads_per_worker=2, processes=False, dashboard_address=None) as local,
        Client(local, set_as_default=False) as client,
    ):
        yield Runner(client)


@pytest.fixture
def cluster(runner: Runner) -> Cluster:
    return Cluster(runner, 0)  # type: ignore[arg-type]  # all of a runner that a cluster asks for


def test_a_load_goes_over_the_workers_of_a_cluster(
    cluster: Cluster, template: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "_LEAD_US", 300_000)
    programme = template.programme
    environment = programme.environment("rehearsal").model_copy(update={"durations": {"load": 1_500_000}})
    volumes = {each: model_volumes(programme, each) for each in phases_needed(programme, "pilot")}
    planned = plan_tests(programme, "pilot", environment, volumes, occasion="pilot")
    test = next(each for each in planned if each.test == "pilot.orders.load")
    turn = Turn(part=Part.WHOLE, multiple=Fraction(1))
    load = load_of(arrivals_in(test.key, turn), 0)
    with start_component(ComponentSpec(component="c", routes=dict.fromkeys(load.paths))) as component:
        target = Target(urls=dict.fromkeys(load.paths, component.url), codec="plain", connections=2)
        work = Work(test=test.test, key=test.key, turn=turn.as_json(), first=0, shard=(0, cluster.shards),
                    environment=environment, kind=test.profile.type, target=target)  # fmt: skip
        told: list[tuple[int, int, int]] = []
        injector = ShardedInjector(cluster, work, alignment_us=10_000_000)
        injection = injector.run(load, target, progress=lambda *at: told.append(at))
    assert np.array_equal(injection.columns["sequence"], load.sequence)
    assert np.all(injection.columns["outcome"] == Outcome.OK)
    assert {each["address"] for each in injection.summary["shards"]} == set(cluster.alive())
    assert told[-1][2] == len(load)


def breaks(**_: Any) -> Any:
    raise ZeroDivisionError("division by zero")


def fails(**_: Any) -> Any:
    return Failed(message="out of memory")


@pytest.mark.parametrize(("task", "told"), [(breaks, "ZeroDivisionError"), (fails, "out of memory")])
def test_an_attempt_that_broke_says_how(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, task: Any, told: str
) -> None:
    monkeypatch.setattr(offer_shard, "fn", task)
    work: Any = {"name": "shard 1 of 1"}
    attempt = cluster.begin(Namespace(test="t", **work), cluster.alive()[0])  # type: ignore[arg-type]  # nobody looks
    wait(cluster._futures[attempt].wrapped_future)
    assert "it ended unexpectedly: " in cluster.failure(attempt)
    assert told in cluster.failure(attempt)
    cluster.end(attempt)


def test_workers_of_other_versions_are_refused_with_all_that_differs(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.inspect()
    monkeypatch.setattr(cluster._client, "run", lambda _: {"tcp://far": {**versions(), "duckdb": "0", "more": "1"}})
    with pytest.raises(WorldError, match=r"duckdb 0, and .* here\n.*more 1, and none here"):
        cluster.inspect()


def test_workers_without_plimsoll_are_refused(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks(_: object) -> None:
        raise ModuleNotFoundError("No module named 'flows'")

    monkeypatch.setattr(cluster._client, "run", lacks)
    with pytest.raises(WorldError, match="a worker cannot run this version of Plimsoll: No module named 'flows'"):
        cluster.inspect()


def test_more_shards_than_workers_are_refused(runner: Runner) -> None:
    with pytest.raises(WorldError, match="2 workers are at the scheduler, and 3 shards need as many"):
        Cluster(runner, 3).inspect()  # type: ignore[arg-type]  # as above


def test_a_clock_of_a_worker_that_is_gone_is_none(cluster: Cluster) -> None:
    with pytest.raises(WorldError, match="is gone"):
        cluster.clock_us("inproc://nowhere")


Stage = tuple[Workspace, Programme, Any]


@pytest.fixture
def stage(tmp_path: Path, template: Catalogue) -> Stage:
    """A stage that needs no evidence but what the programme declares, and a workspace with its input."""
    workspace = Workspace.open(tmp_path / "home", create=True)
    name = workspace.store.put(b"{}")
    return (
        workspace,
        template.programme,
        read_key("volumes", inputs={"volume inputs": name}, settings={"phase": "pilot"}),
    )


def test_a_stage_that_a_worker_performs_has_the_bytes_that_it_has_here(cluster: Cluster, stage: Stage) -> None:
    workspace, programme, key = stage
    there = cluster.perform(key, workspace, programme)()
    material = Material(workspace=workspace, programme=programme, judge=no_judge)
    assert there == perform(key, material, workspace.home)


def test_a_stage_whose_evidence_no_worker_sees_is_performed_here_which_is_said(
    cluster: Cluster, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(room.current(), "say", said.append)
    monkeypatch.setattr(perform_stage, "fn", lambda **_: "far does not see it")
    workspace, programme, key = stage
    assert cluster.perform(key, workspace, programme)()
    assert said == ["volumes       here and not on the cluster: far does not see it"]


def test_a_worker_that_lacks_or_doubts_an_object_says_which(stage: Stage) -> None:
    workspace, programme, key = stage
    name = key["inputs"]["volume inputs"]["digest"]
    workspace.store.path(name).unlink()
    wanted = Wanted(key=key, evidence=Evidence.of(workspace), programme=programme)
    told = perform_stage.fn(stage="volumes", wanted=room.pickle.dumps(wanted))
    assert isinstance(told, str)
    assert f"does not see {name}" in told


def manifest() -> Manifest:
    return Manifest(submitted_by=Submitter(name="A", organisation="B"))


ROWS = (
    "timeStamp,elapsed,label,responseCode,threadName,success,bytes,allThreads\n1795480000000,20,a,200,t 1-1,true,9,1\n"
)


@pytest.fixture
def submitted(tmp_path: Path) -> Path:
    file = tmp_path / "results.csv"
    file.write_text(ROWS)
    return file


def test_a_file_is_read_by_a_worker(cluster: Cluster, submitted: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    staged, _ = cluster.read(submitted, manifest(), folder)()
    assert staged[0].format.name == "jtl-csv" or staged[0].samples
    assert all(file.is_relative_to(folder / "there") for file in staged[0].samples)


def test_a_file_that_no_worker_sees_is_read_here_which_is_said(
    cluster: Cluster, submitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(room.current(), "say", said.append)
    monkeypatch.setattr(read_submitted, "fn", lambda **_: "far does not see it")
    folder = tmp_path / "work"
    folder.mkdir()
    staged, _ = cluster.read(submitted, manifest(), folder)()
    assert all(file.is_relative_to(folder / "here") for file in staged[0].samples)
    assert said == ["reading       results.csv here and not on the cluster: far does not see it"]


@pytest.mark.parametrize("gone", ["file", "folder"])
def test_a_worker_says_what_it_does_not_see(submitted: Path, tmp_path: Path, gone: str) -> None:
    folder = tmp_path / "work"
    if gone == "file":
        folder.mkdir()
        submitted.unlink()
    told = read_submitted.fn(file="results.csv", wanted=room.pickle.dumps((submitted, manifest(), folder / "there")))
    assert isinstance(told, str)
    assert told.endswith(str(submitted if gone == "file" else folder))


def no_judge() -> Any:
    raise AssertionError("no judge is needed")


def test_a_worker_fetches_from_a_bucket_what_a_stage_names(
    stage: Stage, bucket_server: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in bucket_server.items():
        monkeypatch.setenv(name, value)
    workspace, programme, key = stage
    bucket = Bucket("s3://evidence/cluster")
    name = key["inputs"]["volume inputs"]["digest"]
    bucket.send({f"objects/{name[:2]}/{name[2:]}": workspace.store.path(name)})
    wanted = Wanted(key=key, evidence=Evidence(home=tmp_path / "nowhere", bucket=bucket.url), programme=programme)
    material = Material(workspace=workspace, programme=programme, judge=no_judge)
    assert perform_there(wanted) == perform(key, material, workspace.home)
