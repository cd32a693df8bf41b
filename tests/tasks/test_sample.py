"""The sampler sees what processes use and components count, and nothing of what has gone."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable

import psutil

from expectations.metrics import INFRASTRUCTURE
from tasks.emulate.spec import ComponentSpec
from tasks.emulate.system import start_component
from tasks.sample import HOST, SAMPLE, Sample, Sampler, _handles

_INTERVAL_US = 50_000


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def _rows(sampler: Sampler, component: str, metric: str) -> list[Sample]:
    return [sample for sample in sampler.samples if (sample.component, sample.metric) == (component, metric)]


def test_processes_host_and_messages_are_sampled_in_the_columns_of_the_table() -> None:
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:
        sampler = Sampler({"c": component.pid}, {"c": component.metrics_url}, interval_us=_INTERVAL_US)
        with sampler:
            sampler.watch("self", os.getpid())
            _until(lambda: len(_rows(sampler, "c", "messages_received")) >= 3)
            _until(lambda: len(_rows(sampler, "self", "cpu_permille")) >= 2)
        resident = psutil.Process(component.pid).memory_info().rss
    columns = dict(zip(SAMPLE, map(list, zip(*sampler.rows(), strict=True)), strict=True))
    assert list(columns) == ["at_us", "component", "sub_component", "host", "metric", "value", "unit"]
    assert columns["at_us"] == sorted(columns["at_us"])
    assert {type(value) for value in columns["value"]} == {int}
    assert min(columns["value"]) >= 0
    assert set(columns["host"]) == {socket.gethostname()}
    paths = {sample.metric for sample in sampler.samples if sample.sub_component == "p"}
    assert paths == {name for name in INFRASTRUCTURE if name.startswith("path_")}
    metrics = {sample.metric for sample in sampler.samples if sample.component == "c"} - paths
    assert metrics == {
        *("cpu_permille", "memory_bytes", "handles_count", "connections_count", "threads_count"),
        *("messages_received", "messages_answered", "messages_failed", "messages_in_flight"),
        *("queue_length", "busy_workers", "leaked_bytes"),
    }
    assert abs(_rows(sampler, "c", "memory_bytes")[-1].value - resident) < 5_000_000
    assert {sample.metric for sample in sampler.samples if sample.component == HOST} == {"cpu_permille", "memory_bytes"}


def test_cpu_is_told_more_finely_than_in_ticks() -> None:
    """Ticks of 10 ms in an interval of 50 ms would give multiples of 200 permille."""
    with Sampler({"self": os.getpid()}, {}, interval_us=_INTERVAL_US) as sampler:
        _until(lambda: len(_rows(sampler, "self", "cpu_permille")) >= 12)
    values = {sample.value for sample in _rows(sampler, "self", "cpu_permille")}
    assert len(values) > 3
    assert max(values) > 0


def test_a_process_that_has_gone_is_absent_from_then_on() -> None:
    component = start_component(ComponentSpec(component="c", routes={"p": None}))
    with Sampler({"c": component.pid}, {"c": component.metrics_url}, interval_us=_INTERVAL_US) as sampler:
        _until(lambda: bool(_rows(sampler, "c", "messages_received")))
        os.kill(component.pid, signal.SIGKILL)  # not yet waited for: a zombie is gone too
        _until(lambda: psutil.Process(component.pid).status() == psutil.STATUS_ZOMBIE)
        after_us = time.time_ns() // 1000 + 2 * _INTERVAL_US
        _until(lambda: sampler.samples[-1].at_us > after_us + 4 * _INTERVAL_US)
    component.stop()
    assert not [sample for sample in sampler.samples if sample.component == "c" and sample.at_us > after_us]
    assert _rows(sampler, HOST, "memory_bytes")[-1].at_us > after_us


def test_a_frozen_component_is_sampled_from_outside_only() -> None:
    component = start_component(ComponentSpec(component="c", routes={"p": None}))
    with component, Sampler({"c": component.pid}, {"c": component.metrics_url}, interval_us=_INTERVAL_US) as sampler:
        _until(lambda: bool(_rows(sampler, "c", "queue_length")))
        os.kill(component.pid, signal.SIGSTOP)
        after_us = time.time_ns() // 1000 + 2 * _INTERVAL_US
        _until(lambda: _rows(sampler, "c", "memory_bytes")[-1].at_us > after_us)
        assert _rows(sampler, "c", "queue_length")[-1].at_us <= after_us
        os.kill(component.pid, signal.SIGCONT)
        _until(lambda: _rows(sampler, "c", "queue_length")[-1].at_us > after_us)


def test_a_process_that_never_was_is_absent() -> None:
    with Sampler({"none": 2**22 + 1}, {}, interval_us=_INTERVAL_US) as sampler:
        _until(lambda: len(_rows(sampler, HOST, "memory_bytes")) >= 2)
    assert {sample.component for sample in sampler.samples} == {HOST}


def test_message_paths_are_sampled_as_seldom_as_is_asked_for_and_at_the_end() -> None:
    with start_component(ComponentSpec(component="c", routes={"p": None})) as component:
        sampler = Sampler({}, {"c": component.metrics_url}, interval_us=_INTERVAL_US, paths_us=60_000_000)
        with sampler:
            _until(lambda: len(_rows(sampler, "c", "messages_received")) >= 4)
    assert len(_rows(sampler, "c", "path_received")) == 2
    assert {sample.unit for sample in sampler.samples if sample.metric == "path_served_us"} == {"us"}


def test_handles_and_sockets_are_counted() -> None:
    process = psutil.Process()
    handles, sockets = _handles(process)
    pairs = [socket.socketpair() for _ in range(10)]
    assert _handles(process) == (handles + 20, sockets + 20)
    for one, other in pairs:
        one.close()
        other.close()
