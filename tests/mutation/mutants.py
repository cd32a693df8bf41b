"""Goes through mutmut's mutants, each in a fork of one process that has imported and collected everything.

    python tests/mutation/mutants.py [--again] [--children N] [PATTERN…]

A mutant costs what its own tests take until one fails, cheapest first; `mutmut run` starts pytest anew for each. The
mutants and their results are mutmut's own, in `mutants/`: `mutmut results` and `mutmut show NAME` tell of them. Only
what is open is gone through: what was never looked at, or has changed since; with `--again` also what survived.
"""

import argparse
import fnmatch
import gc
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

os.environ["HYPOTHESIS_PROFILE"] = "mutation"
os.environ["PY_IGNORE_IMPORTMISMATCH"] = "1"

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import is_hypothesis_test, settings
from mutmut.__main__ import create_mutants
from mutmut.configuration import config
from mutmut.mutation.data import SourceFileMutationData
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
    "tasks.execute": ("x__less__", "x_came_of__", "x__or_none__"),
}
"""Of these rooms, the functions alone in which a rule stands: the nearest rank, and latency from the intended time."""

FURTHER = {"verdicts": ("plain",), "execute": ("latency",), "statistics": ("counts",)}
"""Tests of a room beside those of its name."""

EXAMPLES = 60
QUICK_CPU_S = 1.0
"""Tests that take longer, and those of other rooms, are asked of survivors alone, with `--again`."""

NOT_REACHED, SLOW = 33, 36
SPARE_CPU_S, PATIENCE_S = 10, 900


