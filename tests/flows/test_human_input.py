"""Deciding in Prefect: a person is shown what it is about, answers through the API as the UI does, and it is signed."""

import contextvars
import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from phases import Bench, make_shop
from test_deployments import eventually

from catalog.decisions import Decision, decisions
from catalog.errors import UsageError, WorldError
from catalog.issues import issues
from catalog.ledger import Actor, Kind, Record
from catalog.signing import Signer
from catalog.verification import verify
from catalog.workspace import Workspace, is_workspace
from flows.human_input import signer_of
from flows.incidents import tell_incident, telling
from flows.prefect_api import start_api, use_api
from tasks.alarm import Crossing

PLAN = "plan:orders-plan"


@pytest.fixture(scope="module")
def api(surroundings: dict[str, str]) -> Iterator[None]:
    """A Prefect server of its own, which flows of this module run against."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", surroundings["PREFECT_HOME"])
        patch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
        server = start_api()
        try:
            with use_api(server):
                yield
        finally:
            server.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A programme whose roles are held by people with keys, and the runs by which they are asked."""

    bench: Bench

    def ask(self, what: str, key: str, **more: Any) -> "Run":
        """A run of a deployment, as the UI makes one; it has not begun."""
        from prefect.client.orchestration import get_client

        from flows.human_input import decide

        where = {"catalog": str(self.bench.catalog), "home": str(self.bench.home)}
        with get_client(sync_client=True) as client:
            flow_id = client.create_flow_from_name(decide.name)
            deployment = client.create_deployment(flow_id=flow_id, name="decide", enforce_parameter_schema=False)
            made = client.create_flow_run_from_deployment(
                deployment, parameters={"what": what, "key": key, **where, **more}
            )
        return Run(id=str(made.id))

    @property
    def decided(self) -> list[Decision]:
        if not is_workspace(self.bench.home):
            return []
        return decisions(Workspace.open(self.bench.home).ledger.records(), {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run of the flow, by its id."""

    id: str

    def go_on(self) -> Any:
        """What a worker does with a run that is scheduled: the state that it comes to."""
        from prefect.client.orchestration import get_client
        from prefect.exceptions import Pause
        from prefect.flow_engine import run_flow

        from flows.human_input import decide

        with get_client(sync_client=True) as client:
            found = client.read_flow_run(self.id)
        try:
            return run_flow(decide, flow_run=found, parameters=found.parameters, return_type="state")
        except Pause as suspended:
            return suspended.state

    def restarted(self) -> Any:
        """The state that it comes to when it is started once more."""
        from prefect.client.orchestration import get_client
        from prefect.states import Scheduled

        with get_client(sync_client=True) as client:
            client.set_flow_run_state(self.id, Scheduled(), force=True)
        return self.go_on()

    def shown(self) -> tuple[str, dict[str, Any]]:
        """What the UI shows of the newest question: its description, and the form."""
        from prefect.client.orchestration import get_client
        from prefect.input.actions import read_flow_run_input

        with get_client(sync_client=True) as client:
            keys = client.read_flow_run(self.id).state.state_details.run_input_keyset
        read = [read_flow_run_input(keys[name], flow_run_id=self.id) for name in ("description", "schema")]
        return read[0], read[1]

    def answer(self, **said: Any) -> str:
        """Answers as the UI does; why the API does not take it, or nothing."""
        from prefect.client.orchestration import get_client

        with get_client(sync_client=True) as client:
            answered = client.resume_flow_run(self.id, run_input=said)
        return "" if answered.status == "ACCEPT" else str(answered.details.reason)

    def decide(self, **said: Any) -> Any:
        """Answers, and goes on."""
        assert self.answer(**said) == ""
        return self.go_on()


def held(name: str, folder: Path) -> str:
    key = Signer.open(folder / f"{name}.pem", outside=folder / "nowhere").fingerprint
    return f"    holders: [{{name: {name}, key: {key}}}]\n"


@pytest.fixture
def desk(tmp_path: Path, surroundings: dict[str, str], monkeypatch: pytest.MonkeyPatch, api: None) -> Desk:
    bench, keys, attached = make_shop(tmp_path, surroundings), tmp_path / "keys", tmp_path / "attached"
    attached.mkdir()
    for title, name in (("Test lead of the order service's provider", "Lee"), ("The shop's test assurance", "Ann")):
        bench.edit("governance.yaml", f"    title: {title}\n", f"    title: {title}\n{held(name, keys)}")
    monkeypatch.setenv("PLIMSOLL_KEYS", str(keys))
    monkeypatch.setenv("PLIMSOLL_ATTACHMENTS", str(attached))
    return Desk(bench=bench)


def test_a_plan_is_submitted_in_a_suspended_run_and_signed_by_the_keys_holder(desk: Desk) -> None:
    run = desk.ask(PLAN, "Lee")
    assert run.go_on().name == "Suspended"
    text, schema = run.shown()
    assert "## plan orders-plan" in text
    assert "It is signed by **Lee**, as orders-lead" in text
    assert "it is not reported yet" in text
    assert '"provider": "order-house"' in text
    of = schema["properties"]["of"]["default"]
    assert f"`{of}`" in text
    assert schema["properties"]["decision"].get("enum", [schema["properties"]["decision"].get("const")]) == [
        "submitted"
    ]
    assert desk.decided == []

    assert "decision" in run.answer()  # nothing is said
    assert "decision" in run.answer(decision="agreed")
    assert run.answer(decision="submitted", key="another") != ""
    assert "reason" in run.answer(decision="submitted", reason=7)
    assert desk.decided == []

    ended = run.decide(decision="submitted", reason="as agreed", dated="2026-11-01")
    (decision,) = desk.decided
    assert ended.is_completed()
    assert (decision.decision, decision.by, decision.role, decision.of) == ("submitted", "Lee", "orders-lead", of)
    assert (decision.reason, decision.details) == ("as agreed", {"dated": "2026-11-01", "flow run": run.id})
    assert not decision.withdrawn
    assert ended.result()["digest"] == decision.record
    assert verify(desk.bench.home).ok
    assert run.restarted().result()["record"] == decision.sequence  # whatever Prefect starts again is not signed again
    assert len(desk.decided) == 1


def test_an_answer_that_may_not_be_recorded_is_told_why_and_asked_for_again(desk: Desk) -> None:
    run = desk.ask(PLAN, "Ann")
    run.go_on()
    assert run.decide(decision="reviewed").name == "Suspended"
    text, _ = run.shown()
    assert "**Not recorded:** orders-plan is not submitted" in text
    submitting = desk.ask(PLAN, "Lee")
    submitting.go_on()
    assert submitting.decide(decision="submitted").is_completed()
    # The first answer would be taken by now. It was refused, and the newest is what counts.
    assert run.decide(decision="rejected").name == "Suspended"
    assert "'rejected' needs a reason" in run.shown()[0]
    assert "| submitted | Lee | orders-lead |" in run.shown()[0]
    assert run.decide(decision="rejected", reason="too short", file="none.pdf").name == "Suspended"
    assert "there is no file to attach 'none\\.pdf'" in run.shown()[0]
    assert run.decide(decision="rejected", reason="too short").is_completed()
    assert [each.decision for each in desk.decided] == ["submitted", "rejected"]


def test_what_changed_since_it_was_shown_is_not_decided_on(desk: Desk) -> None:
    run = desk.ask(PLAN, "Lee")
    run.go_on()
    shown = run.shown()[1]["properties"]["of"]["default"]
    desk.bench.edit("tests.yaml", "    title: Order service test plan", "    title: Another plan")
    assert run.decide(decision="submitted", of=shown).name == "Suspended"
    text, schema = run.shown()
    assert "is not what was shown" in text
    assert schema["properties"]["of"]["default"] != shown
    assert run.decide(decision="submitted", of=schema["properties"]["of"]["default"]).is_completed()
    assert [each.of for each in desk.decided] == [schema["properties"]["of"]["default"]]


def test_a_run_without_a_deployment_is_paused_and_a_document_attached(desk: Desk, tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client

    from flows.human_input import decide

    (tmp_path / "attached" / "letter.txt").write_text("We can.")
    where = {"catalog": str(desk.bench.catalog), "home": str(desk.bench.home)}
    with get_client(sync_client=True) as client:
        made = client.create_flow_run(decide, parameters={"what": "assurance:payments-carry", "key": "Ann", **where})
    run, ended = Run(id=str(made.id)), Future[Any]()
    context = contextvars.copy_context()
    waiting = threading.Thread(target=lambda: ended.set_result(context.run(run.go_on)))
    waiting.start()

    def asked() -> bool:
        with get_client(sync_client=True) as client:
            return client.read_flow_run(run.id).state.name == "Paused"

    eventually(asked, within_s=30)
    assert run.answer(decision="given", file="letter.txt") == ""
    state = ended.result(timeout=60)
    waiting.join()
    assert state.is_completed()
    (given,) = desk.decided
    assert Workspace.open(desk.bench.home).store.get(given.file) == b"We can."


def test_what_cannot_be_asked_ends_the_run_with_the_reason(desk: Desk) -> None:
    state = desk.ask("plan:storefront-plan", "Lee").go_on()
    assert state.is_failed()
    with pytest.raises(
        UsageError, match="nobody is declared to decide on plan:storefront-plan with the key"
    ) as refused:
        state.result()
    assert "holders: [{name: …, key: " in refused.value.help()
    assert desk.decided == []


def test_an_issue_is_raised_rated_closed_and_reopened_by_people_in_prefect(desk: Desk) -> None:
    Workspace.open(desk.bench.home, create=True)
    raising = desk.ask("issue:pilot", "Ann")
    assert raising.go_on().name == "Suspended"
    text, schema = raising.shown()
    assert "a new testing issue of pilot" in text
    assert "| 1 | 0 | no threshold declared |" in text
    assert "pilot.orders.load" in schema["properties"]["test"]["enum"]
    assert "of" not in schema["properties"]
    assert "severity" in raising.answer(decision="raised", title="x", severity="6")
    assert "decision" in raising.answer(decision="closed", title="x")
    assert raising.decide(decision="raised").name == "Suspended"
    assert "an issue needs a title" in raising.shown()[0]
    ended = raising.decide(decision="raised", title="Slow [b]", test="pilot.orders.load")
    assert ended.result()["subject"] == "pilot-issue-1"
    assert raising.restarted().result()["digest"] == ended.result()["digest"]  # one issue, however often it is begun

    rating, closing = desk.ask("issue:pilot-issue-1", "Ann"), desk.ask("issue:pilot-issue-1", "Ann")
    for run in (rating, closing):
        run.go_on()
    text, schema = rating.shown()
    assert "It is open, no severity yet; test pilot\\.orders\\.load" in text
    assert schema["properties"]["decision"]["enum"] == ["changed", "closed"]
    shown = schema["properties"]["of"]["default"]
    assert rating.decide(decision="changed", severity="2", of=shown).is_completed()
    assert closing.decide(decision="closed", reason="fixed", of=shown).name == "Suspended"  # it was rated meanwhile
    text, schema = closing.shown()
    assert "is not what was shown" in text
    assert "It is open, severity 2" in text
    shown = schema["properties"]["of"]["default"]
    assert closing.decide(decision="closed", reason="fixed", of=shown).is_completed()

    reopening = desk.ask("issue:pilot-issue-1", "Ann")
    reopening.go_on()
    schema = reopening.shown()[1]
    assert schema["properties"]["decision"]["enum"] == ["changed", "reopened"]
    of = schema["properties"]["of"]["default"]
    assert reopening.decide(decision="reopened", reason="seen again", of=of).is_completed()

    (issue,) = issues(desk.decided)
    assert (issue.title, issue.severity, issue.is_open, issue.test) == ("Slow [b]", 2, True, "pilot.orders.load")
    assert [each.decision for each in issue.events] == ["raised", "changed", "closed", "reopened"]
    runs = [raising.id, rating.id, closing.id, reopening.id]
    assert [each.details["flow run"] for each in issue.events] == runs
    assert {(each.by, each.role) for each in issue.events} == {("Ann", "test-assurance")}
    assert verify(desk.bench.home).ok
    (told,) = json.loads(desk.bench.ask("issue", "list", "--json").stdout)["issues"]
    assert (told["id"], told["severity"], told["state"]) == ("pilot-issue-1", 2, "open")


@pytest.mark.parametrize(
    ("what", "key", "why"),
    [("issue:pilot", "Lee", "nobody is declared to decide on issue:pilot"),
     ("issue:pilto", "Ann", "neither a phase nor a testing issue 'pilto'")],
)  # fmt: skip
def test_an_issue_of_nothing_or_by_nobody_is_not_asked_for(desk: Desk, what: str, key: str, why: str) -> None:
    Workspace.open(desk.bench.home, create=True)
    state = desk.ask(what, key).go_on()
    with pytest.raises(UsageError, match=why):
        state.result()
    assert desk.decided == []


@pytest.mark.parametrize("key", ["Bob", "../keys/Lee", "/etc/passwd", "", "Lee.pem", "secret:nothing"])
def test_a_key_is_one_by_its_name_that_is_there_already(desk: Desk, tmp_path: Path, key: str) -> None:
    before = set(tmp_path.rglob("*.pem"))
    with pytest.raises(UsageError, match=r"there is no (key|Secret block) '") as refused:
        signer_of(key, outside=desk.bench.home)
    assert "PLIMSOLL_KEYS" in refused.value.help() or "secret:NAME" in refused.value.help()
    assert set(tmp_path.rglob("*.pem")) == before


def test_without_a_folder_of_keys_nobody_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PLIMSOLL_KEYS", raising=False)
    with pytest.raises(UsageError, match="no folder of keys is named"):
        signer_of("Lee", outside=tmp_path)


def test_a_key_may_be_in_a_secret_block_and_none_that_others_may_read(desk: Desk, tmp_path: Path) -> None:
    from prefect.blocks.system import Secret

    Secret(value=(tmp_path / "keys" / "Lee.pem").read_text()).save("lee", overwrite=True)
    found = signer_of("secret:lee", outside=tmp_path / "home")
    assert found.fingerprint == signer_of("Lee", outside=tmp_path / "home").fingerprint
    Secret(value="no key").save("lee", overwrite=True)
    with pytest.raises(WorldError, match="the Secret block lee holds no private key"):
        signer_of("secret:lee", outside=tmp_path / "home")
    (tmp_path / "keys" / "Ann.pem").chmod(0o644)
    with pytest.raises(WorldError, match="others may read the private key"):
        signer_of("Ann", outside=tmp_path / "home")


def test_prefect_is_told_of_a_sample_beyond_a_limit_and_of_an_incident(api: None) -> None:
    from prefect import flow, get_run_logger
    from prefect.client.orchestration import get_client
    from prefect.events.worker import EventsWorker

    crossing = Crossing(requirement="memory", metric="memory-max", value=3, limit=2, unit="bytes", at_us=1)
    incident = {"run": RUN, "requirement": "memory", "metric": "memory-max", "value": 3, "limit": 2, "unit": "bytes",
                "beyond": 1, "samples": 2}  # fmt: skip

    @flow
    def watched() -> None:
        with telling(RUN, get_run_logger()) as tell:
            tell(crossing)
        tell_incident(RECORDED, incident)

    EventsWorker.drain_all()  # one that was begun for another server keeps telling that one
    watched()
    named = {"resource": {"id": [f"plimsoll.requirement.{RUN}/memory"]}}

    def told() -> list[dict[str, Any]]:
        with get_client(sync_client=True) as client:
            answer = client.request("POST", "/events/filter", json={"filter": named})
        found = answer.json()["events"]
        return found if len(found) == 2 else []

    events = {each["event"]: each for each in eventually(told, within_s=60)}
    assert events["plimsoll.infrastructure.beyond"]["payload"]["value"] == 3
    assert events["plimsoll.incident"]["payload"]["record"] == RECORDED.sequence
    assert events["plimsoll.incident"]["related"][0]["prefect.resource.id"] == f"plimsoll.run.{RUN}"


RUN = "pilot/pilot.orders.load/1"
RECORDED = Record(kind=Kind.INCIDENT, stage="incident", sequence=7, time="", code="", actor=Actor(name="x"),
                  previous="", digest="d" * 64)  # fmt: skip
