"""Where most of a campaign's commands run: forked from a process that has loaded what they need, on one Prefect server.

Each run would load Prefect and Great Expectations anew, and bring up a server of its own: some twenty seconds of a
processor for a test of one and a half.
"""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import psutil

from flows.run import QUIET
from tasks.wire.process import ChildProcess
from tests.faults.hostile import HostileProxy
from tests.faults.zygote import Forked, Zygote

PATIENCE = {
    "PREFECT_API_REQUEST_TIMEOUT": "10",
    "PREFECT_CLIENT_MAX_RETRIES": "1",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "0",
}
"""So that a server which never answers is given up within seconds, and not minutes."""


class Warm:
    """Starts commands. A context manager; `folder` holds the server's database and what commands print.

    The server may be killed: the next command has another, and a process that knows its password.
    """

    def __init__(self, folder: Path, surroundings: dict[str, str]) -> None:
        self._folder, self._surroundings = folder, surroundings
        self._stack = ExitStack()
        self._api: ChildProcess | None = None

    def __enter__(self) -> Self:
        self._folder.mkdir()
        self.proxy = self._stack.enter_context(HostileProxy(("127.0.0.1", 9)))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def server(self) -> psutil.Process:
        """The Prefect server, begun anew where it has ended."""
        self._renew()
        assert self._api is not None
        return psutil.Process(self._api.pid)

    @property
    def environ(self) -> dict[str, str]:
        """The surroundings of a command that is a program of its own, and has patience with the server."""
        self._renew()
        return {name: value for name, value in self._environ.items() if name not in PATIENCE}

    def start(self, words: list[str]) -> Forked:
        """Starts `plimsoll` with these words."""
        self._renew()
        return self._zygote.start(words, self._environ, self._outputs)

    def _renew(self) -> None:
        if self._api is not None and self._api.is_running:
            return
        os.environ.pop("PREFECT_API_URL", None)
        os.environ["PREFECT_HOME"] = str(self._folder / "prefect")
        self._api = api = ChildProcess("flows.prefect_api", {}, name="Prefect's API", stop_s=15)
        self._stack.callback(api.stop)
        told = api.read(300)
        url = urlsplit(told["url"])
        self.proxy.upstream = (str(url.hostname), int(url.port or 0))
        self._environ = {
            **QUIET,
            **self._surroundings,
            **PATIENCE,
            "PREFECT_API_URL": f"http://127.0.0.1:{self.proxy.port}/api",
            "PREFECT_API_AUTH_STRING": told["auth"],  # each server has its own, and it is read as Prefect is loaded
        }
        self._zygote = self._stack.enter_context(Zygote(self._environ))
        self._outputs = self._folder / f"outputs-{api.pid}"
        self._outputs.mkdir()
