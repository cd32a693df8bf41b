"""Hosts for a cluster: network namespaces with addresses of their own, joined by a bridge in one more.

Nothing of it is in this machine's own network. Where namespaces are not allowed, hosts are processes on addresses of
the loopback network, which every Linux machine has.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.emulate.spec import ComponentSpec

ROOT = Path(__file__).parents[2]


IP = shutil.which("ip") or ""


def _ip(*words: str) -> None:
    subprocess.run([IP, *words], check=True, capture_output=True, text=True)


def are_allowed() -> bool:
    """Whether network namespaces, and links between them, can be made here."""
    name = f"plim-{secrets.token_hex(3)}"
    if not IP or subprocess.run([IP, "netns", "add", name], capture_output=True, check=False).returncode:
        return False
    words = [IP, "-n", name, "link", "add", "one", "type", "veth", "peer", "name", "two"]
    linked = subprocess.run(words, capture_output=True, check=False).returncode == 0
    _ip("netns", "del", name)
    return linked


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A place where processes run, and its address."""

    name: str
    address: str
    prefix: tuple[str, ...]

    def start(self, words: Sequence[str], environ: dict[str, str], **more: Any) -> "subprocess.Popen[str]":
        """Starts a process there, in a process group of its own."""
        return subprocess.Popen(
            [*self.prefix, *words], text=True, env=environ, start_new_session=True, cwd=ROOT, **more
        )


@contextmanager
def hosts(*names: str) -> Iterator[list[Host]]:
    """As many hosts, each of which reaches every other."""
    if not are_allowed():
        yield [Host(name=name, address=f"127.0.0.{number + 11}", prefix=()) for number, name in enumerate(names)]
        return
    mark = secrets.token_hex(2)
    with ExitStack() as stack:
        middle = f"plim-{mark}"
        _ip("netns", "add", middle)
        stack.callback(_ip, "netns", "del", middle)
        _ip("-n", middle, "link", "add", "bridge", "type", "bridge")
        _ip("-n", middle, "link", "set", "bridge", "up")
        made = []
        for number, name in enumerate(names):
            own, address = f"plim-{mark}-{name}", f"10.199.7.{number + 1}"
            _ip("netns", "add", own)
            stack.callback(_ip, "netns", "del", own)
            _ip("-n", own, "link", "add", "eth0", "type", "veth", "peer", "name", f"to-{name}", "netns", middle)
            _ip("-n", middle, "link", "set", f"to-{name}", "master", "bridge", "up")
            _ip("-n", own, "address", "add", f"{address}/24", "dev", "eth0")
            for link in ("lo", "eth0"):
                _ip("-n", own, "link", "set", link, "up")
            made.append(Host(name=name, address=address, prefix=(IP, "netns", "exec", own)))
        yield made


@contextmanager
def running(process: "subprocess.Popen[str]") -> Iterator["subprocess.Popen[str]"]:
    """Ends a process, and its group, with the block."""
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def cluster(scheduler: Host, workers: Sequence[Host], environ: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A Dask scheduler and a worker on each of some hosts: its address, and the workers' processes by their hosts."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with ExitStack() as stack:
        words = [*_cli("dask_scheduler"), "--host", scheduler.address, "--port", "8786", "--no-dashboard"]
        stack.enter_context(running(scheduler.start(words, environ, **quiet)))
        address = f"tcp://{scheduler.address}:8786"
        processes = {}
        for host in workers:
            words = [*_cli("dask_worker"), address, "--host", host.address, "--nthreads", "2", "--no-nanny",
                     "--no-dashboard", "--name", host.name]  # fmt: skip
            processes[host.name] = stack.enter_context(running(host.start(words, environ, **quiet)))
        _await_workers(scheduler, address, len(workers), environ)
        yield address, processes


def _cli(name: str) -> list[str]:
    return [sys.executable, "-m", f"distributed.cli.{name}"]


def _await_workers(near: Host, address: str, count: int, environ: dict[str, str]) -> None:
    """Waits until as many workers are at the scheduler. A host asks: the address is none of this machine's."""
    program = f"from distributed import Client; Client({address!r}, timeout=60).wait_for_workers({count}, timeout=60)"
    with running(near.start([sys.executable, "-c", program], environ)) as asking:
        assert asking.wait(90) == 0


@contextmanager
def component(host: Host, spec: ComponentSpec, folder: Path, environ: dict[str, str]) -> Iterator[str]:
    """An emulated component on a host; its URL."""
    file = folder / "component.json"
    file.write_text(json.dumps(spec.as_json()))
    words = [sys.executable, "-m", "tasks.emulate", str(file)]
    process = host.start(words, environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with running(process):
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        yield f"http://{host.address}:{told['port']}"
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
