"""Executes one planned test: stands up what is emulated, offers its arrivals open loop, samples, and keeps every row.

A test is a sequence of steps, as `tasks.course` says: most have one; stress searches for the highest load carried, and
regression takes turns with the baseline. Nothing is judged here beyond that: verdicts are `tasks.observe`'s.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from catalog.declarations import Emulated, Environment, MessageKind, Profile, Programme, TestType
from catalog.errors import WorldError
from catalog.runs import RunState
from expectations import capacity
from expectations.statistics import MILLION
from expectations.statistics import Step as Came
from expectations.verdicts import LATER, is_closed_loop
from expectations.verdicts import Outcome as Expected
from tasks.alarm import Alarm, Tell, in_force
from tasks.arrivals import Arrivals, arrivals_of, offered_messages, released_messages, shard_of
from tasks.codecs import Flaw, unauthorised_device, unreachable_device
from tasks.course import Part, Taken, Turn, has_turns, next_turn
from tasks.emulate.system import RunningSystem, start_system
from tasks.inject.choice import is_gated, open_injector, reach_entry, scripted_injector
from tasks.inject.files import ACKNOWLEDGED, NEVER, NOBODY, Outcome
from tasks.inject.injector import Injection, Injector, InterruptedLoadError, Load, Target
from tasks.inject.receive import ReceivePort, open_port
from tasks.inject.scripts import ScriptedInjection
from tasks.inject.shards import Hosts, ShardedInjector, WholeInjector, Work, told_whole
from tasks.labels import flaw_of, parted
from tasks.metrics import Watch
from tasks.notebook import Notebook
from tasks.plan import PlannedTest, offered_us
from tasks.sample import SAMPLE, Sampler
from tasks.scaling import changes_of, scaled_system
from tasks.stand_up import acknowledged_paths, entry_codec, scaled, specs_for_test
from tasks.volumes.model import traffic_labels

if TYPE_CHECKING:
    import pandas as pd

SAMPLES = 100
"""Samples of every process that a test of any length aims at: more than a 95th percentile of CPU needs."""

SAMPLING_US = (60_000, 1_000_000)
"""The shortest and the longest time between two samples, in microseconds; closer ones would say nothing of CPU."""

StepProgress = Callable[[int, int, int, int], object]
"""Called about once a second with the step (from 0), and messages done, offered and in all of that step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a test: what was offered in it and why, and the sequences and time that it took."""

    turn: Turn
    first: int
    arrivals: Arrivals
    injection: Injection

    @property
    def sequence(self) -> NDArray[np.int64]:
        """The number of each of its messages among all of the test."""
        return self.first + np.arange(len(self.arrivals), dtype=np.int64)

    @property
    def rows(self) -> dict[str, NDArray[np.int64]]:
        """Its rows by sequence, the one of a message before that of its acknowledgement."""
        alone = self.injection.columns
        if not len(self.injection.acknowledgements["sequence"]) and np.all(np.diff(alone["sequence"]) > 0):
            return dict(alone)  # as they lie there: of a long test, a copy is gigabytes
        both = (alone, self.injection.acknowledgements)
        raw = {name: _joined(each[name] for each in both) for name in self.injection.columns}
        order = np.lexsort((raw["outcome"] == ACKNOWLEDGED, raw["sequence"]))
        return {name: column[order] for name, column in raw.items()}

    @property
    def start_us(self) -> int:
        """When it began; 0 when an interruption left no row to tell it by.

        Where there is a row of a message that follows another, there is that of the other, which is due at its offset.
        A closed loop says so itself; where it could not, it is known by the first message that it sent.
        """
        if isinstance(self.injection, ScriptedInjection):
            return self.injection.start_us
        if "first_intended_us" in self.injection.summary:
            return int(self.injection.summary["first_intended_us"]) - int(self.arrivals.offset_us[0])
        rows = self.rows
        if not len(rows["sequence"]):
            return 0
        return int(rows["intended_us"][0] - self.arrivals.offset_us[rows["sequence"][0] - self.first])

    def as_json(self) -> dict[str, Any]:
        """The step as the run document holds it: sequences inclusive, times in microseconds."""
        return {
            "part": self.turn.part.value,
            "multiple_ppm": int(self.turn.multiple * MILLION),
            "first": self.first,
            "last": self.first + len(self.arrivals) - 1,
            "start_us": self.start_us,
            "window_us": self.arrivals.window_us,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Conducted:
    """What came of a test run. `document` describes it; without rows when the system could not be tested at all.

    `reason`: why it did not finish, empty when it did. `batches`: its tables by name, each a few rows after the other.
    """

    document: dict[str, Any]
    state: RunState
    reason: str = ""
    batches: Mapping[str, Callable[[], "Iterator[pd.DataFrame]"]] = field(default_factory=dict)

    @property
    def tables(self) -> dict[str, "pd.DataFrame"]:
        """Its tables by name, each as one: of a run that is short."""
        import pandas as pd

        return {name: pd.concat(list(batches()), ignore_index=True) for name, batches in self.batches.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
    """One execution that is about to happen: the test, where, and under which run id.

    `folder`: where it writes what it has so far; without one, that is kept until it ends, and a crash loses it.
    `tell`: is told of infrastructure beyond its limits while the test runs, from another thread.
    `hosts`: which offer each step by so many `shards`; without them this machine does. `say` is told what happens to
    hosts.
    """

    programme: Programme
    environment: Environment
    planned: PlannedTest
    run: str
    attempt: int
    progress: StepProgress
    folder: Path | None = None
    tell: Tell = lambda _: None
    hosts: Hosts | None = None
    shards: int = 1
    say: Callable[[str], object] = lambda _: None

    def execute(self) -> Conducted:
        """Executes the test. A system that cannot be stood up or reached is an outcome with a reason, not an error.

        So is an injector that ends in the midst: what it had written is kept.
        """
        steps: list[Step] = []
        sampler: Sampler | None = None
        watch: Watch | None = None
        told: list[list[Any]] = []
        state, reason = RunState.FINISHED, ""
        document = self._document()
        if self._notes:
            self._notes.begin(document)
        try:
            with ExitStack() as stack:
                port = self._receive(stack)
                system, baseline = self._stand_up(stack, port), self._stand_up_baseline(stack, port)
                watch = stack.enter_context(self._watch())
                stack.push(partial(_ask_after, watch, steps, told))
                document |= self._scale(stack)
                sampler = stack.enter_context(self._sampler(system, watch))
                for step in self._offer(self._targets(system, baseline, port), sampler):
                    steps.append(step)  # noqa: PERF402  # extend() promises nothing of what came before an error
        except InterruptedLoadError as error:
            state, reason = RunState.INTERRUPTED, str(error)
        except WorldError as error:
            state, reason = RunState.UNREACHABLE, str(error)
        samples = [*(sampler.rows() if sampler else ()), *told]
        document |= watch.as_json() if watch else {}
        return conducted(self.programme, document, steps, samples=samples, state=state, reason=reason)

    def _scale(self, stack: ExitStack) -> dict[str, Any]:
        """Tells a real system when its capacity is to change, where it has been declared who does that."""
        name, plan = self.planned.component.id, self._profile.scaling
        if plan is None or name not in self.environment.entries or name not in self.environment.scaled_by:
            return {}
        changes = changes_of(plan, Fraction(self.planned.key["inputs"]["factors"]["compression"]))
        url = self.environment.scaled_by[name]
        return stack.enter_context(scaled_system(url, changes, self.environment.tls_names))

    def _watch(self) -> Watch:
        sources = self.environment.sources_of(self.planned.component.id)
        return Watch(self.planned.component.id, sources, self.environment.tls_names)

    @property
    def _notes(self) -> Notebook | None:
        return Notebook(self.folder) if self.folder else None

    @property
    def _profile(self) -> Profile:
        return self.planned.profile

    @property
    def _sampling_us(self) -> int:
        shortest, longest = SAMPLING_US
        return min(longest, max(shortest, offered_us(self.environment, self._profile) // SAMPLES))

    @property
    def _seed(self) -> int:
        seed: int = self.planned.key["inputs"]["arrivals"]["seed"]
        return seed

    def _receive(self, stack: ExitStack) -> ReceivePort | None:
        """The port of the receive service, where anything may come to one. It stays open from step to step."""
        name, declared = self.planned.component.id, self.environment.receive
        is_real = name in self.environment.entries
        if declared and (is_real or name in self.environment.baseline_entries):
            return stack.enter_context(open_port(declared.listen, declared.names))
        emulated = [None if is_real else self.environment.components[name], self._emulated_baseline]
        return stack.enter_context(open_port()) if any(map(self._acknowledges, emulated)) else None

    def _acknowledges(self, emulated: Emulated | None) -> bool:
        return bool(acknowledged_paths(self.programme, self.planned.component, emulated, self._paths))

    @property
    def _paths(self) -> list[str]:
        return sorted({parted(label)[0] for label in self._target})

    def _stand_up(self, stack: ExitStack, port: ReceivePort | None) -> RunningSystem | None:
        """The emulated system for this test; None when the environment is a real one that stands already."""
        if entry := self.environment.entries.get(self.planned.component.id):
            reach_entry(self.environment, entry)
            return None
        emulated = self.environment.components[self.planned.component.id]
        if self._profile.scaling is not None:
            emulated = scaled(
                emulated, self._profile.scaling, Fraction(self.planned.key["inputs"]["factors"]["compression"])
            )
        return self._start(stack, emulated, port)

    @property
    def _emulated_baseline(self) -> Emulated | None:
        """The baseline that a regression test takes turns with; None where there is none, or a real one."""
        if self._profile.comparison is None or self.environment.entries:
            return None
        return self.environment.baselines.get(self.planned.component.id)

    def _stand_up_baseline(self, stack: ExitStack, port: ReceivePort | None) -> RunningSystem | None:
        emulated = self._emulated_baseline
        return self._start(stack, emulated, port) if emulated else None

    def _start(self, stack: ExitStack, emulated: Emulated, port: ReceivePort | None) -> RunningSystem:
        receive = port.url if port and self._acknowledges(emulated) else ""
        component = self.planned.component
        specs = specs_for_test(self.programme, self.environment, component, self._paths, emulated, receive=receive)
        return stack.enter_context(start_system(specs))

    @property
    def _follows(self) -> dict[str, str]:
        """Label to the label of the message right before it, whose answer such a message waits for."""
        follows: dict[str, str] = self.planned.key["inputs"]["arrivals"].get("follows", {})
        return follows

    @property
    def _target(self) -> dict[str, int]:
        target: dict[str, int] = self.planned.key["inputs"]["volumes"]["messages"]
        return target

    def _targets(
        self, system: RunningSystem | None, baseline: RunningSystem | None, port: ReceivePort | None
    ) -> dict[Part, Target]:
        """Where each part of the test is offered; a part that is not in it has nowhere to go."""
        name = self.planned.component.id
        entry = system[name].url if system else self.environment.entries[name]
        old = baseline[name].url if baseline else self.environment.baseline_entries.get(name, "")
        urls = {part: old if part is Part.BASELINE else entry for part in Part}
        return {part: self._target_at(url, port) for part, url in urls.items() if url}

    def _target_at(self, url: str, port: ReceivePort | None) -> Target:
        return Target(
            urls=dict.fromkeys(self._paths, url),
            codec=entry_codec(self.programme, self.planned.component.id),
            connections=self.environment.connections,
            max_connections=self.environment.max_connections,
            timeout_us=self._profile.timeout,
            tls=self.environment.tls_names,
            receive=port,
        )

    def _offer(self, targets: Mapping[Part, Target], sampler: Sampler) -> Iterator[Step]:
        """Each step once it is over, so that a system that is gone at the next one takes no row with it."""
        if self._is_closed:
            yield from self._offer_script(targets[Part.WHOLE], sampler)
            return
        first, taken = 0, list[Taken]()
        while (turn := next_turn(self._profile, taken)) is not None:
            if turn.part not in targets:  # nothing to compare with: today's runs are kept to compare with other days
                taken.append(Taken(part=turn.part, step=_NOT_OFFERED))
                continue
            arrivals = arrivals_in(self.planned.key, turn)
            if not len(arrivals):
                raise WorldError(f"{self.planned.test}: no message to offer at {turn.multiple} of the target volume")
            step = partial(Step, turn=turn, first=first, arrivals=arrivals)
            folder = self._notes.step(len(taken), turn) if self._notes else None
            try:
                load, at = load_of(arrivals, first), len(taken)
                injector = self._injector(turn, first, targets[turn.part], sampler, folder)
                injection = injector.run(load, targets[turn.part], progress=partial(self.progress, at))
            except InterruptedLoadError as error:
                yield step(injection=error.injection)
                raise
            yield step(injection=injection)
            first += len(arrivals)
            taken.append(Taken(part=turn.part, step=came_of(turn, injection, self._profile)))

    @property
    def _is_closed(self) -> bool:
        return is_closed_loop(self.planned.key["inputs"]["injector"])

    def _offer_script(self, target: Target, sampler: Sampler) -> Iterator[Step]:
        """The one step of a closed loop; what came stands where arrivals would."""
        window_us, turn = offered_us(self.environment, self._profile), Turn(part=Part.WHOLE, multiple=Fraction(1))
        injector = scripted_injector(
            self.programme,
            self.environment,
            window_us,
            on_start=lambda pid: sampler.watch("injector", pid),
            folder=self._notes.step(0, turn) if self._notes else None,
        )
        why = self._why_whole(target) if self.hosts is not None else ""
        if why:
            self._say_whole(why)
        try:
            injection = injector.run(
                Load.of(offset_us=[], path=[], srv=[], kind=[], device=[]),
                replace(target, urls={"": next(iter(target.urls.values()))}),
                progress=lambda done, offered, total: self.progress(0, done, offered, total),
            )
        except InterruptedLoadError as error:
            if isinstance(error.injection, ScriptedInjection):
                yield scripted_step(turn, error.injection, window_us)
            raise
        yield scripted_step(turn, told_whole(injection, why) if why else injection, window_us)

    def _injector(self, turn: Turn, first: int, target: Target, sampler: Sampler, folder: Path | None) -> Injector:
        kind = self._profile.type
        own = open_injector(self.environment, kind, on_start=lambda pid: sampler.watch("injector", pid), folder=folder)
        if self.hosts is None:
            return own
        if why := self._why_whole(target):
            return WholeInjector(own, why, self._say_whole)
        work = Work(
            test=self.planned.test,
            key=self.planned.key,
            turn=turn.as_json(),
            first=first,
            shard=(0, self.shards),
            environment=self.environment,
            kind=kind,
            target=target,
        )
        limit_us = self._profile.lateness
        return ShardedInjector(self.hosts, work, alignment_us=limit_us, folder=folder, say=self.say)

    def _why_whole(self, target: Target) -> str:
        """Why a cluster's workers do not offer this test; empty where they do."""
        if target.receive is not None:
            return "responses come to a receive service at one host"
        if self._is_closed:
            return "a closed loop's users are not parted"
        return "" if is_gated(self.environment, self._profile.type) else "its injector does not wait for a common start"

    def _say_whole(self, why: str) -> None:
        self.say(f"{self.planned.test} is offered by this host alone: {why}")

    def _sampler(self, system: RunningSystem | None, watch: Watch) -> Sampler:
        component = self.planned.component
        return Sampler(
            system.pids if system else {},
            system.metrics_urls if system else {},
            interval_us=self._sampling_us,
            paths_us=offered_us(self.environment, self._profile) // SAMPLES,
            sources=list(watch.scrapes.values()),
            keep=self._notes.samples if self._notes else None,
            look=Alarm(component.id, in_force(self.programme, component.role, self._profile.type), self.tell),
        )

    def _document(self) -> dict[str, Any]:
        """The test run as it begins; times in microseconds since the epoch, durations in microseconds."""
        planned, profile = self.planned, self._profile
        return {
            "run": self.run,
            "test": planned.test,
            "phase": planned.phase,
            "occasion": planned.occasion,
            "component": planned.component.id,
            "role": planned.component.role,
            "type": profile.type.value,
            "name": profile.id,
            "environment": self.environment.id,
            "environment_kind": self.environment.kind.value,
            **planned.key["inputs"]["factors"],
            "seed": self._seed,
            "level_index": self.attempt,
            "blocks": profile.blocks,
            "window_us": offered_us(self.environment, profile),
            "timeout_us": profile.timeout,
            "lateness_limit_us": profile.lateness,
            "sampling_interval_us": self._sampling_us,
            "definition": planned.key["inputs"]["test"]["definition"],
            "released": sum(released_messages(planned.key).values()),
            "compared": list(planned.key["inputs"].get("baseline", {}).get("messages", ())),
            "injector": {"kind": planned.key["inputs"]["injector"]},
            **{name: planned.key["inputs"][name] for name in ("extensions",) if name in planned.key["inputs"]},
            **({"follows": self._follows} if self._follows else {}),
            **({"target": {"messages": sum(offered_messages(planned.key).values())}} if self._is_closed else {}),
        }


