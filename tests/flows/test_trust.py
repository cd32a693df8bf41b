"""The commands about who vouches for a ledger, as an owner and an auditor use them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from small_evidence import make, report
from stamping import Authority

from catalog.signing import Signer
from catalog.tree import head_of
from catalog.workspace import Workspace
from flows.cli import main


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("original")
    make(root, "ioc")
    return root


@pytest.fixture
def home(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a small workspace, in the surroundings of its owner."""
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("PLIMSOLL_KEY", str(tmp_path / "key.pem"))
    monkeypatch.setenv("PLIMSOLL_ACTOR", "owner")
    monkeypatch.delenv("PLIMSOLL_KEY_PEM", raising=False)
    return tmp_path / "home"


class Person:
    """Runs commands in this process with a key and a name of one's own."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, key: Path) -> None:
        self._capsys, self._monkeypatch, self._key = capsys, monkeypatch, key

    def run(self, *arguments: object) -> tuple[int, str, str]:
        self._monkeypatch.setenv("PLIMSOLL_KEY", str(self._key))
        self._monkeypatch.setenv("PLIMSOLL_ACTOR", self._key.stem)
        status = main([str(each) for each in arguments])
        told = self._capsys.readouterr()
        return status, told.out, told.err

    def ask(self, *arguments: object) -> Any:
        return json.loads(self.run(*arguments, "--json")[1])

    @property
    def public_key(self) -> str:
        return Signer.open(self._key, outside=Path("/nowhere")).public_key


@pytest.fixture
def owner(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Person:
    return Person(capsys, monkeypatch, home.parent / "key.pem")


@pytest.fixture
def auditor(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Person:
    return Person(capsys, monkeypatch, home.parent / "auditor.pem")


def more(home: Path) -> None:
    report(Workspace.open(home), "moc", Signer.open(home.parent / "key.pem", outside=home))


def saved(home: Path) -> str:
    return str(head_of(Workspace.open(home).ledger.records()))


def test_a_record_is_proved_without_the_rest_of_the_ledger(home: Path, tmp_path: Path, owner: Person) -> None:
    head = saved(home)
    more(home)
    digest = Workspace.open(home).ledger.records()[4].digest
    for name in ("5", digest[:12], "ioc/ioc.dsp.load/1"):
        status, out, _ = owner.run("prove", name, "--home", home, "--head", head)
        assert status == 0
        assert json.loads(out)["record"]["sequence"] == 5
    (tmp_path / "proof.json").write_text(out)
    (tmp_path / "head.txt").write_text(f"head {head}\n")
    shutil.rmtree(home)
    for given in (head, tmp_path / "head.txt"):
        status, out, _ = owner.run("verify", "--proof", tmp_path / "proof.json", "--head", given)
        assert status == 0
        assert "the proof holds: record 5 (executed execute) of 2" in out
    told = owner.ask("verify", "--proof", tmp_path / "proof.json", "--head", head)
    assert told == {"ok": True, "proof": "inclusion", "saved": head, "head": head, "record": 5}


def test_a_saved_head_is_proved_to_begin_the_newest(home: Path, tmp_path: Path, owner: Person) -> None:
    head = saved(home)
    more(home)
    (tmp_path / "proof.json").write_text(owner.run("prove", "--home", home, "--head", head)[1])
    status, out, _ = owner.run("verify", "--proof", tmp_path / "proof.json", "--head", head)
    assert (status, f"head {saved(home)} continues the saved head {head}" in out) == (0, True)
    assert owner.ask("verify", "--proof", tmp_path / "proof.json", "--head", head)["head"] == saved(home)
    status, _, err = owner.run("verify", "--proof", tmp_path / "proof.json", "--head", f"{head[:-1]}x")
    assert (status, "held against a head that was saved" in err) == (2, True)
    status, _, err = owner.run("verify", "--proof", tmp_path / "proof.json", "--head", saved(home))
    assert (status, "Ask for one with" in err) == (4, True)


def test_what_cannot_be_proved_is_refused(home: Path, tmp_path: Path, owner: Person) -> None:
    (tmp_path / "none.json").write_text("{")
    for arguments, status, told in (
        (("prove", "--home", home), 2, "nothing to prove"),
        (("prove", "99", "--home", home), 2, "there is no record 99"),
        (("prove", "5", "--home", home, "--head", "5:x"), 2, "SIZE:ROOT was expected"),
        (("prove", "5", "--home", home, "--head", f"3:{'0' * 64}"), 4, "is not one of this ledger"),
        (("verify", "--proof", tmp_path / "none.json"), 2, "a proof by itself proves nothing"),
        (("verify", "--proof", tmp_path / "none.json", "--head", saved(home)), 2, "holds no proof"),
        (("verify", "--proof", tmp_path / "absent", "--head", saved(home)), 2, "cannot be read"),
    ):
        ended, out, err = owner.run(*arguments)
        assert (ended, out) == (status, "")
        assert told in err


def test_verify_holds_reports_against_the_keys_that_were_given(home: Path, owner: Person, auditor: Person) -> None:
    assert owner.run("verify", home, "--key", owner.public_key)[0] == 0
    status, out, _ = owner.run("verify", home, "--key", auditor.public_key)
    assert (status, "no key that you gave vouches for it" in out) == (4, True)
    status, _, err = owner.run("verify", home, "--key", "nonsense")
    assert (status, "no public Ed25519 key" in err) == (2, True)


def test_keys_are_shown_replaced_and_revoked(
    home: Path, tmp_path: Path, owner: Person, auditor: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = auditor.ask("keys", "--home", tmp_path / "none")
    assert nobody == {"own": None, "ledger": []}
    assert "none yet" in auditor.run("keys", "--home", home)[1]
    assert not (tmp_path / "auditor.pem").exists()
    (known,) = owner.ask("keys", "--home", home)["ledger"]
    assert (known["public_key"], known["state"], known["own"]) == (owner.public_key, "in force", True)
    status, out, _ = owner.run("keys", "rotate", "--to", tmp_path / "next.pem", "--home", home)
    assert (status, "is replaced by" in out) == (0, True)
    for again in ("next.pem", "third.pem"):
        status, _, err = owner.run("keys", "rotate", "--to", tmp_path / again, "--home", home)
        assert (status, "was replaced by key" in err) == (3, True)
    successor = Person(owner._capsys, monkeypatch, tmp_path / "next.pem")
    name = successor.ask("keys", "--home", home)["own"]["fingerprint"]
    told = successor.ask("keys", "revoke", name[:16], "--reason", "a stolen laptop", "--home", home)
    assert "is revoked" in told["what"]
    states = [each["state"] for each in owner.ask("keys", "--home", home)["ledger"]]
    assert states[0].startswith("replaced by key")
    assert states[1] == "revoked by record 12 (key revoke): a stolen laptop"
    assert "revoked by" in owner.run("keys", "--home", home)[1]
    assert owner.run("verify", home, "--key", owner.public_key)[0] == 0
    status, _, err = successor.run("keys", "revoke", name, "--reason", "again", "--home", home)
    assert (status, "already" in err) == (2, True)


def test_a_key_in_wrong_hands_is_revoked_since_a_record_or_a_day_even_after_it_was_replaced(
    home: Path, tmp_path: Path, owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    thief = Person(owner._capsys, monkeypatch, tmp_path / "thief.pem")
    assert owner.run("keys", "rotate", "--to", tmp_path / "thief.pem", "--home", home)[0] == 0
    name, why = owner.ask("keys", "--home", home)["ledger"][0]["fingerprint"], ("--reason", "stolen", "--home", home)
    for since, told in (
        ("2999-01-01", "nothing was recorded on 2999-01-01 or later"),
        ("nothing", "no run and no record"),
    ):
        status, _, err = thief.run("keys", "revoke", name, "--since", since, *why)
        assert (status, told in err) == (2, True), err
    assert "already" in thief.run("keys", "revoke", name, *why)[2]
    day = Workspace.open(home).ledger.records()[0].time[:10]
    told = thief.ask("keys", "revoke", name, "--since", day, *why)["what"]
    assert "nothing that it signed since record 1 counts" in told
    state = owner.ask("keys", "--home", home)["ledger"][0]["state"]
    assert state.endswith("as compromised since record 1: stolen")
    assert "already" in thief.run("keys", "revoke", name, "--since", "9", *why)[2]
    status, out, _ = owner.run("verify", home, "--key", owner.public_key)
    assert (status, "vouches for nothing" in out) == (4, True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("rotate",), "Name a file for the new one"),
        (("rotate", "--to", "{key}"), "holds the key that is to be replaced"),
        (("revoke", "--reason", "x"), "by its name and for a reason"),
        (("revoke", "0123456789"), "by its name and for a reason"),
        (("revoke", "0123456789", "--reason", "x"), "names no one key"),
    ],
)
def test_keys_refuses_what_makes_no_sense(home: Path, owner: Person, arguments: tuple[str, ...], told: str) -> None:
    before = saved(home)
    given = [each.format(key=home.parent / "key.pem") for each in arguments]
    status, _, err = owner.run("keys", *given, "--home", home)
    assert (status, told in err, saved(home)) == (2, True, before)


def test_nobody_but_a_key_of_the_ledger_replaces_or_revokes(home: Path, owner: Person, auditor: Person) -> None:
    name = owner.ask("keys", "--home", home)["own"]["fingerprint"]
    status, _, err = auditor.run("keys", "revoke", name, "--reason", "mine", "--home", home)
    assert (status, "your key cannot revoke another here" in err) == (2, True)
    status, _, err = auditor.run("keys", "rotate", "--to", home.parent / "x.pem", "--home", home)
    assert (status, "has signed nothing here" in err) == (2, True)


def test_an_auditor_countersigns_and_sees_alone_what_was_rewritten(
    home: Path, tmp_path: Path, owner: Person, auditor: Person
) -> None:
    bundle, kept = tmp_path / "ioc.zip", tmp_path / "kept.json"
    owner.ask("export", "ioc", "--out", bundle, "--home", home)
    status, out, _ = auditor.run("countersign", bundle, "--out", kept, "--key", owner.public_key)
    assert (status, f"head {saved(home)}" in out) == (0, True)
    assert owner.run("countersign", "--record", kept, "--home", home)[0] == 0
    more(home)
    for keys in ((), ("--key", auditor.public_key, "--key", owner.public_key)):
        found = auditor.ask("verify", home, "--head", kept, *keys)
        assert (found["ok"], found["freshness"]) == (True, "proven")
    make(tmp_path / "again", "ioc")
    rewritten = tmp_path / "again" / "home"
    assert auditor.ask("verify", rewritten)["ok"]
    for given in (("--head", kept), ("--key", auditor.public_key)):
        found = auditor.ask("verify", rewritten, *given)
        assert (found["ok"], found["freshness"]) == (False, "not proven")
    for as_json in ("--json", "--key"):  # what it answers is a head that can be given, whatever other heads it tells
        more_words = (as_json, *(() if as_json == "--json" else (auditor.public_key, "--key", owner.public_key)))
        (tmp_path / "answer").write_text(auditor.run("verify", home, *more_words)[1])
        assert auditor.ask("verify", home, "--head", tmp_path / "answer")["freshness"] == "proven"
    status, _, err = owner.run("countersign", "--record", kept, "--home", rewritten)
    assert (status, "none of this ledger" in err) == (4, True)
    status, _, err = owner.run("countersign", "--record", kept, "--home", home)
    assert (status, "in this ledger already" in err) == (2, True)
    status, _, err = auditor.run("verify", home, "--head", kept, "--key", owner.public_key)
    assert (status, "by a key that you did not give" in err) == (2, True)


def test_an_altered_countersignature_is_no_head(home: Path, tmp_path: Path, auditor: Person) -> None:
    kept = tmp_path / "kept.json"
    assert auditor.ask("countersign", home, "--out", kept)["statement"]["name"] == "auditor"
    made = json.loads(kept.read_text())
    kept.write_text(json.dumps({**made, "statement": {**made["statement"], "name": "Eve"}}))
    status, _, err = auditor.run("verify", home, "--head", kept)
    assert (status, "it was altered" in err) == (4, True)


def test_only_a_ledger_that_holds_is_countersigned(home: Path, tmp_path: Path, auditor: Person) -> None:
    status, _, err = auditor.run("countersign", home)
    assert (status, "kept in a file" in err) == (2, True)
    (tmp_path / "there").touch()
    status, _, err = auditor.run("countersign", home, "--out", tmp_path / "there")
    assert (status, "is there already" in err) == (2, True)
    status, _, err = auditor.run("countersign", "--record", tmp_path / "there", "--home", home)
    assert (status, "holds no countersignature" in err) == (2, True)
    next((home / "objects").glob("??/*")).unlink()
    status, out, _ = auditor.run("countersign", home, "--out", tmp_path / "kept.json")
    assert (status, "is missing" in out) == (4, True)
    assert not (tmp_path / "kept.json").exists()
    Workspace.open(tmp_path / "empty", create=True)
    status, _, err = auditor.run("countersign", tmp_path / "empty", "--out", tmp_path / "kept.json")
    assert (status, "no record to countersign" in err) == (2, True)


def test_a_head_is_anchored_in_time(home: Path, tmp_path: Path, owner: Person, authority: Authority) -> None:
    asked, answer = tmp_path / "asked.tsq", tmp_path / "answer.tsr"
    told = owner.ask("anchor", "--request", asked, "--home", home)
    assert told["head"] == saved(home)
    assert "--data-binary @" in owner.run("anchor", "--request", asked, "--home", home)[1]
    answer.write_bytes(authority(asked.read_bytes()))
    more(home)
    strange = authority.at / "strange.pem"
    status, _, err = owner.run("anchor", "--response", answer, "--home", home, "--tsa", strange)
    assert (status, "not by an authority that you trust" in err) == (4, True)
    status, out, _ = owner.run("anchor", "--response", answer, "--home", home, "--tsa", authority.at / "root.pem")
    assert (status, "the first 10 records were there on 2" in out) == (0, True)
    assert owner.run("verify", home, "--tsa", authority.at / "root.pem")[0] == 0
    assert owner.run("verify", home, "--tsa", strange)[0] == 4
    bundle = tmp_path / "ioc.zip"
    owner.ask("export", "ioc", "--out", bundle, "--home", home)
    assert owner.run("verify", bundle, "--tsa", authority.at / "root.pem")[0] == 0
    for arguments in (("anchor",), ("anchor", "--request", asked, "--response", answer)):
        status, _, err = owner.run(*arguments, "--home", home)
        assert (status, "one of --request" in err) == (2, True)
    status, _, err = owner.run("anchor", "--response", tmp_path / "absent", "--home", home)
    assert (status, "cannot be read" in err) == (2, True)
