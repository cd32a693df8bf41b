"""How long `plan` takes over ten thousand planned tests with a run each: `python -m benchmarks.planning [COMPONENTS]`.

The template's programme with as many components as are asked for, each planning a hundred tests, and a workspace in
which every one of them was executed, measured and found proved. Prints one JSON line of seconds, each in a process of
its own, Python's start left out: `cold_read`, reading the catalogue; `plan_first` and `plan_again`, the command's whole
work when nothing is remembered of the catalogue, and when something is, which should take 3 s or less for 10,000 tests;
what became of the tests; and the most memory that planning takes, in kB.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import duckdb

from catalog.canonical import canonical
from catalog.declarations import METRICS, Metric, Programme
from catalog.ledger import Actor, Draft, Kind, Reference
from catalog.reading import read_catalogue
from catalog.template import write_template
from catalog.workspace import Workspace
from expectations import tables
from flows.desk import planned_tests
from tasks.measure import ALL, COVERAGE, LATENESS, service_level
from tasks.measuring import measurement_key, settings
from tasks.plan import PlannedTest

ACTOR = Actor(name="benchmark", fingerprint="ab" * 32)
PROFILES = 100
BATCH = 100

TIMED = """
import json, resource, sys
from collections import Counter
from pathlib import Path
from time import perf_counter
from argparse import Namespace
from catalog.reading import read_catalogue
start = perf_counter()
if sys.argv[1] == "read":
    read_catalogue(Path(sys.argv[2]))
    print(json.dumps({"seconds": perf_counter() - start}))
else:
    from flows.decisions import _decide
    decided = _decide(Namespace(catalog=Path(sys.argv[2]), home=Path(sys.argv[3]), environment=""), "launch").decided
    told = Counter(each.decision.value for each in decided)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": perf_counter() - start, "decided": told, "memory_kb": most}))
"""


def write_catalogue(folder: Path, components: int) -> None:
    """The template with many order services, each planning PROFILES load tests."""
    write_template(folder)
    names = [f"orders-{number:04d}" for number in range(components)]
    _extend(folder / "system.yaml", "components:\n", "".join(_COMPONENT.format(name=name) for name in names))
    _extend(folder / "system.yaml", "interfaces:\n", "".join(_INTERFACE.format(name=name) for name in names))
    _extend(folder / "system.yaml", "message_paths:\n", "".join(_PATH.format(name=name) for name in names))
    _extend(folder / "volumes.yaml", "traffic:\n", "".join(_TRAFFIC.format(name=name) for name in names))
    programme = folder / "programme.yaml"
    text = programme.read_text().replace("[storefront, orders]", f"[storefront, orders, {', '.join(names)}]")
    programme.write_text(text)
    profiles = "".join(_PROFILE.format(number=number, minutes=240 + number) for number in range(PROFILES))
    _extend(folder / "tests.yaml", "profiles:\n", profiles)
    tests = ", ".join(f"load-{number:03d}" for number in range(PROFILES))
    _extend(folder / "tests.yaml", "plans:\n", "".join(_PLAN.format(name=name, tests=tests) for name in names))
    environments = folder / "environments.yaml"
    declared = "".join(f"      {name}: {{workers: 6, service: 32 ms}}\n" for name in names)
    head, begin = "    components:\n", "      storefront: {w"
    text = environments.read_text().replace(head + begin, head + declared + begin, 1)
    environments.write_text(text)


def _extend(file: Path, heading: str, text: str) -> None:
    whole = file.read_text()
    if f"\n{heading}" not in whole:
        raise SystemExit(f"{file.name} has no {heading!r}")
    file.write_text(whole.replace(f"\n{heading}", f"\n{heading}{text}", 1))


_COMPONENT = """\
  - id: {name}
    role: orders
    title: Order service {name}
    provider: order-house
    scope: tested
    version: "1.0"
    solution: {{name: Order House Classic, standing: agreed, source: Architecture overview}}
"""
_INTERFACE = "  - {{id: to-{name}, title: Ordering, from: storefront, to: {name}, protocol: plain}}\n"
_PATH = """\
  - id: path-{name}
    title: Orders of {name}
    offers: request
    steps: [shopper, storefront, {name}]
    standing: agreed
    source: Architecture overview
"""
_TRAFFIC = """\
  - id: traffic-{name}
    title: Orders of {name}
    traffic: BAU
    path: path-{name}
    generation: web
    factors: [requests-per-customer-per-day]
    groups: [ordering]
    in_window: evening-share
    profile: shoppers
"""
_PROFILE = """\
  - id: load-{number:03d}
    type: load
    title: The evening's peak {number}
    duration: {minutes} min
    blocks: 40
    timeout: 10 s
    lateness: 100 ms
    standing: proposed
    source: Capacity testing approach, section 3
"""
_PLAN = """\
  - id: {name}-plan
    title: Test plan of {name}
    provider: order-house
    version: "1"
    component: {name}
    phases: [launch]
    volumes_of: launch
    tests: [{tests}]
    success_criteria: Every requirement is proved.
