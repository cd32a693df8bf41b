"""The injector as its callers see it: a load goes in, an injection comes out. Another tool is another `Injector`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from catalog.errors import EvidenceError, WorldError
from tasks.codecs import DEFAULT_ORIGINATOR, MessageKind, codec_named
from tasks.inject.files import (
    ACKNOWLEDGED,
    HTTP_1_1,
    LIBCURL,
    NOBODY,
    PHASES,
    PHASES_SUFFIX,
    RESULTS,
    ROW,
    WORK,
    InjectionSpec,
    Start,
    write_columns,
)
from tasks.inject.receive import ReceivePort
from tasks.inject.segments import SUFFIX
from tasks.scratch import scratch
from tasks.wire.client import address
from tasks.wire.process import ChildProcess
from tasks.wire.tls import Names

SEGMENTS = "segments"
"""The folder of segments, in the folder of a load."""

Column = NDArray[np.int64]
_NO_ROWS: Column = np.empty(0, dtype=np.int64)
Progress = Callable[[int, int, int], object]
"""Called about once a second with messages done, offered and in all."""
Gate = Callable[[], Start]
"""Asked, once everything is ready, when to start; whoever answers may take their time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Messages to offer, a row each: int64 columns of one length. `offset_us`, from the start, must not decrease.

    `path`, `srv`, `kind` and `device` are codes: positions in `paths`, `srvs`, `kinds` and `devices`. `after` is the
    row, one before its own, whose answer a message waits for; -1: it is due at its offset. Raises ValueError when
    lengths differ, a code has no name, rows are out of order, or a message waits for one that comes after it.
    """

    sequence: Column
    offset_us: Column
    path: Column
    srv: Column
    kind: Column
    device: Column
    after: Column
    paths: tuple[str, ...]
    srvs: tuple[str, ...]
    kinds: tuple[str, ...]
    devices: tuple[str, ...]

    def __post_init__(self) -> None:
        if len({len(getattr(self, name)) for name in WORK}) != 1:
            raise ValueError("the columns of a load have one length")
        if not len(self.sequence):
            return
        if self.offset_us[0] < 0 or np.any(np.diff(self.offset_us) < 0):
            raise ValueError("the messages of a load are in order of offset_us, from 0 on")
        if np.unique(self.sequence).size != self.sequence.size or self.sequence.min() < 0:
            raise ValueError("each message of a load has a sequence of its own, from 0 on")
        for name in ("path", "srv", "kind", "device"):
            codes, names = getattr(self, name), getattr(self, f"{name}s")
            if codes.min() < 0 or codes.max() >= len(names):
                raise ValueError(f"a {name} code of the load has no name")
        if self.after.min() < NOBODY or np.any(self.after >= np.arange(len(self))):
            raise ValueError("a message of a load waits for one that comes before it, or for none")

    @classmethod
    def of(
        cls,
        *,
        offset_us: Sequence[int] | Column,
        path: Sequence[str],
        srv: Sequence[str],
        kind: Sequence[str],
        device: Sequence[str],
        sequence: Sequence[int] | Column | None = None,
        after: Sequence[int] | Column | None = None,
    ) -> Self:
        """A load from columns of names. Messages are numbered from 0 unless `sequence` is given, and wait for none
        unless `after` is.
        """
        offsets = np.asarray(offset_us, dtype=np.int64)
        numbers = np.arange(len(offsets)) if sequence is None else sequence
        path_codes, paths = _encode(path)
        srv_codes, srvs = _encode(srv)
        kind_codes, kinds = _encode(kind)
        device_codes, devices = _encode(device)
        return cls(
            sequence=np.asarray(numbers, dtype=np.int64),
            offset_us=offsets,
            path=path_codes,
            srv=srv_codes,
            kind=kind_codes,
            device=device_codes,
            after=np.full(len(offsets), NOBODY) if after is None else np.asarray(after, dtype=np.int64),
            paths=paths,
            srvs=srvs,
            kinds=kinds,
            devices=devices,
        )

    def __len__(self) -> int:
        return len(self.sequence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a load goes: `urls` gives a base URL for each path (messages go to `/paths/<path id>` below it).

    `connections` are opened before the start, to each base URL; the pool may grow to `max_connections` while the load
    runs. `timeout_us` counts from the instant a message was due. `tls` says where the certificates for `https://` are
    to be found (see `tasks.wire.tls`). `receive` is where the system sends responses that it does not have at once, and
    `originator` who asks: injectors that offer parts of a load side by side have an originator and a port each.
    """

    urls: Mapping[str, str]
    codec: str
    connections: int = 64
    max_connections: int = 512
    timeout_us: int = 30_000_000
    tls: Names = field(default_factory=dict)
    originator: str = DEFAULT_ORIGINATOR
    receive: ReceivePort | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Injection:
    """What came of a load. Every message offered has one row, in the load's order.

    `columns` are int64: sequence, intended_us, ready_us, sent_us, done_us (epoch µs; sent_us -1 if it never was),
    status (HTTP, 0 if none), outcome (an `Outcome`), bytes (received). `acknowledgements` holds a row for each message
    that was acknowledged, likewise: done_us, status and bytes are the acknowledgement's, the outcome is `ACKNOWLEDGED`,
    the rest is as in the message's own row. `summary` is the injector's word on itself.
    """

    columns: Mapping[str, Column]
    summary: Mapping[str, Any]
    acknowledgements: Mapping[str, Column] = field(default_factory=lambda: dict.fromkeys(RESULTS, _NO_ROWS))


