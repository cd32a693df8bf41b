"""Locust runs a team's script, closed loop: what it tells is kept and counted, and proves what it can and no more."""

import json
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evidence import write
from loads import load_of, steady
from test_execute import QUICK, conduct

from catalog.declarations import InjectorKind, LocustScript
from catalog.errors import WorldError
from catalog.runs import RunState
from expectations.plain import named
from expectations.verdicts import Verdict, verdict
from tasks.emulate.spec import ComponentSpec
from tasks.emulate.system import start_component
from tasks.inject.files import NEVER, Outcome
from tasks.inject.injector import SEGMENTS, InterruptedLoadError, Target
from tasks.inject.locust_process import outcome_of
from tasks.inject.scripts import LocustInjector, Script
from tasks.measure import LATENESS, measure
from tasks.observe import Subject, judged_rows
from tasks.recover import recover

EMPTY = load_of([])
NO_HOSTS = object()
"""Hosts of a cluster of which nobody asks anything."""

POSTS = """
from helper import BODY
from locust import FastHttpUser, HttpUser, constant_pacing, events, task

print("what a script prints is not what this process says")

@events.init_command_line_parser.add_listener
def _(parser):
    parser.add_argument("--flavour", default="plain")

class Fast(FastHttpUser):
    wait_time = constant_pacing(0.02)
    @task
    def post(self):
        assert self.environment.parsed_options.flavour == "plain"
        self.client.post("/paths/p", data=BODY)
        self.client.get("/elsewhere")

class Slow(HttpUser):
    host = "http://127.0.0.1:9"  # the declared entry comes first
    wait_time = constant_pacing(0.02)
    @task
    def post(self):
        self.client.post("/paths/p", data=BODY, name="by requests")
        with self.client.post("/paths/p", data=BODY, name="disliked", catch_response=True) as answer:
            answer.failure("not what was wanted")
    @task
    def fail(self):
        raise KeyError("a fault of the script")
"""
HELPER = 'BODY = "1 request s d o\\n"\n'
REQUESTS = {"POST /paths/p": "p|fast|request", "by requests": "p|slow|request", "disliked": "p|slow|alert"}


def script(text: str = POSTS, *, users: int = 4, duration_us: int = 1_200_000, **requests: str) -> Script:
    return Script(
        script="scripts/locustfile.py",
        files={"scripts/locustfile.py": text, "scripts/helper.py": HELPER},
        users=users,
        spawn_rate="100",
        duration_us=duration_us,
        requests=requests or REQUESTS,
    )


def target(url: str, *, timeout_us: int = 5_000_000) -> Target:
    return Target(urls={"": url}, codec="plain", timeout_us=timeout_us)


def test_every_mapped_request_is_a_row_and_the_others_are_counted(tmp_path: Path) -> None:
    told: list[tuple[int, int, int]] = []
    pids: list[int] = []
    with start_component(ComponentSpec(component="c", service_us=2000, routes={"p": None})) as component:
        injector = LocustInjector(script(), on_start=pids.append, folder=tmp_path)
        injection = injector.run(EMPTY, target(component.url), progress=lambda *at: told.append(at))
    columns, summary, labels = injection.columns, injection.summary, injection.labels
    count = len(injection.label)
    assert labels == ("p|fast|request", "p|slow|alert", "p|slow|request")
    assert set(injection.label) == {0, 1, 2}
    assert columns["sequence"].tolist() == list(range(count))
    assert set(columns["intended_us"]) == {NEVER}
    assert np.array_equal(columns["ready_us"], columns["sent_us"])
    assert np.all(np.diff(columns["sent_us"]) >= 0)
    assert np.all(columns["done_us"] - columns["sent_us"] >= 2000)
    window = columns["sent_us"] - summary["start_us"]
    assert window.min() >= 0
    assert window.max() < 1_200_000
    disliked = injection.label == labels.index("p|slow|alert")
    assert set(columns["outcome"][disliked]) == {Outcome.ERROR}
    assert set(columns["outcome"][~disliked]) == {Outcome.OK}
    assert set(columns["status"]) == {200}
    assert np.all(columns["bytes"] > 0)
    assert summary["offered"] == summary["messages"] == count == told[-1][0]
    assert (summary["ok"], summary["error"]) == (np.count_nonzero(~disliked), np.count_nonzero(disliked))
    assert summary["codes"] == {"200": count}
    assert summary["unmapped"] == summary["unmapped_requests"]["GET /elsewhere"] > 0
    assert summary["script_errors"]["KeyError: 'a fault of the script'"] > 0
    assert summary["users_peak"] == 4
    assert pids == [summary["pid"]]
    assert summary["cpu_us"] > 0
    assert not summary["quit_early"]
    json.dumps(dict(summary))


