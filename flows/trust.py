"""The commands about who vouches for a ledger: keys, countersignatures, time anchors, and proofs of a part of it."""

import re
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.errors import EvidenceError, Status, UsageError
from flows.show import console, escape, print_json, table

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from catalog.ledger import Draft, Record
    from catalog.signing import Signer
    from catalog.workspace import Workspace


def keys(options: Namespace) -> Status:
    """Shows one's own key and the ledger's, replaces one's own, or revokes one."""
    actions = {"list": _list_keys, "rotate": _rotate, "revoke": _revoke}
    return actions[options.action](options)


def _list_keys(options: Namespace) -> Status:
    """One's own public key, which an auditor is given, and the keys that the ledger names. Makes no key."""
    import os

    from catalog.keyring import keyring
    from catalog.signing import KEY_PEM, key_path, own_signer
    from catalog.workspace import Workspace, is_workspace, refuse_as_home

    refuse_as_home(options.home)
    records = Workspace.open(options.home).ledger.records() if is_workspace(options.home) else []
    there = bool(os.environ.get(KEY_PEM)) or key_path().exists()
    own = own_signer(outside=options.home) if there else None
    ring = keyring(records)
    found = [
        {"public_key": key, "fingerprint": name, "state": str(ring.ended.get(key, "in force")),
         "own": own is not None and own.public_key == key}
        for key, name in ring.announced.items()
    ]  # fmt: skip
    kept = f"${KEY_PEM}" if os.environ.get(KEY_PEM) else str(key_path())
    told = {"public_key": own.public_key, "fingerprint": own.fingerprint, "kept": kept} if own else None
    if options.json:
        print_json({"own": told, "ledger": found})
        return Status.PROVED
    out = console()
    if own:
        out.print(f"own key      {escape(kept)}\npublic key   {own.public_key}   (for the auditor: verify --key)"
                  f"\nfingerprint  {own.fingerprint}", soft_wrap=True)  # fmt: skip
    else:
        out.print(f"own key      none yet: the first signature makes one in {escape(kept)}", soft_wrap=True)
    rows = [(name[:16], key, escape(ring.ended.get(key, "in force"))) for key, name in ring.announced.items()]
    if rows:
        out.print(table(f"Keys in the ledger of {options.home}", ("fingerprint", "public key", "state"), rows))
    return Status.PROVED


def _rotate(options: Namespace) -> Status:
    from catalog.keyring import refuse_ended
    from catalog.signing import Signer
    from catalog.tree import head_of

    if options.to is None:
        raise UsageError("a key is replaced by another", remedy="Name a file for the new one: --to FILE.")
    with _recording(options) as (workspace, signer):
        records = workspace.ledger.records()
        refuse_ended(signer, records)
        successor = Signer.open(options.to, outside=workspace.home)
        if successor.public_key == signer.public_key:
            raise UsageError(f"{options.to} holds the key that is to be replaced", remedy="Name a new file with --to.")
        if not any(record.parameters.get("public_key") == signer.public_key for record in records):
            raise UsageError("your key has signed nothing here", remedy="Use the new one: PLIMSOLL_KEY=FILE.")
        record = _record(workspace, signer, signer.hand_over(successor, head_of(records)))
    return _said(options, record, f"key {signer.fingerprint[:16]} is replaced by {successor.fingerprint[:16]}",
                 f"PLIMSOLL_KEY={options.to}   and tell the auditor the new key: {successor.public_key}")  # fmt: skip


def _revoke(options: Namespace) -> Status:
    from catalog.keyring import keyring
    from catalog.tree import head_of

    if not options.reason.strip() or not options.key:
        remedy = "Give both: plimsoll keys revoke KEY --reason '…'; `plimsoll keys` shows those that there are."
        raise UsageError("a key is revoked by its name and for a reason", remedy=remedy)
    with _recording(options) as (workspace, signer):
        records = workspace.ledger.records()
        ring = keyring(records)
        named = [key for key, name in ring.announced.items() if key == options.key or name.startswith(options.key)]
        if len(named) != 1 or len(options.key) < _SHORTEST:
            remedy = f"Announced are: {', '.join(name[:16] for name in ring.announced.values()) or 'none'}."
            raise UsageError(f"{options.key!r} names no one key of this ledger", remedy=remedy)
        ended, since = ring.ended.get(named[0]), _since(options.since, records)
        if ended and (since is None or ended.since is not None):
            raise UsageError(f"key {options.key} was {ended} already")
        if fault := ring.fault_of(signer.public_key):
            remedy = "Revoke it with a key that has signed in this ledger and is in force: PLIMSOLL_KEY=FILE."
            raise UsageError(f"your key cannot revoke another here: {fault}", remedy=remedy)
        draft = signer.revoke(named[0], head_of(records), reason=options.reason.strip(), since=since)
        record = _record(workspace, signer, draft)
    what = f"key {ring.announced[named[0]][:16]} is revoked"
    if since is None:
        return _said(options, record, f"{what}: what it signed before holds",
                     "plimsoll verify   names whatever it signs from now on")  # fmt: skip
    taken = sum(each.parameters.get("public_key") == named[0] for each in records[since - 1 :])
    what = f"{what}: nothing that it signed since record {since} counts ({taken} records)"
    return _said(options, record, what,
                 "plimsoll verify   names them; plimsoll report PHASE   signs anew what stands")  # fmt: skip


