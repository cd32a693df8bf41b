"""Rule 3: earlier evidence is relied on when nothing that is compared has changed, and never otherwise."""

import copy
import json
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.approvals import Approval
from catalog.canonical import canonical, document_digest
from catalog.declarations import Never, Reliance, RelianceApproval
from catalog.ledger import Actor
from expectations.reliance import (
    AGE,
    APPROVAL,
    RELIANCE,
    Answer,
    Candidate,
    Compared,
    answer,
    approved,
    compare_keys,
    in_words,
    needs_approval,
    not_compared,
)

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


def rule(*, scope="path", volumes="not-exceeding", roles=(), types=(), **more):
    never = Never(roles=roles, types=types)
    return Reliance(scope=scope, volumes=volumes, never=never, reading="as it stands", source="a test", **more)


def candidate(
    key=KEY, *, run="pilot/pilot.orders.load/1", intact=True, withdrawn=False, verdict="proved", deciding=(), **more
):
    return Candidate(
        record="0" * 64,
        run=run,
        occasion="pilot",
        key=key,
        intact=intact,
        withdrawn=withdrawn,
        verdict=verdict,
        deciding=deciding,
        **more,
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
    differ = [each for each in answered.in_the_way if each.old != each.new or each.old is None]  # null, and not there
    assert answered.relies or differ


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
    (refusing,) = answer(rule(), KEY, [candidate(old)]).in_the_way
    assert (refusing.input, refusing.old, refusing.new) == ("volumes", volumes, KEY["inputs"]["volumes"])
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
    never_relied = Compared(input="never relied on, by rule", old=told[0], new=told[1], allows=False)
    assert answered.compared == answered.in_the_way == (never_relied,)
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
    assert not answer(rule(), with_volumes({CELLS[0]: 3}), [candidate(with_volumes({CELLS[0]: 2}))]).fallen
    aged = answer(rule(valid_for=30 * DAY_US), KEY, [candidate(day="2026-01-01")], day="2026-01-05")
    assert (aged.relies, aged.fallen) == (True, False)


def test_without_evidence_nothing_is_relied_on_nor_unproved_whatever_was_compared():
    nothing = Answer(candidate=None, compared=())
    assert (nothing.relies, nothing.only_unproved, nothing.refuted) == (False, False, False)


def test_without_any_candidate_the_answer_says_so():
    answered = answer(rule(), KEY, [])
    assert not answered.relies
    nothing = Compared(input="evidence of an earlier phase", old="none recorded", new="needed", allows=False)
    assert answered.compared == answered.in_the_way == (nothing,)


def test_without_a_rule_for_volumes_their_cells_are_compared_as_they_stand():
    old, new = with_volumes({CELLS[0]: 2, CELLS[1]: 5}), with_volumes({CELLS[0]: 1, CELLS[1]: 5})
    found = {each.input: (each.old, each.new, each.allows) for each in compare_keys(old, new)}
    assert found[f"volumes.{CELLS[0]}"] == (2, 1, False)
    assert found[f"volumes.{CELLS[1]}"] == (5, 5, True)


def test_the_rule_in_force_is_told_in_a_line():
    assert in_words(rule()) == "components of scope path unchanged; target volumes not-exceeding; evidence of any age"
    approval = RelianceApproval(by="the board", roles=["orders"], types=["load"])
    strict = rule(volumes="equal", roles=["s1"], types=["soak"], valid_for=30 * DAY_US, approval=approval)
    assert in_words(strict) == (
        "components of scope path unchanged; target volumes equal; evidence of at most 30 d; never s1, soak; "
        "approved by the board (orders, load)"
    )
    assert in_words(rule(approval=RelianceApproval(by="the board"))).endswith("; approved by the board")


@SEEDED
@given(verdicts=st.lists(st.sampled_from(["proved", "inconclusive", "not proved"]), min_size=1, max_size=5))
def test_the_newest_candidate_that_passes_is_relied_on_unless_a_newer_one_refutes_it(verdicts):
    candidates = [candidate(run=str(place), verdict=verdict) for place, verdict in enumerate(verdicts)]
    answered = answer(rule(), KEY, candidates)
    deciding = next((place for place, verdict in enumerate(verdicts) if verdict != "inconclusive"), 0)
    assert answered.candidate is candidates[deciding]
    assert answered.relies == (verdicts[deciding] == "proved")
    assert answered.refuted == (verdicts[deciding] == "not proved")


def test_a_newer_run_of_something_else_refutes_nothing():
    other = copy.deepcopy(KEY)
    other["inputs"]["components"]["orders"]["version"] = "0.9"
    newer, older = candidate(other, run="newer", verdict="not proved"), candidate(run="older")
    assert answer(rule(), KEY, [newer, older]).candidate is older
    damaged = candidate(run="newer", verdict="not looked at", intact=False)
    assert answer(rule(), KEY, [damaged, older]).candidate is older


DAY_US = 86_400_000_000


@pytest.mark.parametrize(
    ("executed", "since", "asked", "allowed", "told"),
    [
        ("2026-01-01", "", "2026-01-31", True, "30 d on 2026-01-31, recorded on 2026-01-01"),
        ("2026-01-01", "", "2026-02-01", False, "31 d on 2026-02-01, recorded on 2026-01-01"),
        ("2026-01-01", "2026-01-20", "2026-09-01", True, "19 d on 2026-01-20, recorded on 2026-01-01"),
        ("2026-01-01", "2026-02-20", "2026-02-20", False, "50 d on 2026-02-20, recorded on 2026-01-01"),
        ("2026-01-01", "", "2026-01-01", True, "0 d on 2026-01-01, recorded on 2026-01-01"),
        ("2026-01-02", "", "2026-01-01", False, "-1 d on 2026-01-01, recorded on 2026-01-02"),
        ("2026-01-01", "", "", False, "not known"),
        ("", "", "2026-01-01", False, "not known"),
    ],
)
def test_evidence_is_relied_on_within_its_validity_period(executed, since, asked, allowed, told):
    """What was valid when a test was first let rest on it stays so: a decision is not undone by waiting."""
    aged = candidate(day=executed, since=since)
    answered = answer(rule(valid_for=30 * DAY_US), KEY, [aged], day=asked)
    assert answered.relies == allowed
    assert [(each.old, each.new) for each in answered.compared if each.input == AGE] == [("30 d", told)]
    assert answer(rule(), KEY, [aged], day=asked).relies  # without a period no evidence is too old


def test_a_decision_that_was_withdrawn_is_not_made_again():
    (refusing,) = answer(rule(), KEY, [candidate(refused="withdrawn by auditor: hasty")]).in_the_way
    assert (refusing.input, refusing.old, refusing.new) == (RELIANCE, "not withdrawn", "withdrawn by auditor: hasty")


@pytest.mark.parametrize(
    ("asked", "needed"),
    [
        (None, False),
        ({}, True),
        ({"roles": ["orders"]}, True),
        ({"types": ["load"]}, True),
        ({"roles": ["storefront"]}, False),
        ({"types": ["soak"]}, False),
        ({"roles": ["storefront"], "types": ["load"]}, True),
        ({"roles": ["storefront"], "types": ["soak"]}, False),
    ],
)
def test_which_tests_need_an_approval(asked, needed):
    approval = None if asked is None else RelianceApproval(by="the board", **asked)
    assert needs_approval(rule(approval=approval), KEY) == needed


EXECUTOR = Actor(name="tester", fingerprint="aa" * 32)
DECISION = "d" * 64


def given_by(name="chair", fingerprint="bb" * 32, *, expires="2026-12-31", revoked=""):
    by = Actor(name=name, fingerprint=fingerprint)
    return Approval(record="r" * 64, of=DECISION, by=by, day="2026-05-01", expires=expires, revoked=revoked)


@pytest.mark.parametrize(
    ("approval", "flaw"),
    [
        (given_by(), ""),
        (given_by(expires="2026-06-01"), ""),
        (given_by(expires="2026-05-31"), "expired on 2026-05-31"),
        (given_by(expires=""), "without an expiry"),
        (given_by(expires="for ever"), "without an expiry"),
        (given_by(name="tester"), "who executed the run"),
        (given_by(fingerprint="aa" * 32), "who executed the run"),
        (given_by(revoked="withdrawn by chair on 2026-05-02: wrong"), "withdrawn by chair on 2026-05-02: wrong"),
    ],
)
def test_an_approval_is_by_somebody_else_and_in_force(approval, flaw):
    holds, told = approved("the board", DECISION, [approval], EXECUTOR, "2026-06-01")
    assert (holds is approval, told.allows) == (not flaw, not flaw)
    assert flaw in told.new
    assert (told.input, told.old) == (APPROVAL, f"by the board, of decision {DECISION}")
    assert approval.by.name in told.new
    assert approval.by.fingerprint[:17] not in told.new or not approval.by.fingerprint
    good = given_by("auditor", "cc" * 32)
    assert approved("the board", DECISION, [approval, good], EXECUTOR, "2026-06-01")[0] is (good if flaw else approval)


def test_without_an_approval_or_a_day_none_holds():
    assert approved("the board", DECISION, [], EXECUTOR, "2026-06-01")[1].new == "missing"
    assert approved("the board", DECISION, [given_by()], EXECUTOR, "")[0] is None


def test_what_is_not_compared_is_told_with_the_reason():
    told = {scope: dict(not_compared(rule(scope=scope))) for scope in ("path", "programme")}
    assert "other components" in told["path"]
    assert "components that are not tested" in told["programme"]
    assert "the age of the evidence" in told["path"]
    assert "the age of the evidence" not in dict(not_compared(rule(valid_for=DAY_US)))
    assert all(why for each in told.values() for why in each.values())


def test_of_an_input_that_differs_in_a_part_every_part_is_told_with_its_digest():
    old = copy.deepcopy(KEY)
    old["inputs"]["environment"]["emulation"]["workers"] = 5
    told = {each.input: each.as_json() for each in answer(rule(), KEY, [candidate(old)]).compared}
    assert told["environment.emulation.workers"] == {
        "input": "environment.emulation.workers",
        "old": 5,
        "new": 6,
        "old_digest": document_digest(5),
        "new_digest": document_digest(6),
        "allows": False,
    }
    assert {f"environment.{name}" for name in ("id", "kind", "size", "entry")} <= told.keys()
    assert told["environment.kind"]["old"] == told["environment.kind"]["new"] == "rehearsal"
    assert told["environment.entry"]["old_digest"] is None


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
