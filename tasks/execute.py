"""Executes one planned test: stands up what is emulated, offers its arrivals open loop, samples, and keeps every row.

A test is a sequence of steps. Load and soak have one, at the target volume; stress rises from step to step and ends
with the first that is not carried. Nothing is judged here beyond that: verdicts are `tasks.observe`'s.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from catalog.declarations import Environment, Profile, Programme, TestType
from catalog.errors import WorldError
from catalog.runs import RunState
from expectations.statistics import quantile
from expectations.verdicts import LATER
from tasks.arrivals import Arrivals, arrivals_of
from tasks.emulate.system import RunningSystem, start_system
from tasks.inject.files import NEVER, Outcome
from tasks.inject.injector import Injection, Load, OwnInjector, Target
from tasks.plan import PlannedTest, multiples, offered_us
from tasks.sample import Sampler
from tasks.stand_up import entry_codec, specs_for_test
from tasks.volumes.model import parted, traffic_labels
from tasks.wire.reach import reach

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
    """One step of a test: its multiple of the target volume, and the sequences and time that it took."""

    multiple: Fraction
    first: int
    arrivals: Arrivals
    injection: Injection

    def as_json(self) -> dict[str, int]:
        """The step as the run document holds it: sequences inclusive, times in microseconds."""
        return {
            "multiple_ppm": int(self.multiple * 1_000_000),
            "first": self.first,
            "last": self.first + len(self.arrivals) - 1,
            "start_us": int(self.injection.summary["first_intended_us"]) - int(self.arrivals.offset_us[0]),
            "window_us": self.arrivals.window_us,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Conducted:
    """What came of a test run. `document` describes it; without rows when the system could not be tested at all."""

    document: dict[str, Any]
    state: RunState
    tables: dict[str, "pd.DataFrame"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduct:
    """One execution that is about to happen: the test, where, and under which run id."""

    programme: Programme
    environment: Environment
    planned: PlannedTest
    run: str
    attempt: int
    progress: StepProgress

    def execute(self) -> Conducted:
        """Executes the test. A system that cannot be stood up or reached is an outcome with a reason, not an error."""
        steps: list[Step] = []
        unreachable = ""
        try:
            with ExitStack() as stack:
                system = self._stand_up(stack)
                sampler = stack.enter_context(_sampler(system, self._sampling_us))
                for step in self._offer(system, sampler):
                    steps.append(step)  # noqa: PERF402  # extend() promises nothing of what came before an error
        except WorldError as error:
            unreachable = str(error)
        return Conducted(
            document=self._document(steps, unreachable=unreachable),
            state=RunState.UNREACHABLE if unreachable else RunState.FINISHED,
            tables=self._tables(steps, sampler) if steps else {},
        )

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

    def _stand_up(self, stack: ExitStack) -> RunningSystem | None:
        """The emulated system for this test; None when the environment is a real one that stands already."""
        if entry := self.environment.entries.get(self.planned.component.id):
            reach(entry, self.environment.tls_names)
            return None
        paths = sorted({parted(label)[0] for label in self._target})
        return stack.enter_context(
            start_system(specs_for_test(self.programme, self.environment, self.planned.component, paths))
        )

    @property
    def _target(self) -> dict[str, int]:
        target: dict[str, int] = self.planned.key["inputs"]["volumes"]["messages"]
        return target

    def _offer(self, system: RunningSystem | None, sampler: Sampler) -> Iterator[Step]:
        """Each step once it is over, so that a system that is gone at the next one takes no row with it."""
        url = system[self.planned.component.id].url if system else self.environment.entries[self.planned.component.id]
        first = 0
        for index, multiple in enumerate(multiples(self._profile)):
            arrivals = arrivals_of(self.planned.key, multiple=multiple, step=index)
            if not len(arrivals):
                raise WorldError(f"{self.planned.test}: no message to offer at {multiple} of the target volume")
            injection = self._inject(arrivals, first, url, sampler, index)
            yield Step(multiple=multiple, first=first, arrivals=arrivals, injection=injection)
            first += len(arrivals)
            if self._profile.type is TestType.STRESS and not is_carried(injection, self._profile):
                return

    def _inject(self, arrivals: Arrivals, first: int, url: str, sampler: Sampler, index: int) -> Injection:
        parts = [parted(label) for label in arrivals.labels]
        paths, srvs, kinds = ([parts[label][position] for label in arrivals.label] for position in range(3))
        load = Load.of(
            sequence=first + np.arange(len(arrivals), dtype=np.int64),
            offset_us=arrivals.offset_us,
            path=paths,
            srv=srvs,
            kind=kinds,
            device=[f"{device:016x}" for device in arrivals.device.tolist()],
        )
        target = Target(
            urls=dict.fromkeys(load.paths, url),
            codec=entry_codec(self.programme, self.planned.component.id).value,
            connections=self.environment.connections,
            max_connections=self.environment.max_connections,
            timeout_us=self._profile.timeout,
            tls=self.environment.tls_names,
        )
        injector = OwnInjector(on_start=lambda pid: sampler.watch("injector", pid))
        return injector.run(
            load, target, progress=lambda done, offered, total: self.progress(index, done, offered, total)
        )

    def _document(self, steps: list[Step], *, unreachable: str = "") -> dict[str, Any]:
        """The test run as recorded; times in microseconds since the epoch, durations in microseconds."""
        planned, profile = self.planned, self._profile
        first = steps[0].as_json() if steps else {}
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
            "start_us": first.get("start_us", 0),
            "window_us": offered_us(self.environment, profile),
            "timeout_us": profile.timeout,
            "lateness_limit_us": profile.lateness,
            "sampling_interval_us": self._sampling_us,
            "target": {"messages": sum(len(step.arrivals) for step in steps)},
            "steps": [step.as_json() for step in steps] if profile.type is TestType.STRESS else [],
            "step_latency_us": profile.step_latency or 0,
            "step_answered_ppm": profile.step_answered.value if profile.step_answered else 0,
            "injector": {
                "kind": planned.key["inputs"]["injector"],
                "steps": [dict(s.injection.summary) for s in steps],
            },
            "unreachable": unreachable,
        }

    def _tables(self, steps: list[Step], sampler: Sampler) -> "dict[str, pd.DataFrame]":
        return {
            "arrivals": arrivals_table(self.programme, [step.arrivals for step in steps]),
            "results": self._results_table(steps),
            "infrastructure": self._infrastructure_table(sampler),
        }

    def _results_table(self, steps: list[Step]) -> "pd.DataFrame":
        from tasks.parquet import frame

        raw = {name: _joined(step.injection.columns[name] for step in steps) for name in steps[0].injection.columns}
        times = {name: _or_none(raw[name]) for name in ("intended_us", "ready_us", "sent_us", "done_us")}
        messages = _messages(self.programme, [step.arrivals for step in steps])
        del messages["device"]
        return frame(
            "results",
            messages
            | times
            | {
                "run": [self.run] * len(raw["sequence"]),
                "component": [self.planned.component.id] * len(raw["sequence"]),
                "latency_us": _less(times["done_us"], times["intended_us"]),
                "service_us": _less(times["done_us"], times["sent_us"]),
                "status": raw["status"],
                "outcome": [Outcome(code).name.lower() for code in raw["outcome"].tolist()],
                "bytes": raw["bytes"],
            },
        )

    def _infrastructure_table(self, sampler: Sampler) -> "pd.DataFrame":
        from tasks.parquet import frame

        columns = sampler.columns()
        return frame("infrastructure", {"run": [self.run] * len(columns["at_us"]), **columns})


def arrivals_table(programme: Programme, steps: Sequence[Arrivals]) -> "pd.DataFrame":
    """The arrivals table of a test, its steps one after the other; offsets count from the start of each step."""
    from tasks.parquet import frame

    return frame("arrivals", _messages(programme, steps) | {"offset_us": _joined(step.offset_us for step in steps)})


def arrivals_frames(programme: Programme, batches: Iterable[Arrivals]) -> "Iterator[pd.DataFrame]":
    """The arrivals table of a test of one step, batch by batch as its messages are drawn."""
    from tasks.parquet import frame

    for batch in batches:
        columns: dict[str, Any] = {"sequence": batch.sequence, "offset_us": batch.offset_us}
        yield frame("arrivals", columns | _described(programme, batch))


def _messages(programme: Programme, steps: Sequence[Arrivals]) -> dict[str, Any]:
    """What is offered, as the columns that arrivals and results share."""
    described = [_described(programme, step) for step in steps]
    joined = {name: np.concatenate([each[name] for each in described]) for name in described[0]}
    return {"sequence": np.arange(len(joined["device"]), dtype=np.int64)} | joined


def _described(programme: Programme, arrivals: Arrivals) -> dict[str, NDArray[Any]]:
    """Each message's path, SRV, kind, traffic, device and expected outcome."""
    traffic = traffic_labels(programme)
    parts = [parted(label) for label in arrivals.labels]
    names = {
        "path": [path for path, _, _ in parts],
        "srv": [srv for _, srv, _ in parts],
        "kind": [kind for _, _, kind in parts],
        "traffic": [traffic[path, srv] for path, srv, _ in parts],
        "expect": ["ok"] * len(parts),
    }
    taken = {name: np.array(each, dtype=object)[arrivals.label] for name, each in names.items()}
    return taken | {"device": arrivals.device}


def is_carried(injection: Injection, profile: Profile) -> bool:
    """Whether a stress step was carried: 95th percentile of latency and answered share within the step's limits.

    The percentile is by nearest rank over all messages offered, and whatever was not answered ranks later than any
    answer. Whether the step was offered in time is for `tasks.measure` to say.
    """
    columns = injection.columns
    answered = columns["outcome"] == Outcome.OK
    latency = np.sort(np.where(answered, columns["done_us"] - columns["intended_us"], LATER))
    p95 = quantile(latency, 950)
    share_ppm = int(answered.sum()) * 1_000_000 // len(answered)
    limit = profile.step_answered.value if profile.step_answered else 0
    return p95 <= (profile.step_latency or LATER) and share_ppm >= limit


def _sampler(system: RunningSystem | None, interval_us: int) -> Sampler:
    return Sampler(system.pids if system else {}, system.metrics_urls if system else {}, interval_us=interval_us)


def _joined(columns: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(list(columns))


def _or_none(column: NDArray[np.int64]) -> list[int | None]:
    return [None if value == NEVER else value for value in column.tolist()]


def _less(later: list[int | None], earlier: list[int | None]) -> list[int | None]:
    return [None if a is None or b is None else a - b for a, b in zip(later, earlier, strict=True)]
