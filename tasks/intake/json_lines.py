"""JSON, a document a line or a document a file: exact numbers, limits on size and depth."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from tasks.intake.format import Account, Source, SubmittedError
from tasks.intake.lines import BOM, LONGEST, lines, text_of

DEEPEST = 64
"""So deep may a document be nested."""

LARGEST_DOCUMENT = 256 << 20
"""So many bytes may a document have that is held in memory as a whole."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')


def objects(path: Path, account: Account) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every object of a file that holds one a line, with its line; all else is accounted for."""
    for number, line, whole in lines(path):
        account.total += 1
        if not line.strip():
            account.blank += 1
        elif not whole:
            account.skip(number, f"longer than {LONGEST} bytes")
        elif (found := parsed(line)) is None:
            account.skip(number, "not JSON")
        elif not isinstance(found, dict):
            account.skip(number, "JSON, and no object")
        else:
            yield number, found


def parsed(data: bytes) -> Any:
    """A JSON document with exact numbers; None where it is none, or is nested too deeply."""
    text, _ = text_of(data)
    if (data.count(b"[") + data.count(b"{")) > DEEPEST and _depth(data) > DEEPEST:
        return None
    try:
        return json.loads(text, parse_float=Decimal, parse_int=_whole, parse_constant=_refused)
    except (ValueError, RecursionError, ArithmeticError):
        return None


def begins_object(head: bytes) -> bool:
    """Whether the first bytes of a file begin a JSON object."""
    return head.removeprefix(BOM).lstrip().startswith(b"{")


def document(source: Source) -> Any:
    """The one document of a file. Raises SubmittedError, naming the place, where it is none."""
    if source.path.stat().st_size > LARGEST_DOCUMENT:
        raise SubmittedError(f"{source.name}: a JSON document of more than {LARGEST_DOCUMENT} bytes",
                             remedy="Ask for a shorter stretch of time.")  # fmt: skip
    data = source.path.read_bytes().removeprefix(BOM)
    found = parsed(data)
    if found is None:
        text, _ = text_of(data)
        try:
            json.loads(text, parse_constant=_refused)
        except json.JSONDecodeError as error:
            raise SubmittedError(f"{source.name}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
        except (ValueError, RecursionError):
            pass
        raise SubmittedError(f"{source.name}:1:1: not JSON that can be read (nested more than {DEEPEST} deep?)")
    return found


def _whole(text: str) -> int | Decimal:
    return int(text) if len(text) < 400 else Decimal(text)


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _depth(data: bytes) -> int:
    deepest = depth = 0
    for byte in _STRING.sub(b"", data):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest
