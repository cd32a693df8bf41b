"""The table of faults: what is done, in a laboratory of its own each time, and how often in the long form.

A fault's function makes it happen, and says in a few words how it did. What must hold afterwards is the laboratory's to
say; whatever does not is among its problems.
"""

import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from catalog.verification import verify
from tests.faults.hostile import Mood
from tests.faults.kills import AGAIN, ANCHORS, COORDINATOR, killed_run
from tests.faults.lab import ALL, ONE, Lab, UnavailableError
from tests.faults.systems import SEVEN, hostile_programme, unanswered
from tests.faults.warm import Warm
from tests.faults.watched import Watched
from tests.flows.phases import PLIMSOLL, Ended

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of fault. `rounds`: trials of it in the long form; `needs`: a program without which it cannot be."""

    name: str
    what: str
    happen: Callable[[Lab], str]
    rounds: int
    needs: tuple[str, ...] = ()

    def unavailable(self) -> str:
        """Why it cannot be had on this machine; empty where it can."""
        missing = [each for each in self.needs if shutil.which(each) is None]
        return f"{', '.join(missing)} is not installed" if missing else ""


# --- processes --------------------------------------------------------------------------------------------------------


def kill_processes(lab: Lab) -> str:
    """Four runs of one phase, in which processes are killed at random moments; then it is run to its end."""
    warm, lab.warm = lab.warm, None
    hit: Counter[str] = Counter()
    for _ in range(4):
        hit += killed_run(lab, _with_work(lab, ALL), blows=8)
    lab.warm = warm
    lab.complete(*ALL)
    return _killed(hit)


def kill_coordinators(lab: Lab) -> str:
    """Eight runs of one test, the first process of each killed at a random moment; then it is run to its end."""
    warm, lab.warm = lab.warm, None
    hit: Counter[str] = Counter()
    for number in range(8):
        if number:  # the first loads what it needs, and has a Prefect server of its own
            lab.warm = warm
        hit += killed_run(lab, _with_work(lab, ONE), blows=1, only=COORDINATOR)
    lab.complete()
    return _killed(hit)


def kill_forked(lab: Lab) -> str:
    """Ten runs of a phase, each of processes that had everything loaded, on one Prefect server: more for the time.

    The server is killed too, and begun anew before the next run.
    """
    with ExitStack() as stack:
        if lab.warm is None:
            lab.warm = stack.enter_context(Warm(lab.folder / "warm", lab.bench.environ))
        hit: Counter[str] = Counter()
        for _ in range(10):
            hit += killed_run(lab, _with_work(lab, ALL), blows=9)
        lab.complete(*ALL)
    return _killed(hit)


def _with_work(lab: Lab, words: tuple[str, ...]) -> tuple[str, ...]:
    """The words of a run that has work to do, whatever those before it have finished."""
    return (*words, *AGAIN) if lab.lines else words


def _killed(hit: Counter[str]) -> str:
    return f"{sum(hit.values())} killed: " + ", ".join(f"{name} {count}" for name, count in sorted(hit.items()))


# --- disks ------------------------------------------------------------------------------------------------------------

_WITHIN = """
import json, subprocess, sys
home, before, after, command = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4:]
def done(words):
    ended = subprocess.run(words, capture_output=True, text=True)
    return [ended.returncode, ended.stdout, ended.stderr]
for words in before:
    subprocess.run(words, check=True)
verify = [command[0], "verify", "--json", "--home", f"{home}/home"]
told = {"faulty": done(command), "left": done(verify)}
for words in after:
    subprocess.run(words, check=True)
