"""When earlier evidence may be relied on: rule 3, as a pure comparison of two key documents.

Everything that must be the same is an input of the key; what may differ is listed here and nowhere else. Whatever is
unknown, missing or of another shape differs, so the rule fails closed: the test is executed. Where the rule asks for a
person's approval and there is none, nothing is relied on either, and nothing executed: that is for people to say.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from typing import Any

from catalog.approvals import Approval
from catalog.canonical import document_digest
from catalog.declarations import Reliance, RelianceScope, RelianceVolumes, TestType
from catalog.keys import differences
from catalog.ledger import Actor

VOLUMES = "volumes"
WINDOW = "window_us"
DAY_US = 86_400_000_000
NEVER = "never relied on, by rule"
"""The input under which the rule's own exceptions are named: nothing has changed there, so there is no old value."""

VERDICT = "verdict under the requirements now in force (needed, found)"
AGE = "age of the evidence (at most, found)"
RELIANCE = "reliance on it (needed, found)"
APPROVAL = "approval (needed, found)"
HELD = frozenset({AGE, APPROVAL})
"""Inputs that are held against what is needed: where that is found, nothing has changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A finished run of an earlier occasion that a planned test might rely on.

    `verdict`: its observations, made afresh against the requirements now in force, taken together; `deciding`: those
    of them that are not proved, as each requirement stood when the run was made and as it stands now. `day`: when it
    was recorded (ISO, UTC), and `since`: when the test was first let rest on it, empty when it was not: what was valid
    then stays so. `refused`: who withdrew that very decision, when and why, empty when nobody did.
    """

    record: str
    run: str
    occasion: str
    key: dict[str, Any]
    intact: bool
    withdrawn: bool
    verdict: str
    deciding: "tuple[Compared, ...]" = ()
    day: str = ""
    since: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One input that was compared, with what it was and what it is now. `allows`: it does not stand in the way."""

    input: str
    old: Any
    new: Any
    allows: bool

    def as_json(self) -> dict[str, Any]:
        """The input as records, reports and `explain --json` have it, each side with the SHA-256 of its canonical form.

        A side that there is nothing on has no digest.
        """
        digests = [None if each is None else document_digest(each) for each in (self.old, self.new)]
        return {
            "input": self.input,
            "old": self.old,
            "new": self.new,
            "old_digest": digests[0],
            "new_digest": digests[1],
            "allows": self.allows,
        }


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
    def refuted(self) -> bool:
        """Whether the candidate is not proved, and all else the same: nothing older is relied on in its place."""
        return self.only_unproved and self.candidate is not None and self.candidate.verdict == "not proved"

    @property
    def in_the_way(self) -> tuple[Compared, ...]:
        """The inputs that refuse reliance; empty when it is allowed."""
        return tuple(each for each in self.compared if not each.allows)


def answer(rule: Reliance, key: dict[str, Any], candidates: list[Candidate], *, day: str = "") -> Answer:
    """Whether the test whose execution has this key may rely on one of `candidates` (newest first), and why.

    The newest candidate that passes is relied on, unless a newer one refutes it: a run of what is the same in all that
    is compared, which is not proved. Where none passes, the answer is that of the newest, so that a person sees what
    would have to be the same. `day`: on which it is asked (ISO, UTC); without one no evidence has an age that is valid.
    """
    forbidden = _never(rule, key)
    if forbidden or not candidates:
        nothing = Compared(input="evidence of an earlier phase", old="none recorded", new="needed", allows=False)
        return Answer(candidate=None, compared=(forbidden or nothing,))
    answers = [Answer(candidate=each, compared=_compare(rule, key, each, day)) for each in candidates]
    return next((each for each in answers if each.relies or each.refuted), answers[0])


def needs_approval(rule: Reliance, key: dict[str, Any]) -> bool:
    """Whether a person approves before the test whose execution has this key may rely on anything."""
    asked = rule.approval
    if asked is None:
        return False
    test = key["inputs"]["test"]
    return not (asked.roles or asked.types) or test["role"] in asked.roles or TestType(test["type"]) in asked.types


def approved(
    by: str, decision: str, offered: Sequence[Approval], executor: Actor, day: str
) -> tuple[Approval | None, Compared]:
    """The first of the approvals of a decision that holds on `day`, and what is said of it; None when none does.

    `by`: who is to approve, as the rule has it; `decision`: the digest of its statement; `executor`: whoever executed
    the run that is relied on, and cannot be the one who approves.
    """
    found = [(each, _flaw(each, executor, day)) for each in offered]
    holds = next((each for each, flaw in found if not flaw), None)
    told = "; ".join(dict.fromkeys(flaw for _, flaw in found)) or "missing"
    if holds:
        told = f"by {holds.by.name} (key {holds.by.fingerprint[:16]}) on {holds.day}, until {holds.expires}"
    needed = f"by {by}, of decision {decision}"
    return holds, Compared(input=APPROVAL, old=needed, new=told, allows=holds is not None)


def _flaw(approval: Approval, executor: Actor, day: str) -> str:
    """Why an approval does not hold; empty when it does."""
    by = f"by {approval.by.name} on {approval.day}"
    if approval.revoked:
        return f"{by}, {approval.revoked}"
    if approval.by.name == executor.name or approval.by.fingerprint == executor.fingerprint:
        return f"{by}, who executed the run"
    if _date(approval.expires) is None:
        return f"{by}, without an expiry"
    return f"{by}, expired on {approval.expires}" if not day or approval.expires < day else ""


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _never(rule: Reliance, key: dict[str, Any]) -> Compared | None:
    test = key["inputs"]["test"]
    if test["role"] in rule.never.roles:
        return Compared(input=NEVER, old=None, new=f"role {test['role']}", allows=False)
    if TestType(test["type"]) in rule.never.types:
        return Compared(input=NEVER, old=None, new=f"type {test['type']}", allows=False)
    return None


def _compare(rule: Reliance, key: dict[str, Any], candidate: Candidate, day: str) -> tuple[Compared, ...]:
    found = [
        _needed("evidence", "intact", "intact" if candidate.intact else "damaged or missing"),
        _needed("withdrawn", "no", "yes" if candidate.withdrawn else "no"),
        _needed(VERDICT, "proved", candidate.verdict),
        *candidate.deciding,
        *([_needed(RELIANCE, "not withdrawn", candidate.refused)] if candidate.refused else []),
        *([_age(rule.valid_for, candidate, candidate.since or day)] if rule.valid_for is not None else []),
    ]
    found += compare_keys(candidate.key, key, rule.volumes)
    return tuple(sorted(found, key=lambda each: each.allows))


_CELLS = f"{VOLUMES}.messages."


def compare_keys(old: dict[str, Any], new: dict[str, Any], volumes: RelianceVolumes | None = None) -> list[Compared]:
    """Every input of two key documents by name, then and now; target volumes as `volumes` has it, if it does."""
    was, now = members(old), members(new)
    found = []
    for name in sorted(set(was) | set(now)):
        if name == VOLUMES and volumes is not None:
            found += _compare_volumes(volumes, was.get(name), now.get(name))
        else:
            found += _compare_input(name, *({name: each[name]} if name in each else {} for each in (was, now)))
    return [
        replace(each, input=f"{VOLUMES}.{each.input.removeprefix(_CELLS)}") if each.input.startswith(_CELLS) else each
        for each in found
    ]


def _age(valid_for: int, candidate: Candidate, day: str) -> Compared:
    """The age of the evidence in days, on the day that the test was first let rest on it, or is now."""
    executed, on = _date(candidate.day), _date(day)
    most = valid_for // DAY_US
    if executed is None or on is None:
        return Compared(input=AGE, old=f"{most} d", new="not known", allows=False)
    age = (on - executed).days
    return Compared(
        input=AGE, old=f"{most} d", new=f"{age} d on {day}, recorded on {candidate.day}", allows=0 <= age <= most
    )


def members(key: dict[str, Any]) -> dict[str, Any]:
    """What a key document holds: each input by its name, and whatever stands beside the inputs."""
    inputs = key.get("inputs")
    beside = {f"key {name}": value for name, value in key.items() if name != "inputs"}
    return beside | (inputs if isinstance(inputs, dict) else {})


def _needed(name: str, needed: str, found: str) -> Compared:
    return Compared(input=name, old=needed, new=found, allows=found == needed)


def _compare_input(name: str, old: dict[str, Any], new: dict[str, Any]) -> list[Compared]:
    """One input by its name, as it was and as it is; empty where there is none.

    Of one that differs in a part, every part is told: those that differ and those that are the same.
    """
    changed = differences(old, new)
    if not changed:
        return [Compared(input=name, old=old[name], new=new[name], allows=True)]
    both = old.get(name), new.get(name)
    if not all(isinstance(each, dict) and each for each in both):
        return [Compared(input=each.input, old=each.old, new=each.new, allows=False) for each in changed]
    parts = [{f"{name}.{part}": value for part, value in (each or {}).items()} for each in both]
    named = sorted(parts[0].keys() | parts[1].keys())
    return [
        found
        for part in named
        for found in _compare_input(part, *({part: each[part]} if part in each else {} for each in parts))
    ]


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


_NEVER_COMPARED = (
    ("test id and phase", "the same test of a later phase is the question"),
    ("success criteria, titles and sources", "words about a test change nothing that it offers"),
    ("times, hosts and run ids", "no two runs share them"),
    ("the code's commit", "versions of the rules stand in its place"),
    ("requirements", "the evidence is observed afresh against those now in force"),
    ("the approach document's version", "what it changed in the declarations is compared, its name is not"),
)


def not_compared(rule: Reliance) -> tuple[tuple[str, str], ...]:
    """What is left out of the comparison on purpose, and why."""
    if rule.scope is RelianceScope.PROGRAMME:
        beyond = (
            "components that are not tested",
            "under `scope: programme` those in the scope of testing are compared",
        )
    else:
        beyond = ("other components", "under `scope: path` those that handled the messages themselves are compared")
    age = () if rule.valid_for is not None else (("the age of the evidence", "the rule names no validity period"),)
    return (beyond, *age, *_NEVER_COMPARED)


def in_words(rule: Reliance) -> str:
    """The rule in force, as a line."""
    never = [*rule.never.roles, *rule.never.types]
    parts = [f"components of scope {rule.scope} unchanged", f"target volumes {rule.volumes}"]
    parts.append(
        "evidence of any age" if rule.valid_for is None else f"evidence of at most {rule.valid_for // DAY_US} d"
    )
    parts += [f"never {', '.join(never)}"] if never else []
    if rule.approval:
        asked = ", ".join([*rule.approval.roles, *rule.approval.types])
        parts.append(f"approved by {rule.approval.by}{f' ({asked})' if asked else ''}")
    return "; ".join(parts)