class Mutants:
    """A plugin of pytest that runs, in place of the tests, the mutants that are open."""

    def __init__(self, patterns: Sequence[str], *, again: bool, whole: bool, children: int) -> None:
        self._patterns, self._again, self._whole, self._children = patterns, again, whole, children
        self._running: dict[int, tuple[SourceFileMutationData, str, Path, float]] = {}
        self._looked_at = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Goes through them."""
        items = {item.nodeid: item for item in session.items}
        if not self._whole:
            _shorten(session.items)
        costs, reached = self._stats(items)
        rooms = list(_rooms())[::-1]
        gc.collect()
        gc.freeze()  # so that no collection in a child copies what all share
        opened = [(room, name) for room in rooms for name in room.exit_code_by_key if self._is_open(room, name)]
        print(f"{len(opened)} mutants are open", flush=True)
        for room, name in opened:
            tests = reached.get(mangled_name_from_mutant_name(name), ())
            if not self._whole:
                tests = _quick_of_its_own(room, tests, costs)
            ordered = [items[test] for test in sorted(tests, key=lambda test: costs[test]) if test in items]
            if not ordered:
                self._end(room, name, NOT_REACHED, "")
                continue
            while len(self._running) >= self._children:
                self._wait()
            limit = SPARE_CPU_S + 10 * sum(costs[item.nodeid] for item in ordered)
            self._start(room, name, ordered, int(limit))
        while self._running:
            self._wait()
        for room in rooms:
            room.save()
        return True

    def _is_open(self, room: SourceFileMutationData, name: str) -> bool:
        module, _, function = name.rpartition(".")
        if module in PARTS and not function.startswith(PARTS[module]):
            return False
        if self._patterns and not any(fnmatch.fnmatch(name, pattern) for pattern in self._patterns):
            return False
        found = room.exit_code_by_key[name]
        return found is None or (self._again and found in (0, NOT_REACHED))

    def _stats(self, items: dict[str, pytest.Item]) -> tuple[dict[str, float], dict[str, list[str]]]:
        """What each test costs in CPU seconds, and which tests reach each function: asked once of each test."""
        file = Path("reached.json")
        known: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        new = [item for item in items.values() if item.nodeid not in known]
        if new:
            folder = Path(tempfile.mkdtemp())
            if not (child := os.fork()):
                os._exit(_in_child(lambda: _look(new, known, file), folder))
            done = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            shutil.rmtree(folder, ignore_errors=True)
            if done:
                sys.exit(f"tests fail without any change: see {Path('failed.txt').resolve()}")
            known = json.loads(file.read_text())
        reached: dict[str, list[str]] = {}
        for test, (_, functions) in known.items():
            for function in functions:
                reached.setdefault(function, []).append(test)
        return {test: cost for test, (cost, _) in known.items()}, reached

    def _start(self, room: SourceFileMutationData, name: str, items: list[pytest.Item], limit: int) -> None:
        folder = Path(tempfile.mkdtemp())
        if not (child := os.fork()):
            os.setpgid(0, 0)
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
            set_mutant_under_test(name)
            os._exit(_in_child(lambda: _first_failure(items, folder / "noticed"), folder))
        self._running[child] = (room, name, folder, time.monotonic())

    def _wait(self) -> None:
        child, status, used = os.wait4(-1, os.WNOHANG)
        if not child:
            for each, (*_, begun) in self._running.items():
                if time.monotonic() - begun > PATIENCE_S:
                    os.killpg(each, signal.SIGKILL)
            time.sleep(0.01)
            return
        room, name, folder, _ = self._running.pop(child)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # whatever its tests left behind
        noticed = folder / "noticed"
        by = noticed.read_text() if noticed.exists() else ""
        shutil.rmtree(folder, ignore_errors=True)
        print(round(used.ru_utime, 3), round(used.ru_stime, 3), end=" ")
        self._end(room, name, os.waitstatus_to_exitcode(status), by)

    def _end(self, room: SourceFileMutationData, name: str, code: int, by: str) -> None:
        room.exit_code_by_key[name] = SLOW if code == -signal.SIGKILL else code
        self._looked_at += 1
        if self._looked_at % 20 == 0:
            room.save()
        if code in (0, NOT_REACHED):
            print("survived" if code == 0 else "not reached", name, flush=True)
        else:
            print("noticed", name, code, by, flush=True)
        if not any(each is room for each, *_ in self._running.values()):
            room.save()


def _shorten(items: Iterable[pytest.Item]) -> None:
    """Fewer examples of each property."""
    for item in items:
        test = getattr(item, "obj", None)
        if is_hypothesis_test(test):
            told = test._hypothesis_internal_use_settings
            test._hypothesis_internal_use_settings = settings(told, max_examples=min(told.max_examples, EXAMPLES))


def _quick_of_its_own(room: SourceFileMutationData, tests: Sequence[str], costs: dict[str, float]) -> Sequence[str]:
    name = Path(room.path).stem
    files = {f"test_{each}.py" for each in (name, *FURTHER.get(name, ()))}
    own = [test for test in tests if Path(test.split("::")[0]).name in files]
    return [test for test in own if costs[test] <= QUICK_CPU_S] or own or tests


def _rooms() -> Iterable[SourceFileMutationData]:
    for path in config().only_mutate:
        room = SourceFileMutationData(path=path)
        room.meta_path = Path("..").resolve() / room.meta_path  # tests run in mutants/
        room.load()
        yield room


def _in_child(work: Any, folder: Path) -> int:
    """The exit status of `work`, whose tests have temporary folders of their own and print nothing."""
    try:
        with Path(os.devnull).open("w") as nothing, redirect_stdout(nothing), redirect_stderr(nothing):
            for number in (0, 1, 2):
                os.dup2(nothing.fileno(), number) if number else None
            CONFIG[0]._tmp_path_factory._basetemp = folder / "temporary"
            (folder / "temporary").mkdir()
            return int(work())
    except BaseException:  # noqa: BLE001  # whatever it is, the change was noticed
        return 1


CONFIG: list[Any] = []


def _first_failure(items: list[pytest.Item], noticed: Path) -> int:
    for item, following in zip(items, [*items[1:], None], strict=True):
        if any(report.failed for report in runtestprotocol(item, log=False, nextitem=following)):
            noticed.write_text(item.nodeid)
            return 1
    return 0


def _look(items: list[pytest.Item], known: dict[str, Any], file: Path) -> int:
    set_mutant_under_test("stats")
    for item, following in zip(items, [*items[1:], None], strict=True):
        state()._stats.clear()
        begun = time.process_time()
        reports = runtestprotocol(item, log=False, nextitem=following)
        if failed := [report for report in reports if report.failed]:
            Path("failed.txt").write_text(f"{item.nodeid}\n{failed[0].longreprtext}")
            return 1
        known[item.nodeid] = (time.process_time() - begun, sorted(state()._stats))
    file.write_text(json.dumps(known))
    return 0


class _Keep:
    def pytest_configure(self, config: pytest.Config) -> None:
        CONFIG.append(config)


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
    return int(pytest.main([*arguments, *config().pytest_add_cli_args_test_selection], plugins=[_Keep(), plugin]))


if __name__ == "__main__":
    sys.exit(main())