told |= {"again": done(command), "end": done(verify)}
print(json.dumps(told))
"""
"""In a name space of mounts: a command on a faulty disk, then on a sound one; what is left verified each time."""


_ALONE = ["unshare", "-rm"]


def on_a_disk(lab: Lab, before: list[list[str]], after: list[list[str]]) -> Mapping[str, Ended]:
    """Runs one test on a disk of its own, which `before` makes faulty and `after` mends.

    Raises UnavailableError where nothing may be mounted.
    """
    import json

    disk = lab.folder / "disk"
    disk.mkdir(exist_ok=True)
    where = ["--catalog", str(lab.bench.catalog), "--home", str(disk / "home")]
    words = [sys.executable, "-c", _WITHIN, str(disk), json.dumps(before), json.dumps(after), PLIMSOLL, *ONE, *where]
    done = subprocess.run([*_ALONE, *words], capture_output=True, text=True, env=lab.environ(), check=False)
    if done.returncode:
        raise UnavailableError(done.stderr.strip().splitlines()[-1])
    told = {
        name: Ended(status=status, stdout=out, stderr=err)
        for name, (status, out, err) in json.loads(done.stdout).items()
    }
    for ended in told.values():
        lab.hold(ended)
    for name in ("left", "end"):
        if told[name].status not in (0, 2) or (told[name].stdout and told[name].answer.get("faults")):
            lab.fail(f"verify, {name}: {told[name].stdout}{told[name].stderr}")
    if told["again"].status not in (0, 1):
        lab.fail(f"the next run ended with status {told['again'].status}: {told['again'].stderr[-1000:]}")
    return told


def mounted(disk: Path, options: str) -> list[str]:
    """The words that mount a file system in memory."""
    return ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]


def fill_disk(lab: Lab) -> str:
    """A disk that is full after some kilobytes: too few for a workspace, for a run, or for its report."""
    size, disk = lab.chance.choice([12, 60, 120, 300, 600, 900, 1200]), lab.folder / "disk"
    told = on_a_disk(lab, [mounted(disk, f"size={size}k")], [["mount", "-o", "remount,size=256m", str(disk)]])
    if told["faulty"].status == 3 and "No space left on device" not in told["faulty"].stderr:
        lab.fail(f"a full disk was not named: {told['faulty'].stderr[-500:]}")
    return f"full after {size} kB: status {told['faulty'].status}, then {told['again'].status}"


def read_only_disk(lab: Lab) -> str:
    """A workspace with a run, on a disk that has become read-only."""
    disk = lab.folder / "disk"
    disk.mkdir()
    lab.run(*ONE)
    shutil.copytree(lab.home, lab.folder / "kept")
    before = [mounted(disk, "size=256m"), ["cp", "-r", str(lab.folder / "kept"), f"{disk}/home"]]
    lab.bench.edit("system.yaml", "name: Order House Classic", "name: Order House New")  # so that there is work to do
    remount = ["mount", "-o", "remount,{}", str(disk)]
    told = on_a_disk(lab, [*before, [*remount[:2], "remount,ro", str(disk)]], [[*remount[:2], "remount,rw", str(disk)]])
    if told["faulty"].status != 3:
        lab.fail(f"status {told['faulty'].status} on a read-only disk: {told['faulty'].stderr[-500:]}")
    return f"read-only: status {told['faulty'].status}, then {told['again'].status}"


def traced(*rules: str) -> list[str]:
    """The words before a command whose system calls are tampered with."""
    return [
        "strace",
        "-f",
        "-qq",
        "--seccomp-bpf",
        "-o",
        "/dev/null",
        *(word for rule in rules for word in ("-e", rule)),
    ]


def slow_disk(lab: Lab) -> str:
    """Every sync of a file takes up to 300 ms, as on a worn or overloaded disk."""
    late = lab.chance.randint(50, 300)
    prefixed(lab, traced("trace=fsync,fdatasync", f"inject=fsync,fdatasync:delay_exit={late * 1000}"), due=(0, 1))
    lab.complete()
    return f"{late} ms a sync"


def failing_disk(lab: Lab) -> str:
    """From some moment on every sync fails with an error of input and output, then the disk is changed."""
    call = lab.chance.randint(1, 60)
    told = prefixed(lab, traced("trace=fsync,fdatasync", f"inject=fsync,fdatasync:error=EIO:when={call}+"))
    lab.complete()
    return f"from sync {call} on: status {told.status}"


def prefixed(lab: Lab, words: list[str], *, due: tuple[int, ...] = (0, 1, 3), own_server: bool = False) -> Ended:
    """Runs one test with these words before the command, and holds it against the statuses that it may end with."""
    where = ["--catalog", str(lab.bench.catalog), "--home", str(lab.home)]
    process = subprocess.Popen(
        [*words, PLIMSOLL, *ONE, *where],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=lab.environ(own_server=own_server),
        start_new_session=True,
    )
    watched = Watched(process)
    try:
        ended = watched.ended()
    except subprocess.TimeoutExpired:
        lab.fail("a run had not ended after 300 s")
        for each in watched.tree():
            with suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGKILL)
        ended = watched.ended()
    _held(lab, ended, due)
    return ended


def _held(lab: Lab, ended: Ended, due: tuple[int, ...] = (0, 1, 3)) -> None:
    """Holds how a run ended against what may be shown, the statuses that are due, and its evidence."""
    lab.hold(ended)
    if ended.status not in due:
        lab.fail(f"status {ended.status}: {ended.stderr.strip()[-800:]}")
    lab.audit()


# --- clocks -----------------------------------------------------------------------------------------------------------


def step_clock(lab: Lab) -> str:
    """The wall clock is set by up to a day while a test runs; time that is only counted goes on as ever."""
    by = lab.chance.choice([-86400, -3600, -60, -2, 2, 60, 3600, 86400])
    anchor = lab.chance.choice(["declarations", "1 of", "1 of", "1 of", "measured"])
    wait = lab.chance.uniform(0, ANCHORS[anchor])
    library, moved_by = lab.folder / "clock.so", lab.folder / "clock"
    source = Path(__file__).with_name("clock.c")
    compiled = [str(shutil.which("cc")), "-O2", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(compiled, check=True)
    moved_by.write_bytes(struct.pack("q", 0))
    environ = {"LD_PRELOAD": str(library), "CLOCK_MOVED": str(moved_by)}
    watched = Watched(replace(lab.bench, environ={**lab.environ(), **environ}).start(*ONE))
    if watched.says(anchor):
        time.sleep(wait)  # the moment is what is tried
        with moved_by.open("r+b") as file:  # in place: processes look at it
            file.write(struct.pack("q", by * 1_000_000))
    ended = watched.ended()
    _held(lab, ended)
    lab.complete()
    return f"{by:+d} s at '{anchor.strip()}': status {ended.status}"


# --- Prefect's API ----------------------------------------------------------------------------------------------------


def spoil_api(lab: Lab) -> str:
    """Prefect's API, a server of its own, is gone, slow, or answers with errors and nonsense from some moment on."""

    mood = lab.chance.choice([each for each in Mood if each not in (Mood.FORWARD, Mood.ENDLESS)])
    anchor = lab.chance.choice(["", "declarations", "1 of", "measured"])
    with ExitStack() as stack:
        if lab.warm is None:
            lab.warm = stack.enter_context(Warm(lab.folder / "warm", lab.bench.environ))
        watched = lab.start(*ONE)
        if not anchor or watched.says(anchor):
            lab.warm.proxy.turn(mood)
        ended = watched.ended()
        lab.warm.proxy.turn(Mood.FORWARD)
        _held(lab, ended)
        lab.complete()
    return f"{mood} from '{anchor.strip() or 'the start'}': status {ended.status}"


