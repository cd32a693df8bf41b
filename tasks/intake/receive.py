"""Makes submitted files evidence for a planned test: read all of them first, then one record, or nothing at all.

The record holds the files as they were submitted, the manifest, the tables derived from them, the run document that
measuring and observing take, and an account of every line.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog import rules
from catalog.canonical import canonical, digest, document_digest
from catalog.declarations import Environment, Programme
from catalog.extensions import Point, used
from catalog.ledger import Kind, Record
from catalog.runs import RunState, next_run_id, test_runs
from catalog.store import Copied, copied
from expectations.verdicts import CLOSED_LOOP
from tasks.intake.archives import unpacked
from tasks.intake.circumstances import appended, circumstances, told_requests
from tasks.intake.format import Capability, Finding, Gives, Loop, Source, Start, SubmittedError
from tasks.intake.manifest import UNSTATED, Manifest, as_json
from tasks.intake.plausible import implausible, most_within
from tasks.intake.recognise import recognise
from tasks.intake.staging import Progress, Staged, connect, samples_of, stage, untold
from tasks.intake.submitted import digest_of, remember, state_of
from tasks.intake.table import Meaning, labels_of, write_infrastructure, write_results
from tasks.labels import parted
from tasks.plan import PlannedTest, decimal, offered_us
from tasks.stage import Artefact, Recorder, document
from tasks.volumes.model import traffic_labels

if TYPE_CHECKING:
    import duckdb

MOST_FIGURES = 5_000
"""So many of a summary's figures stand in the run document."""

