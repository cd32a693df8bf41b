"""What to suggest to a person who wrote a name that nobody knows."""

import difflib
from collections.abc import Collection

_MOST_NAMES = 1_000  # beyond this, comparing every name would take longer than a suggestion is worth
_LISTED = 12


def did_you_mean(word: str, known: Collection[str]) -> str:
    """The known name that is closest to `word`, as a question; failing that, the known names themselves."""
    close = difflib.get_close_matches(word[:100], known, n=1, cutoff=0.6) if len(known) <= _MOST_NAMES else []
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {listed(known)}" if known else ""


def suggestion(word: str, known: Collection[str]) -> str:
    """`did_you_mean` as a sentence of its own, for the remedy of an error; empty where nothing is known."""
    hint = did_you_mean(word, known)
    return f"{hint[:1].upper()}{hint[1:]}"


def listed(names: Collection[str]) -> str:
    """`names` in order, separated by commas, cut short when there are many."""
    first = sorted(names)[:_LISTED]
    return ", ".join(first) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def shown(value: object) -> str:
    """A written value as a message quotes it: its kind and, where that helps, what stands there."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"'{str(value).lower()}'"
        case str():
            return "an empty text" if not value.strip() else f"the text '{value[:60]}{'…' * (len(value) > 60)}'"
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return f"the number {value}"
