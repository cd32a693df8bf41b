"""Fixtures that several rooms share: the programmes that ship, variants of them, and a workspace to record runs in."""

import functools
import os
import shutil
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, Phase, settings
from stamping import Authority

from catalog.declarations import Programme
from catalog.ledger import Actor, Draft, Kind, Record, Reference
from catalog.reading import Catalogue, read_catalogue
from catalog.runs import TestRun, test_runs
from catalog.workspace import Workspace
from tasks.stage import Artefact, Recorder, document
from tests.shops import write_shop

settings.register_profile("suite", max_examples=50)
settings.register_profile("long", max_examples=500)
settings.register_profile(  # docs/mutation.md: that a test fails is enough, and the machine may be slow
    "mutation", max_examples=50, phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck)
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))  # where a test says nothing else
FIRST = ("test_shipped.py", "test_trouble.py", "test_phase.py", "test_deployments.py")  # the longest files
CATALOGUES = Path(__file__).parents[1] / "catalog"


class Runbook:
    """A workspace, and test runs recorded in it as a phase would."""

    def __init__(self, home: Path) -> None:
        self.workspace = Workspace.open(home, create=True)
        self.recorder = Recorder(workspace=self.workspace, occasion="pilot", actor=Actor(name="tester"), code="1")

    def run(
        self,
        test: str,
        *,
        key: dict[str, Any] | None = None,
        occasion: str = "pilot",
        state: str = "finished",
        inputs: Mapping[str, str] | None = None,
        outputs: Mapping[str, Artefact] | None = None,
    ) -> TestRun:
        """Records a run of `test`; one with no state is interrupted."""
        number = sum((each.test, each.occasion) == (test, occasion) for each in self.runs()) + 1
        key = key or {
            "stage": "execute",
            "rules": [1, 1],
            "inputs": {"test": {"role": "r", "type": "load", "name": "n"}},
        }
        named = {name: key["inputs"]["test"][name] for name in ("role", "type", "name")}
        parameters = {"run": f"{occasion}/{test}/{number}", "test": test, "why": "first", "occasion": occasion, **named}
        self.recorder.record(Kind.STARTED, "execute", key=key, inputs=inputs, parameters=parameters)
        if state:
            own = outputs or {"run": document({"run": parameters["run"]})}
            ended = parameters | {"state": state}
            self.recorder.record(Kind.EXECUTED, "execute", key=key, inputs=inputs, parameters=ended, outputs=own)
        return self.runs()[-1]

    def runs(self) -> list[TestRun]:
        """Every run so far."""
        return test_runs(self.workspace.ledger.records())

    def withdraw(self, name: str) -> Record:
        """Withdraws a record or an artefact."""
        reference = Reference(role="withdrawn", digest=name)
        draft = Draft(kind=Kind.WITHDRAWN, stage="withdraw", inputs=(reference,), parameters={"reason": "wrong clock"})
        return self.workspace.record(draft, actor=Actor(name="tester"), code="1")[0]

    def alter(self, name: str) -> None:
        """Changes a byte of an object, as nobody should."""
        path = self.workspace.store.path(name)
        data = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])

    def lose(self, name: str) -> None:
        """Removes an object, as nobody should."""
        self.workspace.store.path(name).unlink()


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What this machine remembers is remembered for these tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLIMSOLL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def runbook(tmp_path: Path) -> Runbook:
    """An empty workspace and its recorder."""
    return Runbook(tmp_path / "home")


@pytest.fixture(scope="session")
def template_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programme that new ones start from, with a phase more: two tested components, a short rehearsal."""
    folder = tmp_path_factory.mktemp("template") / "shop"
    write_shop(folder)
    return folder


@pytest.fixture(scope="session")
def template(template_folder: Path) -> Catalogue:
    """That programme, read."""
    return read_catalogue(template_folder)


@pytest.fixture(scope="session")
def smets1() -> Catalogue:
    """The shipped programme."""
    return read_catalogue(CATALOGUES / "smets1")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A time-stamping authority on this machine."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: no time-stamping authority")
    return Authority(tmp_path_factory.mktemp("authority"))


Edit = Callable[..., Programme]


@pytest.fixture(scope="session")
def edited() -> Edit:
    """Makes a variant of a programme: pairs of a dotted path (items of lists by their id or place) and a value."""

    def edit(programme: Programme, *changes: tuple[str, Any]) -> Programme:
        document_ = programme.model_dump(mode="json", by_alias=True)
        for path, value in changes:
            *above, last = path.split(".")
            place: Any = document_
            for step in above:
                place = _item(place, step)
            place[int(last) if isinstance(place, list) else last] = value
        return Programme.model_validate(document_)

    return edit


def _item(place: Any, step: str) -> Any:
    if not isinstance(place, list):
        return place[step]
    by_id = [item for item in place if isinstance(item, dict) and item.get("id") == step]
    return by_id[0] if by_id else place[int(step)]


MEASURED_EXAMPLES = 10
WAITING = 4  # files with whole phases that may be under way at once while the machine has two cores


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole phases mostly wait for their load: a few files with some begin at once, the others follow here and there.

    Beside them there is always something to compute; in the order of the folders they would all stand together.
    """
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    phases = [file for file in files.values() if any(item.get_closest_marker("end_to_end") for item in file)]
    phases.sort(key=lambda file: file[0].path.name not in FIRST)
    ordered = [file for file in files.values() if file not in phases]
    step = len(ordered) // (2 * len(phases) or 1)  # the last of them begins when half of the others are done
    for number, file in enumerate(phases):
        ordered.insert(0 if number < WAITING else (number - WAITING + 1) * step, file)
    items[:] = [item for file in ordered for item in file]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    """Where coverage is measured, a property's first examples are: the others reach the same lines, only slower."""
    coverage, handle = Coverage.current(), getattr(getattr(item, "obj", None), "hypothesis", None)
    if coverage is None or handle is None:
        return (yield)
    inner, examples = handle.inner_test, count(1)

    @functools.wraps(inner)
    def counted(*arguments: Any, **named: Any) -> Any:
        if next(examples) == MEASURED_EXAMPLES:
            coverage.stop()
        return inner(*arguments, **named)

    handle.inner_test = counted
    try:
        return (yield)
    finally:
        handle.inner_test = inner
        if next(examples) > MEASURED_EXAMPLES:
            coverage.start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Where nothing may be skipped (PLIMSOLL_NO_SKIPS, as in CI), a test that skips for want of a program fails."""
    report = yield
    if report.skipped and os.environ.get("PLIMSOLL_NO_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"{item.nodeid} was skipped, and nothing may be: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[dict[str, str]]:
    """A real S3-compatible server on loopback with the bucket `evidence`: what reaches it, as environment variables.

    It answers one request at a time: what it checks before an object is put must still hold when it is.
    """
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    one, inner = threading.Lock(), DomainDispatcherApplication(create_backend_app)

    def answer(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        with one:
            return list(inner(environ, start))

    class Quiet(WSGIRequestHandler):
        def log(self, *_: Any) -> None:
            return

    server = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        urllib.request.urlopen(urllib.request.Request(f"{url}/evidence", method="PUT")).close()  # noqa: S310 - loopback
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "tester",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
