"""Makes texts that come from elsewhere harmless to show: nothing invisible, nothing that turns lines around, no walls.

Markup and formulae need no treatment here: what shows a text escapes it. What is recorded stays as it was declared.
"""

import unicodedata
from collections.abc import Mapping
from typing import Any

from catalog.canonical import digest

LONGEST = 4_000
"""Longer texts are cut, and named by their digest."""

_KEPT = "\n\t"
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def harmless(document: Any) -> Any:
    """A document of plain JSON with every text in it made harmless; keys and everything else stay."""
    match document:
        case str():
            return harmless_text(document)
        case Mapping():
            return {name: harmless(each) for name, each in document.items()}
        case list() | tuple():
            return [harmless(each) for each in document]
        case _:
            return document


def harmless_text(text: str) -> str:
    """The text with control characters, lone surrogates and marks that turn reading order shown by their number."""
    if len(text) > LONGEST:
        name = digest(text.encode("utf-8", "surrogatepass"))
        text = f"{text[: LONGEST - 160]}… ({len(text):,} characters, SHA-256 {name})"
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(each) for each in text)


def _shown(each: str) -> str:
    if each in _KEPT:
        return " "
    if each in _TURNING or unicodedata.category(each) in ("Cc", "Cs", "Cn", "Co") or 0xFFF9 <= ord(each) <= 0xFFFB:
        return f"⟨U+{ord(each):04X}⟩"
    return each
