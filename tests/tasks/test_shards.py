"""Shards: every message is offered once, at one instant, on whichever hosts are there; what a lost host takes is told.

The hosts here are threads of this process that offer real loads to a real component; those of a Dask cluster, with
addresses of their own, are in tests/flows/test_cluster.py.
"""

import contextlib
import queue
import time
from dataclasses import replace
from threading import Event, Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loads import steady

from catalog.canonical import canonical
from catalog.errors import EvidenceError, WorldError
from catalog.runs import RunState
from tasks.course import Part, Turn
from tasks.emulate.spec import ComponentSpec
from tasks.emulate.system import start_component
from tasks.execute import Conduct, arrivals_in, load_of
from tasks.inject import shards as room
from tasks.inject.files import NOBODY, Outcome, Start
from tasks.inject.injector import InterruptedLoadError, Load, OwnInjector, Target
from tasks.inject.receive import open_port
from tasks.inject.shards import AbandonedError, Clock, ShardedInjector, Work, digest_of, merged, part
from tasks.plan import phases_needed, plan_tests
from tasks.shard import drawn, offer
from tasks.volumes.model import model_volumes

AHEAD_US = {"north": 5_000_000, "south": -3_000_000, "spare": 250}


class Line:
    """What connects a thread with the coordinator; `gone` once its host is."""

    def __init__(self, hosts, attempt, host, line="one"):
        self.hosts, self.attempt, self.host, self.line = hosts, attempt, host, line
        self.begins, self.ended = queue.SimpleQueue(), Event()

    def tell(self, word):
        if self.host in self.hosts.gone:
            raise AbandonedError
        self.hosts.words.put({"attempt": self.attempt, "line": self.line, **word})
        self.hosts.on_word(self, word)

    def start(self):
        begin = self.begins.get()
        if begin is None:
            raise AbandonedError
        return begin

    def is_wanted(self):
        return not self.ended.is_set() and self.host not in self.hosts.gone


class Threads:
    """Hosts that are threads, by name, each with a clock of its own. `on_word` is called with whatever any tells."""

    def __init__(self, *names, on_word=lambda *_: None):
        self.names, self.gone, self.on_word = list(names), set(), on_word
        self.words, self.lines, self.threads, self.begun = queue.SimpleQueue(), {}, [], []
        self.late_us = 0

    def alive(self):
        return [name for name in self.names if name not in self.gone]

    def begin(self, work, host):
        attempt = f"{host}-{len(self.lines)}"
        self.lines[attempt] = line = Line(self, attempt, host)
        self.begun.append((work.shard[0], host))
        self.threads.append(Thread(target=self.offer, args=(work, line)))
        self.threads[-1].start()
        return attempt

    def offer(self, work, line):
        with contextlib.suppress(AbandonedError):
            offer(work, line)

    def heard(self, timeout_s):
        try:
            return self.words.get(timeout=timeout_s or 0.001)
        except queue.Empty:
            return None

    def start(self, attempt, _line, start):
        corrected = replace(start, correction_us=start.correction_us + AHEAD_US[self.lines[attempt].host])
        self.lines[attempt].begins.put(corrected)  # a thread's clock is this machine's: only what it is told differs

    def end(self, attempt):
        self.lines[attempt].ended.set()
        self.lines[attempt].begins.put(None)

    def failure(self, _attempt):
        return ""

    def clock_us(self, host):
        if host in self.gone:
            raise WorldError(f"{host} is gone")
        return time.time_ns() // 1000 + AHEAD_US[host] - self.late_us

    def lose(self, host):
        self.gone.add(host)
        for line in self.lines.values():
            if line.host == host:
                line.begins.put(None)

    def join(self):
        for thread in self.threads:
            thread.join(20)
            assert not thread.is_alive()


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Threads are told at once."""
    monkeypatch.setattr(room, "_LEAD_US", 300_000)


@pytest.fixture
def planned(template):
    """The pilot's load test of orders, which takes a second, and where."""
    environment = template.programme.environment("rehearsal").model_copy(update={"durations": {"load": 2_000_000}})
    volumes = {each: model_volumes(template.programme, each) for each in phases_needed(template.programme, "pilot")}
    tests = plan_tests(template.programme, "pilot", environment, volumes, occasion="pilot")
    return environment, next(each for each in tests if each.test == "pilot.orders.load")


