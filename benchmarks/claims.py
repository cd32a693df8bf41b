"""Every claim of speed that this project makes, each with what a user would pick instead: the table `CLAIMS`.

A claim prepares what it needs in a folder, measures ours and its peers in turns, and says what it asks of ours, either
against a peer or by the clock alone. `python -m benchmarks` runs them.
"""

import re
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers import Peers
from benchmarks.racing import OWN, NoPeerError, Rounds, Side, Taken, race, run_side, told

HERE = Path(__file__).parent
PLIMSOLL = Path(sys.executable).with_name("plimsoll")
STAGES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where a claim may write, how many rounds it measures, the peers there are, and what is not there."""

    folder: Path
    rounds: int
    peers: Peers
    missing: list[str]
    short: bool = False

    def sides(self, **candidates: Callable[[], Side]) -> dict[str, Side]:
        """The sides whose programs are installed; the others are noted as missing."""
        found = {}
        for name, side in candidates.items():
            try:
                found[name] = side()
            except NoPeerError as error:
                self.missing.append(str(error))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What is asked: at most so many times what a peer takes and so much more, or at most so much by itself."""

    most: float
    peer: str | None = None
    more: float = 0
    what: str = "processors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is claimed, how it is measured, its unit (less is better), and the goal that was set, where one was."""

    says: str
    measure: Callable[[Setting], Rounds]
    goal: Goal | None = None
    unit: str = "s"


# --- whole commands ---------------------------------------------------------------------------------------------------


def _help(setting: Setting) -> Rounds:
    def side(name: str) -> Side:
        return Side(command=[setting.peers.program(name), "--help"])

    sides = {
        OWN: Side(command=[PLIMSOLL, "--help"]),
        "prefect": Side(command=[PLIMSOLL.with_name("prefect"), "--help"]),
    }
    return race(sides | setting.sides(dvc=lambda: side("dvc"), snakemake=lambda: side("snakemake")), setting.rounds)


def _again(setting: Setting) -> Rounds:
    sides = {OWN: _phase_of_many_stages(setting.folder)} | setting.sides(
        dvc=lambda: _dvc(setting.folder / "dvc", setting.peers.program("dvc")),
        snakemake=lambda: _snakemake(setting.folder / "snakemake", setting.peers.program("snakemake")),
    )
    return race(sides, setting.rounds)  # the run that is not counted is the first: it executes every stage


def _phase_of_many_stages(folder: Path) -> Side:
    """Runs the template's phase, planning seven short load tests of each component instead: 50 stages or more."""
    from catalog.template import write_template

    catalogue = folder / "catalogue"
    write_template(catalogue)
    names = [f"load-{number}" for number in range(7)]
    profile = (
        "  - {{id: {name}, type: load, title: Peak {name}, duration: 4 h, blocks: 40, timeout: 10 s, lateness: 100 ms, "
        "standing: proposed, source: benchmark}}\n"
    )
    tests = catalogue / "tests.yaml"
    text = tests.read_text().replace("\nprofiles:\n", "\nprofiles:\n" + "".join(profile.format(name=n) for n in names))
    tests.write_text(re.sub(r"tests: \[load, stress.*", f"tests: [{', '.join(names)}]", text))
    environments = catalogue / "environments.yaml"
    environments.write_text(environments.read_text().replace("{load: 6 s,", "{load: 1 s,"))
    return _run("launch", "--catalog", catalogue, "--home", folder / "home")


def _run(*words: str | Path) -> Side:
    """`plimsoll run`, whatever it proves."""
    return Side(command=[PLIMSOLL, "run", *words], ends=frozenset({0, 1}))


def _dvc(folder: Path, dvc: str) -> Side:
    """A chain of stages, each copying a file of 1 MB, as DVC runs it a second time."""
    folder.mkdir()
    (folder / "0").write_bytes(b"x" * 1_000_000)
    stage = "  s{n}:\n    cmd: cp {before} {n}\n    deps: [{before}]\n    outs: ['{n}']\n"
    text = "stages:\n" + "".join(stage.format(n=n, before=repr(str(n - 1))) for n in range(1, STAGES + 1))
    (folder / "dvc.yaml").write_text(text)
    init = Side(command=[dvc, "init", "-q", "--no-scm"], cwd=folder, environ=_QUIET)
    run_side(init)
    return Side(command=[dvc, "repro"], cwd=folder, environ=_QUIET)


