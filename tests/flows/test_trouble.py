"""Phases in which something is wrong: a defect, an injector that is starved, nobody there, a run that is ended."""

import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from phases import Bench, Ended

from catalog.underway import FOLDER, left
from catalog.verification import verify
from tasks.inject.files import ROW

pytestmark = pytest.mark.end_to_end


@pytest.mark.parametrize(
    ("environment", "types", "affected", "refuted"),
    [
        (
            "rehearsal-slow-orders",
            "load",
            {"latency", "median-latency", "answered-in-time", "answered"},
            {"latency", "answered-in-time"},
        ),
        ("rehearsal-leaking-orders", "soak", {"memory-growth"}, {"memory-growth"}),
    ],  # answers that are errors: see test_governance.py
)
def test_a_declared_defect_disproves_exactly_what_it_affects(
    shop: Bench, environment: str, types: str, affected: set[str], refuted: set[str]
) -> None:
    """Of what the defect touches, `refuted` is not proved for certain; everything else is proved all the same, but of a
    test whose load this machine was too busy to offer: that is inconclusive.

    The rest of what is affected depends on how far the queue came: the last messages are answered just within their
    time-out or not.
    """
    ended = shop.run("run", "pilot", "--json", "--environment", environment, "--types", types)
    assert ended.status == 1, ended.stderr
    rows = shop.observations("pilot")
    unproved = {(row["test"], row["requirement"]) for row in rows if row["verdict"] != "proved"}
    late = {row["test"] for row in rows if (row["requirement"], row["verdict"]) == ("target-volume", "inconclusive")}
    sound = {(test, requirement) for test, requirement in unproved if test not in late - {f"pilot.orders.{types}"}}
    assert sound <= {(f"pilot.orders.{types}", requirement) for requirement in affected}
    assert refuted <= {row["requirement"] for row in rows if row["verdict"] == "not proved"}
    assert verify(shop.home).ok


def test_a_starved_injector_makes_observations_inconclusive_and_proves_nothing(shop: Bench) -> None:
    process = shop.start("run", "pilot", "--json", "--types", "load")
    while process.poll() is None:
        for injector in injectors(process.pid):
            starve(injector)
    stdout, stderr = process.communicate()
    assert process.returncode == 1, stderr
    rows = shop.observations("pilot")
    latencies = [row for row in rows if row["metric"].startswith("latency")]
    assert latencies
    assert {row["verdict"] for row in rows} == {"inconclusive"}
    assert all("load not offered in time" in row["reason"] for row in latencies)
    assert json.loads(stdout)["verdicts"]["proved"] == 0
    assert verify(shop.home).ok


def injectors(parent: int) -> list[psutil.Process]:
    found = []
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(parent).children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it has ended
                found += [child] if "tasks.inject" in child.cmdline() else []
    return found


def starve(process: psutil.Process) -> None:
    """Leaves a process a fifth of the time, as a machine with other work does."""
    try:
        process.suspend()
        process.wait(0.4)  # stopped for this long: it cannot end meanwhile
    except psutil.TimeoutExpired:
        process.resume()
        time.sleep(0.1)  # the share of time that it is left
    except psutil.NoSuchProcess:
        return


def test_a_system_that_does_not_answer_is_inconclusive_and_ends_with_status_3(shop: Bench) -> None:
    shop.sign_off("storefront-plan", "orders-plan")
    ended = shop.run("run", "pilot", "--json", "--environment", "nobody-there")
    assert ended.status == 3, ended.stderr
    rows = shop.observations("pilot")
    assert {row["verdict"] for row in rows} == {"inconclusive"}
    assert all("unreachable" in row["reason"] and "refused" in row["reason"] for row in rows)
    assert verify(shop.home).ok


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_run_goes_on_without_repeating_what_is_finished(shop: Bench, blow: signal.Signals) -> None:
    process = shop.start("run", "pilot", "--types", "load")
    assert process.stderr is not None
    for line in process.stderr:
        if "2 of 2" in line:
            break
    wait_for_results(process.pid, shop.home)
    os.killpg(process.pid, blow)
    _, stderr = process.communicate()
    assert process.returncode == (-signal.SIGKILL if blow is signal.SIGKILL else 130), stderr
    held = verify(shop.home)
    assert held.ok, held.faults
    assert any("interrupted" in note for note in held.notes)
    [folder] = left(shop.home).values()
    kept = sum(file.stat().st_size for file in folder.rglob("*.rows")) // ROW.size
    assert any(note.startswith(f"incoming/{folder.name}: {kept * ROW.size} bytes of results in") for note in held.notes)
    ended = shop.run("run", "pilot", "--json", "--types", "load")
    assert ended.answer["executed"] == 1, ended.stderr
    runs = {test["test"]: [run["state"] for run in test["runs"]] for test in shop.facts("pilot")["tests"]}
    assert runs["pilot.storefront.load"] == ["finished"]
    assert runs["pilot.orders.load"] == ["interrupted", "finished"]
    assert left(shop.home) == {}
    held = verify(shop.home)
    assert held.ok, held.faults
    report = json.loads((shop.home / "reports" / "pilot" / "report.json").read_text())
    test = next(test for test in report["tests"] if test["test"] == "pilot.orders.load")
    told = {each["label"]: each["value"]["value"] for each in test["runs"][0]["figures"]}
    assert told["Messages with results"] == kept > 0
    assert told["Messages lost"] == told["Messages due"] - kept > 0
    assert told["Lost, due from"] < told["Lost, due until"]
    lost = f"{told['Messages lost']} of {told['Messages due']} messages have no result"
    assert lost in test["runs"][0]["reason"]
    assert any(lost in note for note in held.notes)
    assert {each["what"] for each in test["runs"][0]["artefacts"]} == {"run", "arrivals", "results", "infrastructure"}


def wait_for_results(parent: int, home: Path) -> None:
    """Until the test that goes on has results on disk."""
    while not list((home / FOLDER).rglob("*.rows")):
        assert psutil.pid_exists(parent)


def test_two_runs_at_once_are_not_let_into_one_workspace(shop: Bench) -> None:
    first = shop.start("run", "pilot", "--types", "load")
    assert first.stderr is not None
    for line in first.stderr:
        if "1 of 2" in line:
            break
    second = shop.run("run", "pilot", "--types", "load")
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert_refused(second, status=3, saying=f"process {first.pid}")


def assert_refused(ended: Ended, *, status: int, saying: str) -> None:
    assert ended.status == status
    assert saying in ended.stderr
    assert "Traceback" not in ended.stderr
