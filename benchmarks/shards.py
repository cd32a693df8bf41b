"""What shards cost: `python -m benchmarks.shards [rounds] [seconds] [rate]`, by hand; prints a JSON document.

A load of the shipped programme's requests goes to one nginx worker on the first CPU, by one shard and by two, each in a
process of its own as on a host of a cluster, on the other CPUs. Two things are asked of two shards: each offers `rate`
requests a second as the one shard does, and CPU per request (of injector and of the host's process, which tells every
row) is compared; and 100,000 are due a second, more than any core sends, for throughput. Whether a machine has the
cores for the second is said: the server's, and one for each shard. Medians over rounds; one and two shards alternate.
"""

import json
import multiprocessing
import os
import queue
import resource
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from benchmarks.injector import _bodies, _nginx
from catalog.declarations import TestType
from catalog.reading import read_catalogue
from flows.cli import CATALOG
from tasks.course import Part, Turn
from tasks.execute import arrivals_in, load_of
from tasks.inject.files import Outcome, Start
from tasks.inject.injector import Target
from tasks.inject.shards import ShardedInjector, Work
from tasks.plan import phases_needed, plan_tests
from tasks.shard import offer
from tasks.volumes.model import model_volumes

_SERVER_CPU = 0
_CONNECTIONS = 32
_START = multiprocessing.get_context("spawn")
_TURN = Turn(part=Part.WHOLE, multiple=Fraction(1))

Result = dict[str, Any]


class _Line:
    """Two queues between a shard's process and this one."""

    def __init__(self, attempt: str, words: Any, starts: Any) -> None:
        self._attempt, self._words, self._starts = attempt, words, starts

    def tell(self, word: dict[str, Any]) -> None:
        """See `tasks.shard.Line`."""
        self._words.put({"attempt": self._attempt, "line": "one", **word})

    def start(self) -> Start:
        """See `tasks.shard.Line`."""
        started: Start = self._starts.get()
        return started

    def is_wanted(self) -> bool:
        """See `tasks.shard.Line`."""
        return True


def _host(cpu: int, work: Work, attempt: str, words: Any, starts: Any) -> None:
    """A host: one CPU of this machine. Tells what it took beside its injector, between the start and the end."""
    os.sched_setaffinity(0, {cpu})
    line = _Line(attempt, words, starts)
    began = []

    def start() -> Start:
        said = starts.get()
        began.append(_spent_us())
        return said

    line.start = start  # type: ignore[method-assign]  # measured in its place
    tell = line.tell

    def and_cpu(word: dict[str, Any]) -> None:
        if "ended" in word:
            word = {"ended": {**word["ended"], "telling_us": _spent_us() - began[0]}}
        tell(word)

    line.tell = and_cpu  # type: ignore[method-assign]  # likewise
    offer(work, line)


def _spent_us() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return int((used.ru_utime + used.ru_stime) * 1_000_000)


class _Hosts:
    """CPUs of this machine as `tasks.inject.shards.Hosts`."""

    def __init__(self, cpus: Sequence[int]) -> None:
        self._cpus = {f"cpu-{number}-{cpu}": cpu for number, cpu in enumerate(cpus)}
        self._words = _START.Queue()
        self._starts: dict[str, Any] = {}
        self._processes: dict[str, Any] = {}

    def alive(self) -> Sequence[str]:
        """See `Hosts`."""
        return [host for host in self._cpus if host not in self._processes or self._processes[host].is_alive()]

    def begin(self, work: Work, host: str) -> str:
        """See `Hosts`."""
        self._starts[host] = _START.Queue()
        given = (self._cpus[host], work, host, self._words, self._starts[host])
        self._processes[host] = _START.Process(target=_host, args=given)
        self._processes[host].start()
        return host

    def heard(self, timeout_s: float) -> Mapping[str, Any] | None:
        """See `Hosts`."""
        try:
            word: Mapping[str, Any] = self._words.get(timeout=timeout_s or 0.001)
        except queue.Empty:
            return None
        return word

    def start(self, attempt: str, _line: str, start: Start) -> None:
        """See `Hosts`."""
        self._starts[attempt].put(start)

    def end(self, attempt: str) -> None:
        """See `Hosts`."""
        self._processes[attempt].join()

    def failure(self, _attempt: str) -> str:
        """See `Hosts`."""
        return ""

    def clock_us(self, _host: str) -> int:
        """See `Hosts`."""
        return time.time_ns() // 1000