@pytest.fixture
def component():
    with start_component(ComponentSpec(component="c", routes=dict.fromkeys(PATHS))) as started:
        yield started


PATHS = ("purchase", "p")
TURN = Turn(part=Part.WHOLE, multiple=1)


def work_of(planned, of, target):
    environment, test = planned
    return Work(
        test=test.test,
        key=test.key,
        turn=TURN.as_json(),
        first=0,
        shard=(0, of),
        environment=environment,
        kind=test.profile.type,
        target=target,
    )


def target_at(component):
    return Target(urls=dict.fromkeys(PATHS, component.url), codec="plain", connections=2)


def run(planned, component, hosts, of=2, *, alignment_us=1_000_000, **more):
    target = target_at(component)
    work = work_of(planned, of, target)
    load = load_of(arrivals_in(work.key, TURN), 0)
    injector = ShardedInjector(hosts, work, alignment_us=alignment_us, **more)
    try:
        return load, injector.run(load, target)
    finally:
        hosts.join()


def test_two_hosts_offer_what_one_would_and_start_as_one_whatever_their_clocks_say(planned, component):
    told, began_us = [], time.time_ns() // 1000
    hosts = Threads("north", "south")
    load, injection = run(planned, component, hosts, say=told.append)
    columns, summary = injection.columns, injection.summary
    assert np.array_equal(columns["sequence"], load.sequence)
    assert np.all(columns["outcome"] == Outcome.OK)
    assert np.array_equal(columns["intended_us"] - summary["start_us"], load.offset_us)
    worst_us = max(each["clock"]["before"]["uncertainty_us"] for each in summary["shards"])
    assert np.all(columns["sent_us"] >= columns["intended_us"])
    assert began_us <= columns["sent_us"].min() + worst_us
    assert columns["done_us"].max() - worst_us <= time.time_ns() // 1000
    assert np.all(columns["done_us"] >= columns["sent_us"])
    assert summary["messages"] == summary["offered"] == summary["ok"] == len(load)
    assert [each["shard"] for each in summary["shards"]] == [1, 2]
    assert sum(each["messages"] for each in summary["shards"]) == len(load)
    for each in summary["shards"]:
        for when in ("before", "after"):
            clock = each["clock"][when]
            assert abs(clock["offset_us"] - AHEAD_US[each["address"]]) <= clock["uncertainty_us"]
    assert summary["lateness_max_us"] == (columns["ready_us"] - columns["intended_us"]).max()
    assert told == []


def test_a_host_that_is_gone_before_the_start_gives_its_shard_to_another(planned, component):
    told = []

    def lose_south(line, word):
        if "ready" in word and line.host == "south":
            hosts.lose("south")

    hosts = Threads("north", "south", "spare", on_word=lose_south)
    load, injection = run(planned, component, hosts, say=told.append)
    assert np.array_equal(injection.columns["sequence"], load.sequence)
    assert hosts.begun == [(0, "north"), (1, "south"), (1, "spare")]
    assert [each["hosts_gone_before_the_start"] for each in injection.summary["shards"]] == [[], [named(injection)]]
    assert len(told) == 1
    assert "its arrivals had not begun, and it is offered again" in told[0]


def named(injection):
    return injection.summary["shards"][0]["host"]


