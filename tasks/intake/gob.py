"""Go's gob encoding, as far as results need it: structs, strings, bytes, numbers, slices, maps, opaque times.

Types are described in the stream itself; whatever is described differently from what stands there ends the reading.
Source: the documentation of Go's package encoding/gob.
"""

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO

_LONGEST = 64 << 20
_DEEPEST = 16
_BOOL, _INT, _UINT, _FLOAT, _BYTES, _STRING, _COMPLEX = 1, 2, 3, 4, 5, 6, 7
_WIRE, _ARRAY, _COMMON, _SLICE, _STRUCT, _FIELD, _FIELDS, _MAP = 16, 17, 18, 19, 20, 21, 22, 23
_KINDS = ("array", "slice", "struct", "map", "opaque", "opaque", "opaque")

_Type = tuple[str, Any]
_KNOWN: dict[int, _Type] = {
    _WIRE: (
        "struct",
        [(each, kind) for each, kind in zip(_KINDS, (_ARRAY, _SLICE, _STRUCT, _MAP, 24, 24, 24), strict=True)],
    ),
    _ARRAY: ("struct", [("common", _COMMON), ("elem", _INT), ("len", _INT)]),
    _COMMON: ("struct", [("name", _STRING), ("id", _INT)]),
    _SLICE: ("struct", [("common", _COMMON), ("elem", _INT)]),
    _STRUCT: ("struct", [("common", _COMMON), ("field", _FIELDS)]),
    _FIELD: ("struct", [("name", _STRING), ("id", _INT)]),
    _FIELDS: ("slice", _FIELD),
    _MAP: ("struct", [("common", _COMMON), ("key", _INT), ("elem", _INT)]),
    24: ("struct", [("common", _COMMON)]),
}


class GobError(ValueError):
    """The bytes are no gob stream, or not one that can be understood."""


def values(file: BinaryIO) -> Iterator[dict[str, Any]]:
    """Every struct of a stream, as its fields by name; fields of zero value are absent, as gob leaves them out.

    Raises GobError where the stream ends within a message, or makes no sense.
    """
    types = dict(_KNOWN)
    while (length := _length(file)) is not None:
        if not 0 < length <= _LONGEST:
            raise GobError(f"a message of {length} bytes")
        data = file.read(length)
        if len(data) < length:
            raise GobError("the file ends within a message")
        message = _Message(data, types)
        found = message.read()
        if found is not None:
            yield found


def _length(file: BinaryIO) -> int | None:
    first = file.read(1)
    if not first:
        return None
    if first[0] < 128:
        return first[0]
    count = 256 - first[0]
    data = file.read(count) if count <= 8 else b""
    if len(data) < count:
        raise GobError("the file ends within a length")
    return int.from_bytes(data, "big")


class _Message:
    def __init__(self, data: bytes, types: dict[int, _Type]) -> None:
        self._data = data
        self._at = 0
        self._types = types

    def read(self) -> dict[str, Any] | None:
        """The struct in it; None where it describes a type."""
        kind = self._int()
        if kind < 0:
            self._types[-kind] = self._described(self._value(_WIRE, 0))
            return None
        if self._types.get(kind, ("",))[0] != "struct":
            raise GobError(f"a value of type {kind}, which is no struct")
        found: dict[str, Any] = self._value(kind, 0)
        return found

    def _described(self, wire: dict[str, Any]) -> _Type:
        for kind in ("struct", "slice", "array", "map", "opaque"):
            if kind in wire:
                told = wire[kind]
                match kind:
                    case "struct":
                        return kind, [(each.get("name", ""), each.get("id", 0)) for each in told.get("field", [])]
                    case "map":
                        return kind, (told.get("key", 0), told.get("elem", 0))
                    case "opaque":
                        return kind, None
                    case _:
                        return "slice", told.get("elem", 0)
        raise GobError("a type that is none")

    def _value(self, kind: int, depth: int) -> Any:
        if depth > _DEEPEST:
            raise GobError("nested too deeply")
        match kind:
            case 1 | 3:
                return self._uint()
            case 2:
                return self._int()
            case 4:
                return struct.unpack("<d", self._uint().to_bytes(8, "little"))[0]
            case 5 | 6:
                data = self._bytes(self._uint())
                return data if kind == _BYTES else data.decode("utf-8", "backslashreplace")
        shape, inner = self._types.get(kind, ("", None))
        match shape:
            case "struct":
                return self._struct(inner, depth)
            case "slice":
                return [self._value(inner, depth + 1) for _ in range(self._count())]
            case "map":
                key, elem = inner
                return {str(self._value(key, depth + 1)): self._value(elem, depth + 1) for _ in range(self._count())}
            case "opaque":
                return self._bytes(self._uint())
            case _:
                raise GobError(f"the unknown type {kind}")

    def _struct(self, fields: list[tuple[str, int]], depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        place = -1
        while delta := self._uint():
            place += delta
            if place >= len(fields):
                raise GobError("a field beyond the last")
            name, kind = fields[place]
            # All opaque kinds of a wire type have one name here: what they hold is the same.
            found[name] = self._value(kind, depth + 1)
        return found

    def _count(self) -> int:
        count = self._uint()
        if count > len(self._data) - self._at:
            raise GobError("more elements than bytes")
        return count

    def _uint(self) -> int:
        first = self._bytes(1)[0]
        if first < 128:
            return first
        count = 256 - first
        if count > 8:
            raise GobError("a number of more than 8 bytes")
        return int.from_bytes(self._bytes(count), "big")

    def _int(self) -> int:
        value = self._uint()
        return ~(value >> 1) if value & 1 else value >> 1

    def _bytes(self, count: int) -> bytes:
        found = self._data[self._at : self._at + count]
        if len(found) < count:
            raise GobError("a message that ends within a value")
        self._at += count
        return found
