"""More than one machine: a Dask cluster, given by address, that work is handed to by Prefect's Dask task runner.

Its workers offer shards of loads, and perform what is pure. Nothing is recorded there: they hand bytes back, and this
process, which holds the workspace, stores and records (docs/adr/0028-where-shards-run.md).
"""

import pickle
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from prefect import task
from prefect.cache_policies import NO_CACHE

from catalog import rules
from catalog.declarations import Programme
from catalog.errors import PlimsollError, UsageError, WorldError
from catalog.workspace import Workspace
from flows.desk import code_version
from flows.progress import current
from tasks.elsewhere import Evidence, Wanted, packed, perform_there, unpacked
from tasks.inject.files import Start
from tasks.inject.shards import AbandonedError, Work
from tasks.intake.manifest import Manifest
from tasks.intake.receive import FileRead, read_file
from tasks.libraries import libraries
from tasks.perform import Outputs

if TYPE_CHECKING:
    from prefect_dask.task_runners import DaskTaskRunner

_PATIENCE_S = 20
_ASKING_S = 2.0  # a shard that waits for its start looks so often whether it is still wanted


@contextmanager
def join(address: str, shards: int = 0) -> Iterator["Cluster | None"]:
    """The cluster at `address`, for a flow that runs; none where there is no address.

    `shards`: in how many a load is parted; one for each worker where that is 0. Raises UsageError where the extra is
    not installed, WorldError for a cluster that cannot be reached, has too few workers, or other versions than here.
    """
    if shards < 0:
        raise UsageError(f"a load is offered in {shards} shards", remedy="Ask for 1 or more, or leave --shards out.")
    if not address:
        yield None
        return
    from distributed.comm.core import CommClosedError

    with _runner(address) as runner:
        try:
            cluster = Cluster(runner, shards)
        except (OSError, CommClosedError, TimeoutError) as error:
            raise WorldError(
                f"no Dask scheduler answers at {address}: {error}",
                remedy="Start one with `dask scheduler`, and workers with `dask worker` (docs/operating.md).",
            ) from error
        cluster.inspect()
        current().say(f"cluster       {address}: {cluster.shown}")
        yield cluster


def _runner(address: str) -> "DaskTaskRunner":
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError as error:
        remedy = "In the folder that plimsoll was installed from: pip install '.[cluster]'"
        raise UsageError("--cluster needs prefect-dask, which is not installed", remedy=remedy) from error
    return DaskTaskRunner(address=address, client_kwargs={"timeout": _PATIENCE_S})


def facing(address: str) -> str:
    """The address of this machine that a scheduler at `address` (tcp://host:port) reaches it by."""
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    try:
        host, port = parts.hostname, parts.port  # which raises for a port that is none
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise UsageError(f"{address!r} is no address of a scheduler", remedy="Name it as tcp://host:8786.")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0][0]
        with socket.socket(family, socket.SOCK_DGRAM) as towards:
            towards.connect((host, port))  # sends nothing
            return str(towards.getsockname()[0])
    except OSError as error:
        raise WorldError(f"{address} cannot be reached: {error}") from error


