"""Scripts of a catalogue: read with it, missed where they are missing, and absent from records where there are none."""

from pathlib import Path

import pytest
from catalogue_edits import Edit, edited, faults_of

from catalog.declarations import Environment, InjectorKind, Programme, TestType, Tls
from catalog.reading import Catalogue, read_catalogue

SCRIPT = "import locust  # µ\n"


def declared(script: str, *files: str) -> Edit:
    listed = ", ".join(files)
    locust = f"script: {script}, files: [{listed}], users: 2, spawn_rate: 0.5, types: [load]"
    below = f"    injector: locust\n    locust: {{{locust}, requests: {{/buy: purchase|place-order|request}}}}\n"
    return ("environments.yaml", "    seed: ", f"{below}    seed: ")


def test_scripts_are_read_and_digested_with_the_catalogue(tmp_path: Path) -> None:
    edits = (declared("shop.py", "people.csv"), ("shop.py", "", SCRIPT), ("people.csv", "", "name\nann\n"))
    edited(tmp_path / "shop", *edits)
    catalogue = read_catalogue(tmp_path / "shop")
    assert catalogue.programme.scripts == {"shop.py": SCRIPT, "people.csv": "name\nann\n"}
    assert {"shop.py", "people.csv"} < set(catalogue.digests)
    environment = catalogue.programme.environment("rehearsal-slow-orders")
    assert environment.locust == catalogue.programme.environment("rehearsal").locust
    assert environment.injector_for(TestType.LOAD) == InjectorKind.LOCUST
    assert environment.injector_for(TestType.STRESS) == InjectorKind.OWN
    again = Programme.model_validate(catalogue.programme.model_dump(mode="json", by_alias=True))
    assert again.scripts == catalogue.programme.scripts
    assert again.environments == catalogue.programme.environments


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (declared("▶gone.py"), "missing-file"),
        (declared("environments.yaml", "▶gone.csv"), "missing-file"),
        (declared("▶../outside.py"), "file-outside"),
        (declared("▶/etc/hosts"), "file-outside"),
    ],
)
def test_a_script_that_is_not_in_the_catalogue_is_a_fault_where_it_is_named(
    edit: Edit, code: str, tmp_path: Path
) -> None:
    place = edited(tmp_path / "shop", edit)
    assert (code, place) in [(each.code, (each.file, each.line, each.column)) for each in faults_of(tmp_path / "shop")]


def test_what_is_not_declared_is_not_recorded(template: Catalogue) -> None:
    """Records and keys of before stand."""
    document = template.programme.model_dump(mode="json", by_alias=True)
    assert "scripts" not in document
    for environment in document["environments"]:
        assert not environment.keys() & {"injector", "http", "proxy", "locust"}
    assert Tls(ca="a.pem").model_dump(mode="json") == {"ca": "a.pem", "certificate": None, "key": None}
    changed = Environment(id="a", title="A", injector=InjectorKind.LIBCURL).model_dump(mode="json")
    assert changed["injector"] == "libcurl"
    assert "proxy" not in changed
