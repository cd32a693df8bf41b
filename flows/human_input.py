"""Deciding as Prefect human input: a flow shows what is to be decided, waits for a person, and signs what they say.

The same is recorded as by `plimsoll sign`, by the same code. The private key stays on the machine that the flow runs
on, or in a Secret block: a run names it and is never given it. Who decides is the declared holder of that key, not a
name that somebody enters. Whoever may resume the run in Prefect can have the key sign: see docs/governance.md.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.flow_runs import pause_flow_run, suspend_flow_run
from prefect.input import RunInput
from pydantic import Field, ValidationError, create_model

from catalog.decisions import FLOW_RUN, decisions
from catalog.errors import PlimsollError, UsageError, WorldError
from catalog.issues import SEVERITIES
from catalog.keyring import refuse_ended
from catalog.reading import read_catalogue
from catalog.signing import Signer
from catalog.workspace import Workspace, is_workspace, refuse_as_home
from flows.cli import CATALOG
from flows.deployed import settle
from flows.governance import deciding_at
from flows.remote import at_home
from tasks.issue_question import ISSUE, IssueQuestion, issue_question
from tasks.issues import Raised, change_issue, raise_issue
from tasks.question import Question, in_markdown, question
from tasks.sign import Asked, prepare, sign

KEYS, ATTACHMENTS = "PLIMSOLL_KEYS", "PLIMSOLL_ATTACHMENTS"
"""Environment variables that name the folders, where the flow runs, of keys (`NAME.pem`) and of files to attach."""

_BLOCK = "secret:"
_FILE_NAME = re.compile(r"[\w][\w .()-]*")
_POLL_S = 1
_HOUR_S = 3600


@flow(name="decide", flow_run_name="decide {what}", persist_result=False)
def decide(
    what: str, key: str, catalog: str = str(CATALOG), home: str = "", environment: str = "", hours: int = 168
) -> dict[str, Any]:
    """Asks the holder of `key` for a decision on `what` (MATTER:SUBJECT), and signs it; returns what was recorded.

    `issue:PHASE` asks for a testing issue to be raised, `issue:NAME` what becomes of one: its severity,
    its title, whether it is closed or reopened.

    `key`: the name of a file `NAME.pem` in the folder `$PLIMSOLL_KEYS` of the machine that this runs on, or
    `secret:NAME`, a Secret block of Prefect with the key as PEM. `hours`: how long the answer is waited for.

    An answer that may not be recorded is told why, and asked for again. A run of a deployment is suspended while it
    waits, so that it keeps nobody's place on a worker; any other is paused.
    """
    home = settle(home)
    log, folder = get_run_logger(), at_home(home)
    run = str(_run().id)
    if given := _given(folder, run):
        return given
    signer = signer_of(key, outside=folder)
    why, place = "", max(1, _asked_before())
    while True:
        asked = _question(what, signer, Path(catalog), folder, environment)
        try:
            said = _ask(asked, why, key=str(place), hours=hours)
            signed = _signed(what, said, asked, signer, catalog=Path(catalog), home=at_home(home), run=run,
                             environment=environment)  # fmt: skip
        except (UsageError, WorldError, ValidationError) as error:
            why, place = _told(error), place + 1
            log.warning("not recorded: %s", why)
            continue
        log.info("%s %s: %s, by %s, record %s", what, signed["of"], signed["decision"], signed["by"], signed["record"])
        return signed


def signer_of(key: str, *, outside: Path) -> Signer:
    """The signer whose key has that name, here. None is ever made.

    Raises UsageError for a name of no key, WorldError for a file that others may read or that holds none.
    """
    if key.startswith(_BLOCK):
        return _of_block(key.removeprefix(_BLOCK))
    folder = os.environ.get(KEYS, "")
    remedy = f"Set {KEYS}, where the flow runs, to a folder of keys, and name one by its file without '.pem'."
    if not folder:
        raise UsageError(f"no folder of keys is named where this runs, so there is no key {key!r}", remedy=remedy)
    return Signer.open(_inside(folder, f"{key}.pem", "key", remedy), outside=outside)


def _of_block(name: str) -> Signer:
    from prefect.blocks.system import Secret

    try:
        held = Secret.load(name).get()  # type: ignore[union-attr]  # no coroutine outside an event loop
    except ValueError as error:
        remedy = "Make a block of the type Secret with the private key as PEM, and name it: secret:NAME."
        raise UsageError(f"there is no Secret block {name!r}", remedy=remedy) from error
    return Signer.from_pem(str(held), f"the Secret block {name}")


def _inside(folder: str, name: str, what: str, remedy: str) -> Path:
    """The file of that name in a folder, and nowhere else."""
    path = Path(folder) / name
    if not _FILE_NAME.fullmatch(name) or not path.is_file():
        raise UsageError(f"there is no {what} {name!r} in the folder of them", remedy=remedy)
    return path


def _run() -> FlowRun:
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise RuntimeError("no flow runs here")
    return context.flow_run


def _asked_before() -> int:
    """How often this run, which may have been suspended since, has asked."""
    return len(_run().empirical_policy.pause_keys or ())


def _given(home: Path, run: str) -> dict[str, Any] | None:
    """What was recorded of this very run: nothing is signed twice, whatever Prefect starts again."""
    if not is_workspace(home):
        return None
    workspace = Workspace.open(home)
    found = [
        each
        for each in decisions(workspace.ledger.records(), workspace.withdrawals())
        if each.details.get(FLOW_RUN) == run
    ]
    return {"record": found[0].sequence, "digest": found[0].record, **found[0].as_json()} if found else None


def _question(what: str, signer: Signer, catalog: Path, home: Path, environment: str) -> Question:
    refuse_as_home(home)
    programme, workspace = read_catalogue(catalog).programme, Workspace(home)
    refuse_ended(signer, workspace.ledger.records())
    if what.startswith(ISSUE):
        return issue_question(what, signer.fingerprint, programme, Workspace.open(home))
    return question(what, signer.fingerprint, programme, workspace, environment=environment)


_Fields = Mapping[str, tuple[Any, str, str, str]]
"""Of each field by name: what it takes, its title, what is said of it, and what stands in it."""

_OF_DECISION: _Fields = {
    "reason": (str, "Reason", "needed to decide against", ""),
    "until": (str, "Last day that it holds", "such as 2027-01-31, or nothing", ""),
    "dated": (str, "Day it was taken", "where that was not today", ""),
    "file": (str, "Document to attach", f"a file's name in the folder of {ATTACHMENTS}", ""),
}
_NOTHING = "not given"


def _of_issue(asked: IssueQuestion) -> _Fields:
    """What may be said of an issue beside the decision: where it was found only while it is raised."""
    title = "what is wrong" if asked.issue is None else "another title, or nothing"
    fields: dict[str, tuple[Any, str, str, str]] = {
        "title": (str, "Title", title, ""),
        "severity": (Literal[(_NOTHING, *map(str, SEVERITIES))], "Severity", "1 is the gravest, 5 the least", _NOTHING),
        "reason": (str, "Reason", "needed to close and to reopen", ""),
    }
    if asked.issue is None:
        fields["test"] = (Literal[(_NOTHING, *asked.tests)], "Test", "that it was found in", _NOTHING)
        fields["run"] = (str, "Test run", "that it was found in, such as launch/launch.orders.load/1", "")
    return fields


def _with_digest(asked: Question, fields: _Fields) -> _Fields:
    """The fields with the digest of what is shown; an issue that is yet to be raised has none."""
    if isinstance(asked, IssueQuestion) and asked.issue is None:
        return fields
    return {**fields, "of": (str, "Decided on (SHA-256)", "as it is shown", asked.subject.of)}


def form(asked: Question, why: str = "") -> type[RunInput]:
    """The form that Prefect shows: what may be said as choices, and the digest of what is shown, which is said back."""
    more = _of_issue(asked) if isinstance(asked, IssueQuestion) else _OF_DECISION
    fields: dict[str, Any] = {
        "decision": (Literal[asked.answers], Field(title="Decision")),
        "role": (Literal[asked.roles], Field(default=asked.roles[0], title="In the role")),
        **{
            name: (kind, Field(default=default, title=title, description=about))
            for name, (kind, title, about, default) in _with_digest(asked, more).items()
        },
    }
    made: type[RunInput] = create_model("Decision", __base__=RunInput, **fields)
    first = f"**Not recorded:** {in_markdown(why)}\n\n" if why else ""
    return made.with_initial_data(description=first + asked.text)


def _ask(asked: Question, why: str, *, key: str, hours: int) -> RunInput:
    """What a person said. Prefect holds it against the form before it lets the run go on."""
    wanted, timeout = form(asked, why), hours * _HOUR_S
    if _run().deployment_id:
        return suspend_flow_run(wait_for_input=wanted, timeout=timeout, key=key)
    return pause_flow_run(wait_for_input=wanted, timeout=timeout, poll_interval=_POLL_S, key=key)


def _signed(
    what: str, said: RunInput, question_: Question, signer: Signer, *, catalog: Path, home: Path, run: str,
    environment: str,
) -> dict[str, Any]:  # fmt: skip
    answer: Mapping[str, Any] = said.model_dump()
    if isinstance(question_, IssueQuestion):
        return _issue_recorded(what, answer, question_, signer, catalog=catalog, home=home, run=run)
    remedy = f"Put it into the folder {ATTACHMENTS} names where the flow runs, and give its name."
    name = answer["file"].strip()
    file = _inside(os.environ.get(ATTACHMENTS, ""), name, "file to attach", remedy) if name else None
    asked = Asked(
        what=what,
        role=answer["role"],
        by=question_.by,
        decision=answer["decision"],
        reason=answer["reason"],
        file=file,
        until=answer["until"].strip(),
        dated=answer["dated"].strip(),
        environment=environment,
        of=answer["of"].strip() or "nothing",
        details={FLOW_RUN: run},
    )
    with deciding_at(catalog, home, lambda: signer, lambda deciding: prepare(asked, deciding)) as deciding:
        return sign(asked, deciding).as_json()


def _issue_recorded(
    what: str, answer: Mapping[str, Any], about: IssueQuestion, signer: Signer, *, catalog: Path, home: Path, run: str
) -> dict[str, Any]:
    """What was recorded of an issue that was raised or changed, by the code of `plimsoll issue`."""
    severity = 0 if answer["severity"] == _NOTHING else int(answer["severity"])
    asked = Asked(what=what, role=answer["role"], by=about.by, reason=answer["reason"], details={FLOW_RUN: run},
                  of=(answer["of"].strip() or "nothing") if about.issue else "")  # fmt: skip
    with deciding_at(catalog, home, lambda: signer, lambda _: None) as deciding:
        if about.issue is None:
            test = "" if answer["test"] == _NOTHING else answer["test"]
            raised = Raised(phase=about.subject.phase, title=answer["title"], severity=severity, test=test,
                            run=answer["run"].strip())  # fmt: skip
            issue = raise_issue(raised, asked, deciding)
        else:
            issue = change_issue(about.issue.id, answer["decision"], asked, deciding, severity=severity,
                                 title=answer["title"])  # fmt: skip
    event = issue.events[-1]
    return {"record": event.sequence, "digest": event.record, **event.as_json()}


def _told(error: PlimsollError | ValidationError) -> str:
    """Why an answer was not recorded, and what to do, in a line."""
    if isinstance(error, PlimsollError):
        return f"{error}. {error.help()}"
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
