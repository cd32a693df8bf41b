"""When earlier evidence may be relied on: rule 3, as a pure comparison of two key documents.

Everything that must be the same is an input of the key; what may differ is listed here and nowhere else. Whatever is
unknown, missing or of another shape differs, so the rule fails closed: the test is executed.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from catalog.declarations import Reliance, RelianceVolumes, TestType
from catalog.keys import differences

VOLUMES = "volumes"
WINDOW = "window_us"
NEVER = "never relied on, by rule"
"""The input under which the rule's own exceptions are named: nothing has changed there, so there is no old value."""

VERDICT = "verdict under the requirements now in force (needed, found)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A finished run of an earlier occasion that a planned test might rely on.

    `verdict`: its observations, made afresh against the requirements now in force, taken together; `deciding`: those
    of them that are not proved, as each requirement stood when the run was made and as it stands now.
    """

    record: str
    run: str
    occasion: str
    key: dict[str, Any]
    intact: bool
    withdrawn: bool
    verdict: str
    deciding: "tuple[Compared, ...]" = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One input that was compared, with what it was and what it is now. `allows`: it does not stand in the way."""

    input: str
    old: Any
    new: Any
    allows: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the rule says of one candidate: every input compared, those in the way first."""

    candidate: Candidate | None
    compared: tuple[Compared, ...]

    @property
    def relies(self) -> bool:
        """Whether the earlier evidence may be relied on."""
        return self.candidate is not None and all(each.allows for each in self.compared)

    @property
    def fallen(self) -> bool:
        """Whether target volumes differ from those proved, and are allowed to: they do not exceed them."""
        return any(
            each.allows and each.old != each.new for each in self.compared if each.input.startswith(f"{VOLUMES}.")
        )

    @property
    def only_unproved(self) -> bool:
        """Whether nothing stands in the way but that the evidence is not proved under the requirements now in force."""
        told = {VERDICT, *(each.input for each in self.candidate.deciding)} if self.candidate else set()
        return bool(told) and not self.relies and {each.input for each in self.in_the_way} <= told

    @property
    def in_the_way(self) -> tuple[Compared, ...]:
        """The inputs that refuse reliance; empty when it is allowed."""
        return tuple(each for each in self.compared if not each.allows)


def answer(rule: Reliance, key: dict[str, Any], candidates: list[Candidate]) -> Answer:
    """Whether the test whose execution has this key may rely on one of `candidates` (newest first), and why.

    The newest candidate that passes is relied on. Where none passes, the answer is that of the newest, so that a
    person sees what would have to be the same.
    """
    forbidden = _never(rule, key)
    if forbidden or not candidates:
        nothing = Compared(input="evidence of an earlier phase", old="none recorded", new="needed", allows=False)
        return Answer(candidate=None, compared=(forbidden or nothing,))
    answers = [Answer(candidate=each, compared=_compare(rule, key, each)) for each in candidates]
    return next((each for each in answers if each.relies), answers[0])


def _never(rule: Reliance, key: dict[str, Any]) -> Compared | None:
    test = key["inputs"]["test"]
    if test["role"] in rule.never.roles:
        return Compared(input=NEVER, old=None, new=f"role {test['role']}", allows=False)
    if TestType(test["type"]) in rule.never.types:
        return Compared(input=NEVER, old=None, new=f"type {test['type']}", allows=False)
    return None


def _compare(rule: Reliance, key: dict[str, Any], candidate: Candidate) -> tuple[Compared, ...]:
    old, new = members(candidate.key), members(key)
    found = [
        _needed("evidence", "intact", "intact" if candidate.intact else "damaged or missing"),
        _needed("withdrawn", "no", "yes" if candidate.withdrawn else "no"),
        _needed(VERDICT, "proved", candidate.verdict),
        *candidate.deciding,
    ]
    for name in sorted(set(old) | set(new)):
        if name == VOLUMES:
            found += _compare_volumes(rule.volumes, old.get(name), new.get(name))
        else:
            found += _compare_input(name, *({name: each[name]} if name in each else {} for each in (old, new)))
    return tuple(sorted(found, key=lambda each: each.allows))


def members(key: dict[str, Any]) -> dict[str, Any]:
    """What a key document holds: each input by its name, and whatever stands beside the inputs."""
    inputs = key.get("inputs")
    beside = {f"key {name}": value for name, value in key.items() if name != "inputs"}
    return beside | (inputs if isinstance(inputs, dict) else {})


def _needed(name: str, needed: str, found: str) -> Compared:
    return Compared(input=name, old=needed, new=found, allows=found == needed)


def _compare_input(name: str, old: dict[str, Any], new: dict[str, Any]) -> list[Compared]:
    """One input by its name, as it was and as it is; empty where there is none."""
    changed = differences(old, new)
    if not changed:
        return [Compared(input=name, old=old[name], new=new[name], allows=True)]
    return [Compared(input=each.input, old=each.old, new=each.new, allows=False) for each in changed]


def _compare_volumes(rule: RelianceVolumes, old: Any, new: Any) -> list[Compared]:
    """Target volumes cell by cell, as rates. `not-exceeding` allows a cell that carries no more than was proved."""
    if not (_is_volumes(old) and _is_volumes(new)):
        return [Compared(input=VOLUMES, old=old, new=new, allows=False)]
    lower = rule is RelianceVolumes.NOT_EXCEEDING
    was, is_now = old[WINDOW], new[WINDOW]
    found = [Compared(input=f"{VOLUMES}.{WINDOW}", old=was, new=is_now, allows=lower or was == is_now)]
    for cell in sorted(set(old["messages"]) | set(new["messages"])):
        before, now = (each["messages"].get(cell, 0) for each in (old, new))
        rate_before, rate_now = Fraction(before, was), Fraction(now, is_now)
        allows = rate_now <= rate_before if lower else rate_now == rate_before
        found.append(Compared(input=f"{VOLUMES}.{cell}", old=before, new=now, allows=allows))
    return found


def _is_volumes(document: Any) -> bool:
    """Whether it holds a window, messages by cell, and nothing else that might make a difference."""
    if not isinstance(document, dict) or document.keys() != {WINDOW, "messages"}:
        return False
    messages, window = document["messages"], document[WINDOW]
    return isinstance(messages, dict) and all(map(_is_count, messages.values())) and _is_count(window) and window > 0


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0