_QUIET = {"DVC_NO_ANALYTICS": "1", "DVC_STUDIO_OFFLINE": "1"}


def _snakemake(folder: Path, snakemake: str) -> Side:
    """The same chain as Snakemake runs it a second time."""
    folder.mkdir()
    (folder / "0").write_bytes(b"x" * 1_000_000)
    rule = "rule s{n}:\n    input: '{before}'\n    output: '{n}'\n    shell: 'cp {{input}} {{output}}'\n"
    rules = "".join(rule.format(n=n, before=n - 1) for n in range(1, STAGES + 1))
    (folder / "Snakefile").write_text(f"rule all:\n    input: '{STAGES}'\n{rules}")
    return Side(command=[snakemake, "-c", "2", "-q", "all"], cwd=folder, environ={"HOME": str(folder)})


def _lineage(setting: Setting) -> Rounds:
    home = setting.folder / "home"
    run_side(_phase_of_many_stages(setting.folder))
    query = (
        "import duckdb, sys\n"
        "db = duckdb.connect(sys.argv[1], read_only=True)\n"
        "print(db.sql(\"FROM supports('outcome/proved', 'launch')\").fetchall())"
    )
    return race(
        {
            OWN: Side(command=[PLIMSOLL, "lineage", "outcome/proved", "--home", home]),
            "DuckDB, the same by hand": Side(command=[sys.executable, "-c", query, home / "plimsoll.duckdb"]),
        },
        setting.rounds,
    )


