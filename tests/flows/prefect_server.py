"""A real Prefect server on a real PostgreSQL, for tests and benchmarks, on free ports, ended by its own handle."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
PREFECT = str(Path(sys.executable).with_name("prefect"))
TERMINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


_COMMANDS = """
import json, sys
from prefect.cli import app
for sys.argv in json.loads(sys.argv[1]):
    try:
        app()
    except SystemExit as ended:
        if ended.code:
            raise
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A Prefect server: its API, its process, and the surroundings of whoever talks to it."""

    api: httpx.Client
    pid: int
    environ: dict[str, str]

    def prefect(self, *commands: list[str]) -> None:
        """Runs commands of Prefect's own from the repository's root, one after the other in one process: each would
        take seconds to load."""
        argvs = [["prefect", "--no-prompt", *each] for each in commands]
        self.python("-c", _COMMANDS, json.dumps(argvs))

    def python(self, *arguments: str) -> str:
        """Runs Python against this server from the repository's root; what it prints."""
        command = [sys.executable, *arguments]
        ended = subprocess.run(
            command, cwd=ROOT, env=self.environ, capture_output=True, text=True, timeout=600, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def ask(self, path: str, *, json: Any = None, **body: Any) -> Any:
        """What the API answers to a POST."""
        return self._answered("POST", path, json=body if json is None else json).json()

    def state(self, flow_run: str) -> str:
        """The type of state that a flow run is in."""
        return str(self._answered("GET", f"/flow_runs/{flow_run}").json()["state_type"])

    def _answered(self, method: str, path: str, **more: Any) -> httpx.Response:
        """The answer, asked for again while the server's database is locked (503), as Prefect's own client does."""

        def answer() -> httpx.Response | None:
            response = self.api.request(method, path, **more)
            return None if response.status_code == httpx.codes.SERVICE_UNAVAILABLE else response

        found: httpx.Response = eventually(answer, within_s=200)
        return found.raise_for_status()

    def log(self, flow_run: str) -> str:
        """What a flow run logged, for a failure's message."""
        filtered = {"flow_run_id": {"any_": [flow_run]}}
        return "\n".join(row["message"] for row in self.ask("/logs/filter", logs=filtered))


def eventually(probe: Callable[[], Any], *, within_s: float) -> Any:
    """What `probe` gives once that is something."""
    deadline = time.monotonic() + within_s
    while not (found := probe()):
        assert time.monotonic() < deadline, f"{probe} gave {found!r} for {within_s} s"
        time.sleep(0.1)  # between two questions; the deadline above is what decides
    return found


@contextmanager
def running(command: list[str], environ: dict[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process and its children, ended as Ctrl-C would end them, and by force if that does not help."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=log.parent, env=environ, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def postgres_program(name: str) -> str | None:
    """Where a program of PostgreSQL's server is: on PATH, or where Debian puts it."""
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(debian[-1]) if debian else shutil.which(name)


@contextmanager
def postgresql(port: int) -> Iterator[str]:
    """A database server on that port of loopback with a data folder of its own; its URL, as SQLAlchemy has it.

    It refuses to be root: root runs it as nobody, in a folder that nobody else may enter.
    """
    folder = Path(tempfile.mkdtemp(prefix="plimsoll-postgresql-"))
    own: dict[str, Any] = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        own = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    data = folder / "data"
    made = [postgres_program("initdb"), "-D", str(data), "-U", "plimsoll", "-A", "trust", "-E", "UTF8", "-N"]
    try:
        subprocess.run(made, cwd=folder, capture_output=True, check=True, timeout=60, **own)
        options = [f"-c{each}" for each in ("fsync=off", "unix_socket_directories=", "listen_addresses=127.0.0.1")]
        process = subprocess.Popen(
            [postgres_program("postgres"), "-D", str(data), "-p", str(port), *options],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **own,
        )
        try:
            eventually(lambda: process.poll() is not None or _listens(port), within_s=120)
            yield f"postgresql+asyncpg://plimsoll@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(signal.SIGINT)  # a fast shutdown
            process.wait(20)
    finally:
        shutil.rmtree(folder)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def prefect_server(folder: Path, surroundings: Mapping[str, str], database: str) -> Iterator[Server]:
    """`prefect server start` on that database, once it answers. `folder`: where its files and its log are."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    environ = {
        **surroundings,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": url,
        "PREFECT_API_DATABASE_CONNECTION_URL": database,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "1",
        "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "1",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }
    command = [PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (
        running(command, environ, folder / "server.log") as process,
        httpx.Client(base_url=url, timeout=30) as api,
    ):

        def is_up() -> bool:
            assert process.poll() is None, (folder / "server.log").read_text()
            try:
                return api.get("/health").status_code == 200
            except httpx.TransportError:
                return False

        eventually(is_up, within_s=300)
        yield Server(api=api, pid=process.pid, environ=environ)
