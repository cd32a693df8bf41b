"""Signs a decision: finds what is meant, refuses who may not decide it, and records the signed statement.

`plimsoll sign MATTER:SUBJECT` names what is decided on; the statement names exactly that by its digest.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from catalog.canonical import canonical
from catalog.decisions import Decision, Statement, decisions, draft
from catalog.declarations import AUDIT_REPORTED, DECISIONS, Matter, Programme, Role
from catalog.errors import UsageError
from catalog.hints import listed
from catalog.ledger import Record, Reference
from catalog.signing import Signer
from catalog.store import disk, is_file
from catalog.workspace import Workspace
from tasks.subjects import Subject, find_subject

_DATE = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])")
LARGEST_FILE = 256 * 1024**2
"""So many bytes may an attached file have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What somebody asks to sign. `until`, `dated`: days, or empty. `details`: see `Statement`.

    `of`: the digest of what they were shown, where they were shown it before; it must be that still.
    """

    what: str
    role: str
    by: str
    decision: str = ""
    reason: str = ""
    file: Path | None = None
    until: str = ""
    dated: str = ""
    environment: str = ""
    of: str = ""
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A decision that was recorded."""

    record: Record
    statement: Statement

    def as_json(self) -> dict[str, Any]:
        """As `sign --json` gives it."""
        return {
            "record": self.record.sequence,
            "digest": self.record.digest,
            "key": self.record.actor.fingerprint,
            **self.statement.as_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Deciding:
    """What somebody decides at. `declare` records the programme as it stands and gives the record of it."""

    programme: Programme
    workspace: Workspace
    signer: Signer
    code: str
    declare: Callable[[], Record]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A decision that may be recorded: on what, in which role, with what attached."""

    subject: Subject
    role: Role
    decision: str
    content: bytes
    name: str


def prepare(asked: Asked, deciding: Deciding) -> Prepared:
    """Finds what is decided on. Records nothing.

    Raises UsageError for what is not there or is not what was shown, for a role that may not decide it, and for what
    must come before it.
    """
    workspace, signer = deciding.workspace, deciding.signer
    subject = find_subject(asked.what, deciding.programme, workspace, environment=asked.environment)
    if asked.of and asked.of != subject.of:
        remedy = f"It has the digest {subject.of} now. Look at it again, and decide on that."
        raise UsageError(f"{asked.what} is not what was shown, which had the digest {asked.of}", remedy=remedy)
    decision = _decision(subject.matter, asked)
    role = may_decide(deciding.programme, subject, asked, signer)
    earlier = decisions(workspace.ledger.records(), workspace.withdrawals())
    _refuse_out_of_turn(subject, decision, asked, earlier, signer)
    content, name = _attached(asked.file)
    if decision in AUDIT_REPORTED and not content:
        raise UsageError("an audit report needs the report itself", remedy="Give it: --file REPORT.pdf.")
    if subject.matter is Matter.RELIANCE and decision == "approved" and not asked.until:
        raise UsageError("an approval of reliance has a last day", remedy="Give it: --until 2027-01-31.")
    _day(asked.until, "--until")
    _day(asked.dated, "--dated")
    return Prepared(subject=subject, role=role, decision=decision, content=content, name=name)


def sign(asked: Asked, deciding: Deciding) -> Signed:
    """Records a signed decision. Raises as `prepare` does; nothing is recorded then."""
    found, store = prepare(asked, deciding), deciding.workspace.store
    subject = found.subject
    statement = Statement(
        matter=subject.matter,
        subject=subject.name,
        of=subject.digest or store.put(canonical(subject.document)),
        decision=found.decision,
        role=found.role.id,
        by=asked.by.strip(),
        time=now(),
        phase=subject.phase,
        reason=asked.reason.strip(),
        until=asked.until,
        file=store.put(found.content) if found.content else "",
        file_name=found.name,
        details={**asked.details, **({"dated": asked.dated} if asked.dated else {})},
    )
    return Signed(record=record_statement(statement, deciding), statement=statement)


def record_statement(statement: Statement, deciding: Deciding, inputs: Sequence[Reference] = ()) -> Record:
    """Signs a statement and records it, after the programme and the key where these are new."""
    signer, workspace = deciding.signer, deciding.workspace
    programme = deciding.declare().output("programme") or ""
    workspace.announce(signer, name=statement.by, code=deciding.code)
    made = draft(statement, signer, programme=programme, inputs=inputs)
    return workspace.record(made, actor=signer.actor(statement.by), code=deciding.code)[0]


def now() -> str:
    """The time as statements hold it: ISO 8601, UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- who may ---


def may_decide(programme: Programme, subject: Subject, asked: Asked, signer: Signer) -> Role:
    """The role that is acted in. Raises UsageError, naming those that may, for one that may not decide this."""
    if not asked.by.strip():
        raise UsageError("a decision needs the name of whoever decides", remedy="Give it: --by 'NAME'.")
    roles, matter, decision = programme.governance.roles, subject.matter, asked.decision
    able = [each.id for each in roles if _covers(each, matter, decision) and _is_own(each, subject)]
    role = programme.governance.role(asked.role)
    if role is None or role.id not in able:
        what = f"decide {decision} on {matter}:{subject.name}"
        why = f"the role {asked.role!r} may not {what}" if role else f"there is no role {asked.role!r}"
        remedy = (
            f"Roles that may {what}: {listed(able)}."
            if able
            else f"No role may {what}: declare one in governance.yaml."
        )
        raise UsageError(why, remedy=remedy)
    if role.holders:
        _refuse_stranger(role, asked.by.strip(), signer)
    return role


def open_to(programme: Programme, subject: Subject, fingerprint: str) -> dict[str, list[tuple[Role, list[str]]]]:
    """The roles in which the declared holder of a key may decide on something, and the decisions that each may take.

    By the holder's name; a key that nobody is declared to hold opens none.
    """
    found: dict[str, list[tuple[Role, list[str]]]] = {}
    for role in programme.governance.roles:
        able = [each for each in DECISIONS[subject.matter] if _covers(role, subject.matter, each)]
        for holder in role.holders:
            if able and holder.key == fingerprint and _is_own(role, subject):
                found.setdefault(holder.name, []).append((role, able))
    return found


def _covers(role: Role, matter: Matter, decision: str) -> bool:
    return any(act.matter is matter and (not act.decisions or decision in act.decisions) for act in role.decides)


def _is_own(role: Role, subject: Subject) -> bool:
    return role.provider is None or role.provider == subject.provider


def _refuse_stranger(role: Role, by: str, signer: Signer) -> None:
    holder = next((each for each in role.holders if each.name == by), None)
    if holder is None:
        names = listed([each.name for each in role.holders])
        raise UsageError(f"{by} does not hold the role {role.id!r}", remedy=f"It is held by: {names}.")
    if holder.key is not None and holder.key != signer.fingerprint:
        remedy = f"Give the private key whose fingerprint is {holder.key[:16]}…: --key FILE."
        raise UsageError(f"{by} signs with another key than {signer.fingerprint[:16]}…", remedy=remedy)


def _decision(matter: Matter, asked: Asked) -> str:
    known = DECISIONS[matter]
    if asked.decision not in known:
        problem = f"{asked.decision!r} is no decision on a {matter}" if asked.decision else "no decision is given"
        raise UsageError(problem, remedy=f"Give --decision, one of: {', '.join(known)}.")
    if not known[asked.decision] and not asked.reason.strip():
        raise UsageError(f"{asked.decision!r} needs a reason", remedy="Give it: --reason '…'.")
    return asked.decision


_BEFORE = {"reviewed": "submitted", "signed-off": "reviewed"}
"""What a plan must be, as it is declared now, before it can be the other."""


def _refuse_out_of_turn(
    subject: Subject, decision: str, asked: Asked, earlier: Sequence[Decision], signer: Signer
) -> None:
    """A plan is submitted, reviewed and signed off in this order, and what somebody made is not theirs to approve."""
    if subject.matter is Matter.PLAN and decision in _BEFORE:
        of = subject.of
        mine = [each for each in earlier if (each.matter, each.subject) == (Matter.PLAN, subject.name)]
        _refuse_unprepared(subject, _BEFORE[decision], of, mine)
        submitted = [each for each in mine if each.decision == "submitted" and each.of == of][-1:]
        _refuse_own(f"{subject.name} was submitted", [(each.by, each.key) for each in submitted], asked, signer)
    if made := subject.made_by:
        _refuse_own(f"{made} was recorded", [(made.actor.name, made.actor.fingerprint)], asked, signer)


def _refuse_unprepared(subject: Subject, before: str, of: str, mine: Sequence[Decision]) -> None:
    was = [each for each in mine if each.decision == before]
    if any(each.holds(of, now()) for each in was):
        return
    how = f"was {before} in an earlier form, not as it is declared now" if was else f"is not {before}"
    remedy = f"First: plimsoll sign plan:{subject.name} --decision {before} --as ROLE --by NAME"
    raise UsageError(f"{subject.name} {how}", remedy=remedy)


def _refuse_own(what: str, makers: Sequence[tuple[str, str]], asked: Asked, signer: Signer) -> None:
    for name, key in makers:
        if name == asked.by.strip() or key == signer.fingerprint:
            same = "the same name" if name == asked.by.strip() else "the same key"
            remedy = "Somebody else must decide, by another name and with another key: --by NAME --key FILE."
            raise UsageError(f"{what} by {name}, and this is {same}", remedy=remedy)


def _attached(file: Path | None) -> tuple[bytes, str]:
    if file is None:
        return b"", ""
    if not is_file(file):
        raise UsageError(f"there is no file {file}", remedy="Name the file to attach with --file.")
    with disk(file):
        if file.stat().st_size > LARGEST_FILE:
            raise UsageError(f"{file} has more than {LARGEST_FILE:,} bytes", remedy="Attach a smaller file.")
        return file.read_bytes(), file.name


def _day(text: str, option: str) -> None:
    if text and not _DATE.fullmatch(text):
        raise UsageError(f"{option} {text!r} is no day", remedy="Write it as 2020-06-30.")