# --- the system under test --------------------------------------------------------------------------------------------


def spoil_system(lab: Lab) -> str:
    """The system under test does what it should not, from some moment on or for a while, in all seven types of test."""
    mood = lab.chance.choice([each for each in Mood if each is not Mood.FORWARD])
    return spoiled_by(lab, mood, comes_back=lab.chance.random() < 0.5)


def spoiled_by(lab: Lab, mood: Mood, *, comes_back: bool) -> str:
    """The same, with this mood. `comes_back`: for 1 of every 2 seconds it is as it should be."""
    with hostile_programme(lab) as proxy:
        watched = lab.start(*SEVEN)
        watched.says("1 of")
        time.sleep(lab.chance.uniform(0, 0.5))
        while watched.process.poll() is None:
            proxy.turn(mood)
            with suppress(subprocess.TimeoutExpired):
                watched.process.wait(timeout=1 if comes_back else 600)
            if comes_back and watched.process.poll() is None:
                proxy.turn(Mood.FORWARD)
                with suppress(subprocess.TimeoutExpired):
                    watched.process.wait(timeout=1)
        ended = watched.ended()
        lab.hold(ended)
        if ended.status not in (1, 3):
            lab.fail(f"status {ended.status}: {ended.stderr[-800:]}")
        if not comes_back:
            unanswered(lab, mood)
        lab.audit()
        proxy.turn(Mood.FORWARD)
        lab.complete(*SEVEN)
    return f"{mood}{' every other second' if comes_back else ''}: status {ended.status}"