def _ask_after(
    watch: Watch, steps: Sequence[Step], told: list[list[Any]], kind: type[BaseException] | None, *_: object
) -> None:
    """Asks the servers of metrics once the load is over, however it ended, unless somebody wants to leave at once."""
    if steps and steps[0].start_us and (kind is None or issubclass(kind, WorldError)):
        told += watch.ask(steps[0].start_us, max(step.start_us + step.arrivals.window_us for step in steps))


def conducted(
    programme: Programme,
    document: Mapping[str, Any],
    steps: Sequence[Step],
    *,
    samples: Sequence[Sequence[Any]],
    state: RunState,
    reason: str,
) -> Conducted:
    """What came of a run that began as `document` says, from its steps; the last may have rows for some messages only.

    `samples`: rows of infrastructure, in the columns of a `Sample`. `reason`: why it did not finish.
    """
    whole = _ended(document, steps, state, reason)
    told = (each for step in steps for each in (step.injection.columns, step.injection.acknowledgements))
    has_rows = any(len(each["sequence"]) for each in told)
    return Conducted(
        document=whole,
        state=state,
        reason=reason,
        batches=_tables(programme, whole, steps, samples) if has_rows else {},
    )


def _ended(document: Mapping[str, Any], steps: Sequence[Step], state: RunState, reason: str) -> dict[str, Any]:
    """The test run as recorded. `interrupted` stands there only where it was.

    A closed loop sends as many messages as it does: its target stood there when it began.
    """
    told = [step for step in steps if step.start_us]
    found = {
        **document,
        "start_us": told[0].start_us if told else 0,
        "target": document.get("target", {"messages": sum(len(step.arrivals) for step in steps)}),
        "steps": [step.as_json() for step in told] if has_turns(TestType(document["type"])) else [],
        "injector": {**document["injector"], "steps": [dict(step.injection.summary) for step in steps]},
        "unreachable": reason if state is RunState.UNREACHABLE else "",
    }
    return found | ({"interrupted": _lost(steps, reason)} if state is RunState.INTERRUPTED else {})


