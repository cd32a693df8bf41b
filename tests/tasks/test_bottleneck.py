"""Whose fault it is that a load was not carried: the injector's is *inconclusive*, the system's is *not proved*."""

import os
import resource
import signal
import threading
from contextlib import suppress
from dataclasses import replace

import psutil
import pytest
from evidence import write
from test_execute import QUICK, conduct, entering

from catalog.runs import RunState
from tasks.emulate.spec import ComponentSpec
from tasks.emulate.system import start_component
from tasks.measure import LATENESS, measure
from tasks.observe import Subject, observe

WITHINS = (500_000, 2_000_000)


@pytest.fixture
def judged(judge, tmp_path, template):
    """The verdict and reason of each requirement in force on an executed test."""

    def of(conducted):
        assert conducted.state is RunState.FINISHED
        paths = (write(tmp_path, name, conducted.tables[name]) for name in ("results", "infrastructure"))
        measured = measure(conducted.document, *paths, withins=WITHINS, groups={})
        subject = Subject(document=conducted.document, measurements=write(tmp_path, "measurements", measured))
        found = observe([subject], template.programme.requirements, judge).observations
        return {row.requirement: (row.verdict, row.reason) for row in found.itertuples()}

    return of


def injector_pid():
    """The injector that this process has started."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # what another test left is ending
            if "tasks.inject" in child.cmdline():
                return child.pid
    raise AssertionError("no injector runs")


def test_an_injector_that_stood_still_proves_nothing(template, judged, monkeypatch):
    monkeypatch.setitem(QUICK, "load", 2_500_000)
    frozen = []

    def freeze_once(*_):
        if not frozen:
            frozen.append(injector_pid())
            os.kill(frozen[0], signal.SIGSTOP)
            threading.Event().wait(0.5)
            os.kill(frozen[0], signal.SIGCONT)

    found = judged(conduct(template.programme, "orders.load", progress=freeze_once).execute())
    assert frozen
    assert {verdict for verdict, _ in found.values()} == {"inconclusive"}
    assert found["target-volume"][1].startswith("load not offered in time: 99th percentile of lateness ")


def test_an_injector_without_descriptors_proves_nothing(template, judged, monkeypatch):
    """The system is slow, and would need more connections than this machine has left."""
    monkeypatch.setitem(QUICK, "load", 2_500_000)
    slow = ComponentSpec(component="site", routes={"purchase": None}, service_us=1_500_000)
    starved = []

    def starve(*_):
        if not starved:
            starved.append(injector_pid())
            resource.prlimit(starved[0], resource.RLIMIT_NOFILE, (50, 50))

    with start_component(slow) as site:
        prepared = conduct(template.programme, "orders.load", environment=entering(template.programme, site.url))
        few = prepared.environment.model_copy(update={"connections": 4})
        conducted = replace(prepared, environment=few, progress=starve).execute()
    found = judged(conducted)
    assert conducted.document["injector"]["steps"][0]["thwarted"] > 0
    assert {verdict for verdict, _ in found.values()} == {"inconclusive"}
    assert found["target-volume"][1].startswith("load not offered: ")


def test_a_system_that_cannot_take_the_load_is_not_proved(template, judged, monkeypatch):
    """One worker of 32 ms serves 31 of 83 a second: the queue is the system's, not the injector's."""
    monkeypatch.setitem(QUICK, "load", 2_500_000)
    environment = template.programme.environment("rehearsal-slow-orders")
    found = judged(conduct(template.programme, "orders.load", environment=environment).execute())
    assert found["target-volume"][0] == "proved"
    assert found["latency"][0] == found["median-latency"][0] == "not proved"


def test_answers_that_waited_for_the_injector_are_its_lateness(template, tmp_path):
    conducted = conduct(template.programme, "orders.load").execute()
    paths = [write(tmp_path, name, conducted.tables[name]) for name in ("results", "infrastructure")]
    step = conducted.document["injector"]["steps"][0]
    values = []
    for lag in (0, 99_000, 131_071):  # the limit is 100 ms
        document = {**conducted.document, "injector": {"steps": [step | {"loop_lag_p99_us": lag}]}}
        measured = measure(document, *paths, withins=(), groups={})
        row = measured[measured.metric == LATENESS].iloc[0]
        values.append((row.value, row.method))
    assert values[0] == values[1]
    assert values[2] == (131_071, "answers waited so long to be read by the injector, by its own word")