def _verify(setting: Setting) -> Rounds:
    from benchmarks import verifying

    megabytes = 128 if setting.short else 1_024
    files = verifying.build(setting.folder / "home", verifying.LARGE, (megabytes << 20) // verifying.LARGE)
    listed = b"\0".join(str(file).encode() for file in files)
    two = ["xargs", "-0", "-P", "2", "-n", str(-(-len(files) // 8))]
    sides = {
        OWN: Side(command=[PLIMSOLL, "verify", setting.folder / "home"]),
        "sha256sum": Side(command=[*two, "sha256sum"], stdin=listed),
        "openssl": Side(command=[*two, "openssl", "dgst", "-sha256"], stdin=listed),
    }
    return race(sides, setting.rounds)


# --- results of others ------------------------------------------------------------------------------------------------


def _intake(kind: str, baseline: str, rows: int) -> Callable[[Setting], Rounds]:
    def measure(setting: Setting) -> Rounds:
        from benchmarks import intake

        file = setting.folder / f"results.{kind}"
        write = {"jtl": intake.write_jtl, "k6": intake.write_k6, "xml": intake.write_xml}[kind]
        write(file, rows // 20 if setting.short else rows)
        way = baseline if kind != "xml" else intake.xml_baseline()

        def side(name: str) -> Side:
            return Side(command=[sys.executable, HERE / "intake.py", "--measure", name, "--file", file])

        label = {"read_csv": "DuckDB's read_csv", "read_json": "DuckDB's read_json", "bare_expat": "bare expat"}
        sides = {OWN: side("ours"), label.get(way, f"lxml's {way}"): side(way)}
        if kind == "jtl":
            sides |= setting.sides(Taurus=lambda: _taurus(setting.folder, setting.peers.program("bzt"), file))
        return race(sides, setting.rounds)

    return measure


def _taurus(folder: Path, bzt: str, file: Path) -> Side:
    """Taurus loads the same JTL and judges it by its criteria; it keeps no rows, and waits until no more come."""
    settings = folder / "taurus.yml"
    settings.write_text(
        "settings: {check-updates: false, artifacts-dir: artifacts}\n"
        f"execution: [{{executor: external-results-loader, data-file: {file}, scenario: {{}}}}]\n"
        "reporting: [{module: passfail, criteria: ['p95>60s, stop as failed']}]\n"
    )
    return Side(command=[bzt, "-q", settings], cwd=folder, ends=frozenset({0, 3}))


# --- scripts that measure all sides themselves ------------------------------------------------------------------------


def _hold(setting: Setting) -> Rounds:
    path = setting.folder / "results.parquet"
    count = 500_000 if setting.short else 10_000_000
    making = f"from benchmarks import measuring; measuring.make(__import__('pathlib').Path({str(path)!r}), {count})"
    run_side(Side(command=[sys.executable, "-c", making], cwd=HERE.parent))

    def pick(found: Any) -> dict[str, Taken]:
        bare = found["bare"]
        _, most = found["resident MB before and most"]
        return {
            OWN: Taken(clock=found["together s"], processors=found["together cpu_s"], memory=most),
            "DuckDB, bare queries": Taken(clock=bare["s"], processors=bare["cpu_s"]),
        }

    def pick_peer(found: Any) -> dict[str, Taken]:
        taken = Taken(clock=found["s"], processors=found["cpu_s"], memory=found["memory_mib"])
        return {"Great Expectations on pandas": taken}

    found: Rounds = {}
    for _ in range(setting.rounds):  # in turns
        ours = told([HERE / "measuring.py", "--judge", path, str(count)], 1, pick)
        peer = told([HERE / "gx_on_pandas.py", path], 1, pick_peer)
        for name, taken in (ours | peer).items():
            found.setdefault(name, []).extend(taken)
    return found


def _inject(setting: Setting) -> Rounds:
    def pick(found: Any) -> dict[str, Taken]:
        closed = found["closed loop"]
        named = {OWN if name == "own" else name: value for name, value in closed.items()}
        setting.missing.extend(f"{name}: {value}" for name, value in named.items() if not isinstance(value, dict))
        return {
            name: Taken(clock=each["cpu_us"]["median"], processors=each["cpu_us"]["median"])
            for name, each in named.items()
            if isinstance(each, dict) and "cpu_us" in each
        }

    return told([HERE / "injector.py", "1", "1" if setting.short else "3"], setting.rounds, pick)


def _punctual(setting: Setting) -> Rounds:
    def pick(found: Any) -> dict[str, Taken]:
        return {
            OWN if name == "own" else name: Taken(clock=each["late_p99_us"]["median"])
            for name, each in found["2000 a second"].items()
            if isinstance(each, dict)
        }

    return told([HERE / "injector.py", "1", "1" if setting.short else "3"], setting.rounds, pick)


def _volumes(setting: Setting) -> Rounds:
    return told(
        [HERE / "volumes.py"],
        setting.rounds,
        lambda found: {
            OWN: Taken(clock=found["model, s"]),
            "one DuckDB query": Taken(clock=found["one DuckDB query, s"]),
        },
    )


def _arrivals(setting: Setting) -> Rounds:
    def pick(found: Any) -> dict[str, Taken]:
        poisson = found["poisson"]
        each = {OWN: poisson["million_a_second"], "plain numpy": poisson["bare_numpy_million_a_second"]}
        return {name: Taken(clock=1 / rate, processors=1 / rate) for name, rate in each.items()}

    return told([HERE / "arrivals.py"], setting.rounds, pick)


def _append(setting: Setting) -> Rounds:
    def pick(found: Any) -> dict[str, Taken]:
        return {
            OWN: Taken(clock=1e6 / found["append_in_batches_of_100"]),
            "SQLite, rows alone": Taken(clock=sqlite_append(setting.folder)),
        }

    return told(["-m", "benchmarks.ledger", setting.folder], setting.rounds, pick)


def sqlite_append(folder: Path, count: int = 20_000) -> float:
    """Microseconds a record that SQLite takes to keep JSON of a record's size durably, a hundred a transaction."""
    from time import perf_counter

    file = folder / "records.sqlite"
    connection = sqlite3.connect(file, isolation_level=None)
    connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE records (line TEXT)")
    begun = perf_counter()
    for _ in range(count // 100):
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO records VALUES (?)", [("x" * 1_200,)] * 100)
        connection.execute("COMMIT")
    taken = perf_counter() - begun
    connection.close()
    for each in folder.glob("records.sqlite*"):
        each.unlink()
    return taken * 1e6 / count


def _plan(setting: Setting) -> Rounds:
    components = "2" if setting.short else "100"
    return told(
        ["-m", "benchmarks.planning", components], 1, lambda found: {OWN: Taken(clock=found["plan_again_median"])}
    )


def _index(setting: Setting) -> Rounds:
    count = "20000" if setting.short else "1000000"

    def pick(found: Any) -> dict[str, Taken]:
        index = found["index"]
        return {OWN: Taken(clock=index["seconds"], processors=index["processor"], memory=index["memory_kb"] // 1024)}

    return told(["-m", "benchmarks.lineage", count], 1, pick)


def _report(count: int) -> Callable[[Setting], Rounds]:
    def pick(found: Any) -> dict[str, Taken]:
        one = found[f"{count} tests"]
        parts = [one["assembled, s and s of CPU"], one["rendered"]]
        return {OWN: Taken(clock=sum(part[0] for part in parts), processors=sum(part[1] for part in parts))}

    return lambda setting: told([HERE / "report.py", str(count)], setting.rounds, pick)


_conducted: dict[str, Any] = {}
"""What `benchmarks.orchestration` told, by how many tests: two claims are of it, and it takes a quarter of an hour."""


def _orchestrated(pick: Callable[[Any], dict[str, Taken]]) -> Callable[[Setting], Rounds]:
    def measure(setting: Setting) -> Rounds:
        count = "20" if setting.short else "1000"

        def keep(found: Any) -> dict[str, Taken]:
            _conducted[count] = found
            return pick(found)

        if count in _conducted:
            return {name: [taken] for name, taken in pick(_conducted[count]).items()}
        return told(["-m", "benchmarks.orchestration", count], 1, keep)

    return measure


def _overhead(found: Any) -> dict[str, Taken]:
    clock, processors = found["overhead_a_test"], found["overhead_cpu_a_test"]
    named = {OWN: "server", "plimsoll run, its own API": "own"}
    return {name: Taken(clock=clock[way], processors=processors[way]) for name, way in named.items()}


def _memory(found: Any) -> dict[str, Taken]:
    tenth, whole = (each // 1024 for each in found["memory_kb"]["server"])
    seconds = found["seconds_a_test"]["server"]
    return {OWN: Taken(clock=seconds, memory=whole), TENTH: Taken(clock=seconds, memory=tenth)}


TENTH = "after a tenth of the tests"


def _shards(case: str, of: Callable[[Any], float]) -> Callable[[Setting], Rounds]:
    """Two shards beside one, by a figure of which less is better, in one of the cases that the script measures."""

    def measure(setting: Setting) -> Rounds:
        def pick(found: Any) -> dict[str, Taken]:
            if case not in found:
                raise NoPeerError(f"{found['cores']} cores are too few for a server and two injectors: it takes 3")
            two, one = found[case]["two shards"], found[case]["one shard"]
            return {
                OWN: Taken(clock=of(two), processors=of(two)),
                "one shard": Taken(clock=of(one), processors=of(one)),
            }

        rounds, seconds, rate = ("1", "1", "300") if setting.short else ("3", "5", "1500")
        return told(["-m", "benchmarks.shards", rounds, seconds, rate], 1 if setting.short else setting.rounds, pick)

    return measure


def _phase(setting: Setting) -> Rounds:
    whole = _run("ioc", "--home", setting.folder / "home")
    return {OWN: [run_side(_phase_of_many_stages(setting.folder) if setting.short else whole)]}


CLAIMS: dict[str, Claim] = {
    "help": Claim(
        says="`plimsoll --help` answers at once: what it does not need it does not import.",
        measure=_help,
        goal=Goal(most=0.3, what="clock"),
    ),
    "phase": Claim(
        says="The shipped programme's first capability phase runs to its report in about six minutes.",
        measure=_phase,
        goal=Goal(most=400, what="clock"),
    ),
    "orchestration": Claim(
        says="What Prefect's server adds to a test, in a phase of 1,000: stages as flows beside stages as functions.",
        measure=_orchestrated(_overhead),
        goal=Goal(most=0.3, what="clock"),
        unit="s a test",
    ),
    "orchestration-memory": Claim(
        says="The memory of a phase of 1,000 tests at its end, beside what it was after the first hundred.",
        measure=_orchestrated(_memory),
        goal=Goal(most=1.1, peer=TENTH, what="memory"),
        unit="s a test",
    ),
    "again": Claim(
        says=f"A second run of a phase of {STAGES} stages, nothing changed, executes nothing.",
        measure=_again,
        goal=Goal(most=1, peer="dvc"),
    ),
    "plan": Claim(
        says="Planning 10,000 tests that each have a run: executed or relied on, and why.",
        measure=_plan,
        goal=Goal(most=3, what="clock"),
    ),
    "volumes": Claim(
        says="The volume model of 53 million meters, exact, beside one query that rounds.",
        measure=_volumes,
        goal=Goal(most=1.5, peer="one DuckDB query", more=0.5, what="clock"),
    ),
    "arrivals": Claim(
        says="Drawing a million arrivals with exact counts, beside plain numpy without.",
        measure=_arrivals,
        unit="s of one core a million",
    ),
    "inject": Claim(
        says="CPU of one request of 1.5 kB, closed loop, recorded to disk.",
        measure=_inject,
        goal=Goal(most=1, peer="locust"),
        unit="us of CPU",
    ),
    "punctual": Claim(
        says="How late a message leaves that is due, at the 99th percentile, at 2,000 a second.",
        measure=_punctual,
        goal=Goal(most=1, peer="aiohttp, loop timer", what="clock"),
        unit="us",
    ),
    "shards": Claim(
        says="CPU of a request that is offered and told by one of two shards, beside one shard at the same rate each.",
        measure=_shards("same rate a shard", lambda each: float(each["cpu_us"])),
        goal=Goal(most=1.1, peer="one shard"),
        unit="us of CPU",
    ),
    "shards-throughput": Claim(
        says="Time a request of two shards that offer all that they can, beside one; where there are three cores.",
        measure=_shards("all that it can", lambda each: 1e6 / float(each["per_second"])),
        goal=Goal(most=1 / 1.8, peer="one shard", what="clock"),
        unit="us",
    ),
    "intake-jtl": Claim(
        says="Two million rows of JMeter's CSV taken in: every line accounted for, judged plausible, kept.",
        measure=_intake("jtl", "read_csv", 2_000_000),
        goal=Goal(most=1 / 0.7, peer="DuckDB's read_csv"),
    ),
    "intake-k6": Claim(
        says="Two million points of k6's JSON taken in.",
        measure=_intake("k6", "read_json", 2_000_000),
        goal=Goal(most=1 / 0.7, peer="DuckDB's read_json"),
    ),
    "intake-xml": Claim(
        says="Half a million samples of JMeter's XML taken in.",
        measure=_intake("xml", "iterparse", 500_000),
        goal=Goal(most=2, peer="lxml's iterparse"),
    ),
    "hold": Claim(
        says="Ten million results held to their contract, measured, and judged by 24 requirements.",
        measure=_hold,
        goal=Goal(most=1, peer="Great Expectations on pandas"),
    ),
    "append": Claim(
        says="A record appended to the ledger, chained and durable, in batches of a hundred.",
        measure=_append,
        goal=Goal(most=200, what="clock"),
        unit="us a record",
    ),
    "verify": Claim(
        says="A gigabyte of evidence verified: every digest, the chain, every signature.",
        measure=_verify,
        goal=Goal(most=1.25, peer="sha256sum", what="clock"),
    ),
    "lineage": Claim(
        says="A figure of the report traced down to its declarations and runs.",
        measure=_lineage,
    ),
    "index": Claim(
        says="A million records of a ledger indexed for queries.",
        measure=_index,
        goal=Goal(most=30, what="clock"),
    ),
    "report": Claim(
        says="A completion report of 60 tests assembled and rendered.",
        measure=_report(60),
        goal=Goal(most=8, what="clock"),
    ),
    "report-large": Claim(
        says="A completion report of 1,000 tests assembled and rendered.",
        measure=_report(1_000),
        goal=Goal(most=60, what="clock"),
    ),
}
"""By name, in the order of the pipeline."""
