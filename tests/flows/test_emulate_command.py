"""The emulated system by itself: what it says of itself is true, and nothing of it is left behind."""

import json
import os
import shlex
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from phases import Bench

GONE_WITHIN_S = 10


@contextmanager
def emulated(bench: Bench, *arguments: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The running command, once it says that it runs, and what it said on standard error until then."""
    process = bench.start("emulate", *arguments)
    try:
        assert process.stderr is not None
        yield process, process.stderr.readline()
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process: "subprocess.Popen[str]", blow: signal.Signals) -> str:
    """Sends the command a signal, and gives what it had printed on standard output."""
    os.kill(process.pid, blow)
    stdout, _ = process.communicate(timeout=GONE_WITHIN_S)
    return stdout


def read_answer(process: "subprocess.Popen[str]") -> Any:
    """The JSON document that the running command printed."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line == "}\n":
            break
    return json.loads("".join(lines))


def send(command: str) -> tuple[int, bytes]:
    """Does what a printed `curl` command would."""
    words = shlex.split(command)
    assert words[:3] == ["curl", "-i", "-H"]
    name, _, value = words[3].partition(": ")
    body = Path(words[5].removeprefix("@")).read_bytes()
    request = urllib.request.Request(words[6], data=body, headers={name: value})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - loopback
        return response.status, response.read()


def answered(component: dict[str, Any]) -> int:
    """How many messages a component says that it has answered."""
    with urllib.request.urlopen(component["metrics"], timeout=10) as response:  # noqa: S310 - loopback
        lines = response.read().decode().splitlines()
    return int(next(line for line in lines if line.startswith("plimsoll_messages_answered_total")).split()[-1])


def test_the_example_passes_every_component_of_its_path(shop: Bench) -> None:
    with emulated(shop, "launch", "--json") as (process, said):
        answer = read_answer(process)
        assert f"kill {answer['pid']}" in said
        components = {each["component"]: each for each in answer["components"]}
        assert set(components) == {"storefront", "orders", "payments"}
        assert (components["orders"]["workers"], components["orders"]["capacity_per_second"]) == (6, "187.5")
        assert (components["payments"]["workers"], components["payments"]["capacity_per_second"]) == (None, None)
        assert {entry["path"]: entry["component"] for entry in answer["entries"]} == {
            "browse": "storefront",
            "purchase": "storefront",
        }
        assert send(answer["example"])[0] == 200
        assert {name: answered(each) for name, each in components.items()} == {
            "storefront": 1,
            "orders": 0,
            "payments": 0,
        }
        url = next(entry["url"] for entry in answer["entries"] if entry["path"] == "purchase")
        assert send(answer["example"].replace(answer["entries"][0]["url"], url))[0] == 200
        assert {name: answered(each) for name, each in components.items()} == {
            "storefront": 2,
            "orders": 1,
            "payments": 1,
        }


def test_the_shipped_system_answers_at_its_gateway(shipped: Callable[[Path], Bench], tmp_path: Path) -> None:
    with emulated(shipped(tmp_path), "ioc", "--json") as (process, _):
        answer = read_answer(process)
        status, body = send(answer["example"])
        components = {each["component"]: each for each in answer["components"]}
        gateway = next(each for each in components.values() if answer["example"].find(each["url"] + "/paths/") > 0)
        assert (status, gateway["speaks"]) == (200, "duis")
        assert b"<sr:ResponseCode>I0<" in body
        path = answer["example"].rpartition("/")[2]
        assert all(answered(each) == 1 for each in components.values() if path in each["paths"])


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_told_and_leaves_nothing_behind(shop: Bench, blow: signal.Signals) -> None:
    with emulated(shop, "pilot") as (process, _):
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) == 3
        stdout = ended(process, blow)
        assert process.returncode == 0
        assert not psutil.wait_procs(children, GONE_WITHIN_S)[1]
    assert "storefront" in stdout
    assert "187.5" in stdout
    folder = Path(stdout.rpartition("@")[2].split("/message")[0])
    assert folder.parent.name.startswith("plimsoll-")
    assert not folder.exists()


def test_a_component_that_ends_by_itself_ends_it_with_status_3(shop: Bench) -> None:
    with emulated(shop, "pilot", "--json") as (process, _):
        components = {each["component"]: each for each in read_answer(process)["components"]}
        os.kill(components["orders"]["pid"], signal.SIGKILL)
        _, stderr = process.communicate(timeout=GONE_WITHIN_S)
        assert process.returncode == 3
        assert "component orders ended unexpectedly" in stderr
        assert not any(psutil.pid_exists(each["pid"]) for each in components.values())


def test_a_real_environment_is_refused_naming_those_that_can_be_emulated(shop: Bench) -> None:
    refused = shop.run("emulate", "pilot", "--environment", "nobody-there")
    assert refused.status == 2
    assert "rehearsal-slow-orders" in refused.stderr
    assert refused.stdout == ""


def test_the_environment_decides_what_is_emulated(shop: Bench) -> None:
    with emulated(shop, "pilot", "--json", "--environment", "rehearsal-slow-orders") as (process, _):
        components = {each["component"]: each for each in read_answer(process)["components"]}
        assert components["orders"]["capacity_per_second"] == "31.2"


def test_the_shipped_gateway_acknowledges_where_it_is_told_of_a_receive_service(
    shipped: Callable[[Path], Bench], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with emulated(shipped(tmp_path), "ioc", "--json", "--receive", url) as (process, _):
            command = read_answer(process)["example"]
            status, body = send(command.replace(command.rpartition("/")[2], "smets1-bau"))
            assert (status, b"<sr:ResponseCode>I99<" in body) == (200, True)
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(10)
                received = b""
                while not received.endswith(b"</sr:Response>"):
                    received += connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert received.startswith(b"POST /paths/receive HTTP/1.1\r\n")
    assert b"<sr:ResponseCode>I0<" in received
    assert b"<sr:SMETS1ResponseMessage><sr:SMETS1SignedResponse><sr:ResponseMessage>" in received


@pytest.mark.parametrize("url", ["https://127.0.0.1:1", "somewhere", "http://127.0.0.1:99999"])
def test_a_receive_service_that_cannot_be_one_is_refused(shop: Bench, url: str) -> None:
    found = shop.run("emulate", "launch", "--receive", url)
    assert found.status == 2
    assert f"--receive {url}: " in found.stderr
