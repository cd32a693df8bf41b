"""The sampler sees what processes use and components count, and nothing of what has gone."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from expectations.metrics import INFRASTRUCTURE
from tasks.emulate.spec import ComponentSpec
from tasks.emulate.system import start_component
from tasks.sample import HOST, SAMPLE, Sample, Sampler, _handles, _Process, _Rates

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
        *("disk_read_bytes_per_second", "disk_written_bytes_per_second"),
        *("messages_received", "messages_answered", "messages_failed", "messages_in_flight"),
        *("queue_length", "busy_workers", "leaked_bytes"),
    }
    assert abs(_rows(sampler, "c", "memory_bytes")[-1].value - resident) < 5_000_000
    machine = {sample.metric for sample in sampler.samples if sample.component == HOST}
    assert {"cpu_permille", "memory_bytes", "disk_free_bytes"} <= machine
    assert {"network_received_bytes_per_second", "network_sent_bytes_per_second"} <= machine
    assert {sample.unit for sample in sampler.samples} <= {unit for unit, _ in INFRASTRUCTURE.values()}
    assert all(sample.unit == INFRASTRUCTURE[sample.metric][0] for sample in sampler.samples)


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


def test_what_a_process_moves_from_and_to_disks_is_what_the_system_says(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.write(bytes(1_000_000))
        file.flush()
        os.fsync(file.fileno())
    counted = psutil.Process().io_counters()
    assert _Process(os.getpid())._moved() == {
        "disk_read_bytes_per_second": counted.read_bytes,
        "disk_written_bytes_per_second": counted.write_bytes,
    }


def test_what_passes_through_interfaces_is_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        other, _ = server.accept()
        with other, Sampler({}, {}, interval_us=_INTERVAL_US) as sampler:

            def heard() -> bool:
                client.sendall(bytes(100_000))
                while len(other.recv(65_536)) == 65_536:
                    pass
                return any(each.value > 50_000 for each in _rows(sampler, HOST, "network_received_bytes_per_second"))

            _until(heard)


def test_a_total_that_was_set_back_has_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    at = iter([0, 10**9, 2 * 10**9, 2 * 10**9 + 1, 3 * 10**9])
    monkeypatch.setattr(time, "monotonic_ns", lambda: next(at))
    rates = _Rates({"a": 100, "b": 0})
    assert list(rates.read({"a": 105, "b": 7})) == [("a", 5, "bytes/s"), ("b", 7, "bytes/s")]
    assert list(rates.read({"a": 4, "b": 7, "c": 9})) == [("b", 0, "bytes/s")]
    assert list(rates.read({"a": 9, "b": 9})) == []  # too soon to say anything
    assert list(rates.read({"a": 5, "b": 8})) == [("a", 1, "bytes/s"), ("b", 1, "bytes/s")]


def test_handles_and_sockets_are_counted() -> None:
    process = psutil.Process()
    handles, sockets = _handles(process)
    pairs = [socket.socketpair() for _ in range(10)]
    assert _handles(process) == (handles + 20, sockets + 20)
    for one, other in pairs:
        one.close()
        other.close()
