"""JSON Schemas of the catalogue's files, for editors; `python -m catalog.schemas` writes them anew.

They tell shapes only. What declarations must agree on, `plimsoll check` tells.
"""

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from catalog.declarations import FILES, Declared

FOLDER = Path(__file__).parent / "schemas"
"""Where the committed schemas stand."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _AsWritten(GenerateJsonSchema):
    """What pydantic would leave open: numbers are written without quotes, keys that fit no pattern are refused."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        return {"type": "number", **({"minimum": int(schema["ge"])} if "ge" in schema else {})}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        written = super().dict_schema(schema)
        return {**written, "additionalProperties": False} if "patternProperties" in written else written


def schema_name(file: str) -> str:
    """The name of the schema of a catalogue file: programme.yaml has programme.schema.json."""
    return file.replace(".yaml", ".schema.json")


def schema_text(model: type[Declared]) -> str:
    """The JSON Schema (draft 2020-12) of what `model` declares, as the text of its file."""
    schema = model.model_json_schema(schema_generator=_AsWritten)
    return json.dumps({"$schema": _DIALECT, **_flowing(schema)}, indent=2, ensure_ascii=False) + "\n"


def write_schemas(folder: Path) -> None:
    """Writes every schema into `folder`, which is made where it does not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, model in FILES.items():
        (folder / schema_name(file)).write_text(schema_text(model), encoding="utf-8")


def _flowing(schema: Any) -> Any:
    """`schema` with each description on one line: editors break lines themselves, and code marks mean nothing there."""
    match schema:
        case dict():
            return {
                key: " ".join(value.replace("`", "").split())
                if key == "description" and isinstance(value, str)
                else value
                for key, value in ((key, _flowing(value)) for key, value in schema.items())
            }
        case list():
            return [_flowing(item) for item in schema]
        case _:
            return schema


if __name__ == "__main__":
    write_schemas(FOLDER)
