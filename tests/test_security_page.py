"""The page on security names tests that there are, and one for each defence."""

import re
from pathlib import Path

TESTS = Path(__file__).parent


def test_every_defence_is_shown_by_a_test_that_there_is() -> None:
    page = (TESTS.parent / "docs" / "security.md").read_text()
    sources = "".join(file.read_text() for file in TESTS.rglob("test_*.py"))
    defined = set(re.findall(r"^def (test_\w+)\(", sources, re.MULTILINE))
    assert set(re.findall(r"`(test_\w+)`", page)) <= defined
    lines = page.partition("## What could be done")[2].splitlines()
    rows = [line for line in lines if line.startswith("|") and not line.startswith(("|---", "| threat"))]
    assert len(rows) > 20
    assert [row for row in rows if "`test_" not in row] == []