def test_a_host_that_is_gone_after_the_start_takes_what_was_due_there_and_the_others_stop(planned, component):
    def lose_north(line, word):
        if "segment" in word and line.host == "north":
            hosts.lose("north")

    hosts = Threads("north", "south", "spare", on_word=lose_north)
    with pytest.raises(InterruptedLoadError, match=r"shard 1 of 2, on .*, was lost: its host is gone") as caught:
        run(planned, component, hosts)
    held = caught.value.injection.columns["sequence"]
    summary = caught.value.injection.summary
    assert hosts.begun == [(0, "north"), (1, "south")]  # and never a second time
    assert [each.get("lost", "") for each in summary["shards"]] == ["its host is gone", ""]
    assert len(caught.value.lost)
    assert set(held.tolist()).isdisjoint(caught.value.lost.tolist())
    assert len(held) + len(caught.value.lost) == summary["messages"]
    assert f"{len(caught.value.lost)} of {summary['messages']} messages have no result" in str(caught.value)


def test_without_a_host_to_spare_a_lost_one_ends_the_run_before_any_message(planned, component):
    def lose_south(line, word):
        if "ready" in word and line.host == "south":
            hosts.lose("south")

    hosts = Threads("north", "south", on_word=lose_south)
    with pytest.raises(WorldError, match="1 of 2 shards have no host: 0 are free; gone meanwhile"):
        run(planned, component, hosts)


def test_an_attempt_that_is_begun_anew_after_the_start_is_never_given_the_word(planned, component):
    def again(line, word):
        if "progress" in word and line.line == "one" and line.host == "north" and not hosts.anew:
            hosts.anew.append(Line(hosts, line.attempt, "north", "two"))
            hosts.anew[0].tell({"ready": "", "host": "north"})

    hosts = Threads("north", "south", on_word=again)
    hosts.anew = []
    with pytest.raises(InterruptedLoadError, match="its host began it anew, too late"):
        run(planned, component, hosts)
    assert hosts.anew[0].begins.empty()


def test_a_host_that_draws_other_arrivals_is_refused(planned, component, monkeypatch):
    monkeypatch.setattr("tasks.shard.digest_of", lambda _: "0" * 64)
    with pytest.raises(EvidenceError, match="draws other arrivals"):
        run(planned, component, Threads("north", "south"))


def test_a_target_that_a_host_cannot_reach_is_told_with_the_host_and_offered_nowhere_else(planned, component):
    component.stop()
    hosts = Threads("north", "south", "spare")
    with pytest.raises(WorldError, match=r"shard . of 2, on (north|south): .*cannot be reached"):
        run(planned, component, hosts)
    assert len(hosts.begun) == 2


def test_a_start_is_refused_that_is_less_certain_than_the_test_allows_lateness(planned, component):
    with pytest.raises(WorldError, match=r"its clock is known to .* µs only"):
        run(planned, component, Threads("north", "south"), alignment_us=-1)


def test_there_are_no_more_shards_than_messages_and_one_is_as_none(planned, component):
    _, injection = run(planned, component, Threads("north"), of=1)
    assert len(injection.summary["shards"]) == 1
    lone = Load.of(offset_us=[0, 5], path=["p"] * 2, srv=["s"] * 2, kind=["request"] * 2, device=["d"] * 2,
                   after=[NOBODY, 0])  # fmt: skip
    injector = ShardedInjector(Threads(), work_of(planned, 5, target_at(component)), alignment_us=1)
    assert [len(each.load) for each in injector._shards(lone, target_at(component))] == [2]


def test_what_comes_to_a_receive_service_is_offered_here_which_is_said_and_recorded(template, planned, component):
    environment, test = planned
    hosts, said = Threads("north", "south"), list[str]()
    conduct = Conduct(
        programme=template.programme, environment=environment, planned=test, run="pilot/o/1", attempt=1,
        progress=lambda *_: None, hosts=hosts, shards=2, say=said.append,
    )  # fmt: skip
    with open_port() as port:
        target = replace(target_at(component), receive=port)
        injector = conduct._injector(TURN, 0, target, Unwatched(), None)
        injection = injector.run(steady(20, 200), target)
    assert hosts.begun == []
    assert said == ["pilot.orders.load is offered by this host alone: responses come to a receive service at one host"]
    assert "receive service" in injection.summary["whole"]
    assert injection.summary["ok"] == 20


