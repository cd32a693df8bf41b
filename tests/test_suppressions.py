"""What a checker is told to overlook is named by its code, and says why, where it stands."""

import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("catalog", "expectations", "tasks", "flows", "tests", "benchmarks", "docs", ".ci")
FILES = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]

SILENCES = re.compile(r"# *(noqa|type: *ignore|nosec|pragma|ruff: *noqa|mypy:)")
WITH_CODE = re.compile(r"# ((?:ruff: )?noqa: [A-Z]+\d+(, ?[A-Z]+\d+)*|type: ignore\[[a-z-]+(, ?[a-z-]+)*\])(?=\s|$)")


def comments(file: Path) -> Iterator[tuple[int, str]]:
    """Those of a file, with their lines; none of one in which nothing is silenced."""
    if not SILENCES.search(file.read_text()):
        return
    with file.open("rb") as source:
        for token in tokenize.tokenize(source.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def unexplained(comment: str) -> bool:
    """Whether a comment silences a checker without its code or without a reason."""
    if not SILENCES.search(comment):
        return False
    rest = WITH_CODE.sub("", comment)
    return bool(SILENCES.search(rest)) or not re.search(r"\w", rest)


def test_every_suppression_has_its_code_and_its_reason() -> None:
    found = [(file, number, said) for file in FILES for number, said in comments(file)]
    assert sum("noqa" in said for _, _, said in found) > 100
    assert [f"{file.relative_to(ROOT)}:{number}: {said}" for file, number, said in found if unexplained(said)] == []


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa",
        "# noqa: S608",
        "# noqa - because",
        "# type: ignore",
        "# type: ignore[arg-type]",
        "# type: ignore  # because",
        "# type: ignore[import-not-found]  # noqa: F401",
        "# nosec",
        "# ruff: noqa",
        "# pragma: no cover",
    ],
)
def test_a_suppression_without_either_is_found(comment: str) -> None:
    assert unexplained(comment)


@pytest.mark.parametrize(
    "comment",
    ["# noqa: S608  # constants only", "# noqa: S608 - constants only", "# type: ignore[misc]  # why", "# a word"],
)
def test_a_suppression_with_both_is_none_to_find(comment: str) -> None:
    assert not unexplained(comment)


def test_every_rule_that_is_switched_off_says_why() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    rules = tomllib.loads(text)["tool"]["ruff"]["lint"]
    assert "S" in rules["select"]
    block = text.partition("\nignore = [\n")[2].partition("\n]\n")[0].splitlines()
    files = text.partition("[tool.ruff.lint.per-file-ignores]\n")[2].partition("\n\n")[0].splitlines()
    assert len(block) >= 4
    assert [line for line in [*block, *files] if not re.search(r"# \w+,? ", line)] == []