def no_names(lab: Lab) -> str:
    """The system under test is declared by a name, and nothing resolves names."""
    lab.bench.edit("environments.yaml", "\n  - id: nobody-there", _NAMED + "\n  - id: nobody-there")
    lab.bench.sign_off("storefront-plan", "orders-plan")
    words = ("run", "pilot", "--environment", "by-name", "--json", "--tests", "pilot.orders.load")
    where = ["--catalog", str(lab.bench.catalog), "--home", str(lab.home)]
    alone = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    done = subprocess.run(
        [*alone, PLIMSOLL, *words, *where], capture_output=True, text=True, env=lab.bench.environ, check=False
    )
    ended = Ended(status=done.returncode, stdout=done.stdout, stderr=done.stderr)
    lab.hold(ended)
    if ended.status != 3 or "orders.test.example" not in ended.stderr:
        lab.fail(f"status {ended.status}: {ended.stderr[-800:]}")
    if lab.proved():
        lab.fail(f"proved with nobody there: {sorted(lab.proved())}")
    lab.audit()
    lab.complete()
    return f"status {ended.status}"


_NAMED = """
  - id: by-name
    title: A real environment by name
    kind: real
    size: As it is
    entries: {storefront: "http://storefront.test.example:8080", orders: "http://orders.test.example:8080"}
"""

# --- what a process may have ------------------------------------------------------------------------------------------


def few_files(lab: Lab) -> str:
    """Processes may have some tens of files open, fewer than they need."""
    most = int(lab.chance.triangular(12, 160, 40))
    ended = prefixed(lab, ["prlimit", f"--nofile={most}:{most}", "--"], own_server=lab.chance.random() < 0.5)
    lab.complete()
    return f"{most} open files: status {ended.status}"


def little_memory(lab: Lab) -> str:
    """Each process has some hundred megabytes of addresses, fewer than it needs."""
    most = lab.chance.randint(150, 2500)
    ended = prefixed(lab, ["prlimit", f"--as={most << 20}", "--"], own_server=lab.chance.random() < 0.5)
    lab.complete()
    return f"{most} MB of addresses: status {ended.status}"


# --- workspaces -------------------------------------------------------------------------------------------------------