Say = Callable[[str], object]
FileRead = tuple[list[Staged], str]
"""What one file held, and the SHA-256 of its bytes."""
Reader = Callable[[Path, Manifest, Path], Callable[[], FileRead]]
"""Has a file read, into an empty folder; what it returns waits for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Files as they were submitted, each with what it held; one archive may hold several.

    `originals`: a durable copy of each file, none where they are not to be recorded.
    """

    files: tuple[Path, ...]
    staged: tuple[Staged, ...]
    originals: tuple[Copied, ...] = ()

    @property
    def raw(self) -> list[Staged]:
        """Those that hold messages."""
        return [each for each in self.staged if each.samples]

    @property
    def summaries(self) -> list[Staged]:
        """Those that hold figures."""
        return [each for each in self.staged if each.figures]

    @property
    def extensions(self) -> dict[str, Any]:
        """What read them that is installed beside Plimsoll, by version and digest; absent where nothing is."""
        found = used({Point.RESULT_FORMATS: [each.format.name for each in self.staged]})
        return {"extensions": found} if found else {}

    @property
    def formats(self) -> str:
        """The formats that they are in."""
        return ", ".join(dict.fromkeys(each.format.name for each in self.staged))


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What an intake came to. `already`: the same files were received for this test before, and nothing was recorded.

    `record` holds it; `samples` and `skipped` count messages and units that could not be used.
    """

    record: Record
    test: str
    format: str
    samples: int
    skipped: int
    findings: tuple[Finding, ...]
    already: bool

    def as_json(self) -> dict[str, Any]:
        """The answer of `intake --json`."""
        return {
            "test": self.test,
            "format": self.format,
            "samples": self.samples,
            "skipped": self.skipped,
            "findings": [each.as_json() for each in self.findings],
            "evidence": self.record.digest,
            "run": self.record.parameters["run"],
            "already": self.already,
        }


def read_files(
    files: Sequence[Path],
    manifest: Manifest,
    folder: Path,
    *,
    copies: Path | None = None,
    say: Say = lambda _: None,
    progress: Progress = untold,
    elsewhere: Reader | None = None,
) -> Submission:
    """Every file, unpacked where it is an archive, recognised and read. `folder`: an empty one for what is written.

    `copies`: an empty folder on the store's disk, where the originals are copied to and hashed meanwhile. `elsewhere`:
    has other hosts read, all files at once. Raises SubmittedError for what cannot be read, and where a file changed
    meanwhile or is another on another host.
    """
    before = [state_of(file) for file in files]
    size, past = sum(found[0] for found in before), 0
    staged: list[Staged] = []
    waiting: list[Callable[[], FileRead]] = []
    with ThreadPoolExecutor(2) as beside:
        copying = []
        if copies is not None:  # the contract's libraries take two seconds to load, while DuckDB reads by itself
            beside.submit(import_module, "tasks.parquet")
        for number, file in enumerate(files):
            own = folder / str(number)
            own.mkdir(parents=True)
            if copies is not None:
                copying.append(beside.submit(copied, file, copies / str(number)))
            if elsewhere is not None:
                waiting.append(elsewhere(file, manifest, own))
                continue
            staged += _read(file, manifest, own, say, _part(progress, past, before[number][0], size))
            past += before[number][0]
        read = [found() for found in waiting]
        originals = tuple(each.result() for each in copying)
    if before != [state_of(file) for file in files]:
        raise SubmittedError("a file changed while it was read", remedy="Submit it when nothing writes to it any more.")
    for file, state, copy in zip(files, before, originals, strict=False):
        remember(file, state, copy.digest)
    for file, (found, seen) in zip(files, read, strict=False):
        if seen != digest_of(file):
            raise SubmittedError(f"{file}: another host has other bytes under this name than are here")
        staged += found
    return Submission(files=tuple(files), staged=tuple(staged), originals=originals)


def read_file(file: Path, manifest: Manifest, folder: Path) -> FileRead:
    """What is in one file, and the SHA-256 of its bytes, as they are on this host. `folder`: an empty one."""
    return list(_read(file, manifest, folder, lambda _: None, untold)), digest_of(file)


def _read(file: Path, manifest: Manifest, folder: Path, say: Say, progress: Progress) -> Iterator[Staged]:
    """What is in one file as it was submitted; `folder`: an empty one."""
    parts = unpacked(file, folder)
    sizes, past = [path.stat().st_size for _, path in parts], 0
    for number, ((name, path), size) in enumerate(zip(parts, sizes, strict=True)):
        source = Source(path=path, name=name, assumptions=manifest.file_assumptions())
        format_ = recognise(source)
        say(f"reading       {name}: {format_.name}, {size:,} bytes")
        work = folder / f"{number}.staged"
        work.mkdir()
        yield stage(format_, source, work, progress=_part(progress, past, size, sum(sizes)))
        past += size


def _part(progress: Progress, past: int, part: int, size: int) -> Progress:
    """The progress of a part, told as that of the whole: `past` comes before it, and it takes up `part` of `size`."""
    if progress is untold:
        return untold
    return lambda read, of: progress(past + part * read // max(1, of), size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """An intake that is about to be recorded: for which planned test, in which environment, and by whom."""

    recorder: Recorder
    programme: Programme
    environment: Environment
    planned: PlannedTest
    manifest: Manifest
    manifest_bytes: bytes
    folder: Path

    def receive(self, submission: Submission) -> Received:
        """Records the submission as received for the test. The same files and manifest again record nothing.

        Raises SubmittedError where they say nothing of how messages fared.
        """
        if not submission.raw and not any(_tells(each) for each in submission.summaries):
            raise SubmittedError(
                f"{submission.formats}: nothing in it says how messages fared",
                remedy="Submit the results that the tool wrote, and what else there is beside them.",
            )
        key = self._key(submission)
        found = self._before(key)
        if found is not None:
            return self._answer(found, submission, already=True)
        run = next_run_id(self._runs, test=self.planned.test, occasion=self.planned.occasion)
        connection = connect(self.folder)
        try:
            made = _Made.of(self, submission, run, connection)
        finally:
            connection.close()
        store = self.recorder.workspace.store
        store.put(canonical(self.planned.key))
        test = self.planned.key["inputs"]["test"]
        record = self.recorder.record(
            Kind.RECEIVED,
            "intake",
            key=key,
            inputs={"planned": self.planned.key_digest},
            outputs=made.outputs(self, submission),
            parameters={
                "run": run,
                "test": self.planned.test,
                "component": self.planned.component.id,
                **{name: test[name] for name in ("role", "type", "name")},
                "state": RunState.FINISHED.value,
                "planned": self.planned.key_digest,
                "why": f"received from {self.manifest.submitted_by.organisation}",
                "submitted_by": self.manifest.submitted_by.name,
                "submitted_at": self.manifest.submitted_at or UNSTATED,
                "format": submission.formats,
                "samples": made.samples,
                "skipped": sum(each.account.skips for each in submission.staged),
            },
            rules=rules.INTAKE,
        )
        return self._answer(record, submission, already=False)

    @property
    def _runs(self) -> Any:
        return test_runs(self.recorder.workspace.ledger.records())

    def attempt(self) -> int:
        """Which finished run of the test it is: the k-th is judged at a stricter level."""
        place = self.planned.occasion, self.planned.test, self.planned.key_digest
        same = [run for run in self._runs if (run.occasion, run.test, run.stands_for) == place]
        return 1 + sum(run.state is RunState.FINISHED for run in same)

    def _before(self, key: Mapping[str, Any]) -> Record | None:
        workspace = self.recorder.workspace
        found = workspace.find(document_digest(key), self.planned.occasion)
        return found if found and all(workspace.store.intact(each.digest) for each in found.outputs) else None

    def _key(self, submission: Submission) -> dict[str, Any]:
        """What the evidence depends on: the files, what is stated of them, and the test as it is planned.

        What is not stated says so: it is equal to nothing that a plan may ask for.
        """
        stated = as_json(self.manifest)
        components = {
            name: {part: value or UNSTATED for part, value in each.items()}
            for name, each in stated["components"].items()
        }
        return {
            "stage": "intake",
            "rules": rules.INTAKE,
            "inputs": {
                "test": self.planned.key["inputs"]["test"],
                "planned": self.planned.key_digest,
                "components": components or UNSTATED,
                "environment": {name: value or UNSTATED for name, value in stated["environment"].items()},
                "volumes": stated["volumes"] or UNSTATED,
                "tool": {name: value or UNSTATED for name, value in stated["tool"].items()},
                "files": [digest_of(file) for file in submission.files],
                "manifest": digest(self.manifest_bytes),
                **submission.extensions,
            },
        }

    def _answer(self, record: Record, submission: Submission, *, already: bool) -> Received:
        store = self.recorder.workspace.store
        account = store.document(record.output("account") or "")
        return Received(
            record=record,
            test=self.planned.test,
            format=submission.formats,
            samples=record.parameters["samples"],
            skipped=record.parameters["skipped"],
            findings=tuple(Finding(code=each["code"], message=each["message"]) for each in account["findings"]),
            already=already,
        )


def _tells(staged: Staged) -> bool:
    """Whether a summary says how many messages there were, or how long any took."""
    return any(each.metric == "requests" or each.metric.startswith(("service-", "latency-")) for each in staged.figures)


@dataclass(slots=True, kw_only=True)
class _Made:
    """Tables and documents of one intake, before they are recorded."""

    run: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    results: Path | None = None
    infrastructure: Path | None = None
    samples: int = 0

    @classmethod
    def of(cls, intake: Intake, submission: Submission, run: str, connection: "duckdb.DuckDBPyConnection") -> "_Made":
        """The tables, written to the intake's folder, and what they say."""
        made = cls()
        for each in submission.staged:
            made.findings += [*each.account.findings, *appended(each)]
        made._write_results(intake, submission, run, connection)
        made._write_infrastructure(intake, submission, run, connection)
        span, most = _span(connection, submission), _most_in_time(connection, intake, submission)
        made.run = _document(intake, submission, run, span, made.samples)
        made.run["received"]["in_time"] = {
            "planned_us": offered_us(intake.environment, intake.planned.profile),
            "most": most,
        }
        made.findings += circumstances(intake, submission, made.run, made.samples)
        return made

    def _write_results(
        self, intake: Intake, submission: Submission, run: str, connection: "duckdb.DuckDBPyConnection"
    ) -> None:
        raw = submission.raw
        if not raw:
            return
        files = [path for each in raw for path in each.samples]
        labels = labels_of(connection, files)
        meanings = _meanings(intake, labels)
        unknown = [label for label in labels if label not in meanings]
        if unknown:
            self.findings.append(Finding(
                code="labels",
                message=f"{len(unknown)} labels stand for no SRV of the plan, nor does the manifest say what they do: "
                f"{', '.join(unknown[:5])}",
            ))  # fmt: skip
        self.results = intake.folder / "results.parquet"
        self.samples = write_results(
            connection, files, self.results, run=run, component=intake.planned.component.id, labels=labels,
            meanings=meanings, in_order=len(files) == 1,
        )  # fmt: skip
        self.findings += implausible(connection, [each.samples for each in raw], intake.manifest.window_us())

    def _write_infrastructure(
        self, intake: Intake, submission: Submission, run: str, connection: "duckdb.DuckDBPyConnection"
    ) -> None:
        files = [path for each in submission.staged for path in each.readings]
        self.infrastructure = intake.folder / "infrastructure.parquet"
        _, twice = write_infrastructure(
            connection, files, self.infrastructure, run=run, component=intake.planned.component.id,
            hosts=intake.manifest.hosts, metrics=intake.manifest.metrics,
        )  # fmt: skip
        if twice:
            message = (
                f"{twice} samples are of a time and metric that there is one of already; the smallest value stands"
            )
            self.findings.append(Finding(code="duplicate-readings", message=message))

    def outputs(self, intake: Intake, submission: Submission) -> dict[str, Artefact]:
        """All that the record names."""
        account = {
            "manifest": as_json(intake.manifest),
            "files": [
                {"name": file.name, "bytes": file.stat().st_size, "digest": digest_of(file)}
                for file in submission.files
            ],
            "read": [
                {
                    "name": each.source.name,
                    "format": each.format.name,
                    "digest": digest_of(each.source.path),
                    **each.account.as_json(),
                }
                for each in submission.staged
            ],
            "findings": [each.as_json() for each in self.findings],
        }
        tables = {"results": self.results, "infrastructure": self.infrastructure}
        originals = enumerate(submission.originals, 1)
        return {
            "run": document(self.run),
            "account": document(account),
            "manifest": Artefact(data=intake.manifest_bytes),
            **{name: Artefact(data=file) for name, file in tables.items() if file is not None},
            **{f"original {number}": Artefact(data=copy.path, copy=copy) for number, copy in originals},
        }


