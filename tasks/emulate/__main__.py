"""One emulated component as a process: `python -m tasks.emulate SPEC.json [--fd N]`.

Prints one line of JSON when it listens, `{"component", "port", "metrics_port", "pid"}`, and ends on SIGTERM or at the
end of its standard input. `--fd` is a listening socket that the parent has bound already.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path

import uvloop

from tasks.emulate.component import Component, Informer
from tasks.emulate.spec import ComponentSpec
from tasks.wire.process import call_when_parent_ends
from tasks.wire.server import ServerConnection

_BACKLOG = 4096


async def _serve(spec: ComponentSpec, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    call_when_parent_ends(lambda: loop.call_soon_threadsafe(stop.set))
    component = Component(loop, spec)
    server = await loop.create_server(lambda: ServerConnection(component), sock=listener, backlog=_BACKLOG)
    informer = Informer(component)
    watched = await loop.create_server(lambda: ServerConnection(informer), spec.host, 0)
    ports = {"port": _port(listener), "metrics_port": _port(watched.sockets[0])}
    sys.stdout.write(json.dumps({"component": spec.component, **ports, "pid": os.getpid()}) + "\n")
    sys.stdout.flush()
    await stop.wait()
    server.close()
    watched.close()
    component.close()


def _port(listening: socket.socket) -> int:
    port: int = listening.getsockname()[1]
    return port


def _listener(spec: ComponentSpec, fd: int | None) -> socket.socket:
    if fd is not None:
        return socket.socket(fileno=fd)
    return socket.create_server((spec.host, spec.port), backlog=_BACKLOG)


def main() -> int:
    """Run the component until it is told to end; 2 when the document is at fault, 3 when it cannot listen."""
    arguments = argparse.ArgumentParser(prog="python -m tasks.emulate", description=__doc__)
    arguments.add_argument("spec", type=Path)
    arguments.add_argument("--fd", type=int)
    given = arguments.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # some systems refuse the hard limit itself
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        spec = ComponentSpec.from_json(json.loads(given.spec.read_bytes()))
        listener = _listener(spec, given.fd)
    except ValueError as error:
        sys.stderr.write(f"{given.spec}: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(spec, listener))
    return 0


if __name__ == "__main__":
    sys.exit(main())
