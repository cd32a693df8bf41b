"""What was derived from files of known digests and from nothing else, remembered on this machine by those digests.

Evidence is never remembered here, nor is anything that is recorded made of this: it spares `plan` and `explain` to
read, plan and observe again what they have read, planned and observed before. What cannot be read, or may be somebody
else's, is derived anew. Working copies of workspaces on buckets are in the same folder (`flows.remote`).
"""

import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from catalog.canonical import document_digest
from catalog.hashing import hash_files

Derived = TypeVar("Derived")

_MOST = 32  # files that are kept; the oldest go first
_PACKAGES = ("catalog", "expectations", "tasks", "flows")


def cache_path() -> Path:
    """Where this machine keeps what it can make again: `$PLIMSOLL_CACHE`, else `plimsoll` in the user's cache directory
    (XDG)."""
    if own := os.environ.get("PLIMSOLL_CACHE"):
        return Path(own)
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # the XDG specification has relative paths ignored
        base = Path(os.environ.get("HOME") or Path.home()) / ".cache"
    return base / "plimsoll"


def remembered(folder: Path, asked: tuple[str, ...], derive: Callable[[], tuple[dict[str, str], Derived]]) -> Derived:
    """What `derive` gives for `asked` of the catalogue in `folder`, as long as neither its files nor this code change.

    `derive` returns with it the SHA-256 of every file that it has read, by its name in the folder.
    """
    file = _file({"folder": str(folder.resolve()), "asked": list(asked)})
    known = _load(file)
    if known is not None and known[0] == _digests(folder, known[0]):
        return known[1]  # type: ignore[return-value]  # it is what `derive` gave under this name
    digests, derived = derive()
    _save(file, (digests, derived))
    return derived


def remembered_of(inputs: dict[str, Any], derive: Callable[[], Derived]) -> Derived:
    """What `derive` gives for `inputs`, a document that names by digest whatever it depends on beside this code.

    Whoever asks has seen that those inputs are intact.
    """
    file = _file({"inputs": inputs})
    known = _load(file)
    if known is not None:
        return known[1]  # type: ignore[return-value]  # it is what `derive` gave under this name
    derived = derive()
    _save(file, ({}, derived))
    return derived


def _file(about: dict[str, Any]) -> Path:
    return cache_path() / "derived" / f"{document_digest({**about, 'code': _code()})}.pickle"


@cache
def _code() -> str:
    """What this code is: every module's name, size and time of change."""
    root = Path(__file__).resolve().parent.parent
    found = sha256()
    for package in _PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            about = path.stat()
            found.update(f"{path}\0{about.st_size}\0{about.st_mtime_ns}\n".encode())
    return found.hexdigest()


def _digests(folder: Path, names: dict[str, str]) -> dict[str, str]:
    found = hash_files([folder / name for name in names], lambda _done, _total: None)
    return {name: each.digest for name, each in zip(names, found, strict=True)}


def _load(file: Path) -> tuple[dict[str, str], object] | None:
    """What was remembered; None where that is nothing, or nothing that this user alone can have written."""
    try:
        if not (_is_own(file.parent) and _is_own(file)):
            return None
        digests, derived = pickle.loads(file.read_bytes())  # noqa: S301  # this user's own, as their code is
    except Exception:  # noqa: BLE001  # whatever is wrong with it: it can be derived
        return None
    return dict(digests), derived


def _is_own(path: Path) -> bool:
    """Whether nobody but this user can have written there, links not followed."""
    about = path.lstat()
    return about.st_uid == os.getuid() and not about.st_mode & 0o022 and not path.is_symlink()


def _save(file: Path, remembered: tuple[dict[str, str], object]) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_own(file.parent):
            return
        temporary.write_bytes(pickle.dumps(remembered, pickle.HIGHEST_PROTOCOL))
        temporary.chmod(0o600)
        temporary.rename(file)
        for old in sorted(file.parent.glob("*.pickle"), key=lambda each: each.stat().st_mtime)[:-_MOST]:
            old.unlink(missing_ok=True)
    except OSError:  # a full or read-only disk: then it is derived the next time, too
        with suppress(OSError):
            temporary.unlink()
