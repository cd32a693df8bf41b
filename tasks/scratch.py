"""Temporary folders that outlive nobody: a killed process's are removed by the next one that makes any.

All folders of a process stand in one, `plimsoll-…`, whose file `owner` it keeps locked while it lives. A lock that can
be had belongs to a process that is gone, on whichever side of a container's wall; a process id would not tell.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

PREFIX = "plimsoll-"
OWNER = "owner"


def scratch() -> "tempfile.TemporaryDirectory[str]":
    """A new temporary folder, as a context manager or to be cleaned up by `cleanup`."""
    return tempfile.TemporaryDirectory(dir=_own(tempfile.gettempdir()))


@cache
def _own(root: str) -> Path:
    """This process's folder below `root`, made once; what dead processes left beside it goes first."""
    _remove_stale(Path(root))
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=root))
    unnamed = folder / f".{OWNER}"
    handle = os.open(unnamed, os.O_CREAT | os.O_RDWR, 0o600)  # open, and so locked, until this process ends
    fcntl.flock(handle, fcntl.LOCK_EX)
    unnamed.rename(folder / OWNER)  # locked before it has the name that others look for
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _remove_stale(root: Path) -> None:
    for folder in root.glob(f"{PREFIX}*"):
        if not folder.is_symlink() and folder.is_dir() and folder.stat().st_uid == os.getuid() and _is_left(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    try:
        with (folder / OWNER).open("rb") as owner:
            fcntl.flock(owner, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # locked by its owner, or not a folder of this kind
        return False
    return True
