"""Numbers and times as tools write them, made whole microseconds without a float: rounded half-even, once."""

import re
from datetime import UTC, datetime, tzinfo
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation

_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)
_PLAIN = re.compile(r"[-+]?(\d{1,30}(\.\d{0,40})?|\.\d{1,40})([eE][-+]?\d{1,2})?")
_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,18}))?\s*(Z|z|[-+]\d\d:?\d\d)?")
_LARGEST = 2**53 - 1

SCALE = {"ns": Decimal("0.001"), "us": Decimal(1), "ms": Decimal(1000), "s": Decimal(1_000_000)}
"""Microseconds in a unit of time."""


def decimal_of(text: str) -> Decimal | None:
    """An exact decimal, None where the text is no finite number."""
    text = text.strip()
    if not _PLAIN.fullmatch(text):
        return None
    try:
        return _WIDE.create_decimal(text)
    except InvalidOperation:
        return None


def whole(value: Decimal | None, scale: Decimal | int = 1) -> int | None:
    """`value` times `scale` as a whole number, rounded half-even; None where it cannot be recorded exactly."""
    if value is None:
        return None
    found = _WIDE.multiply(value, Decimal(scale))
    if abs(found) > _LARGEST:
        return None
    return int(found.to_integral_value(rounding=ROUND_HALF_EVEN))


def micros(text: str, unit: str) -> int | None:
    """A time or duration in `unit` (ns, us, ms, s) as whole microseconds; None where it is no number."""
    return whole(decimal_of(text), SCALE[unit])


def count_of(text: str) -> int | None:
    """A whole number from 0; None where it is none."""
    if not (text.isdigit() and text.isascii()):
        text = text.strip()
        if not (text.isdigit() and text.isascii()):
            return None
    found = int(text) if len(text) < 17 else _LARGEST + 1
    return found if found <= _LARGEST else None


def whole_sql(text: str, digits: int) -> str:
    """Whether a text is a whole number from 0, of so many digits at the most and as it is usually written, as SQL.

    DuckDB makes 13 of 12.7 and 1000 of 1e3; what it writes of that again is another text. Asking so costs half of what
    a pattern does. A number written otherwise (007) is left to those who ask for it by its digits.
    """
    number = f"try_cast({text} AS BIGINT)"
    return f"({number} >= 0 AND {number}::VARCHAR = {text} AND strlen({text}) <= {digits})"


def count_sql(text: str) -> str:
    """What `count_of` makes of a text, 0 where that is none, as SQL."""
    digits = digits_sql(text, "1,16")
    return (
        f"CASE WHEN {whole_sql(text, 15)} THEN try_cast({text} AS BIGINT) "
        f"WHEN coalesce(try_cast({digits} AS BIGINT), {_LARGEST + 1}) <= {_LARGEST} THEN {digits}::BIGINT ELSE 0 END"
    )


def digits_sql(text: str, count: str) -> str:
    """The digits that a text consists of, but for spaces around them, as SQL; an empty text where it has others."""
    return f"regexp_extract({text}, '^{_SPACES}([0-9]{{{count}}}){_SPACES}$', 1)"


_SPACES = (  # those that Python strips
    r"[\s\x0b\x1c-\x1f\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]*"
)


def rounded(numerator: int, denominator: int) -> int:
    """A quotient rounded half-even."""
    quotient, rest = divmod(numerator, denominator)
    return quotient + (rest * 2 > denominator or (rest * 2 == denominator and quotient % 2 == 1))


def _instant(text: str, zone: tzinfo | None) -> tuple[int, str] | None:
    """Whole seconds since the epoch, and the digits of the fraction."""
    found = _RFC3339.fullmatch(text.strip())
    if not found:
        return None
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    leap = second == "60"  # counted as the first of the next minute, as POSIX has it
    try:
        at = datetime(int(year), int(month), int(day), int(hour), int(minute), 59 if leap else int(second))  # noqa: DTZ001  # the zone follows
        if offset and offset not in "Zz":
            digits = offset[1:].replace(":", "")
            away = (int(digits[:2]) * 3600 + int(digits[2:]) * 60) * (-1 if offset[0] == "-" else 1)
            seconds = int(at.replace(tzinfo=UTC).timestamp()) - away
        else:
            seconds = int(at.replace(tzinfo=UTC if offset or zone is None else zone).timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds + leap, fraction or ""


def instant_us(text: str, zone: tzinfo | None = None) -> int | None:
    """A time as RFC 3339 has it, as whole microseconds since the epoch, rounded half-even; None where it is none.

    One without an offset is read in `zone`, else in UTC.
    """
    found = _instant(text, zone)
    if found is None:
        return None
    seconds, fraction = found
    return seconds * 1_000_000 + (rounded(int(fraction) * 1_000_000, 10 ** len(fraction)) if fraction else 0)


def zone_of(name: str) -> tzinfo:
    """The time zone of an IANA name, UTC where there is none. Raises KeyError for a name that nobody knows."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    if not name:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise KeyError(name) from error
