"""Every block of the documentation and of the README is tried, in order, in a folder of the page's own.

What executes tests, assembles reports or performs stages again takes most of the time. It is executed on the pages that
newcomers follow; on others its words are held against the command line, and it is executed with PLIMSOLL_PAGES=whole.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import jsonschema
import pytest
from pages import CHECKED, SHELL, Block, blocks
from pydantic import ValidationError
from shell import FAILED, execute, plimsoll_at_hand

from catalog.schemas import FOLDER as SCHEMAS
from catalog.yaml_files import parse_yaml
from flows.cli import parser
from tasks.intake.manifest import Manifest

ROOT = Path(__file__).parents[2]
TRIED_ELSEWHERE = {"docs/extending.md": "tests/distributions.py", "docs/faults.md": "tests/faults/test_faults.py"}
"""Pages whose blocks are installed and used by tests of their own, and where."""

PAGES = sorted(
    page
    for page in [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    if page.relative_to(ROOT).as_posix() not in TRIED_ELSEWHERE
)
SAMPLES = ROOT / "tests" / "tasks" / "intake" / "samples"
"""Files of providers' tools, for what a page sets up."""

LEFT_OUT_AT_MOST = 24
"""So many blocks may stand in the documentation that nobody executes, or executes in part, each with its reason."""

WHOLE = os.environ.get("PLIMSOLL_PAGES") == "whole"
FOLLOWED = {"README.md", "docs/first-programme.md"}
"""Pages of which every line is executed, always."""

LONG = re.compile(r"plimsoll (run|regression|reperform|report|submission)\b")
"""Commands that take seconds to minutes."""

EMPTY = {"docs/first-programme.md"}
"""Pages that begin in an empty folder; every other has a workspace in which IOC and MOC were run."""


