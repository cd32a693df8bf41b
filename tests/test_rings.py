"""The rings: arrows between packages point downward only, and importing them stays cheap."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RINGS = ("catalog", "expectations", "tasks", "flows")
SITE = ("_distutils_hack", "sitecustomize", "usercustomize")  # what begins with Python itself
MODULES = sorted(path for ring in RINGS for path in (ROOT / ring).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows_point_downward_only(path: Path) -> None:
    ring = RINGS.index(path.relative_to(ROOT).parts[0])
    above = {name for name in imported(path) if name.split(".")[0] in RINGS[ring + 1 :]}
    assert not above


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_holds(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_default_of_the_catalogue_knows_the_shipped_programme(path: Path) -> None:
    named = path.read_text().lower().count("smets1")
    assert named <= (2 if path.name == "cli.py" else 0)


def test_assembling_a_report_loads_no_prefect_and_nothing_for_tables_or_judging() -> None:
    program = "import sys, flows.phase, tasks.report.render, tasks.report.volume_charts; print(*sorted(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"prefect", "great_expectations", "pandas", "pandera", "fastparquet", "altair", "vl_convert", "scipy"}
    assert heavy & set(ended.stdout.split()) == set()


HELP = {"__main__", "catalog", "catalog.errors", "flows", "flows.interrupt", "flows.remote", "flows.streams"}
"""All that `--help` may load beside Python's own library: it has 0.3 s."""


def test_help_loads_nothing_but_what_is_named() -> None:
    program = (
        "import sys, runpy; sys.argv = ['plimsoll', '--help']\n"
        "try: runpy.run_module('flows.cli', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COV")}  # not measured
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT, env=plain
    )
    assert "usage: plimsoll" in finished.stdout
    loaded = {name for name in finished.stderr.split() if name.partition(".")[0] not in sys.stdlib_module_names}
    assert {name for name in loaded if not name.startswith(SITE)} == HELP
