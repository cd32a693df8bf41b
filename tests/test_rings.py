"""The rings: arrows between packages point downward only, and importing them stays cheap."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RINGS = ("catalog", "expectations", "tasks", "flows")
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


def test_help_loads_nothing_heavy() -> None:
    heavy = {
        "prefect",
        "great_expectations",
        "pandas",
        "numpy",
        "duckdb",
        "pandera",
        "altair",
        "pydantic",
        "rich",
        "yaml",
    }
    program = (
        "import sys, runpy; sys.argv = ['plimsoll', '--help']\n"
        "try: runpy.run_module('flows.cli', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "usage: plimsoll" in finished.stdout
    assert not heavy & {name.split(".")[0] for name in finished.stderr.split()}