class Injector(Protocol):
    """Something that offers a load to a target."""

    def run(self, load: Load, target: Target, *, progress: Progress | None = None) -> Injection:
        """Offer `load` and wait for every outcome. WorldError when the target cannot be reached before the start."""


class InterruptedLoadError(WorldError):
    """The injector ended in the midst of a load: `injection` is what it had written, `lost` the rest's sequences."""

    def __init__(self, message: str, *, injection: Injection, lost: Column) -> None:
        super().__init__(message)
        self.injection = injection
        self.lost = lost


class ToldError(WorldError):
    """What the injector said itself, and then ended."""


class OwnInjector:
    """The injector of this house, in a process of its own. `on_start` is told its process id before it connects.

    It speaks HTTP/1.1. Results are kept in `folder` while the load runs (a temporary one if there is none), in segments
    that are complete at any time: `recovered` reads them, whoever wrote them. Without a `gate` it starts when it is
    ready.
    """

    def __init__(
        self,
        *,
        on_start: Callable[[int], object] | None = None,
        folder: Path | None = None,
        gate: Gate | None = None,
    ) -> None:
        self._on_start = on_start
        self._folder = folder
        self._gate = gate

    def run(self, load: Load, target: Target, *, progress: Progress | None = None) -> Injection:
        """See `Injector`. Also raises `InterruptedLoadError` when the process ends in the midst of the load."""
        with scratch() as temporary:
            folder = Path(temporary) if self._folder is None else self._folder
            spec = self._with_engine(replace(_spec(load, target, folder), gated=self._gate is not None))
            Path(spec.segments).mkdir()
            columns = (np.ascontiguousarray(getattr(load, name), dtype=np.int64) for name in WORK)
            write_columns(Path(spec.work), (column.data.cast("B") for column in columns))
            fds = [target.receive.listener.fileno()] if target.receive else []
            with ChildProcess("tasks.inject", spec.as_json(), name="the injector", pass_fds=fds) as process:
                if self._on_start is not None:
                    self._on_start(process.pid)
                try:
                    summary = _follow(process, progress, self._gate)
                except WorldError as error:
                    _tell_gap(error, load, folder)
                    raise
            injection = recovered(load, folder, summary)
        if progress is not None:
            progress(len(load), len(load), len(load))
        return injection

    def _with_engine(self, spec: InjectionSpec) -> InjectionSpec:
        return spec


class LibcurlInjector(OwnInjector):
    """The same with libcurl for an engine. `http`: `http/1.1`, or `h2`, at once where the URL is not `https://`.

    `proxy`: its `url` (http, https, socks4, socks4a, socks5, socks5h), and the names of environment variables or files
    with `user`, `password` and `ca`. Beside the results it keeps until when each phase of a transfer lasted; see
    `recovered_phases`.
    """

    def __init__(
        self,
        *,
        http: str = HTTP_1_1,
        proxy: Mapping[str, str] | None = None,
        on_start: Callable[[int], object] | None = None,
        folder: Path | None = None,
        gate: Gate | None = None,
    ) -> None:
        super().__init__(on_start=on_start, folder=folder, gate=gate)
        self._http = http
        self._proxy = dict(proxy or {})

    def run(self, load: Load, target: Target, *, progress: Progress | None = None) -> Injection:
        """See `OwnInjector`. Also raises WorldError where pycurl is not installed."""
        require("pycurl", extra="libcurl")
        return super().run(load, target, progress=progress)

    def _with_engine(self, spec: InjectionSpec) -> InjectionSpec:
        return replace(spec, engine=LIBCURL, http=self._http, proxy=self._proxy)


def require(module: str, *, extra: str) -> None:
    """Raises WorldError, with the line that installs it, where a module of one of our extras is not installed."""
    if find_spec(module) is None:
        raise WorldError(
            f"the injector {extra!r} needs the Python package {module!r}, which is not installed",
            remedy=f"In the folder that plimsoll was installed from: pip install '.[{extra}]'",
        )


def recovered(load: Load, folder: Path, summary: Mapping[str, Any] | None = None) -> Injection:
    """What the segments in `folder` hold of `load`, in its order. EvidenceError when one does not belong to it."""
    files = sorted((folder / SEGMENTS).glob(f"*{SUFFIX}"))
    rows = _rows_of(files)
    by_sequence = np.argsort(load.sequence, kind="stable")
    places = np.searchsorted(load.sequence, rows[:, 0], sorter=by_sequence)
    if np.any(places >= len(load)) or np.any(load.sequence[by_sequence[places]] != rows[:, 0]):
        raise EvidenceError(f"{folder / SEGMENTS} holds results of another load")
    order = np.argsort(by_sequence[places], kind="stable")
    first = rows[order, RESULTS.index("outcome")] == ACKNOWLEDGED
    return Injection(
        columns=_columns(rows, order[~first]), acknowledgements=_columns(rows, order[first]), summary=summary or {}
    )