def test_requests_to_other_hosts_are_no_evidence_of_the_component() -> None:
    text = """
from locust import FastHttpUser, constant_pacing, task
class A(FastHttpUser):
    wait_time = constant_pacing(0.05)
    @task
    def post(self):
        self.client.post("/paths/p", data="1 request s d o\\n")
        self.client.get("http://127.0.0.1:9/x", name="POST /paths/p")
"""
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:
        injection = LocustInjector(script(text, duration_us=400_000)).run(EMPTY, target(component.url))
    assert set(injection.columns["outcome"]) == {Outcome.OK}
    assert injection.summary["elsewhere"] == injection.summary["elsewhere_hosts"]["127.0.0.1:9"] > 0


def test_what_takes_longer_than_the_time_out_is_one_and_a_dead_system_refuses() -> None:
    with start_component(ComponentSpec(component="c", service_us=50_000, routes={"p": None})) as component:
        late = LocustInjector(script(duration_us=500_000)).run(EMPTY, target(component.url, timeout_us=20_000))
    assert set(late.columns["outcome"]) == {Outcome.TIMEOUT}
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    dead = LocustInjector(script(duration_us=300_000)).run(EMPTY, target(url))
    disliked = dead.label == dead.labels.index("p|slow|alert")
    assert set(dead.columns["outcome"][~disliked]) == {Outcome.REFUSED}
    assert set(dead.columns["status"]) == {0}


class ReadTimeoutError(Exception):
    """As libraries name theirs."""


@pytest.mark.parametrize(
    ("exception", "status", "outcome"),
    [
        (None, 200, Outcome.OK),
        (None, 500, Outcome.OK),
        (ValueError("500"), 500, Outcome.ERROR),
        (ReadTimeoutError(), 0, Outcome.TIMEOUT),
        (TimeoutError(), 0, Outcome.TIMEOUT),
        (ConnectionResetError(), 0, Outcome.REFUSED),
        (ValueError("sense"), 0, Outcome.ERROR),
    ],
)
def test_the_script_has_the_last_word_on_an_answer(exception: Exception | None, status: int, outcome: Outcome) -> None:
    assert outcome_of(exception, status) is outcome


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import nowhere\n", "cannot be loaded: locustfile.py:1: ModuleNotFoundError: No module named 'nowhere'"),
        ("x = 1\ndef (:\n", "cannot be loaded: locustfile.py:2: SyntaxError: "),
        ("import sys\nsys.exit('enough')\n", "cannot be loaded: locustfile.py:2: SystemExit: enough"),
        ("open('/work/undeclared.csv-that-is-not-there')\n", "cannot be loaded: locustfile.py:1: FileNotFoundError"),
        ("from locust import User\n", "has no user class"),
        (
            POSTS + "\nfrom locust import LoadTestShape\nclass S(LoadTestShape):\n    def tick(self):\n        pass\n",
            "has a LoadTestShape",
        ),
        (POSTS.replace("/paths/p", "/paths/q").replace("name=", "params="), "sent no request that is mapped to a"),
    ],
)
def test_a_script_that_cannot_be_run_is_an_error_in_a_sentence(text: str, told: str) -> None:
    with (
        start_component(ComponentSpec(component="c", routes={"p": None})) as component,
        pytest.raises(WorldError) as caught,
    ):
        LocustInjector(script(text, duration_us=200_000)).run(EMPTY, target(component.url))
    assert str(caught.value).startswith(f"the script scripts/locustfile.py {told}")
    assert "locust -f scripts/locustfile.py" in caught.value.help()


def test_a_killed_process_leaves_what_it_had_written(tmp_path: Path) -> None:
    pids: list[int] = []
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:

        def kill(*_: int) -> None:
            assert list((tmp_path / SEGMENTS).glob("*.rows"))
            os.kill(pids[0], signal.SIGKILL)

        injector = LocustInjector(script(duration_us=20_000_000), on_start=pids.append, folder=tmp_path)
        with pytest.raises(InterruptedLoadError, match=r"exit status -9[\s\S]*requests had been recorded") as caught:
            injector.run(EMPTY, target(component.url), progress=kill)
    assert len(caught.value.injection.columns["sent_us"]) > 0
    assert not len(caught.value.lost)


def test_a_script_that_quits_is_told(tmp_path: Path) -> None:
    text = POSTS.replace('        self.client.get("/elsewhere")\n', "        self.environment.runner.quit()\n")
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:
        injection = LocustInjector(script(text, users=1, duration_us=9_000_000)).run(EMPTY, target(component.url))
    assert injection.summary["quit_early"]
    assert injection.summary["took_us"] < 9_000_000