def two_runs(lab: Lab) -> str:
    """Two runs begin in one workspace within half a minute; one of them may be refused, and then says so.

    Half of the time they are the first on a machine on which Prefect has never run, each with a server of its own.
    """
    start, wait = lab.start, lab.chance.choice([0, lab.chance.uniform(0, 30 if lab.warm is None else 6)])
    if lab.chance.random() < 0.5:
        fresh = {"PREFECT_HOME": str(lab.folder / "never-used")}
        bench, wait = replace(lab.bench, environ={**lab.bench.environ, **fresh}), min(wait, 2)
        start = lambda *words: Watched(bench.start(*words))  # noqa: E731  # in the place of another
    first = start(*ONE)
    time.sleep(wait)
    second = start(*ONE)
    ends = [each.ended(600) for each in (first, second)]
    for ended in ends:
        lab.hold(ended)
        if ended.status == 3 and "another run has the workspace" not in ended.stderr:
            lab.fail(f"refused for something else: {ended.stderr[-800:]}")
    if not any(ended.status in (0, 1) for ended in ends):
        lab.fail("neither of two runs came to its end")
    lab.audit()
    lab.complete()
    return f"statuses {ends[0].status} and {ends[1].status}"


def moved(lab: Lab) -> str:
    """The workspace is moved while a run goes on; what it goes on with is the same, at its new place."""
    anchor = lab.chance.choice(["declarations", "1 of", "measured", "observed"])
    watched = lab.start(*ONE)
    place = lab.folder / "elsewhere"
    if watched.says(anchor):
        with suppress(FileNotFoundError):
            lab.home.rename(place)
    ended = watched.ended()
    lab.hold(ended)
    if lab.home.exists() and place.exists() and any(lab.home.rglob("*.jsonl")):
        lab.fail("a moved workspace was begun anew at its old place while a run went on")
    shutil.rmtree(lab.home, ignore_errors=True)
    lab.bench = replace(lab.bench, home=place if place.exists() else lab.home)
    lab.audit()
    lab.complete()
    return f"at '{anchor}': status {ended.status}"


def copied(lab: Lab) -> str:
    """The workspace is copied while a run goes on, and the copy is gone on with."""
    anchor = lab.chance.choice(["declarations", "1 of", "1 of", "measured", "observed", "reported"])
    watched = lab.start(*ONE)
    watched.says(anchor)
    time.sleep(lab.chance.uniform(0, ANCHORS[anchor]))
    place = lab.folder / "copied"
    copy = [str(shutil.which("cp")), "-r", str(lab.home), str(place)]
    done = subprocess.run(copy, capture_output=True, text=True, check=False)
    lab.hold(watched.ended())
    lab.audit()
    mine = lab.bench
    lab.bench, lab.lines, lab.head = replace(mine, home=place), [], ""
    lab.audit()
    lab.complete()
    return f"at '{anchor.strip()}'" + (" while files went" if done.returncode else "")


def restored(lab: Lab) -> str:
    """The workspace is restored from a backup that is older than its newest records, whole or in part."""
    watched = lab.start(*ONE)
    watched.says(lab.chance.choice(["declarations", "1 of", "observed"]))
    for each in watched.tree()[:1]:
        each.kill()
    lab.hold(watched.ended())
    lab.audit()
    backup = lab.copy()
    lab.complete()
    saved = lab.head
    part = lab.chance.choice(["all", "ledger", "objects"])
    for name in ("ledger", "objects", "reports", "incoming") if part == "all" else (part,):
        shutil.rmtree(lab.home / name, ignore_errors=True)
        if (backup / name).exists():
            shutil.copytree(backup / name, lab.home / name)
    held = verify(lab.home, head=saved)
    if held.ok:
        lab.fail(f"a backup of {part} that lacks records passed for the newest")
    lab.lines, lab.head = [], ""
    if part == "objects":
        lab.audit(damaged=True)
        ended = lab.run(*ONE)
        if ended.status not in (0, 1, 4):
            lab.fail(f"on damaged evidence a run ended with status {ended.status}: {ended.stderr[-500:]}")
        shutil.rmtree(lab.home)
        shutil.copytree(backup, lab.home)
        part = "objects, then all"
    lab.complete()
    return f"{part}: {'; '.join(fault.what for fault in held.faults[:1])[:120]}"