class Unwatched:
    """A sampler that looks at nothing."""

    def watch(self, *_):
        pass


def test_hosts_draw_the_parts_that_the_coordinator_expects_each_with_an_originator_of_its_own(planned, component):
    whole = load_of(arrivals_in(planned[1].key, TURN), 7)
    rank = np.cumsum(whole.after == NOBODY) - 1
    originators = set()
    for number in range(3):
        work = replace(work_of(planned, 3, target_at(component)), first=7, shard=(number, 3))
        load, target = drawn(work)
        assert digest_of(load) == digest_of(part(whole, rank % 3 == number))
        originators.add(target.originator)
    assert len(originators) == 3


def test_a_test_run_by_shards_is_a_run_like_any_other_and_its_evidence_says_who_offered_what(template, planned):
    environment, test = planned
    hosts = Threads("north", "south")
    conducted = Conduct(
        programme=template.programme, environment=environment, planned=test, run="pilot/o/1", attempt=1,
        progress=lambda *_: None, hosts=hosts, shards=2,
    ).execute()  # fmt: skip
    hosts.join()
    assert conducted.state is RunState.FINISHED, conducted.reason
    results, arrivals = conducted.tables["results"], conducted.tables["arrivals"]
    assert results.sequence.tolist() == arrivals.sequence.tolist()
    assert (results.intended_us - conducted.document["start_us"]).tolist() == arrivals.offset_us.tolist()
    step = conducted.document["injector"]["steps"][0]
    assert [each["address"] for each in step["shards"]] == ["north", "south"]
    canonical(conducted.document)


@settings(max_examples=50, deadline=None)
@given(follows=st.lists(st.booleans(), min_size=1, max_size=40), of=st.integers(1, 5))
def test_parts_of_a_load_have_each_message_once_and_chains_whole(follows, of):
    follows[0] = False
    count = len(follows)
    load = Load.of(
        offset_us=list(range(count)), path=["p"] * count, srv=["s"] * count, kind=["request"] * count,
        device=["d"] * count, sequence=[3 * number for number in range(count)],
        after=[number - 1 if follow else NOBODY for number, follow in enumerate(follows)],
    )  # fmt: skip
    rank = np.cumsum(load.after == NOBODY) - 1
    parts = [part(load, rank % of == number) for number in range(of)]
    assert sorted(np.concatenate([each.sequence for each in parts]).tolist()) == load.sequence.tolist()
    for each in parts:
        waits = each.after != NOBODY
        before = load.sequence[load.after[np.isin(load.sequence, each.sequence[waits])]]
        assert each.sequence[each.after[waits]].tolist() == before.tolist()


@given(
    ahead=st.integers(-(10**9), 10**9),
    there=st.integers(0, 10**6),
    back=st.integers(0, 10**6),
    at=st.integers(0, 10**15),
)
def test_a_clock_is_never_further_off_than_its_uncertainty(ahead, there, back, at):
    clock = Clock.of(at, at + there + ahead, at + there + back)
    assert abs(clock.offset_us - ahead) <= clock.uncertainty_us


def test_a_silent_host_is_lost(planned, component, monkeypatch):
    monkeypatch.setattr(room, "_SILENT_S", -1)
    with pytest.raises(InterruptedLoadError, match="said nothing"):
        run(planned, component, Threads("north", "south"))


def test_a_gated_injector_begins_at_the_instant_that_it_is_given(component):
    load, asked = steady(50, 500), []

    def gate():
        asked.append(time.time_ns() // 1000)
        return Start(at_us=asked[0] + 7_000_000 + 300_000, correction_us=7_000_000)

    injection = OwnInjector(gate=gate).run(load, target_at(component))
    assert injection.columns["intended_us"][0] == asked[0] + 7_300_000
    assert np.all(injection.columns["sent_us"] >= injection.columns["intended_us"])
    assert injection.summary["lateness_p50_us"] < 1_000_000
    summary = merged(injection, [injection.summary])
    assert {name: injection.summary[name] for name in summary} == summary
