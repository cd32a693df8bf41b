"""One mechanism for "already done": a stage records once per key and occasion, and never names what was altered."""

from dataclasses import replace

import pytest

from catalog.canonical import canonical, digest
from catalog.errors import EvidenceError
from catalog.keys import stage_key
from catalog.ledger import Kind
from tasks.stage import Artefact, document


@pytest.fixture
def source(runbook):
    return runbook.workspace.store.put(b"what is declared")


class Doubling:
    """A pure computation that counts how often it was made."""

    def __init__(self):
        self.made = 0

    def __call__(self):
        self.made += 1
        return {"table": Artefact(data=b"rows", rows=digest(b"canonical rows")), "note": document({"n": 1})}


def derive(runbook, source, compute, **changes):
    asked = {
        "rules": 3,
        "inputs": {"declared": source},
        "settings": {"phase": "pilot"},
        "parameters": {"phase": "pilot"},
    }
    return runbook.recorder.derive("double", compute=compute, **(asked | changes))


def test_a_stage_records_its_inputs_outputs_key_and_rules(runbook, source):
    record = derive(runbook, source, Doubling())
    store = runbook.workspace.store
    assert (record.kind, record.stage, record.rules) == (Kind.DERIVED, "double", 3)
    assert [(each.role, each.digest) for each in record.inputs] == [("declared", source)]
    assert store.get(record.output("table")) == b"rows"
    assert store.document(record.output("note")) == {"n": 1}
    assert [each.rows for each in record.outputs] == [digest(b"canonical rows"), None]
    assert record.parameters == {"occasion": "pilot", "phase": "pilot"}
    expected = stage_key("double", rules=3, inputs={"declared": {"digest": source}, "phase": "pilot"})
    assert store.get(record.key) == canonical(expected)
    assert runbook.workspace.ledger.records() == [record]


def test_an_artefact_may_be_a_file_that_is_gone_once_it_is_recorded(runbook, source, tmp_path):
    def compute():
        (tmp_path / "table").write_bytes(b"many rows")
        return {"table": Artefact(data=tmp_path / "table", rows=digest(b"canonical rows"))}

    record = derive(runbook, source, compute)
    (tmp_path / "table").unlink()
    assert record.output("table") == digest(b"many rows")
    assert runbook.workspace.store.get(record.output("table")) == b"many rows"


def test_the_same_stage_is_computed_and_recorded_once(runbook, source):
    compute = Doubling()
    assert derive(runbook, source, compute) == derive(runbook, source, compute)
    assert (compute.made, len(runbook.workspace.ledger.records())) == (1, 1)


@pytest.mark.parametrize(
    "changes", [{"rules": 4}, {"settings": {"phase": "launch"}}, {"settings": None}, {"inputs": {}}]
)
def test_another_key_is_another_stage(runbook, source, changes):
    compute = Doubling()
    derive(runbook, source, compute)
    derive(runbook, source, compute, **changes)
    assert compute.made == 2


def test_what_is_recorded_beside_the_key_makes_no_difference(runbook, source):
    compute = Doubling()
    derive(runbook, source, compute)
    derive(runbook, source, compute, parameters={"run": "another"})
    assert compute.made == 1


def test_another_occasion_derives_anew(runbook, source):
    compute = Doubling()
    first = derive(runbook, source, compute)
    runbook.recorder = replace(runbook.recorder, occasion="launch")
    second = derive(runbook, source, compute)
    assert compute.made == 2
    assert (first.key, first.outputs) == (second.key, second.outputs)
    assert second.parameters["occasion"] == "launch"


def test_a_missing_output_is_derived_anew_and_is_back(runbook, source):
    compute = Doubling()
    first = derive(runbook, source, compute)
    runbook.lose(first.output("table"))
    second = derive(runbook, source, compute)
    assert (compute.made, second.sequence, second.outputs) == (2, 2, first.outputs)
    assert runbook.workspace.store.get(second.output("table")) == b"rows"
    assert derive(runbook, source, compute) == second


def test_a_withdrawn_record_is_derived_anew(runbook, source):
    compute = Doubling()
    runbook.withdraw(derive(runbook, source, compute).digest)
    derive(runbook, source, compute)
    assert compute.made == 2


@pytest.mark.parametrize("role", ["table", "note"])
def test_an_altered_output_is_never_named_again(runbook, source, role):
    """The store keeps what it has, so a record that named it would lead every later stage to the altered bytes."""
    record = derive(runbook, source, Doubling())
    runbook.alter(record.output(role))
    with pytest.raises(EvidenceError, match=f"object {record.output(role)} is altered") as caught:
        derive(runbook, source, Doubling())
    assert "restore" in caught.value.help()
    assert runbook.workspace.ledger.records() == [record]


def test_an_altered_key_is_never_named_again(runbook, source):
    record = derive(runbook, source, Doubling())
    runbook.alter(record.key)
    runbook.withdraw(record.digest)
    with pytest.raises(EvidenceError, match="is altered"):
        derive(runbook, source, Doubling())


def test_an_input_that_nobody_stored_is_refused_and_nothing_is_recorded(runbook):
    with pytest.raises(EvidenceError, match=r"names declared .* which is not in the evidence store"):
        derive(runbook, "f" * 64, Doubling())
    assert runbook.workspace.ledger.records() == []


def test_an_earlier_record_may_be_an_input(runbook, source):
    first = derive(runbook, source, Doubling())
    second = runbook.recorder.record(Kind.RELIED, "rely", inputs={"executed": first.digest})
    assert [each.digest for each in second.inputs] == [first.digest]
    assert (second.key, second.outputs, second.rules) == (None, (), 1)


def test_a_stage_that_fails_records_nothing(runbook, source):
    def broken():
        raise ValueError("no such rows")

    with pytest.raises(ValueError, match="no such rows"):
        derive(runbook, source, broken)
    assert runbook.workspace.ledger.records() == []


def test_a_document_is_an_artefact_in_canonical_form():
    assert document({"b": 1, "a": [None, "x"]}) == Artefact(data=b'{"a":[null,"x"],"b":1}')
    with pytest.raises(TypeError):
        document({"share": 0.5})
