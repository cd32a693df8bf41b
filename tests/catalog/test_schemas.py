"""The schemas for editors are current, and say about shapes what reading says."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from catalogue_edits import edited, faults_of

from catalog.declarations import FILES
from catalog.schemas import FOLDER, schema_name, write_schemas
from catalog.yaml_files import parse_yaml
from tests.shops import write_shop


def schema(file: str) -> Any:
    return json.loads((FOLDER / schema_name(file)).read_text(encoding="utf-8"))


def data(path: Path) -> Any:
    document, faults = parse_yaml(str(path), path.read_text(encoding="utf-8"))
    assert document is not None
    assert not faults
    return document.data


def test_committed_schemas_are_current(tmp_path: Path) -> None:
    write_schemas(tmp_path)
    written = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    committed = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()}
    assert committed == written, "run `python -m catalog.schemas`"


@pytest.mark.parametrize("file", FILES)
def test_schema_is_a_valid_one_that_names_its_dialect(file: str) -> None:
    assert schema(file)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema(file))


@pytest.mark.parametrize("file", FILES)
def test_schema_accepts_the_template(file: str, tmp_path: Path) -> None:
    write_shop(tmp_path / "shop")
    jsonschema.Draft202012Validator(schema(file)).validate(data(tmp_path / "shop" / file))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("system.yaml", "    title: Storefront\n", "    titel: Storefront\n"),
        ("system.yaml", "    title: Storefront\n", ""),
        ("system.yaml", "id: paying", "id: Paying"),
        ("system.yaml", "from: orders", "from_: orders"),
        ("system.yaml", "scope: excluded", "scope: exclude"),
        ("system.yaml", "cache: on-disk", "cache: [on-disk]"),
        ("programme.yaml", 'version: "0.1"', "version: 0.1"),
        ("assumptions.yaml", "value: 0.16", 'value: "0.16"'),
        ("assumptions.yaml", "value: 0.16", "value: -0.16"),
        ("requirements.yaml", "limit: 8 KiB", "limit: {value: 8192, unit: bytes}"),
        ("tests.yaml", "duration: 4 h", "duration: 4"),
        ("tests.yaml", "blocks: 40", "blocks: 3"),
        ("environments.yaml", "{load: 6 s", "{laod: 6 s"),
        ("environments.yaml", "orders: {workers: 6", "Orders: {workers: 6"),
        ("environments.yaml", "{default: 1, orders: 25}", "[25]"),
    ],
)
def test_what_the_schema_refuses_reading_refuses_too(file: str, old: str, new: str, tmp_path: Path) -> None:
    edited(tmp_path / "shop", (file, old, new))
    assert not jsonschema.Draft202012Validator(schema(file)).is_valid(data(tmp_path / "shop" / file))
    assert faults_of(tmp_path / "shop")


def test_fields_are_explained_for_whoever_hovers_over_them() -> None:
    assert schema("volumes.yaml")["$defs"]["Traffic"]["properties"]["traffic"]["description"].startswith("the label")
    assert "\n" not in schema("volumes.yaml")["$defs"]["Traffic"]["description"]