class Cluster:
    """Workers of a Dask cluster, by their addresses: a `tasks.inject.shards.Hosts`, and what performs pure stages."""

    def __init__(self, runner: "DaskTaskRunner", shards: int) -> None:
        from distributed import Queue

        self._runner = runner
        self._client: Any = runner.client
        self._name = f"plimsoll-{uuid.uuid4().hex}"
        self._words = Queue(self._name, client=self._client)
        self._futures: dict[str, Any] = {}
        self.shards = shards or len(self.alive())

    @property
    def shown(self) -> str:
        """How many workers there are, and shards."""
        return f"{len(self.alive())} workers, {self.shards} shards"

    def inspect(self) -> None:
        """Raises WorldError unless there are workers enough, which all have the versions that are here."""
        workers = self.alive()
        if not workers or self.shards > len(workers):
            raise WorldError(
                f"{len(workers)} workers are at the scheduler, and {max(1, self.shards)} shards need as many",
                remedy="Start workers with `dask worker ADDRESS --nthreads 1`, or ask for fewer shards.",
            )
        try:
            told: Mapping[str, Mapping[str, Any]] = self._client.run(versions)
        except Exception as error:  # whatever importing it there raises
            if isinstance(error, PlimsollError):
                raise
            raise WorldError(
                f"a worker cannot run this version of Plimsoll: {error}",
                remedy="Install the same version, from the same uv.lock, on every host.",
            ) from error
        ours = versions()
        faults = [
            f"{worker}: {name} {theirs.get(name, 'none')}, and {ours.get(name, 'none')} here"
            for worker, theirs in sorted(told.items())
            for name in sorted(ours.keys() | theirs.keys())
            if theirs.get(name) != ours.get(name)
        ]
        if faults:
            raise WorldError(
                "workers have other versions:\n" + "\n".join(faults),
                remedy="Install the same version, from the same uv.lock, on every host.",
            )

    def alive(self) -> Sequence[str]:
        """See `Hosts`."""
        return sorted(self._client.nthreads())

    def begin(self, work: Work, host: str) -> str:
        """See `Hosts`."""
        from dask.base import annotate

        attempt = uuid.uuid4().hex
        parameters = {
            "shard": work.name,
            "test": work.test,
            "work": pickle.dumps(work),
            "words": self._name,
            "attempt": attempt,
        }
        with annotate(workers=[host], allow_other_workers=False):
            self._futures[attempt] = self._runner.submit(offer_shard, parameters)
        return attempt

    def heard(self, timeout_s: float) -> Mapping[str, Any] | None:
        """See `Hosts`."""
        with suppress(TimeoutError):
            word: Mapping[str, Any] = self._words.get(timeout=timeout_s or 0.001)
            return word
        return None

    def start(self, attempt: str, line: str, start: Start) -> None:
        """See `Hosts`."""
        from distributed import Variable

        Variable(f"{attempt}-{line}", client=self._client).set(start.as_json())

    def end(self, attempt: str) -> None:
        """See `Hosts`."""
        self._futures[attempt].wrapped_future.cancel()

    def failure(self, attempt: str) -> str:
        """See `Hosts`."""
        future = self._futures[attempt].wrapped_future
        if future.status == "error":
            return f"it ended unexpectedly: {future.exception()!r}"
        if future.status == "finished" and (state := future.result()).is_failed():
            return f"it ended unexpectedly: {state.message}"
        return ""

    def perform(self, key: Mapping[str, Any], workspace: Workspace, programme: Programme) -> Callable[[], Outputs]:
        """Has any worker perform a pure stage; what is returned waits for its outputs.

        A stage whose worker is gone is performed on another, which Dask sees to. Where no worker reaches the evidence
        it is performed here, which is said.
        """
        wanted = Wanted(key=key, evidence=Evidence.of(workspace), programme=programme)
        future = self._runner.submit(perform_stage, {"stage": key["stage"], "wanted": pickle.dumps(wanted)})

        def outputs() -> Outputs:
            told = future.result()
            if isinstance(told, bytes):
                return unpacked(told)
            current().say(f"{key['stage']:<13} here and not on the cluster: {told}")
            return perform_there(wanted)

        return outputs

    def read(self, file: Path, manifest: Manifest, folder: Path) -> Callable[[], FileRead]:
        """Has any worker read a submitted file, as `tasks.intake.receive.Reader`; here, where none sees it."""
        wanted = (file.resolve(), manifest, folder.resolve() / "there")
        future = self._runner.submit(read_submitted, {"file": file.name, "wanted": pickle.dumps(wanted)})

        def found() -> FileRead:
            told = future.result()
            if isinstance(told, bytes):
                read: FileRead = pickle.loads(told)  # noqa: S301  # from a host that runs our code
                return read
            current().say(f"reading       {file.name} here and not on the cluster: {told}")
            here = folder / "here"
            here.mkdir()
            return read_file(file, manifest, here)

        return found

    def clock_us(self, host: str) -> int:
        """See `Hosts`."""
        try:
            return int(self._client.run(wall_us, workers=[host])[host])
        except (OSError, KeyError, ValueError) as error:  # what Dask raises of a worker that is gone
            raise WorldError(f"{host} is gone: {error}") from error


@task(name="shard", task_run_name="{shard} of {test}", cache_policy=NO_CACHE, persist_result=False)
def offer_shard(shard: str, test: str, work: bytes, words: str, attempt: str) -> str:
    """Offers a shard on whichever worker it is handed to; its rows go to the queue `words`."""
    from tasks.shard import offer

    offer(pickle.loads(work), _Line(words, attempt))  # noqa: S301  # Dask itself hands tasks over in this form
    return f"{shard} of {test}"


@task(name="stage", task_run_name="{stage} on a worker", cache_policy=NO_CACHE, persist_result=False)
def perform_stage(stage: str, wanted: bytes) -> bytes | str:  # noqa: ARG001 - names the task's run
    """Performs a pure stage on whichever worker it is handed to; its outputs, or why it cannot."""
    try:
        return packed(perform_there(pickle.loads(wanted)))  # noqa: S301  # Dask itself hands tasks over in this form
    except WorldError as error:
        return str(error)


@task(name="read", task_run_name="read {file}", cache_policy=NO_CACHE, persist_result=False)
def read_submitted(file: str, wanted: bytes) -> bytes | str:  # noqa: ARG001 - names the task's run
    """Reads a submitted file on whichever worker it is handed to; what it held, or why it cannot be read there.

    A task that is begun anew, since its worker was lost, finds an empty folder. Raises SubmittedError for what no host
    could read.
    """
    path, manifest, folder = pickle.loads(wanted)  # noqa: S301  # Dask itself hands tasks over in this form
    if not path.is_file() or not folder.parent.is_dir():
        return f"{socket.gethostname()} does not see {path if folder.parent.is_dir() else folder.parent}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return pickle.dumps(read_file(path, manifest, folder))


class _Line:
    """What connects a shard on a worker with its coordinator; see `tasks.shard.Line`."""

    def __init__(self, words: str, attempt: str) -> None:
        from distributed import Queue, Variable, get_client, get_worker

        self._worker: Any = get_worker()
        self._task = self._worker.get_current_task()
        self._attempt, self._line = attempt, uuid.uuid4().hex
        self._words = Queue(words, client=get_client())
        self._start = Variable(f"{attempt}-{self._line}", client=get_client())

    def tell(self, word: dict[str, Any]) -> None:
        """See `Line`."""
        self._words.put({"attempt": self._attempt, "line": self._line, **word})

    def start(self) -> Start:
        """See `Line`."""
        while self.is_wanted():
            with suppress(TimeoutError):
                return Start.from_json(self._start.get(timeout=_ASKING_S))
        raise AbandonedError

    def is_wanted(self) -> bool:
        """See `Line`."""
        state = self._worker.state.tasks.get(self._task)
        return state is not None and state.state == "executing"


def versions() -> dict[str, str]:
    """What must be the same on every host: the code, its rules and the libraries that results depend on."""
    return {"code": code_version(), "rules": str(rules.versions()), **libraries()}


def wall_us() -> int:
    """What this machine's wall clock says."""
    return time.time_ns() // 1000