def _planned(rate: int, seconds: int) -> Work:
    """A load test of the shipped programme at about so many requests a second, and as short."""
    programme = read_catalogue(CATALOG).programme
    phase = programme.programme.phases[0].id
    environment = programme.environment(programme.programme.default_environment)
    volumes = {each: model_volumes(programme, each) for each in phases_needed(programme, phase)}

    def load(factor: Fraction) -> Any:
        chosen = environment.model_copy(
            update={
                "durations": dict.fromkeys(environment.durations, 1_000) | {TestType.LOAD: seconds * 1_000_000},
                "rates": {"default": factor},
            }
        )
        tests = plan_tests(programme, phase, chosen, volumes, occasion=phase)
        return chosen, next(each for each in tests if each.profile.type is TestType.LOAD and not _chained(each.key))

    _, once = load(Fraction(1))
    found = len(arrivals_in(once.key, _TURN))
    chosen, test = load(Fraction(rate * seconds, found))
    target = Target(urls={}, codec="duis", connections=_CONNECTIONS, max_connections=_CONNECTIONS)
    return Work(test=test.test, key=test.key, turn=_TURN.as_json(), first=0, shard=(0, 1), environment=chosen,
                kind=test.profile.type, target=target)  # fmt: skip


def _chained(key: Mapping[str, Any]) -> bool:
    return bool(key["inputs"]["arrivals"].get("follows"))


def _offered(work: Work, of: int, url: str, cpus: Sequence[int]) -> Result:
    """One load by so many shards: CPU per request, requests a second from the first to the last answer, failures."""
    load = load_of(arrivals_in(work.key, _TURN), 0)
    target = replace(work.target, urls=dict.fromkeys(load.paths, url))
    hosts = _Hosts([cpus[number % len(cpus)] for number in range(of)])
    injector = ShardedInjector(hosts, replace(work, shard=(0, of)), alignment_us=1_000_000)
    injection = injector.run(load, target)
    columns, summary = injection.columns, injection.summary
    telling_us = sum(each["summary"]["telling_us"] for each in summary["shards"])
    took_us = int(columns["done_us"].max() - columns["intended_us"].min())
    return {
        "requests": len(load),
        "injector_us": summary["cpu_us"] / len(load),
        "cpu_us": (summary["cpu_us"] + telling_us) / len(load),
        "per_second": len(load) * 1_000_000 / took_us,
        "late_p50_us": summary["lateness_p50_us"],
        "late_p99_us": summary["lateness_p99_us"],
        "failed": int((columns["outcome"] != Outcome.OK).sum()),
    }


def _median(rounds: Sequence[Result]) -> Result:
    return {name: round(statistics.median(each[name] for each in rounds), 1) for name in rounds[0]}


def _compared(one: Sequence[Result], two: Sequence[Result]) -> Result:
    first, second = _median(one), _median(two)
    return {
        "one shard": first,
        "two shards": second,
        "CPU per request, two to one": round(second["cpu_us"] / first["cpu_us"], 3),
        "throughput, two to one": round(second["per_second"] / first["per_second"], 3),
    }


def measure(rounds: int, seconds: int, rate: int) -> Result:
    """Everything, as the document that is printed."""
    cores = len(os.sched_getaffinity(0))
    cpus = [cpu for cpu in sorted(os.sched_getaffinity(0)) if cpu != _SERVER_CPU] or [_SERVER_CPU]
    alone, both, hurried = _planned(rate, seconds), _planned(2 * rate, seconds), _planned(100_000, 3)
    found: dict[str, dict[str, list[Result]]] = {"same rate a shard": {"one": [], "two": []}}
    has_cores = cores >= 3
    if has_cores:
        found["all that it can"] = {"one": [], "two": []}
    with _nginx(_bodies()[1]) as url:
        for number in range(rounds):
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
            found["same rate a shard"]["one"].append(_offered(alone, 1, url, cpus))
            found["same rate a shard"]["two"].append(_offered(both, 2, url, cpus))
            if has_cores:
                for of, name in ((1, "one"), (2, "two")):
                    found["all that it can"][name].append(_offered(hurried, of, url, cpus))
    return {
        "cores": cores,
        "has the cores": has_cores,
        "rate_a_shard": rate,
        "seconds": seconds,
        "rounds": rounds,
        "load_average": os.getloadavg()[0],
        **{case: _compared(each["one"], each["two"]) for case, each in found.items()},
    }


def main() -> None:
    """Measures and prints."""
    rounds, seconds, rate = (int(each) for each in (sys.argv[1:] + ["5", "5", "1500"][len(sys.argv) - 1 :])[:3])
    print(json.dumps(measure(rounds, seconds, rate), indent=2))


if __name__ == "__main__":
    main()
