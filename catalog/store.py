"""The evidence store: artefacts named by the SHA-256 of their bytes, written once and never changed.

What every writer in a workspace needs to make a file durable is here too: `disk`, `make_directory`, `sync_directory`,
`write_durably`. What an artefact means is not: that is the ledger's.
"""

import errno
import hashlib
import io
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from catalog.canonical import canonical, digest
from catalog.errors import EvidenceError, WorldError

INCOMING = "incoming"  # unfinished writes; what a killed process leaves there was never promised to anyone
_is_digest = re.compile(r"[0-9a-f]{64}").fullmatch
_CHUNK = 1 << 20


def is_digest(value: object) -> bool:
    """Whether `value` has the form of a digest: 64 lower-case hexadecimal characters."""
    return isinstance(value, str) and _is_digest(value) is not None


def parse(data: bytes) -> Any:
    """The JSON document in `data` (UTF-8). Raises ValueError on anything else, however it is malformed."""
    try:
        return json.loads(data.decode())
    except RecursionError:
        raise ValueError("nested too deeply") from None


@contextmanager
def disk(path: Path) -> Iterator[None]:
    """Turns whatever the operating system refuses about `path` into a WorldError that names it."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = "Check free space, permissions and quota of that file system, then run the command again."
        raise WorldError(f"{error.filename or path}: {reason}", remedy=remedy) from error


def is_file(path: Path) -> bool:
    """Whether there is a file of that name; a text that can be no file's name, such as one too long, names none."""
    try:
        return path.is_file()
    except OSError:
        return False


def sync_directory(path: Path) -> None:
    """Makes the names in directory `path` durable; without it a renamed file may vanish in a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_directory(path: Path) -> None:
    """Makes directory `path` and its parents, durably, where they do not exist."""
    if not path.is_dir():
        make_directory(path.parent)
        path.mkdir(exist_ok=True)
        sync_directory(path.parent)


def make_below(top: Path, path: Path) -> None:
    """Makes directory `path` and its parents below `top`, durably, where they do not exist.

    Raises FileNotFoundError where `top` is gone: a workspace that was moved is not begun anew at its old place.
    """
    if not top.exists():
        raise FileNotFoundError(errno.ENOENT, "was moved or removed while it was in use", str(top))
    make_directory(path)


def write_durably(path: Path, data: bytes) -> None:
    """Replaces the file `path` by `data` in one step: a reader, or a crash, sees the old bytes or the new, whole."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A durable copy of a file on the store's own disk, and the digest of its bytes as they were copied."""

    path: Path
    digest: str


def copied(source: Path, target: Path) -> Copied:
    """Copies a file of any size to `target`, a new file in a folder of `ObjectStore.incoming`. Raises WorldError."""
    with disk(source), source.open("rb") as stream, disk(target), target.open("xb") as file:
        return Copied(path=target, digest=_copy(stream, file))


