"""The deployments, on a real Prefect server with a real worker; and what a regression is counted within."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from phases import Bench

from catalog.errors import UsageError
from catalog.reading import Catalogue
from catalog.verification import verify
from catalog.workspace import HISTORY_FILES

ROOT = Path(__file__).parents[2]
PREFECT = str(Path(sys.executable).with_name("prefect"))
TERMINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A Prefect server: its API, and the surroundings of whoever talks to it."""

    api: httpx.Client
    environ: dict[str, str]

    def prefect(self, *arguments: str) -> None:
        """Runs Prefect's own command from the repository's root."""
        command = [PREFECT, "--no-prompt", *arguments]
        ended = subprocess.run(
            command, cwd=ROOT, env=self.environ, capture_output=True, text=True, timeout=90, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr

    def ask(self, path: str, **body: Any) -> Any:
        """What the API answers to a POST."""
        return self._answered("POST", path, json=body).json()

    def state(self, flow_run: str) -> str:
        """The type of state that a flow run is in."""
        return str(self._answered("GET", f"/flow_runs/{flow_run}").json()["state_type"])

    def _answered(self, method: str, path: str, **more: Any) -> httpx.Response:
        """The answer, asked for again while the server's database is locked (503), as Prefect's own client does."""

        def answer() -> httpx.Response | None:
            response = self.api.request(method, path, **more)
            return None if response.status_code == httpx.codes.SERVICE_UNAVAILABLE else response

        found: httpx.Response = eventually(answer, within_s=60)
        return found.raise_for_status()

    def log(self, flow_run: str) -> str:
        """What a flow run logged, for a failure's message."""
        filtered = {"flow_run_id": {"any_": [flow_run]}}
        return "\n".join(row["message"] for row in self.ask("/logs/filter", logs=filtered))


def eventually(probe: Callable[[], Any], *, within_s: float) -> Any:
    """What `probe` gives once that is something."""
    deadline = time.monotonic() + within_s
    while not (found := probe()):
        assert time.monotonic() < deadline, f"{probe} gave {found!r} for {within_s} s"
        time.sleep(0.1)  # between two questions; the deadline above is what decides
    return found


@contextmanager
def running(command: list[str], environ: dict[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process and its children, ended as Ctrl-C would end them, and by force if that does not help."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=log.parent, env=environ, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, alone: dict[str, str]) -> Iterator[Server]:
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    url = f"http://127.0.0.1:{port}/api"
    environ = {
        **alone,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }
    command = [PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (
        running(command, environ, folder / "server.log") as process,
        httpx.Client(base_url=url, timeout=30) as api,
    ):

        def is_up() -> bool:
            assert process.poll() is None, (folder / "server.log").read_text()
            try:
                return api.get("/health").status_code == 200
            except httpx.TransportError:
                return False

        eventually(is_up, within_s=90)
        yield Server(api=api, environ=environ)


@pytest.fixture(scope="module")
def deployed(server: Server) -> dict[str, dict[str, Any]]:
    """What the API says of each deployment, by name, after the commands that docs/operating.md gives."""
    server.prefect("work-pool", "create", "plimsoll", "--type", "process")
    server.prefect("work-pool", "update", "plimsoll", "--concurrency-limit", "1")
    server.prefect("deploy", "--all")
    return {each["name"]: each for each in server.ask("/deployments/filter")}


@pytest.mark.end_to_end
def test_every_phase_of_the_shipped_programme_and_the_regression_is_deployed(
    deployed: dict[str, dict[str, Any]], smets1: Catalogue
) -> None:
    phases = [phase.id for phase in smets1.programme.programme.phases]
    assert set(deployed) == {*phases, "regression"}
    for name, found in deployed.items():
        assert found["work_pool_name"] == "plimsoll"
        assert found["description"]
        assert found["tags"] == [smets1.programme.programme.programme, name]
        assert found["global_concurrency_limit"]["limit"] == 1
        assert found["concurrency_options"]["collision_strategy"] == "ENQUEUE"
        assert found["pull_steps"] == [{"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}]
    for phase in phases:
        assert deployed[phase]["entrypoint"] == "flows.capability_phase.capability_phase"
        assert deployed[phase]["parameters"] == {"phase": phase, "home": ".plimsoll"}
        assert deployed[phase]["schedules"] == []
    assert deployed["regression"]["entrypoint"] == "flows.regression.regression"
    assert deployed["regression"]["parameters"] == {"home": ".plimsoll"}


@pytest.mark.end_to_end
def test_the_regression_is_scheduled_every_day_at_londons_time(
    server: Server, deployed: dict[str, dict[str, Any]]
) -> None:
    (schedule,) = deployed["regression"]["schedules"]
    assert schedule["active"]
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == ("0 4 * * *", "Europe/London")
    wanted = {"deployment_id": {"any_": [deployed["regression"]["id"]]}, "state": {"type": {"any_": ["SCHEDULED"]}}}
    runs = eventually(lambda: server.ask("/flow_runs/filter", flow_runs=wanted), within_s=60)
    london = ZoneInfo("Europe/London")
    starts = [datetime.fromisoformat(run["expected_start_time"]).astimezone(london) for run in runs]
    assert {(start.hour, start.minute) for start in starts} == {(4, 0)}
    assert len({start.date() for start in starts}) == len(starts) > 1


@pytest.mark.end_to_end
def test_a_worker_runs_a_phase_and_then_the_regression_which_relies_on_nothing(
    server: Server, deployed: dict[str, dict[str, Any]], shop: Bench, tmp_path: Path
) -> None:
    silence(server, deployed["regression"])
    own = {"catalog": str(shop.catalog), "home": str(shop.home)}
    command = [PREFECT, "worker", "start", "--pool", "plimsoll", "--limit", "1"]
    with running(command, server.environ, tmp_path / "worker.log") as worker:
        conduct(server, worker, deployed["ioc"], {**own, "phase": "pilot", "types": ["load"]})
        reports = {file: file.read_bytes() for file in (shop.home / "reports" / "pilot").iterdir()}
        decisions = {each["test"]: each["decision"] for each in shop.run("plan", "launch", "--json").answer["tests"]}
        conduct(server, worker, deployed["regression"], own)
    loads = {"launch.storefront.load", "launch.orders.load"}
    assert {decisions[test] for test in loads} == {"rely"}  # as the phase itself would
    ends = {each["test"]: each["end"] for each in shop.facts("launch")["tests"]}
    assert {test for test, end in ends.items() if end == "executed"} == loads
    assert set(ends.values()) == {"executed", "not run"}
    (folder,) = (each for each in (shop.home / "reports").iterdir() if each.name != "pilot")
    assert re.fullmatch(r"regression-\d{4}-\d{2}-\d{2}", folder.name)
    assert {each.name for each in folder.iterdir()} == {file.name for file in reports} | set(HISTORY_FILES)
    (artifact,) = server.ask("/artifacts/filter", artifacts={"key": {"any_": ["plimsoll-regression"]}})
    assert folder.name in artifact["data"]
    again = shop.run("regression", "--occasion", folder.name, "--json")  # the same day again: nothing is executed
    assert again.status in (0, 1), again.stderr
    assert (again.answer["executed"], again.answer["history"]) == (0, {"regressions": 1, "worse": []})
    computed = shop.run("reperform", "--only", "trend", "--json").answer
    assert [each["result"] for each in computed["stages"]] == ["the same"] * len(computed["stages"])
    assert computed["stages"]
    assert all(file.read_bytes() == before for file, before in reports.items())
    held = verify(shop.home)
    assert held.ok, held.faults


def silence(server: Server, deployment: dict[str, Any]) -> None:
    """Ends a deployment's schedule and the runs that it planned: a worker would start them at their hour."""
    for schedule in deployment["schedules"]:
        path = f"/deployments/{deployment['id']}/schedules/{schedule['id']}"
        server.api.patch(path, json={"active": False}).raise_for_status()


def conduct(
    server: Server, worker: "subprocess.Popen[bytes]", deployment: dict[str, Any], parameters: dict[str, Any]
) -> None:
    """Has the worker run a deployment, with these parameters instead of its own, to its completion."""
    path = f"/deployments/{deployment['id']}/create_flow_run"
    flow_run = server.ask(path, parameters=parameters, state={"type": "SCHEDULED"})["id"]

    def outcome() -> str | None:
        assert worker.poll() is None, "the worker ended"
        return state if (state := server.state(flow_run)) in TERMINAL else None

    assert eventually(outcome, within_s=150) == "COMPLETED", server.log(flow_run)


def test_a_regressions_occasion_is_todays_unless_it_is_given(template: Catalogue) -> None:
    from flows.desk import occasion_of

    before = datetime.now(UTC).date()
    today = occasion_of(template.programme, "")
    assert today in {f"regression-{day.isoformat()}" for day in (before, datetime.now(UTC).date())}
    assert occasion_of(template.programme, "release-2.1") == "release-2.1"


@pytest.mark.parametrize("asked", ["pilot", "launch", "../launch", "a/b", ".", "-x", "two words", "x\n"])
def test_an_occasion_that_is_a_phase_or_no_folders_name_is_refused(template: Catalogue, asked: str) -> None:
    from flows.desk import occasion_of

    with pytest.raises(UsageError, match=r"capability phase|does not name") as refused:
        occasion_of(template.programme, asked)
    assert "regression-2026-01-31" in refused.value.help()


def test_what_is_worse_stands_in_a_table_that_no_text_breaks_out_of() -> None:
    from flows.regression import _markdown

    series = {
        "test": "ioc.dsp.load", "requirement": "a`|b", "scope": "all", "unit": "us", "worse": True, "slide": None,
        "changes": [{"worse": True, "occasion": "regression-2026-01-31", "before": 1000, "after": 2000,
                     "ratio_ppm": 2_000_000}],
    }  # fmt: skip
    history = {"days": [{"occasion": "regression-2026-02-02"}], "worse": 1, "series": [series, {"worse": False}]}
    told = _markdown(history, {"proved": 3}, Path("reports"))
    (row,) = (line for line in told.splitlines() if "ioc.dsp.load" in line)
    found = "since regression-2026-01-31 its level is 2 ms, and was 1 ms before (2 times)"
    assert row == f"| `ioc.dsp.load` | `a'/b` | `all` | {found} |"
    assert "|" not in _markdown({**history, "worse": 0, "series": []}, {"proved": 3}, Path("reports"))
