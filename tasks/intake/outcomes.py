"""How a message ended, out of what tools say of it, in Python and in SQL: the two must say the same."""

import re

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
    return (
        f"CASE WHEN {ok} THEN 'ok' WHEN regexp_matches(coalesce({text}, ''), '{_TIMEOUT}') THEN 'timeout' "
        f"WHEN regexp_matches(coalesce({text}, ''), '{_REFUSED}') THEN 'refused' ELSE 'error' END"
    )


def status_of(text: str) -> int:
    """An HTTP status; 0 where the text is none."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) == 3 else 0


def status_sql(text: str) -> str:
    """The same as SQL."""
    return f"CASE WHEN regexp_full_match(trim(coalesce({text}, '')), '[0-9]{{3}}') THEN trim({text})::BIGINT ELSE 0 END"
