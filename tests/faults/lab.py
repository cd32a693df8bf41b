"""Where a fault is tried: a small programme, a workspace, and what must hold of them whatever went wrong.

The order service of the programme is too small for its load, so that some of its requirements can never be proved: a
fault that lets one of them be proved is found out.
"""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from catalog.errors import PlimsollError
from catalog.ledger import Kind
from catalog.underway import left
from catalog.verification import verify
from catalog.workspace import FORMAT_FILE, Workspace
from tests.faults.warm import Warm
from tests.faults.watched import Watched
from tests.flows.phases import Bench, Ended, make_shop

NEVER = {
    ("orders.load", "latency"),
    ("orders.load", "median-latency"),
    ("orders.soak", "latency"),
    ("orders.soak", "median-latency"),
    ("orders.stress", "headroom"),
}
"""Tests (without their phase) and requirements that the small programme's order service cannot meet."""

SMALL = """
  - id: small
    title: A rehearsal of seconds, with an order service that is too small
    extends: rehearsal
    defect: The order service has one worker instead of six.
    durations: {load: 1500 ms, stress: 1 s, soak: 2 s}
    components:
      orders: {workers: 1, service: 32 ms}
"""

ALL = ("run", "pilot", "--environment", "small", "--json")
ONE = (*ALL, "--tests", "pilot.orders.load")
GONE_WITHIN_S = 60
"""Seconds within which every process of a command has ended that lost its first one."""


class UnavailableError(Exception):
    """This machine does not let the fault happen."""


