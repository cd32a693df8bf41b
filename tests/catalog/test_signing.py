"""Signatures: a key of one's own outside the workspace, made once, and statements that anyone can check."""

import hashlib
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from catalog.canonical import canonical
from catalog.errors import UsageError, WorldError
from catalog.ledger import Actor, Draft, Kind, Ledger, Record
from catalog.signing import PURPOSE, Signer, authentic, key_path, statement_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer.open(tmp_path / "config" / "key.pem", outside=tmp_path / "home")


@pytest.fixture
def head(tmp_path: Path) -> Record:
    (record,) = Ledger(tmp_path / "home").append([Draft(kind=Kind.DERIVED, stage="x")], actor=Actor(name="a"), code="1")
    return record


def test_the_key_is_made_once_for_its_owner_only(tmp_path: Path, signer: Signer) -> None:
    file = tmp_path / "config" / "key.pem"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["key.pem"]
    assert Signer.open(file, outside=tmp_path / "home").public_key == signer.public_key
    assert signer.fingerprint == hashlib.sha256(bytes.fromhex(signer.public_key)).hexdigest()


def test_processes_that_make_the_key_at_once_end_with_one(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from catalog.signing import Signer\n"
        "print(Signer.open(Path(sys.argv[1]), outside=Path('/nowhere')).public_key)\n"
    )
    arguments = [sys.executable, "-c", program, str(tmp_path / "config" / "key.pem")]
    children = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(4)]
    keys = {child.communicate()[0].strip() for child in children}
    assert len(keys) == 1
    assert len(keys.pop()) == 64


def test_the_signature_can_be_checked_without_us(signer: Signer, head: Record) -> None:
    draft = signer.sign_head(head, "ab" * 32, phase="ioc")
    statement = draft.parameters["statement"]
    assert statement == {"purpose": PURPOSE, "phase": "ioc", "head": head.digest, "sequence": 1, "root": "ab" * 32}
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(draft.parameters["public_key"]))
    key.verify(bytes.fromhex(draft.parameters["signature"]), canonical(statement))


def test_only_the_very_statement_key_and_signature_are_authentic(signer: Signer, head: Record, tmp_path: Path) -> None:
    parameters = signer.sign_head(head, "ab" * 32, phase="ioc").parameters
    statement, key, signature = parameters["statement"], parameters["public_key"], parameters["signature"]
    other = Signer.open(tmp_path / "other.pem", outside=tmp_path / "home").public_key
    assert authentic(statement, key, signature)
    assert not authentic({**statement, "phase": "moc"}, key, signature)
    assert not authentic(statement, other, signature)
    assert not authentic(statement, key, signature[:-1] + ("0" if signature[-1] != "0" else "1"))


@pytest.mark.parametrize("nonsense", [None, "", "zz", 7, [], "00" * 32, "é"])
def test_nonsense_is_not_authentic(signer: Signer, head: Record, nonsense: object) -> None:
    parameters = signer.sign_head(head, "ab" * 32, phase="ioc").parameters
    assert not authentic(nonsense, parameters["public_key"], parameters["signature"])
    assert not authentic(parameters["statement"], nonsense, parameters["signature"])
    assert not authentic(parameters["statement"], parameters["public_key"], nonsense)


def test_a_record_without_a_statement_has_an_empty_one(head: Record) -> None:
    assert statement_of(head) == {}


def test_a_key_inside_the_workspace_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "home")
    for file in (tmp_path / "home" / "key.pem", tmp_path / "link" / "deep" / "key.pem"):
        with pytest.raises(UsageError, match="inside the workspace"):
            Signer.open(file, outside=tmp_path / "home")
        assert not file.exists()


def test_a_key_that_others_may_read_is_refused(tmp_path: Path, signer: Signer) -> None:
    file = tmp_path / "config" / "key.pem"
    file.chmod(0o640)
    with pytest.raises(WorldError, match="others may read") as caught:
        Signer.open(file, outside=tmp_path / "home")
    assert f"chmod 600 {file}" in caught.value.help()


def test_a_file_that_holds_no_such_key_is_refused(tmp_path: Path) -> None:
    other_kind = X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for data, message in [(b"", "can be read"), (b"no key", "can be read"), (other_kind, "another kind than Ed25519")]:
        file = tmp_path / "key.pem"
        file.write_bytes(data)
        file.chmod(0o600)
        with pytest.raises(WorldError, match=message):
            Signer.open(file, outside=tmp_path / "home")


def test_a_place_where_no_key_can_be_made_is_the_environments_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorldError):
        Signer.open(tmp_path / "file" / "key.pem", outside=tmp_path / "home")


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"PLIMSOLL_KEY": "/keys/mine.pem", "HOME": "/home/a"}, "/keys/mine.pem"),
        ({"XDG_CONFIG_HOME": "/etc/xdg-a", "HOME": "/home/a"}, "/etc/xdg-a/plimsoll/key.pem"),
        ({"XDG_CONFIG_HOME": "relative", "HOME": "/home/a"}, "/home/a/.config/plimsoll/key.pem"),
        ({"HOME": "/home/a", "PLIMSOLL_KEY": ""}, "/home/a/.config/plimsoll/key.pem"),
    ],
)
def test_the_key_is_where_the_environment_says(environ: dict[str, str], path: str) -> None:
    assert key_path(environ) == Path(path)