def _lost(steps: Sequence[Step], reason: str) -> dict[str, Any]:
    """What an interruption left and what it took: messages, their sequences, and when they were due in their step."""
    kept = sum(len(step.injection.columns["sequence"]) for step in steps)
    found: dict[str, Any] = {"reason": reason, "step": len(steps), "results": kept, "lost": 0}
    if not steps:
        return found
    last = steps[-1]
    is_lost = ~np.isin(last.sequence, last.injection.columns["sequence"])
    due_us, sequences = last.arrivals.offset_us[is_lost], last.sequence[is_lost]
    if not len(due_us):
        return found
    return found | {
        "lost": len(due_us),
        "first": int(sequences[0]),
        "last": int(sequences[-1]),
        "from_us": int(due_us[0]),
        "until_us": int(due_us[-1]),
    }


def _tables(
    programme: Programme, document: Mapping[str, Any], steps: Sequence[Step], samples: Sequence[Sequence[Any]]
) -> "dict[str, Callable[[], Iterator[pd.DataFrame]]]":
    from tasks.parquet import frame

    columns = {name: [row[place] for row in samples] for place, name in enumerate(SAMPLE)}
    infrastructure = {"run": [document["run"]] * len(samples), **columns}
    drawn = [] if is_closed_loop(document["injector"]["kind"]) else ["arrivals"]
    return {
        **{name: partial(_arrivals_batches, programme, steps) for name in drawn},
        "results": partial(_results_batches, programme, document, steps),
        "infrastructure": lambda: iter([frame("infrastructure", infrastructure)]),
    }


