"""`plimsoll emulate`: the emulated system of a phase by itself, for as long as somebody wants to try things on it."""

import asyncio
import os
import shlex
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from catalog.declarations import EnvironmentKind, Programme, Traffic
from catalog.errors import Status, UsageError
from catalog.reading import read_catalogue
from flows.desk import find_environment, find_phase
from flows.show import console, escape, print_json, table
from tasks.codecs import Message, MessageKind, codec_named
from tasks.emulate.spec import ComponentSpec
from tasks.emulate.system import RunningComponent, RunningSystem, start_system
from tasks.scratch import scratch
from tasks.stand_up import specs_for_system
from tasks.wire.client import address, is_tls

_COLUMNS = ("component", "URL", "speaks", "workers", "capacity/s", "paths")


def emulate(options: Namespace) -> Status:
    """Stands up every component on the phase's message paths, and ends them all on Ctrl-C or SIGTERM."""
    programme = read_catalogue(options.catalog).programme
    phase = find_phase(programme, options.phase).id
    environment = find_environment(programme, options.environment)
    if environment.kind is not EnvironmentKind.REHEARSAL:
        known = ", ".join(each.id for each in programme.environments if each.kind is EnvironmentKind.REHEARSAL)
        raise UsageError(f"{environment.id} is a real environment: there is nothing to emulate",
                         remedy=f"Emulated are: {known}.")  # fmt: skip
    specs = specs_for_system(programme, environment, phase, _receive(options.receive))
    with scratch() as folder, start_system(specs) as system:
        described = _describe(programme, system, Path(folder))
        described = {"phase": phase, "environment": environment.id, "pid": os.getpid(), **described}
        asyncio.run(_run(system, lambda: _show(options, described)))
    return Status.PROVED


def _receive(url: str) -> str:
    """The URL of a receive service, or nothing. Raises UsageError for what is no such."""
    try:
        if url and (is_tls(url) or not all(address(url))):
            raise ValueError("emulated components deliver over plain HTTP")
    except ValueError as error:
        raise UsageError(f"--receive {url}: {error}", remedy="Give a URL such as http://127.0.0.1:9000.") from None
    return url


async def _run(system: RunningSystem, announce: Callable[[], None]) -> None:
    """Returns when SIGINT or SIGTERM comes. Raises WorldError when a component ends by itself."""
    loop, told, ended = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    loop.add_signal_handler(signal.SIGCHLD, ended.set)
    announce()
    waiting = [asyncio.create_task(told.wait()), asyncio.create_task(_watch(system, ended))]
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def _watch(system: RunningSystem, ended: asyncio.Event) -> None:
    """Raises WorldError once a component has ended; `ended` is set when any child of this process has."""
    while True:
        for running in system.components.values():
            if not running.process.is_running:
                raise running.process.failure("ended unexpectedly")
        await ended.wait()
        ended.clear()


def _describe(programme: Programme, system: RunningSystem, folder: Path) -> dict[str, Any]:
    """What is running, where each message path begins, and a command that sends a message along one of them."""
    components = list(system.components.values())
    entries = dict(_entries(components))
    return {
        "components": [_component(each) for each in components],
        "entries": [
            {"path": path, "component": entry.component, "url": entry.path_url(path)} for path, entry in entries.items()
        ],
        "example": _example(programme, entries, folder),
    }


def _entries(components: Sequence[RunningComponent]) -> Iterator[tuple[str, RunningComponent]]:
    """Each message path, in order of its name, with the component on it that no other one forwards to."""
    forwarded = {(path, hop) for each in components for path, hop in each.spec.routes.items()}
    entries = [(path, each) for each in components for path in each.spec.routes if (path, each.url) not in forwarded]
    yield from sorted(entries, key=lambda entry: entry[0])


def _component(running: RunningComponent) -> dict[str, Any]:
    spec = running.spec
    return {
        "component": spec.component,
        "url": running.url,
        "metrics": running.metrics_url,
        "speaks": spec.codec,
        "workers": spec.workers or None,
        "service_us": spec.service_us,
        "capacity_per_second": _capacity(spec),
        "paths": list(spec.routes),
        "pid": running.pid,
    }


def _capacity(spec: ComponentSpec) -> str | None:
    """Messages a second that the declared workers can serve, to a tenth; None where nothing limits them."""
    if not (spec.workers and spec.service_us):
        return None
    tenths = spec.workers * 10_000_000 // spec.service_us
    return f"{tenths // 10}.{tenths % 10}"


def _example(programme: Programme, entries: Mapping[str, RunningComponent], folder: Path) -> str | None:
    """A `curl` command that sends a message, a request if there are any; a file in `folder` holds the message."""
    paths = {path.id: path for path in programme.system.message_paths}
    carried = [each for each in programme.volumes.traffic if each.path in entries]
    traffic = min(carried, key=lambda each: paths[each.path].offers.value != MessageKind.REQUEST, default=None)
    if traffic is None:
        return None
    entry, kind = entries[traffic.path], MessageKind(paths[traffic.path].offers.value)
    codec = codec_named(entry.spec.codec)
    body = folder / "message"
    body.write_bytes(codec.encode(Message(counter=1, srv=_srv(programme, traffic), device="device-1", kind=kind)))
    words = ["curl", "-i", "-H", f"Content-Type: {codec.content_type}", "--data-binary", f"@{body}"]
    return shlex.join([*words, entry.path_url(traffic.path)])


def _srv(programme: Programme, traffic: Traffic) -> str:
    groups = {group.id: group for group in programme.volumes.groups}
    return groups[traffic.groups[0]].srvs[0].srv


def _show(options: Namespace, described: dict[str, Any]) -> None:
    if options.json:
        print_json(described)
    else:
        title = f"Emulated system of {described['phase']} ({described['environment']})"
        console().print(table(title, _COLUMNS, _rows(described["components"]), right=("workers", "capacity/s")))
        for entry in described["entries"]:
            console().print(f"{escape(entry['path'])} begins at {escape(entry['url'])}", soft_wrap=True)
        if described["example"]:
            print(f"try it:\n  {described['example']}")
    sys.stdout.flush()
    print(f"running; Ctrl-C or `kill {described['pid']}` ends every process of it", file=sys.stderr, flush=True)


def _rows(components: Sequence[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    for each in components:
        numbers = str(each["workers"] or "any number"), each["capacity_per_second"] or "unlimited"
        paths = ", ".join(each["paths"])
        yield escape(each["component"]), each["url"], each["speaks"], *numbers, escape(paths)
