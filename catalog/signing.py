"""Ed25519 signatures over the ledger's head, and the private key that makes them, which never enters a workspace.

A `key` record announces a public key and its fingerprint (SHA-256 of the raw 32 bytes). A `signed` record carries a
statement that names an earlier record by digest and sequence, the public key, and the signature over the statement's
canonical JSON. Whoever holds the statement, the key and 64 bytes can check it without Plimsoll.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.canonical import canonical, digest
from catalog.errors import UsageError, WorldError
from catalog.ledger import Actor, Draft, Kind, Record
from catalog.store import disk

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PURPOSE = (
    "plimsoll ledger head"  # in every statement, so that a signature cannot be passed off as one for another purpose
)


def key_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the private key is: `PLIMSOLL_KEY`, else `plimsoll/key.pem` in the user's configuration directory (XDG)."""
    if named := environ.get("PLIMSOLL_KEY"):
        return Path(named)
    base = Path(environ.get("XDG_CONFIG_HOME", ""))
    if not base.is_absolute():  # the XDG specification has relative paths ignored
        base = Path(environ.get("HOME") or Path.home()) / ".config"
    return base / "plimsoll" / "key.pem"


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
            return cls(_load(path.read_bytes(), path))

    def actor(self, name: str) -> Actor:
        """The person or machine `name`, acting with this key."""
        return Actor(name=name, fingerprint=self.fingerprint)

    def announcement(self) -> Draft:
        """The `key` record that must stand before the first signature of this key."""
        parameters = {"algorithm": "ed25519", "public_key": self.public_key, "fingerprint": self.fingerprint}
        return Draft(kind=Kind.KEY, stage="sign", parameters=parameters)

    def sign_head(self, head: Record, *, phase: str) -> Draft:
        """The `signed` record that vouches for the chain up to and including `head`, as `phase` is reported."""
        statement = {"purpose": PURPOSE, "phase": phase, "head": head.digest, "sequence": head.sequence}
        signature = self._key.sign(canonical(statement)).hex()
        parameters = {"statement": statement, "public_key": self.public_key, "signature": signature}
        return Draft(kind=Kind.SIGNED, stage="sign", parameters=parameters)


def statement_of(record: Record) -> dict[str, Any]:
    """The statement that a `signed` record carries; empty when it carries none."""
    statement = record.parameters.get("statement")
    return statement if isinstance(statement, dict) else {}


def _load(pem: bytes, path: Path) -> "Ed25519PrivateKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise WorldError(f"{path} holds no private key that can be read: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise WorldError(f"{path} holds a private key of another kind than Ed25519")
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
