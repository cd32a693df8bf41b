"""Who vouches for a ledger: keys that are replaced and revoked, countersignatures, time anchors, and keys given."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509 import Certificate
from hypothesis import given, settings
from hypothesis import strategies as st
from small_evidence import make, put, rechain, report
from stamping import Authority, openssl

from catalog import anchors
from catalog.errors import EvidenceError, UsageError, WorldError
from catalog.keyring import keyring
from catalog.ledger import Draft, Kind
from catalog.signing import KEY_PEM, Signer, own_signer, public_key_of
from catalog.tree import Head, head_of
from catalog.verification import Verification, verify
from catalog.workspace import Workspace


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("original")
    make(root, "ioc")
    return root


class Bench:
    """A copy of a small workspace, its owner and others with keys of their own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.workspace = Workspace.open(root / "home")
        self.home = self.workspace.home
        self.owner = self.signer("key")

    def signer(self, name: str) -> Signer:
        return Signer.open(self.root / f"{name}.pem", outside=self.home)

    def head(self) -> Head:
        return head_of(self.workspace.ledger.records())

    def record(self, draft: Draft, signer: Signer) -> None:
        self.workspace.record(draft, actor=signer.actor("somebody"), code="1")

    def sign(self, signer: Signer) -> None:
        """Signs the head whatever the ledger says of the key, as somebody who has stolen it would."""
        records = self.workspace.ledger.records()
        self.record(signer.sign_head(records[-1], head_of(records).root, phase="ioc"), signer)

    def countersign(self, auditor: Signer) -> dict[str, Any]:
        made = auditor.countersign(self.head(), name="Ada, auditor")
        self.record(Draft(kind=Kind.SIGNED, stage="countersign", parameters=made), self.owner)
        return made

    def verify(self, *keys: str, head: str | None = None) -> Verification:
        return verify(self.home, keys=keys, head=head)


@pytest.fixture
def bench(original: Path, tmp_path: Path) -> Bench:
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    return Bench(tmp_path)


def faults(outcome: Verification) -> str:
    return "; ".join(f"{fault.where}: {fault.what}" for fault in outcome.faults)


def notes(outcome: Verification) -> str:
    return "\n".join(outcome.notes)


def test_the_key_that_was_given_vouches_by_itself_or_by_its_fingerprint(bench: Bench) -> None:
    for key in (bench.owner.public_key, bench.owner.fingerprint):
        outcome = bench.verify(key)
        assert outcome.faults == []
        assert "vouch for records 1 to 9 of 10, and for none after; other keys here: none" in notes(outcome)


def test_another_key_than_the_one_given_vouches_for_nothing(bench: Bench) -> None:
    other = bench.signer("other")
    outcome = bench.verify(other.public_key)
    assert f"signatures: the key {other.public_key[:16]}… that you gave has signed nothing" in faults(outcome)
    assert "(reported report): no key that you gave vouches for it" in faults(outcome)
    assert f"other keys that sign here: {bench.owner.fingerprint[:16]}" in faults(outcome)


def test_a_report_that_only_another_key_signs_is_named(bench: Bench) -> None:
    report(bench.workspace, "moc", bench.signer("other"))
    outcome = bench.verify(bench.owner.public_key)
    assert [fault.where for fault in outcome.faults] == ["record 18 (reported report)"]
    assert bench.verify(bench.owner.public_key, bench.signer("other").fingerprint).ok


def test_a_root_that_is_another_ledgers_is_a_fault_though_the_record_is_right(bench: Bench) -> None:
    records = bench.workspace.ledger.records()
    bench.record(bench.owner.sign_head(records[-1], "00" * 32, phase="ioc"), bench.owner)
    assert "record 11 (signed sign): the head 10:0000" in faults(bench.verify())


def test_a_statement_older_than_the_tree_names_its_record_and_holds(bench: Bench) -> None:
    last = bench.workspace.ledger.records()[-1]
    statement = {"purpose": "plimsoll ledger head", "phase": "ioc", "head": last.digest, "sequence": last.sequence}
    bench.record(Draft(kind=Kind.SIGNED, stage="sign", parameters=bench.owner.signed(statement)), bench.owner)
    assert "vouch for records 1 to 10 of 11" in notes(bench.verify(bench.owner.public_key))


