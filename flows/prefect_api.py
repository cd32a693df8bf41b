"""Prefect's API for one run of the command line: a server in a process of its own, on the database in `PREFECT_HOME`.

Prefect starts one by itself where none is configured, but late and badly: it first imports the whole server into the
process that runs the flow (4 s), starts its own copy after that, loses task runs that were not yet written when it is
terminated, and leaves it running when the flow's process is killed. This one is started first, beside everything else,
ends when its standard input does, and writes what it was told in few transactions.
"""

import fcntl
import gc
import json
import os
import secrets
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from catalog.errors import WorldError
from catalog.signing import own_folder
from catalog.store import disk
from tasks.wire.process import ChildProcess, call_when_parent_ends

LOOPBACK = "127.0.0.1"
_PASSWORD = "PREFECT_SERVER_API_AUTH_STRING"  # noqa: S105 - the name of a variable

_UP_WITHIN_S = 180
_STOP_S = 15  # it writes what it was told last; takes 1.5 s

_SERVER = {
    "PREFECT_UI_ENABLED": "false",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "500",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
}
"""As Prefect starts its own (`SubprocessASGIServer`), but that it writes task runs by the hundred: one at a time, those
that are being written when it ends are lost."""


def start_api(host: str = LOOPBACK) -> ChildProcess:
    """The server's process, started; it loads while the caller goes on. Stop it after everything else.

    `host`: where it listens, this machine alone unless workers on others have to reach it.
    """
    return ChildProcess("flows.prefect_api", {"host": host}, name="Prefect's API", stop_s=_STOP_S)


def start_server(port: int) -> ChildProcess:
    """The process of a whole server, with its scheduler and its pages, at that port of this machine.

    It lets in whoever has `server_password`: a deployment is run with parameters of the asker's choice.
    """
    server_password()  # which is asked for here as well, where it can be said why there is none
    return ChildProcess("flows.prefect_api", {"port": port}, name="Prefect's server", stop_s=_STOP_S)


@contextmanager
def use_api(server: ChildProcess) -> Iterator[bool]:
    """While flows run: against this server once it is up (True), or whichever Prefect's own settings name."""
    global _own  # one run per process
    told = server.read(_UP_WITHIN_S)
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    password = {PREFECT_API_AUTH_STRING: told["auth"]} if told["auth"] else {}
    with temporary_settings({PREFECT_API_URL: told["url"], **password}):
        _own = told["own"]
        try:
            yield bool(password)
        finally:
            _own = False


_own = False


def is_shared() -> bool:
    """Whether the API in use is a server's that others use too, and not this run's own."""
    return not _own


def password_file() -> Path:
    """Where the password of a server that goes on is kept, for its owner alone to read."""
    return own_folder() / "prefect-password"


def own_password() -> str:
    """The password that Prefect's own variable gives a server; empty where it gives none."""
    return os.environ.get(_PASSWORD, "")


def server_password() -> str:
    """What Prefect's own variable says, else what is kept, which is made on first use.

    Raises WorldError where others may read what is kept, or it cannot be read or made.
    """
    if named := own_password():
        return named
    file = password_file()
    with disk(file):
        with suppress(FileExistsError):
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as made:
                made.write(f"plimsoll:{secrets.token_urlsafe()}")
        mode = file.stat().st_mode
        if mode & 0o077:
            raise WorldError(
                f"others may read {file}: its mode is {stat.filemode(mode)}, and 0600 was expected",
                remedy=f"Remove it, and it is made anew: rm {file}",
            )  # nobody knows who has read it
        kept = file.read_text().strip()
    if not kept:  # whoever made it was ended before it was written
        raise WorldError(f"{file} holds no password", remedy=f"Remove it, and it is made anew: rm {file}")
    return kept


def main() -> None:
    """The process: says where it serves once it does, and ends when its standard input does."""
    gc.disable()  # while importing: nothing of it is garbage
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    given = json.loads(Path(sys.argv[1]).read_bytes())
    port = given.get("port", 0)
    auth = server_password() if port else f"plimsoll:{secrets.token_urlsafe()}"  # nobody else on this machine has it
    own = {_PASSWORD: auth, "PREFECT_API_AUTH_STRING": auth}
    os.environ |= {**({} if port else _SERVER), **own}  # before Prefect is imported, which reads it then
    if (named := os.environ.get("PREFECT_API_URL") or _named()) is not None:
        print(json.dumps({"url": named, "auth": "", "own": False}), file=answers, flush=True)
        return
    _serve(answers, auth, given.get("host", LOOPBACK), port)


def _named() -> str | None:
    """The API that a profile of Prefect's names, after the environment's: reading it takes a second."""
    from prefect.settings import PREFECT_API_URL

    named: str | None = PREFECT_API_URL.value()
    return named


def _serve(answers: Any, auth: str, host: str, port: int) -> None:
    import uvicorn

    turn = first_come(_home())

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            turn.close()
            gc.enable()
            shown = f"[{host}]" if ":" in host else host
            url = f"http://{shown}:{listener.getsockname()[1]}/api"
            print(json.dumps({"url": url, "auth": auth, "own": not port}), file=answers, flush=True)

    config = uvicorn.Config("prefect.server.api.server:create_app", factory=True, log_level="error", lifespan="on")
    with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        server = Server(config)
        call_when_parent_ends(lambda: _end(server))
        server.run([listener])


def _home() -> Path:
    from prefect.settings import PREFECT_HOME

    found: Path = PREFECT_HOME.value()
    return found


def first_come(home: Path) -> ExitStack:
    """Waits until no other server of ours makes or migrates the database in `home`; others wait until this is closed.

    Two that make one at once get in each other's way, and one of them ends.
    """
    held = ExitStack()
    with suppress(OSError):  # where nothing can be written Prefect itself says so
        home.mkdir(parents=True, exist_ok=True)
        fcntl.flock(held.enter_context((home / "plimsoll-start.lock").open("w")), fcntl.LOCK_EX)
    return held


def _end(server: Any) -> None:
    """Ends the server: in order once it serves, at once while it still loads and nobody has told it anything."""
    if not server.started:
        os._exit(0)
    server.should_exit = True


if __name__ == "__main__":
    main()
