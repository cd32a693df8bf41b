"""The shell that the documentation's commands are executed in, and `plimsoll` in it, without its seconds of imports.

`plimsoll` there is a script of a few lines that hands its arguments, folder, environment and streams to a process which
has imported everything once, and forks for each command. What is executed is `flows.cli.main`, as ever.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_CLIENT = """#!{python} -ISE
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect({address!r})
    said = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(asked, [len(said).to_bytes(4, "big")], [0, 1, 2])
    asked.sendall(said)
    answer = asked.recv(1)
sys.exit(answer[0] if answer else 70)
"""

FAILED = "ended with status"
"""What stands before the status of a command that failed."""

_TRAP = """trap 'status=$?; case $status/$BASH_COMMAND in 1/plimsoll*) ;;
 *) echo "ended with status $status: $BASH_COMMAND" >&2; exit $status ;; esac' ERR
set -o pipefail
"""
"""A command that fails ends the block; `plimsoll` may say with 1 that not all is proved."""


@contextmanager
def plimsoll_at_hand(folder: Path, environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Surroundings in which `plimsoll` is that script."""
    bin_, address = folder / "bin", str(folder / "socket")
    bin_.mkdir(parents=True)
    (bin_ / "plimsoll").write_text(_CLIENT.format(python=sys.executable, address=address))
    (bin_ / "plimsoll").chmod(0o755)
    command = [sys.executable, __file__, address]
    process = subprocess.Popen(command, env=dict(environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n", "the server of commands did not start"
        here = Path(sys.executable).parent
        yield {**environ, "PATH": f"{bin_}:{here}:{environ['PATH']}"}
    finally:
        process.terminate()
        process.communicate()


def execute(
    script: str, folder: Path, environ: Mapping[str, str], *, told: bool = True
) -> "subprocess.CompletedProcess[str]":
    """Executes shell lines in `folder`; what they print on either stream comes in order. What they export lasts.

    `told`: a command that fails ends the script, and `FAILED` stands before its status in what is printed.
    """
    exported = folder.with_name(f"{folder.name}.exported")
    lasting = f"[ ! -e '{exported}' ] || . '{exported}'\ntrap \"export -p > '{exported}'\" EXIT\n"
    return subprocess.run(
        ["bash", "-c", lasting + (_TRAP if told else "") + script],  # noqa: S607 - whichever bash there is
        cwd=folder,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def serve(address: str) -> None:
    """The process that forks for each command. What a command does is its own: nothing comes back but its status."""
    import flows.audit
    import flows.cli
    import flows.intake
    import flows.run
    import flows.stages
    import flows.trust
    import flows.volumes  # noqa: F401 - all that commands import

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while True:
            asked, _ = listener.accept()
            if not os.fork():
                listener.close()
                _answer(asked)
            asked.close()


def _end_with_parent() -> None:
    """Ends the process when whoever started it does, however that ends."""
    while os.read(0, 4096):
        pass
    os._exit(0)


def _answer(asked: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, streams, _, _ = socket.recv_fds(asked, 4, 3)
    arguments, folder, environ = json.loads(asked.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL))
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        asked.send(bytes([os.waitstatus_to_exitcode(status) % 256]))
        os._exit(0)
    asked.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    sys.argv = arguments
    from flows.cli import main

    status = 70
    try:
        status = main()
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:  # noqa: BLE001 - as the interpreter does where nobody catches
        traceback.print_exc()
    finally:
        _leave(status)


def _leave(status: int) -> None:
    """Ends as a process of its own would: what was to be done at its end is done."""
    import atexit

    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    serve(sys.argv[1])
