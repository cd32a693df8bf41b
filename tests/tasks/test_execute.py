"""Execution: every message has its row, times are in order, stress stops in time, and nothing is left running."""

import socket
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import psutil
import pytest

from catalog.canonical import canonical
from catalog.declarations import BaselineRuns, EnvironmentKind, Receive, TestType
from catalog.runs import RunState
from tasks.arrivals import arrivals_of, messages_to_offer
from tasks.course import Part, Turn
from tasks.emulate.spec import ComponentSpec
from tasks.emulate.system import start_component
from tasks.execute import SAMPLING_US, Conduct, arrivals_in, load_of
from tasks.labels import parted
from tasks.parquet import read_table, table_bytes
from tasks.plan import execution_key, phases_needed, plan_tests
from tasks.volumes.model import model_volumes

QUICK = {"load": 600_000, "stress": 500_000, "soak": 1_000_000}


@pytest.fixture(autouse=True)
def nothing_left_running():
    """Whatever a test starts, it ends."""
    before = set(psutil.Process().children(recursive=True))
    yield
    assert set(psutil.Process().children(recursive=True)) <= before


def conduct(programme, name, *, environment=None, progress=lambda *_: None, run="pilot/x/1", attempt=1):
    """One planned test of the pilot, about to be executed for a second or so."""
    chosen = (environment or programme.environment("rehearsal")).model_copy(update={"durations": QUICK})
    volumes = {each: model_volumes(programme, each) for each in phases_needed(programme, "pilot")}
    planned = plan_tests(programme, "pilot", chosen, volumes, occasion="pilot")
    test = next(each for each in planned if each.test == f"pilot.{name}")
    return Conduct(
        programme=programme, environment=chosen, planned=test, run=run, attempt=attempt, progress=progress
    )  # fmt: skip


def entering(programme, url):
    """A real environment whose components are all found at `url`."""
    entries = {"storefront": url, "orders": url}
    return programme.environment("rehearsal").model_copy(
        update={"id": "site", "kind": EnvironmentKind.REAL, "entries": entries}
    )