"""


def record_history(workspace: Workspace, catalogue: Path) -> int:
    """A finished run, measured and within every limit, for each planned test; returns how many there are."""
    programme = read_catalogue(catalogue).programme
    planned = planned_tests(programme, "launch", "")
    wanted = settings(programme)
    with tempfile.TemporaryDirectory() as folder:
        _write_measurements(Path(folder), programme, planned)
        for start in range(0, len(planned), BATCH):
            batch = planned[start : start + BATCH]
            workspace.record(*(_run(workspace, each, Kind.STARTED) for each in batch), actor=ACTOR, code="1")
            ended = workspace.record(*(_run(workspace, each, Kind.EXECUTED) for each in batch), actor=ACTOR, code="1")
            measured = [
                Draft(
                    kind=Kind.DERIVED,
                    stage="measure",
                    key=workspace.store.put_document(measurement_key(record, wanted)),
                    inputs=(Reference(role="run", digest=record.digest),),
                    outputs=(Reference(role="measurements", digest=workspace.store.put(_table(Path(folder), number))),),
                    parameters={"occasion": "launch", "run": _name(planned[number])},
                )
                for number, record in enumerate(ended, start)
            ]
            workspace.record(*measured, actor=ACTOR, code="1")
    return len(planned)


def _name(planned: PlannedTest) -> str:
    return f"launch/{planned.test}/1"


def _run(workspace: Workspace, planned: PlannedTest, kind: Kind) -> Draft:
    named = {"role": planned.component.role, "type": planned.profile.type.value, "name": planned.profile.id}
    parameters: dict[str, Any] = {
        "run": _name(planned),
        "test": planned.test,
        "why": "first",
        "occasion": "launch",
        **named,
    }
    outputs: tuple[Reference, ...] = ()
    if kind is Kind.EXECUTED:
        parameters["state"] = "finished"
        document = {
            "run": _name(planned),
            "test": planned.test,
            "component": planned.component.id,
            **named,
            "target": {"messages": planned.messages},
            "lateness_limit_us": 100_000,
        }
        contents = {"run": canonical(document), "results": f"results of {planned.test}".encode()}
        outputs = tuple(Reference(role=role, digest=workspace.store.put(data)) for role, data in contents.items())
    key = workspace.store.put_document(planned.key)
    return Draft(kind=kind, stage="execute", key=key, outputs=outputs, parameters=parameters)


def _write_measurements(folder: Path, programme: Programme, planned: list[PlannedTest]) -> None:
    """A file for each test: every requirement's metric within its limit, and the load offered in full and in time."""
    with duckdb.connect() as connection:
        connection.execute(tables.ddl("measurements"))
        connection.execute("ALTER TABLE measurements ADD COLUMN number BIGINT")
        given = folder / "rows.jsonl"
        with given.open("w") as out:
            for number, each in enumerate(planned):
                out.writelines(f"{json.dumps({**row, 'number': number})}\n" for row in _measurements(programme, each))
        connection.execute("INSERT INTO measurements BY NAME FROM read_json(?)", [str(given)])
        target = str(folder / "tables").replace("'", "''")
        connection.execute(f"COPY measurements TO '{target}' (FORMAT parquet, PARTITION_BY (number))")


def _table(folder: Path, number: int) -> bytes:
    [file] = (folder / "tables" / f"number={number}").iterdir()
    return file.read_bytes()


def _measurements(programme: Programme, planned: PlannedTest) -> Iterator[dict[str, Any]]:
    rows = [
        (Metric.OFFERED.value, ALL, planned.messages, "count"),
        (LATENESS, ALL, 100, "us"),
        (COVERAGE, ALL, 1_000_000, "ppm"),
    ]
    for each in programme.requirements:
        if planned.component.role in each.scope.roles and planned.profile.type in each.scope.types:
            metric = service_level(each.within) if each.within else each.metric.value
            within = 1 if METRICS[each.metric][1].value == "at most" else 1_000_000
            rows += [(metric, scope, within, METRICS[each.metric][0].value) for scope in each.scope.groups or (ALL,)]
    same = {"run": _name(planned), "component": planned.component.id, "samples": 100_000, "method": "made up"}
    for metric, scope, value, unit in rows:
        measured = dict.fromkeys(("value", "lower", "upper"), value)
        yield {**same, **measured, "metric": metric, "scope": scope, "unit": unit}


def timed(*words: str) -> dict[str, Any]:
    """What one process tells of itself."""
    done = subprocess.run([sys.executable, "-c", TIMED, *words], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main(place: Path, components: int = 100, rounds: int = 3) -> dict[str, Any]:
    """Builds both, and times what the module's docstring says."""
    catalogue, home = place / "catalogue", place / "home"
    write_catalogue(catalogue, components)
    tests = record_history(Workspace.open(home, create=True), catalogue)
    first = timed("plan", str(catalogue), str(home))
    again = [timed("plan", str(catalogue), str(home)) for _ in range(rounds)]
    return {
        "tests": tests,
        "cold_read": round(median(timed("read", str(catalogue))["seconds"] for _ in range(rounds)), 2),
        "plan_first": round(first["seconds"], 2),
        "plan_again_median": round(median(each["seconds"] for each in again), 2),
        "plan_again_best": round(min(each["seconds"] for each in again), 2),
        "memory_kb": first["memory_kb"],
        "decided": first["decided"],
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:  # noqa: S108  # a folder of one's own in it
        print(json.dumps(main(Path(folder), *map(int, sys.argv[1:]))))
