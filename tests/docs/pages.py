"""What a page of the documentation asks to be tried: its blocks in order, each with what its kind means.

Comments that no reader sees say what a page needs beside its blocks:

    <!-- setup … -->                    shell lines that are executed first, as files that a reader would have
    <!-- where WORD is TEXT -->         WORD in the page's blocks stands for TEXT, which the shell reads
    <!-- answers to: COMMAND; … -->     the next block says what these commands answer with --json
    <!-- not run: REASON -->            the next block is not executed
    <!-- not run, PROGRAM: REASON -->   nor are lines of the next block that begin with PROGRAM
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

SHELL = ("console", "sh")
DRAWN = "text"
"""The kind of what is no code: a formula, a drawing, what a folder holds."""

CHECKED = ("python", "yaml", "sql", "json", "diff", "answers")
_COMMANDS = re.compile(r"(\$ )?(plimsoll|prefect|python3?|pip|uv|curl|duckdb|printf|\.venv/bin/\S+|\.) ")
_COMMENT = re.compile(r"<!--\s*(setup|where|answers to|not run)\b(.*?)-->", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block of a page. `unless`: programs whose lines are left out; `reason`: why it, or those lines, are.

    `answer_to`: commands whose answers the block describes.
    """

    page: str
    line: int
    kind: str
    text: str
    reason: str = ""
    unless: tuple[str, ...] = ()
    answer_to: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def left_out(self) -> bool:
        """Whether nothing of it is executed."""
        return bool(self.reason and not self.unless)


def blocks(path: Path, root: Path) -> list[Block]:
    """The blocks of a page in order; what stands for what is put in already."""
    page = path.relative_to(root).as_posix()
    text = path.read_text(encoding="utf-8")
    words = dict(re.findall(r"<!-- where (\S+) is (.+?) -->", text))
    return [replace(block, text=_filled(block.text, words)) for block in _found(page, text)]


def _filled(text: str, words: dict[str, str]) -> str:
    for word, meaning in words.items():
        text = re.sub(rf"(?<![\w-]){re.escape(word)}(?![\w-])", lambda _, said=meaning: said, text)
    return text


def _found(page: str, text: str) -> Iterator[Block]:
    said: dict[str, Any] = {}
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        line = token.map[0] + 1 if token.map else 0
        if token.type == "html_block":
            for found in _COMMENT.finditer(token.content):
                if found[1] == "setup":
                    yield Block(page=page, line=line, kind="sh", text=found[2])
                said |= _said(found[1], found[2])
            continue
        if token.type in ("fence", "code_block"):
            kind = token.info.strip() if token.type == "fence" else _kind_of(token.content)
            if kind == "console" and not re.search(r"^\$ ", token.content, re.MULTILINE):
                kind = "sh"
            is_drawn = kind == DRAWN and _kind_of(token.content) != "sh"
            if not is_drawn and not kind.startswith("{"):
                yield Block(**{"page": page, "line": line, "kind": kind, "text": token.content, **said})
        said = {}


def _said(about: str, text: str) -> dict[str, Any]:
    """What a comment says of the block after it."""
    head, _, rest = text.partition(":")
    if about == "not run":
        return {"reason": " ".join(rest.split()), "unless": tuple(head.strip(", ").split())}
    if about == "answers to":
        return {"kind": "answers", "answer_to": tuple(each.strip() for each in rest.split(";"))}
    return {}


def _kind_of(text: str) -> str:
    """What an indented block holds: commands, or declarations, or else something that only its author can tell."""
    if any(_COMMANDS.match(line) for line in text.splitlines()):
        return "sh"
    return "yaml" if re.match(r"(- )?[a-z_]+:( |$)", text, re.MULTILINE) else "unknown"