def short_programme(folder: Path) -> Path:
    """A copy of the shipped programme that takes seconds: of each phase the DSP's load test, for six of them."""
    shutil.copytree(ROOT / "catalog" / "smets1", folder)
    short = "{load: 6 s, stress: 1 s, soak: 2 s, catch-up: 2 s, scaling: 2 s, negative-path: 2 s, regression: 1 s}"
    for file, old, new in (
        ("tests.yaml", r"    tests: \[load,.*\]", "    tests: [load]"),
        ("tests.yaml", r"\n  - id: plan-dco(.|\n)*", "\n"),
        ("programme.yaml", r"(?m)^    components: \[.*\]", "    components: [dsp]"),
        ("programme.yaml", r"roles: \[dco, cp\]", "roles: [dsp]"),
        ("environments.yaml", r"durations:\s*\{[^}]*\}", f"durations: {short}"),
    ):
        text, count = re.subn(old, new, (folder / file).read_text(encoding="utf-8"))
        assert count, f"{file} has nothing like {old}"
        (folder / file).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Somebody's machine: keys, cache and Prefect of their own, one Prefect server, `plimsoll` on the path."""
    from flows.prefect_api import start_api

    home = tmp_path_factory.mktemp("home")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "PLIMSOLL_", "COV", "XDG_", "AWS_"))
    }
    environ = {
        **kept,
        "HOME": str(home),
        "PREFECT_HOME": str(home / "prefect"),
        "COLUMNS": "120",
        "SAMPLES": str(SAMPLES),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", environ["PREFECT_HOME"])
        server = start_api()
    try:
        catalog = short_programme(home / "smets1")
        told = server.read(600)
        shared = {"PREFECT_API_URL": told["url"], "PREFECT_API_AUTH_STRING": told["auth"]}
        quiet = {**shared, "PREFECT_SERVER_ANALYTICS_ENABLED": "false", **QUIET}
        with plimsoll_at_hand(home / "shell", {**environ, **quiet, "PLIMSOLL_CATALOG": str(catalog)}) as at_hand:
            yield at_hand
    finally:
        server.stop()


@pytest.fixture(scope="module")
def world(surroundings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which IOC and MOC of the short programme were run."""
    folder = tmp_path_factory.mktemp("world")
    ended = execute("plimsoll run ioc\nplimsoll run moc", folder, surroundings)
    assert FAILED not in ended.stdout, ended.stdout
    assert (folder / ".plimsoll" / "reports" / "moc").is_dir(), ended.stdout
    return folder


QUIET = {"DO_NOT_TRACK": "1", "PREFECT_LOGGING_LEVEL": "CRITICAL", "PREFECT_LOGGING_SERVER_LEVEL": "ERROR"}
"""As `plimsoll run` sets them before it imports Prefect, which here is imported already."""


def all_blocks() -> list[Block]:
    return [block for page in PAGES for block in blocks(page, ROOT)]


def test_what_is_not_executed_is_little_and_says_why() -> None:
    left = [block for block in all_blocks() if block.reason]
    print(*(f"{block.place}: {block.reason}" for block in left), sep="\n")
    assert len(left) <= LEFT_OUT_AT_MOST
    assert not [block.place for block in left if len(block.reason) < 10]
    unknown = [block.place for block in all_blocks() if block.kind not in (*SHELL, *CHECKED) and not block.left_out]
    assert not unknown, f"say of what kind these blocks are, or why nobody executes them: {unknown}"


def test_pages_that_are_tried_elsewhere_are() -> None:
    for page, test in TRIED_ELSEWHERE.items():
        assert page.removeprefix("docs/") in (ROOT / test).read_text(encoding="utf-8")


def with_something_to_try() -> list[Path]:
    return [page for page in PAGES if any(not block.left_out for block in blocks(page, ROOT))]


@pytest.mark.parametrize("page", with_something_to_try(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_does_what_it_says(
    page: Path, surroundings: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    todo = [block for block in blocks(page, ROOT) if not block.left_out]
    if page.relative_to(ROOT).as_posix() not in EMPTY and any(block.kind in (*SHELL, "sql") for block in todo):
        shutil.copytree(request.getfixturevalue("world"), tmp_path, dirs_exist_ok=True)
    for block in todo:
        TRY[block.kind](block, tmp_path, surroundings)


def try_lines(block: Block, folder: Path, environ: Mapping[str, str]) -> None:
    """Executes the lines as one script."""
    lines = [line for line in joined(block.text) if not line.startswith(block.unless or ("\0",))]
    if not WHOLE and block.page not in FOLLOWED:
        lines = [line for line in lines if not (LONG.match(line) and is_understood(line))]
    assert_no_failure(block, execute("\n".join(lines), folder, environ))


def is_understood(line: str) -> bool:
    """Whether the command line takes these words; it ends the test where it does not, and says why."""
    words = shlex.split(re.split(r"\s[>|]", line)[0], comments=True)
    return bool(parser().parse_args(words[1:]))


def assert_no_failure(block: Block, ended: "subprocess.CompletedProcess[str]") -> None:
    """Fails where a command did; the shell says which."""
    assert FAILED not in ended.stdout, f"{block.place}\n{ended.stdout}"


def joined(text: str) -> list[str]:
    """Lines, those that are continued made one."""
    return re.sub(r"\\\n\s*", "", text).splitlines()


def try_console(block: Block, folder: Path, environ: Mapping[str, str]) -> None:
    """Executes each line after a prompt, and holds what it prints against what stands below it.

    Only where that is a complaint of Plimsoll's may the command fail.
    """
    for said in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        lines = said.splitlines()
        count = next((number for number, line in enumerate(lines) if not line.endswith("\\")), 0) + 1
        expected = "\n".join(lines[count:]).strip()
        ended = execute("\n".join(lines[:count]), folder, environ, told=not expected.startswith("plimsoll: "))
        assert_no_failure(block, ended)
        if expected:
            assert re.fullmatch(pattern(expected), plain(ended.stdout) + "\n"), (
                f"{block.place}: `{lines[0]}` printed\n{ended.stdout}\nand the page says\n{expected}"
            )


VARYING = (
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>"),
    (r"\b[0-9a-f]{8,64}\b", "<digest>"),
    (r"\b\d+\.\d s\b", "<seconds>"),
    (r"[─═]+", "─"),
    (r"[ \t]+", " "),
)
"""What differs from one execution to the next, or with the width of a table."""


def plain(text: str) -> str:
    """A text without what varies."""
    for varying, word in VARYING:
        text = re.sub(varying, word, text)
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


def pattern(expected: str) -> str:
    """What fits `expected`, line by line: a line of … stands for any lines, … within one for any text."""
    lines = plain(expected).splitlines()
    return "".join("(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*?") + "\n" for line in lines)


def try_python(block: Block, folder: Path, environ: Mapping[str, str]) -> None:
    subprocess.run([sys.executable, "-c", block.text], cwd=folder, env=dict(environ), check=True)


def try_sql(block: Block, folder: Path, environ: Mapping[str, str]) -> None:
    with duckdb.connect(str(folder / ".plimsoll" / "plimsoll.duckdb"), read_only=True) as index:
        index.sql(block.text).fetchall()


def try_json(block: Block, folder: Path, environ: Mapping[str, str]) -> None:
    json.loads(block.text)


def try_diff(block: Block, folder: Path, environ: Mapping[str, str]) -> None:
    """Makes the change: the lines kept and taken out must stand once in the file that the first line names."""
    head, *lines = block.text.splitlines()
    file = folder / head.removeprefix("--- ")
    old = "\n".join(line[1:] for line in lines if line[:1] != "+")
    new = "\n".join(line[1:] for line in lines if line[:1] != "-")
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{block.place}: {file.name} holds these lines {text.count(old)} times:\n{old}"
    file.write_text(text.replace(old, new), encoding="utf-8")


def try_yaml(block: Block, folder: Path, environ: Mapping[str, str]) -> None:
    """Holds declarations against the schemas: some object must have all these keys, and each value must fit its own."""
    document, faults = parse_yaml(block.place, block.text)
    assert document is not None, faults
    data = document.data
    for item in data if isinstance(data, list) else [data]:
        fitting = is_manifest(item) or fits(item) or all(fits(inner) for inner in item.values())
        assert fitting, f"{block.place}: nothing that is declared has such an object"


def is_manifest(item: Any) -> bool:
    """Whether this is what a provider states of results."""
    try:
        return bool(Manifest.model_validate(item))
    except ValidationError:
        return False


def fits(item: Any) -> bool:
    """Whether an object of the catalogue has all these keys with such values; others may be missing."""
    if not isinstance(item, dict):
        return False
    for path in SCHEMAS.glob("*.schema.json"):
        schema = in_part(json.loads(path.read_text(encoding="utf-8")))
        for owner in (schema, *schema.get("$defs", {}).values()):
            keys = owner.get("properties", {})
            if set(item) <= set(keys) and all(
                jsonschema.Draft202012Validator({**keys[key], "$defs": schema.get("$defs", {})}).is_valid(value)
                for key, value in item.items()
            ):
                return True
    return False


def in_part(schema: Any) -> Any:
    """A schema by which any key may be missing."""
    if isinstance(schema, dict):
        return {key: in_part(value) for key, value in schema.items() if key != "required"}
    return [in_part(value) for value in schema] if isinstance(schema, list) else schema


def try_answers(block: Block, folder: Path, environ: Mapping[str, str]) -> None:
    """Holds the keys that a block names, outermost ones, against what the commands answer."""
    described = re.split(r"^\S.*?--json\s*", block.text, flags=re.MULTILINE)[1:]
    for command, shape in zip(block.answer_to, described, strict=True):
        ended = execute(f"plimsoll {command} --json 2>/dev/null", folder, environ)
        missing = outermost(shape) - json.loads(ended.stdout).keys()
        assert not missing, f"{block.place}: {command} answered\n{ended.stdout}"


def outermost(shape: str) -> set[str]:
    """The keys of the first object of a shape such as {"ok": bool, "faults": [{"what"}]}."""
    keys, depth = set(), 0
    for mark, key in re.findall(r'([\[\]{}])|"(\w+)"', shape):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(mark, 0)
        if mark and not depth:
            break
        if key and depth == 1:
            keys.add(key)
    return keys


TRY = {
    "answers": try_answers,
    "sh": try_lines,
    "console": try_console,
    "python": try_python,
    "yaml": try_yaml,
    "sql": try_sql,
    "json": try_json,
    "diff": try_diff,
}
"""How each kind of block is tried."""
