"""Rule 3: earlier evidence is relied on when nothing that is compared has changed, and never otherwise."""

import copy
import json
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.canonical import canonical
from catalog.declarations import Never, Reliance
from expectations.reliance import Candidate, Compared, answer

SEEDED = settings(derandomize=True, deadline=None)
FOUND = "verdict under the requirements now in force (needed, found)"
CELLS = ("browse|search|request", "purchase|place-order|request", "alerts|door|alert")
KEY = {
    "stage": "execute",
    "rules": [1, 1],
    "inputs": {
        "test": {"role": "orders", "type": "load", "name": "load", "definition": {"blocks": 30, "steps": ["1", "1.5"]}},
        "components": {"orders": {"version": "1.0", "configuration": {"cache": True}, "solution": "Classic"}},
        "environment": {"id": "rehearsal", "kind": "rehearsal", "size": "", "emulation": {"workers": 6}, "entry": None},
        "factors": {"compression": "2400", "rate": "25"},
        "volumes": {"window_us": 14_400_000_000, "messages": {CELLS[0]: 12_000, CELLS[1]: 36_000}},
        "injector": "own, open loop",
        "arrivals": {"generator": "uniform", "seed": 7},
    },
}


def rule(*, scope="path", volumes="not-exceeding", roles=(), types=()):
    never = Never(roles=roles, types=types)
    return Reliance(scope=scope, volumes=volumes, never=never, reading="as it stands", source="a test")


def candidate(key=KEY, *, run="pilot/pilot.orders.load/1", intact=True, withdrawn=False, verdict="proved", deciding=()):
    return Candidate(
        record="0" * 64,
        run=run,
        occasion="pilot",
        key=key,
        intact=intact,
        withdrawn=withdrawn,
        verdict=verdict,
        deciding=deciding,
    )


def with_volumes(messages, window_us=14_400_000_000):
    key = copy.deepcopy(KEY)
    key["inputs"]["volumes"] = {"window_us": window_us, "messages": dict(messages)}
    return key


def places(document, above=()):
    """Every place in a document that something may be changed at, as a path of steps."""
    members = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for step, value in members:
        yield (*above, step)
        yield from places(value, (*above, step))


PLACES = [place for place in places(KEY) if place[:2] != ("inputs", "volumes")]
VALUES = st.none() | st.booleans() | st.integers(-3, 40) | st.sampled_from(["", "1.0", "2.0", "load", "orders"])


@st.composite
def changed_keys(draw):
    """The key with up to three places replaced, removed or added to; sometimes nothing comes of it."""
    key = copy.deepcopy(KEY)
    for place in draw(st.lists(st.sampled_from(PLACES), max_size=3)):
        target = key
        try:
            for step in place[:-1]:
                target = target[step]
            match draw(st.sampled_from(["replace", "remove", "add", "keep"])):
                case "replace":
                    target[place[-1]] = draw(
                        VALUES | st.lists(VALUES, max_size=2) | st.dictionaries(st.just("id"), VALUES)
                    )
                case "remove":
                    del target[place[-1]]
                case "add" if isinstance(target, dict):
                    target[f"new-{place[-1]}"] = draw(VALUES)
        except (KeyError, IndexError, TypeError):
            continue  # what it was in is gone already
    return key


def is_of_the_same_test(key):
    inputs = key.get("inputs")
    return isinstance(inputs, dict) and canonical(inputs.get("test")) == canonical(KEY["inputs"]["test"])


@SEEDED
@given(old=changed_keys())
def test_any_change_of_what_is_compared_refuses_and_no_change_allows(old):
    answered = answer(rule(), KEY, [candidate(old)])
    assert answered.relies == (canonical(old) == canonical(KEY))
    assert answered.relies or any(each.old != each.new for each in answered.in_the_way)


@SEEDED
@given(new=changed_keys().filter(is_of_the_same_test))
def test_it_makes_no_difference_on_which_side_the_change_is(new):
    assert answer(rule(), new, [candidate(KEY)]).relies == (canonical(new) == canonical(KEY))


COUNTS = st.dictionaries(st.sampled_from(CELLS), st.integers(0, 6))


@SEEDED
@given(old=COUNTS, new=COUNTS, windows=st.tuples(st.integers(1, 3), st.integers(1, 3)))
def test_volumes_are_compared_cell_by_cell_as_rates(old, new, windows):
    was, now = windows
    rates = [(Fraction(old.get(cell, 0), was), Fraction(new.get(cell, 0), now)) for cell in CELLS]
    for volumes, allowed in (
        ("not-exceeding", all(after <= before for before, after in rates)),
        ("equal", was == now and all(after == before for before, after in rates)),
    ):
        answered = answer(rule(volumes=volumes), with_volumes(new, now), [candidate(with_volumes(old, was))])
        assert answered.relies == allowed
        named = {each.input for each in answered.compared}
        assert {f"volumes.{cell}" for cell in {*old, *new}} <= named
        assert "volumes.window_us" in named


def test_a_cell_that_rose_is_in_the_way_with_both_figures_whatever_fell_elsewhere():
    old, new = {CELLS[0]: 12_000, CELLS[1]: 36_000}, {CELLS[0]: 1, CELLS[1]: 36_001}
    (refusing,) = answer(rule(), with_volumes(new), [candidate(with_volumes(old))]).in_the_way
    assert (refusing.input, refusing.old, refusing.new) == (f"volumes.{CELLS[1]}", 36_000, 36_001)


