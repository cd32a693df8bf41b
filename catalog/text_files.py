"""Files as text: bytes from the disk, decoded as UTF-8, or the faults that stand in the way."""

import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from catalog.canonical import digest
from catalog.errors import Fault
from catalog.places import Place, fault_at

LARGEST = 2 * 1024**2
"""Bytes that a file of a catalogue may have. The largest shipped one has some tens of thousands."""

UNPRINTABLE = re.compile(r"\r(?!\n)|[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
"""Characters that YAML 1.2 (section 5.1) calls unprintable, byte order marks, and line breaks that editors hide."""

_LONGEST_NAME = 255  # what file systems allow
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ENCODE = "save the file as UTF-8 without a byte order mark"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFile:
    """A file that could be read. `file`: its path as messages show it; `digest`: SHA-256 of its bytes on the disk."""

    file: str
    text: str
    digest: str


def shown_path(path: Path) -> str:
    """`path` as messages show it: relative to the working directory where it lies below, endless names cut short."""
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return str(Path(*(part if len(part) <= _LONGEST_NAME else f"{part[:60]}…" for part in shown.parts)))


def read_text(path: Path) -> tuple[TextFile | None, list[Fault]]:
    """The file at `path`, and its faults. There is no file when nothing could be made of it."""
    file = shown_path(path)
    try:
        if not path.is_file():
            return None, [_fault(file, "not-a-file", "expected a file, found something else", "put a file there")]
        with path.open("rb") as stream:
            raw = stream.read(LARGEST + 1)
    except OSError as error:
        return None, [
            _fault(file, "unreadable", f"cannot be read: {error.strerror}", "look at its name and permissions")
        ]
    if len(raw) > LARGEST:
        message = f"expected at most {LARGEST} bytes, found more"
        return None, [_fault(file, "too-large", message, "is this the right file? The largest shipped has some 40 KiB")]
    return _decoded(file, raw)


def _decoded(file: str, raw: bytes) -> tuple[TextFile | None, list[Fault]]:
    faults = []
    body = raw.removeprefix(_BYTE_ORDER_MARK)
    if raw.startswith(_BYTE_ORDER_MARK):
        first = _printable(body.split(b"\n", 1)[0].decode(errors="replace"))
        message = "the file begins with a byte order mark"
        faults.append(fault_at(file, [first], Place(line=1, column=1), "byte-order-mark", message, _ENCODE))
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        return None, [*faults, _undecodable(file, body, error.start)]
    unprintable = [_unprintable(file, text, found) for found in islice(UNPRINTABLE.finditer(text), 20)]
    if unprintable:
        return None, [*faults, *unprintable]
    return TextFile(file=file, text=text, digest=digest(raw)), faults


def _undecodable(file: str, body: bytes, offset: int) -> Fault:
    start = body.rfind(b"\n", 0, offset) + 1
    place = Place(line=body.count(b"\n", 0, offset) + 1, column=len(body[start:offset].decode()) + 1)
    line = _printable(body[start:].split(b"\n", 1)[0].decode(errors="replace"))
    lines = [""] * (place.line - 1) + [line]
    message = f"expected UTF-8, found the byte 0x{body[offset]:02x}"
    return fault_at(file, lines, place, "encoding", message, _ENCODE)


def _unprintable(file: str, text: str, found: re.Match[str]) -> Fault:
    start = text.rfind("\n", 0, found.start()) + 1
    place = Place(line=text.count("\n", 0, found.start()) + 1, column=found.start() - start + 1)
    lines = [""] * (place.line - 1) + [_printable(text[start:].split("\n", 1)[0])]
    message = f"the character U+{ord(found[0]):04X} does not belong in a text file"
    return fault_at(file, lines, place, "control-character", message, "remove it")


def _printable(line: str) -> str:
    """A source line as it may be shown: whatever a terminal might obey is replaced, column by column."""
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", line.rstrip("\r"))


def _fault(file: str, code: str, message: str, hint: str = "") -> Fault:
    return fault_at(file, (), Place(line=1, column=1), code, message, hint)
