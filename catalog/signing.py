"""Ed25519 signatures over the ledger's head, and the private key that makes them, which never enters a workspace.

A `key` record announces a public key and its fingerprint (SHA-256 of the raw 32 bytes); hands over from one key to its
successor; or revokes one. A `signed` record carries a statement that names an earlier record by digest and sequence and
the root of the tree up to it, the public key, and the signature over the statement's canonical JSON; or, where an
auditor countersigns, the head that they saw. Whoever holds the statement, the key and 64 bytes can check it without
Plimsoll. What a ledger says of keys as it goes on is not here (`catalog.keyring`).
"""

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.canonical import canonical, digest
from catalog.errors import UsageError, WorldError
from catalog.ledger import Actor, Draft, Kind, Record, now
from catalog.store import disk, is_file
from catalog.tree import Head

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PURPOSE = "plimsoll ledger head"
COUNTERSIGNATURE = "plimsoll countersignature"
SUCCESSION = "plimsoll key succession"
REVOCATION = "plimsoll key revocation"
"""One of these is in every statement, so that a signature cannot be passed off as one for another purpose."""

KEY, KEY_PEM = "PLIMSOLL_KEY", "PLIMSOLL_KEY_PEM"
_LONGEST = 1 << 16  # bytes of a file that a public key is looked for in


def key_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the private key is: `PLIMSOLL_KEY`, else `plimsoll/key.pem` in the user's configuration directory (XDG)."""
    if named := environ.get(KEY):
        return Path(named)
    return own_folder(environ) / "key.pem"


def own_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where a user's own things are: `plimsoll` in their configuration directory (XDG)."""
    base = Path(environ.get("XDG_CONFIG_HOME", ""))
    if not base.is_absolute():  # the XDG specification has relative paths ignored
        base = Path(environ.get("HOME") or Path.home()) / ".config"
    return base / "plimsoll"


def own_signer(*, outside: Path, environ: Mapping[str, str] = os.environ) -> "Signer":
    """Whoever runs this: with the key that `PLIMSOLL_KEY_PEM` holds, else the one in a file (see `Signer.open`)."""
    if pem := environ.get(KEY_PEM):
        return Signer.from_pem(pem, f"${KEY_PEM}")
    return Signer.open(key_path(environ), outside=outside)


def public_key_of(text: str) -> str:
    """The public key that was given, or is in the file of that name: 64 hexadecimal characters of it or of its
    fingerprint, or a public key as PEM. Raises UsageError for anything else."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    file = Path(text)
    with disk(file):
        is_short = is_file(file) and file.stat().st_size < _LONGEST
        data = file.read_bytes() if is_short else text.encode(errors="replace")
    if found := re.fullmatch(r"\s*([0-9a-fA-F]{64})\s*", data.decode(errors="replace")):
        return found[1].lower()
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, Ed25519PublicKey):
        return key.public_bytes_raw().hex()
    remedy = "Give the 64 characters that `plimsoll keys` says there, or a file with them or with the key as PEM."
    raise UsageError(f"{text!r} is no public Ed25519 key, and no file with one", remedy=remedy)


def fingerprint(public_key: str) -> str:
    """The fingerprint of a public key given in hexadecimal; its first 16 characters are what people are shown."""
    return digest(bytes.fromhex(public_key))


def authentic(statement: object, public_key: object, signature: object) -> bool:
    """Whether `signature` is the one of `public_key` (both hexadecimal) over `statement`; False for nonsense."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(str(public_key)))
        key.verify(bytes.fromhex(str(signature)), canonical(statement))
    except (InvalidSignature, ValueError, TypeError, RecursionError):
        return False
    return True


