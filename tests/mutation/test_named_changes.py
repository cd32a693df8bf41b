"""The changes that the long form makes still find their places, and the tests that are to notice them are there."""

import ast
import re
from collections import Counter

import pytest
from changes import CHANGES, ROOT


@pytest.mark.parametrize("file", sorted({change.file for change in CHANGES}))
def test_each_change_finds_its_place_and_leaves_what_can_be_read(file: str) -> None:
    text = (ROOT / file).read_text()
    for change in (each for each in CHANGES if each.file == file):
        assert text.count(change.old) == 1, change.name
        ast.parse(text.replace(change.old, change.new))


def test_each_change_has_a_name_and_tests_of_its_own() -> None:
    assert not [name for name, count in Counter(change.name for change in CHANGES).items() if count > 1]
    for path, _, name in {test.partition("::") for change in CHANGES for test in change.tests}:
        assert not name or re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.MULTILINE), name
