"""The deployments, on a real Prefect server with a real database and a real worker; what a regression is counted in."""

import json
import os
import shutil
import signal
import socketserver
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Self
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx
import psutil
import pytest
import yaml
from phases import PLIMSOLL, Bench, make_shop
from prefect_server import (
    PREFECT,
    ROOT,
    TERMINAL,
    Server,
    eventually,
    free_port,
    postgres_program,
    postgresql,
    prefect_server,
    running,
)

from catalog.declarations import EnvironmentKind
from catalog.errors import EvidenceError, UsageError, WorldError
from catalog.ledger import Kind, Record
from catalog.reading import Catalogue
from catalog.verification import verify
from catalog.workspace import HISTORY_FILES, Workspace
from tasks.plan import Decision
from tests.shops import write_shop

SCHEDULED = {"regression": ("daily", "0 4 * * *"), "inbox": ("hourly", "7 * * * *"), "audit": ("nightly", "0 3 * * *")}
JTL = """timeStamp,elapsed,label,responseCode,threadName,success,bytes,allThreads
1795480000000,10,order,200,T 1-1,true,100,5
1795480000020,11,order,200,T 1-2,true,100,5
1795480000040,12,order,200,T 1-3,true,100,5
"""
STATED = "test: pilot.orders.load\nsubmitted_by: {name: A. Tester, organisation: Orders Ltd}\n"

CALLED: list[dict[str, Any]] = []
"""What the webhook was sent, oldest first."""


class _Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        CALLED.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def webhook() -> Iterator[str]:
    """A server on loopback that keeps what it is sent; its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, alone: dict[str, str]) -> Iterator[Server]:
    if postgres_program("initdb") is None:
        pytest.skip("PostgreSQL is not installed: no database for Prefect's server")
    folder = tmp_path_factory.mktemp("server")
    nameless = {name: value for name, value in alone.items() if name != "PLIMSOLL_ACTOR"}
    with postgresql(free_port()) as database, prefect_server(folder, nameless, database) as server:
        yield server


@pytest.fixture
def shop(server: Server, tmp_path: Path) -> Bench:
    """The template's programme and an empty workspace; commands in a terminal know the same server."""
    return make_shop(tmp_path, {**server.environ, "PLIMSOLL_ACTOR": "tester"})


@pytest.fixture
def inside(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Flows that are called in this process talk to the server, as its deployments do."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PLIMSOLL_ACTOR", "tester")
    with temporary_settings({PREFECT_API_URL: server.environ["PREFECT_API_URL"]}):
        yield


@pytest.fixture(scope="module")
def deployed(server: Server) -> dict[str, dict[str, Any]]:
    """What the API says of each deployment, by name, after the commands that docs/operating.md gives."""
    server.prefect(
        ["work-pool", "create", "plimsoll", "--type", "process"],
        ["work-pool", "update", "plimsoll", "--concurrency-limit", "1"],
        ["deploy", "--all"],
    )
    return {each["name"]: each for each in server.ask("/deployments/filter")}


