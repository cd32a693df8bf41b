"""Canonical JSON: one form for one document, RFC 8785's own, and no number that a machine could round."""

import hashlib
import json
from decimal import Decimal

import numpy as np
import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.canonical import canonical, digest, document_digest

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=15
)
SEEDED = settings(derandomize=True, deadline=None)


@SEEDED
@given(document=DOCUMENTS)
def test_what_is_read_back_is_what_was_written_and_its_form_does_not_change(document):
    written = canonical(document)
    assert json.loads(written) == document
    assert canonical(json.loads(written)) == written
    assert document_digest(document) == hashlib.sha256(written).hexdigest() == digest(written)


@SEEDED
@given(document=DOCUMENTS)
def test_every_document_is_written_as_the_reference_implementation_writes_it(document):
    assert canonical(document) == rfc8785.dumps(document)


@given(character=st.characters(exclude_categories=["Cs"]))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_every_character_is_written_as_the_reference_implementation_writes_it(character):
    document = {"text": character, "list": [character, (character,)], character: character, "z": None}
    assert canonical(document) == rfc8785.dumps(document)


def test_text_with_half_a_character_is_refused():
    with pytest.raises(ValueError):
        canonical({"text": "\ud800"})


@SEEDED
@given(members=st.lists(st.tuples(TEXT, SCALARS), unique_by=lambda member: member[0], max_size=6), data=st.data())
def test_the_order_in_which_members_were_written_makes_no_difference(members, data):
    shuffled = data.draw(st.permutations(members))
    assert canonical(dict(members)) == canonical(dict(shuffled))


def test_members_are_ordered_by_utf16_units_as_rfc_8785_asks():
    # RFC 8785, 3.2.3: the last two would be the other way round by code points.
    document = {"\u20ac": 1, "\r": 2, "1": 3, "\u0080": 4, "\ufb33": 5, "\U0001f600": 6}
    assert list(json.loads(canonical(document)).values()) == [2, 3, 4, 1, 6, 5]
    beyond_ascii_alone = {"\ufb33": 5, "\U0001f600": 6}
    assert list(json.loads(canonical(beyond_ascii_alone)).values()) == [6, 5]


@pytest.mark.parametrize(
    "document",
    [{}, [], (), "é", True, False, None, 7, 2**53 - 1, 1 - 2**53, {"a": {"b": "é", "c": 1}}, ["a", 1, (None, ["b"])]],
)
def test_what_pythons_own_encoder_writes_alike_is_written_by_it(document, monkeypatch):
    wanted = rfc8785.dumps(document)
    monkeypatch.setattr(rfc8785, "dumps", lambda _: pytest.fail("the slow way"))
    assert canonical(document) == wanted


def test_text_is_written_as_rfc_8785_asks():
    # RFC 8785, 3.2.2.2: only what must be escaped is.
    assert canonical({"s": "\u20ac$\u000f\nA'B\"\\/"}) == b'{"s":"\xe2\x82\xac$\\u000f\\nA\'B\\"\\\\/"}'


@pytest.mark.parametrize("value", [0.5, 1.0, float("nan"), float("inf"), np.float64(2)])
def test_a_float_is_refused_wherever_it_hides_and_its_place_is_told(value):
    with pytest.raises(TypeError, match=r"the float .* at \$\.rows\[1\]\.value"):
        canonical({"rows": [{"value": 1}, {"value": value}]})
    with pytest.raises(TypeError, match=r"at \$\[0\]"):
        canonical((value,))


@pytest.mark.parametrize("document", [{1: "a"}, {1.5: "a"}, {"d": Decimal(1)}, {"s": {1}}, {"n": np.int64(1)}, b"x"])
def test_whatever_is_no_json_is_refused(document):
    with pytest.raises(Exception, match=r"keys must be strings|unsupported type"):
        canonical(document)


@pytest.mark.parametrize("integer", [2**53, -(2**53)])
def test_an_integer_that_a_double_cannot_hold_is_refused(integer):
    with pytest.raises(ValueError):
        canonical([integer])