class Signer:
    """Holds a private key and signs with it."""

    def __init__(self, key: "Ed25519PrivateKey") -> None:
        self._key = key
        self.public_key: str = key.public_key().public_bytes_raw().hex()
        self.fingerprint = fingerprint(self.public_key)

    @classmethod
    def open(cls, path: Path, *, outside: Path) -> "Signer":
        """The signer whose key is in the file `path`, made on first use with mode 0600.

        Raises UsageError when the file would be inside the workspace `outside` (whoever gets a copy of the evidence
        could sign), WorldError when it cannot be read or made, is open to others, or holds no Ed25519 key.
        """
        if path.resolve().is_relative_to(outside.resolve()):
            remedy = "Set PLIMSOLL_KEY to a file elsewhere; whoever gets a copy of the workspace could sign with it."
            raise UsageError(f"the private key {path} would be inside the workspace {outside}", remedy=remedy)
        with disk(path):
            if not path.exists():
                _create(path)
            if path.stat().st_mode & 0o077:
                raise WorldError(f"others may read the private key {path}", remedy=f"chmod 600 {path}")
            return cls(_load(path.read_bytes(), str(path)))

    @classmethod
    def from_pem(cls, pem: str, where: str) -> "Signer":
        """The signer whose key that is, found at `where`. Raises WorldError when it is no Ed25519 key."""
        return cls(_load(pem.encode(), where))

    def actor(self, name: str) -> Actor:
        """The person or machine `name`, acting with this key."""
        return Actor(name=name, fingerprint=self.fingerprint)

    def signature(self, data: bytes) -> bytes:
        """The signature over bytes that say themselves what they are for, such as a DSSE envelope's."""
        return self._key.sign(data)

    def announcement(self) -> Draft:
        """The `key` record that must stand before the first signature of this key."""
        parameters = {"algorithm": "ed25519", "public_key": self.public_key, "fingerprint": self.fingerprint}
        return Draft(kind=Kind.KEY, stage="sign", parameters=parameters)

    def sign(self, statement: Mapping[str, Any]) -> str:
        """The signature, in hexadecimal, over a statement's canonical JSON."""
        return self._key.sign(canonical(dict(statement))).hex()

    def signed(self, statement: Mapping[str, Any]) -> dict[str, Any]:
        """The statement with the public key and the signature over it, as records and files carry them."""
        return {"statement": dict(statement), "public_key": self.public_key, "signature": self.sign(statement)}

    def sign_head(self, head: Record, root: str, *, phase: str) -> Draft:
        """The `signed` record that vouches for the chain up to and including `head`, as `phase` is reported.

        `root` is the root of the tree over the records up to there.
        """
        statement = {"purpose": PURPOSE, "phase": phase, "head": head.digest, "sequence": head.sequence, "root": root}
        return Draft(kind=Kind.SIGNED, stage="sign", parameters=self.signed(statement))

    def countersign(self, head: Head, *, name: str) -> dict[str, Any]:
        """What an auditor keeps: that `name` has seen the ledger up to `head`, and when."""
        return self.signed({"purpose": COUNTERSIGNATURE, "head": str(head), "name": name, "time": now()})

    def hand_over(self, successor: "Signer", head: Head) -> Draft:
        """The `key` record by which this key gives its place to another, and signs nothing after it."""
        statement = {"purpose": SUCCESSION, "head": str(head), "successor": successor.public_key}
        parameters = {**successor.announcement().parameters, "succeeds": self.signed(statement)}
        return Draft(kind=Kind.KEY, stage="rotate", parameters=parameters)

    def revoke(self, public_key: str, head: Head, *, reason: str, since: int | None = None) -> Draft:
        """The `key` record after which no signature of `public_key` counts; nor any since record `since`, if given."""
        statement: dict[str, Any] = {
            "purpose": REVOCATION,
            "head": str(head),
            "revoked": public_key,
            "reason": reason,
            **({"since": since} if since else {}),
        }
        return Draft(kind=Kind.KEY, stage="revoke", parameters=self.signed(statement))


def statement_of(record: Record) -> dict[str, Any]:
    """The statement that a `signed` record carries; empty when it carries none."""
    statement = record.parameters.get("statement")
    return statement if isinstance(statement, dict) else {}


def _load(pem: bytes, where: str) -> "Ed25519PrivateKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise WorldError(f"{where} holds no private key that can be read: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise WorldError(f"{where} holds a private key of another kind than Ed25519")
    return key


def _create(path: Path) -> None:
    """Makes a key under a temporary name and links it to `path`: of two processes one wins, and no one reads half."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".key.")  # O_EXCL, mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(temporary)
    except FileExistsError:
        return
    finally:
        Path(temporary).unlink()