def _arrivals_batches(programme: Programme, steps: Sequence[Step]) -> "Iterator[pd.DataFrame]":
    """The arrivals of a test, its steps one after the other; offsets count from the start of each step."""
    for step in steps:
        for places in _pieces(len(step.arrivals)):
            some = step.arrivals.at(places)
            yield from arrivals_frames(programme, [replace(some, sequence=some.sequence + step.first)])


def _results_batches(
    programme: Programme, document: Mapping[str, Any], steps: Sequence[Step]
) -> "Iterator[pd.DataFrame]":
    """The rows of a test, its steps one after the other."""
    for step in steps:
        rows = step.rows
        for places in _pieces(len(rows["sequence"])):
            some = {name: column[places] for name, column in rows.items()}
            yield _results_frame(programme, document, step.arrivals.at(some["sequence"] - step.first), some)


def _pieces(count: int) -> Iterator[slice]:
    """So many rows in pieces that a table is written by."""
    from tasks.parquet import GROUP

    return (slice(first, first + GROUP) for first in range(0, count, GROUP))


def _results_frame(
    programme: Programme, document: Mapping[str, Any], arrivals: Arrivals, raw: Mapping[str, NDArray[np.int64]]
) -> "pd.DataFrame":
    """Rows as the injector tells them, and the messages that they are of, as rows of the results table."""
    from tasks.parquet import frame

    is_first = raw["outcome"] == ACKNOWLEDGED
    times: dict[str, Any] = {
        name: _known(raw[name], unless=(name,), of=raw) for name in ("intended_us", "ready_us", "sent_us", "done_us")
    }
    described = {name: column for name, column in _described(programme, arrivals).items() if name != "device"}
    described["kind"] = np.where(is_first, MessageKind.ACKNOWLEDGEMENT.value, described["kind"])
    described["expect"] = np.where(is_first, Expected.OK.value, described["expect"])
    return frame(
        "results",
        described
        | times
        | {
            "sequence": raw["sequence"],
            "run": [document["run"]] * len(is_first),
            "component": [document["component"]] * len(is_first),
            "latency_us": _known(raw["done_us"] - raw["intended_us"], unless=("done_us", "intended_us"), of=raw),
            "service_us": _known(raw["done_us"] - raw["sent_us"], unless=("done_us", "sent_us"), of=raw),
            "status": raw["status"],
            "outcome": _OUTCOMES[np.where(is_first, Outcome.OK, raw["outcome"])],
            "bytes": raw["bytes"],
        },
    )


