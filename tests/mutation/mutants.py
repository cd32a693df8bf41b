"""Goes through mutmut's mutants, each in a fork of one process that has imported and collected everything.

    uv run --group mutation python tests/mutation/mutants.py [--again] [--whole] [PATTERN…]

A mutant costs what its own tests take until one fails, cheapest first; `mutmut run` starts pytest anew for each. The
mutants and their results are mutmut's own, in `mutants/`: `mutmut results` and `mutmut show NAME` tell of them. Only
what is open is gone through: what was never looked at, or has changed since. At first the quick tests of a room are
asked, with fewer examples; `--again --whole` asks all tests that reach it, of whatever survived.
"""

import argparse
import fnmatch
import gc
import hashlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ |= {"HYPOTHESIS_PROFILE": "mutation", "PY_IGNORE_IMPORTMISMATCH": "1"}

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import is_hypothesis_test, settings
from mutmut.__main__ import create_mutants
from mutmut.configuration import config
from mutmut.mutation.data import SourceFileMutationData as Room
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.utils.file_utils import copy_also_copy_files, copy_src_dir, setup_source_paths
from mutmut.utils.format_utils import mangled_name_from_mutant_name

PARTS = {
    "expectations.capacity": ("x_step_of__",),
    "expectations.statistics": (
        "x_rank__",
        "x_quantile__",
        "xǁCountsǁof__",
        "xǁCountsǁranked__",
        "xǁCountsǁquantile__",
    ),
    "tasks.execute": ("x_came_of__", "x__known__"),
}
"""Of these rooms, the functions alone in which a rule stands: the nearest rank, and latency from the intended time."""

FURTHER = {
    "verdicts": ("plain",),
    "capacity": ("capacity", "latency"),
    "execute": ("latency",),
    "statistics": ("counts",),
}
"""Tests of a room beside those of its name: files in the folder of tests of any ring."""

EXAMPLES = 60
QUICK_CPU_S = 1.0
NOT_REACHED, SLOW = 33, 36
SPARE_CPU_S, PATIENCE_S = 10, 900


@dataclass(frozen=True)
class Tried:
    """A mutant that is being tried in a process of its own, since when, and a folder for it."""

    room: Room
    name: str
    folder: Path
    begun: float


