"""Literals of SQL: paths, texts, and texts that are a few and the same over and over."""

from collections.abc import Sequence
from pathlib import Path

STAGED = "(FORMAT parquet, PARQUET_VERSION v2, COMPRESSION snappy, ROW_GROUP_SIZE 60000)"
"""How rows are written that DuckDB alone reads again."""


def literal(path: Path) -> str:
    """A path as an SQL literal."""
    return text_literal(str(path))


def text_literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def chosen(text: str, among: Sequence[str] = ()) -> str:
    """A text as one of a few that its column may hold, as SQL: written by its number, not looked up for each row."""
    return f"{text_literal(text)}::{_few(among or (text,))}"


def listed(texts: Sequence[str]) -> str:
    """A list of texts that are few, as SQL (see `chosen`)."""
    return f"[{', '.join(map(text_literal, texts))}]::{_few(texts)}[]"


def _few(texts: Sequence[str]) -> str:
    return f"ENUM({', '.join(map(text_literal, dict.fromkeys(texts)))})"