@pytest.mark.parametrize(
    "volumes",
    [
        None,
        {},
        {"messages": {}},
        {"window_us": 0, "messages": {}},
        {"window_us": "14400000000", "messages": {}},
        {"window_us": 14_400_000_000, "messages": {CELLS[0]: "99999"}},
        {"window_us": 14_400_000_000, "messages": {CELLS[0]: True}},
        {"window_us": 14_400_000_000, "messages": {CELLS[0]: 99_999, CELLS[1]: 99_999}, "mode": "credit"},
    ],
)
def test_volumes_of_a_shape_that_is_not_known_refuse(volumes):
    old = copy.deepcopy(KEY)
    old["inputs"]["volumes"] = volumes
    assert not answer(rule(), KEY, [candidate(old)]).relies
    del old["inputs"]["volumes"]
    assert not answer(rule(), KEY, [candidate(old)]).relies


@pytest.mark.parametrize(
    "key", [{}, {"inputs": None}, {"inputs": []}, {"rules": [1, 1], "inputs": {}}, {"inputs": KEY["inputs"]}]
)
def test_a_key_of_a_shape_that_is_not_known_refuses(key):
    assert not answer(rule(), KEY, [candidate(key)]).relies


@pytest.mark.parametrize(
    ("evidence", "told"),
    [
        ({"intact": False}, ("evidence", "intact", "damaged or missing")),
        ({"withdrawn": True}, ("withdrawn", "no", "yes")),
        ({"verdict": "not proved"}, (FOUND, "proved", "not proved")),
        ({"verdict": "inconclusive"}, (FOUND, "proved", "inconclusive")),
        ({"verdict": "not looked at"}, (FOUND, "proved", "not looked at")),
    ],
)  # fmt: skip
def test_evidence_that_does_not_hold_refuses_though_nothing_changed(evidence, told):
    (refusing,) = answer(rule(), KEY, [candidate(**evidence)]).in_the_way
    assert (refusing.input, refusing.old, refusing.new) == told


@pytest.mark.parametrize(
    ("never", "told"), [({"roles": ["orders"]}, (None, "role orders")), ({"types": ["load"]}, (None, "type load"))]
)
def test_what_may_never_be_relied_on_is_not_whatever_evidence_there_is(never, told):
    answered = answer(rule(**never), KEY, [candidate()])
    assert not answered.relies
    assert [(each.input, each.old, each.new) for each in answered.compared] == [("never relied on, by rule", *told)]
    assert answer(rule(roles=["storefront"], types=["soak"]), KEY, [candidate()]).relies


def test_evidence_that_is_no_longer_proved_names_the_requirements_that_decided():
    deciding = Compared(input="requirement latency", old="at most 1 s", new="at most 1 ms", allows=False)
    answered = answer(rule(), KEY, [candidate(verdict="not proved", deciding=(deciding,))])
    assert [each.input for each in answered.in_the_way] == [FOUND, "requirement latency"]
    assert answered.only_unproved
    assert not answer(rule(), KEY, [candidate(verdict="not proved", intact=False)]).only_unproved
    assert not answer(rule(), KEY, []).only_unproved
    assert not answer(rule(), KEY, [candidate()]).only_unproved


def test_volumes_that_fell_are_told_apart_from_equal_ones():
    fell = answer(rule(), with_volumes({CELLS[0]: 1}), [candidate(with_volumes({CELLS[0]: 2}))])
    assert (fell.relies, fell.fallen) == (True, True)
    assert not answer(rule(), KEY, [candidate()]).fallen


def test_without_any_candidate_the_answer_says_so():
    answered = answer(rule(), KEY, [])
    assert not answered.relies
    assert [(each.input, each.old) for each in answered.in_the_way] == [
        ("evidence of an earlier phase", "none recorded")
    ]


@SEEDED
@given(passing=st.lists(st.booleans(), min_size=1, max_size=5))
def test_the_newest_candidate_that_passes_is_relied_on_else_the_newest_is_answered_for(passing):
    candidates = [
        candidate(run=str(place), verdict="proved" if good else "not proved") for place, good in enumerate(passing)
    ]
    answered = answer(rule(), KEY, candidates)
    assert answered.relies == any(passing)
    assert answered.candidate is candidates[passing.index(True) if any(passing) else 0]


def test_every_input_is_named_those_in_the_way_first():
    old = copy.deepcopy(KEY)
    old["inputs"]["components"]["orders"]["version"] = "0.9"
    old["inputs"]["factors"]["rate"] = "24"
    answered = answer(rule(), KEY, [candidate(old)])
    first, second, *others = answered.compared
    assert (first.input, first.old, first.new) == ("components.orders.version", "0.9", "1.0")
    assert (second.input, second.old, second.new) == ("factors.rate", "24", "25")
    assert all(each.allows for each in others)
    assert {each.input for each in others} >= {"test", "environment", "injector", "arrivals", "key rules", "key stage"}
    json.dumps([[each.input, each.old, each.new] for each in answered.compared])
