"""Archives, read where they stand: gzip, zip and zstd, with limits on size, ratio, number and paths."""

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from tasks.intake.format import SubmittedError

LARGEST = 64 << 30
"""So many bytes may an archive have once it is unpacked, all its files together."""

RATIO = 200
"""So many times its own size may it have then, beyond the first 64 MiB; results shrink to a tenth, or a fiftieth."""

MOST_FILES = 1000
_FREE = 64 << 20
_CHUNK = 1 << 20
_ZSTD_CHUNK = 1 << 10
_GZIP, _ZIP, _ZSTD = b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd"


def unpacked(file: Path, folder: Path) -> list[tuple[str, Path]]:
    """The files of an archive, written to `folder`, each with its name; a file that is none stands for itself.

    Raises SubmittedError for one that is damaged, or too large, or that names a path outside of itself.
    """
    with file.open("rb") as stream:
        magic = stream.read(4)
    if magic == _ZIP:
        return list(_zip(file, folder))
    if magic.startswith(_GZIP) or magic == _ZSTD:
        target = folder / "0"
        try:
            chunks = _gzip(file) if magic.startswith(_GZIP) else _zstd(file)
            _write(chunks, target, file.name, _Room(file))
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise SubmittedError(f"{file.name}: cannot be unpacked: {error}") from None
        return [(file.name.removesuffix(".gz").removesuffix(".zst"), target)]
    return [(file.name, file)]


def _gzip(file: Path) -> Iterator[bytes]:
    with gzip.open(file, "rb") as stream:
        yield from _chunks(stream)


def _chunks(stream: BinaryIO | gzip.GzipFile) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        yield chunk


def _zstd(file: Path) -> Iterator[bytes]:
    """Frame after frame, so little at once that what it unfolds into is small: 128 KiB for each 4 bytes at the most."""
    import zstandard

    unpacker = zstandard.ZstdDecompressor()
    frame = unpacker.decompressobj()
    with file.open("rb") as stream:
        while chunk := stream.read(_ZSTD_CHUNK):
            while chunk:
                frame = unpacker.decompressobj() if frame.eof else frame
                try:
                    yield frame.decompress(chunk)
                except zstandard.ZstdError as error:
                    raise ValueError(str(error)) from None
                chunk = frame.unused_data if frame.eof else b""
    if not frame.eof:
        raise EOFError("it ends within a frame")


def _zip(file: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    try:
        with zipfile.ZipFile(file) as archive:
            members = [each for each in archive.infolist() if not each.filename.endswith("/")]
            room = _Room(file)
            if len(members) > MOST_FILES:
                raise SubmittedError(f"{file.name}: {len(members)} files, at most {MOST_FILES} are taken in")
            for number, member in enumerate(members):
                path = PurePosixPath(member.filename.replace("\\", "/"))
                if path.is_absolute() or not path.parts or ".." in path.parts or ":" in path.parts[0]:
                    raise SubmittedError(f"{file.name}: the path {member.filename[:100]!r} leads out of the archive")
                if member.flag_bits & 1:
                    raise SubmittedError(f"{file.name}: {member.filename[:100]} is encrypted",
                                         remedy="Submit it without a password.")  # fmt: skip
                target = folder / str(number)
                with archive.open(member) as stream:
                    _write(_chunks(stream), target, f"{file.name}/{member.filename}", room)  # type: ignore[arg-type]  # a member that is read gives bytes
                yield str(path), target
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError, ValueError) as error:
        raise SubmittedError(f"{file.name}: cannot be unpacked: {error}") from None


class _Room:
    """How much an archive may still unfold to, all its files together."""

    def __init__(self, archive: Path) -> None:
        self.packed = archive.stat().st_size
        self.written = 0

    def take(self, size: int, name: str) -> None:
        """Raises SubmittedError where there is none left."""
        self.written += size
        if self.written > LARGEST or (self.written > _FREE and self.written > RATIO * self.packed):
            raise SubmittedError(f"{name}: unfolds into more than {self.written} bytes from {self.packed}: "
                                 "no result does", remedy="Submit it unpacked.")  # fmt: skip


def _write(chunks: Iterator[bytes], target: Path, name: str, room: _Room) -> None:
    with target.open("wb") as out:
        for chunk in chunks:
            room.take(len(chunk), name)
            out.write(chunk)
