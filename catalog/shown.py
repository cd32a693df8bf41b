"""How figures are shown to people: in the unit that suits their size, to four significant digits.

What is recorded stays in its base unit; nothing is computed from what is shown.
"""

from decimal import Decimal

_SIGNIFICANT = 4
_TIMES = ((3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s"), (1_000, "ms"))
_SIZES = ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"))


def shown(value: int | str | Decimal, unit: str) -> str:
    """A recorded figure as a reader sees it: 1500000 us is '1.5 s', 990000 ppm '99 %', 28229632 bytes '26.92 MiB'."""
    number = Decimal(value)
    match unit:
        case "us":
            return _scaled(number, _TIMES, "µs")
        case "bytes":
            return _scaled(number, _SIZES, "B")
        case "ppm":
            return f"{plain(number / 10_000, 7)} %"
        case "times":
            return f"{plain(number)} times"
        case "count":
            return f"{number:,f}"
        case _:
            return f"{plain(number, 24)} {unit}"


def clock(minute: int) -> str:
    """A minute of the day as hours and minutes."""
    return f"{minute // 60:02}:{minute % 60:02}"


def plain(number: Decimal, digits: int = _SIGNIFICANT) -> str:
    """A decimal to that many significant digits, thousands grouped, without an exponent or trailing zeros."""
    if not number:
        return "0"
    place = min(number.adjusted() - digits + 1, 0)
    text = f"{number.quantize(Decimal(1).scaleb(place)):,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _scaled(number: Decimal, scale: tuple[tuple[int, str], ...], smallest: str) -> str:
    for size, name in scale:
        if abs(number) >= size:
            return f"{plain(number / size)} {name}"
    return f"{plain(number)} {smallest}"
