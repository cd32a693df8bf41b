"""What test runs write while they go on: a folder each in the workspace, until the record of their end is durable.

incoming/<run, quoted>/   what a run has written so far; `tasks.recover` says what is in it

Nothing here is evidence, and nothing is promised of it. What a crash leaves is recorded by the next run of any phase.
"""

import shutil
from pathlib import Path
from urllib.parse import quote, unquote

from catalog.errors import EvidenceError
from catalog.store import disk, make_below, sync_directory

FOLDER = "incoming"


def folder_of(home: Path, run: str) -> Path:
    """The folder of a run in the workspace at `home`, whether or not it exists."""
    return home / FOLDER / quote(run, safe="").replace(".", "%2E")


def make(home: Path, run: str) -> Path:
    """Makes the folder of a run that is about to start; returns its absolute path, for processes that start elsewhere.

    Raises EvidenceError when there is one already, by no known run.
    """
    folder = folder_of(home.resolve(), run)
    if folder.exists():
        remedy = "Move it out of the workspace, and find out where it comes from."
        raise EvidenceError(f"{folder} is there already, and no record names a run that it is of", remedy=remedy)
    with disk(folder):
        make_below(home, folder.parent)
        folder.mkdir()
        sync_directory(folder.parent)
    return folder


def left(home: Path) -> dict[str, Path]:
    """The folder of every run that has one, by the run's id, in order."""
    if not (home / FOLDER).is_dir():
        return {}
    folders = sorted(path for path in (home / FOLDER).iterdir() if path.is_dir() and not path.is_symlink())
    return {unquote(path.name): path for path in folders}


def remove(home: Path, run: str) -> None:
    """Removes the folder of a run whose end is durable."""
    folder = folder_of(home, run)
    with disk(folder):
        if folder.is_dir():
            shutil.rmtree(folder)
