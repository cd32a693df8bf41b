"""Declaring: every file as it stands, the programme that was read, and the parts that later stages depend on."""

import pytest

from catalog.declarations import Programme
from catalog.errors import WorldError
from catalog.ledger import Kind
from catalog.reading import read_catalogue
from tasks.declare import declare, programme_document, volume_inputs
from tests.shops import write_shop


@pytest.fixture
def folder(tmp_path):
    write_shop(tmp_path / "shop")
    return tmp_path / "shop"


def edit(folder, file, old, new):
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))


def test_every_file_is_recorded_byte_for_byte(runbook, folder):
    catalogue = read_catalogue(folder)
    record = declare(runbook.recorder, catalogue, folder)
    store = runbook.workspace.store
    assert (record.kind, record.stage, record.inputs) == (Kind.DECLARED, "declare", ())
    files = {each.role.removeprefix("file:"): each.digest for each in record.outputs if each.role.startswith("file:")}
    assert files == catalogue.digests
    assert all(store.get(digest) == (folder / name).read_bytes() for name, digest in files.items())
    assert {"programme.yaml", "system.yaml", "forecasts.csv", "messages.csv"} <= set(files)


def test_the_recorded_programme_is_the_one_that_was_read(runbook, folder, smets1):
    catalogue = read_catalogue(folder)
    record = declare(runbook.recorder, catalogue, folder)
    assert Programme.model_validate(runbook.workspace.store.document(record.output("programme"))) == catalogue.programme
    assert Programme.model_validate(programme_document(smets1.programme)) == smets1.programme


def test_the_same_catalogue_is_declared_once(runbook, folder):
    first = declare(runbook.recorder, read_catalogue(folder), folder)
    assert declare(runbook.recorder, read_catalogue(folder), folder) == first
    edit(folder, "system.yaml", "title: Order service", "title: The order service")
    assert declare(runbook.recorder, read_catalogue(folder), folder).sequence == 2


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("system.yaml", 'version: "1.0"', 'version: "2.0"', set()),
        ("tests.yaml", "duration: 4 h", "duration: 5 h", set()),
        ("environments.yaml", "connections: 16", "connections: 17", set()),
        ("forecasts.csv", "200000", "210000", {"volume inputs"}),
        ("assumptions.yaml", "value: 12", "value: 13", {"volume inputs"}),
        ("volumes.yaml", "weight: 9", "weight: 8", {"volume inputs"}),
        ("system.yaml", "offers: request", "offers: alert", {"volume inputs"}),
        ("requirements.yaml", "owner: The shop", "owner: Somebody", {"requirements"}),
    ],
)
def test_parts_change_with_what_they_hold_and_with_nothing_else(runbook, folder, file, old, new, changed):
    before = declare(runbook.recorder, read_catalogue(folder), folder)
    edit(folder, file, old, new)
    after = declare(runbook.recorder, read_catalogue(folder), folder)
    parts = ("volume inputs", "requirements")
    assert {part for part in parts if before.output(part) != after.output(part)} == changed
    assert before.output("programme") != after.output("programme")


def test_a_file_that_changed_after_it_was_read_is_not_recorded_as_what_was_read(runbook, folder):
    catalogue = read_catalogue(folder)
    edit(folder, "system.yaml", "Order service", "Other service")
    with pytest.raises(WorldError, match=r"system\.yaml changed while it was read"):
        declare(runbook.recorder, catalogue, folder)
    (folder / "system.yaml").unlink()
    with pytest.raises(WorldError, match=r"system\.yaml: No such file"):
        declare(runbook.recorder, catalogue, folder)
    assert runbook.workspace.ledger.records() == []


def test_volume_inputs_hold_every_declaration_that_volumes_are_made_of(smets1):
    inputs = volume_inputs(programme_document(smets1.programme))
    declared = {"volumes", "assumptions", "forecasts", "migration_plans", "observed_volumes", "srv_register"}
    assert set(inputs) == declared | {"components", "message_paths"}
    assert {"id", "role", "scope"} == set(inputs["components"][0])