@pytest.mark.end_to_end
def test_every_phase_of_the_shipped_programme_and_what_goes_with_it_is_deployed(
    deployed: dict[str, dict[str, Any]], smets1: Catalogue
) -> None:
    programme = smets1.programme.programme
    phases, others = [phase.id for phase in programme.phases], [each.id for each in programme.regression.others]
    assert set(deployed) == {*phases, "programme", "regression", *others, "inbox", "decide", "audit"}
    for name, found in deployed.items():
        assert found["work_pool_name"] == "plimsoll"
        assert found["description"]
        assert found["tags"] == [programme.programme, name]
        if name != "decide":  # many may wait for people at once
            assert found["global_concurrency_limit"]["limit"] == 1
            assert found["concurrency_options"]["collision_strategy"] == "ENQUEUE"
        assert found["pull_steps"] == [{"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}]
        assert found["parameters"]["home"] == ""
        crons = [(each["slug"], each["schedule"]["cron"]) for each in found["schedules"]]
        assert crons == ([SCHEDULED[name]] if name in SCHEDULED else [])
    assert {deployed[each]["parameters"]["phase"] for each in phases} == set(phases)
    assert {deployed[each]["parameters"]["which"] for each in others} == set(others)


@pytest.mark.end_to_end
def test_the_regression_is_scheduled_every_day_at_londons_time_and_never_for_a_day_that_is_over(
    server: Server, deployed: dict[str, dict[str, Any]]
) -> None:
    (schedule,) = deployed["regression"]["schedules"]
    assert schedule["active"]
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == ("0 4 * * *", "Europe/London")
    wanted = {"deployment_id": {"any_": [deployed["regression"]["id"]]}, "state": {"type": {"any_": ["SCHEDULED"]}}}
    runs = eventually(lambda: server.ask("/flow_runs/filter", flow_runs=wanted), within_s=200)
    london = ZoneInfo("Europe/London")
    starts = [datetime.fromisoformat(run["expected_start_time"]).astimezone(london) for run in runs]
    assert {(start.hour, start.minute) for start in starts} == {(4, 0)}
    assert len({start.date() for start in starts}) == len(starts) > 1
    assert min(starts) > datetime.now(UTC) - timedelta(hours=1)


def test_what_is_served_is_what_is_deployed(smets1: Catalogue, template: Catalogue) -> None:
    from flows.serve import deployments, served

    declared = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    mine = deployments(smets1.programme)
    for each, other in zip(declared, mine, strict=True):
        assert [each[name] for name in ("name", "entrypoint", "parameters")] == [
            other[name] for name in ("name", "entrypoint", "parameters")
        ]
        assert each.get("schedules", []) == other["schedules"]
    found = served(deployments(template.programme), {"home": "/evidence", "catalog": "/shop", "inbox": "/drop"})
    assert [each.name for each in found] == ["pilot", "launch", "programme", "regression", "inbox", "decide", "audit"]
    assert {each.parameters["home"] for each in found} == {"/evidence"}
    given = {each.name: each.parameters for each in found}
    assert (given["inbox"]["inbox"], "inbox" in given["pilot"], "catalog" in given["audit"]) == ("/drop", False, False)


@pytest.mark.end_to_end
@pytest.mark.usefixtures("inside")
def test_runs_are_scheduled_cancelled_killed_and_retried_without_repeating_what_is_finished(
    server: Server, deployed: dict[str, dict[str, Any]], shop: Bench, tmp_path: Path
) -> None:
    silence(server, *deployed.values())
    with ExitStack() as stack:
        told = stack.enter_context(webhook())
        prepare(home=str(shop.home), url=told)
        worker = stack.enter_context(Worker(server, tmp_path / "worker.log"))
        own = {"catalog": str(shop.catalog), "phase": "pilot", "types": ["load", "soak"]}
        cancelled = by_schedule(server, deployed["ioc"], own)
        (first,) = eventually(lambda: ledger(shop, Kind.EXECUTED)[:1], within_s=300)
        server.ask(f"/flow_runs/{cancelled}/set_state", state={"type": "CANCELLING"})
        assert ended(server, cancelled) == "CANCELLED", server.log(cancelled)
        eventually(lambda: any("Cancel" in each["subject"] for each in CALLED), within_s=120)

        killed = by_api(server, deployed["ioc"], own)
        begun = len(ledger(shop, Kind.STARTED))
        eventually(lambda: len(ledger(shop, Kind.STARTED)) > begun, within_s=300)
        worker.signal(signal.SIGSTOP)  # nothing that follows depends on how long its test takes
        refused_beside(shop, tmp_path)
        worker.signal(signal.SIGKILL)
        assert server.state(killed) == "RUNNING"  # nobody told Prefect
        worker.start()
        retry = {"type": "SCHEDULED", "name": "AwaitingRetry"}
        server.ask(f"/flow_runs/{killed}/set_state", state=retry, force=True)
        assert ended(server, killed) == "COMPLETED", server.log(killed)
        finished = [each.parameters["test"] for each in ledger(shop, Kind.EXECUTED) if is_finished(each)]
        assert sorted(finished) == [
            f"pilot.{component}.{type_}" for component in ("orders", "storefront") for type_ in ("load", "soak")
        ]
        assert first.actor.name == "engineer"  # from the Secret block

        reports = {file: file.read_bytes() for file in (shop.home / "reports" / "pilot").iterdir()}
        compared = by_api(server, deployed["regression"], {"catalog": str(shop.catalog)})
        assert ended(server, compared) == "COMPLETED", server.log(compared)
    shown(server, killed, compared)
    regressed(shop, reports)


class Worker:
    """A worker of the pool, with all its processes; killed and started at will."""

    def __init__(self, server: Server, log: Path) -> None:
        self._server, self._log, self._stack = server, log, ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(self) -> None:
        command = [PREFECT, "worker", "start", "--pool", "plimsoll", "--limit", "1"]
        self._process = self._stack.enter_context(running(command, self._server.environ, self._log))

    def signal(self, number: int) -> None:
        """Sends a signal to the worker and to every process that it started, the worker first."""
        worker = psutil.Process(self._process.pid)
        for each in [worker, *worker.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                each.send_signal(number)


def prepare(*, home: str, url: str) -> None:
    """The variables and blocks that docs/operating.md names, on the server that this process talks to."""
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from prefect.blocks.system import Secret
    from prefect.variables import Variable

    told = {"subject": "{{subject}}", "body": "{{body}}"}
    Secret(value="engineer").save("plimsoll-actor", overwrite=True)
    CustomWebhookNotificationBlock(name="team", url=url, json_data=told).save("team", overwrite=True)
    Variable.set("plimsoll_home", home, overwrite=True)
    Variable.set("plimsoll_secrets", {"PLIMSOLL_ACTOR": "plimsoll-actor"}, overwrite=True)
    Variable.set("plimsoll_notify", ["custom-webhook/team"], overwrite=True)


def silence(server: Server, *deployments: dict[str, Any]) -> None:
    """Ends schedules and the runs that they planned: a worker would start them at their hour."""
    for deployment in deployments:
        for schedule in deployment["schedules"]:
            path = f"/deployments/{deployment['id']}/schedules/{schedule['id']}"
            server.api.patch(path, json={"active": False}).raise_for_status()


def by_schedule(server: Server, deployment: dict[str, Any], parameters: dict[str, Any]) -> str:
    """Gives a deployment a schedule whose first run is due at once, and the id of that run."""
    anchor = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    schedule = {"interval": 86_400, "anchor_date": anchor}
    server.ask(
        f"/deployments/{deployment['id']}/schedules",
        json=[{"schedule": schedule, "parameters": parameters, "max_scheduled_runs": 1, "slug": "once"}],
    )
    wanted = {"deployment_id": {"any_": [deployment["id"]]}}
    order = {"sort": "EXPECTED_START_TIME_ASC", "limit": 1}
    (run,) = eventually(lambda: server.ask("/flow_runs/filter", flow_runs=wanted, **order), within_s=200)
    assert run["auto_scheduled"]
    return str(run["id"])


def by_api(server: Server, deployment: dict[str, Any], parameters: dict[str, Any]) -> str:
    """Asks for a run of a deployment; its id."""
    path = f"/deployments/{deployment['id']}/create_flow_run"
    return str(server.ask(path, parameters=parameters, state={"type": "SCHEDULED"})["id"])


def ended(server: Server, flow_run: str) -> str:
    """The type of the state that a flow run comes to."""
    return str(eventually(lambda: state if (state := server.state(flow_run)) in TERMINAL else None, within_s=400))


def ledger(bench: Bench, kind: Kind) -> list[Record]:
    """The records of a kind, while others append to them."""
    if not (bench.home / "plimsoll.json").exists():
        return []
    return [each for each in Workspace.open(bench.home).ledger.records() if each.kind is kind]


def is_finished(record: Record) -> bool:
    return bool(record.parameters["state"] == "finished")


def refused_beside(shop: Bench, folder: Path) -> None:
    """A run in a terminal, with a workspace of its own, does not load the machine that another run measures on."""
    beside = replace(shop, home=folder / "beside").run("run", "pilot", "--types", "load", "--json")
    assert beside.status == 3, beside.stderr
    assert "another run has this machine" in beside.answer["error"]
    assert not (folder / "beside").exists()


def shown(server: Server, phase: str, regression: str) -> None:
    """What Prefect's pages show of both runs."""
    artifacts = {each["key"]: each for each in server.ask("/artifacts/latest/filter")}
    mine = {name: artifacts[f"plimsoll-web-shop-pilot-{name}"] for name in ("progress", "tests", "report")}
    assert {each["flow_run_id"] for each in mine.values()} == {phase}
    assert mine["progress"]["data"] == 100
    assert {each["ended"] for each in json.loads(mine["tests"]["data"])} == {"executed", "not run"}
    assert "reports/pilot/report.html" in mine["report"]["data"]
    runs = {each["id"]: each for each in server.ask("/flow_runs/filter")}
    assert (runs[phase]["name"], set(runs[phase]["tags"])) == ("pilot", {"smets1", "ioc"})
    assert runs[regression]["name"].startswith("regression-20")
    asked = {"filter": {"event": {"prefix": ["plimsoll.regression."]}}}
    (event,) = eventually(lambda: server.ask("/events/filter", **asked)["events"], within_s=120)
    assert event["resource"]["prefect.resource.name"] == runs[regression]["name"]
    assert "plan          " in server.log(phase)


def regressed(shop: Bench, before: dict[Path, bytes]) -> None:
    """The regression relied on nothing, has a report and a history of its own, and changed no other report."""
    loads = {"launch.storefront.load", "launch.orders.load"}
    ends = {each["test"]: each["end"] for each in shop.facts("launch")["tests"]}
    assert {test for test, end in ends.items() if end == "executed"} == loads
    assert set(ends.values()) == {"executed", "not run"}
    (folder,) = (each for each in (shop.home / "reports").iterdir() if each.name != "pilot")
    names = {file.name for file in before} | set(HISTORY_FILES)
    assert {each.name for each in folder.iterdir()} == names
    again = shop.run("regression", "--occasion", folder.name, "--json")  # the same day again: nothing is executed
    assert again.status in (0, 1), again.stderr
    assert (again.answer["executed"], again.answer["history"]) == (0, {"regressions": 1, "worse": []})
    computed = shop.run("reperform", "--only", "trend", "--json").answer
    assert [each["result"] for each in computed["stages"]] == ["the same"] * len(computed["stages"])
    assert computed["stages"]
    assert all(file.read_bytes() == old for file, old in before.items())
    held = verify(shop.home)
    assert held.ok, held.faults


@pytest.mark.usefixtures("inside")
def test_submissions_are_taken_in_or_refused_and_never_read_half(server: Server, tmp_path: Path) -> None:
    from flows.inbox import intake

    write_shop(tmp_path / "shop")
    inbox, home = tmp_path / "inbox", tmp_path / "home"
    for name in ("good", "odd", "broken", "coming"):
        (inbox / name).mkdir(parents=True)
        (inbox / name / "results.jtl").write_text(JTL)
    (inbox / "good" / "manifest.yaml").write_text(STATED)
    (inbox / "odd" / "manifest.yaml").write_text(STATED)
    (inbox / "odd" / "link.jtl").symlink_to("/etc/passwd")
    (inbox / "broken" / "manifest.yaml").write_text(STATED.replace("pilot.orders.load", "pilot.orders.laod"))
    where = {"inbox": str(inbox), "catalog": str(tmp_path / "shop"), "home": str(home)}
    assert intake(**where) == {"received": 1, "refused": 2}
    assert sorted(path.name for path in inbox.iterdir()) == ["coming", "refused", "taken"]
    receipt = json.loads((inbox / "taken" / "good" / "receipt.json").read_text())
    (record,) = Workspace.open(home).select(Kind.RECEIVED)
    assert (receipt["test"], receipt["samples"], receipt["evidence"]) == ("pilot.orders.load", 3, record.digest)
    assert "link.jtl: no regular file" in (inbox / "refused" / "odd" / "refused.txt").read_text()
    assert "Did you mean 'pilot.orders.load'?" in (inbox / "refused" / "broken" / "refused.txt").read_text()
    shutil.move(inbox / "refused" / "broken", inbox / "broken")
    (inbox / "broken" / "manifest.yaml").write_text(STATED)
    (inbox / "broken").rename(inbox / "good")  # the same name again, mended
    assert intake(**where) == {"received": 1, "refused": 0}
    assert (inbox / "taken" / "good-1" / "receipt.json").is_file()
    assert intake(**where, return_state=True).name == "Nothing to take in"
    found = server.ask("/artifacts/filter", artifacts={"key": {"any_": ["plimsoll-intake"]}})
    assert "no regular file" in found[-1]["data"] + found[0]["data"]


@pytest.mark.usefixtures("inside")
def test_the_audit_finds_what_was_altered_and_what_was_cut_off_and_tells_those_who_are_to_know(
    server: Server, tmp_path: Path
) -> None:
    from flows.auditing import audit
    from flows.automate import main as automate

    home = audited_workspace(tmp_path)
    with webhook() as told:
        prepare(home=str(home), url=told)
        assert (automate(["custom-webhook/team"]), automate(["custom-webhook/team"])) == (0, 0)  # anew, not twice
        assert len(server.ask("/automations/filter")) == 3
        first = audit(home=str(home))
        assert (first["freshness"], first["stages computed again"]) == ("not proven", 2)
        assert audit(home=str(home))["freshness"] == "proven"
        (file,) = (home / "ledger").glob("*.jsonl")
        lines = file.read_bytes().splitlines(keepends=True)
        file.write_bytes(b"".join(lines[:-1]))
        CALLED.clear()
        with pytest.raises(EvidenceError, match="none of this ledger"):
            audit(home=str(home))
        file.write_bytes(b"".join(lines))
        altered = next(path for path in (home / "objects").rglob("*") if path.is_file())
        whole = altered.read_bytes()
        altered.chmod(0o644)
        altered.write_bytes(whole[:-1] + b"?")
        with pytest.raises(EvidenceError, match="does not hold"):
            audit(home=str(home))
        altered.write_bytes(whole)
        assert audit(home=str(home))["freshness"] == "proven"
        wanted = {"Failed", "does not hold"}  # the flow's own hook, and the automation
        eventually(lambda: all(any(each in call["subject"] for call in CALLED) for each in wanted), within_s=120)


def audited_workspace(folder: Path) -> Path:
    """A workspace with one pure stage recorded."""
    from flows.desk import open_desk
    from flows.stages import declare, derive_volumes

    write_shop(folder / "shop")
    home = folder / "home"
    with open_desk("pilot", catalog=folder / "shop", home=home) as desk:
        declared = declare(desk)
        derive_volumes(desk, declared)
    return home


@pytest.mark.usefixtures("inside")
def test_a_broken_regression_is_told_by_the_automation(server: Server, tmp_path: Path) -> None:
    from flows.automate import main as automate
    from flows.regression import tell

    with webhook() as told:
        prepare(home=str(tmp_path), url=told)
        assert automate(["custom-webhook/team"]) == 0
        CALLED.clear()
        history = {"days": [{"occasion": "regression-2026-02-02"}], "worse": 2, "series": []}
        tell("web-shop", history, {"proved": 3, "not proved": 1, "inconclusive": 0}, tmp_path)
        (called,) = eventually(lambda: CALLED, within_s=120)
    assert called["subject"] == "Regression regression-2026-02-02 is worse"
    assert "2 figures are worse than before" in called["body"]


@pytest.mark.usefixtures("inside")
def test_an_environments_limit_has_one_slot_and_whoever_does_not_wait_is_refused(server: Server) -> None:
    from flows.alone import alone, limit_of, limited
    from flows.machine import refuse_taken

    name = limit_of("web-shop", "uat")
    with limited(name), pytest.raises(WorldError, match=name), limited(name):
        pass
    desk: Any = SimpleNamespace(
        programme=SimpleNamespace(programme=SimpleNamespace(programme="web-shop")),
        environment=SimpleNamespace(kind=EnvironmentKind.REAL, id="uat"),
    )
    decided: Any = SimpleNamespace(decision=Decision.EXECUTE)
    with alone(desk, [decided]):
        found = server.ask("/v2/concurrency_limits/filter")
        assert [(each["limit"], each["active_slots"]) for each in found if each["name"] == name] == [(1, 1)]
        with pytest.raises(WorldError, match="another run has this machine"):
            refuse_taken()
    refuse_taken()
    decided.decision = Decision.RELY
    with limited(name), alone(desk, [decided]):  # nothing is executed, so nothing is held
        pass


@pytest.mark.usefixtures("inside")
def test_the_programme_is_every_phase_in_order(shop: Bench) -> None:
    from flows.programme import programme

    where = {"catalog": str(shop.catalog), "home": str(shop.home), "environment": "nobody-there"}
    done = programme(**where, types=["load"])  # a real environment: no plan is signed off, so nothing is executed
    assert list(done) == ["pilot", "launch"]
    assert [each["executed"] for each in done.values()] == [0, 0]
    reported = [each.parameters["phase"] for each in ledger(shop, Kind.REPORTED)]
    assert reported == ["pilot", "launch"]


class _Post(socketserver.StreamRequestHandler):
    """As much of SMTP as it takes to be handed a message."""

    posted: ClassVar[list[str]] = []

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            verb = line.split()[0].upper()
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                self.posted.append(b"".join(iter(self.rfile.readline, b".\r\n")).decode())
            self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 well\r\n")


@pytest.mark.usefixtures("inside")
def test_a_run_that_fails_is_told_by_e_mail_though_another_block_is_gone() -> None:
    from prefect import flow
    from prefect.variables import Variable
    from prefect_email import EmailServerCredentials

    from flows.deployed import HOOKS

    @flow(name="doomed", **HOOKS)
    def doomed() -> None:
        raise WorldError("nobody answers")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Post) as post:
        thread = threading.Thread(target=post.serve_forever)
        thread.start()
        server = EmailServerCredentials(
            smtp_server="127.0.0.1",
            smtp_port=post.server_address[1],
            smtp_type="INSECURE",
        )
        server.save("post", overwrite=True)
        told: dict[str, Any] = {"block": "email-server-credentials/post", "from": "plimsoll@example.com"}
        told["to"] = ["board@example.com", "team@example.com"]
        Variable.set("plimsoll_notify", ["custom-webhook/gone", told], overwrite=True)
        try:
            with pytest.raises(WorldError):
                doomed()
        finally:
            Variable.unset("plimsoll_notify")
            post.shutdown()
            thread.join()
    (message,) = _Post.posted
    assert "To: board@example.com, team@example.com" in message
    assert "Subject: doomed/" in message
    assert "nobody answers" in message


@pytest.mark.usefixtures("inside")
def test_secrets_come_from_blocks_unless_the_environment_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.blocks.system import Secret

    from flows.deployed import load_secrets

    Secret(value="from the block").save("token", overwrite=True)
    monkeypatch.setenv("SET_TOKEN", "from the environment")
    monkeypatch.delenv("OTHER_TOKEN", raising=False)
    load_secrets({"SET_TOKEN": "token", "OTHER_TOKEN": "token"})
    assert (os.environ["SET_TOKEN"], os.environ["OTHER_TOKEN"]) == ("from the environment", "from the block")
    with pytest.raises(UsageError, match="plimsoll_secrets takes THIRD_TOKEN from the Secret block 'gone'"):
        load_secrets({"THIRD_TOKEN": "gone"})
    monkeypatch.delenv("OTHER_TOKEN")


@pytest.mark.end_to_end
def test_one_process_serves_every_deployment_and_runs_what_is_asked_for(alone: dict[str, str], tmp_path: Path) -> None:
    write_shop(tmp_path / "shop")
    (tmp_path / "inbox").mkdir()
    port, config = free_port(), tmp_path / "config"
    own = {"PREFECT_HOME": str(tmp_path / "prefect"), "XDG_CONFIG_HOME": str(config)}
    environ = {**alone, **own, "PREFECT_SERVER_UI_ENABLED": "false"}
    options = ["--catalog", "shop", "--home", "home", "--inbox", "inbox", "--port", str(port)]
    command, log, url = [PLIMSOLL, "serve", *options], tmp_path / "served.log", f"http://127.0.0.1:{port}/api"
    password = config / "plimsoll" / "prefect-password"
    with running(command, environ, log) as process, httpx.Client(base_url=url, timeout=30) as stranger:

        def is_up() -> bool:
            assert process.poll() is None, log.read_text()
            with suppress(httpx.TransportError):
                return stranger.get("/health").status_code == 200
            return False

        eventually(is_up, within_s=300)
        assert stranger.post("/deployments/filter", json={}).status_code == 401
        known = tuple(password.read_text().split(":", 1))
        with httpx.Client(base_url=url, timeout=30, auth=known) as api:
            server = Server(api=api, pid=process.pid, environ=environ)
            wanted = {"deployments": {"tags": {"all_": ["plimsoll"]}}}

            def all_there() -> Any:
                assert process.poll() is None, log.read_text()
                found = server.ask("/deployments/filter", **wanted)
                return found if len(found) == 7 else None

            served = {each["name"]: each for each in eventually(all_there, within_s=300)}
            assert set(served) == {"pilot", "launch", "programme", "regression", "inbox", "decide", "audit"}
            taken = by_api(server, served["inbox"], {})
            assert ended(server, taken) == "COMPLETED", server.log(taken)
            (run,) = server.ask("/flow_runs/filter", flow_runs={"id": {"any_": [taken]}})
        assert run["state_name"] == "Nothing to take in"
        process.send_signal(signal.SIGTERM)
        process.wait(120)
    said = log.read_text()
    assert f"at http://127.0.0.1:{port}, and ask for what is in {password}" in said
    assert known[1] not in said


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


@pytest.mark.parametrize(
    ("late", "by_schedule", "missed"),
    [(timedelta(days=1), True, True), (timedelta(0), True, False), (timedelta(days=1), False, False)],
)
def test_a_regression_that_a_schedule_planned_for_a_day_that_is_over_is_missed(
    late: timedelta, by_schedule: bool, missed: bool
) -> None:
    from prefect.client.schemas.objects import FlowRun
    from prefect.context import FlowRunContext

    from flows.regression import _missed, regression

    run = FlowRun(flow_id=uuid4(), auto_scheduled=by_schedule, expected_start_time=datetime.now(UTC) - late)
    with FlowRunContext.model_construct(flow_run=run):
        assert bool(_missed()) == missed
        if missed:
            assert regression.fn().name == "Missed"  # and nothing was read or executed


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
