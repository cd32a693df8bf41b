"""A submitted file as it lies there: whether anything wrote to it meanwhile, and the digest of its bytes."""

from pathlib import Path

from catalog.store import disk
from tasks.intake.format import SubmittedError


def state_of(file: Path) -> tuple[int, int, int]:
    """Size, time of the last change and inode. Raises SubmittedError where it is no file, or cannot be read."""
    if not file.is_file():
        raise SubmittedError(f"{file}: expected a file, found none")
    try:
        found = file.stat()
        with file.open("rb"):
            return found.st_size, found.st_mtime_ns, found.st_ino
    except OSError as error:
        raise SubmittedError(f"{file}: cannot be read: {error.strerror}") from None


def digest_of(file: Path) -> str:
    """SHA-256 of its bytes, computed once for as long as nothing writes to it."""
    state = state_of(file)
    if (file, state) not in _known:
        remember(file, state, _hashed(file))
    return _known[file, state]


def remember(file: Path, state: tuple[int, int, int], digest: str) -> None:
    """Keeps a digest that is known of a file in this state, so that nobody computes it again."""
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    _known[file, state] = digest


_MOST_KNOWN = 4096
_known: dict[tuple[Path, tuple[int, int, int]], str] = {}


def _hashed(file: Path) -> str:
    import hashlib

    with disk(file), file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
