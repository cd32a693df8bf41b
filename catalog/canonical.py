"""Canonical JSON (RFC 8785) and SHA-256 digests: the one form in which documents are stored, compared and named."""

import hashlib
from typing import Any

import rfc8785

_FORBIDDEN = "a recorded document holds integers, strings, booleans, null, lists and objects; {kind} at {where}"


def digest(data: bytes) -> str:
    """The name of `data` in the evidence store: SHA-256, in lower-case hexadecimal (64 characters)."""
    return hashlib.sha256(data).hexdigest()


def canonical(document: Any) -> bytes:
    """`document` as RFC 8785 canonical JSON, UTF-8.

    Raises TypeError on a float anywhere in it: numbers that are recorded are integers or decimal strings, so that no
    machine's rounding stands between two auditors.
    """
    _refuse_floats(document, "$")
    return rfc8785.dumps(document)


def document_digest(document: Any) -> str:
    """The digest of a document over its canonical form."""
    return digest(canonical(document))


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
        case _:
            return