def _rows_of(files: Sequence[Path]) -> Column:
    """The rows of all segments, one after the other; they are in memory once."""
    counts = [file.stat().st_size // ROW.size for file in files]
    rows = np.empty((sum(counts), len(RESULTS)), dtype=np.int64)
    first = 0
    for file, count in zip(files, counts, strict=True):
        rows[first : first + count] = np.fromfile(file, dtype=np.int64).reshape(-1, len(RESULTS))
        first += count
    return rows


def _columns(rows: Column, order: Column) -> dict[str, Column]:
    """The rows in this order, column by column."""
    return {name: rows[order, place] for place, name in enumerate(RESULTS)}


def recovered_phases(folder: Path) -> Mapping[str, Column]:
    """Until when the phases of each transfer lasted, µs from its start, by `sequence`, a row for each row of results.

    -1 throughout where it came to no answer, and in the second row of a message that was acknowledged: its transfer
    ended with the acknowledgement. Empty columns where the load's engine does not tell.
    """
    files = sorted((folder / SEGMENTS).glob(f"*{SUFFIX}"))
    timed = [file.with_suffix(PHASES_SUFFIX) for file in files]
    width = len(PHASES)
    parts = [np.fromfile(file, dtype=np.int64).reshape(-1, width) for file in timed if file.exists()]
    rows = np.concatenate(parts) if parts else np.empty((0, width), dtype=np.int64)
    held = (np.fromfile(file, dtype=np.int64)[:: len(RESULTS)] for file in files if parts)
    sequence = np.concatenate([np.empty(0, dtype=np.int64), *held])
    return {"sequence": sequence} | {name: rows[:, place].copy() for place, name in enumerate(PHASES)}


def _tell_gap(error: WorldError, load: Load, folder: Path) -> None:
    """Raises `InterruptedLoadError`, which says which messages have no result.

    Not where the injector said itself why it offered nothing at all: that is the target's fault, or this machine's.
    """
    injection = recovered(load, folder)
    held = injection.columns["sequence"]
    if isinstance(error, ToldError) and not len(held):
        return
    lost = load.sequence[~np.isin(load.sequence, held)]
    told = gap(load.sequence, load.offset_us, held)
    raise InterruptedLoadError(f"{error}\n{told}", injection=injection, lost=lost) from error


def gap(sequence: Column, offset_us: Column, held: Column) -> str:
    """Which messages of a load have no result, in words; `held` are the sequences that have one."""
    is_lost = ~np.isin(sequence, held)
    lost, due_us = sequence[is_lost], offset_us[is_lost]
    if not len(lost):
        return "every message has its result"
    return (
        f"{len(lost)} of {len(sequence)} messages have no result: sequences {lost[0]} to {lost[-1]}, "
        f"due {due_us[0]} to {due_us[-1]} µs after the start"
    )


def _follow(process: ChildProcess, progress: Progress | None, gate: Gate | None) -> dict[str, Any]:
    while True:
        document = process.read()
        if "prepared" in document and gate is not None:
            process.tell(gate().as_json())
            continue
        if "error" in document:
            raise ToldError(document["error"], remedy="Check that the system under test is up and listens there.")
        if "summary" in document:
            summary: dict[str, Any] = document["summary"]
            return summary
        if progress is not None:
            progress(document["done"], document["offered"], document["total"])


def _spec(load: Load, target: Target, folder: Path) -> InjectionSpec:
    missing = sorted(set(load.paths) - set(target.urls))
    if missing:
        raise WorldError(f"the target has no URL for the message paths {', '.join(missing)}")
    if not 0 <= target.connections <= target.max_connections or target.max_connections < 1 or target.timeout_us < 1:
        raise ValueError("expected 0 <= connections <= max_connections, and a time-out of at least 1 µs")
    codec_named(target.codec)
    for url in target.urls.values():
        address(url)
    return InjectionSpec(
        work=str(folder / "work"),
        segments=str(folder / SEGMENTS),
        summary=str(folder / "summary.json"),
        count=len(load),
        paths=list(load.paths),
        srvs=list(load.srvs),
        kinds=[MessageKind(kind).value for kind in load.kinds],
        devices=list(load.devices),
        urls={path: target.urls[path] for path in load.paths},
        codec=target.codec,
        connections=target.connections,
        max_connections=target.max_connections,
        timeout_us=target.timeout_us,
        tls=dict(target.tls),
        originator=target.originator,
        receive=dict(target.receive.tls) if target.receive else None,
    )


def _encode(column: Sequence[str]) -> tuple[Column, tuple[str, ...]]:
    names = {name: code for code, name in enumerate(dict.fromkeys(column))}
    return np.fromiter((names[name] for name in column), dtype=np.int64, count=len(column)), tuple(names)