def _meanings(intake: Intake, labels: Sequence[str]) -> dict[str, Meaning]:
    """What labels stand for: as the manifest says, else where one is an SRV that the test offers on one path."""
    traffic = traffic_labels(intake.programme)
    offered: dict[str, list[tuple[str, str]]] = {}
    for label in intake.planned.key["inputs"]["volumes"]["messages"]:
        path, srv, kind = parted(label)
        offered.setdefault(srv, []).append((path, kind))
    found = {}
    for label in labels:
        stated = intake.manifest.labels.get(label)
        srv = stated.srv if stated else label
        places = offered.get(srv, [])
        path, kind = places[0] if len(places) == 1 else ("", "request")
        if stated:
            path, kind = stated.path or path, stated.kind or kind
        if stated or srv in offered:
            said = stated.traffic if stated else ""
            found[label] = Meaning(srv=srv, path=path, kind=kind, traffic=said or traffic.get((path, srv), ""))
    return found


def _span(connection: "duckdb.DuckDBPyConnection", submission: Submission) -> tuple[int, int]:
    """From the first message to the last, in microseconds since the epoch; zeros where there are none."""
    files = tuple(path for each in submission.raw for path in each.samples)
    if not files:
        return 0, 0
    at = "coalesce(intended_us, sent_us)"
    found = connection.execute(f"SELECT min({at}), max({at}) FROM ({samples_of(files)})").fetchone()  # noqa: S608  # `samples_of` quotes its files
    return (int(found[0]), int(found[1])) if found and found[0] is not None else (0, 0)