class ObjectStore:
    """Artefacts under `root`, each in the file `ab/cdef…` that its SHA-256 names.

    Methods that touch the disk raise WorldError where it refuses, and EvidenceError where an object is missing or is
    not what its name says.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        """The file of the object `name`, whether or not it exists. Raises EvidenceError when `name` is no digest."""
        return Path(self._file(name))

    def has(self, name: str) -> bool:
        """Whether there is a file for the object; its bytes are not read (see `intact`)."""
        return os.path.isfile(self._file(name))  # noqa: PTH113  # a phase asks a thousand times

    def _file(self, name: str) -> str:
        if not is_digest(name):
            raise EvidenceError(f"{name!r} is no digest: 64 lower-case hexadecimal characters were expected")
        return f"{self.root}/{name[:2]}/{name[2:]}"

    def intact(self, name: str) -> bool:
        """Whether the object is there and its bytes are the ones its name says."""
        if not self.has(name):
            return False
        with disk(self.path(name)), self.path(name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == name

    def put(self, data: bytes) -> str:
        """Stores `data` and returns its digest, once it is durable. An object that is there already is left alone."""
        name = digest(data)
        return name if self.has(name) else self._write(io.BytesIO(data))

    def put_document(self, document: Any) -> str:
        """Stores the canonical JSON of `document` and returns its digest. Raises TypeError on floats in it."""
        return self.put(canonical(document))

    def put_file(self, source: Path) -> str:
        """Stores a copy of the file `source`, of any size, and returns its digest."""
        with disk(source), source.open("rb") as stream:
            return self._write(stream)

    def adopt(self, copy: Copied) -> str:
        """Stores a copy by its name alone, which reads nothing again, and returns its digest; the copy is gone then.

        Raises EvidenceError where the object is there already and was altered.
        """
        target = self.path(copy.digest)
        if self.has(copy.digest) and not self.intact(copy.digest):
            remedy = "Run `plimsoll verify`, and restore the workspace from a copy."
            raise EvidenceError(f"object {copy.digest} is altered ({target})", remedy=remedy)
        with disk(target):
            self._adopt(copy.path, target)
            copy.path.unlink(missing_ok=True)
        return copy.digest

    def get(self, name: str) -> bytes:
        """The bytes of the object, hashed again. Raises EvidenceError when it is missing or altered."""
        path = self.path(name)
        if not path.is_file():
            raise EvidenceError(f"object {name} is missing ({path})", remedy="Restore the workspace from a copy.")
        with disk(path):
            data = path.read_bytes()
        if digest(data) != name:
            message = f"object {name} is altered: its bytes are {digest(data)} ({path})"
            raise EvidenceError(message, remedy="Run `plimsoll verify`, and restore the workspace from a copy.")
        return data

    def document(self, name: str) -> Any:
        """The JSON document that the object holds. Raises EvidenceError when it is missing, altered or not JSON."""
        try:
            return parse(self.get(name))
        except ValueError as error:
            raise EvidenceError(f"object {name} is not a JSON document: {error}") from error

    def digests(self) -> Iterator[str]:
        """The names of all objects, in order."""
        for folder in sorted(self.root.glob("[0-9a-f][0-9a-f]")):
            for file in sorted(folder.iterdir()):
                if is_digest(folder.name + file.name):
                    yield folder.name + file.name

    @contextmanager
    def incoming(self) -> Iterator[Path]:
        """A folder on the store's own disk for what is yet to be stored; it is gone when the block ends."""
        with disk(self.root / INCOMING):
            make_below(self.root.parent, self.root / INCOMING)
            # What a disk does not let go stays, and `verify` counts it: it is no reason to lose what was stored.
            folder = tempfile.TemporaryDirectory(dir=self.root / INCOMING, ignore_cleanup_errors=True)
        with folder as name:
            yield Path(name)

    def _write(self, stream: BinaryIO) -> str:
        incoming = self.root / INCOMING
        with disk(incoming):
            make_below(self.root.parent, incoming)
            handle, temporary = tempfile.mkstemp(dir=incoming)
            try:
                with os.fdopen(handle, "wb") as file:
                    name = _copy(stream, file)
                self._adopt(Path(temporary), self.path(name))
            finally:
                Path(temporary).unlink(missing_ok=True)
        return name

    @staticmethod
    def _adopt(temporary: Path, target: Path) -> None:
        make_directory(target.parent)
        if not target.exists():
            temporary.rename(target)
        sync_directory(target.parent)


def _copy(stream: BinaryIO, file: BinaryIO) -> str:
    """Copies `stream` into `file`, read-only and durable, and returns the digest of what was written."""
    sha = hashlib.sha256()
    while chunk := stream.read(_CHUNK):
        sha.update(chunk)
        file.write(chunk)
    file.flush()
    os.fchmod(file.fileno(), 0o444)
    os.fsync(file.fileno())
    return sha.hexdigest()