def test_a_closed_loop_takes_no_arrivals_and_one_host() -> None:
    with pytest.raises(ValueError, match="an empty load"):
        LocustInjector(script()).run(steady(1, 1), target("http://127.0.0.1:1"))
    with pytest.raises(ValueError, match="one host"):
        LocustInjector(script()).run(EMPTY, Target(urls={"a": "http://x", "b": "http://y"}, codec="plain"))


def test_without_locust_there_is_a_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.inject.injector.find_spec", lambda _: None)
    with pytest.raises(WorldError, match="needs the Python package 'locust'") as caught:
        LocustInjector(script()).run(EMPTY, target("http://127.0.0.1:1"))
    assert "pip install '.[locust]'" in caught.value.help()


# --- as a test of a phase ---------------------------------------------------------------------------------------------

SHOP = """
from locust import FastHttpUser, task
class Shopper(FastHttpUser):
    @task
    def buy(self):
        self.client.post("/paths/purchase", data="1 request place-order d o\\n", name="buy")
"""


@pytest.fixture
def shop(template, monkeypatch):
    """The template's rehearsal with a script for the load test of orders, and a second and a half for it."""
    monkeypatch.setitem(QUICK, "load", 1_500_000)
    locust = LocustScript.model_validate(
        {"script": "shop.py", "users": 6, "spawn_rate": "100", "requests": {"buy": "purchase|place-order|request"},
         "types": ["load", "soak"]}
    )  # fmt: skip
    environment = template.programme.environment("rehearsal").model_copy(
        update={"injector": InjectorKind.LOCUST, "locust": locust}
    )
    return template.programme.model_copy(update={"scripts": {"shop.py": SHOP}}), environment


def test_a_scripted_load_test_proves_shares_and_counts_and_no_latency(shop, tmp_path, monkeypatch):
    monkeypatch.setitem(QUICK, "load", 3_000_000)  # a share of 99 % needs 380 messages
    programme, environment = shop
    prepared = conduct(programme, "orders.load", environment=environment)
    inputs = prepared.planned.key["inputs"]
    assert inputs["injector"] == "locust, closed loop"
    assert set(inputs["arrivals"]) == {"seed"}
    said = []
    conducted = replace(prepared, hosts=NO_HOSTS, shards=2, say=said.append).execute()
    assert conducted.state is RunState.FINISHED, conducted.document["unreachable"]
    assert said == ["pilot.orders.load is offered by this host alone: a closed loop's users are not parted"]
    assert conducted.document["injector"]["steps"][0]["whole"] == "a closed loop's users are not parted"
    assert set(conducted.tables) == {"results", "infrastructure"}
    results, document = conducted.tables["results"], conducted.document
    assert results.intended_us.isna().all()
    assert results.latency_us.isna().all()
    assert (results.service_us >= 32_000).all()
    assert set(zip(results.path, results.srv, results.kind, results.traffic, strict=True)) == {
        ("purchase", "place-order", "request", "BAU")
    }
    assert document["injector"]["kind"] == "locust, closed loop"
    assert document["target"]["messages"] == 250  # 83.3 a second
    assert document["start_us"] == document["injector"]["steps"][0]["start_us"]
    assert "injector" in set(conducted.tables["infrastructure"].component)

    paths = (write(tmp_path, name, conducted.tables[name]) for name in ("results", "infrastructure"))
    measured = measure(document, *paths, withins=(500_000, 2_000_000), groups={})
    assert LATENESS not in set(measured.metric)
    assert not [name for name in measured.metric if name.startswith(("latency", "service-level"))]
    subject = Subject(document=document, measurements=write(tmp_path, "measurements", measured))
    rows = judged_rows([subject], programme.requirements, tmp_path / "judged.duckdb")
    found = {row.requirement: (verdict(row, named([row])), row.metric) for row in rows}
    assert found["target-volume"][0][0] is Verdict.PROVED
    assert found["answered"][0][0] is Verdict.PROVED
    timed = [told for told, metric in found.values() if metric.startswith(("latency", "service-level"))]
    assert timed
    for result, reason in timed:
        assert result is Verdict.INCONCLUSIVE
        assert "nobody knows when a message was due" in reason
    assert all(told[1].endswith("; closed loop") for told, _ in found.values())


def test_the_key_follows_the_script_and_what_it_is_run_with(shop):
    programme, environment = shop

    def key(**changes):
        chosen = environment.model_copy(update={"locust": environment.locust.model_copy(update=changes)})
        return conduct(programme, "orders.load", environment=chosen).planned.key_digest

    before = key()
    other = programme.model_copy(update={"scripts": {"shop.py": SHOP + "\n"}})
    assert conduct(other, "orders.load", environment=environment).planned.key_digest != before
    assert key(users=7) != before
    assert key(requests={"buy": "purchase|order-status|request"}) != before
    assert key(types=()) == before
    stress = conduct(programme, "orders.stress", environment=environment).planned.key["inputs"]
    assert stress["injector"] == "own, open loop"
    assert "injector" not in stress["environment"]


