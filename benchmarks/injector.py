"""The injector beside other tools: `python benchmarks/injector.py [rounds] [seconds]`, by hand; prints a JSON document.

All of them POST a DUIS request of 1.5 kB to one nginx worker on CPU 0 that answers with 1 kB, from CPU 1. Closed loop:
32 connections, requests per CPU-second. Open loop, evenly spaced: lateness at the send call against the schedule, and
CPU per request; those of our injectors ("own", "libcurl") include recording to disk. Each figure is given as the median
and the best of all rounds; tools of a round run one after the other. What is not there is "not installed". CPU of
Python tools is counted from when they begin to send, of others for the whole process. On a shared machine compare
ratios.
"""

import asyncio
import json
import os
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from tasks.codecs import Message, Reply, codec_named
from tasks.inject.injector import LibcurlInjector, Load, OwnInjector, Target
from tasks.wire.alarm import alarm

_CONNECTIONS = 32
_RATES = (1000, 2000, 5000, 20_000)
_SERVER_CPU, _CLIENT_CPU = 0, os.cpu_count() - 1 if (os.cpu_count() or 1) > 1 else 0
_SRV = "4.1.1"
_DEVICE = "meter"
_REQUEST_BYTES, _ANSWER_BYTES = 1500, 1024

Result = dict[str, Any]


def _padded(document: bytes, size: int) -> bytes:
    """The document with an element in it that makes it as large."""
    place, missing = document.rindex(b"</"), size - len(document) - 7
    return b"%b<x>%b</x>%b" % (document[:place], b"x" * max(0, missing), document[place:])


def _bodies() -> tuple[bytes, bytes]:
    codec = codec_named("duis")
    message = Message(counter=10**15, srv=_SRV, device=_DEVICE)
    head, _, _ = codec.answer(message, Reply.DONE)[1].partition(b"<ds:Signature>")
    answer = head + b"</sr:Response>"
    return _padded(codec.encode(message), _REQUEST_BYTES), _padded(answer, _ANSWER_BYTES)


@contextmanager
def _nginx(answer: bytes) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        configuration = Path(folder) / "nginx.conf"
        configuration.write_text(f"""
            daemon off; worker_processes 1; pid {folder}/pid; error_log stderr crit;
            worker_cpu_affinity {1 << _SERVER_CPU:b};
            events {{ worker_connections 4096; }}
            http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/body;
                   client_body_buffer_size 16k; default_type application/xml;
                   server {{ listen 127.0.0.1:{port} backlog=4096;
                             location / {{ return 200 '{answer.decode()}'; }} }} }}
        """)
        command = [shutil.which("nginx") or "/usr/sbin/nginx", "-p", folder, "-c", str(configuration)]
        server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    if server.poll() is not None:
                        raise
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait()