def arrivals_in(key: Mapping[str, Any], turn: Turn, shard: tuple[int, int] = (0, 1)) -> Arrivals:
    """What an execution under this key offers in a turn: of a baseline's, those messages alone that are compared.

    Of these, none that follows one which is not. `shard`: the k-th (from 0) of so many parts of it.
    """
    if turn.part is not Part.BASELINE:
        return arrivals_of(dict(key), multiple=turn.multiple, step=turn.stream, shard=shard)
    arrivals = arrivals_of(dict(key), multiple=turn.multiple, step=turn.stream)
    compared = set(key["inputs"]["baseline"]["messages"])
    kept = np.array([label in compared for label in arrivals.labels], dtype=bool)[arrivals.label]
    kept[1:] &= kept[:-1] | ~arrivals.follows[1:]
    compared_alone = replace(
        arrivals,
        offset_us=arrivals.offset_us[kept],
        label=arrivals.label[kept],
        device=arrivals.device[kept],
        sequence=np.arange(kept.sum(), dtype=np.int64),
        follows=arrivals.follows[kept],
    )
    return shard_of(compared_alone, shard)


def scripted_step(turn: Turn, injection: ScriptedInjection, window_us: int) -> Step:
    """The step of a closed loop: what came stands where arrivals would."""
    count = len(injection.label)
    came = Arrivals(
        offset_us=injection.columns["sent_us"] - injection.start_us,
        label=injection.label,
        device=np.zeros(count, dtype=np.int64),
        sequence=np.arange(count, dtype=np.int64),
        follows=np.zeros(count, dtype=bool),
        labels=injection.labels,
        window_us=window_us,
    )
    return Step(turn=turn, first=0, arrivals=came, injection=injection)