def _most_in_time(connection: "duckdb.DuckDBPyConnection", intake: Intake, submission: Submission) -> int | None:
    """The most messages that were sent within a stretch as long as the test is planned to be; None where unknown.

    As many over a longer time are a smaller load.
    """
    planned_us = offered_us(intake.environment, intake.planned.profile)
    if submission.raw:
        files = tuple(path for each in submission.raw for path in each.samples)
        return most_within(connection, files, planned_us)
    told, window = told_requests(submission), intake.manifest.window_us()
    if told is None or window is None:
        return None
    return min(told, told * planned_us // (window[1] - window[0]))


def _capability(submission: Submission) -> Capability:
    """The weakest of what its files can show."""
    told = [each.account.capability for each in submission.raw or submission.summaries]
    known = [each for each in told if each is not None]
    starts, loops = {each.latency_from for each in known}, {each.loop for each in known}
    return Capability(
        gives=Gives.RAW if submission.raw else Gives.SUMMARY,
        resolution_us=max((each.resolution_us for each in known), default=0),
        latency_from=starts.pop() if len(starts) == 1 else Start.UNKNOWN,
        loop=Loop.CLOSED if Loop.CLOSED in loops else loops.pop() if len(loops) == 1 else Loop.UNKNOWN,
        percentiles="; ".join(dict.fromkeys(each.percentiles for each in known)),
        warm_up="; ".join(dict.fromkeys(each.warm_up for each in known)),
    )


def _document(intake: Intake, submission: Submission, run: str, span: tuple[int, int], samples: int) -> dict[str, Any]:
    """The test run as recorded; times in microseconds since the epoch, durations in microseconds."""
    planned, profile, environment = intake.planned, intake.planned.profile, intake.environment
    start, end = intake.manifest.window_us() or span
    due = offered_us(environment, profile)
    window = max(1, end - start) if end > start else due
    factors = planned.key["inputs"]["factors"]
    capability = _capability(submission)
    tools = dict.fromkeys(f"{each.account.tool} {each.account.version}".strip() for each in submission.staged)
    stated = f"{intake.manifest.tool.name} {intake.manifest.tool.version}".strip()
    told = ", ".join(tool for tool in tools if tool) or stated or "an unknown tool"
    is_closed = capability.loop is Loop.CLOSED
    figures = [figure for each in submission.summaries for figure in each.figures] if not submission.raw else []
    return {
        "run": run,
        "test": planned.test,
        "phase": planned.phase,
        "occasion": planned.occasion,
        "component": planned.component.id,
        "role": planned.component.role,
        "type": profile.type.value,
        "name": profile.id,
        "environment": environment.id,
        "environment_kind": environment.kind.value,
        "compression": _compression(intake, min(window, span[1] - span[0]) if samples else window, due),
        "rate": factors["rate"],
        "seed": planned.key["inputs"]["arrivals"]["seed"],
        "level_index": intake.attempt(),
        "blocks": profile.blocks,
        "start_us": start,
        "window_us": window,
        "timeout_us": profile.timeout,
        "lateness_limit_us": profile.lateness,
        "sampling_interval_us": 1_000_000,
        "target": {"messages": planned.messages},
        "steps": [],
        "definition": planned.key["inputs"]["test"]["definition"],
        "released": 0,
        "compared": [],
        "injector": {"kind": f"received: {told}" + (f", {CLOSED_LOOP}" if is_closed else ""), "steps": []},
        "unreachable": "",
        "received": {
            "gives": capability.gives.value,
            "capability": capability.as_json(),
            "evidence": _evidence(capability, told),
            "from": intake.manifest.submitted_by.organisation,
            "tool": told,
            "messages": samples,
            **submission.extensions,
            "figures": [
                {name: getattr(each, name) for name in ("scope", "metric", "value", "unit", "samples", "method")}
                for each in figures[:MOST_FIGURES]
            ],
        },
    }  # fmt: skip


def _compression(intake: Intake, covered_us: int, due_us: int) -> str:
    """As planned where the messages cover the time they should; else how many times shorter they are than declared."""
    if covered_us * 100 >= due_us * 99:
        return str(intake.planned.key["inputs"]["factors"]["compression"])
    return decimal(Fraction(intake.planned.profile.duration, max(1, covered_us)))


def _evidence(capability: Capability, tool: str) -> str:
    """What an observation says of the evidence that it rests on."""
    parts = [f"received, {tool}"]
    if capability.gives is Gives.SUMMARY:
        parts.append("the tool's own figures only")
    parts.append("loop not known" if capability.loop is Loop.UNKNOWN else capability.loop.value)
    start = capability.latency_from
    parts.append("latency from an unknown moment" if start is Start.UNKNOWN else f"latency from {start.value} time")
    return ", ".join(parts)
