"""Errors: grouped by whose fault it is, with a status for each group, and faults that show their place."""

import pytest

from catalog.errors import (
    DeclarationError,
    EvidenceError,
    Fault,
    PlimsollError,
    Status,
    UsageError,
    WorldError,
)

FAULT = Fault(
    file="a.yaml", line=12, column=5, code="type", message="expected a number", hint="write 5", source="  x: five"
)


def test_a_fault_shows_its_place_with_a_caret_under_it():
    assert FAULT.render().splitlines() == [
        "a.yaml:12:5: type: expected a number",
        "  12 |   x: five",
        "     |     ^",
        "  hint: write 5",
    ]


def test_a_fault_without_source_and_hint_is_one_line():
    fault = Fault(file="a.yaml", line=1, column=1, code="missing-file", message="found none")
    assert fault.render() == "a.yaml:1:1: missing-file: found none"


def test_a_fault_as_json_has_the_members_that_scripts_rely_on():
    assert FAULT.as_json() == {
        "file": "a.yaml", "line": 12, "column": 5, "code": "type", "message": "expected a number", "hint": "write 5",
    }  # fmt: skip


def test_a_declaration_error_tells_every_fault_and_counts_them():
    error = DeclarationError([FAULT, FAULT], remedy="see the schema")
    assert str(error) == f"{FAULT.render()}\n{FAULT.render()}\n2 faults"
    assert str(DeclarationError([FAULT])).endswith("\n1 fault")
    assert error.faults == [FAULT, FAULT]
    assert error.help() == "see the schema"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DeclarationError([FAULT]), 2),
        (UsageError("no such phase"), 2),
        (WorldError("no disk"), 3),
        (EvidenceError("altered"), 4),
    ],
)
def test_each_group_has_its_exit_status(error: PlimsollError, status: int):
    assert isinstance(error, PlimsollError)
    assert error.status == status
    assert error.help() == ""


def test_the_highest_status_wins_and_none_is_below_proved():
    assert max(Status.PROVED, Status.ENVIRONMENT, Status.NOT_PROVED) is Status.ENVIRONMENT
    assert sorted(Status) == [
        Status.PROVED, Status.NOT_PROVED, Status.DECLARATION, Status.ENVIRONMENT, Status.EVIDENCE,
    ]  # fmt: skip
