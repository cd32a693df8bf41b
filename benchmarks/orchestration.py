"""What Prefect costs a test, and whether a phase of a thousand keeps its memory.

    python -m benchmarks.orchestration [TESTS]

The template's programme with so many planned tests (1,000 unless given) where nothing listens, so that each
is planned, begun, recorded and ended without a load. The same phase is conducted three times, in processes of its own:
with the stages called as plain functions, against a Prefect server on SQLite, and against the API that `plimsoll run`
brings along. Prints one JSON line: seconds a test of each, the overhead a test (at most 0.3 s is wanted of the server),
the same in seconds of CPU (the flow's process and the server), which a busy machine does not change, and the memory
of the flow's process after a tenth of the tests and after all of them, in kB.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.planning import PROFILES, write_catalogue

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "flows"))

from prefect_server import prefect_server

CONDUCT = """
import json, os, sys, time
from contextlib import nullcontext
from pathlib import Path
import psutil
from flows import phase
way, catalog, home = sys.argv[1:]
given = {"catalog": Path(catalog), "home": home, "environment": "nobody-there"}
if way == "own":
    from flows.prefect_api import start_api, use_api
    api = start_api()
process, told = psutil.Process(), []
def server_cpu():
    pid = int(os.environ.get("SERVER_PID", 0)) or (api.pid if way == "own" else 0)
    return sum(psutil.Process(pid).cpu_times()[:2]) if pid else 0.0
def telling(stage):
    def told_before(*given):
        told.append((time.perf_counter(), process.memory_info().rss // 1024, time.process_time() + server_cpu()))
        return stage(*given)
    return told_before
phase.conduct, phase.endings = telling(phase.conduct), telling(phase.endings)
if way == "plain":
    import logging, prefect
    prefect.get_run_logger = logging.getLogger  # no flow runs that it could belong to
    phase.run_phase("launch", **given)
else:
    from flows.capability_phase import capability_phase
    with use_api(api) if way == "own" else nullcontext():
        capability_phase("launch", **{**given, "catalog": catalog})
if way == "own":
    api.stop()
tests = len(told) - 1
print(json.dumps({
    "tests": tests, "seconds": told[-1][0] - told[0][0], "cpu": told[-1][2] - told[0][2],
    "memory_after_a_tenth_kb": told[tests // 10][1], "memory_after_all_kb": told[-1][1],
}))
"""


def write_programme(folder: Path, tests: int) -> None:
    """The catalogue with so many planned tests, in an environment where nothing listens."""
    components = max(1, tests // PROFILES)
    write_catalogue(folder, components)
    names = ["storefront", "orders", *(f"orders-{number:04d}" for number in range(components))]
    entries = ", ".join(f'{name}: "http://127.0.0.1:9"' for name in names)
    environments = folder / "environments.yaml"
    declared = "\n  - id: nobody-there\n    title: Nothing listens\n    kind: rehearsal\n    extends: rehearsal\n"
    declared += f"    entries: {{{entries}}}\n"
    environments.write_text(environments.read_text() + declared)


def conducted(way: str, catalogue: Path, home: Path, environ: dict[str, str]) -> dict[str, Any]:
    """What one process tells of the phase."""
    command = [sys.executable, "-c", CONDUCT, way, str(catalogue), str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environ})
    if done.returncode:
        raise SystemExit(done.stderr)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _each(told: dict[str, Any], what: str) -> float:
    return float(told[what] / told["tests"])


def _over(found: dict[str, dict[str, Any]], way: str, what: str) -> float:
    return round(_each(found[way], what) - _each(found["plain"], what), 4)


def main(place: Path, tests: int = 1_000) -> dict[str, Any]:
    """Times what the module's docstring says."""
    catalogue = place / "catalogue"
    write_programme(catalogue, tests)
    quiet = {
        "PREFECT_LOGGING_LEVEL": "CRITICAL",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_HOME": str(place / "prefect"),
        "XDG_CONFIG_HOME": str(place / "config"),
        "PLIMSOLL_CACHE": str(place / "cache"),
    }
    found = {"plain": conducted("plain", catalogue, place / "plain", quiet)}
    database = f"sqlite+aiosqlite:///{place / 'server.db'}"
    with prefect_server(place, {**os.environ, **quiet}, database) as server:
        found["server"] = conducted(
            "server", catalogue, place / "server", {**quiet, **server.environ, "SERVER_PID": str(server.pid)}
        )
    found["own"] = conducted("own", catalogue, place / "own", quiet)
    return {
        "tests": found["plain"]["tests"],
        "seconds_a_test": {way: round(_each(told, "seconds"), 4) for way, told in found.items()},
        "overhead_a_test": {way: _over(found, way, "seconds") for way in ("server", "own")},
        "overhead_cpu_a_test": {way: _over(found, way, "cpu") for way in ("server", "own")},
        "memory_kb": {
            way: [told["memory_after_a_tenth_kb"], told["memory_after_all_kb"]] for way, told in found.items()
        },
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(main(Path(folder), *map(int, sys.argv[1:]))))