def _quantiles(late_us: Any) -> Result:
    ordered = np.sort(np.asarray(late_us))
    at = {name: int(ordered[len(ordered) * permille // 1000]) for name, permille in (("p50", 500), ("p99", 990))}
    return {f"late_{name}_us": value for name, value in at.items()} | {"late_max_us": int(ordered[-1])}


# --- the injector -----------------------------------------------------------------------------------------------------


def _own(url: str, offsets: Any, injector: type[OwnInjector] = OwnInjector) -> Result:
    count = len(offsets)
    load = Load.of(
        offset_us=offsets, path=["p"] * count, srv=[_SRV] * count, kind=["request"] * count, device=[_DEVICE] * count
    )
    target = Target(urls={"p": url}, codec="duis", connections=_CONNECTIONS, max_connections=_CONNECTIONS)
    injection = injector(on_start=lambda pid: os.sched_setaffinity(pid, {_CLIENT_CPU})).run(load, target)
    columns, summary = injection.columns, injection.summary
    took_us = int(columns["done_us"].max() - columns["intended_us"].min())
    return {
        "per_second": count * 1_000_000 // took_us,
        "per_cpu_second": count * 1_000_000 // summary["cpu_us"],
        "cpu_us": summary["cpu_us"] / count,
        "failed": count - summary["ok"],
        **_quantiles(columns["sent_us"] - columns["intended_us"]),
    }


def _own_closed(url: str, seconds: int, injector: type[OwnInjector] = OwnInjector) -> Result:
    """All due at once, so that every connection is busy until the end."""
    count = 25_000 * seconds if injector is OwnInjector else 10_000 * seconds
    found = _own(url, np.zeros(count, dtype=np.int64), injector)
    return {name: found[name] for name in ("per_second", "per_cpu_second", "cpu_us", "failed")}


def _own_open(url: str, rate: int, seconds: int, injector: type[OwnInjector] = OwnInjector) -> Result:
    return _own(url, np.arange(rate * seconds) * 1_000_000 // rate, injector)


def _libcurl(measure: Callable[[], Result]) -> Result | str:
    return "not installed" if find_spec("pycurl") is None else measure()


# --- tools in processes of their own ----------------------------------------------------------------------------------


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _run(command: list[str]) -> tuple[str, float]:
    """Its output, and the CPU seconds that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    pinned = ["taskset", "-c", str(_CLIENT_CPU), *command]
    output = subprocess.run(pinned, capture_output=True, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return output, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _external(command: list[str], counted: str) -> Result | str:
    if shutil.which(command[0]) is None:
        return "not installed"
    output, cpu = _run(command)
    match = re.search(counted, output)
    if match is None:
        return f"no count in its output: {output[-200:]}"
    count = sum(int(each) for each in re.findall(counted, output))
    return {"per_cpu_second": int(count / cpu), "cpu_us": cpu * 1e6 / count}


def _here(module: str, what: str, url: str, rate: int, seconds: int) -> Result | str:
    """This script again, as another tool."""
    if find_spec(module) is None:
        return "not installed"
    output, _ = _run([sys.executable, __file__, "--as", what, url, str(rate), str(seconds)])
    found: Result = json.loads(output.splitlines()[-1])
    return found


def _wrk(url: str, seconds: int, folder: Path) -> Result | str:
    script = folder / "post.lua"
    body = folder / "body"
    script.write_text(
        f'local f = io.open("{body}") wrk.body = f:read("*a") wrk.method = "POST" '
        'wrk.headers["Content-Type"] = "application/xml"'
    )
    command = ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", "-s", str(script), f"{url}/paths/p"]
    return _external(command, r"(\d+) requests in")


def _h2load(url: str, seconds: int, folder: Path) -> Result | str:
    command = ["h2load", "--h1", "-t1", f"-c{_CONNECTIONS}", f"-D{seconds}", "-d", str(folder / "body")]
    return _external([*command, f"{url}/paths/p"], r"(\d+) succeeded")


def _hey(url: str, seconds: int, folder: Path) -> Result | str:
    command = ["hey", "-cpus", "1", "-c", str(_CONNECTIONS), "-z", f"{seconds}s", "-m", "POST"]
    return _external([*command, "-D", str(folder / "body"), f"{url}/paths/p"], r"\[200\]\s+(\d+) responses")


async def _aiohttp_closed(url: str, _rate: int, seconds: int) -> Result:
    import aiohttp

    body, count = _bodies()[0], 0
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_CONNECTIONS)) as session:
        end = time.monotonic() + seconds

        async def client() -> None:
            nonlocal count
            while time.monotonic() < end:
                async with session.post(f"{url}/paths/p", data=body) as answer:
                    await answer.read()
                count += 1

        before = _spent()
        await asyncio.gather(*(client() for _ in range(_CONNECTIONS)))
        cpu = _spent() - before
    return {"per_second": count // seconds, "per_cpu_second": int(count / cpu), "cpu_us": cpu * 1e6 / count}


async def _aiohttp_open(url: str, rate: int, seconds: int, *, precise: bool) -> Result:
    """Each message a task, begun by the injector's own alarm or by the loop's timer."""
    import aiohttp

    body, loop, tasks = _bodies()[0], asyncio.get_running_loop(), set[asyncio.Task[None]]()
    late: list[int] = []
    count = rate * seconds
    over = loop.create_future()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_CONNECTIONS)) as session:

        async def send(due_ns: int) -> None:
            late.append((time.monotonic_ns() - due_ns) // 1000)
            async with session.post(f"{url}/paths/p", data=body) as answer:
                await answer.read()

        start = time.monotonic_ns() + 100_000_000
        offered = 0

        def due(message: int) -> int:
            return start + message * 1_000_000_000 // rate

        def wake() -> None:
            nonlocal offered
            while offered < count and due(offered) <= time.monotonic_ns():
                task = loop.create_task(send(due(offered)))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                offered += 1
            if offered < count:
                wait(due(offered))
            else:
                over.set_result(None)

        def later(at_ns: int) -> None:
            loop.call_later((at_ns - time.monotonic_ns()) / 1e9, wake)

        timer = alarm(loop, wake)
        wait: Callable[[int], None] = timer.set if precise else later
        before = _spent()
        wait(start)
        await over
        await asyncio.gather(*tasks)
        cpu = _spent() - before
        timer.close()
    return {"cpu_us": cpu * 1e6 / count, **_quantiles(late)}


def _locust(url: str, seconds: int) -> Result:
    from locust import FastHttpUser, task
    from locust.env import Environment

    body = _bodies()[0]

    class Poster(FastHttpUser):
        """Posts without a pause."""

        host = url

        @task
        def post(self) -> None:
            """Posts."""
            self.client.post("/paths/p", data=body)

    import gevent

    environment = Environment(user_classes=[Poster])
    runner = environment.create_local_runner()
    runner.start(_CONNECTIONS, spawn_rate=_CONNECTIONS)
    gevent.sleep(1.5)
    before, counted = _spent(), environment.stats.total.num_requests
    gevent.sleep(seconds)
    cpu, count = _spent() - before, environment.stats.total.num_requests - counted
    runner.quit()
    return {"per_second": count // seconds, "per_cpu_second": int(count / cpu), "cpu_us": cpu * 1e6 / count}


def _as(what: str, url: str, rate: int, seconds: int) -> Result:
    if what == "locust":
        return _locust(url, seconds)
    if what == "aiohttp-closed":
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_aiohttp_closed(url, rate, seconds))
    precise = what == "aiohttp-alarm"
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if precise else None) as runner:
        return runner.run(_aiohttp_open(url, rate, seconds, precise=precise))


# --- all together -----------------------------------------------------------------------------------------------------


def _together(rounds: list[Result | str]) -> Result | str:
    """Median and best of each figure; the best is the highest where more is better."""
    measured = [each for each in rounds if isinstance(each, dict)]
    if not measured:
        return str(rounds[0])
    together = {}
    for name in measured[0]:
        values = [each[name] for each in measured]
        best = max(values) if name.startswith("per_") else min(values)
        together[name] = {"median": round(statistics.median(values), 1), "best": round(best, 1)}
    return together


def _measure(rounds: int, seconds: int) -> Result:
    request, answer = _bodies()
    with tempfile.TemporaryDirectory() as temporary, _nginx(answer) as url:
        folder = Path(temporary)
        (folder / "body").write_bytes(request)
        closed: dict[str, Callable[[], Result | str]] = {
            "own": lambda: _own_closed(url, seconds),
            "libcurl": lambda: _libcurl(lambda: _own_closed(url, seconds, LibcurlInjector)),
            "wrk": lambda: _wrk(url, seconds, folder),
            "h2load": lambda: _h2load(url, seconds, folder),
            "hey": lambda: _hey(url, seconds, folder),
            "aiohttp": lambda: _here("aiohttp", "aiohttp-closed", url, 0, seconds),
            "locust": lambda: _here("locust", "locust", url, 0, seconds),
        }
        opened: dict[str, Callable[[int], Result | str]] = {
            "own": lambda rate: _own_open(url, rate, seconds),
            "libcurl": lambda rate: _libcurl(lambda: _own_open(url, rate, seconds, LibcurlInjector)),
            "aiohttp, same timer": lambda rate: _here("aiohttp", "aiohttp-alarm", url, rate, seconds),
            "aiohttp, loop timer": lambda rate: _here("aiohttp", "aiohttp-timer", url, rate, seconds),
        }
        found: dict[str, dict[str, list[Result | str]]] = {}
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            for tool, measure in closed.items():
                found.setdefault("closed loop", {}).setdefault(tool, []).append(measure())
            for rate in _RATES:
                for tool, offer in opened.items():
                    if tool in ("own", "libcurl") or rate <= 5000:  # aiohttp saturates a core before 20,000 a second
                        found.setdefault(f"{rate} a second", {}).setdefault(tool, []).append(offer(rate))
    return {
        "request_bytes": len(request),
        "answer_bytes": len(answer),
        "rounds": rounds,
        "seconds": seconds,
        "load_average": os.getloadavg()[0],
        **{case: {tool: _together(each) for tool, each in tools.items()} for case, tools in found.items()},
    }


def main() -> None:
    """Measure, or be another tool for the one that measures."""
    if sys.argv[1:2] == ["--as"]:
        what, url, rate, seconds = sys.argv[2:6]
        print(json.dumps(_as(what, url, int(rate), int(seconds))))
        return
    rounds, seconds = (int(each) for each in (sys.argv[1:] + ["5", "3"][len(sys.argv) - 1 :])[:2])
    print(json.dumps(_measure(rounds, seconds), indent=2))


if __name__ == "__main__":
    main()
