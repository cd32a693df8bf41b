"""Broken catalogues: the shipped template with edits, and where the fault must be found.

A `▶` in the text that is put in marks the place of the fault; it is taken out before the file is written.
"""

from pathlib import Path

from catalog.errors import DeclarationError, Fault
from catalog.reading import read_programme
from tests.shops import write_shop

MARK = "▶"

Edit = tuple[str, str, str]
"""A file of the template, the text to replace everywhere in it, and the text to put in; a new file replaces none."""


def edited(folder: Path, *edits: Edit) -> tuple[str, int, int]:
    """Writes the edited template into `folder`; gives the marked place: file, line and column."""
    write_shop(folder)
    place = ("", 0, 0)
    for file, old, new in edits:
        text = (folder / file).read_text(encoding="utf-8") if old else ""
        assert old in text, f"{old!r} is not in the template's {file}"
        text = text.replace(old, new) if old else new
        before, mark, _ = text.partition(MARK)
        if mark:
            place = (str(folder / file), before.count("\n") + 1, len(before) - before.rfind("\n"))
        (folder / file).write_bytes(text.replace(MARK, "").encode())
    return place


def faults_of(folder: Path) -> list[Fault]:
    """The faults of the catalogue in `folder`; none when it is in order."""
    try:
        read_programme(folder)
    except DeclarationError as error:
        return error.faults
    return []
