"""Stage keys: the difference of two documents is empty exactly when they are equal, and names what changed."""

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.canonical import canonical
from catalog.keys import Difference, differences, stage_key

NAMES = st.sampled_from(["a", "b", "id", "name", "value"])
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "1", "x", "y", "é"])
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)
SEEDED = settings(derandomize=True, deadline=None, max_examples=250)


def pairs(found: list[Difference]) -> list[tuple[str, Any, Any]]:
    return [(item.input, item.old, item.new) for item in found]


@SEEDED
@given(document=DOCUMENTS)
def test_nothing_differs_from_itself(document: Any) -> None:
    assert differences(document, copy.deepcopy(document)) == []


@SEEDED
@given(old=DOCUMENTS, new=DOCUMENTS)
def test_differences_are_empty_exactly_when_the_canonical_forms_are_equal(old: Any, new: Any) -> None:
    assert (differences(old, new) == []) == (canonical(old) == canonical(new))


@SEEDED
@given(old=DOCUMENTS, new=DOCUMENTS)
def test_differences_are_the_same_in_either_direction(old: Any, new: Any) -> None:
    there, back = differences(old, new), differences(new, old)
    assert sorted((item.input, canonical(item.old), canonical(item.new)) for item in there) == sorted(
        (item.input, canonical(item.new), canonical(item.old)) for item in back
    )
    assert [item.input for item in there] == sorted(item.input for item in there)


@SEEDED
@given(data=st.data())
def test_any_single_change_of_an_input_is_named_and_nothing_else_is(data: st.DataObject) -> None:
    inputs = data.draw(st.dictionaries(st.sampled_from("abcdef"), DOCUMENTS, min_size=1))
    role = data.draw(st.sampled_from(sorted(inputs)))
    value = data.draw(DOCUMENTS.filter(lambda other: canonical(other) != canonical(inputs[role])))
    found = differences(
        stage_key("derive", rules=1, inputs=inputs), stage_key("derive", rules=1, inputs={**inputs, role: value})
    )
    assert found
    assert all(item.input.startswith(f"inputs.{role}") for item in found)


def test_a_changed_rule_and_a_new_input_are_named() -> None:
    old = stage_key("volumes", rules=1, inputs={"forecast": {"name": "f.csv", "digest": "aa"}})
    new = stage_key("volumes", rules=2, inputs={"forecast": {"name": "f.csv", "digest": "bb"}, "seed": 7})
    assert pairs(differences(old, new)) == [
        ("inputs.forecast.digest", "aa", "bb"),
        ("inputs.seed", None, 7),
        ("rules", 1, 2),
    ]


def test_a_key_is_a_document_of_three_members() -> None:
    assert stage_key("volumes", rules=2, inputs={"seed": 7}) == {"stage": "volumes", "rules": 2, "inputs": {"seed": 7}}


def test_whole_documents_that_differ_have_no_path() -> None:
    assert pairs(differences(1, 2)) == [("", 1, 2)]
    assert pairs(differences([1, 1], [1, 3])) == [("[1]", 1, 3)]


def test_components_are_matched_by_id_and_not_by_position() -> None:
    old = {"components": [{"id": "dsp", "version": "1"}, {"id": "dco", "version": "4"}]}
    new = {"components": [{"id": "cp", "version": "1"}, {"id": "dsp", "version": "2"}, {"id": "dco", "version": "4"}]}
    assert pairs(differences(old, new)) == [
        ("components[cp]", None, {"id": "cp", "version": "1"}),
        ("components[dsp].version", "1", "2"),
    ]


def test_objects_without_an_id_are_matched_by_name_whatever_else_is_text_in_them() -> None:
    old = {"steps": [{"name": "a", "unit": "s"}, {"name": "b", "unit": "s"}]}
    new = {"steps": [{"name": "b", "unit": "ms"}]}
    assert pairs(differences(old, new)) == [
        ("steps[a]", {"name": "a", "unit": "s"}, None),
        ("steps[b].unit", "s", "ms"),
    ]


def test_rows_of_one_column_and_a_value_are_matched_by_the_column() -> None:
    assert pairs(differences({"of": [["a", 1], ["b", 2]]}, {"of": [["b", 3]]})) == [
        ('of["a"]', 1, None),
        ('of["b"]', 2, 3),
    ]


def test_what_has_no_text_in_it_is_matched_by_nothing_but_its_value_or_place() -> None:
    assert pairs(differences({"of": [1]}, {"of": [2]})) == [("of[1]", 1, None), ("of[2]", None, 2)]
    assert pairs(differences({"of": [{"at": 1}]}, {"of": [{"at": 2}]})) == [("of[0].at", 1, 2)]


def test_target_volumes_are_matched_by_their_columns() -> None:
    old = {"targets": [["path-a", "8.1.1", "request", 100], ["path-b", "4.1.1", "request", 50]]}
    new = {"targets": [["path-b", "4.1.1", "request", 51], ["path-a", "8.1.1", "request", 100]]}
    assert pairs(differences(old, new)) == [
        (
            "targets (order)",
            ['"path-a","8.1.1","request"', '"path-b","4.1.1","request"'],
            ['"path-b","4.1.1","request"', '"path-a","8.1.1","request"'],
        ),
        ('targets["path-b","4.1.1","request"]', 50, 51),
    ]


def test_objects_without_an_id_are_matched_by_the_strings_in_them() -> None:
    old = {"targets": [{"path": "a", "srv": "8.1.1", "messages": 3}, {"path": "b", "srv": "8.1.1", "messages": 4}]}
    new = {"targets": [{"path": "b", "srv": "8.1.1", "messages": 5}]}
    assert pairs(differences(old, new)) == [
        ("targets[a,8.1.1]", {"path": "a", "srv": "8.1.1", "messages": 3}, None),
        ("targets[b,8.1.1].messages", 4, 5),
    ]


def test_a_value_that_joins_a_list_is_one_difference() -> None:
    assert pairs(differences({"srvs": ["4.1.1", "8.1.1"]}, {"srvs": ["4.1.1", "6.2.3", "8.1.1"]})) == [
        ('srvs["6.2.3"]', None, "6.2.3")
    ]


def test_lists_without_identities_are_compared_by_position() -> None:
    assert pairs(differences({"steps": [1, 1, 2]}, {"steps": [1, 3, 2]})) == [("steps[1]", 1, 3)]


def test_types_that_python_calls_equal_are_different_documents() -> None:
    assert pairs(differences({"a": 1}, {"a": True})) == [("a", 1, True)]


def test_a_difference_is_given_as_scripts_expect_it() -> None:
    assert differences({"a": 1}, {})[0].as_json() == {"input": "a", "old": 1, "new": None}
