"""Stage keys: the document that says all that a stage's output depends on, and the difference of two of them.

A key holds inputs by value, or by name and digest. What stays out of it (ids, phases, success criteria, times, hosts)
is for the stage that builds it to say.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog.canonical import canonical

_Match = Callable[[Any], tuple[str, Any] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One input that two keys do not share: its dotted path, and its old and new value (None where it is absent)."""

    input: str
    old: Any
    new: Any

    def as_json(self) -> dict[str, Any]:
        """The difference as `plan --json` gives it."""
        return {"input": self.input, "old": self.old, "new": self.new}


def stage_key(stage: str, *, rules: int, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The key document of `stage` under version `rules` of its rules, with every input by role."""
    return {"stage": stage, "rules": rules, "inputs": dict(inputs)}


def differences(old: Any, new: Any) -> list[Difference]:
    """What differs between two JSON documents, sorted by path; empty exactly when their canonical forms are equal.

    Items of lists are matched by identity where both lists give each item one: a unique `id` or `name`; for objects
    without, the strings in them; for rows (lists that end in a value), the columns before the value; for plain values,
    the value. Such a path reads `components[orders].version`. Other lists are compared position by position.
    """
    return sorted(_compare("", old, new), key=lambda found: found.input)


def _compare(path: str, old: Any, new: Any) -> Iterator[Difference]:
    match old, new:
        case Mapping(), Mapping():
            dot = f"{path}." if path else ""
            yield from _members(old, new, lambda name: f"{dot}{name}")
        case (list() | tuple(), list() | tuple()):
            yield from _lists(path, old, new)
        case _ if canonical(old) != canonical(new):
            yield Difference(input=path, old=old, new=new)


def _members(old: Mapping[str, Any], new: Mapping[str, Any], path: Callable[[str], str]) -> Iterator[Difference]:
    for name in sorted(old.keys() | new.keys()):
        if name in old and name in new:
            yield from _compare(path(name), old[name], new[name])
        else:
            yield Difference(input=path(name), old=old.get(name), new=new.get(name))


def _lists(path: str, old: Sequence[Any], new: Sequence[Any]) -> Iterator[Difference]:
    for match in (_by_id, _by_name, _by_strings, _by_columns, _by_value):
        before, after = _matched(old, match), _matched(new, match)
        if before is not None and after is not None:
            break
    else:
        before = {str(index): item for index, item in enumerate(old)}
        after = {str(index): item for index, item in enumerate(new)}
    yield from _members(before, after, lambda name: f"{path}[{name}]")
    stayed, stays = [name for name in before if name in after], [name for name in after if name in before]
    if stayed != stays:
        yield Difference(input=f"{path} (order)", old=stayed, new=stays)


def _matched(items: Sequence[Any], match: _Match) -> dict[str, Any] | None:
    """The items by identity, or None unless each has one of its own."""
    pairs = [match(item) for item in items]
    found = dict(pair for pair in pairs if pair is not None)
    return found if len(found) == len(items) else None


def _by_id(item: Any) -> tuple[str, Any] | None:
    return (str(item["id"]), item) if isinstance(item, Mapping) and isinstance(item.get("id"), str) else None


def _by_name(item: Any) -> tuple[str, Any] | None:
    return (str(item["name"]), item) if isinstance(item, Mapping) and isinstance(item.get("name"), str) else None


def _by_strings(item: Any) -> tuple[str, Any] | None:
    strings = [item[name] for name in sorted(item) if isinstance(item[name], str)] if isinstance(item, Mapping) else []
    return (",".join(strings), item) if strings else None


def _by_columns(item: Any) -> tuple[str, Any] | None:
    """A row's identity is its canonical form without the value: those columns are equal then, and the value is left."""
    if not isinstance(item, list | tuple) or len(item) < 2:
        return None
    return canonical(item[:-1]).decode()[1:-1], item[-1]


def _by_value(item: Any) -> tuple[str, Any] | None:
    return None if isinstance(item, Mapping | list | tuple) else (canonical(item).decode(), item)