def upgraded(lab: Lab) -> str:
    """Version and rules are raised after some tests of a phase, and the new ones go on; then it is taken back."""
    name = lab.chance.choice(["ARRIVALS", "EXECUTE", "MEASURE", "OBSERVE", "PLAN", "REPORT", "VOLUMES"])
    new = lab.folder / "next"
    for package in ("catalog", "expectations", "tasks", "flows"):
        shutil.copytree(ROOT / package, new / package, ignore=shutil.ignore_patterns("__pycache__"))
    rules = new / "catalog" / "rules.py"
    lines = rules.read_text().splitlines(keepends=True)
    (place,) = (at for at, line in enumerate(lines) if line.startswith(f"{name} = "))
    old = int(lines[place].split("=")[1])
    lines[place] = f"{name} = {old + 1}\n"
    rules.write_text("".join(lines))
    about = new / "plimsoll-9.9.9.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: plimsoll\nVersion: 9.9.9\n")
    words = (*ALL, "--types", "load,soak")
    watched = lab.start(*words)
    watched.says(lab.chance.choice(["2 of", "3 of", "4 of"]))
    for each in watched.tree()[:1]:
        each.kill()
    lab.hold(watched.ended())
    lab.audit()
    raised = {"PYTHONPATH": str(new)}
    ended = lab.run(*words, **raised)
    if ended.status not in (0, 1):
        lab.fail(f"after the upgrade, status {ended.status}: {ended.stderr[-800:]}")
    lab.audit()
    if not any("9.9.9" in record.code for record in lab.records()):
        lab.fail("the new version recorded nothing")
    checked = lab.run("verify", "--json", **raised)
    if checked.status:
        lab.fail(f"the new version does not accept what both recorded: {checked.stdout}")
    back = lab.run(*words)
    if back.status not in (0, 1):
        lab.fail(f"after the upgrade was taken back, status {back.status}: {back.stderr[-800:]}")
    lab.audit()
    return f"rules of {name} from {old} to {old + 1}: statuses {ended.status}, {back.status}"


FAULTS = (
    Fault(name="kill", what="kill -9 of any process, throughout a phase", happen=kill_processes, rounds=10),
    Fault(name="kill-forked", what="the same, of processes that had all loaded", happen=kill_forked, rounds=6),
    Fault(name="kill-first", what="kill -9 of `plimsoll` itself, throughout a run", happen=kill_coordinators, rounds=5),
    Fault(name="disk-full", what="a disk that fills up", happen=fill_disk, rounds=6, needs=("unshare",)),
    Fault(
        name="disk-read-only", what="a disk that turns read-only", happen=read_only_disk, rounds=1, needs=("unshare",)
    ),
    Fault(name="disk-slow", what="a disk on which every sync is slow", happen=slow_disk, rounds=2, needs=("strace",)),
    Fault(name="disk-failing", what="a disk whose syncs fail", happen=failing_disk, rounds=5, needs=("strace",)),
    Fault(name="clock", what="the wall clock set forwards or back", happen=step_clock, rounds=8, needs=("cc",)),
    Fault(name="prefect", what="Prefect's API gone, slow, or answering errors", happen=spoil_api, rounds=8),
    Fault(name="system", what="the system under test at fault, in every type of test", happen=spoil_system, rounds=6),
    Fault(name="names", what="names that do not resolve", happen=no_names, rounds=1, needs=("unshare",)),
    Fault(name="files", what="too few file descriptors", happen=few_files, rounds=8, needs=("prlimit",)),
    Fault(name="memory", what="too little memory", happen=little_memory, rounds=8, needs=("prlimit",)),
    Fault(name="two-runs", what="two runs at once in one workspace", happen=two_runs, rounds=4),
    Fault(name="moved", what="a workspace moved while a run goes on", happen=moved, rounds=4),
    Fault(name="copied", what="a workspace copied while a run goes on", happen=copied, rounds=4),
    Fault(name="restored", what="a workspace restored from an older backup", happen=restored, rounds=4),
    Fault(name="upgrade", what="an upgrade in the middle of a phase", happen=upgraded, rounds=3),
)