class Mutants:
    """A plugin of pytest that tries, in place of running the tests, the mutants that are open."""

    def __init__(self, patterns: Sequence[str], *, again: bool, whole: bool, children: int) -> None:
        self._patterns, self._again, self._whole, self._children = patterns, again, whole, children
        self._running: dict[int, Tried] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Goes through them."""
        items = {item.nodeid: item for item in session.items}
        if not self._whole:
            _shorten(session.items)
        costs, reached = _looked(items)
        opened = [(room, name) for room in _rooms() for name in room.exit_code_by_key if self._is_open(room, name)]
        print(f"{len(opened)} mutants are open", flush=True)
        gc.collect()
        gc.freeze()  # so that no collection in a child copies what all share
        for room, name in opened:
            tests = [test for test in reached.get(mangled_name_from_mutant_name(name), ()) if test in items]
            if not self._whole:
                tests = _quick_of_its_own(room, tests, costs)
            if not tests:
                _end(room, name, NOT_REACHED, "")
                continue
            while len(self._running) >= self._children:
                self._wait()
            limit = SPARE_CPU_S + 10 * sum(costs[test] for test in tests)
            self._try(room, name, [items[test] for test in sorted(tests, key=costs.__getitem__)], int(limit))
        while self._running:
            self._wait()
        return True

    def _is_open(self, room: Room, name: str) -> bool:
        module, _, function = name.rpartition(".")
        if module in PARTS and not function.startswith(PARTS[module]):
            return False
        if self._patterns and not any(fnmatch.fnmatch(name, pattern) for pattern in self._patterns):
            return False
        found = room.exit_code_by_key[name]
        return found is None or (self._again and found in (0, NOT_REACHED))

    def _try(self, room: Room, name: str, items: list[pytest.Item], limit: int) -> None:
        def first_failure(folder: Path) -> int:
            os.setpgid(0, 0)
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
            set_mutant_under_test(name)
            for item, reports in _reports(items):
                if any(report.failed for report in reports):
                    (folder / "noticed").write_text(item.nodeid)
                    return 1
            return 0

        folder = Path(tempfile.mkdtemp())
        self._running[_forked(first_failure, folder, items[0].config)] = Tried(room, name, folder, time.monotonic())

    def _wait(self) -> None:
        child, status = os.waitpid(-1, os.WNOHANG)
        if not child:
            for each, tried in self._running.items():
                if time.monotonic() - tried.begun > PATIENCE_S:
                    os.killpg(each, signal.SIGKILL)
            time.sleep(0.005)
            return
        tried = self._running.pop(child)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # whatever its tests left behind
        noticed = tried.folder / "noticed"
        by = noticed.read_text() if noticed.exists() else ""
        shutil.rmtree(tried.folder, ignore_errors=True)
        _end(tried.room, tried.name, os.waitstatus_to_exitcode(status), by)


def _rooms() -> Iterator[Room]:
    for path in config().only_mutate:
        room = Room(path=path)
        room.meta_path = Path("..").resolve() / room.meta_path  # tests run in mutants/
        room.load()
        yield room


def _end(room: Room, name: str, code: int, by: str) -> None:
    room.exit_code_by_key[name] = SLOW if code == -signal.SIGKILL else code
    room.save()
    print({0: "survived", NOT_REACHED: "not reached"}.get(code, f"noticed by {by or 'its time'}:"), name, flush=True)


def _quick_of_its_own(room: Room, tests: Sequence[str], costs: dict[str, float]) -> Sequence[str]:
    name = Path(room.path).stem
    files = {f"test_{each}.py" for each in (name, *FURTHER.get(name, ()))}
    own = [test for test in tests if Path(test.split("::")[0]).name in files]
    return [test for test in own if costs[test] <= QUICK_CPU_S] or own or tests


def _shorten(items: Iterable[pytest.Item]) -> None:
    """Fewer examples of each property."""
    for item in items:
        test = getattr(item, "obj", None)
        if is_hypothesis_test(test):
            told = test._hypothesis_internal_use_settings
            test._hypothesis_internal_use_settings = settings(told, max_examples=min(told.max_examples, EXAMPLES))


def _looked(items: dict[str, pytest.Item]) -> tuple[dict[str, float], dict[str, list[str]]]:
    """What each test costs in CPU seconds, and the tests that reach each function: kept while its file is the same."""
    file = Path("reached.json")
    known: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    contents = {path: _digest(path.read_bytes()) for path in {item.path for item in items.values()}}
    new = [item for name, item in items.items() if known.get(name, [None])[-1] != contents[item.path]]

    def look(_: Path) -> int:
        set_mutant_under_test("stats")
        state()._stats.clear()
        begun = time.process_time()
        for item, reports in _reports(new):
            if failed := [report for report in reports if report.failed]:
                Path("failed.txt").write_text(f"{item.nodeid}\n{failed[0].longreprtext}")
                return 1
            known[item.nodeid] = (time.process_time() - begun, sorted(state()._stats), contents[item.path])
            state()._stats.clear()
            begun = time.process_time()
        file.write_text(json.dumps(known))
        return 0

    if new:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            child = _forked(look, Path(folder), new[0].config)
            if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
                sys.exit(f"a test fails though nothing is changed: see {Path('failed.txt').resolve()}")
        known = json.loads(file.read_text())
    reached: dict[str, list[str]] = {}
    for test, (_, functions, _) in known.items():
        for function in functions:
            reached.setdefault(function, []).append(test)
    return {test: cost for test, (cost, *_) in known.items()}, reached


def _digest(data: bytes) -> str:
    """SHA-256; not the one of `catalog.canonical`, which is among what is changed."""
    return hashlib.sha256(data).hexdigest()


def _reports(items: list[pytest.Item]) -> Iterator[tuple[pytest.Item, list[pytest.TestReport]]]:
    for item, following in zip(items, [*items[1:], None], strict=True):
        yield item, runtestprotocol(item, log=False, nextitem=following)


def _forked(work: Callable[[Path], int], folder: Path, pytest_config: Any) -> int:
    """The id of a new process that ends with what `work` gives; its files are in `folder`, it prints nothing."""
    if child := os.fork():
        return child
    code = 1  # whatever is raised, the change was noticed
    with suppress(BaseException), Path(os.devnull).open("w") as nothing:
        for number in (1, 2):
            os.dup2(nothing.fileno(), number)
        (folder / "temporary").mkdir()
        pytest_config._tmp_path_factory._basetemp = folder / "temporary"
        with redirect_stdout(nothing), redirect_stderr(nothing):
            code = work(folder)
    os._exit(code)


def main() -> int:
    """The exit status of pytest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="names of mutants, such as 'catalog.tree.*'")
    parser.add_argument("--again", action="store_true", help="also what survived or was not reached")
    parser.add_argument("--whole", action="store_true", help="by every test that reaches it, with all its examples")
    parser.add_argument("--children", type=int, default=1, help="how many at once")
    told = parser.parse_args()
    set_mutant_under_test("mutant_generation")
    Path("mutants").mkdir(exist_ok=True)
    with Path(os.devnull).open("w") as nothing, redirect_stdout(nothing):
        copy_src_dir()
        copy_also_copy_files()
        setup_source_paths()
        create_mutants(1)
    set_mutant_under_test("")
    os.chdir("mutants")
    sys.path[:] = [each for each in sys.path if Path(each or ".").resolve() != Path("..").resolve()]
    plugin = Mutants(told.patterns, again=told.again, whole=told.whole, children=told.children)
    arguments = ["--rootdir=.", "-qqq", "-s", "--tb=native", *config().pytest_add_cli_args]
    return int(pytest.main([*arguments, *config().pytest_add_cli_args_test_selection], plugins=[plugin]))


if __name__ == "__main__":
    sys.exit(main())
