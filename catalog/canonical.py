"""Canonical JSON (RFC 8785) and SHA-256 digests: the one form in which documents are stored, compared and named."""

import hashlib
import json
from typing import Any

import rfc8785

_LARGEST = 2**53 - 1  # RFC 8785, 3.2.2.3: beyond it a double does not hold every integer
_plainly = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode

_FORBIDDEN = "a recorded document holds integers, strings, booleans, null, lists and objects; {kind} at {where}"


def digest(data: bytes) -> str:
    """The name of `data` in the evidence store: SHA-256, in lower-case hexadecimal (64 characters)."""
    return hashlib.sha256(data).hexdigest()


def canonical(document: Any) -> bytes:
    """`document` as RFC 8785 canonical JSON, UTF-8.

    Raises TypeError on a float anywhere in it: numbers that are recorded are integers or decimal strings, so that no
    machine's rounding stands between two auditors. Raises ValueError on text that UTF-8 cannot hold, and on what JSON
    cannot.
    """
    if _is_plain(document):
        return _plainly(document).encode()
    _refuse_floats(document, "$")
    return rfc8785.dumps(document)


def document_digest(document: Any) -> str:
    """The digest of a document over its canonical form."""
    return digest(canonical(document))


def _is_plain(value: Any) -> bool:
    """Whether Python's own encoder, which is ten times as fast, writes `value` as RFC 8785 asks: it sorts members by
    code points, as UTF-16 units sort only where names are ASCII, and would let floats, large integers and other
    types' values pass."""
    kind = type(value)
    if kind is dict:
        for name, item in value.items():
            if type(name) is not str or not name.isascii() or not (type(item) is str or _is_plain(item)):
                return False
        return True
    if kind is list or kind is tuple:
        return all(type(item) is str or _is_plain(item) for item in value)
    if kind is int:
        return bool(-_LARGEST <= value <= _LARGEST)
    return kind is str or kind is bool or value is None


def _refuse_floats(document: Any, where: str) -> None:
    match document:
        case float():
            raise TypeError(_FORBIDDEN.format(kind=f"the float {document!r}", where=where))
        case dict():
            for name, value in document.items():
                _refuse_floats(value, f"{where}.{name}")
        case list() | tuple():
            for index, value in enumerate(document):
                _refuse_floats(value, f"{where}[{index}]")