def test_a_replaced_key_is_followed_by_those_who_trust_it_and_signs_no_more(bench: Bench) -> None:
    successor = bench.signer("successor")
    bench.record(bench.owner.hand_over(successor, bench.head()), bench.owner)
    report(bench.workspace, "moc", successor)
    for key in (bench.owner.public_key, successor.public_key):
        assert bench.verify(key).faults == []
    assert f"it was replaced by key {successor.fingerprint[:16]}" in notes(bench.verify())
    with pytest.raises(WorldError, match="was replaced by key"):
        bench.workspace.sign(bench.owner, phase="moc", name="tester", code="1")
    bench.sign(bench.owner)
    assert "was replaced by key" in faults(bench.verify())
    assert "record 21 (signed sign)" in faults(bench.verify())


def test_what_a_revoked_key_signed_before_holds_and_after_is_a_fault(bench: Bench) -> None:
    bench.record(bench.owner.revoke(bench.owner.public_key, bench.head(), reason="a stolen laptop"), bench.owner)
    for keys in ((), (bench.owner.public_key,)):
        assert bench.verify(*keys).faults == []
    assert "it was revoked by record 11 (key revoke): a stolen laptop" in notes(bench.verify())
    with pytest.raises(WorldError, match="a stolen laptop") as refused:
        bench.workspace.sign(bench.owner, phase="ioc", name="tester", code="1")
    assert "PLIMSOLL_KEY" in refused.value.help()
    bench.sign(bench.owner)
    assert "record 12 (signed sign)" in faults(bench.verify())
    bench.record(bench.owner.announcement(), bench.owner)
    assert "record 13 (key sign): announces a key that was revoked" in faults(bench.verify())


def test_a_colleague_may_revoke_a_lost_key_but_nobody_that_the_reader_does_not_trust(bench: Bench) -> None:
    colleague = bench.signer("colleague")
    bench.record(colleague.announcement(), colleague)
    bench.record(colleague.revoke(bench.owner.public_key, bench.head(), reason="lost"), colleague)
    assert bench.verify().faults == []
    assert "which is none that you gave" in faults(bench.verify(bench.owner.public_key))


@pytest.mark.parametrize(
    ("forge", "what"),
    [
        (lambda b, o: o.revoke(b.owner.public_key, b.head(), reason="x"), "was not announced by a record before it"),
        (lambda b, _: b.owner.revoke("ab" * 32, b.head(), reason="x"), "revokes no key that was announced"),
        (lambda b, _: b.owner.revoke(b.owner.public_key, Head(size=3, root="00" * 32), reason="x"), "not one of this"),
        (lambda b, o: o.hand_over(b.signer("third"), b.head()), "was not announced by a record before it"),
        (lambda b, _: b.owner.hand_over(b.owner, b.head()), "is not about it"),
    ],
)
def test_a_key_record_that_nobody_may_write_is_a_fault_and_changes_nothing(
    bench: Bench, forge: Callable[[Bench, Signer], Draft], what: str
) -> None:
    bench.record(forge(bench, bench.signer("other")), bench.owner)
    assert what in faults(bench.verify())
    bench.sign(bench.owner)
    assert [fault.where for fault in bench.verify().faults] == [f"record 11 (key {kind_of(bench)})"]


def kind_of(bench: Bench) -> str:
    return bench.workspace.ledger.records()[10].stage


def test_a_forged_hand_over_is_a_fault(bench: Bench) -> None:
    other = bench.signer("other")
    draft = bench.owner.hand_over(bench.signer("successor"), bench.head())
    for changes, what in (
        ({"public_key": other.public_key, "fingerprint": other.fingerprint}, "is not about it"),
        ({"succeeds": {**draft.parameters["succeeds"], "signature": "00" * 64}}, "is not the one over its statement"),
        ({"succeeds": {}}, "it states no head"),
        ({"succeeds": {**draft.parameters["succeeds"], "more": 1}}, "does not say which key"),
        ({"fingerprint": "00"}, "announces no sound key"),
        ({"public_key": None}, "announces no sound key"),
    ):
        forged = Draft(kind=Kind.KEY, stage="rotate", parameters={**draft.parameters, **changes})
        bench.record(forged, other)
        assert what in faults(bench.verify())
    assert list(keyring(bench.workspace.ledger.records()).ended) == []