def load_of(arrivals: Arrivals, first: int) -> Load:
    """A step's arrivals, or a shard of them, as the injector takes them, numbered from `first` on."""
    parts = [parted(label) for label in arrivals.labels]
    offered = np.bincount(arrivals.label, minlength=len(parts)) > 0
    (path, paths), (srv, srvs), (kind, kinds) = (
        _coded([part[place] for part in parts], arrivals.label, offered) for place in range(3)
    )
    device, devices = _devices(arrivals)
    return Load(
        sequence=first + arrivals.sequence,
        offset_us=arrivals.offset_us,
        path=path,
        srv=srv,
        kind=kind,
        device=device,
        paths=paths,
        srvs=srvs,
        kinds=kinds,
        devices=devices,
        after=np.where(arrivals.follows, np.arange(len(arrivals)) - 1, NOBODY),
    )


def _coded(
    names: Sequence[str], label: NDArray[np.int64], offered: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Each message's code, and what codes stand for: the names of those labels of which anything is offered."""
    kept = tuple(dict.fromkeys(name for name, is_offered in zip(names, offered.tolist(), strict=True) if is_offered))
    code_of = np.array([kept.index(name) if name in kept else NOBODY for name in names], dtype=np.int64)
    return code_of[label], kept


def arrivals_frames(programme: Programme, batches: Iterable[Arrivals]) -> "Iterator[pd.DataFrame]":
    """The arrivals table of a test of one step, batch by batch as its messages are drawn."""
    from tasks.parquet import frame

    for batch in batches:
        columns: dict[str, Any] = {"sequence": batch.sequence, "offset_us": batch.offset_us}
        yield frame("arrivals", columns | _described(programme, batch))


def _described(programme: Programme, arrivals: Arrivals) -> dict[str, NDArray[Any]]:
    """Each message's path, SRV, kind, traffic, device and expected outcome; an invalid one's traffic is its flaw."""
    traffic = traffic_labels(programme)
    parts = [parted(label) for label in arrivals.labels]
    flaws = [flaw_of(label) for label in arrivals.labels]
    names = {
        "path": [path for path, _, _ in parts],
        "srv": [srv for _, srv, _ in parts],
        "kind": [kind for _, _, kind in parts],
        "traffic": [
            flaw.value if flaw else traffic[path, srv] for (path, srv, _), flaw in zip(parts, flaws, strict=True)
        ],
        "expect": [Expected.ERROR.value if flaw else Expected.OK.value for flaw in flaws],
    }
    taken = {name: np.array(each, dtype=object)[arrivals.label] for name, each in names.items()}
    return taken | {"device": arrivals.device}


def _devices(arrivals: Arrivals) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The device of each message as a code, and what codes stand for: of an invalid one, a device that has its flaw."""
    flaws = [flaw_of(label) for label in arrivals.labels]
    kinds = list(dict.fromkeys(flaws))
    kind_of = np.array([kinds.index(flaw) for flaw in flaws], dtype=np.int64)
    apart = arrivals.device * len(kinds) + kind_of[arrivals.label] if len(kinds) > 1 else arrivals.device
    found, codes = np.unique(apart, return_inverse=True)
    named = [_NAMED.get(flaw, _ordinary) for flaw in kinds]
    return codes, tuple(named[each % len(named)](each // len(named)) for each in found.tolist())


def _ordinary(number: int) -> str:
    return f"{number:016x}"


_NAMED: dict[Flaw | None, Callable[[int], str]] = {
    Flaw.UNAUTHORISED_DEVICE: unauthorised_device,
    Flaw.UNREACHABLE_DEVICE: unreachable_device,
}

_OUTCOMES = np.array([outcome.name.lower() for outcome in sorted(Outcome)], dtype=object)
"""What the results table calls outcomes, by their numbers."""

_NOT_OFFERED = Came(multiple_ppm=0, offered=False, carried=False)


def came_of(turn: Turn, injection: Injection, profile: Profile) -> Came:
    """Whether a step was offered in time, and carried, as its profile says: see `expectations.capacity.step_of`.

    Whatever was not answered ranks later than any answer. A test that does not search carries every step.
    """
    columns, ramp = injection.columns, profile.ramp
    answered = columns["outcome"] == Outcome.OK
    taken_up = columns["ready_us"] != NEVER
    return capacity.step_of(
        int(turn.multiple * MILLION),
        lateness_us=np.where(taken_up, columns["ready_us"] - columns["intended_us"], LATER),
        latency_us=np.where(answered, columns["done_us"] - columns["intended_us"], LATER),
        answered=int(answered.sum()),
        limits=capacity.Limits(
            lateness_us=profile.lateness,
            latency_us=ramp.latency if ramp else LATER,
            answered_ppm=ramp.answered.value if ramp else 0,
        ),
    )


def _joined(columns: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(list(columns))


def _known(
    column: NDArray[np.int64], *, unless: Sequence[str], of: Mapping[str, NDArray[np.int64]]
) -> "pd.arrays.IntegerArray":
    """A column of whole numbers, null where one of these instants never was."""
    import pandas as pd

    return pd.arrays.IntegerArray(column.copy(), np.any([of[name] == NEVER for name in unless], axis=0))