@dataclass(slots=True, kw_only=True)
class Lab:
    """One programme and workspace. `problems`: what did not hold so far; `told`: what happened, in words.

    `warm`: what starts commands whose own start is not the matter; without it each is a program of its own.
    """

    bench: Bench
    chance: random.Random
    warm: Warm | None = None
    never: set[tuple[str, str]] = field(default_factory=lambda: set(NEVER))
    lines: list[bytes] = field(default_factory=list)
    head: str = ""
    problems: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    @property
    def home(self) -> Path:
        """The workspace."""
        return self.bench.home

    @property
    def folder(self) -> Path:
        """The folder that holds programme and workspace, and whatever else a fault needs."""
        return self.bench.catalog.parent

    def fail(self, problem: str) -> None:
        """Notes what did not hold."""
        self.problems.append(problem)

    def run(self, *arguments: str, timeout: int = 300, **environ: str) -> Ended:
        """Runs a command to its end in these surroundings, and notes a traceback or a hang."""
        watched = self.start(*arguments, **environ)
        try:
            ended = watched.ended(timeout)
        except subprocess.TimeoutExpired:
            self.fail(f"{' '.join(arguments)} had not ended after {timeout} s")
            for each in watched.tree():
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            return Ended(status=-9, stdout="", stderr="")
        self.hold(ended)
        return ended

    def environ(self, *, own_server: bool = False) -> dict[str, str]:
        """The surroundings of a command that is a program of its own: there is a Prefect server, if there is a warm
        place, or it begins one of its own."""
        return self.warm.environ if self.warm and not own_server else self.bench.environ

    def start(self, *arguments: str, **environ: str) -> Watched:
        """Starts a command in these surroundings: forked where nothing but the usual is in them, and there is a warm
        place."""
        if self.warm and not environ:
            return Watched(self.warm.start(self.bench.words(arguments)))
        return Watched(replace(self.bench, environ={**self.environ(), **environ}).start(*arguments))

    def hold(self, ended: Ended) -> None:
        """Notes what no command may do, however it ended."""
        if "Traceback" in ended.stderr:
            self.fail(f"a traceback: {ended.stderr.strip()[-1500:]}")
        if ended.status not in (0, 1, 2, 3, 4, 130, -9, -15):
            self.fail(f"status {ended.status}: {ended.stderr.strip()[-500:]}")
        self.told.append(f"status {ended.status}")

    def audit(self, *, damaged: bool = False) -> None:
        """Notes whatever does not hold of the workspace. `damaged`: the fault took evidence, and `verify` names it."""
        if not (self.home / FORMAT_FILE).exists():
            if self.lines:
                self.fail("the workspace is gone")
            return
        held = verify(self.home, head=self.head or None)
        if not self.lines and [each.where for each in held.faults] == ["ledger"] and not self.records():
            return  # killed before the first record: `verify` says that there is none, and cannot know why
        if held.ok is damaged:
            faults = "; ".join(f"{each.where}: {each.what}" for each in held.faults)
            self.fail("damage was not named" if damaged else f"verify: {faults}")
        if damaged:
            return
        self._keep(held.head)
        for test, requirement in self.proved() & self.never:
            self.fail(f"{requirement} of {test} became proved")

    def _keep(self, head: str) -> None:
        """What was in the ledger is in it still, first; and from now on what is in it now."""
        files = sorted((self.home / "ledger").glob("*.jsonl"))
        lines = [line for file in files for line in file.read_bytes().splitlines(keepends=True)]
        whole = [line for line in lines if line.endswith(b"\n")]
        if whole[: len(self.lines)] != self.lines:
            self.fail("what was recorded is lost")
        self.lines, self.head = whole, head or self.head

    def proved(self) -> set[tuple[str, str]]:
        """Test (without its phase) and requirement of each observation that any record of the ledger calls proved."""
        workspace = Workspace.open(self.home)
        found = set()
        for record in workspace.ledger.records():
            if record.kind is Kind.REPORTED and (facts := record.output("facts")):
                for row in workspace.store.document(facts)["observations"]["rows"]:
                    if row["verdict"] == "proved":
                        found.add((row["test"].split(".", 1)[1], row["requirement"]))
        return found

    def complete(self, *arguments: str, **environ: str) -> Ended | None:
        """The next run completes, whatever was before it; None where it does not."""
        ended = self.run(*(arguments or ONE), **environ)
        if ended.status not in (0, 1):
            self.fail(f"the next run ended with status {ended.status}: {ended.stderr.strip()[-1500:]}")
            return None
        if unfinished := left(self.home):
            self.fail(f"the next run left {', '.join(unfinished)} unfinished")
        self.audit()
        return ended

    def gone(self, processes: Sequence[psutil.Process]) -> None:
        """Notes which of these processes have not ended soon, and ends them."""
        _, alive = psutil.wait_procs(list(processes), timeout=GONE_WITHIN_S)
        for process in alive:
            try:
                self.fail(f"left running: {' '.join(process.cmdline())}")
                process.kill()
            except psutil.NoSuchProcess:
                continue

    def copy(self) -> Path:
        """A copy of the workspace, beside it."""
        place = self.home.with_name(f"copy-{len(list(self.folder.iterdir()))}")
        shutil.copytree(self.home, place, symlinks=True)
        return place

    def records(self) -> list[Any]:
        """The ledger's records, none where it cannot be read."""
        try:
            return list(Workspace.open(self.home).ledger.records())
        except PlimsollError:
            return []


@contextmanager
def laboratory(folder: Path, surroundings: dict[str, str], seed: str, warm: Warm | None = None) -> Iterator[Lab]:
    """A fresh one in `folder`, which is removed afterwards; what is random follows from `seed`."""
    folder.mkdir(parents=True)
    try:
        bench = make_shop(folder, surroundings)
        environments = bench.catalog / "environments.yaml"
        environments.write_text(environments.read_text() + SMALL)
        yield Lab(bench=bench, chance=random.Random(seed), warm=warm)  # noqa: S311 - picks moments, not secrets
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def own_surroundings(folder: Path) -> dict[str, str]:
    """An environment of one's own: keys, Prefect's database and what is remembered are in `folder`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PLIMSOLL_", "COV"))}
    return {
        **kept,
        "XDG_CONFIG_HOME": str(folder / "config"),
        "PREFECT_HOME": str(folder / "prefect"),
        "PLIMSOLL_CACHE": str(folder / "cache"),
        "PLIMSOLL_ACTOR": "tester",
    }