@given(st.lists(st.sampled_from(["sign", "rotate", "revoke", "other signs"]), max_size=6))
@settings(max_examples=25, deadline=None)
def test_a_key_signs_soundly_exactly_while_it_is_in_force(
    original: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    root = tmp_path_factory.mktemp("steps")
    shutil.copytree(original, root, dirs_exist_ok=True)
    bench = Bench(root)
    first = current = bench.owner
    wrong: set[int] = set()
    ended = False
    for number, step in enumerate(steps):
        sequence = bench.head().size + 1
        match step:
            case "sign":
                bench.sign(current)
                wrong |= {sequence} if ended else set()
            case "other signs":
                bench.sign(first)
                wrong |= {sequence} if ended or current is not first else set()
            case "rotate":
                successor = bench.signer(f"successor{number}")
                bench.record(current.hand_over(successor, bench.head()), current)
                wrong |= {sequence} if ended else set()
                current = current if ended else successor
            case _:
                bench.record(current.revoke(current.public_key, bench.head(), reason="stolen"), current)
                wrong |= {sequence} if ended else set()
                ended = True
    found = {int(fault.where.split()[1]) for fault in bench.verify().faults}
    assert found == wrong
    assert {int(fault.where.split()[1]) for fault in bench.verify(first.public_key).faults} == wrong


def test_a_countersignature_is_told_with_who_and_what_it_covers(bench: Bench) -> None:
    auditor = bench.signer("auditor")
    bench.countersign(auditor)
    told = f"record 11 (signed countersign): countersigned by Ada, auditor (key {auditor.fingerprint[:16]}) up to head"
    for keys in ((), (auditor.public_key,), (auditor.fingerprint, bench.owner.public_key)):
        outcome = bench.verify(*keys)
        assert outcome.faults == []
        assert told in notes(outcome)
    assert "counts for nothing" in notes(bench.verify(bench.owner.public_key))


def test_history_rewritten_after_a_countersignature_is_seen_by_the_auditor_alone(bench: Bench) -> None:
    """By whoever has the owner's key: everything is signed anew, and only the auditor's key is not theirs."""
    auditor = bench.signer("auditor")
    kept = bench.countersign(auditor)
    root = bench.root / "rewritten"
    make(root, "ioc")
    shutil.copytree(root / "home", bench.root / "other")
    shown = bench.root / "other"
    assert verify(shown).ok
    alone = verify(shown, keys=[auditor.public_key])
    assert "that you gave has signed nothing in this ledger" in faults(alone)
    by_file = verify(shown, head=kept["statement"]["head"])
    assert (by_file.ok, by_file.freshness) == (False, "not proven")
    carried = Draft(kind=Kind.SIGNED, stage="countersign", parameters=kept)
    other = Bench(root)
    other.record(carried, other.owner)
    assert "that it states is not one of this ledger" in faults(other.verify())
    assert bench.verify(auditor.public_key, head=kept["statement"]["head"]).freshness == "proven"


def test_an_altered_countersignature_is_a_fault(bench: Bench) -> None:
    made = bench.countersign(bench.signer("auditor"))

    def change(records: list[dict[str, Any]]) -> None:
        records[-1]["parameters"]["statement"]["name"] = "Eve"

    rechain(bench.home, change)
    assert "record 11 (signed countersign): its signature is not" in faults(bench.verify())
    assert made["statement"]["name"] != "Eve"


def certificates(authority: Authority, *names: str) -> list[Certificate]:
    return [each for name in names for each in anchors.authorities((authority.at / f"{name}.pem").read_bytes())]


@pytest.fixture
def anchored(bench: Bench, authority: Authority) -> Bench:
    """The bench, its head anchored."""
    answer = authority(anchors.request(bench.head()))
    head = anchors.anchored(answer, bench.workspace.ledger.records())
    assert head == bench.head()
    bench.record(anchors.draft(head, bench.workspace.store.put(answer)), bench.owner)
    return bench


def test_a_time_anchor_holds_offline_against_the_authoritys_certificate(anchored: Bench, authority: Authority) -> None:
    held = verify(anchored.home, authorities=certificates(authority, "root"))
    assert held.faults == []
    (told,) = [note for note in held.notes if "(signed anchor)" in note]
    assert told.startswith("record 11 (signed anchor): the first 10 records were there on 2")
    unchecked = verify(anchored.home)
    assert unchecked.ok
    assert "an authority that was not checked: give its certificate (--tsa)" in notes(unchecked)
    put(anchored.workspace, Kind.DERIVED, "later", {}, {})
    assert verify(anchored.home, authorities=certificates(authority, "root")).ok


def test_openssl_holds_the_anchor_too(anchored: Bench, authority: Authority) -> None:
    """As the documentation says: the message is the head as text."""
    record = anchored.workspace.ledger.records()[10]
    (authority.at / "head").write_text(record.parameters["head"])
    (authority.at / "kept.tsr").write_bytes(anchored.workspace.store.get(record.output("timestamp") or ""))
    openssl("ts", "-verify", "-data", "head", "-in", "kept.tsr", "-CAfile", "root.pem", at=authority.at)


def test_an_anchor_by_another_authority_or_over_another_head_is_a_fault(
    anchored: Bench, authority: Authority, bench: Bench
) -> None:
    other = verify(anchored.home, authorities=certificates(authority, "strange"))
    assert "its time anchor does not hold: it is not by an authority that you trust" in faults(other)
    token = anchored.workspace.ledger.records()[10].output("timestamp") or ""
    records = anchored.workspace.ledger.records()
    anchored.record(anchors.draft(head_of(records[:3]), token), anchored.owner)
    anchored.record(anchors.draft(Head(size=3, root="00" * 32), token), anchored.owner)
    anchored.record(anchors.draft(head_of(records), anchored.workspace.store.put(b"no token")), anchored.owner)
    anchored.record(Draft(kind=Kind.SIGNED, stage="anchor"), anchored.owner)
    told = faults(verify(anchored.home))
    assert "record 12 (signed anchor): its time anchor does not hold: it is not over the head 3:" in told
    assert "record 13 (signed anchor): the head 3:0000" in told
    assert "record 14 (signed anchor): its time anchor does not hold" in told
    assert "record 15 (signed anchor): it states no head of this ledger" in told


def test_an_authority_is_given_and_there_is_no_anchor(bench: Bench, authority: Authority) -> None:
    assert "there is no time anchor" in faults(verify(bench.home, authorities=certificates(authority, "root")))
    with pytest.raises(UsageError, match="no certificate"):
        anchors.authorities(b"nothing")


def test_what_is_no_response_or_over_no_head_here_is_refused(bench: Bench, authority: Authority) -> None:
    records = bench.workspace.ledger.records()
    with pytest.raises(EvidenceError, match="no response"):
        anchors.anchored(b"nothing", records)
    with pytest.raises(EvidenceError, match="over no head"):
        anchors.anchored(authority(anchors.request(Head(size=3, root="00" * 32))), records)
    older = authority(anchors.request(head_of(records[:5])))
    assert anchors.anchored(older, records) == head_of(records[:5])
    sha256, sha3 = bytes.fromhex("608648016503040201"), bytes.fromhex("608648016503040208")
    unknown = anchors.request(head_of(records)).replace(sha256, sha3)
    with pytest.raises(EvidenceError, match="refused, with status 2"):
        anchors.anchored(authority(unknown), records)


def test_a_key_comes_from_the_environment_and_is_told_by_its_name(bench: Bench, tmp_path: Path) -> None:
    pem = (bench.root / "key.pem").read_text()
    found = own_signer(outside=bench.home, environ={KEY_PEM: pem, "HOME": str(tmp_path / "nowhere")})
    assert found.public_key == bench.owner.public_key
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(WorldError, match=r"\$PLIMSOLL_KEY_PEM holds no private key"):
        own_signer(outside=bench.home, environ={KEY_PEM: "nonsense"})
    named = own_signer(outside=bench.home, environ={"PLIMSOLL_KEY": str(bench.root / "key.pem")})
    assert named.public_key == bench.owner.public_key


def test_a_public_key_is_given_as_text_or_in_a_file(bench: Bench, tmp_path: Path) -> None:
    key = bench.owner.public_key
    (tmp_path / "hex.txt").write_text(f" {key.upper()}\n")
    openssl("pkey", "-in", "key.pem", "-pubout", "-out", "public.pem", at=bench.root)
    for text in (key, key.upper(), str(tmp_path / "hex.txt"), str(bench.root / "public.pem")):
        assert public_key_of(text) == key
    (tmp_path / "none").write_text("none")
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ec.pem", at=tmp_path)
    openssl("ec", "-in", "ec.pem", "-pubout", "-out", "ec-public.pem", at=tmp_path)
    for text in ("", "no key", str(tmp_path / "none"), str(tmp_path / "ec-public.pem"), str(bench.root / "key.pem")):
        with pytest.raises(UsageError, match="no public Ed25519 key"):
            public_key_of(text)