def test_a_system_that_has_not_the_capacity_is_not_offered_the_load(shop, tmp_path):
    """A closed loop slows down with the system: it neither proves nor refutes anything then."""
    programme, environment = shop
    slow = programme.environment("rehearsal-slow-orders").components
    conducted = conduct(programme, "orders.load", environment=environment.model_copy(update={"components": slow}))
    conducted = conducted.execute()
    paths = (write(tmp_path, name, conducted.tables[name]) for name in ("results", "infrastructure"))
    measured = measure(conducted.document, *paths, withins=(500_000,), groups={})
    subject = Subject(document=conducted.document, measurements=write(tmp_path, "measurements", measured))
    rows = judged_rows([subject], programme.requirements, tmp_path / "judged.duckdb")
    verdicts = {verdict(row, named([row])) for row in rows}
    assert {each for each, _ in verdicts} == {Verdict.INCONCLUSIVE}
    assert all(
        reason.startswith(("load not offered: ", "cannot be told: ", "missing metrics")) for _, reason in verdicts
    )


def test_a_script_that_fails_is_a_run_that_could_not_be_made(shop):
    programme, environment = shop
    broken = programme.model_copy(update={"scripts": {"shop.py": "import nowhere\n"}})
    conducted = conduct(broken, "orders.load", environment=environment).execute()
    assert conducted.state is RunState.UNREACHABLE
    assert "No module named 'nowhere'" in conducted.document["unreachable"]
    assert not conducted.tables


def test_a_scripted_test_that_is_killed_is_interrupted_and_recovered_and_proves_nothing(shop, tmp_path, monkeypatch):
    monkeypatch.setitem(QUICK, "load", 20_000_000)
    programme, environment = shop
    folder, pids, real = tmp_path / "run", list[int](), LocustInjector.__init__

    def init(self, script, *, on_start=None, folder=None):
        real(self, script, on_start=lambda pid: (pids.append(pid), on_start(pid)), folder=folder)

    def kill(*_):
        assert list((folder / "step-0" / SEGMENTS).glob("*.rows"))
        os.kill(pids[0], signal.SIGKILL)

    monkeypatch.setattr(LocustInjector, "__init__", init)
    folder.mkdir()
    prepared = replace(conduct(programme, "orders.load", environment=environment, progress=kill), folder=folder)
    conducted = prepared.execute()
    assert conducted.state is RunState.INTERRUPTED
    results, document = conducted.tables["results"], conducted.document
    assert len(results) == document["interrupted"]["results"] > 0
    assert document["interrupted"]["lost"] == 0
    assert document["start_us"] == results.sent_us.min()
    assert conducted.reason.endswith(f"{len(results)} requests had been recorded")

    left = recover(folder, prepared.planned.key, programme)
    assert left.state is RunState.INTERRUPTED
    assert left.reason == f"the run was killed\n{len(results)} requests had been recorded"
    assert left.tables["results"].equals(results)
    assert left.document["target"] == document["target"]
    assert set(left.tables) == {"results", "infrastructure"}

    enough = document | {"target": {"messages": 1}}
    paths = (write(tmp_path, name, conducted.tables[name]) for name in ("results", "infrastructure"))
    measured = measure(enough, *paths, withins=(500_000,), groups={})
    subject = Subject(document=enough, measurements=write(tmp_path, "measurements", measured))
    rows = judged_rows([subject], programme.requirements, tmp_path / "judged.duckdb")
    assert {verdict(row, named([row]))[0] for row in rows} == {Verdict.INCONCLUSIVE}


def test_libcurl_conducts_a_test_as_the_own_injector_does(template):
    environment = template.programme.environment("rehearsal").model_copy(update={"injector": InjectorKind.LIBCURL})
    prepared = conduct(template.programme, "orders.load", environment=environment)
    own = conduct(template.programme, "orders.load").planned.key["inputs"]
    inputs = prepared.planned.key["inputs"]
    assert inputs["injector"] == "libcurl, open loop"
    assert inputs["environment"].pop("injector") == {"http": "http/1.1", "proxy": None}
    assert inputs["environment"] == own["environment"]
    assert inputs["arrivals"] == own["arrivals"]
    results = replace(prepared).execute().tables["results"]
    assert set(results.outcome) == {"ok"}
    assert results.latency_us.notna().all()
