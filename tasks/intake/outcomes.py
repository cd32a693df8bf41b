"""How a message ended, out of what tools say of it, in Python and in SQL: the two must say the same."""

import re

from tasks.intake.numbers import digits_sql, whole_sql
from tasks.intake.sql import chosen

_OUTCOMES = ("ok", "timeout", "refused", "error")
_TIMEOUT = r"(?i)time[d]?[ -]?out|deadline exceeded"
_REFUSED = (
    r"(?i)refused|ConnectException|NoRouteToHost|UnknownHost|no such host|HttpHostConnect|unreachable|reset by peer"
)
_TIMED, _REFUSING = re.compile(_TIMEOUT), re.compile(_REFUSED)


def outcome_of(*, ok: bool, text: str) -> str:
    """ok; else timeout or refused where the tool's words say so; else error."""
    if ok:
        return "ok"
    if _TIMED.search(text):
        return "timeout"
    return "refused" if _REFUSING.search(text) else "error"


def outcome_sql(ok: str, text: str) -> str:
    """The same as SQL, of an expression that is true for ok and one for the words."""
    words = f"coalesce({text}, '')"
    timeout, refused, error = (chosen(each, _OUTCOMES) for each in _OUTCOMES[1:])
    return (
        f"CASE WHEN {ok} THEN {chosen('ok', _OUTCOMES)} WHEN regexp_matches({words}, '{_TIMEOUT}') THEN {timeout} "
        f"WHEN regexp_matches({words}, '{_REFUSED}') THEN {refused} ELSE {error} END"
    )


def status_of(text: str) -> int:
    """An HTTP status; 0 where the text is none."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) == 3 else 0


def status_sql(text: str) -> str:
    """The same as SQL."""
    digits = digits_sql(text, "3")
    return (
        f"CASE WHEN {whole_sql(text, 3)} AND strlen({text}) = 3 THEN try_cast({text} AS BIGINT) "
        f"ELSE coalesce(try_cast({digits} AS BIGINT), 0) END"
    )
