"""Lines of a file as bytes, in bounded memory, and an independent count of them: what every account must add up to."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

LONGEST = 1 << 20
"""Bytes of a line, or of a record over several lines, that a reader will take; a longer one is skipped."""

BOM = b"\xef\xbb\xbf"


def lines(path: Path, *, start: int = 0) -> Iterator[tuple[int, bytes, bool]]:
    """Each line with its number (from 1), without its end (LF or CRLF), and whether it is whole.

    One longer than `LONGEST` comes cut and not whole; a BOM before the first is left out. The last line is whole
    even where no newline ends it.
    """
    with path.open("rb") as file:
        number = start
        while line := file.readline(LONGEST):
            number += 1
            whole = line.endswith(b"\n") or len(line) < LONGEST
            if not whole:
                whole = not _skip_line(file)
            if number == 1:
                line = line.removeprefix(BOM)
            yield number, line.removesuffix(b"\n").removesuffix(b"\r"), whole


def _skip_line(file: BinaryIO) -> bool:
    """Goes past the rest of a line; whether there was any of it."""
    any_left = False
    while rest := file.readline(LONGEST):
        any_left = True
        if rest.endswith(b"\n"):
            break
    return any_left


def text_of(line: bytes, encoding: str = "") -> tuple[str, bool]:
    """A line as text, and whether it was UTF-8.

    Bytes that are not are read as `encoding`, else as ISO 8859-1, which gives each of the 256 its own character: what
    the bytes were can always be told.
    """
    try:
        return line.decode(), True
    except UnicodeDecodeError:
        try:
            return line.decode(encoding or "latin-1"), False
        except (UnicodeDecodeError, LookupError):
            return line.decode("latin-1"), False


class LineCount:
    """Counts lines, blank ones and those within quotes as bytes pass by, so that no reader has to be believed."""

    def __init__(self, *, quote: bytes = b'"') -> None:
        self.bytes = 0
        self._newlines = 0
        self._blank = 0
        self._continued = 0
        self._inside = False  # within quotes, where the bytes so far end
        self._line_length = 0  # of the line that the bytes so far end in, its carriage return not counted
        self._quote = quote[0]

    def add(self, chunk: bytes) -> None:
        """The next bytes of the file."""
        if not chunk:
            return
        import numpy as np

        self.bytes += len(chunk)
        data = np.frombuffer(chunk, dtype=np.uint8)
        ends = data == 10
        if self._inside or bytes([self._quote]) in chunk or self._has_blank(chunk, ends):
            self._add_exactly(chunk, data, ends)
            return
        self._newlines += int(np.count_nonzero(ends))
        self._ended(chunk, chunk.rfind(b"\n"))

    def _has_blank(self, chunk: bytes, ends: Any) -> bool:
        """Whether a line that ends here has nothing on it; `ends`: which bytes are newlines."""
        if self._line_length <= 0 and chunk[:2].lstrip(b"\r").startswith((b"\n", b"\r")):
            return True
        return bool((ends[1:] & ends[:-1]).any()) or (b"\r" in chunk and b"\n\r\n" in chunk)

    def _ended(self, chunk: bytes, last: int) -> None:
        """What is left behind the last newline, which stands at `last`, or nowhere (-1)."""
        self._line_length = len(chunk) - 1 - last + (self._line_length if last < 0 else 0)
        self._line_length -= chunk.endswith(b"\r")

    def _add_exactly(self, chunk: bytes, data: Any, is_end: Any) -> None:
        import numpy as np

        ends = np.flatnonzero(is_end)
        quotes = np.flatnonzero(data == self._quote)
        inside = (np.searchsorted(quotes, ends) + self._inside) % 2 == 1
        before = np.concatenate([[-1], ends[:-1]]) if len(ends) else ends
        lengths = ends - before - 1
        if len(ends):
            lengths[0] += self._line_length
            previous = data[np.maximum(ends - 1, 0)] == 13
            lengths -= previous & (ends > 0)
            began = np.concatenate([[self._inside], inside[:-1]])
            self._blank += int(((lengths <= 0) & ~began & ~inside).sum())
        self._continued += int(inside.sum())
        self._newlines += len(ends)
        self._inside = bool((len(quotes) + self._inside) % 2)
        self._ended(chunk, int(ends[-1]) if len(ends) else -1)

    @property
    def lines(self) -> int:
        """Lines, a last one without an end among them."""
        return self._newlines + (self._line_length > 0)

    @property
    def blank(self) -> int:
        """Lines with nothing on them, outside quotes."""
        return self._blank

    @property
    def continued(self) -> int:
        """Lines that begin within a quoted field."""
        return self._continued

    @property
    def sound(self) -> bool:
        """Whether every quote that was opened was closed."""
        return not self._inside