_SHORTEST = 8  # characters of a fingerprint that name a key


def _since(text: str, records: "Sequence[Record]") -> int | None:
    """The sequence of the record since which a key is compromised: that record, or the first of a day (UTC) or later.

    Raises UsageError for a record or day that there is not. None where nothing is said.
    """
    if not text:
        return None
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        later = [each.sequence for each in records if each.time[:10] >= text]
        if later:
            return later[0]
        raise UsageError(f"nothing was recorded on {text} or later", remedy="Name the day, or a record: --since 41.")
    return _find(records, text).sequence


def countersign(options: Namespace) -> Status:
    """Signs the head of a ledger that holds, as an auditor with their own key; or records such a signature."""
    if options.record:
        return _record_countersignature(options)
    import json

    from catalog.signing import own_signer
    from catalog.store import write_durably
    from catalog.tree import Head
    from flows.answers import check_evidence, tell
    from flows.desk import actor_name

    if options.out is None:
        raise UsageError("a countersignature is kept in a file", remedy="Name it with --out FILE.")
    if options.out.exists():
        raise UsageError(f"{options.out} is there already", remedy="Name another file with --out.")
    outcome = check_evidence(options)
    if not outcome.ok:
        tell(outcome, as_json=options.json)
        return Status.EVIDENCE
    head = Head.parse(outcome.head)
    if head is None:
        raise UsageError("there is no record to countersign")
    signer = own_signer(outside=options.path or options.home)
    made = signer.countersign(head, name=actor_name())
    write_durably(options.out, json.dumps(made, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n")
    if options.json:
        print_json({"file": str(options.out), **made})
        return Status.PROVED
    console().print(
        f"countersigned  head {head}\nby             {escape(actor_name())}, key {signer.fingerprint}\n"
        f"keep           {escape(options.out)}, and verify with --head {escape(options.out)} the next time\n"
        f"record it      plimsoll countersign --record {escape(options.out)} --home DIR   (who holds the workspace)",
        soft_wrap=True,
    )
    return Status.PROVED


def read_countersignature(file: Path) -> dict[str, Any] | None:
    """The countersignature in a file; None where there is none. Raises EvidenceError for one that was altered."""
    from catalog.signing import COUNTERSIGNATURE, authentic
    from catalog.store import parse

    try:
        found = parse(file.read_bytes())
        about = found["statement"]["purpose"] == COUNTERSIGNATURE
    except (ValueError, KeyError, TypeError):
        return None
    if not about:
        return None
    if not authentic(found["statement"], found.get("public_key"), found.get("signature")):
        raise EvidenceError(f"the countersignature in {file} is not the one of its key: it was altered")
    return {name: found[name] for name in ("statement", "public_key", "signature")}


def _record_countersignature(options: Namespace) -> Status:
    from catalog.ledger import Draft, Kind
    from catalog.tree import Head, roots
    from flows.remote import at_home

    options.home = at_home(str(options.home))
    made = read_countersignature(options.record)
    if made is None:
        remedy = "Name a file that `plimsoll countersign --out` wrote."
        raise UsageError(f"{options.record} holds no countersignature", remedy=remedy)
    with _recording(options) as (workspace, signer):
        records = workspace.ledger.records()
        head = Head.parse(made["statement"].get("head"))
        if head is None or head.size == 0 or roots(records, {head.size}).get(head.size) != head.root:
            raise EvidenceError(f"it is of the head {head}, which is none of this ledger: it was cut short or replaced")
        if any(record.kind is Kind.SIGNED and dict(record.parameters) == made for record in records):
            raise UsageError("that countersignature is in this ledger already")
        record = _record(workspace, signer, Draft(kind=Kind.SIGNED, stage="countersign", parameters=made))
    return _said(options, record, f"countersigned by {made['statement'].get('name')} up to head {head}",
                 f"plimsoll verify --key {made['public_key']}   fails for any ledger without it")  # fmt: skip


def anchor(options: Namespace) -> Status:
    """Writes a request for a time anchor of the ledger's head, or records an authority's response."""
    from catalog import anchors
    from catalog.store import write_durably
    from catalog.tree import head_of
    from catalog.workspace import Workspace, refuse_as_home

    refuse_as_home(options.home)
    if (options.request is None) == (options.response is None):
        raise UsageError("one of --request FILE and --response FILE is to be given")
    if options.request is not None:
        head = head_of(Workspace.open(options.home).ledger.records())
        write_durably(options.request, anchors.request(head))
        if options.json:
            print_json({"head": str(head), "request": str(options.request)})
            return Status.PROVED
        console().print(
            f"request  {escape(options.request)}, for the head {head}\n"
            f"next     curl -H 'Content-Type: application/timestamp-query' --data-binary @{escape(options.request)} "
            f"-o answer.tsr URL\n         plimsoll anchor --response answer.tsr",
            soft_wrap=True,
        )
        return Status.PROVED
    trusted = read_authorities(options.tsa)
    with _recording(options) as (workspace, signer):
        data = _read(options.response)
        head = anchors.anchored(data, workspace.ledger.records())
        try:
            when = anchors.time_of(data, head, trusted)
        except ValueError as error:
            raise EvidenceError(f"{options.response}: {error}") from error
        record = _record(workspace, signer, anchors.draft(head, workspace.store.put(data)))
    return _said(options, record, f"the first {head.size} records were there on {when}",
                 "plimsoll verify --tsa CERTIFICATE   holds it against the authority's certificate")  # fmt: skip


def read_authorities(files: Sequence[Path]) -> "list[Certificate]":
    """The certificates in these files of PEM."""
    from catalog.anchors import authorities

    return [certificate for file in files for certificate in authorities(_read(file))]


def prove(options: Namespace) -> Status:
    """Prints the proof that a record is in the ledger of a head, or that a saved head begins the newest one."""
    from catalog.ledger import Cursor, scan
    from catalog.tree import Head, prove_prefix, prove_record
    from catalog.workspace import Workspace
    from flows.answers import saved_head
    from flows.audit import opened

    head = None
    if options.head is not None and (head := Head.parse(saved_head(options.head))) is None:
        raise UsageError(f"{options.head!r} is no head: SIZE:ROOT was expected")
    with opened(options.home) as home:
        ledger = Workspace.open(home).ledger
        records = ledger.records()
        if options.record:
            wanted = _find(records, options.record)
            lines = (each.line for each in scan(ledger.root, Cursor()) if each.record == wanted)
            print_json(prove_record(records, next(lines), head))
        elif head:
            print_json(prove_prefix(records, head))
        else:
            remedy = "Name a record, a head that was saved (--head), or both."
            raise UsageError("there is nothing to prove", remedy=remedy)
    return Status.PROVED


def check_proof(options: Namespace) -> Status:
    """Holds a proof against a saved head, without the ledger."""
    from catalog.store import parse
    from catalog.tree import Head
    from catalog.tree import check_proof as check
    from flows.answers import saved_head

    saved = Head.parse(saved_head(options.head)) if options.head is not None else None
    if saved is None:
        remedy = "Give the head that you saved with --head SIZE:ROOT: a proof by itself proves nothing."
        raise UsageError("a proof is held against a head that was saved", remedy=remedy)
    try:
        proof = parse(_read(options.proof))
    except ValueError as error:
        raise UsageError(f"{options.proof} holds no proof: {error}") from error
    shown = check(proof, saved)
    if options.json:
        record = shown.record.sequence if shown.record else None
        answer = {"ok": True, "proof": proof["proof"], "saved": str(saved), "head": str(shown.head), "record": record}
        print_json(answer)
        return Status.PROVED
    if shown.record:
        by = f"of {shown.record.time}, by {escape(shown.record.actor.name)}"
        told = f"{escape(shown.record)} {by}, is in the ledger of head {saved}"
    else:
        told = f"head {shown.head} continues the saved head {saved}: nothing before it was changed"
    console().print(f"[green]✔ the proof holds[/]: {told}", soft_wrap=True)
    return Status.PROVED


def _find(records: "Sequence[Record]", name: str) -> "Record":
    """A record by its sequence, its digest, or the run that it ended."""
    from tasks.withdraw import find

    if name.isascii() and name.isdigit() and 1 <= int(name) <= len(records):
        return records[int(name) - 1]
    return find(records, name)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error


@contextmanager
def _recording(options: Namespace) -> "Iterator[tuple[Workspace, Signer]]":
    """The workspace, held for oneself, and one's own key."""
    from catalog.signing import own_signer
    from catalog.workspace import Workspace, refuse_as_home

    refuse_as_home(options.home)
    workspace = Workspace.open(options.home)
    with workspace.lock():
        yield workspace, own_signer(outside=workspace.home)


def _record(workspace: "Workspace", signer: "Signer", draft: "Draft") -> "Record":
    from flows.desk import actor_name, code_version

    return workspace.record(draft, actor=signer.actor(actor_name()), code=code_version())[0]


def _said(options: Namespace, record: "Record", what: str, following: str) -> Status:
    if options.json:
        print_json({"record": record.sequence, "digest": record.digest, "what": what})
        return Status.PROVED
    console().print(f"recorded  {escape(record)}: {escape(what)}\nnext      {escape(following)}", soft_wrap=True)
    return Status.PROVED
