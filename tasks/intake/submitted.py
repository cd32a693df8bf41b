"""A submitted file as it lies there: whether anything wrote to it meanwhile, and the digest of its bytes."""

from functools import lru_cache
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
    return _hashed(file, *state_of(file))


@lru_cache(maxsize=4096)
def _hashed(file: Path, *_: int) -> str:
    import hashlib

    with disk(file), file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
