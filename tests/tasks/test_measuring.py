"""What measuring depends on: settings out of the declarations, and a key that names all of it."""

from catalog.canonical import document_digest
from catalog.quantities import Quantity, Unit
from tasks.measuring import ROLES, Settings, measurement_inputs, measurement_key, settings
from tasks.stage import document

OUTPUTS = {role: document({"role": role}) for role in (*ROLES, "arrivals")}


def test_settings_are_the_target_times_in_order_and_every_srvs_group(template, edited):
    programme = template.programme
    timed = next(each.id for each in programme.requirements if each.metric.value == "service-level")
    found = settings(edited(programme, (f"requirements.{timed}.within", 7)))
    assert list(found.withins) == sorted(set(found.withins))
    assert 7 in found.withins
    assert found.groups == {
        "view-page": "browsing", "search": "browsing", "change-basket": "basket",
        "place-order": "ordering", "order-status": "ordering",
    }  # fmt: skip


def test_a_requirements_limit_is_no_setting(template):
    programme = template.programme
    looser = tuple(
        each.model_copy(update={"limit": Quantity(value=1, unit=Unit(each.limit.unit))})
        for each in programme.requirements
    )
    assert settings(programme.model_copy(update={"requirements": looser})) == settings(programme)


def test_the_key_names_the_three_tables_and_not_the_arrivals(runbook):
    record = runbook.run("pilot.orders.load", outputs=OUTPUTS).record
    assert measurement_inputs(record) == {role: record.output(role) for role in ROLES}
    key = measurement_key(record, Settings(withins=(5,), groups={"a": "g"}))
    assert set(key["inputs"]) == {*ROLES, "withins", "groups"}


def test_the_key_is_the_one_that_a_measurement_is_recorded_under(runbook, template):
    """`derive` builds its key by itself; the two must agree, or history would measure everything again."""
    wanted = settings(template.programme)
    executed = runbook.run("pilot.orders.load", outputs=OUTPUTS).record
    key = measurement_key(executed, wanted)
    derived = runbook.recorder.derive(
        "measure", rules=key["rules"], inputs=measurement_inputs(executed), settings=wanted.as_json(),
        compute=lambda: {"measurements": document({})},
    )  # fmt: skip
    assert derived.key == document_digest(key)


def test_the_key_changes_with_settings_and_evidence(runbook):
    record = runbook.run("pilot.orders.load", outputs=OUTPUTS).record
    other = runbook.run("pilot.orders.load", outputs=OUTPUTS | {"results": document({"role": "other"})}).record
    keys = [
        measurement_key(record, Settings(withins=(5,), groups={})),
        measurement_key(record, Settings(withins=(6,), groups={})),
        measurement_key(record, Settings(withins=(5,), groups={"a": "g"})),
        measurement_key(other, Settings(withins=(5,), groups={})),
    ]
    assert len({document_digest(key) for key in keys}) == 4
