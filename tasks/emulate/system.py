"""Starting emulated components as processes, wired to each other, and ending them.

The parent binds every listening socket before it starts any process: all ports are known, so processes start beside
each other in any order, and a message for one that is not ready yet waits in its socket.
"""

import contextlib
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self
from urllib.parse import quote

from catalog.errors import WorldError
from tasks.emulate.spec import ComponentSpec
from tasks.wire.process import ChildProcess

_START_S = 15.0
_BACKLOG = 4096


class RunningComponent:
    """A component's process. `spec` is what it was started with: routes are URLs, the port is the real one.

    Its metrics have a port of their own, known once it listens, that stays open whatever befalls the other.
    """

    def __init__(self, spec: ComponentSpec, process: ChildProcess) -> None:
        self.spec = spec
        self.process = process
        self.metrics_port = 0

    @property
    def component(self) -> str:
        """Its component id."""
        return self.spec.component

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.spec.port

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def url(self) -> str:
        """Its base URL: messages go to `/paths/<path id>` below it."""
        return _url(self.spec)

    @property
    def metrics_url(self) -> str:
        """Where its metrics are."""
        return f"http://{self.spec.host}:{self.metrics_port}/metrics"

    def path_url(self, path: str) -> str:
        """Where messages of `path` go."""
        return f"{self.url}/paths/{quote(path, safe='')}"

    def stop(self) -> None:
        """End the process; may be repeated."""
        self.process.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class RunningSystem:
    """The components that were started together, by id."""

    def __init__(self, components: Mapping[str, RunningComponent]) -> None:
        self.components = components

    def __getitem__(self, component: str) -> RunningComponent:
        return self.components[component]

    @property
    def pids(self) -> dict[str, int]:
        """Process id of each component, as `Sampler` wants them."""
        return {name: running.pid for name, running in self.components.items()}

    @property
    def metrics_urls(self) -> dict[str, str]:
        """Where the metrics of each component are, as `Sampler` wants them."""
        return {name: running.metrics_url for name, running in self.components.items()}

    def stop(self) -> None:
        """End every process, even if ending one fails; may be repeated."""
        with contextlib.ExitStack() as stack:
            for running in self.components.values():
                stack.callback(running.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def start_component(spec: ComponentSpec) -> RunningComponent:
    """Start one component, whose routes are URLs or null. WorldError when it does not come up."""
    return start_system([spec])[spec.component]


def start_system(specs: Sequence[ComponentSpec]) -> RunningSystem:
    """Start components, routes between them given by component id, and wait until all listen.

    The order does not matter. Raises WorldError, with the end of what the component wrote, when one does not come up,
    and then leaves none running.
    """
    with contextlib.ExitStack() as sockets, contextlib.ExitStack() as started:
        listeners = [sockets.enter_context(_bind(spec)) for spec in specs]
        ported = [
            replace(spec, port=listener.getsockname()[1]) for spec, listener in zip(specs, listeners, strict=True)
        ]
        wired = _wire(ported)
        components = {
            spec.component: started.enter_context(_start(spec, listener))
            for spec, listener in zip(wired, listeners, strict=True)
        }
        for running in components.values():
            running.metrics_port = running.process.read(_START_S)["metrics_port"]
        started.pop_all()
    return RunningSystem(components)


def _bind(spec: ComponentSpec) -> socket.socket:
    try:
        return socket.create_server((spec.host, spec.port), backlog=_BACKLOG)
    except OSError as error:
        raise WorldError(f"component {spec.component} cannot listen on {spec.host}:{spec.port}: {error}") from error


def _start(spec: ComponentSpec, listener: socket.socket) -> RunningComponent:
    name = f"component {spec.component}"
    process = ChildProcess("tasks.emulate", spec.as_json(), name=name, pass_fds=[listener.fileno()])
    return RunningComponent(spec, process)


def _wire(specs: Sequence[ComponentSpec]) -> list[ComponentSpec]:
    urls = {spec.component: _url(spec) for spec in specs}
    if len(urls) != len(specs):
        raise WorldError("two components of the emulated system have the same id")
    return [replace(spec, routes={path: _next(spec, path, urls) for path in spec.routes}) for spec in specs]


def _next(spec: ComponentSpec, path: str, urls: Mapping[str, str]) -> str | None:
    hop = spec.routes[path]
    if hop is None or hop.startswith("http://"):
        return hop
    if hop not in urls:
        raise WorldError(f"component {spec.component}, path {path}: the next hop {hop!r} is not part of the system")
    return urls[hop]


def _url(spec: ComponentSpec) -> str:
    return f"http://{spec.host}:{spec.port}"
