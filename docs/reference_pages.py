"""The generated parts of the reference, as Markdown: made of the commands, the schemas and the source as they are.

Nothing is written by hand here: a meaning that is missing is mended where the thing itself is declared.
"""

import argparse
import ast
import json
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from catalog import rules
from catalog.declarations import FILES
from catalog.errors import Status
from catalog.schemas import FOLDER, schema_name
from flows.cli import parser

ROOT = Path(__file__).parents[1]


def commands() -> str:
    """Every command with its arguments, options and defaults."""
    whole = parser()
    parts = [_block(_usage(whole)), "Every command also takes `-h`, which shows what is said of it here."]
    for name, command in _commands(whole):
        parts += [f"## {name}", str(command.description), _block(_usage(command)), *_arguments(command)]
    return "\n\n".join([*parts, "## Exit status", _table(("status", "name", "meaning"), _statuses(whole))])


def _commands(above: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Commands in the order of `plimsoll --help`, each group's own after it."""
    for action in above._actions:  # noqa: SLF001 - argparse has no other way to ask for what was declared
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  # see above
            for each, command in action.choices.items():
                yield f"{name} {each}".strip(), command
                yield from _commands(command, f"{name} {each}".strip())


def _usage(command: argparse.ArgumentParser) -> str:
    return " ".join(command.format_usage().removeprefix("usage: ").split())


def _arguments(command: argparse.ArgumentParser) -> Iterator[str]:
    rows = []
    for action in command._actions:  # noqa: SLF001  # see above
        if isinstance(action, argparse._HelpAction | argparse._SubParsersAction):  # noqa: SLF001  # see above
            continue
        names = ", ".join(f"`{each}`" for each in action.option_strings) or f"`{_metavar(action)}`"
        value = _metavar(action) if action.option_strings and action.nargs != 0 else ""
        rows.append((names, f"`{value}`" if value else "", "yes" if _needed(action) else "", action.help or ""))
    if rows:
        yield _table(("argument", "value", "needed", "meaning"), rows)


def _metavar(action: argparse.Action) -> str:
    named = action.metavar or (action.choices and "|".join(map(str, action.choices))) or action.dest.upper()
    return " ".join(named) if isinstance(named, tuple) else str(named)


def _needed(action: argparse.Action) -> bool:
    return action.required if action.option_strings else action.nargs not in ("?", "*")


def _statuses(whole: argparse.ArgumentParser) -> Iterator[tuple[str, str, str]]:
    told = " ".join(str(whole.epilog).split()).removeprefix("exit status: ")
    for status, meaning in zip(Status, told.split("; "), strict=True):
        yield str(int(status)), status.name.lower().replace("_", " "), meaning.removeprefix(f"{int(status)} ")


def catalogue() -> str:
    """Every file of a catalogue: what it holds, key by key, from the schemas that editors use."""
    parts = []
    for file in FILES:
        schema = json.loads((FOLDER / schema_name(file)).read_text(encoding="utf-8"))
        parts += [f"## {file}", *_declared(schema, file.removesuffix(".yaml"))]
    return "\n\n".join(parts)


def report() -> str:
    """The report's JSON twin, object by object."""
    from tasks.report.model import SCHEMA

    return "\n\n".join(_declared(json.loads(SCHEMA.read_text(encoding="utf-8")), "report", "##"))


def _declared(schema: dict[str, Any], prefix: str, level: str = "###") -> Iterator[str]:
    """A schema's own keys, and then those of each object that it names; `prefix` sets anchors of files apart."""
    yield _prose(schema.get("description", ""))
    yield _keys(schema, prefix)
    for name, inner in sorted(schema.get("$defs", {}).items()):
        yield f"({_anchor(prefix, name)})=\n{level} {name}"
        yield _prose(inner.get("description", ""))
        if "enum" in inner:
            yield "One of " + ", ".join(f"`{each}`" for each in inner["enum"]) + "."
        elif inner.get("properties"):
            yield _keys(inner, prefix)
        else:
            yield f"Written as {_shape(inner, prefix)}."


def _anchor(prefix: str, name: str) -> str:
    return f"{prefix}-{name}".lower()


def _keys(schema: dict[str, Any], prefix: str) -> str:
    needed = schema.get("required", [])
    rows = [
        (
            f"`{key}`",
            _shape(value, prefix),
            "" if key not in needed else "yes",
            _default(value),
            _prose(value.get("description", "")),
        )
        for key, value in schema.get("properties", {}).items()
    ]
    heads = ("key", "value", "needed", "unless declared", "meaning")
    kept = [place for place in range(len(heads)) if place < 3 or any(row[place] for row in rows)]
    return _table([heads[place] for place in kept], [[row[place] for place in kept] for row in rows]) if rows else ""


def _default(value: dict[str, Any]) -> str:
    given = value.get("default")
    return "" if given in (None, "", [], {}) else f"`{given if isinstance(given, str) else json.dumps(given)}`"


def _shape(value: dict[str, Any], prefix: str) -> str:  # noqa: C901 - one line for each kind of schema
    match value:
        case {"$ref": str(ref)}:
            name = ref.rsplit("/", 1)[1]
            return f"[{name}](#{_anchor(prefix, name)})"
        case {"anyOf": options} | {"oneOf": options} | {"allOf": options}:
            shapes = dict.fromkeys(_shape(each, prefix) for each in options if each != {"type": "null"})
            return " or ".join(shapes)
        case {"const": constant}:
            return f"`{constant}`"
        case {"enum": choices}:
            return " or ".join(f"`{each}`" for each in choices)
        case {"type": "array", "prefixItems": items}:
            return "list of " + ", ".join(_shape(each, prefix) for each in items)
        case {"type": "array", "items": dict(items)}:
            return f"list of {_shape(items, prefix)}"
        case {"type": "object", "patternProperties": patterns}:
            return f"map of names to {_shape(next(iter(patterns.values())), prefix)}"
        case {"type": "object", "additionalProperties": dict(inner)}:
            return f"map of names to {_shape(inner, prefix)}"
        case {"type": "string", "pattern": str(pattern)} if "%" in pattern:
            return "number with its unit"
        case {"type": "string", "format": "date"}:
            return "day"
        case {"type": "integer" | "number" as kind} if "minimum" in value or "maximum" in value:
            least, most = value.get("minimum", ""), value.get("maximum", "")
            return f"{kind}, {least} to {most}" if most != "" else f"{kind}, {least} or more"
        case {"type": str(kind)}:
            return {"string": "text", "boolean": "true or false", "array": "list", "object": "map"}.get(kind, kind)
    return "any value"


_ROOMS = ("catalog", "tasks/intake", "tasks/hold_inputs.py")
"""Where faults and findings are told."""


def codes() -> str:
    """Every code of a fault or finding that stands in the source, with what is said of it there."""
    found: dict[str, tuple[str, str]] = {}
    for room in _ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")) or [ROOT / room]:
            where = path.relative_to(ROOT).with_suffix("").as_posix()
            for code, message in _codes_in(ast.parse(path.read_text(encoding="utf-8"))):
                if code not in found or len(message) > len(found[code][0]):
                    found[code] = (message, where)
    rows = [(f"`{code}`", _prose(message), f"`{where}.py`") for code, (message, where) in sorted(found.items())]
    return _table(("code", "what is said (… stands for what was found)", "where"), rows)


_CODE = re.compile(r"[a-z…]+([-_][a-z…]+)*")
_UNITS = {"us", "ppm", "count", "bytes"}
"""Words that stand before a text as a code does, and are none."""


def _codes_in(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        named = [
            (each.lineno, target.id, each.value)
            for each in ast.walk(function)
            if isinstance(each, ast.Assign)
            for target in each.targets
            if isinstance(target, ast.Name)
        ]
        for each in ast.walk(function):
            if isinstance(each, ast.Call | ast.Yield | ast.Return):
                above = sorted((one for one in named if one[0] <= each.lineno), key=lambda one: one[0])
                yield from _codes_of(each, {name: value for _, name, value in above})


def _codes_of(node: ast.Call | ast.Yield | ast.Return, named: dict[str, ast.expr]) -> Iterator[tuple[str, str]]:
    """A code and its message, as two keywords, or one after the other among arguments or in a tuple."""
    given: list[ast.expr] = []
    if isinstance(node, ast.Call):
        keywords = {each.arg: each.value for each in node.keywords if each.arg}
        pair = [keywords[name] for name in ("code", "message") if name in keywords]
        given = pair if len(pair) == 2 else node.args
    elif isinstance(node.value, ast.Tuple):
        given = node.value.elts
    for code, message in pairwise(given):
        first = code.elts[0] if isinstance(code, ast.Tuple) and code.elts else code
        told = _said(first, {})
        if _CODE.fullmatch(told) and "…" not in told and told not in _UNITS and _is_message(message):
            yield told, _said(message, named)


def _is_message(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and " " in node.value
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Name) and node.id == "message")


def _said(message: ast.expr, named: dict[str, ast.expr]) -> str:
    """A message as it is written in the source, with … for what is filled in."""
    match message:
        case ast.Constant(value=str(text)):
            return re.sub(r"\{\w+\}", "…", text)
        case ast.JoinedStr(values=parts):
            return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)
        case ast.Name(id=name) if name in named:
            return _said(named[name], {})
        case ast.IfExp(body=body):
            return _said(body, named)
        case ast.BinOp(left=left, right=right):
            return _said(left, named) + _said(right, named)
    return "…"


def rule_versions() -> str:
    """The version of every stage's rules."""
    rows = [(name.replace("_", "-"), str(version)) for name, version in rules.versions().items()]
    return _table(("stage", "version of its rules"), rows)


def _table(heads: Any, rows: Any) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in lines
    )


def _block(text: str) -> str:
    return f"```text\n{text}\n```"


def _prose(text: str) -> str:
    """Text that Markdown shows as it is written."""
    return re.sub(r"([\\*_<>\[\]#])", r"\\\1", text)


PAGES: dict[str, Callable[[], str]] = {
    "commands": commands,
    "catalogue": catalogue,
    "report": report,
    "codes": codes,
    "rules": rule_versions,
}
"""What a page may ask for, by name."""
