"""TLS, mostly from the client's side: certificates and keys are read at run time from where a declaration names them.

A name is an environment variable's (capitals, digits, underscores) or a file's. A variable holds PEM text, or the path
of a file. What they hold goes to the TLS library and nowhere else; a certificate's fingerprint is all that is recorded.
"""

import os
import re
import ssl
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from catalog.errors import WorldError

Names = Mapping[str, str]
"""Where `ca`, `certificate` and `key` are to be found; any may be absent. Without `ca`, this machine's own apply.

`pkcs12` (RFC 7292: certificate and key in one file, under the `password`) is for a client that reads it as it is.
"""

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_BEGIN = "-----BEGIN "


def client_context(names: Names) -> ssl.SSLContext:
    """What a client needs to speak TLS 1.2 or later. WorldError naming what cannot be read, never what it holds."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if names.get("ca"):
        try:
            context.load_verify_locations(cadata=_text("ca", names))
        except ssl.SSLError as error:
            raise _unusable("ca", names) from error
    else:
        context.load_default_certs()
    if names.get("certificate") or names.get("pkcs12"):
        _load_identity(context, names)
    return context


def server_context(names: Names) -> ssl.SSLContext:
    """What a server needs to speak TLS 1.2 or later; with `ca` it wants clients that this has signed. As above."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if names.get("ca"):
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(cadata=_text("ca", names))
        except ssl.SSLError as error:
            raise _unusable("ca", names) from error
    _load_identity(context, names)
    return context


def text_of(role: str, names: Names) -> str:
    """The PEM text that `role` names, empty when it names none. WorldError as `client_context` raises it."""
    return _text(role, names) if names.get(role) else ""


def pkcs12_of(names: Names) -> tuple[bytes, str]:
    """What `pkcs12` names, and its password. WorldError naming what cannot be read, or that they do not fit.

    A variable holds the path of the file; the password's is the password itself, or it is the first line of a file.
    """
    from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

    path, told = _located("pkcs12", names)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable("pkcs12", told, error) from None
    password = secret_of("password", names)
    try:
        held = load_pkcs12(data, password.encode() or None)
    except ValueError:
        held = None
    if held is None or held.cert is None or held.key is None:
        raise WorldError(
            f"the TLS pkcs12 that {names['pkcs12']} names cannot be used",
            remedy="Expected PKCS#12 with a certificate and its key, under the password that 'password' names.",
        )
    return data, password


def secret_of(role: str, names: Names) -> str:
    """What an environment variable holds, or the first line of a file; empty when `role` names none."""
    name = names.get(role)
    if not name:
        return ""
    if _VARIABLE.fullmatch(name):
        if name not in os.environ:
            raise WorldError(f"the {role} cannot be read: the environment variable {name} is not set")
        return os.environ[name]
    try:
        return Path(name).expanduser().read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except OSError as error:
        raise _unreadable(role, name, error) from None


def fingerprint(names: Names) -> str:
    """The SHA-256 of the client certificate, in hexadecimal; empty when there is none."""
    if names.get("pkcs12"):
        return _pkcs12_fingerprint(names)
    if not names.get("certificate"):
        return ""
    text = _text("certificate", names)
    start, end = text.find("-----BEGIN CERTIFICATE-----"), text.find("-----END CERTIFICATE-----")
    try:
        return sha256(ssl.PEM_cert_to_DER_cert(text[start : end + len("-----END CERTIFICATE-----")])).hexdigest()
    except ValueError:
        raise _unusable("certificate", names) from None


def reason(error: OSError) -> str:
    """Why a connection failed, in words; those of the TLS library come as `TLSV13_ALERT_CERTIFICATE_REQUIRED`."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {error.verify_message}"
        case ssl.SSLError() if error.reason and "_ALERT_" in error.reason:
            alert = error.reason.split("_ALERT_")[1].lower().replace("_", " ")
            return f"it ended the TLS handshake: {alert}"
        case ssl.SSLError():
            return f"no TLS handshake: {(error.reason or str(error)).lower().replace('_', ' ')}"
        case _:
            return (error.strerror or str(error) or "timed out").lower()


def redacted(text: str, secret: str) -> str:
    """What another side said, which may be what it was sent, without the secret that it was sent."""
    return text.replace(secret, "[redacted]") if secret else text


def _load_identity(context: ssl.SSLContext, names: Names) -> None:
    """The library reads keys from files only: the text is put in one without a name, in memory where there is such."""
    text = _identity(names)
    with _nameless() as file:
        file.write(text.encode())
        file.flush()
        file.seek(0)
        try:
            context.load_cert_chain(f"/dev/fd/{file.fileno()}", password=lambda: b"")  # never ask a terminal
        except (ssl.SSLError, ValueError) as error:
            raise _unusable("key" if names.get("key") else "certificate", names) from error


def _identity(names: Names) -> str:
    """Certificate and key as PEM, one after the other."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

    if not names.get("pkcs12"):
        certificate = _text("certificate", names)
        return f"{certificate}\n{_text('key', names)}" if names.get("key") else certificate
    data, password = pkcs12_of(names)
    held = load_pkcs12(data, password.encode() or None)
    chain = [each.certificate.public_bytes(Encoding.PEM) for each in (held.cert, *held.additional_certs) if each]
    key = held.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) if held.key else b""
    return b"".join([*chain, key]).decode()


def _nameless() -> IO[bytes]:
    return os.fdopen(os.memfd_create("identity"), "w+b") if sys.platform == "linux" else TemporaryFile()


def _pkcs12_fingerprint(names: Names) -> str:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

    data, password = pkcs12_of(names)
    held = load_pkcs12(data, password.encode() or None)
    return held.cert.certificate.fingerprint(SHA256()).hex() if held.cert else ""


def _located(role: str, names: Names) -> tuple[Path, str]:
    """The file that a name leads to, and how it is told."""
    name = names[role]
    if not _VARIABLE.fullmatch(name):
        return Path(name).expanduser(), name
    held = os.environ.get(name, "")
    if not held:
        raise WorldError(
            f"the TLS {role} cannot be read: the environment variable {name} is not set",
            remedy="Set it to the path of the file.",
        )
    return Path(held).expanduser(), f"the file that {name} names"


def _unreadable(role: str, told: str, error: OSError) -> WorldError:
    return WorldError(f"the TLS {role} cannot be read: {told}: {(error.strerror or 'unreadable').lower()}")


def _text(role: str, names: Names) -> str:
    name = names[role]
    if _VARIABLE.fullmatch(name):
        held = os.environ.get(name, "")
        if not held:
            raise WorldError(
                f"the TLS {role} cannot be read: the environment variable {name} is not set",
                remedy="Set it to PEM text or to the path of a PEM file.",
            )
        if _BEGIN in held:
            return held
        path, told = Path(held), f"the file that {name} names"
    else:
        path, told = Path(name), name
    try:
        return path.expanduser().read_text(encoding="ascii")
    except OSError as error:
        raise _unreadable(role, told, error) from None
    except UnicodeDecodeError:
        raise WorldError(f"the TLS {role} cannot be read: {told} is not PEM") from None


def _unusable(role: str, names: Names) -> WorldError:
    return WorldError(
        f"the TLS {role} that {names[role]} names cannot be used",
        remedy="Expected PEM: certificates for 'ca'; a certificate and the unencrypted key that belongs to it.",
    )