@pytest.fixture
def closed_port():
    """A port of this machine that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def test_a_load_test_keeps_a_row_for_every_message_that_was_due(template):
    told = []
    prepared = conduct(
        template.programme, "orders.load", progress=lambda *how: told.append(how), run="pilot/o/3", attempt=2
    )
    conducted = prepared.execute()
    assert conducted.state is RunState.FINISHED
    arrivals, results, infrastructure = (conducted.tables[name] for name in ("arrivals", "results", "infrastructure"))

    key = prepared.planned.key["inputs"]
    messages = messages_to_offer(
        key["volumes"]["messages"], target_us=key["volumes"]["window_us"], rate=25, offered_us=QUICK["load"]
    )
    assert sum(messages.values()) == 50  # 48,000 in four hours, 25 times faster, for 0.6 s
    assert arrivals.groupby(["path", "srv", "kind"]).size().to_dict() == {
        parted(label): n for label, n in messages.items()
    }
    expected = arrivals_of(prepared.planned.key)
    assert arrivals.offset_us.tolist() == expected.offset_us.tolist()
    assert arrivals.device.tolist() == expected.device.tolist()
    assert set(arrivals.traffic) == {"BAU"}

    assert results.sequence.tolist() == arrivals.sequence.tolist() == list(range(50))
    for shared in ("path", "srv", "kind", "traffic", "expect"):
        assert results[shared].tolist() == arrivals[shared].tolist()
    assert set(results.run) == {"pilot/o/3"}
    assert set(results.component) == {"orders"}
    assert set(results.outcome) == {"ok"}
    assert set(results.status) == {200}
    start = conducted.document["start_us"]
    assert (results.intended_us - start).tolist() == arrivals.offset_us.tolist()
    assert (results.intended_us <= results.ready_us).all()
    assert (results.ready_us <= results.sent_us).all()
    assert (results.sent_us < results.done_us).all()
    assert (results.latency_us == results.done_us - results.intended_us).all()
    assert (results.service_us == results.done_us - results.sent_us).all()
    assert (results.service_us >= 32_000).all()  # the declared service time, of a machine that has nothing else to do

    during = infrastructure[(infrastructure.at_us >= start) & (infrastructure.at_us < start + QUICK["load"])]
    assert set(infrastructure.run) == {"pilot/o/3"}
    assert {"orders", "stand-ins-plain", "injector", "host"} == set(infrastructure.component)
    assert {"cpu_permille", "memory_bytes", "connections_count"} <= set(during[during.component == "orders"].metric)
    assert told[-1] == (0, 50, 50, 50)
    for name, rows in conducted.tables.items():
        assert read_table(name, table_bytes(name, rows)).equals(rows)

    document = conducted.document
    canonical(document)
    assert document["injector"]["kind"] == "own, open loop"
    assert {name: value for name, value in document.items() if name not in ("injector", "start_us")} == {
        "run": "pilot/o/3",
        "test": "pilot.orders.load",
        "phase": "pilot",
        "occasion": "pilot",
        "component": "orders",
        "role": "orders",
        "type": "load",
        "name": "load",
        "environment": "rehearsal",
        "environment_kind": "rehearsal",
        "compression": "24000",
        "rate": "25",
        "seed": key["arrivals"]["seed"],
        "level_index": 2,
        "blocks": template.programme.tests.profiles[0].blocks,
        "window_us": 600_000,
        "timeout_us": 10_000_000,
        "lateness_limit_us": 100_000,
        "sampling_interval_us": SAMPLING_US[0],
        "target": {"messages": 50},
        "steps": [],
        "definition": key["test"]["definition"],
        "released": 0,
        "compared": [],
        "unreachable": "",
    }


@pytest.mark.parametrize(
    ("duration_us", "between_us"), [(10_000_000, 100_000), (28_800_000_000, 1_000_000), (10**6, 60_000)]
)
def test_samples_are_as_far_apart_as_a_hundred_of_them_need_within_bounds(template, duration_us, between_us):
    prepared = conduct(template.programme, "orders.load")
    longer = prepared.environment.model_copy(update={"durations": {"load": duration_us}})
    assert replace(prepared, environment=longer)._sampling_us == between_us


def rising(programme, edited, **ramp):
    """The programme with another search in its stress test, each step carried within 0.6 seconds."""
    changes = {"latency": 600_000, "agreeing": 1, **ramp}
    return edited(programme, *((f"tests.profiles.stress.ramp.{name}", value) for name, value in changes.items()))


def test_a_stress_test_searches_and_offers_its_first_load_again(template, edited):
    """Six workers of 32 ms serve 94 in half a second: 10 are carried, 333 leave a backlog of more than a second."""
    programme = rising(
        template.programme, edited, first="0.25", growth="32", most="9", width={"value": 1_000_000, "unit": "ppm"}
    )
    conducted = conduct(programme, "orders.stress").execute()
    assert conducted.state is RunState.FINISHED
    steps = conducted.document["steps"]
    assert [step["multiple_ppm"] for step in steps[:2]] == [250_000, 8_000_000]
    assert [step["part"] for step in steps] == ["ramp"] * (len(steps) - 1) + ["recovery"]
    assert steps[-1]["multiple_ppm"] == 250_000
    assert all(later["first"] == sooner["last"] + 1 for sooner, later in pairwise(steps))
    assert steps[1]["last"] - steps[1]["first"] + 1 == 333
    assert all(later["start_us"] >= sooner["start_us"] + sooner["window_us"] for sooner, later in pairwise(steps))
    assert conducted.document["target"] == {"messages": steps[-1]["last"] + 1}
    assert len(conducted.document["injector"]["steps"]) == len(steps)
    results = conducted.tables["results"]
    assert results.sequence.tolist() == list(range(steps[-1]["last"] + 1))
    for step in steps:
        due = results[(results.sequence >= step["first"]) & (results.sequence <= step["last"])].intended_us
        assert due.min() >= step["start_us"]
        assert due.max() < step["start_us"] + step["window_us"]


def test_each_step_has_arrivals_of_its_own(template, edited):
    programme = rising(template.programme, edited, first="0.2", growth="1.5", most="0.3")
    conducted = conduct(programme, "orders.stress").execute()
    offsets = conducted.tables["arrivals"].offset_us.tolist()
    assert [step["multiple_ppm"] for step in conducted.document["steps"]] == [200_000, 300_000]
    assert offsets[:6] != offsets[8:14]


def test_a_system_that_is_gone_at_the_next_step_takes_no_row_with_it(template, edited):
    programme = rising(template.programme, edited, first="0.5", growth="1.2", most="0.6")
    with start_component(ComponentSpec(component="site", routes={"purchase": None})) as site:

        def leave(_step, done, _offered, in_all):
            if done == in_all:
                site.stop()

        there = entering(programme, site.url)
        conducted = conduct(programme, "orders.stress", environment=there, progress=leave).execute()
    assert conducted.state is RunState.UNREACHABLE
    assert str(site.port) in conducted.document["unreachable"]
    assert [step["multiple_ppm"] for step in conducted.document["steps"]] == [500_000]
    assert len(conducted.tables["results"]) == conducted.document["target"]["messages"] > 0
    assert set(conducted.tables["results"].outcome) == {"ok"}


def test_a_real_environment_is_tested_as_it_stands(template):
    programme = template.programme
    with start_component(ComponentSpec(component="site", routes={"browse": None, "purchase": None})) as site:
        conducted = conduct(programme, "storefront.load", environment=entering(programme, site.url)).execute()
        assert site.process.pid in {child.pid for child in psutil.Process().children()}  # it is not ours to end
    assert conducted.state is RunState.FINISHED
    assert conducted.document["environment_kind"] == "real"
    assert set(conducted.tables["infrastructure"].component) == {"host", "injector"}


def test_failures_are_rows_like_any_other(template):
    programme = template.programme
    failing = ComponentSpec(component="site", routes={"purchase": None}, error_permille=1000)
    with start_component(failing) as site:
        conducted = conduct(programme, "orders.load", environment=entering(programme, site.url)).execute()
    assert conducted.state is RunState.FINISHED
    assert set(conducted.tables["results"].outcome) == {"error"}
    assert set(conducted.tables["results"].status) == {500}


def test_messages_that_are_never_answered_have_no_time_of_it(template, edited):
    """One worker of 2 s and a time-out of 0.3 s: what is not answered in time is a timeout, and has its row."""
    programme = edited(template.programme, ("tests.profiles.load.timeout", 300_000))
    slow = ComponentSpec(component="site", routes={"purchase": None}, workers=1, service_us=2_000_000)
    with start_component(slow) as site:
        conducted = conduct(programme, "orders.load", environment=entering(programme, site.url)).execute()
    results = conducted.tables["results"]
    assert len(results) == conducted.document["target"]["messages"]
    assert set(results.outcome) == {"timeout"}
    assert (results.latency_us.dropna() >= 300_000).all()
    assert (results.done_us.isna() == results.latency_us.isna()).all()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://127.0.0.1:{port}", "127.0.0.1:{port} cannot be reached: connection refused"),
        ("http://127.0.0.1:99999", "Port out of range"),
        ("http://127.0.0.1:{port}", "127.0.0.1:{port}"),
    ],
)
def test_a_system_that_cannot_be_reached_is_an_outcome_with_its_reason(template, closed_port, url, reason):
    programme = template.programme
    environment = entering(programme, url.format(port=closed_port))
    conducted = conduct(programme, "storefront.load", environment=environment).execute()
    assert conducted.state is RunState.UNREACHABLE
    assert conducted.tables == {}
    assert reason.format(port=closed_port) in conducted.document["unreachable"]
    assert (conducted.document["start_us"], conducted.document["target"]) == (0, {"messages": 0})
    assert conducted.document["run"] == "pilot/x/1"
    canonical(conducted.document)


def test_a_test_with_nothing_to_offer_says_so(template, edited):
    programme = edited(template.programme, ("environments.rehearsal.rates.orders", "0.000001"))
    conducted = conduct(programme, "orders.load").execute()
    assert conducted.state is RunState.UNREACHABLE
    assert "no message to offer" in conducted.document["unreachable"]


# --- answered later, and one after the other ------------------------------------------------------------------------


def acknowledging(programme, edited, *more):
    """The orders acknowledge, and respond later."""
    return edited(
        programme,
        ("system.message_paths.purchase.acknowledged_by", ["orders"]),
        ("environments.rehearsal.components.orders.answers", "acknowledge"),
        *more,
    )


def test_an_acknowledged_request_has_two_rows(template, edited):
    conducted = conduct(acknowledging(template.programme, edited), "orders.load").execute()
    results, arrivals = conducted.tables["results"], conducted.tables["arrivals"]
    requests, first = (results[results.kind == kind].reset_index() for kind in ("request", "acknowledgement"))
    assert results.sequence.tolist() == [number for number in range(50) for _ in range(2)]
    assert results.kind.tolist() == ["request", "acknowledgement"] * 50
    for shared in ("sequence", "path", "srv", "traffic", "intended_us", "ready_us", "sent_us", "component", "run"):
        assert requests[shared].tolist() == first[shared].tolist()
    assert requests.srv.tolist() == arrivals.srv.tolist()
    assert set(results.outcome) == {"ok"}
    assert set(first.status) == {202}
    assert (first.latency_us == first.done_us - first.intended_us).all()
    assert (requests.done_us >= first.done_us).all() or (requests.done_us - requests.sent_us >= 32_000).all()
    assert conducted.document["target"] == {"messages": 50}
    (told,) = conducted.document["injector"]["steps"]
    assert (told["acknowledged"], told["responses_received"], told["responses_unknown"]) == (50, 50, 0)
    for name, rows in conducted.tables.items():
        assert read_table(name, table_bytes(name, rows)).equals(rows)


def test_every_step_of_a_rising_test_is_answered_on_one_port(template, edited):
    programme = rising(acknowledging(template.programme, edited), edited, first="0.25", growth="1.5", most="0.3")
    conducted = conduct(programme, "orders.stress").execute()
    assert [step["acknowledged"] for step in conducted.document["injector"]["steps"]] == [
        step["last"] + 1 - step["first"] for step in conducted.document["steps"]
    ]
    assert len(conducted.document["steps"]) == 2
    assert set(conducted.tables["results"].outcome) == {"ok"}


def chained(programme, edited):
    """What is purchased waits for a search."""
    brought = {"message": "search", "path": "browse", "per_request": "orders-kept", "first": True}
    return edited(programme, ("volumes.traffic.purchase.brings", [brought]))


def test_a_baseline_is_offered_no_message_that_waits_for_one_it_is_not_offered(template, edited):
    key = conduct(chained(template.programme, edited), "storefront.load").planned.key
    whole = arrivals_in(key, Turn(part=Part.CANDIDATE, multiple=Fraction(1)))
    for compared in (
        ["purchase|place-order|request"],
        ["browse|search|request", "purchase|place-order|request"],
        ["browse|search|request"],
    ):
        compares = {**key, "inputs": {**key["inputs"], "baseline": {"messages": compared}}}
        arrivals = arrivals_in(compares, Turn(part=Part.BASELINE, multiple=Fraction(1)))
        names = [arrivals.labels[label] for label in arrivals.label]
        assert set(names) <= set(compared)
        assert len(load_of(arrivals, 0)) == len(arrivals) == len(names)
        second = np.flatnonzero(arrivals.follows)
        assert (len(second) > 0) == (len(compared) == 2)
        assert all((names[at - 1], names[at]) == tuple(compared) for at in second)
        assert arrivals.sequence.tolist() == list(range(len(names)))
        alone = [label for label, waits in zip(whole.label, whole.follows, strict=True) if not waits]
        expected = sum(whole.labels[label] in compared for label in alone)
        assert len(names) - len(second) == expected


def test_what_follows_is_compared_only_with_what_it_follows(template, edited):
    programme = edited(chained(template.programme, edited), ("volumes.traffic.browse.traffic", "visits"))
    storefront, environment = programme.component("storefront"), programme.environment("rehearsal")
    target = conduct(programme, "storefront.load").planned.key["inputs"]["volumes"]["messages"]

    def compared(*traffic):
        comparison = BaselineRuns(runs=5, traffic=traffic)
        profile = programme.tests.profiles[0].model_copy(update={"type": TestType.REGRESSION, "comparison": comparison})
        key = execution_key(programme, "pilot", environment, storefront, profile, target)
        return key["inputs"]["baseline"]["messages"]

    assert compared("BAU", "visits") == sorted(target)
    assert compared("BAU") == []  # searches are visits, too, and whatever is purchased waits for one
    assert compared("visits") == sorted(
        label for label in target if label.startswith("browse|") and "search" not in label
    )


def test_a_message_that_waits_for_another_is_due_when_that_is_answered(template, edited):
    programme = chained(template.programme, edited)
    prepared = conduct(programme, "storefront.load")
    conducted = prepared.execute()
    follows = conducted.document["follows"]
    assert follows == prepared.planned.key["inputs"]["arrivals"]["follows"]
    assert follows == dict.fromkeys(
        ("purchase|order-status|request", "purchase|place-order|request"), "browse|search|request"
    )
    results, arrivals = conducted.tables["results"], conducted.tables["arrivals"]
    assert results.sequence.tolist() == list(range(len(arrivals)))
    second = results.index[results.path == "purchase"]
    assert len(second) > 0
    assert set(results.srv[second - 1]) == {"search"}
    assert arrivals.device[second].tolist() == arrivals.device[second - 1].tolist()
    assert results.intended_us[second].tolist() == results.done_us[second - 1].tolist()
    assert set(results.outcome) == {"ok"}
    assert "follows" not in conduct(template.programme, "storefront.load").planned.key["inputs"]["arrivals"]


def test_a_real_environment_sends_its_responses_where_the_environment_declares(template, edited):
    """What is found at the entry acknowledges, and was told of the receive service apart from this."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
    site = ComponentSpec(
        component="site", routes={"purchase": None}, acknowledges=("purchase",), receivers={"": f"http://{listen}"}
    )
    with start_component(site) as running:
        there = entering(template.programme, running.url)
        there = there.model_copy(update={"receive": Receive(listen=listen)})
        prepared = conduct(template.programme, "orders.load", environment=there)
        conducted = prepared.execute()
        assert prepared.planned.key["inputs"]["environment"]["receive"] == listen
        with socket.create_server(("127.0.0.1", int(listen.rpartition(":")[2]))):
            in_the_way = prepared.execute()
    assert set(conducted.tables["results"].outcome) == {"ok"}
    assert len(conducted.tables["results"]) == 100
    assert in_the_way.state is RunState.UNREACHABLE
    assert f"cannot listen on {listen}" in in_the_way.document["unreachable"]
